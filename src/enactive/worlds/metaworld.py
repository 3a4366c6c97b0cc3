"""Meta-World (package ``metaworld``): 50 tabletop tasks of a Sawyer arm, with cameras and language.

Yu et al., "Meta-World: A Benchmark and Evaluation for Multi-Task and Meta Reinforcement Learning"
(CoRL 2019), in the package's v3 environments. What this adapter adds: natural-language
instructions, metric action units, cameras with declared render quality, bit-exact snapshots, and
resets that depend on ``(task, seed)`` alone.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

from enactive.actions.spaces import Group, VectorSpace
from enactive.observations import (
    Camera,
    Observation,
    ObservationSpec,
    StateVector,
    Task,
    TaskSpec,
)
from enactive.registry import suggest
from enactive.seeding import numpy_generator
from enactive.worlds import metaworld_state
from enactive.worlds.metaworld_experts import METRES_PER_UNIT
from enactive.worlds.metaworld_instructions import HELD_OUT, TRAINING
from enactive.worlds.mujoco_rendering import (
    Canvas,
    Quality,
    Renderer,
    View,
    assert_not_blank,
    select_backend,
)
from enactive.worlds.world import EventSpec, Snapshot, Step, WorldSpec

RATE_HZ = 80.0
"""5 simulation steps of 2.5 ms each per control step."""

FRONT = View(name="front", lookat=(0.0, 0.67, 0.14), distance=0.92, azimuth=135.0, elevation=-30.0)
"""The whole workspace over the robot's shoulder, where ``corner2`` looks from."""

CLOSE = View(name="close", lookat=(0.0, 0.69, 0.1), distance=0.76, azimuth=-90.0, elevation=-55.0)
"""The objects from above, facing the robot: their positions on the table are seen best here."""

FAUCET_ANGLE = 0.5
"""How far the handle must turn from straight to count as opened or closed, rad."""

EVENTS = (
    EventSpec(name="near_object", description="Meta-World's own near_object test became true"),
    EventSpec(name="grasped", description="both finger pads began to press on one same body"),
    EventSpec(name="success", description="Meta-World's own success test became true"),
    EventSpec(
        name="faucet_opened",
        description=f"the faucet's handle turned past +{FAUCET_ANGLE} rad, the opening direction",
    ),
    EventSpec(
        name="faucet_closed",
        description=f"the faucet's handle turned past -{FAUCET_ANGLE} rad, the closing direction",
    ),
)

ACTION_SPACE = VectorSpace(
    groups=(
        Group(
            name="arm", quantity="position", representation="xyz", reference="delta",
            frame="base", unit="m", low=-METRES_PER_UNIT, high=METRES_PER_UNIT,
        ),
        Group(
            name="gripper", quantity="gripper", representation="scalar", reference="absolute",
            frame="base", unit="effort", low=-1.0, high=1.0, positive="closes",
        ),
    ),
    rate_hz=RATE_HZ,
)  # fmt: skip
"""The displacement moves the *target* of the hand (a mocap body that the hand follows within a few
steps), inside the task's box of reachable positions."""

PROPRIO = StateVector(
    name="proprio",
    names=("hand.x", "hand.y", "hand.z", "gripper"),
    unit="mixed: hand in m, gripper opening from 0 (closed) to 1 (open)",
)

TRUTH = StateVector(
    name="metaworld",
    names=tuple(f"{index}" for index in range(39)),
    unit="mixed: Meta-World's observation, hand, gripper, objects, the same one step before, goal",
)


