"""SO-101 (package ``lerobot-env-so101``): a five-joint hobby arm at a table with one cube.

A MuJoCo environment by Amane Inoue after Paul Loh's port for gym-hil. The arm is moved by the
displacement of its end effector, as the package documents, which solves the inverse kinematics
itself; success tests are the package's own. The package has no language; the wordings are ours.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enactive.actions.spaces import Group, VectorSpace
from enactive.observations import Camera, ObservationSpec, StateVector, TaskSpec
from enactive.registry import refuse_unknown
from enactive.seeding import child_seed
from enactive.worlds.mujoco_rendering import Canvas, Quality, Renderer, View, backend
from enactive.worlds.replayed import Outcome, ReplayedWorld
from enactive.worlds.replayed import View as Seen
from enactive.worlds.world import EventSpec, WorldSpec

RATE_HZ = 10.0
"""50 physics steps of 2 ms each per control step."""

METRES_PER_UNIT = 0.025
"""The package's ``action_scale``, at the value that its own controllers use; its default, one metre
a step, saturates the workspace at once."""

ACTION_SPACE = VectorSpace(
    groups=(
        Group(
            name="arm", quantity="position", representation="xyz", reference="delta",
            frame="base", unit="m", low=-METRES_PER_UNIT, high=METRES_PER_UNIT,
        ),
        Group(
            name="gripper", quantity="gripper", representation="scalar", reference="absolute",
            frame="base", unit="fraction", low=0.0, high=1.0, positive="opens",
        ),
    ),
    rate_hz=RATE_HZ,
)  # fmt: skip
"""The displacement moves the target of the end effector (of the point between the jaws where the
gripper is held vertical). Five joints cannot also follow an orientation, so there is none."""

JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll")

PROPRIO = StateVector(
    name="proprio",
    names=(
        *(f"{joint}.position" for joint in JOINTS), *(f"{joint}.velocity" for joint in JOINTS),
        "gripper", "hand.x", "hand.y", "hand.z",
    ),
    unit="mixed: rad, rad/s, gripper command from -1 (closed) to 1 (open), hand in m",
)  # fmt: skip
"""The package's ``agent_pos``."""

BLOCK = StateVector(name="block", names=("block.x", "block.y", "block.z"), unit="m")

GOAL = StateVector(
    name="goal", names=("goal.x", "goal.y", "goal.z"), unit="m; 0 in tasks without a goal"
)
"""Where the block's centre should rest. The package's scene does not draw it."""

STATES = {vector.name: vector for vector in (PROPRIO, BLOCK, GOAL)}

TRUTH = StateVector(
    name="so101",
    names=(*PROPRIO.names, *BLOCK.names, *GOAL.names, "grasp.x", "grasp.y", "grasp.z"),
    unit="mixed: as proprio, block and goal; grasp is the point that the action moves, m",
)
"""What the scripted controllers read."""

FRONT = View(name="front", fixed="front")
"""The camera of the package's scene."""

CARRIED = 0.03
"""How far above its place the block counts as lifted, m: the package's own measure."""

EVENTS = (
    EventSpec(name="reached", description="the end effector came within 5 cm of the block"),
    EventSpec(name="lifted", description="the block rose 3 cm above where it stood"),
    EventSpec(name="success", description="the task's success test became true"),
    EventSpec(name="out_of_bounds", description="the block left its area, which ends the episode"),
)


