"""Reading the log of a blind evaluation: does it prove what it should, and what came out?"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from enactive.configuration import ConfigurationError, from_dict
from enactive.episodes.journal import Journal, JournalError
from enactive.evaluation.agreement import Agreement, agreement
from enactive.evaluation.blind import (
    CLOSED,
    COMMITTED,
    FORMAT,
    JOURNAL,
    LOG,
    OUTCOME,
    PLAYED,
    RATINGS,
    REVEALED,
    Sealed,
    recording_hash,
)
from enactive.evaluation.blind_rating import BEGUN, HANDED_IN, Rating, ratings_file, standing
from enactive.evaluation.blind_schedule import aliases, turns
from enactive.evaluation.hash_chain import ChainBroken, Entry, digest, parse
from enactive.evaluation.results import Rate, rate
from enactive.evaluation.statistics import Interval, holm, mcnemar_exact, tango

Sheets = Mapping[str, Mapping[int, Rating]]
"""Rater to trial (from 1) to rating."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BlindPair:
    """Two policies of a blind evaluation on the same starts."""

    first: str
    second: str
    difference: Interval
    """Second minus first, Tango's score interval."""
    p_value: float
    """Exact McNemar, two-sided."""
    p_adjusted: float
    """After Holm's correction for looking at every pair."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BlindResult:
    """What a blind evaluation found, and whether its log proves that it was blind."""

    commitment: str
    head: str
    """Hash of the log's last entry."""
    aliases: Mapping[str, str]
    """Alias to policy; empty where the log does not reveal it."""
    rates: Mapping[str, Rate]
    """By policy, or by alias before it is revealed."""
    pairs: tuple[BlindPair, ...]
    stages: Mapping[str, Mapping[str, Rate]]
    """By policy: how many trials came at least so far; empty without stages."""
    skipped: int
    """Trials that no rater could judge; they and the comparisons they were in do not count."""
    agreements: tuple[Agreement, ...]
    """Of every two raters."""
    problems: tuple[str, ...]
    """What the log fails to prove; empty if it proves everything."""

    def differing(self, significance: float = 0.05) -> tuple[BlindPair, ...]:
        """The pairs that differ, at this familywise error rate."""
        return tuple(pair for pair in self.pairs if pair.p_adjusted <= significance)


def verify_blind(directory: Path, *, head: str | None = None) -> BlindResult:
    """Check the log in ``directory`` and read the outcome from it.

    Args:
        head: the published hash of the last entry; with it, a log that was rewritten as a whole is
            found out as well.
    """
    path = directory / LOG
    try:
        entries = parse(path.read_text(encoding="utf-8"), str(path))
        found, problems = _read_ratings(directory, entries)
        problems = [*check_log(entries), *problems]
        if head is not None and (not entries or entries[-1].hash != head):
            problems.append("the last entry's hash is not the published one: the log was rewritten")
        problems += _against_journal(entries, directory / JOURNAL)
        return read_outcome(entries, problems, found)
    except (ChainBroken, OSError) as error:
        return read_outcome([], [str(error)])
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        # The hashes fit, but nothing of ours writes such entries.
        return read_outcome([], [f"{path}: an entry is not what it should be: {error!r}"])


def check_log(entries: Sequence[Entry]) -> list[str]:
    """What keeps a chain of entries from proving that the evaluation was blind and complete."""
    if not entries or entries[0].kind != COMMITTED:
        return ["the log does not begin with a commitment"]
    public = entries[0].data
    if public.get("format") != FORMAT:
        return [f"the log's format is {public.get('format')!r}; this code reads {FORMAT}"]
    problems: list[str] = []
    raters: list[str] = list(public.get("raters", []))
    trial = PLAYED if raters else OUTCOME
    trials = [entry for entry in entries if entry.kind == trial]
    kinds = [entry.kind for entry in entries]
    expected = [COMMITTED, *[trial] * len(trials), *[RATINGS] * len(raters), CLOSED, REVEALED]
    if kinds != expected[: len(kinds)]:
        wrong = next(n for n, (a, b) in enumerate(itertools.zip_longest(kinds, expected)) if a != b)
        problems.append(f"entry {wrong} is {kinds[wrong]!r} where {expected[wrong:][:1]} belongs")
    if REVEALED in kinds and trial in kinds[kinds.index(REVEALED) :]:
        problems.append("the policies were revealed before the last outcome")
    if REVEALED not in kinds:
        problems.append("the policies are not revealed: the evaluation is not over")
        return problems
    handed_in = [entry.data.get("rater") for entry in entries if entry.kind == RATINGS]
    if sorted(map(str, handed_in)) != sorted(raters):
        problems.append(f"ratings are of {handed_in}, but {raters} were to rate")
    try:
        sealed = from_dict(Sealed, entries[kinds.index(REVEALED)].data)
    except ConfigurationError as error:
        return [*problems, f"what was revealed cannot be read: {error}"]
    if sealed.commitment != public.get("commitment"):
        problems.append("what was revealed is not what was committed to")
    if [*sealed.assignment] != public.get("aliases"):
        problems.append("the aliases are not those that were announced")
    if sorted(sealed.descriptions.values()) != public.get("policies"):
        problems.append("the policies are not those that were announced")
    problems += _against_schedule(trials, sealed, int(public.get("starts", 0)), public.get("plan"))
    return problems