class MetaWorld:
    """All 50 tasks as one world; environments are built when first used and kept.

    Not safe to use from two threads. Make it with ``MetaWorld.Config(...).build()``.
    """

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """Configuration of :class:`MetaWorld`."""

        image_size: int = 96
        """Side of the square pictures, pixels."""
        cameras: tuple[View, ...] = (FRONT, CLOSE)
        """The image streams; empty renders nothing."""
        quality: Quality = Quality()
        """How pictures are drawn; part of the provenance of everything recorded."""
        goal_markers: bool = False
        """Draw the package's goal markers. They show where the goal is, and in scenes that two
        tasks share they give away which task it is; without them, tasks whose goal is nothing but
        the marker (reach, push, pick-place, ...) cannot be solved from pictures alone."""
        privileged: bool = True
        """Give ``Observation.privileged["metaworld"]``, which the scripted experts read."""
        max_steps: int = 500
        """Control steps after which an episode is truncated; at most Meta-World's own 500."""
        cached_tasks: int = 4
        """How many tasks' environments are kept at a time, about 40 MB each; the one used longest
        ago goes first."""

        def build(self) -> MetaWorld:
            """The world; imports the simulator.

            Raises:
                ValueError: a field is out of range; the message names it.
            """
            return MetaWorld(self)

    def __init__(self, config: Config) -> None:
        _check(config)
        self._config = config
        self._backend = select_backend()
        self._spec = _spec(config, self._backend)
        self._slots: dict[str, _Slot] = {}
        self._renderer: Renderer | None = None
        self._episode: _Episode | None = None

    @property
    def spec(self) -> WorldSpec:
        return self._spec

    def reset(self, task: Task, seed: int) -> Observation:
        """Begin an episode; ``(task.name, seed)`` decides every bit of its initial state.

        The initial state is the one that Meta-World itself gives for its task vector, drawn here
        from the stream ``("metaworld", task.name)`` of ``seed``, uniformly as the package does.

        Raises:
            KeyError: Meta-World has no such task; the message suggests which was meant.
            BlackFrame: a camera shows nothing.
        """
        self._spec.task(task.name)
        slot = self._slot(task.name)
        _begin(slot, numpy_generator(seed, "metaworld", task.name))
        self._episode = _Episode(task=task, slot=slot)
        observation = self._observe(slot.env._last_stable_obs)
        assert_not_blank(dict(observation.images), self._spec.name)
        return observation

    def step(self, action: Any) -> Step:
        """Execute one ``float (4,)`` action of :data:`ACTION_SPACE`.

        Raises:
            ValueError: the action is outside the space.
            RuntimeError: no episode is running.
        """
        episode = self._running()
        if not ACTION_SPACE.contains(action):
            raise ValueError(
                f"action {action!r} is outside the space of {self._spec.name}: float (4,), finite, "
                f"displacement within ±{METRES_PER_UNIT} m and gripper within ±1; "
                "clip it with spec.accepts.clip"
            )
        if episode.steps >= self._config.max_steps:
            raise RuntimeError(f"the episode ended after {episode.steps} steps; call reset")
        units = np.asarray(action, np.float64).copy()  # (4,)
        units[:3] /= METRES_PER_UNIT
        env = episode.slot.env
        truth, reward, _, _, info = env.step(np.clip(units, -1.0, 1.0).astype(np.float32))
        episode.steps += 1
        success = bool(info["success"])
        holds = _facts(episode.slot, info, success)
        events = tuple(name for name in holds if holds[name] and name not in episode.holding)
        episode.holding = tuple(name for name in holds if holds[name])
        return Step(
            observation=self._observe(truth),
            reward=float(reward),
            terminated=False,
            truncated=episode.steps >= self._config.max_steps,
            success=success,
            events=events,
        )

    def snapshot(self) -> Snapshot:
        """The state now; may be restored in any process that has the same package versions."""
        episode = self._running()
        env = episode.slot.env
        state = {
            "task": episode.task.name,
            "instruction": episode.task.instruction,
            "steps": episode.steps,
            "holding": list(episode.holding),
            "mujoco": metaworld_state.mujoco_state(env).tobytes(),
            "environment": metaworld_state.capture(env),
        }
        payload: bytes = msgpack.packb(state)  # pyright: ignore
        return Snapshot(world=self._spec.name, payload=payload)

    def restore(self, snapshot: Snapshot) -> Observation:
        """Go back to ``snapshot``; what follows is bit-equal to what followed it then.

        Raises:
            ValueError: the snapshot is another world's.
        """
        if snapshot.world != self._spec.name:
            raise ValueError(f"a snapshot of {snapshot.world!r} is none of {self._spec.name!r}")
        state: dict[str, Any] = msgpack.unpackb(snapshot.payload)  # pyright: ignore
        slot = self._slot(state["task"])
        metaworld_state.put_back(slot.env, state["environment"])
        physics = np.frombuffer(state["mujoco"], np.float64).copy()
        metaworld_state.set_mujoco_state(slot.env, physics)
        self._episode = _Episode(
            task=Task(name=state["task"], instruction=state["instruction"]),
            slot=slot,
            steps=state["steps"],
            holding=tuple(state["holding"]),
        )
        return self._observe(slot.env._last_stable_obs)

    def close(self) -> None:
        """Free the engine and its renderer. May be called twice."""
        self._episode = None
        self._slots.clear()
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def _running(self) -> _Episode:
        if self._episode is None:
            raise RuntimeError("no episode is running; call reset first")
        return self._episode

    def _slot(self, name: str) -> _Slot:
        """The environment of one task, from the cache or new."""
        slot = self._slots.pop(name, None)
        if slot is None:
            while len(self._slots) >= self._config.cached_tasks:
                oldest = next(iter(self._slots))
                gone = self._slots.pop(oldest)
                if gone.canvas is not None and self._renderer is not None:
                    self._renderer.release(gone.canvas)
            env = _environment(name)
            slot = _Slot(env=env, pristine=metaworld_state.capture(env))
            if self._config.cameras:
                slot.canvas = self._render().open(env.model)
        self._slots[name] = slot
        return slot

    def _render(self) -> Renderer:
        if self._renderer is None:
            config = self._config
            self._renderer = Renderer(
                config.cameras, config.image_size, config.quality, config.goal_markers
            )
        return self._renderer

    def _observe(self, truth: NDArray[np.float64]) -> Observation:
        episode = self._running()
        slot = episode.slot
        return Observation(
            images=slot.canvas.draw(slot.env.data) if slot.canvas is not None else {},
            state={"proprio": truth[:4].astype(np.float32)},
            instruction=episode.task.instruction,
            time=episode.steps / RATE_HZ,
            privileged={"metaworld": truth.copy()} if self._config.privileged else {},
        )


