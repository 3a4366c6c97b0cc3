"""Raters: what they are shown tells nothing of the policy, and what they say is kept and proven."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reach_world import SPACE, ReachWorld

from enactive.actions.chain import Chain
from enactive.actions.decision import Cost, Decision
from enactive.actions.spaces import ActionSpace
from enactive.cli import main
from enactive.cli.rating import SHOWN
from enactive.episodes.journal import Journal
from enactive.evaluation.agreement import agreement, cohen_kappa
from enactive.evaluation.blind import (
    JOURNAL,
    LOG,
    PLAYED,
    RATINGS,
    REVEALED,
    SECRET,
    BlindError,
    Judges,
    run_blind,
)
from enactive.evaluation.blind_log import verify_blind
from enactive.evaluation.blind_rating import (
    RATED,
    WITHDRAWN,
    BlindEpisode,
    Rating,
    open_sheet,
    rate_all,
    ratings_file,
)
from enactive.evaluation.hash_chain import Entry, line, link, parse
from enactive.evaluation.plan import evaluation_plan
from enactive.observations import Observation, ObservationSpec, Task
from enactive.policies.random_policy import RandomPolicy
from enactive.worlds.pool import WorldPool
from enactive.worlds.pusht import ACTION_SPACE, PushT

CONFIG = ReachWorld.Config(max_steps=8)
SPEC = CONFIG.build().spec
PLAN = evaluation_plan(SPEC, ["left"], 3)
SUCCESS, FAILURE = Rating(verdict="success"), Rating(verdict="failure")
TOUCHED = Rating(verdict="failure", stage="touched")
JUDGES = Judges(raters=("anna", "ben"), stages=("touched", "lifted"))


@dataclass(frozen=True)
class Telltale:
    """Moves like every other of its kind, and says in every other way who it is."""

    name: str
    seconds: float = 0.0
    plans: int = 1

    @property
    def consumes(self) -> ObservationSpec:
        return ObservationSpec()

    @property
    def produces(self) -> ActionSpace:
        return SPACE

    def describe(self) -> Mapping[str, Any]:
        return {"policy": self.name, "seconds": self.seconds}

    def begin(self, task: Task, seed: int) -> int:
        return 0

    def act(self, observations: Sequence[Observation], memories: Sequence[int]) -> list[Decision]:
        time.sleep(self.seconds)
        action = np.array([-0.09, 0, 0, 0], np.float32)
        return [
            Decision(
                action=action,
                chain=Chain.raw(action[None], source=self.name) if step % self.plans == 0 else None,
                cost=Cost(backbone_passes=self.plans, milliseconds=1e3 * self.seconds),
                memory=step + 1,
            )
            for step in memories
        ]


TWINS = {
    "heavy-quetzal": Telltale("telltale-quetzal", seconds=0.004),
    "light-marmot": Telltale("telltale-marmot", plans=4),
}


def play(directory: Path, judges: Judges = JUDGES) -> Path:
    with WorldPool(CONFIG, 0) as pool:
        run_blind(directory, pool, TWINS, PLAN, judges=judges)
    return directory


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return play(tmp_path_factory.mktemp("played"))


def fresh(played: Path, directory: Path) -> Path:
    """A copy to rate in."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in (LOG, JOURNAL, SECRET):
        (directory / name).write_bytes((played / name).read_bytes())
    return directory


# ------------------------------------------------------------------ what a rater can see


def same(one: BlindEpisode, other: BlindEpisode) -> bool:
    pictures = all(np.array_equal(one.images[c], other.images[c]) for c in one.images)
    plain = [(e.task, e.instruction, e.round, e.rate_hz, [*e.images]) for e in (one, other)]
    return pictures and plain[0] == plain[1]