def read_outcome(
    entries: Sequence[Entry], problems: Sequence[str] = (), sheets: Sheets | None = None
) -> BlindResult:
    """Rates and paired comparisons of a log's outcomes.

    A rated trial is a success where more than half of the raters who judged it say so, and came as
    far as more than half of them say.
    """
    sheets = sheets or {}
    revealed = [entry for entry in entries if entry.kind == REVEALED]
    names: dict[str, str] = dict(revealed[-1].data["assignment"]) if revealed else {}
    stages: list[str] = list(entries[0].data.get("stages", [])) if entries else []
    table: dict[str, dict[int, bool]] = {}
    came: dict[str, dict[str, list[bool]]] = {}
    skipped = 0
    trials = [entry for entry in entries if entry.kind in (OUTCOME, PLAYED)]
    for number, entry in enumerate(trials, start=1):
        alias = str(entry.data["alias"])
        name, turn = names.get(alias, alias), int(entry.data["round"])
        found = table.setdefault(name, {})
        if entry.kind == OUTCOME:
            found[turn] = bool(entry.data["success"])
            continue
        given = [sheet[number] for sheet in sheets.values() if number in sheet]
        judged = [one for one in given if one.verdict != "skipped"]
        if not judged:
            skipped += bool(given)
            continue
        far = [_how_far(one, stages) for one in judged]
        found[turn] = _most(reached > len(stages) for reached in far)
        for place, stage in enumerate(stages, start=1):
            reached = came.setdefault(name, {}).setdefault(stage, [])
            reached.append(_most(one >= place for one in far))
    policies = sorted(name for name, found in table.items() if found)
    said = {
        rater: {n: one.verdict == "success" for n, one in sheet.items() if one.verdict != "skipped"}
        for rater, sheet in sheets.items()
    }
    both = (agreement(a, b, said[a], said[b]) for a, b in itertools.combinations(said, 2))
    return BlindResult(
        commitment=str(entries[0].data.get("commitment", "")) if entries else "",
        head=entries[-1].hash if entries else "",
        aliases=names,
        rates={name: rate(table[name].values()) for name in policies},
        pairs=compare_all({name: table[name] for name in policies}),
        stages={
            name: {stage: rate(reached) for stage, reached in came[name].items()}
            for name in policies
            if name in came
        },
        skipped=skipped,
        agreements=tuple(one for one in both if one is not None),
        problems=tuple(problems),
    )


def _how_far(rating: Rating, stages: Sequence[str]) -> int:
    """How many stages a trial went through; a success one more than there are."""
    if rating.verdict == "success":
        return len(stages) + 1
    return stages.index(rating.stage) + 1 if rating.stage in stages else 0


def _most(votes: Iterable[bool]) -> bool:
    listed = list(votes)
    return 2 * sum(listed) > len(listed)


def compare_all(table: Mapping[str, Mapping[int, bool]]) -> tuple[BlindPair, ...]:
    """Every two policies on the starts that both have, with Holm's correction.

    Args:
        table: policy to round to success.
    """
    rows: list[tuple[str, str, Interval, float]] = []
    for first, second in itertools.combinations(table, 2):
        shared = table[first].keys() & table[second].keys()
        if shared:
            less = sum(table[first][r] and not table[second][r] for r in shared)
            more = sum(table[second][r] and not table[first][r] for r in shared)
            interval = tango(more, less, len(shared))
            rows.append((first, second, interval, mcnemar_exact(less, more)))
    adjusted = holm([p for *_, p in rows])
    return tuple(
        BlindPair(first=a, second=b, difference=interval, p_value=p, p_adjusted=q)
        for (a, b, interval, p), q in zip(rows, adjusted, strict=True)
    )


