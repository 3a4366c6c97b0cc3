"""Blind evaluation: what the log proves, what it finds out, and that A/A finds nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from reach_world import SPACE, ReachWorld

from enactive.cli import main
from enactive.configuration import to_dict
from enactive.episodes.journal import Journal
from enactive.evaluation.blind import (
    CLOSED,
    COMMITTED,
    LOG,
    OUTCOME,
    REVEALED,
    SECRET,
    BlindError,
    begin_blind,
    run_blind,
    schedule,
    seal,
)
from enactive.evaluation.blind_log import check_log, compare_all, read_outcome, verify_blind
from enactive.evaluation.hash_chain import Entry, HashChain, line, link, parse
from enactive.evaluation.plan import Rules, evaluation_plan
from enactive.evaluation.results import EpisodeResult
from enactive.evaluation.statistics import mcnemar_exact
from enactive.policies.expert import ExpertPolicy
from enactive.policies.random_policy import RandomPolicy
from enactive.seeding import numpy_generator
from enactive.worlds.pool import WorldPool
from enactive.worlds.tabletop.world import Tabletop

CONFIG = ReachWorld.Config(max_steps=12)
SPEC = CONFIG.build().spec
PLAN = evaluation_plan(SPEC, ["left", "right"], 4)
NOISY = ExpertPolicy.Config(expert="reach_world:expert", privileged="truth", noise=0.4)


def policies():
    noisy = NOISY.build(SPEC)
    return {"noisy": noisy, "random": RandomPolicy(SPACE), "again": noisy}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("blind")
    with WorldPool(CONFIG, 0) as pool:
        run_blind(out, pool, policies(), PLAN)
    return out


def entries_of(directory: Path) -> list[Entry]:
    return parse((directory / LOG).read_text())


def rechained(rows: Sequence[tuple[str, dict]]) -> list[Entry]:
    """A log whose hashes fit: what somebody would write who knows how the chain works."""
    made: list[Entry] = []
    for kind, data in rows:
        made.append(link(kind, data, made[-1] if made else None))
    return made


# ---------------------------------------------------------------------------- the protocol


def test_it_proves_what_it_should(directory: Path) -> None:
    result = verify_blind(directory)
    assert result.problems == ()
    assert set(result.aliases) == {"P1", "P2", "P3"}
    assert set(result.aliases.values()) == {"noisy", "random", "again"}
    assert {rate.episodes for rate in result.rates.values()} == {len(PLAN)}
    assert result.rates["noisy"].successes > result.rates["random"].successes
    assert len(result.pairs) == 3
    assert verify_blind(directory, head=result.head).problems == ()
    assert not (directory / SECRET).exists()


def test_the_order_is_shuffled_in_rounds_of_one_start(directory: Path) -> None:
    outcomes = [e.data for e in entries_of(directory) if e.kind == OUTCOME]
    groups = [outcomes[n : n + 3] for n in range(0, len(outcomes), 3)]
    for number, group in enumerate(groups):
        assert {one["round"] for one in group} == {number}
        assert {one["group"] for one in group} == {0}
        assert {one["alias"] for one in group} == {"P1", "P2", "P3"}
        assert len({(one["task"], one["seed"]) for one in group}) == 1
    assert len({tuple(one["alias"] for one in group) for group in groups}) > 1
    starts = [(group[0]["task"], group[0]["seed"]) for group in groups]
    assert starts != [(one.task.name, one.seed) for one in PLAN]
    assert sorted(starts) == sorted((one.task.name, one.seed) for one in PLAN)


def test_before_the_end_nothing_names_a_policy(directory: Path) -> None:
    lines = (directory / LOG).read_text().splitlines()
    assert [json.loads(row)["kind"] for row in lines[-2:]] == [CLOSED, REVEALED]
    for name in policies():
        assert not any(name in row for row in lines[:-1])
    with Journal.open(directory / "journal.sqlite") as journal:
        for header in journal.finished():
            assert header.policy == "blind" and "noise" not in json.dumps(header.to_dict())


def test_a_policy_under_two_aliases_is_not_run_twice_alike(directory: Path) -> None:
    found = verify_blind(directory)
    names = {name: alias for alias, name in found.aliases.items()}
    actions: dict[tuple[int, str], bytes] = {}
    with Journal.open(directory / "journal.sqlite") as journal:
        for entry in entries_of(directory):
            if entry.kind == OUTCOME:
                played = journal.read(entry.data["episode"]).actions
                actions[entry.data["round"], entry.data["alias"]] = played[:3].tobytes()
    for group in range(len(PLAN)):
        assert actions[group, names["noisy"]] != actions[group, names["again"]]


def test_nine_policies_are_two_groups(tmp_path: Path) -> None:
    nine = {f"policy {n}": RandomPolicy(SPACE) for n in range(9)}
    with WorldPool(CONFIG, 0) as pool:
        log = run_blind(tmp_path, pool, nine, PLAN[:2])
    assert verify_blind(tmp_path).problems == ()
    members = log.entries[0].data["groups"]
    assert [len(group) for group in members] == [4, 5]
    for number in range(2):
        played = [e.data for e in log.of_kind(OUTCOME) if e.data["round"] == number]
        assert [one["group"] for one in played] in ([0] * 4 + [1] * 5, [1] * 5 + [0] * 4)
        for group in (0, 1):
            assert {one["alias"] for one in played if one["group"] == group} == {*members[group]}


def test_an_interrupted_evaluation_goes_on(tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    heard: list[EpisodeResult] = []

    def stop(result: EpisodeResult) -> None:
        heard.append(result)
        if len(heard) == 7:
            raise Stop

    with WorldPool(CONFIG, 0) as pool:
        with pytest.raises(Stop):
            run_blind(tmp_path, pool, policies(), PLAN, listener=stop)
        early = verify_blind(tmp_path)
        assert early.aliases == {} and set(early.rates) <= {"P1", "P2", "P3"}
        assert early.problems == ("the policies are not revealed: the evaluation is not over",)
        assert os.stat(tmp_path / SECRET).st_mode & 0o077 == 0
        with pytest.raises(BlindError, match="another blind evaluation"):
            run_blind(tmp_path, pool, policies(), PLAN[:3])
        log = run_blind(tmp_path, pool, policies(), PLAN)
        assert verify_blind(tmp_path).problems == ()
        assert run_blind(tmp_path, pool, policies(), PLAN).head == log.head  # over: nothing runs
    assert len(log.of_kind(COMMITTED)) == 1 and len(log.of_kind(OUTCOME)) == 24


# ------------------------------------------------------------------------------- tampering


def drop(rows):
    del rows[5]


def reorder(rows):
    rows[3], rows[4] = rows[4], rows[3]


def reveal_early(rows):
    rows.insert(6, rows.pop())


def reveal_twice(rows):
    rows.insert(6, rows[-1])


def swap_policies(rows):
    data = json.loads(json.dumps(rows[-1][1]))
    names = data["assignment"]
    names["P1"], names["P2"] = names["P2"], names["P1"]
    rows[-1] = (REVEALED, data)


def other_start(rows):
    rows[4] = (OUTCOME, {**rows[4][1], "seed": 5})


def other_starts(rows):
    for place in range(1, 4):  # a whole round, so that its policies still share a start
        rows[place] = (OUTCOME, {**rows[place][1], "seed": 5})


def other_group(rows):
    rows[4] = (OUTCOME, {**rows[4][1], "group": 1})


def rated_after_all(rows):
    rows[0] = (COMMITTED, {**rows[0][1], "raters": ["anna"]})


def repeat(rows):
    rows.insert(5, rows[4])


def no_commitment(rows):
    del rows[0]


def other_policy(rows):
    data = json.loads(json.dumps(rows[-1][1]))
    data["descriptions"]["noisy"] = "0" * 16
    rows[-1] = (REVEALED, data)


@pytest.mark.parametrize(
    "change",
    [drop, reorder, reveal_early, reveal_twice, swap_policies, other_start, other_starts,
     other_group, rated_after_all, repeat, no_commitment, other_policy],
)  # fmt: skip
def test_tampering_is_found_even_where_the_chain_was_mended(
    directory: Path, change: Callable[[list], None]
) -> None:
    rows = [(entry.kind, dict(entry.data)) for entry in entries_of(directory)]
    assert check_log(rechained(rows)) == []
    change(rows)
    assert check_log(rechained(rows)) != []


def test_an_edited_outcome_is_found(directory: Path, tmp_path: Path) -> None:
    entries = entries_of(directory)
    flipped = {**entries[4].data, "success": not entries[4].data["success"]}
    plain = [*entries]
    plain[4] = replace(entries[4], data=flipped)
    (tmp_path / LOG).write_text("".join(map(line, plain)))
    assert "line 5 was changed" in verify_blind(tmp_path).problems[0]
    rows = [(entry.kind, dict(entry.data)) for entry in entries]
    rows[4] = (OUTCOME, flipped)
    (tmp_path / LOG).write_text("".join(map(line, rechained(rows))))
    # Whoever mends the chain is betrayed by the published head, or by the recordings.
    assert "the log was rewritten" in verify_blind(tmp_path, head=entries[-1].hash).problems[0]
    (tmp_path / "journal.sqlite").write_bytes((directory / "journal.sqlite").read_bytes())
    assert "says otherwise" in verify_blind(tmp_path).problems[0]


def test_a_missing_log() -> None:
    assert verify_blind(Path("nowhere")).problems


# ------------------------------------------------------------------------------------- A/A


def simulated(run: int, starts: int, chance: float, directory: Path) -> list[Entry]:
    """The log of an evaluation of one policy under two names, outcomes drawn at random."""
    generator = numpy_generator(run, "blind A/A")
    salt = f"{run + 1:064x}"
    sealed = seal(["one", "same"], {"one": "h", "same": "h"}, salt)
    plan = evaluation_plan(SPEC, ["left"], starts)
    log, _ = begin_blind(directory, plan, sealed, {})
    hard = generator.beta(2 * chance, 2 * (1 - chance), size=starts)
    rows: list[tuple[str, dict]] = [(COMMITTED, dict(log.entries[0].data))]
    for turn, episode in schedule(plan, 2, salt):
        success = bool(generator.random() < hard[turn.round])
        task = {"task": "left", "instruction": episode.task.instruction, "perturbations": []}
        place = {"round": turn.round, "group": turn.group, "alias": turn.alias}
        rows.append((OUTCOME, {**place, **task, "seed": episode.seed, "success": success}))
    rows += [(CLOSED, {"outcomes": 2 * starts}), (REVEALED, to_dict(sealed))]
    return rechained(rows)


def test_a_policy_against_itself_differs_at_most_at_the_stated_rate(tmp_path: Path) -> None:
    """Through the whole protocol, log and verification included."""
    false = 0
    for run in range(200):
        entries = simulated(run, 25, 0.6, tmp_path / str(run))
        result = read_outcome(entries, check_log(entries))
        assert result.problems == ()
        false += bool(result.differing(0.05))
    assert false / 200 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


def test_a_real_policy_against_itself_finds_nothing(tmp_path: Path) -> None:
    """Small evaluations in the tabletop, from episodes to verification; `bench/blind_aa.py` runs
    hundreds."""
    pytest.importorskip("mujoco")
    config = Tabletop.Config(cameras=(), states=("proprio",))
    rules = Rules(max_steps=18, success_hold=0)
    found: list[tuple[int, int, float]] = []
    with WorldPool(config, 0) as pool:
        noisy = ExpertPolicy.Config(noise=0.2).build(pool.spec)
        for run in range(6):
            plan = evaluation_plan(
                pool.spec, ["touch-red-cube"], 8, first_seed=100 * run, wording="canonical"
            )
            run_blind(
                tmp_path / str(run), pool, {"one": noisy, "same": noisy}, plan, rules=rules,
                salt=f"{run + 1:064x}",
            )  # fmt: skip
            result = verify_blind(tmp_path / str(run))
            assert result.problems == ()
            (pair,) = result.pairs
            found.append((*(result.rates[n].successes for n in ("one", "same")), pair.p_adjusted))
    assert sum(p <= 0.05 for *_, p in found) <= 1  # two of six: once in thirty, at 5 %
    ones, sames = (sum(row[place] for row in found) for place in (0, 1))
    assert 8 < ones < 40 and 8 < sames < 40
    assert abs(ones - sames) < 3 * np.sqrt(48 * 0.5)


def test_many_aliases_of_one_policy_over_ten_thousand_evaluations() -> None:
    """The familywise rate of the same tests, vectorised: five aliases, ten comparisons."""
    runs, starts, aliases = 10_000, 30, 5
    generator = numpy_generator(0, "many aliases")
    hard = generator.beta(1.0, 1.0, size=(runs, starts, 1))
    success = generator.random((runs, starts, aliases)) < hard
    table = np.array([[mcnemar_exact(a, b) for b in range(31)] for a in range(31)])
    smallest = np.ones(runs)
    for one in range(aliases):
        for other in range(one):
            more = (success[..., one] & ~success[..., other]).sum(axis=1)
            less = (success[..., other] & ~success[..., one]).sum(axis=1)
            smallest = np.minimum(smallest, table[more, less])
    assert (smallest * 10 <= 0.05).mean() <= 0.05  # Holm rejects one exactly where this holds
    outcomes = {f"P{n}": dict(enumerate(success[0, :, n].tolist())) for n in range(aliases)}
    pairs = compare_all(outcomes)
    assert min(pair.p_adjusted for pair in pairs) == pytest.approx(min(1.0, smallest[0] * 10))


def test_aliases_are_drawn_at_random() -> None:
    names = ["a", "b", "c"]
    drawn = {tuple(seal(names, dict.fromkeys(names, "h")).assignment.values()) for _ in range(150)}
    assert len(drawn) == 6
    assert len({seal(names, dict.fromkeys(names, "h")).commitment for _ in range(5)}) == 5
    with pytest.raises(BlindError, match="all different"):
        seal(["a", "a"], {"a": "h"})
    with pytest.raises(BlindError, match="start twice"):
        schedule([PLAN[0], PLAN[0]], 2, "0")


# ------------------------------------------------------------------------------ the command


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A/A of one policy in a small real run, then the log is checked, then broken."""
    out = str(tmp_path / "blind")
    words = [
        "blind", "random", "random", "--world", "reach_world:ReachWorld.Config", "--tasks", "left",
        "right", "--episodes", "4", "--workers", "0", "--out", out,
    ]  # fmt: skip
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "random #1" in said and "random #2" in said and "proves order" in said
    head = HashChain(Path(out) / LOG).head
    assert main(["blind", "--verify", out, "--head", head[:12]]) == 0
    assert main(["blind", "--verify", out, "--head", "0000"]) == 1
    assert "rewritten" in capsys.readouterr().out
    path = Path(out) / LOG
    path.write_text(path.read_text().replace('"success": false', '"success": true', 1))
    assert main(["blind", "--verify", out]) == 1
    assert main(["blind", "--rate", out]) == 2
    assert "world's own test judged" in capsys.readouterr().err
    assert main(["blind", "random", "--out", out]) == 2
    assert "two or more" in capsys.readouterr().err