def test_nothing_shown_depends_on_the_policy_but_its_motion(played: Path, tmp_path: Path) -> None:
    directory = fresh(played, tmp_path)
    answers = "s\n" * 6 + "q\n"
    out = rating_process(directory, "anna", answers)
    with open_sheet(directory, "ben") as sheet:
        shown = [sheet.show(trial) for trial in range(1, 7)]
    rounds = [[one for one in shown if one.round == number] for number in range(3)]
    for one, other in rounds:
        # Two policies that move alike differ in alias and trial, to the bytes of the video.
        assert same(one, other) and one.alias != other.alias
        files = [directory / SHOWN / f"trial-{e.trial:04d}.mp4" for e in (one, other)]
        assert files[0].read_bytes() == files[1].read_bytes()
    assert sorted(path.name for path in (directory / SHOWN).iterdir()) == sorted(
        f"trial-{n:04d}.{kind}" for n in range(1, 7) for kind in ("mp4", "png")
    )
    (directory / SECRET).unlink()
    seen = out.encode() + b"".join(p.read_bytes() for p in directory.rglob("*") if p.is_file())
    for word in ("quetzal", "marmot", "telltale", "heavy"):
        assert word.encode() not in seen


def test_recordings_say_nothing_of_how_it_was_decided(played: Path) -> None:
    with Journal.open(played / JOURNAL) as journal:
        for header in journal.finished():
            assert header.policy == "blind"
            assert journal.read(header.id).deliberations == ()


def test_times_in_the_log_do_not_say_how_long_a_policy_took(tmp_path: Path) -> None:
    """One of two takes forty times as long; the entries are written when all is over."""
    slow = {"slow": Telltale("slow", seconds=0.02), "fast": Telltale("fast")}
    with WorldPool(CONFIG, 0) as pool:
        log = run_blind(tmp_path, pool, slow, PLAN, judges=JUDGES)
    written = [datetime.fromisoformat(entry.time) for entry in log.of_kind(PLAYED)]
    assert (written[-1] - written[0]).total_seconds() < 3 * 8 * 0.02  # what the slow one needs


def test_without_pictures_nobody_can_rate(tmp_path: Path) -> None:
    pytest.importorskip("gym_pusht")
    with WorldPool(PushT.Config(cameras=()), 0) as pool:
        policy = RandomPolicy(ACTION_SPACE)
        plan = evaluation_plan(pool.spec, ["push-t"], 1)
        with pytest.raises(BlindError, match="no camera"):
            run_blind(tmp_path, pool, {"a": policy, "b": policy}, plan, judges=JUDGES)


# --------------------------------------------------------------------------- the sheet


def judge(directory: Path, rater: str, verdicts: Sequence[Rating]) -> bool:
    return rate_all(directory, rater, lambda episode: verdicts[episode.trial - 1])


def test_two_raters_reveal_the_policies_when_both_have_handed_in(
    played: Path, tmp_path: Path
) -> None:
    directory = fresh(played, tmp_path)
    one = [SUCCESS, FAILURE, TOUCHED, SUCCESS, SUCCESS, Rating(verdict="skipped")]
    other = [SUCCESS, FAILURE, TOUCHED, FAILURE, SUCCESS, Rating(verdict="skipped")]
    assert not judge(directory, "anna", one)
    assert (directory / SECRET).exists()
    early = verify_blind(directory)
    assert early.aliases == {}
    assert early.problems == ("the policies are not revealed: the evaluation is not over",)
    assert judge(directory, "ben", other)
    result = verify_blind(directory)
    assert result.problems == () and result.skipped == 1
    assert not (directory / SECRET).exists()
    assert set(result.aliases.values()) == set(TWINS)
    # A tie is a failure, so that trials 1 and 5 are the only successes.
    assert sum(rate.successes for rate in result.rates.values()) == 2
    assert sum(rate.episodes for rate in result.rates.values()) == 5
    touched = [stages["touched"].successes for stages in result.stages.values()]
    lifted = [stages["lifted"].successes for stages in result.stages.values()]
    assert (sum(touched), sum(lifted)) == (3, 2)
    (found,) = result.agreements
    assert (found.alike.successes, found.alike.episodes) == (4, 5)
    assert found.kappa == cohen_kappa(2, 1, 0, 2)
    # It is over: the same again changes nothing.
    with open_sheet(directory, "ben") as sheet:
        assert sheet.handed_in and sheet.hand_in()
        with pytest.raises(BlindError, match="fixed"):
            sheet.undo()