def as_text(result: BlindResult) -> str:
    """The result in words."""
    lines = [f"commitment {result.commitment}", f"head       {result.head}"]
    lines += [f"problem: {problem}" for problem in result.problems]
    if not result.problems:
        lines.append("the log proves order, completeness and blindness")
    by_name = {name: alias for alias, name in result.aliases.items()}
    for name, found in result.rates.items():
        lines.append(f"{by_name.get(name, '?'):>4}  {name}: {_in_words(found)}")
        for stage, reached in result.stages.get(name, {}).items():
            lines.append(f"        {stage} or further: {_in_words(reached)}")
    if result.skipped:
        lines.append(f"trials that could not be judged and do not count: {result.skipped}")
    for one in result.agreements:
        kappa = one.kappa
        lines.append(
            f"{one.first} and {one.second} agree on {one.alike.successes}/{one.alike.episodes}, "
            f"kappa {kappa.estimate:.2f} [{kappa.low:.2f}, {kappa.high:.2f}]"
        )
    for pair in result.pairs:
        low, high = pair.difference.low, pair.difference.high
        lines.append(
            f"{pair.second} - {pair.first}: {pair.difference.estimate:+.1%} [{low:+.1%}, "
            f"{high:+.1%}], p = {pair.p_value:.3g}, Holm {pair.p_adjusted:.3g}"
        )
    return "\n".join(lines)


def _in_words(found: Rate) -> str:
    low, high = found.interval.low, found.interval.high
    return f"{found.successes}/{found.episodes}, {low:.0%} to {high:.0%}"


def _read_ratings(directory: Path, entries: Sequence[Entry]) -> tuple[Sheets, list[str]]:
    """What the raters who handed in said, and what is wrong with it.

    Raises:
        ChainBroken: a rater's chain was changed.
        OSError: it is gone.
    """
    found: dict[str, dict[int, Rating]] = {}
    problems: list[str] = []
    played = [entry for entry in entries if entry.kind == PLAYED]
    raters: list[str] = list(entries[0].data.get("raters", [])) if entries else []
    for entry in entries:
        if entry.kind != RATINGS or (rater := str(entry.data["rater"])) not in raters:
            continue
        path = ratings_file(directory, raters.index(rater))
        chain = parse(path.read_text(encoding="utf-8"), str(path))
        if not chain or chain[-1].hash != entry.data["head"] or chain[-1].kind != HANDED_IN:
            problems.append(f"{path.name} is not what {rater} handed in")
            continue
        begun = chain[0].data if chain[0].kind == BEGUN else {}
        if begun.get("rater") != rater or begun.get("played") != played[-1].hash:
            problems.append(f"{rater} did not begin to rate after everything was played")
        found[rater] = standing(chain)
        if sorted(found[rater]) != list(range(1, len(played) + 1)):
            problems.append(f"{rater} has not rated every trial once")
    return found, problems


def _against_schedule(trials: Sequence[Entry], sealed: Sealed, starts: int, plan: Any) -> list[str]:
    """Whether groups, aliases and starts came in the order that the salt fixes, each once."""
    expected = turns(starts, aliases(len(sealed.assignment)), sealed.salt)
    keys = [(turn.round, turn.group, turn.alias) for turn in expected]
    found = [tuple(entry.data.get(key) for key in ("round", "group", "alias")) for entry in trials]
    missing = [key for key in keys if key not in set(found)]
    if missing:
        return [f"{len(missing)} outcomes are missing, the first of {missing[0]}"]
    if found != keys:
        return ["the outcomes are not in the order that was committed to"]
    by_start: dict[int, set[str]] = {}
    for turn, entry in zip(expected, trials, strict=True):
        fields = ("task", "instruction", "seed", "perturbations")
        start = json.dumps([entry.data.get(key) for key in fields])
        by_start.setdefault(turn.start, set()).add(start)
    if any(len(found) > 1 for found in by_start.values()):
        return ["the policies of a round did not meet the same start"]
    if digest([json.loads(by_start[place].pop()) for place in range(starts)]) != plan:
        return ["the starts are not those of the plan that was committed to"]
    return []


def _against_journal(entries: Sequence[Entry], path: Path) -> list[str]:
    """Whether the recorded episodes, where they are there, are those of the log."""
    if not path.is_file():
        return []
    problems: list[str] = []
    with Journal.open(path) as journal:
        known = {header.id for header in journal.finished()}
        for entry in entries:
            if entry.kind not in (OUTCOME, PLAYED):
                continue
            name = str(entry.data["episode"])
            if name not in known:
                problems.append(f"entry {entry.number}: episode {name} is not recorded")
            elif not _recorded(entry, name, journal):
                problems.append(f"entry {entry.number}: the recording of {name} says otherwise")
    return problems


def _recorded(entry: Entry, name: str, journal: Journal) -> bool:
    if entry.kind == OUTCOME:
        return journal.outcome(name).success == entry.data["success"]
    try:
        return recording_hash(journal.read(name)) == entry.data["recording"]
    except (JournalError, ValueError):
        return False