@dataclass(kw_only=True, slots=True)
class _Slot:
    env: Any
    pristine: dict[str, Any]
    canvas: Canvas | None = None


@dataclass(kw_only=True, slots=True)
class _Episode:
    task: Task
    slot: _Slot
    steps: int = 0
    holding: tuple[str, ...] = ()
    """Names of the events whose condition held after the last step."""


def _check(config: MetaWorld.Config) -> None:
    if config.image_size < 1:
        raise ValueError(f"image_size must be positive, got {config.image_size}")
    if not 1 <= config.max_steps <= 500:
        raise ValueError(f"max_steps must lie in [1, 500], got {config.max_steps}")
    if config.cached_tasks < 1:
        raise ValueError(f"cached_tasks must be at least 1, got {config.cached_tasks}")
    names = [view.name for view in config.cameras]
    if len(set(names)) != len(names):
        raise ValueError(f"cameras: two views have the same name: {names}")


def _spec(config: MetaWorld.Config, backend: str) -> WorldSpec:
    size = config.image_size
    packages = ("metaworld", "mujoco", "gymnasium")
    return WorldSpec(
        name="metaworld",
        version=importlib.metadata.version("metaworld"),
        observations=ObservationSpec(
            cameras=tuple(Camera(name=v.name, height=size, width=size) for v in config.cameras),
            states=(PROPRIO,),
            privileged=(TRUTH,) if config.privileged else (),
        ),
        accepts=ACTION_SPACE,
        tasks=tuple(
            TaskSpec(
                name=name,
                instructions=TRAINING[name],
                held_out_instructions=HELD_OUT[name],
                max_steps=config.max_steps,
            )
            for name in TRAINING
        ),
        rate_hz=RATE_HZ,
        events=EVENTS,
        snapshots=True,
        provenance={
            "packages": {name: importlib.metadata.version(name) for name in packages},
            "gl": backend,
            "image_size": size,
            "cameras": [asdict(view) for view in config.cameras],
            "quality": asdict(config.quality),
            "goal_markers": config.goal_markers,
        },
    )