class SO101(ReplayedWorld):
    """The package's tasks as one world; made with ``SO101.Config(...).build()``."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """Configuration of :class:`SO101`."""

        image_size: int = 128
        """Side of the square pictures, pixels."""
        cameras: tuple[View, ...] = (FRONT,)
        """The image streams; empty renders nothing."""
        quality: Quality = field(default_factory=Quality)
        """How pictures are drawn; part of the provenance of everything recorded."""
        states: tuple[str, ...] = ("proprio", "goal")
        """State vectors that are shown: of ``"proprio"``, ``"block"`` and ``"goal"``, which no
        picture shows."""
        privileged: bool = True
        """Give ``Observation.privileged["so101"]``, which the scripted controllers read."""

        def build(self) -> SO101:
            """The world; the simulator is imported with the first episode.

            Raises:
                ValueError: a field is out of range; the message names it.
            """
            return SO101(self)

    def __init__(self, config: Config) -> None:
        if config.image_size < 1:
            raise ValueError(f"image_size must be positive, got {config.image_size}")
        refuse_unknown("states", config.states, STATES)
        self._config = config
        self._slots: dict[str, _Slot] = {}
        self._slot: _Slot | None = None
        self._renderer: Renderer | None = None
        super().__init__(_spec(config))

    def close(self) -> None:
        for slot in self._slots.values():
            slot.env.close()
        self._slots.clear()
        self._slot = None
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def _begin(self, task: TaskSpec, seed: int) -> tuple[str, ...]:
        if task.name not in self._slots:
            self._slots[task.name] = self._open(task.name)
        self._slot = self._slots[task.name]
        self._slot.env.reset(seed=child_seed(seed, "so101", task.name) % 2**31)
        return self._holding(False, False)

    def _open(self, name: str) -> _Slot:
        task = TASKS[name]
        slot = _Slot(task=task, env=task.make())
        if self._config.cameras:
            if self._renderer is None:
                config = self._config
                self._renderer = Renderer(config.cameras, config.image_size, config.quality, False)
            slot.canvas = self._renderer.open(slot.env.model)
        return slot

    def _advance(self, action: Any) -> Outcome:
        slot = self._running_slot
        native = np.asarray(action, np.float64).copy()  # (4,)
        native[:3] = np.clip(native[:3] / METRES_PER_UNIT, -1.0, 1.0)
        _, reward, ended, _, info = slot.env.step(native)
        success = slot.task.success(slot.env, info)
        lost = bool(ended) and not bool(info["succeed"])
        return Outcome(
            reward=float(reward),
            success=success,
            terminated=bool(ended),
            holding=self._holding(success, lost),
        )

    @property
    def _running_slot(self) -> _Slot:
        assert self._slot is not None
        return self._slot

    def _holding(self, success: bool, lost: bool) -> tuple[str, ...]:
        env = self._running_slot.env
        block = _sensor(env, "block_pos")
        reach = float(np.linalg.norm(_sensor(env, "so101/ee_pos") - block))
        held = {
            "reached": reach < 0.05,
            "lifted": bool(block[2] - env._z_init > CARRIED),
            "success": success,
            "out_of_bounds": lost,
        }
        return tuple(name for name, holds in held.items() if holds)

    def _view(self) -> Seen:
        slot = self._running_slot
        parts = {
            "proprio": np.asarray(slot.env.get_robot_state(), np.float64),
            "block": _sensor(slot.env, "block_pos"),
            "goal": np.asarray(getattr(slot.env, "goal_pos", np.zeros(3)), np.float64),
        }
        truth = np.concatenate([*parts.values(), slot.env.ik_point_pos])  # (23,)
        return Seen(
            images=slot.canvas.draw(slot.env.data) if slot.canvas is not None else {},
            state={name: parts[name].astype(np.float32) for name in self._config.states},
            privileged={TRUTH.name: truth} if self._config.privileged else {},
        )


@dataclass(frozen=True, slots=True)
class _Task:
    """A task of the package's: how its environment is made, and its success test."""

    make: Callable[[], Any]
    success: Callable[[Any, dict[str, Any]], bool]
    max_steps: int
    """As the package registers it."""
    description: str
    training: tuple[str, ...]
    held_out: tuple[str, ...]


@dataclass(slots=True)
class _Slot:
    task: _Task
    env: Any
    canvas: Canvas | None = None


def _sensor(env: Any, name: str) -> NDArray[np.float64]:
    return np.array(env.data.sensor(name).data, np.float64)


def _pick(liftable: bool = False) -> Any:
    from lerobot_env_so101 import SO101PickCubeGymEnv

    return SO101PickCubeGymEnv(
        random_block_position=True, action_scale=METRES_PER_UNIT,
        top_down_ik=liftable, jaw_pads=liftable,
    )  # fmt: skip


def _pick_place() -> Any:
    from lerobot_env_so101 import SO101PickPlaceGymEnv

    return SO101PickPlaceGymEnv(random_block_position=True, action_scale=METRES_PER_UNIT)


def _succeeded(env: Any, info: dict[str, Any]) -> bool:
    return bool(info["succeed"])


def _closed_at_the_block(env: Any, info: dict[str, Any]) -> bool:
    from lerobot_env_so101.scripted import is_reach_close_success

    return is_reach_close_success(
        np.concatenate([env.get_robot_state(), _sensor(env, "block_pos")])
    )


TASKS: dict[str, _Task] = {
    "pick-cube": _Task(
        lambda: _pick(liftable=True),
        _succeeded,
        100,
        "SO101PickCube-v0 with top_down_ik and jaw_pads, without which the block cannot be lifted: "
        "it is 10 cm above where it stood, within 5 cm of the end effector",
        ("pick up the cube", "lift the block off the table"),
        ("grab the cube and raise it", "take the block into the air"),
    ),
    "pick-place": _Task(
        _pick_place,
        _succeeded,
        300,
        "SO101PickPlace-v0: the block was carried, rests within 3 cm of the goal and is released",
        ("put the cube at the goal", "carry the block to its place"),
        ("move the cube to where it belongs", "set the block down on the target position"),
    ),
    "reach-close": _Task(
        _pick,
        _closed_at_the_block,
        100,
        "SO101PickCube-v0 as it comes: the gripper is commanded closed within 5 cm of the block",
        ("close the gripper on the cube", "reach for the block and close the jaws"),
        ("go to the cube and grip it", "bring the jaws to the block and shut them"),
    ),
}


def _spec(config: SO101.Config) -> WorldSpec:
    size = config.image_size
    packages = ("lerobot-env-so101", "mujoco", "gymnasium")
    return WorldSpec(
        name="so101",
        version=importlib.metadata.version("lerobot-env-so101"),
        observations=ObservationSpec(
            cameras=tuple(Camera(name=v.name, height=size, width=size) for v in config.cameras),
            states=tuple(STATES[name] for name in config.states),
            privileged=(TRUTH,) if config.privileged else (),
        ),
        accepts=ACTION_SPACE,
        tasks=tuple(
            TaskSpec(
                name=name,
                instructions=task.training,
                held_out_instructions=task.held_out,
                max_steps=task.max_steps,
                description=task.description,
            )
            for name, task in TASKS.items()
        ),
        rate_hz=RATE_HZ,
        events=EVENTS,
        snapshots=True,
        provenance={
            "packages": {name: importlib.metadata.version(name) for name in packages},
            "gl": backend(),
            "image_size": size,
            "cameras": [asdict(view) for view in config.cameras],
            "quality": asdict(config.quality),
        },
    )
