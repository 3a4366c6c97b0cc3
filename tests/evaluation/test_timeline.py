"""The recording for the rerun viewer holds every stream of an episode."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from enactive.actions.chain import Chain
from enactive.episodes.episode import Deliberation, Episode, EpisodeHeader, Event, Outcome
from enactive.evaluation.timeline import write_timeline
from enactive.observations import Task

pytest.importorskip("rerun")


def episode(length: int = 5) -> Episode:
    generator = np.random.default_rng(0)
    states = [{"name": "proprio", "names": ["x", "y"], "unit": "m"}]
    header = EpisodeHeader(
        id="main/reach/7",
        index=0,
        task=Task(name="reach", instruction="reach the mark"),
        seed=7,
        world={"rate_hz": 10.0, "observations": {"cameras": [], "states": states}},
        policy="expert",
    )
    actions = generator.normal(size=(length, 3)).astype(np.float32)
    return Episode(
        header=header,
        images={"front": generator.integers(0, 255, (length, 8, 12, 3), np.uint8)},
        state={"proprio": generator.normal(size=(length, 2)).astype(np.float32)},
        actions=actions,
        rewards=np.zeros(length, np.float32),
        successes=np.arange(length) == length - 1,
        outcome=Outcome(success=True, steps=length, terminated=False, truncated=False),
        events=(Event(step=3, name="grasped"),),
        deliberations=(Deliberation(step=0, chain=Chain.raw(actions, source="expert")),),
    )


def printed(path: Path, *options: str) -> str:
    """What rerun's own tool reads back."""
    command = [str(Path(sys.executable).with_name("rerun")), "rrd", "print", *options, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_every_stream_is_in_the_recording(tmp_path: Path) -> None:
    path = write_timeline(episode(), tmp_path / "deep" / "episode.rrd")
    shown = printed(path)
    for entity in ("images/front", "state/proprio", "action/executed", "reward", "success"):
        assert f"/{entity}" in shown
    for entity in ("/events", "/decisions", "/episode"):
        assert entity in shown
    assert "/action/expert" not in shown
    assert [file.name for file in path.parent.iterdir()] == ["episode.rrd"]


def test_the_same_episode_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "episode.rrd"
    write_timeline(episode(20), path)
    longer = path.stat().st_size
    write_timeline(episode(5), path)
    assert path.stat().st_size < longer
