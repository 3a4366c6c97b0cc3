"""The journal: what goes in comes out, and only whole episodes count."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import made_episodes as made
import numpy as np
import pytest

from enactive.actions.decision import Decision
from enactive.episodes.episode import Outcome, array_hash
from enactive.episodes.journal import Journal, JournalError
from enactive.observations import Observation
from enactive.worlds.world import Step


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal.open(tmp_path / "journal.db")


@pytest.mark.parametrize("compression", [0, 1])
def test_an_episode_comes_back_as_it_was(tmp_path: Path, compression: int) -> None:
    with Journal.open(tmp_path / "journal.db", compression=compression) as journal:
        made.record(journal, 3, 7)
        read, expected = journal.read("made/3"), made.episode(3, 7)
    assert read.header == expected.header
    assert read.outcome == expected.outcome
    assert read.events == expected.events
    for camera in made.CAMERAS:
        np.testing.assert_array_equal(read.images[camera], expected.images[camera])
    for name in ("proprio", "force"):
        np.testing.assert_array_equal(read.state[name], expected.state[name])
    np.testing.assert_array_equal(read.actions, expected.actions)
    np.testing.assert_array_equal(read.rewards, expected.rewards)
    np.testing.assert_array_equal(read.successes, expected.successes)
    assert set(read.hashes) == set(expected.hashes)
    for name, rows in expected.hashes.items():
        np.testing.assert_array_equal(read.hashes[name], rows)
    assert read.hashes["images.front"].shape == (8, 16)  # the final observation included
    assert read.hashes["action"].shape == (7, 16)
    assert read.final is not None
    np.testing.assert_array_equal(
        read.final.images["wrist"], made.observation(3, 7).images["wrist"]
    )
    assert [d.step for d in read.deliberations] == [0, 2, 4, 6]
    assert read.chains[2] == made.decision(3, 2).chain
    assert read.deliberations[0].cost.backbone_passes == 1


def test_hashes_tell_values_shapes_and_types_apart() -> None:
    base = np.zeros((2, 3), np.float32)
    other = base.copy()
    other[0, 0] = np.nextafter(np.float32(0), np.float32(1))
    arrays = [base, other, base.reshape(3, 2), base.astype(np.float64), np.zeros((2, 3), np.int32)]
    assert len({array_hash(array) for array in arrays}) == len(arrays)
    assert array_hash(base) == array_hash(np.asfortranarray(base))


def test_recorders_of_parallel_worlds_do_not_mix(journal: Journal) -> None:
    recorders = [journal.begin(made.header(number)) for number in range(3)]
    for step in range(4):
        for number, recorder in enumerate(recorders):
            recorder.step(
                made.observation(number, step),
                made.decision(number, step),
                made.step_result(number, step, 4),
            )
    for number in (2, 0, 1):
        recorders[number].finish(made.outcome(4))
    assert [header.id for header in journal.finished()] == ["made/0", "made/1", "made/2"]
    for number in range(3):
        expected = made.episode(number, 4).actions
        np.testing.assert_array_equal(journal.read(f"made/{number}").actions, expected)


def test_an_unfinished_episode_does_not_count_and_can_be_begun_again(journal: Journal) -> None:
    recorder = journal.begin(made.header(0))
    recorder.step(made.observation(0, 0), made.decision(0, 0), made.step_result(0, 0, 5))
    assert journal.finished() == []
    assert [header.id for header in journal.unfinished()] == ["made/0"]
    with pytest.raises(JournalError, match="not finished"):
        journal.read("made/0")
    made.record(journal, 0, 3)
    assert journal.read("made/0").length == 3


def test_dropping_unfinished_episodes_keeps_finished_ones(journal: Journal) -> None:
    made.record(journal, 0, 3)
    journal.begin(made.header(1)).step(
        made.observation(1, 0), made.decision(1, 0), made.step_result(1, 0, 5)
    )
    assert [header.id for header in journal.drop_unfinished()] == ["made/1"]
    assert journal.steps("made/1") == 0
    assert journal.read("made/0").length == 3


def test_misuse_is_refused_with_the_reason(journal: Journal) -> None:
    made.record(journal, 0, 3)
    with pytest.raises(JournalError, match="is finished"):
        journal.begin(made.header(0))
    recorder = journal.begin(made.header(1))
    with pytest.raises(JournalError, match=r"outcome.steps is 3, but 0"):
        recorder.finish(made.outcome(3))
    recorder.abandon()
    assert journal.unfinished() == []
    with pytest.raises(JournalError, match="nothing can be added"):
        recorder.step(made.observation(1, 0), made.decision(1, 0), made.step_result(1, 0, 5))
    with pytest.raises(JournalError, match="is not here"):
        journal.read("made/9")


def test_a_forgotten_episode_keeps_its_outcome(journal: Journal) -> None:
    made.record(journal, 0, 3)
    journal.forget(["made/0"])
    assert journal.readable() == []
    assert journal.outcome("made/0").success
    assert [header.id for header in journal.finished()] == ["made/0"]
    with pytest.raises(JournalError, match="forgotten after compaction"):
        journal.read("made/0")


def test_every_step_is_on_disk_when_the_call_returns(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "journal.db") as journal:
        recorder = journal.begin(made.header(0))
        for step in range(3):
            recorder.step(
                made.observation(0, step), made.decision(0, step), made.step_result(0, step, 5)
            )
            with Journal.open(tmp_path / "journal.db") as other:
                assert other.steps("made/0") == step + 1


def test_expert_labels_are_found_in_the_chains(journal: Journal) -> None:
    made.record(journal, 0, 4, labelled=True)
    made.record(journal, 1, 4)
    labelled = journal.read("made/0")
    assert labelled.expert_actions is not None
    np.testing.assert_array_equal(labelled.expert_actions, labelled.actions / 2)
    assert journal.read("made/1").expert_actions is None


def test_choices_and_tool_calls_are_recorded_too(journal: Journal) -> None:
    seen = Observation(instruction="open the page", text="a page")
    recorder = journal.begin(made.header(0))
    given = Step(observation=seen, reward=0, terminated=False, truncated=False, success=False)
    recorder.step(seen, Decision(action=3), given)
    recorder.step(seen, Decision(action=1), given)
    recorder.finish(Outcome(success=False, steps=2, terminated=False, truncated=True))
    choices = journal.read("made/0")
    assert choices.actions.dtype == np.int64
    assert choices.actions.tolist() == [[3], [1]]
    recorder = journal.begin(made.header(1))
    recorder.step(seen, Decision(action={"tool": "click", "x": 3}), given)
    recorder.finish(Outcome(success=False, steps=1, terminated=False, truncated=True), seen)
    calls = journal.read("made/1")
    assert calls.actions[0] == {"tool": "click", "x": 3}
    assert calls.final is not None and calls.final.text == "a page"


def test_files_that_are_no_journal_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("not a database, and long enough to be read as one" * 40)
    with pytest.raises(JournalError, match="is no journal"):
        Journal.open(tmp_path / "text.db")
    later = sqlite3.connect(tmp_path / "later.db")
    later.execute("PRAGMA user_version=99")
    later.commit()
    later.close()
    with pytest.raises(JournalError, match="format 99"):
        Journal.open(tmp_path / "later.db")
