"""The tabletop as a world: scenes of our own, made for questions that benchmarks cannot ask."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enactive.observations import Camera, Observation, ObservationSpec, Task, TaskSpec
from enactive.registry import refuse_unknown
from enactive.worlds.mujoco_rendering import Quality, assert_not_blank, backend
from enactive.worlds.tabletop.arms import ARMS
from enactive.worlds.tabletop.control import CONTROLS, Aim, finger_target, space
from enactive.worlds.tabletop.drawing import CAMERA_NAMES, Drawing
from enactive.worlds.tabletop.engine import RATE_HZ, Engine
from enactive.worlds.tabletop.observing import READ, TRUTH, Objects, Seen, states, truth
from enactive.worlds.tabletop.perturbations import PERTURBATIONS
from enactive.worlds.tabletop.progress import EVENTS, Progress
from enactive.worlds.tabletop.scene import Scene, make_scene
from enactive.worlds.tabletop.tasks import TASKS
from enactive.worlds.tabletop.truth import SceneTruth, scene_truth
from enactive.worlds.tabletop.wording import held_out_instructions, instructions
from enactive.worlds.world import NotSupported, Snapshot, Step, WorldSpec

VERSION = "1"
"""Of scenes and physics: rises when the same task and seed give other bits."""


class Tabletop:
    """The world; make it with ``Tabletop.Config(...).build()``. Not safe to use from two threads.

    Every episode has a model of its own, compiled from its scene.
    """

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """Configuration of :class:`Tabletop`."""

        arm: str = "gantry"
        """``"gantry"``, a Cartesian gripper, or ``"jointed"``, a five-axis arm."""
        control: str = "ee_delta"
        """What commands mean: ``"ee_delta"``, ``"ee_absolute"`` or ``"joint_delta"``."""
        cameras: tuple[str, ...] = ("front", "wrist")
        """The image streams, of ``"front"``, ``"side"``, ``"top"`` and ``"wrist"``; empty makes no
        renderer and needs no graphics backend."""
        states: tuple[str, ...] = ("proprio",)
        """State vectors that are shown: of ``"proprio"``, ``"joints"``, ``"objects"`` and
        ``"furniture"``."""
        image_size: int = 96
        """Side of the square pictures, pixels."""
        quality: Quality = field(default_factory=Quality)
        """How pictures are drawn; part of the provenance of everything recorded."""
        privileged: bool = True
        """Give ``Observation.privileged["tabletop"]``, which the expert reads."""
        max_steps: int = 250
        """Control steps after which an episode is truncated."""

        def build(self) -> Tabletop:
            """The world.

            Raises:
                ValueError: a field is out of range; the message names it.
            """
            return Tabletop(self)

    def __init__(self, config: Config) -> None:
        _check(config)
        self._config = config
        self._arm = ARMS[config.arm]
        self._control = CONTROLS[config.control]
        self._space = space(self._control, self._arm)
        # What VectorSpace.check computes anew for each action.
        self._spec = _spec(config)
        self._drawing: Drawing | None = None
        self._episode: _Episode | None = None

    @property
    def spec(self) -> WorldSpec:
        return self._spec

    def reset(self, task: Task, seed: int) -> Observation:
        """Begin an episode; ``(task.name, task.perturbations, seed)`` decides every bit of its
        initial state. The instruction is the caller's, see
        :func:`~enactive.worlds.tabletop.wording.wording`.

        Raises:
            KeyError: there is no such task; the message suggests which was meant.
            ValueError: a perturbation is unknown, changes nothing about the task, or is on the
                axis of another one.
            BlackFrame: a camera shows nothing.
        """
        self._spec.check_task(task)
        scene = make_scene(TASKS[task.name], task.perturbations, seed)
        self._episode = self._begin(task, scene)
        observation = self._observe(self._episode)
        assert_not_blank(dict(observation.images), self._spec.name)
        return observation

    def step(self, action: Any) -> Step:
        """Execute one ``float (A,)`` action of ``spec.accepts``.

        An episode ends when its success test has held for a moment (see
        :data:`~enactive.worlds.tabletop.success.SUSTAINED`) or after ``max_steps``. The reward is
        1 for the step that succeeds and 0 before.

        Raises:
            ValueError: the action is outside the space.
            RuntimeError: no episode is running, or it has ended.
        """
        episode = self._running()
        vector = self._space.check(action)
        if episode.ended or episode.steps >= self._config.max_steps:
            raise RuntimeError(f"the episode ended after {episode.steps} steps; call reset")
        engine = episode.engine
        command = vector.astype(np.float64)
        episode.aim = self._control.aim(
            command[:-1], episode.aim, engine.pose(), engine.joints(), self._arm
        )
        engine.step(episode.aim.joints, finger_target(float(command[-1])))
        episode.steps += 1
        success, events = episode.progress.update(engine)
        episode.ended = success
        return Step(
            observation=self._observe(episode),
            reward=float(success),
            terminated=success,
            truncated=not success and episode.steps >= self._config.max_steps,
            success=success,
            events=events,
        )

    def snapshot(self) -> Snapshot:
        """The state now; may be restored in any process with the same versions, by a world with
        the same arm and control interface."""
        episode = self._running()
        return Snapshot.pack(
            self._spec.name,
            {
                "arm": self._config.arm,
                "control": self._config.control,
                "task": episode.task.name,
                "instruction": episode.task.instruction,
                "perturbations": list(episode.task.perturbations),
                "seed": episode.engine.scene.seed,
                "steps": episode.steps,
                "ended": episode.ended,
                "aim": [episode.aim.pose.tobytes(), episode.aim.joints.tobytes()],
                "progress": episode.progress.to_dict(),
                "physics": episode.engine.state(),
            },
        )

    def restore(self, snapshot: Snapshot) -> Observation:
        """Go back to ``snapshot``; what follows is bit-equal to what followed it then.

        Raises:
            ValueError: the snapshot is another world's, another arm's or another control
                interface's.
        """
        state = snapshot.unpack(self._spec.name)
        for name in ("arm", "control"):
            there, here = state[name], getattr(self._config, name)
            if there != here:
                raise ValueError(f"{name}: the snapshot has {there!r}, this world {here!r}")
        task = Task(
            name=state["task"],
            instruction=state["instruction"],
            perturbations=tuple(state["perturbations"]),
        )
        scene = make_scene(TASKS[task.name], task.perturbations, state["seed"])
        running = self._episode
        if running is not None and running.engine.scene == scene:
            running.task = task  # the model is there already
            episode = running
        else:
            episode = self._begin(task, scene)
        episode.engine.set_state(state["physics"])
        pose, joints = (np.frombuffer(part, np.float64).copy() for part in state["aim"])
        episode.aim = Aim(pose, joints)
        episode.progress = Progress.from_dict(state["progress"])
        episode.steps, episode.ended = state["steps"], state["ended"]
        self._episode = episode
        return self._observe(episode)

    def close(self) -> None:
        """Free the engine and its renderer. May be called twice."""
        self._episode = None
        if self._drawing is not None:
            self._drawing.close()
            self._drawing = None

    # -- beside the contract ---------------------------------------------------------------------

    @property
    def scene(self) -> Scene:
        """How the running episode began.

        Raises:
            RuntimeError: no episode is running.
        """
        return self._running().engine.scene

    def truth(self) -> SceneTruth:
        """Everything that can be said of the present state, for labels of questions.

        Raises:
            RuntimeError: no episode is running.
        """
        episode = self._running()
        return scene_truth(episode.engine, episode.progress)

    def render_static(self, camera: str) -> NDArray[np.uint8]:
        """The present scene without the arm, ``uint8 (H, W, 3)``.

        Raises:
            NotSupported: the world is configured without cameras.
            KeyError: ``camera`` is not one of them.
        """
        return self._shown().static(self._running().engine, camera)

    def render_agent(self, camera: str) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """The arm alone on plain grey, ``uint8 (H, W, 3)``, and where it is, ``bool (H, W)``.

        Nothing hides the arm here, so the mask is where it would be seen without other things.

        Raises:
            NotSupported: the world is configured without cameras.
            KeyError: ``camera`` is not one of them.
        """
        return self._shown().agent(self._running().engine, camera)

    # -- inside ----------------------------------------------------------------------------------

    def _begin(self, task: Task, scene: Scene) -> _Episode:
        engine = Engine(scene, self._arm)
        pose = np.array(scene.hand)
        if self._config.cameras:
            if self._drawing is None:
                config = self._config
                self._drawing = Drawing(config.cameras, config.image_size, config.quality)
            self._drawing.open(engine)
        return _Episode(
            task=task,
            engine=engine,
            objects=Objects(scene.things) if "objects" in self._config.states else None,
            aim=Aim(pose, self._arm.inverse(pose)),
            progress=Progress(start=engine.positions()),
        )

    def _running(self) -> _Episode:
        if self._episode is None:
            raise RuntimeError("no episode is running; call reset first")
        return self._episode

    def _shown(self) -> Drawing:
        self._running()
        if self._drawing is None:
            raise NotSupported("cameras is empty; name the cameras to draw with in the Config")
        return self._drawing

    def _observe(self, episode: _Episode) -> Observation:
        config = self._config
        seen = Seen(episode.engine, episode.progress, episode.aim, config.arm, config.control)
        state: dict[str, NDArray[np.float32]] = {}
        for name in config.states:
            if name == "objects":
                assert episode.objects is not None
                state[name] = episode.objects.read(episode.engine)
            else:
                state[name] = READ[name](seen)
        return Observation(
            images=self._drawing.draw(episode.engine) if self._drawing is not None else {},
            state=state,
            instruction=episode.task.instruction,
            time=episode.steps / RATE_HZ,
            privileged={TRUTH.name: truth(seen)} if config.privileged else {},
        )


@dataclass(kw_only=True, slots=True)
class _Episode:
    task: Task
    engine: Engine
    objects: Objects | None
    aim: Aim
    progress: Progress
    steps: int = 0
    ended: bool = False


def _check(config: Tabletop.Config) -> None:
    def known(field: str, names: Sequence[str], there: Sequence[str]) -> None:
        refuse_unknown(field, names, there)
        if len(set(names)) < len(names):
            raise ValueError(f"{field}: a name is given twice: {names}")

    known("arm", (config.arm,), tuple(ARMS))
    known("control", (config.control,), tuple(CONTROLS))
    known("cameras", config.cameras, CAMERA_NAMES)
    known("states", config.states, tuple(states(ARMS[config.arm])))
    if config.image_size < 1:
        raise ValueError(f"image_size must be positive, got {config.image_size}")
    if config.max_steps < 1:
        raise ValueError(f"max_steps must be positive, got {config.max_steps}")


def _spec(config: Tabletop.Config) -> WorldSpec:
    arm, size = ARMS[config.arm], config.image_size
    vectors = states(arm)
    return WorldSpec(
        name="tabletop",
        version=VERSION,
        observations=ObservationSpec(
            cameras=tuple(Camera(name=name, height=size, width=size) for name in config.cameras),
            states=tuple(vectors[name] for name in config.states),
            privileged=(TRUTH,) if config.privileged else (),
        ),
        accepts=space(CONTROLS[config.control], arm),
        tasks=tuple(
            TaskSpec(
                name=task.name,
                instructions=instructions(task),
                held_out_instructions=held_out_instructions(task),
                max_steps=config.max_steps,
                description=task.family.value,
            )
            for task in TASKS.values()
        ),
        rate_hz=RATE_HZ,
        events=EVENTS,
        perturbations=PERTURBATIONS,
        snapshots=True,
        provenance={
            "packages": {"mujoco": importlib.metadata.version("mujoco")},
            "arm": config.arm,
            "control": config.control,
            "gl": backend(),
            "image_size": size,
            "cameras": list(config.cameras),
            "quality": asdict(config.quality),
        },
    )