def _environment(name: str) -> Any:
    """Meta-World's own environment, fully observable, its picture-taking unused."""
    from metaworld.env_dict import ENV_CLS_MAP  # type: ignore[import-untyped]

    classes: Mapping[str, Any] = ENV_CLS_MAP  # pyright: ignore
    if f"{name}-v3" not in classes:
        known = [key.removesuffix("-v3") for key in classes]
        raise KeyError(f"Meta-World has no task {name!r}; {suggest(name, known)}")
    env = classes[f"{name}-v3"]()
    # What its set_task does, without the pickled task: show the goal, allow stepping.
    env._partially_observable = False
    vars(env).pop("sawyer_observation_space", None)
    env._set_task_called = True
    env.seeded_rand_vec = True
    return env


def _begin(slot: _Slot, generator: np.random.Generator) -> None:
    """Put the environment into the initial state that its task vector decides.

    Meta-World's reset runs ``reset_model`` twice, each time moving the hand for 50 control steps,
    the first time out of whatever state the last episode ended in. Its benchmarks freeze the task
    vector, so the second pass starts from the first one's model. Here the first pass draws the
    vector without moving the hand, and the second runs in full: the result is the same to the bit.
    """
    import mujoco

    env = slot.env
    metaworld_state.put_back(env, slot.pristine)
    mujoco.mj_resetData(env.model, env.data)
    mujoco.mj_forward(env.model, env.data)  # some tasks read orientations before the first step
    env.np_random = generator
    env._freeze_rand_vec = False
    with _hand_at_rest(env):
        env.reset_model()
    env._freeze_rand_vec = True
    mujoco.mj_resetData(env.model, env.data)
    env.curr_path_length = 0
    env.reset_model()
    # Meta-World's first observation is stale where its reset moved a body last; see it as it is,
    # without letting the extra forward pass change the solver's warm start.
    state = metaworld_state.mujoco_state(env)
    metaworld_state.set_mujoco_state(env, state)
    env._prev_obs = env._get_curr_obs_combined_no_goal()
    space = env.sawyer_observation_space
    env._last_stable_obs = np.clip(env._get_obs(), space.low, space.high)


@contextmanager
def _hand_at_rest(env: Any) -> Iterator[None]:
    reset_hand = env._reset_hand
    env._reset_hand = lambda steps=0: reset_hand(steps=0)
    try:
        yield
    finally:
        del env._reset_hand


def _facts(slot: _Slot, info: Mapping[str, Any], success: bool) -> dict[str, bool]:
    """Which events' conditions hold now, by name."""
    env = slot.env
    facts = {
        "near_object": bool(info["near_object"]),
        "grasped": _pressed_by_both_pads(env),
        "success": success,
    }
    if hasattr(env, "_handle_length"):  # the two faucet tasks
        angle = float(env.data.joint("knob_Joint_1").qpos[0])
        facts["faucet_opened"] = angle > FAUCET_ANGLE
        facts["faucet_closed"] = angle < -FAUCET_ANGLE
    return facts


def _pressed_by_both_pads(env: Any) -> bool:
    model, data = env.model, env.data
    if data.ncon == 0 or data.nefc == 0:
        return False
    bodies = model.geom_bodyid[data.contact.geom]  # (C, 2)
    address = data.contact.efc_address  # (C,)
    pressing = (address >= 0) & (data.efc_force[np.maximum(address, 0)] > 0)  # (C,)
    touched: list[set[int]] = []
    for pad in ("rightpad", "leftpad"):
        body = model.body(pad).id
        rows = bodies[pressing & (bodies == body).any(1)]  # (N, 2)
        touched.append({int(other) for other in rows.flat if other != body})
    static = {0}
    pads = {int(model.body(pad).id) for pad in ("rightpad", "leftpad")}
    return bool((touched[0] & touched[1]) - pads - static)