def test_mistakes_are_refused(played: Path, tmp_path: Path) -> None:
    directory = fresh(played, tmp_path)
    with (
        pytest.raises(BlindError, match="none of the evaluation's raters"),
        open_sheet(directory, "carl"),
    ):
        pass
    with open_sheet(directory, "anna") as sheet:
        with pytest.raises(BlindError, match="another process"), open_sheet(directory, "anna"):
            pass
        with pytest.raises(BlindError, match="no rating to withdraw"):
            sheet.undo()
        with pytest.raises(BlindError, match="stages are for failures"):
            sheet.rate(1, Rating(verdict="failure", stage="flown"))
        with pytest.raises(BlindError, match="has no rating"):
            sheet.hand_in()
        sheet.rate(1, SUCCESS)
        with pytest.raises(BlindError, match="was rated"):
            sheet.rate(1, FAILURE)
    with pytest.raises(BlindError, match="all different"):
        Judges(raters=("a", "a"))
    with pytest.raises(BlindError, match="for raters"):
        Judges(stages=("touched",))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["s", "f", "t", "k", "u", "reopen"]), max_size=25))
def test_the_chain_always_says_what_stands(
    tmp_path_factory: pytest.TempPathFactory, played: Path, actions: list[str]
) -> None:
    """Any sequence of ratings, withdrawals and interruptions, against a plain stack."""
    directory = fresh(played, tmp_path_factory.mktemp("sheet"))
    given_: list[Rating] = []
    kinds = {"s": SUCCESS, "f": FAILURE, "t": TOUCHED, "k": Rating(verdict="skipped")}
    opened = open_sheet(directory, "anna")
    sheet = opened.__enter__()
    for action in actions:
        if action == "reopen":
            opened.__exit__(None, None, None)
            opened = open_sheet(directory, "anna")
            sheet = opened.__enter__()
        elif action == "u":
            if given_:
                assert sheet.undo() == len(given_)
                given_.pop()
        elif len(given_) < 6:
            assert sheet.next == len(given_) + 1
            sheet.rate(len(given_) + 1, kinds[action])
            given_.append(kinds[action])
        assert [*sheet.ratings.values()] == given_
    opened.__exit__(None, None, None)


def rechained(entries: Sequence[Entry], change: Any) -> str:
    rows = [(entry.kind, dict(entry.data)) for entry in entries]
    change(rows)
    return rechained_rows(rows)


def test_tampering_with_ratings_is_found(played: Path, tmp_path: Path) -> None:
    directory = fresh(played, tmp_path)
    judge(directory, "anna", [SUCCESS] * 6)
    judge(directory, "ben", [FAILURE] * 6)
    assert verify_blind(directory).problems == ()
    path = ratings_file(directory, 0)
    whole = path.read_text()

    def flip(rows: list) -> None:
        rows[2] = (RATED, {**rows[2][1], "verdict": "failure"})

    def withdraw(rows: list) -> None:
        rows.insert(3, (WITHDRAWN, {"trial": 1}))

    path.write_text(whole.replace('"success"', '"failure"', 1))
    assert "line 2 was changed" in verify_blind(directory).problems[0]
    for change in (flip, withdraw, lambda rows: rows.pop()):
        path.write_text(rechained(parse(whole), change))
        assert "not what anna handed in" in verify_blind(directory).problems[0]
    path.write_text(ratings_file(directory, 1).read_text())
    assert "not what anna handed in" in verify_blind(directory).problems[0]
    path.unlink()
    assert verify_blind(directory).problems
    path.write_text(whole)
    log = parse((directory / LOG).read_text())
    text = rechained(log, lambda rows: rows.insert(7, rows.pop()))  # revealed before the ratings
    (directory / LOG).write_text(text)
    assert any("belongs" in problem for problem in verify_blind(directory).problems)
    (directory / LOG).write_text(rechained(log, lambda rows: rows.pop(7)))
    assert any("were to rate" in problem for problem in verify_blind(directory).problems)


