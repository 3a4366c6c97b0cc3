"""The code of docs/episodes.md runs as it stands, in the order of the page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import made_episodes as made
import pytest

from enactive.actions.spaces import VectorSpace
from enactive.episodes.features import world_features
from enactive.episodes.journal import Journal
from enactive.episodes.store import DatasetWriter
from enactive.observations import Camera, Observation, ObservationSpec, StateVector, TaskSpec
from enactive.worlds.world import Step, WorldSpec

PAGE = Path(__file__).parents[2] / "docs" / "episodes.md"


class Made:
    """A world that shows the made episode of its seed."""

    def __init__(self) -> None:
        cameras = tuple(Camera(name=name, height=24, width=32) for name in made.CAMERAS)
        states = (
            StateVector(name="proprio", names=("x", "y"), unit="m"),
            StateVector(name="force", names=("z",), unit="N"),
        )
        self.spec = WorldSpec(
            name="made",
            version="1",
            observations=ObservationSpec(cameras=cameras, states=states),
            accepts=VectorSpace.from_dict(made.world()["accepts"]),
            tasks=(TaskSpec(name="task-1", instructions=("do the 1 thing",), max_steps=9),),
            rate_hz=made.RATE,
        )

    def reset(self, task: Any, seed: int) -> Observation:
        self.number, self.t = seed, 0
        return made.observation(seed, 0)

    def step(self, action: Any) -> Step:
        self.t += 1
        return made.step_result(self.number, self.t - 1, 9)


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    writer = DatasetWriter.create("data/demo", world_features(made.world()), made.RATE)
    writer.append(made.episode(number, 5) for number in range(2))
    space: dict[str, Any] = {
        "world": Made(),
        "task": Made().spec.tasks[0].task(),
        "decide": lambda observation: made.decision(7, round(observation.time * made.RATE)),
        "episodes": [made.episode(number, 4) for number in (3, 4)],
    }
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    assert len(code) == 6
    for block in code:
        if "data/exact" in block:  # the page's journal was closed at the end of its block
            space["journal"] = Journal.open("runs/journal.db")
        exec(compile(block, str(PAGE), "exec"), space)
    assert space["dataset"].num_episodes == 3
    assert space["everything"].shape == (10, 3)
    assert space["rows"]["action"].shape == (5, 3)
    assert space["pictures"].shape == (5, 24, 32, 3)
    assert space["record"].header.id == "made/0"
    space["journal"].close()
