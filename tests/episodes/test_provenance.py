"""Provenance: what is recorded, and that it can be read back."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import made_episodes as made
import numpy
import pytest

import enactive
from enactive.actions.spaces import VectorSpace
from enactive.configuration import config_hash
from enactive.episodes import provenance as module
from enactive.episodes.provenance import Provenance, file_hash, provenance
from enactive.observations import ObservationSpec, TaskSpec
from enactive.worlds.world import WorldSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """A configuration."""

    rate: float = 0.5


def spec() -> WorldSpec:
    return WorldSpec(
        name="made",
        version="1.2",
        observations=ObservationSpec(),
        accepts=VectorSpace.from_dict(made.world()["accepts"]),
        tasks=(TaskSpec(name="t", instructions=("do",), max_steps=3),),
        rate_hz=20.0,
        provenance={"quality": "low"},
    )


def test_everything_is_there_and_is_json() -> None:
    made_from = provenance(
        config=Config(rate=0.25), seeds={"run": 7}, worlds=[spec()], parents={"data": "ab12"}
    )
    assert made_from.code_version == enactive.__version__
    assert made_from.config == {"rate": 0.25}
    assert made_from.config_hash == config_hash(Config(rate=0.25)) != config_hash(Config())
    assert made_from.packages["numpy"] == numpy.__version__
    assert made_from.worlds == {"made": {"version": "1.2", "quality": "low"}}
    assert made_from.cores >= 1 and made_from.python and made_from.platform
    assert Provenance.from_dict(json.loads(json.dumps(made_from.to_dict()))) == made_from
    later = {**made_from.to_dict(), "something new": 1}
    assert Provenance.from_dict(later) == made_from


def test_commit_and_dirty_flag_follow_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "src" / "enactive"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("x = 1\n")

    def git(*arguments: str) -> str:
        names = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        command = ["git", "-C", str(tmp_path), *names, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def state() -> tuple[str | None, bool | None]:
        module.source_state.cache_clear()
        return module.source_state()

    monkeypatch.setattr(enactive, "__file__", str(package / "__init__.py"))
    assert state() == (None, None)  # no checkout at all
    git("init", "-q")
    assert state() == (None, None)  # a checkout of something else
    git("add", ".")
    git("commit", "-qm", "first")
    commit = git("rev-parse", "HEAD")
    assert state() == (commit, False)
    (package / "__init__.py").write_text("x = 2\n")
    assert state() == (commit, True)
    module.source_state.cache_clear()


def test_file_hashes_follow_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "b").write_bytes(b"one")
    (tmp_path / "c").write_bytes(b"two")
    assert file_hash(tmp_path / "a") == file_hash(tmp_path / "b") != file_hash(tmp_path / "c")
    assert len(file_hash(tmp_path / "a")) == 32