@pytest.fixture(scope="module")
def rated(played: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = fresh(played, tmp_path_factory.mktemp("rated"))
    for rater in JUDGES.raters:
        judge(directory, rater, [SUCCESS, FAILURE, TOUCHED] * 2)
    (directory / JOURNAL).unlink()
    return directory


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_change_of_any_log_goes_unnoticed(rated: Path, data: st.DataObject) -> None:
    """Drop, repeat, swap or edit anything and mend every hash: the published head gives it away,
    and reading such a log is an answer, not a crash."""
    name = data.draw(st.sampled_from([LOG, "ratings-1.jsonl", "ratings-2.jsonl"]))
    path = rated / name
    whole = path.read_text()
    head = parse((rated / LOG).read_text())[-1].hash
    rows = [(entry.kind, dict(entry.data)) for entry in parse(whole)]
    place = data.draw(st.integers(0, len(rows) - 1))
    action = data.draw(st.sampled_from(["drop", "repeat", "swap", "edit", "lose", "kind"]))
    other = data.draw(st.integers(0, len(rows) - 1).filter(lambda n: rows[n] != rows[place]))
    kind, values = rows[place]
    if action == "drop":
        del rows[place]
    elif action == "repeat":
        rows.insert(place, rows[place])
    elif action == "swap":
        rows[place], rows[other] = rows[other], rows[place]
    elif action == "kind":
        rows[place] = (data.draw(st.sampled_from(["outcome", "closed", "begun", "x"])), values)
        if rows[place][0] == kind:
            return
    else:
        field = data.draw(st.sampled_from(sorted(values)))
        values = {k: v for k, v in values.items() if k != field}
        if action == "edit":
            values[field] = data.draw(st.sampled_from([None, -1, "x", [], {}]))
            if values[field] == rows[place][1][field]:
                return
        rows[place] = (kind, values)
    try:
        path.write_text(rechained_rows(rows))
        assert verify_blind(rated, head=head).problems
    finally:
        path.write_text(whole)
    assert verify_blind(rated, head=head).problems == ()


def rechained_rows(rows: Sequence[tuple[str, dict]]) -> str:
    made: list[Entry] = []
    for kind, values in rows:
        made.append(link(kind, values, made[-1] if made else None))
    return "".join(map(line, made))


def test_other_recordings_than_those_rated_are_found(played: Path, tmp_path: Path) -> None:
    directory = fresh(played, tmp_path)
    for rater in JUDGES.raters:
        judge(directory, rater, [SUCCESS] * 6)
    log = parse((directory / LOG).read_text())
    twin = log[1].data["recording"]

    def other(rows: list) -> None:
        rows[3] = (PLAYED, {**rows[3][1], "recording": twin[::-1]})

    (directory / LOG).write_text(rechained(log, other))
    assert any("says otherwise" in problem for problem in verify_blind(directory).problems)


# --------------------------------------------------------------------------- the command


def rating_process(directory: Path, rater: str, answers: str) -> str:
    """The command in a process of its own, answers on its input; what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "enactive", "blind", "--rate", str(directory), "--rater", rater],
        input=answers, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_person_rates_in_a_terminal_and_is_killed_in_between(
    played: Path, tmp_path: Path
) -> None:
    """Over a real pseudo-terminal: answers, a mistake, undo, SIGKILL, resume, hand in, reveal."""
    import pty

    directory = fresh(played, tmp_path)
    terminal, other_end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "enactive", "blind", "--rate", str(directory), "--rater", "anna"],
        stdin=other_end, stdout=other_end, stderr=other_end,
    )  # fmt: skip
    os.close(other_end)
    said = conversation(terminal, [b"s\n", b"1\n", b"what\n", b"u\n", b"f\n", b"k\n"])
    assert "trial 1 of 6, P" in said and "left" in said and "trial-0001.mp4" in said
    assert "1 failure after: touched" in said
    assert "'what' is no answer" in said and "withdrawn: the rating of trial 2" in said
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    os.close(terminal)
    with ratings_file(directory, 0).open("a") as file:
        file.write('{"number": 9, "ki')  # as a kill in the middle of writing would leave it
    text = rating_process(directory, "anna", "2\ns\ns\nu\nf\nh\n")
    assert "anna: 3 of 6 trials rated" in text and "withdrawn: the rating of trial 6" in text
    assert "revealed when all raters have" in text and not any(name in text for name in TWINS)
    text = rating_process(directory, "ben", "s\nf\nk\n2\ns\nf\nq\n")
    assert "6 ratings are kept" in text and "log proves" not in text
    judge(directory, "ben", [])
    result = verify_blind(directory)
    assert result.problems == () and result.skipped == 1
    assert (result.agreements[0].alike.successes, result.agreements[0].kappa.estimate) == (5, 1.0)
    chain = parse(ratings_file(directory, 0).read_text())
    assert [one.data["trial"] for one in chain if one.kind == WITHDRAWN] == [2, 6]
    assert all(one.time for one in chain) and chain[0].data["rater"] == "anna"
    log = parse((directory / LOG).read_text())
    assert [one.kind for one in log[-4:]] == [RATINGS, RATINGS, "closed", REVEALED]


def conversation(terminal: int, answers: Sequence[bytes]) -> str:
    """Give each answer once the command asks; everything that it said."""
    said = b""
    for number in range(len(answers) + 1):
        while said.count(b"> ") < number + 1:
            said += os.read(terminal, 4096)
        if number < len(answers):
            os.write(terminal, answers[number])
    return said.decode()


def test_the_command_plays_first_and_says_who_is_to_rate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "rated")
    words = [
        "blind", "random", "random", "--world", "reach_world:ReachWorld.Config", "--tasks", "left",
        "--episodes", "2", "--workers", "0", "--out", out, "--raters", "anna",
    ]  # fmt: skip
    assert main(words) == 0
    said = capsys.readouterr().out
    assert f"enactive blind --rate {out} --rater anna" in said and "random #1" not in said
    assert main(words) == 0  # nothing is played again
    assert main(["blind", "--rate", out, "--rater", "ben"]) == 2
    assert "none of the evaluation's raters (anna)" in capsys.readouterr().err
    rate_all(Path(out), "anna", lambda episode: SUCCESS)
    assert main(["blind", "--verify", out]) == 0
    assert "2/2" in capsys.readouterr().out
    hidden = str(tmp_path / "hidden")
    assert main([*words[:-3], hidden, *words[-2:], "--hide-aliases"]) == 0
    text = rating_process(Path(hidden), "anna", "s\nf\nq\n")
    assert "trial 2 of 4: " in text and "P1" not in text and "P2" not in text
    assert main(["blind", "--rate", out]) == 0  # its only rater has handed in
    assert "log proves order" in capsys.readouterr().out
    header = json.loads((Path(out) / LOG).read_text().splitlines()[0])
    assert header["data"]["raters"] == ["anna"]


# ---------------------------------------------------------------------------- agreement


def test_kappa_of_a_known_table() -> None:
    """Fifty proposals, two readers: 0.4, the usual worked example."""
    found = cohen_kappa(20, 5, 10, 15)
    assert found.estimate == pytest.approx(0.4)
    assert found.low < 0.4 < found.high
    assert np.isnan(cohen_kappa(9, 0, 0, 0).estimate)
    with pytest.raises(ValueError, match="needs trials"):
        cohen_kappa(0, 0, 0, 0)
    assert agreement("a", "b", {1: True}, {2: True}) is None


@given(st.tuples(*[st.integers(0, 40)] * 4).filter(lambda cells: sum(cells) > 0))
def test_laws_of_kappa(cells: tuple[int, int, int, int]) -> None:
    both, first, second, neither = cells
    found = cohen_kappa(both, first, second, neither)
    swapped = cohen_kappa(both, second, first, neither)
    turned = cohen_kappa(neither, second, first, both)
    for other in (swapped, turned):
        assert other.low == pytest.approx(found.low) and other.high == pytest.approx(found.high)
    assert -1 <= found.low <= found.high <= 1
    if not np.isnan(found.estimate):
        assert found.low <= found.estimate <= found.high
        if first == second == 0:
            assert found.estimate == pytest.approx(1.0)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=40))
def test_kappa_is_scikit_learns(verdicts: list[tuple[bool, bool]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    one, other = zip(*verdicts, strict=True)
    if len({*one, *other}) < 2:
        return
    found = agreement("a", "b", dict(enumerate(one)), dict(enumerate(other)))
    assert found is not None
    assert found.kappa.estimate == pytest.approx(metrics.cohen_kappa_score(one, other))


def test_replacing_a_rating_needs_a_withdrawal(played: Path, tmp_path: Path) -> None:
    """What stands follows from the order of entries alone."""
    directory = fresh(played, tmp_path)
    with open_sheet(directory, "anna") as sheet:
        sheet.rate(1, SUCCESS)
        sheet.undo()
        sheet.rate(1, replace(FAILURE, stage="lifted"))
    with open_sheet(directory, "anna") as sheet:
        assert sheet.ratings == {1: Rating(verdict="failure", stage="lifted")}
