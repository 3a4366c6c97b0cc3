"""Replay compares every bit; a fork shares exactly its ancestors with its parent."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgpack
import numpy as np
import pytest
from reach_world import SPACE, ReachWorld

from enactive.episodes.compaction import compact
from enactive.episodes.episode import Episode
from enactive.episodes.journal import Journal
from enactive.evaluation.fork import NotReproduced, fork
from enactive.evaluation.plan import evaluation_plan
from enactive.evaluation.recording import Recording
from enactive.evaluation.replay import replay, replay_episode
from enactive.evaluation.rollouts import rollout
from enactive.evaluation.sources import headers, read_episode
from enactive.policies.expert import ExpertPolicy
from enactive.policies.hold import HoldPolicy
from enactive.worlds.pool import WorldPool

CONFIG = ReachWorld.Config()
SPEC = CONFIG.build().spec
EXPERT = ExpertPolicy.Config(expert="reach_world:expert", privileged="truth", noise=0.4)


@pytest.fixture(scope="module")
def journal_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("replay") / "journal.sqlite"
    with WorldPool(CONFIG, 0) as pool, Journal.open(path) as journal:
        plan = evaluation_plan(SPEC, ["left", "right"], 3)
        rollout(pool, EXPERT.build(SPEC), plan, journal=journal)
    yield path


@pytest.fixture(scope="module")
def parent(journal_path: Path) -> Episode:
    return read_episode(journal_path, next(iter(headers(journal_path))))


def test_replays_journal_and_dataset_in_any_number_of_processes(
    journal_path: Path, tmp_path: Path
) -> None:
    here = replay(journal_path)
    assert here.passed and len(here.episodes) == 6
    # Per step: picture, state, reward, success, events; the reset has the first two; one end.
    assert here.episodes[0].compared == 5 * here.episodes[0].steps + 3
    with Journal.open(journal_path) as journal:
        compact(journal, tmp_path / "dataset", storage="image")
    assert replay(tmp_path / "dataset") == here
    assert replay(journal_path, workers=2) == here
    one = list(headers(journal_path))[3]
    assert [episode.id for episode in replay(journal_path, [one]).episodes] == [one]
    with pytest.raises(KeyError, match="did you mean"):
        replay(journal_path, [one + "0"])
    with pytest.raises(FileNotFoundError):
        replay(tmp_path / "nothing.sqlite")


def test_replay_finds_one_changed_bit(parent: Episode) -> None:
    recording = Recording.of(parent)
    assert replay_episode(CONFIG.build(), recording).equal

    picture = {name: rows.copy() for name, rows in recording.hashes.items()}
    picture["images.top"][3, 0] ^= 1
    result = replay_episode(CONFIG.build(), replace(recording, hashes=picture))
    assert not result.equal and result.differing == 1
    assert (result.mismatches[0].step, result.mismatches[0].what) == (3, "images.top")

    rewards = recording.rewards.copy()
    rewards[2] = np.nextafter(rewards[2], np.float32(9))
    result = replay_episode(CONFIG.build(), replace(recording, rewards=rewards))
    assert [(m.step, m.what) for m in result.mismatches] == [(3, "reward")]

    events = {**recording.events, 0: ("went_left",)}
    result = replay_episode(CONFIG.build(), replace(recording, events=events))
    assert [m.what for m in result.mismatches] == ["events"]

    actions = recording.actions.copy()
    actions[1, 1] += 0.01
    result = replay_episode(CONFIG.build(), replace(recording, actions=actions))
    assert {m.what for m in result.mismatches} >= {"state.proprio"}
    assert min(m.step for m in result.mismatches) == 2

    success = ~recording.successes
    result = replay_episode(CONFIG.build(), replace(recording, successes=success))
    assert result.differing == parent.length


def test_replay_sees_a_world_that_is_not_reproducible(parent: Episode) -> None:
    world = ReachWorld.Config(broken_after=1).build()
    assert replay_episode(world, Recording.of(parent)).equal
    second = replay_episode(world, Recording.of(parent))
    assert {m.what for m in second.mismatches} == {"images.top"}


def test_replay_reports_what_it_cannot_run(journal_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "edited.sqlite"
    with sqlite3.connect(journal_path) as source, sqlite3.connect(path) as target:
        source.backup(target)
        rows = target.execute("SELECT id, header FROM episodes").fetchall()
        first = rows[0][0]
        target.execute(
            "UPDATE episodes SET header = ? WHERE id = ?",
            (rows[0][1].replace('"size": 16', '"size": 16, "colour": 1'), first),
        )
        # One recorded action of another episode is changed, its hash is not.
        other = rows[1][0]
        record = msgpack.unpackb(
            target.execute("SELECT record FROM steps WHERE id=? AND step=0", (other,)).fetchone()[0]
        )
        value = np.frombuffer(record["action"]["data"], np.float32).copy()
        value[0] *= 0.5
        record["action"]["data"] = value.tobytes()
        target.execute(
            "UPDATE steps SET record = ? WHERE id = ? AND step = 0",
            (msgpack.packb(record), other),
        )
    source.close()
    target.close()
    report = replay(path)
    results = {episode.id: episode for episode in report.episodes}
    assert "colour" in results[first].error
    assert not results[other].equal and results[other].mismatches[0].step == 1
    assert report.equal == 4 and not report.passed


# ------------------------------------------------------------------------------------- forks


def test_the_same_policy_repeats_its_parent_from_any_step(parent: Episode) -> None:
    for step in (0, 3, parent.length - 1):
        made = fork(parent, step, EXPERT.build(SPEC))
        assert made.result.steps == parent.length
        assert made.result.reward == pytest.approx(float(parent.rewards.sum()), rel=1e-6)
        assert made.result.success == parent.outcome.success


def test_a_fork_is_recorded_replayable_and_shares_only_its_ancestors(
    parent: Episode, tmp_path: Path
) -> None:
    path = tmp_path / "forks.sqlite"
    hold = HoldPolicy(SPACE, absolute={"gripper": 0.5})
    with Journal.open(path) as journal:
        made = fork(parent, 4, hold, instruction="stay", journal=journal)
        child = journal.read(made.result.id)
        again = fork(child, 2, EXPERT.build(SPEC), journal=journal)
    np.testing.assert_array_equal(child.actions[:4], parent.actions[:4])
    assert (child.actions[4:] == [0, 0, 0, 0.5]).all()
    for name in ("images.top", "state.proprio"):
        np.testing.assert_array_equal(child.hashes[name][:5], parent.hashes[name][:5])
    shared = [made.chain.hash for made in parent.deliberations if made.step < 4]
    assert [made.chain.hash for made in child.deliberations if made.step < 4] == shared
    assert child.header.provenance["fork"] == {
        "parent": parent.header.id,
        "step": 4,
        "instruction": "stay",
    }
    assert not child.outcome.success and made.step == 4
    assert again.parent == made.result.id and again.result.success
    assert replay(path).passed


def test_forks_of_one_step_can_differ_in_the_noise_only(parent: Episode) -> None:
    rewards = {fork(parent, 2, EXPERT.build(SPEC), repeat=n).result.reward for n in (0, 1, 2)}
    assert len(rewards) == 3


def test_fork_refusals(parent: Episode) -> None:
    with pytest.raises(ValueError, match=r"\[0, "):
        fork(parent, parent.length + 1, EXPERT.build(SPEC))
    world = ReachWorld.Config(broken_after=0).build()
    with pytest.raises(NotReproduced, match=r"images\.top differs after 0 steps"):
        fork(parent, 1, EXPERT.build(SPEC), world=world)
