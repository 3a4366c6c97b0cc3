"""Small synthetic episodes, and a child process that records and compacts them until it is killed.

Everything follows from the episode's number, so that what was recorded can be checked without
keeping it. Run as a program: ``made_episodes.py WORK EPISODES STEPS``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from enactive.actions.chain import Chain
from enactive.actions.decision import Cost, Decision
from enactive.actions.spaces import Group, VectorSpace
from enactive.actions.tokens import ActionToken
from enactive.episodes.compaction import compact
from enactive.episodes.episode import Episode, EpisodeHeader, Event, Outcome, episode_hashes
from enactive.episodes.journal import Journal
from enactive.observations import Observation, Task
from enactive.worlds.world import Step

SIZE = (24, 32)
CAMERAS = ("front", "wrist")
RATE = 20.0


def world(size: tuple[int, int] = SIZE, cameras: tuple[str, ...] = CAMERAS) -> dict[str, Any]:
    """What an episode keeps of its world."""
    arm = Group(
        name="arm", quantity="position", representation="xyz", reference="delta", frame="base",
        unit="m", low=-1.0, high=1.0,
    )  # fmt: skip
    observed = [{"name": name, "height": size[0], "width": size[1]} for name in cameras]
    return {
        "name": "made",
        "version": "1",
        "rate_hz": RATE,
        "accepts": VectorSpace(groups=(arm,), rate_hz=RATE).to_dict(),
        "observations": {
            "cameras": observed,
            "states": [
                {"name": "proprio", "names": ["x", "y"], "unit": "m"},
                {"name": "force", "names": ["z"], "unit": "N"},
            ],
        },
        "provenance": {},
    }


def header(number: int, **changes: Any) -> EpisodeHeader:
    """The header of episode ``number``."""
    fields: dict[str, Any] = {
        "id": f"made/{number}",
        "index": number,
        "task": Task(name=f"task-{number % 2}", instruction=f"do the {number % 2} thing"),
        "seed": 100 + number,
        "world": world(),
        "policy": "made",
        "provenance": {"config": {"x": 1}},
    }
    return EpisodeHeader(**{**fields, **changes})


def observation(number: int, step: int, size: tuple[int, int] = SIZE) -> Observation:
    """What is seen before step ``step``: a ramp that moves, brighter in later episodes."""
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]]
    images = {
        camera: np.stack(
            [(4 * rows + 8 * step) % 256, (4 * columns + 16 * number) % 256, rows * 0 + 60 * place],
            axis=-1,
        ).astype(np.uint8)
        for place, camera in enumerate(CAMERAS)
    }
    random = np.random.default_rng([number, step])
    state = {
        "proprio": random.normal(0.5, 0.1, 2).astype(np.float32),
        "force": np.array([step], np.float32),
    }
    return Observation(
        images=images, state=state, instruction=f"do the {number % 2} thing", time=step / RATE
    )


def action(number: int, step: int) -> Any:
    """Action ``step`` of episode ``number``, ``float32 (3,)``."""
    return np.random.default_rng([number, step, 7]).uniform(-1, 1, 3).astype(np.float32)


def decision(number: int, step: int, *, labelled: bool = False) -> Decision:
    """A chunk of two steps is decided at every even step."""
    executed = action(number, step)
    if step % 2 and not labelled:
        return Decision(action=executed)
    chain = Chain.raw(np.stack([executed, action(number, step + 1)]), source="made")
    if labelled:
        clean = ActionToken(
            id="label", kind="raw", content=executed[None] / 2, source="expert", chosen=False
        )
        chain = Chain((clean, *chain.tokens))
    return Decision(action=executed, chain=chain, cost=Cost(backbone_passes=1, milliseconds=2.0))


def outcome(steps: int) -> Outcome:
    """The episode succeeds at its last step."""
    return Outcome(
        success=True, steps=steps, terminated=True, truncated=False, events={"grasped": 1}
    )


def step_result(number: int, step: int, steps: int) -> Step:
    """What the world gives for action ``step``."""
    return Step(
        observation=observation(number, step + 1),
        reward=0.1 * step,
        terminated=step == steps - 1,
        truncated=False,
        success=step == steps - 1,
        events=("grasped",) if step == 1 else (),
    )


def episode(number: int, steps: int, *, size: tuple[int, int] = SIZE, **changes: Any) -> Episode:
    """Episode ``number`` as the journal would give it."""
    seen = [observation(number, t, size) for t in range(steps + 1)]
    images = {camera: np.stack([o.images[camera] for o in seen[:-1]]) for camera in CAMERAS}
    state = {name: np.stack([o.state[name] for o in seen[:-1]]) for name in ("proprio", "force")}
    actions = np.stack([action(number, t) for t in range(steps)])
    fields: dict[str, Any] = {
        "header": header(number, world=world(size)),
        "images": images,
        "state": state,
        "actions": actions,
        "rewards": np.array([0.1 * t for t in range(steps)], np.float32),
        "successes": np.arange(steps) == steps - 1,
        "outcome": outcome(steps),
        "events": (Event(step=1, name="grasped"),),
        "hashes": episode_hashes(images, state, actions, seen[-1]),
    }
    return Episode(**{**fields, **changes})


def record(journal: Journal, number: int, steps: int, *, labelled: bool = False) -> None:
    """Record episode ``number`` step by step."""
    recorder = journal.begin(header(number))
    for step in range(steps):
        recorder.step(
            observation(number, step),
            decision(number, step, labelled=labelled),
            step_result(number, step, steps),
        )
    recorder.finish(outcome(steps), observation(number, steps))


def record_and_compact(work: Path, episodes: int, steps: int) -> None:
    """Record what is missing, compacting after every second episode; what the child runs."""
    with Journal.open(work / "journal.db") as journal:
        journal.drop_unfinished()
        done = {finished.id for finished in journal.finished()}
        print("ready", flush=True)
        for number in range(episodes):
            if header(number).id not in done:
                record(journal, number, steps)
                print("recorded", number, flush=True)
            if number % 2:
                compact(journal, work / "dataset", batch=2, forget=True)
                print("compacted", number, flush=True)
        compact(journal, work / "dataset", batch=2, forget=True)


if __name__ == "__main__":
    record_and_compact(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    print("done", flush=True)
