"""The conformance checker: good worlds pass, and each broken one fails the check it breaks."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from enactive.actions.digital import ChoiceSpace
from enactive.actions.spaces import Group, VectorSpace
from enactive.observations import Camera, Observation, ObservationSpec, StateVector, Task, TaskSpec
from enactive.worlds.checks import check_world
from enactive.worlds.gymnasium_world import GymnasiumWorld
from enactive.worlds.metaworld import MetaWorld
from enactive.worlds.pusht import PushT
from enactive.worlds.world import EventSpec, NotSupported, Snapshot, Step, WorldSpec

PLANE = VectorSpace(
    groups=(
        Group(
            name="dot", quantity="position", representation="scalar", reference="delta",
            frame="board", unit="px", low=-1.0, high=1.0, size=2,
        ),
    ),
    rate_hz=10.0,
)  # fmt: skip

SPEC = WorldSpec(
    name="dot",
    version="1",
    observations=ObservationSpec(
        cameras=(Camera(name="top", height=16, width=16),),
        states=(StateVector(name="proprio", names=("x", "y"), unit="px"),),
    ),
    accepts=PLANE,
    tasks=(
        TaskSpec(name="a", instructions=("go",), max_steps=20),
        TaskSpec(name="b", instructions=("stay",), max_steps=20),
    ),
    rate_hz=10.0,
    events=(EventSpec(name="moved", description="the dot moved"),),
    snapshots=True,
)


class Dot:
    """A dot on a board, as right as can be; the broken worlds change one thing each."""

    spec = SPEC

    def __init__(self) -> None:
        self.position = np.zeros(2)
        self.count = 0
        self.instruction = ""

    def reset(self, task: Task, seed: int) -> Observation:
        self.spec.check_task(task)
        self.position = np.random.default_rng(seed).uniform(4, 12, 2)
        self.count = 0
        self.instruction = task.instruction
        return self.look()

    def look(self) -> Observation:
        image = np.zeros((16, 16, 3), np.uint8)
        x, y = np.clip(self.position, 0, 15).astype(int)
        image[y, x] = 255
        image[..., 1] += np.uint8(10 * (self.position[0] % 1))
        return Observation(
            images={"top": image},
            state={"proprio": self.position.astype(np.float32)},
            instruction=self.instruction,
            time=self.count / 10,
        )

    def step(self, action: Any) -> Step:
        if not PLANE.contains(action):
            raise ValueError("outside")
        self.position = self.position + action
        self.count += 1
        return Step(
            observation=self.look(), reward=0.0, terminated=False,
            truncated=self.count >= 20, success=False, events=("moved",),
        )  # fmt: skip

    def snapshot(self) -> Snapshot:
        state = np.array([*self.position, self.count])
        return Snapshot(world="dot", payload=state.tobytes() + self.instruction.encode())

    def restore(self, snapshot: Snapshot) -> Observation:
        x, y, count = np.frombuffer(snapshot.payload[:24])
        self.position, self.count = np.array([x, y]), int(count)
        self.instruction = snapshot.payload[24:].decode()
        return self.look()

    def close(self) -> None: ...


def failed(world: Any, **options: Any) -> set[str]:
    return {finding.check for finding in check_world(world, **options).failures}


def test_a_right_world_passes() -> None:
    report = check_world(Dot())
    assert report.ok, str(report)
    looked_at = {finding.check for finding in report.findings}
    assert {name for name, _ in BROKEN} <= looked_at


class Unseeded(Dot):
    def reset(self, task: Task, seed: int) -> Observation:
        super().reset(task, seed)
        self.position = np.random.uniform(4, 12, 2)  # noqa: NPY002
        return self.look()


class Remembers(Dot):
    """What an episode before did is still there."""

    wear = 0.0

    def reset(self, task: Task, seed: int) -> Observation:
        super().reset(task, seed)
        if task.name == "b":
            self.wear += 0.01
        self.position += self.wear
        return self.look()


class HalfSnapshot(Dot):
    """The snapshot forgets a hidden velocity."""

    velocity: Any = 0.0

    def reset(self, task: Task, seed: int) -> Observation:
        self.velocity = 0.0
        return super().reset(task, seed)

    def step(self, action: Any) -> Step:
        done = super().step(action)
        self.velocity = self.velocity + 0.1 * np.asarray(action)
        self.position = self.position + self.velocity
        return replace(done, observation=self.look())


class SnapshotUndeclared(Dot):
    spec = replace(SPEC, snapshots=False)


class WrongType(Dot):
    def look(self) -> Observation:
        seen = super().look()
        return replace(seen, state={"proprio": seen.state["proprio"].astype(np.float64)})


class WrongShape(Dot):
    def look(self) -> Observation:
        seen = super().look()
        return replace(seen, images={"top": seen.images["top"][:15]})


class Undeclared(Dot):
    def look(self) -> Observation:
        seen = super().look()
        return replace(seen, state={**seen.state, "secret": np.zeros(1, np.float32)})


class OwnWords(Dot):
    def look(self) -> Observation:
        return replace(super().look(), instruction="something else")


class StillClock(Dot):
    def look(self) -> Observation:
        return replace(super().look(), time=0.0)


class OneBuffer(Dot):
    """The same array is given out every time."""

    buffer = np.zeros((16, 16, 3), np.uint8)

    def look(self) -> Observation:
        seen = super().look()
        self.buffer[:] = seen.images["top"]
        return replace(seen, images={"top": self.buffer})


class Lenient(Dot):
    def step(self, action: Any) -> Step:
        return super().step(PLANE.clip(np.nan_to_num(np.resize(np.asarray(action), 2))))


class WrongError(Dot):
    def step(self, action: Any) -> Step:
        if not PLANE.contains(action):
            raise TypeError("outside")
        return super().step(action)


class AnyTask(Dot):
    def reset(self, task: Task, seed: int) -> Observation:
        return super().reset(replace(task, name="a"), seed)


class SecretEvent(Dot):
    def step(self, action: Any) -> Step:
        return replace(super().step(action), events=("fell",))


class NumpyBool(Dot):
    def step(self, action: Any) -> Step:
        return replace(super().step(action), success=np.bool_(False))


class BadReward(Dot):
    def step(self, action: Any) -> Step:
        return replace(super().step(action), reward=float("nan"))


class Black(Dot):
    def look(self) -> Observation:
        return replace(super().look(), images={"top": np.zeros((16, 16, 3), np.uint8)})


class Frozen(Dot):
    def look(self) -> Observation:
        image = np.zeros((16, 16, 3), np.uint8)
        image[3] = 200
        return replace(super().look(), images={"top": image})


class Endless(Dot):
    def step(self, action: Any) -> Step:
        return replace(super().step(action), truncated=False)


class Early(Dot):
    def step(self, action: Any) -> Step:
        return replace(super().step(action), truncated=self.count >= 19)


class TwoNames(Dot):
    spec = replace(SPEC, tasks=(SPEC.tasks[0], SPEC.tasks[0]))


class HeldOutInTraining(Dot):
    spec = replace(SPEC, tasks=(replace(SPEC.tasks[0], held_out_instructions=("go",)),))


class Crashes(Dot):
    def restore(self, snapshot: Snapshot) -> Observation:
        raise OSError("disk on fire")


BROKEN: list[tuple[str, Callable[[], Any]]] = [
    ("determinism", Unseeded),
    ("history", Remembers),
    ("snapshots", HalfSnapshot),
    ("snapshots", SnapshotUndeclared),
    ("snapshots", Crashes),
    ("observations", WrongType),
    ("observations", WrongShape),
    ("observations", Undeclared),
    ("observations", OwnWords),
    ("time", StillClock),
    ("kept", OneBuffer),
    ("actions", Lenient),
    ("actions", WrongError),
    ("tasks", AnyTask),
    ("events", SecretEvent),
    ("step", NumpyBool),
    ("step", BadReward),
    ("frames", Black),
    ("frames", Frozen),
    ("truncation", Endless),
    ("truncation", Early),
    ("specification", TwoNames),
    ("specification", HeldOutInTraining),
]


@pytest.mark.parametrize(
    ("check", "world"), BROKEN, ids=lambda value: getattr(value, "__name__", value)
)
def test_a_broken_world_fails_the_check_it_breaks(check: str, world: Callable[[], Any]) -> None:
    report = check_world(world())
    failures = {finding.check for finding in report.failures}
    assert check in failures
    assert all(finding.fix for finding in report.failures)
    # A fault must not look like many others. Two of these cannot help it.
    allowed = {Unseeded: {"history", "snapshots"}, Remembers: {"determinism"}}
    assert failures - allowed.get(world, set()) == {check}


@dataclass(frozen=True)
class AddressConfig:
    """A world that depends on something that a process has of its own."""

    def build(self) -> Any:
        return Addressed()


class Addressed(Dot):
    def reset(self, task: Task, seed: int) -> Observation:
        super().reset(task, seed)
        self.position += hash(task.name) % 1000 / 1000  # salted per process
        return self.look()


def test_another_process_must_give_the_same() -> None:
    world = Addressed()
    assert failed(world) == set()
    assert failed(world, config=AddressConfig()) == {"process"}


def test_a_world_without_snapshots_may_say_so() -> None:
    class None_(Dot):
        spec = replace(SPEC, snapshots=False)

        def snapshot(self) -> Snapshot:
            raise NotSupported("no snapshots")

    assert failed(None_()) == set()


def test_unbounded_and_discrete_spaces_can_be_tried() -> None:
    wide = replace(
        SPEC,
        accepts=VectorSpace(
            groups=(replace(PLANE.groups[0], low=-np.inf, high=np.inf),), rate_hz=10.0
        ),
    )

    class Wide(Dot):
        spec = wide

        def step(self, action: Any) -> Step:
            if not wide.accepts.contains(action):
                raise ValueError("outside")
            return super().step(PLANE.clip(action))

    class Choice(Dot):
        spec = replace(SPEC, accepts=ChoiceSpace(names=("left", "right")))

        def step(self, action: Any) -> Step:
            if not self.spec.accepts.contains(action):
                raise ValueError("outside")
            return super().step(np.array([action - 0.5, 0.1]))

    assert failed(Wide()) == set()
    assert failed(Choice()) == set()


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match="steps"):
        check_world(Dot(), steps=3)
    with pytest.raises(KeyError, match="known"):
        check_world(Dot(), tasks=["c"])


def test_the_report_reads_well() -> None:
    text = str(check_world(Black()))
    assert "FAIL frames: a, top: frame 0 has one colour" in text
    assert "fix: " in text
    assert len(list(itertools.chain(text.splitlines()))) > 20


@pytest.mark.parametrize("config", [
    MetaWorld.Config(image_size=32, max_steps=20),
    PushT.Config(max_steps=30),
    GymnasiumWorld.Config(env_id="Pendulum-v1", max_steps=30),
    GymnasiumWorld.Config(env_id="CartPole-v1", cameras={"side": "render()"}),
], ids=["metaworld", "pusht", "pendulum", "cartpole"])  # fmt: skip
def test_the_built_in_worlds_pass(config: Any) -> None:
    world = config.build()
    report = check_world(world, steps=8, config=config)
    world.close()
    assert report.ok, str(report)
