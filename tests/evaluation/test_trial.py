"""Registered comparisons: the hash chain, refusals, early stops, resuming."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reach_world import SPACE, ReachWorld

from enactive.cli import main
from enactive.evaluation.evaluate import evaluate
from enactive.evaluation.hash_chain import ChainBroken, Entry, HashChain, line, link, parse
from enactive.evaluation.plan import Rules, evaluation_plan
from enactive.evaluation.registration import (
    LOG,
    REGISTRATION,
    Analysis,
    Registration,
    RegistrationError,
    register,
    shuffled,
)
from enactive.evaluation.results import EpisodeResult, Evaluation
from enactive.evaluation.sequential import StoppingRule
from enactive.evaluation.sequential_comparison import (
    TrialVerdict,
    deviations,
    make_registration,
    run_trial,
)
from enactive.policies.expert import ExpertPolicy
from enactive.policies.random_policy import RandomPolicy
from enactive.worlds.pool import WorldPool

CONFIG = ReachWorld.Config()
SPEC = CONFIG.build().spec
PLAN = shuffled(evaluation_plan(SPEC, ["left", "right"], 20), 3)
SEQUENTIAL = Analysis(block=4)


def policy(name: str):
    config = ExpertPolicy.Config(expert=f"reach_world:{name}", privileged="truth")
    return RandomPolicy(SPACE) if name == "random" else config.build(SPEC)


def trial(
    out: Path, first: str, second: str, analysis: Analysis = SEQUENTIAL, plan=PLAN, listener=None
) -> TrialVerdict:
    with WorldPool(CONFIG, 0) as pool:
        one, other = policy(first), policy(second)
        registration = make_registration(pool, one, other, plan, analysis)
        register(out, registration)
        return run_trial(out, pool, one, other, listener=listener)


# ------------------------------------------------------------------------------ the log


def chain(count: int) -> list[Entry]:
    entries: list[Entry] = []
    for number in range(count):
        previous = entries[-1] if entries else None
        entries.append(link("note", {"number": number, "value": number / 3}, previous))
    return entries


@settings(max_examples=50)
@given(st.data())
def test_every_change_of_a_log_is_detected(data: st.DataObject) -> None:
    entries = chain(data.draw(st.integers(3, 8)))
    assert parse("".join(map(line, entries))) == entries
    place = data.draw(st.integers(0, len(entries) - 2))
    kind = data.draw(st.sampled_from(["edit", "drop", "swap", "repeat", "rename", "rehash"]))
    changed = list(entries)
    if kind == "edit":
        changed[place] = replace(entries[place], data={"number": place, "value": -1})
    elif kind == "drop":
        del changed[place]
    elif kind == "swap":
        changed[place], changed[place + 1] = changed[place + 1], changed[place]
    elif kind == "repeat":
        changed.insert(place, entries[place])
    elif kind == "rename":
        changed[place] = replace(entries[place], kind="other")
    else:  # a whole new entry in place of an old one, with a hash that fits itself
        previous = entries[place - 1] if place else None
        changed[place] = link("note", {"value": -1}, previous)
    with pytest.raises(ChainBroken, match="line"):
        parse("".join(map(line, changed)))


def test_half_a_line_at_the_end_was_never_written(tmp_path: Path) -> None:
    log = HashChain(tmp_path / "log.jsonl")
    for number in range(3):
        log.append("note", {"number": number})
    whole = log.path.read_text()
    log.path.write_text(whole + whole[:40])
    again = HashChain(log.path)
    assert again.entries == log.entries and log.path.read_text() == whole
    again.append("note", {"number": 3})
    assert HashChain(log.path).head == again.head != log.head
    with pytest.raises(ChainBroken, match="cut off"):
        parse(whole + whole[:40])


# -------------------------------------------------------------------------- registration


def test_a_registration_is_what_was_hashed(tmp_path: Path) -> None:
    with WorldPool(CONFIG, 0) as pool:
        made = make_registration(pool, policy("random"), policy("expert"), PLAN, SEQUENTIAL)
    log = register(tmp_path, made)
    path = tmp_path / REGISTRATION
    assert Registration.load(path) == made
    assert [entry.data["hash"] for entry in log.entries] == [made.hash]
    assert register(tmp_path, made).head == log.head  # once more changes nothing
    with pytest.raises(RegistrationError, match="differs: hypothesis"):
        register(tmp_path, replace(made, hypothesis="something else"))
    text = path.read_text()
    for old, new in [
        ('"significance": 0.05', '"significance": 0.5'),
        ('"seed": 1000001', '"seed": 1'),
    ]:
        assert old in text
        path.write_text(text.replace(old, new))
        with pytest.raises(RegistrationError, match="changed after it was registered"):
            Registration.load(path)
    forged = replace(made, analysis=Analysis(rule=StoppingRule(significance=0.5)))
    forged.save(path)  # a file that is consistent in itself, but not the one in the log
    with WorldPool(CONFIG, 0) as pool, pytest.raises(RegistrationError, match="replaced"):
        run_trial(tmp_path, pool, policy("random"), policy("expert"))
    assert len({one.seed for one in made.episodes[:6]}) > 3  # an order drawn at random
    assert sorted(one.key for one in made.episodes) == sorted(one.key for one in PLAN)


def test_only_what_was_registered_runs(tmp_path: Path) -> None:
    with WorldPool(CONFIG, 0) as pool:
        random, expert = policy("random"), policy("expert")
        register(tmp_path, make_registration(pool, random, expert, PLAN, SEQUENTIAL))
        with pytest.raises(RegistrationError, match="second policy"):
            run_trial(tmp_path, pool, random, policy("clumsy_expert"))
        with pytest.raises(RegistrationError, match="protocol"):
            run_trial(tmp_path, pool, random, expert, rules=Rules(max_steps=7))
        with pytest.raises(RegistrationError, match="no registration"):
            run_trial(tmp_path / "empty", pool, random, expert)


# --------------------------------------------------------------------------------- trials


def test_it_stops_once_it_is_decided(tmp_path: Path) -> None:
    verdict = trial(tmp_path, "random", "expert")
    assert verdict.decision == "second" and "is better than random" in verdict.sentence
    assert verdict.counts.pairs < len(PLAN) and verdict.counts.pairs % 4 == 0
    assert verdict.p_value <= 0.05 and verdict.difference.low > 0
    assert verdict.deviations == ()
    log = HashChain(tmp_path / LOG)
    assert verdict.head == log.head and verdict.registration == log.entries[0].data["hash"]
    assert json.loads((tmp_path / "verdict.json").read_text())["sentence"] == verdict.sentence
    # The evaluations are those that would have come without a trial.
    with WorldPool(CONFIG, 0) as pool:
        for role, name in (("first", "random"), ("second", "expert")):
            kept = Evaluation.load(tmp_path / role / "evaluation.json")
            alone = evaluate(pool, policy(name), PLAN[: verdict.counts.pairs])
            assert [e.success for e in kept.episodes] == [e.success for e in alone.episodes]
            assert [e.steps for e in kept.episodes] == [e.steps for e in alone.episodes]
            assert kept.protocol == alone.protocol
    assert (
        trial(tmp_path, "random", "expert") == verdict
    )  # finished: nothing runs, nothing is added
    assert HashChain(tmp_path / LOG).head == verdict.head


def test_an_interrupted_trial_goes_on(tmp_path: Path) -> None:
    whole = trial(tmp_path / "whole", "clumsy_expert", "expert")

    class Stop(Exception):
        pass

    heard: list[EpisodeResult] = []

    def stop(result: EpisodeResult) -> None:
        heard.append(result)
        if len(heard) == 14:  # in the second block, before its second policy was through
            raise Stop

    with pytest.raises(Stop):
        trial(tmp_path / "cut", "clumsy_expert", "expert", listener=stop)
    assert len(HashChain(tmp_path / "cut" / LOG).of_kind("block")) == 1
    resumed = trial(tmp_path / "cut", "clumsy_expert", "expert")
    assert resumed.deviations == ("interrupted and resumed 1 times",)
    assert replace(resumed, head="", deviations=()) == replace(whole, head="")


def test_a_lost_journal_is_noticed(tmp_path: Path) -> None:
    trial(tmp_path, "random", "expert")
    log = HashChain(tmp_path / LOG)
    block = log.of_kind("block")[0]
    flipped = {**block.data, "outcomes": [[1 - a, b] for a, b in block.data["outcomes"]]}
    forged: list[Entry] = []  # a chain that is whole, but tells of other outcomes
    for entry in log.entries:
        data = flipped if entry.number == block.number else entry.data
        forged.append(link(entry.kind, data, forged[-1] if forged else None))
    log.path.write_text("".join(map(line, forged)))
    with pytest.raises(RegistrationError, match="block 0 is not what the log says"):
        trial(tmp_path, "random", "expert")


def test_a_policy_against_itself(tmp_path: Path) -> None:
    analysis = Analysis(rule=StoppingRule(margin=0.4), block=5)
    verdict = trial(tmp_path / "margin", "expert", "expert", analysis)
    assert verdict.decision == "equivalent" and "differ by less than 40.0%" in verdict.sentence
    assert verdict.counts.pairs < len(PLAN)
    short = trial(tmp_path / "short", "expert", "expert", plan=PLAN[:8])
    assert short.decision is None and short.sentence.startswith("undecided")
    assert short.deviations == () and short.p_value == 1.0


def test_a_fixed_sample_is_judged_once(tmp_path: Path) -> None:
    verdict = trial(tmp_path, "random", "expert", Analysis(sequential=False, block=16))
    assert verdict.counts.pairs == len(PLAN) == verdict.planned
    assert verdict.decision == "second" and verdict.difference.method == "tango"
    log = HashChain(tmp_path / LOG)
    assert [e.data["decision"] for e in log.of_kind("block")] == [None, None, "second"]


def test_deviations_are_named(tmp_path: Path) -> None:
    with WorldPool(CONFIG, 0) as pool:
        made = make_registration(pool, policy("random"), policy("expert"), PLAN, SEQUENTIAL)
    log = register(tmp_path, replace(made, code_version="0.0.1"))
    block = {"number": 0, "outcomes": [[0, 1]] * 4, "decision": "second"}
    log.append("started", {"code_version": made.code_version})
    log.append("block", {**block, "decision": None})
    assert deviations(replace(made, code_version="0.0.1"), log) == [
        f"run with version {made.code_version}, registered with 0.0.1",
        "stopped undecided after 4 of 40 pairs",
    ]
    log.append("block", {**block, "number": 1})
    log.append("block", {**block, "number": 2})
    assert deviations(made, log) == ["went on for 1 blocks after it was decided"]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "trial", "random", "hold", "--world", "reach_world:ReachWorld.Config", "--tasks", "left",
        "--episodes", "6", "--workers", "0", "--out", str(tmp_path / "trial"), "--block", "3",
    ]  # fmt: skip
    assert main([*words, "--register"]) == 0
    registered = capsys.readouterr().out
    assert not (tmp_path / "trial" / "verdict.json").exists()
    assert main(words) == 0
    said = capsys.readouterr().out
    assert registered.strip() in said and "deviation: none" in said and "6 of 6 pairs" in said
    assert main([*words, "--significance", "0.2"]) == 2
    assert "what differs: analysis" in capsys.readouterr().err
