"""Reading the log of a blind evaluation: does it prove what it should, and what came out?"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from enactive.configuration import ConfigurationError, from_dict
from enactive.episodes.journal import Journal
from enactive.evaluation.blind import (
    CLOSED,
    COMMITTED,
    JOURNAL,
    LOG,
    OUTCOME,
    REVEALED,
    Sealed,
)
from enactive.evaluation.hash_chain import ChainBroken, Entry, parse
from enactive.evaluation.results import Rate, rate
from enactive.evaluation.statistics import Interval, holm, mcnemar_exact, tango
from enactive.seeding import numpy_generator


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
    except (ChainBroken, OSError) as error:
        return BlindResult(
            commitment="", head="", aliases={}, rates={}, pairs=(), problems=(str(error),)
        )
    problems = check_log(entries)
    if head is not None and (not entries or entries[-1].hash != head):
        problems.append("the last entry's hash is not the published one: the log was rewritten")
    problems += _against_journal(entries, directory / JOURNAL)
    return read_outcome(entries, problems)


def check_log(entries: Sequence[Entry]) -> list[str]:
    """What keeps a chain of entries from proving that the evaluation was blind and complete."""
    if not entries or entries[0].kind != COMMITTED:
        return ["the log does not begin with a commitment"]
    problems: list[str] = []
    public = entries[0].data
    outcomes = [entry for entry in entries if entry.kind == OUTCOME]
    kinds = [entry.kind for entry in entries]
    expected = [COMMITTED, *[OUTCOME] * len(outcomes), CLOSED, REVEALED]
    if kinds != expected[: len(kinds)]:
        wrong = next(n for n, (a, b) in enumerate(itertools.zip_longest(kinds, expected)) if a != b)
        problems.append(f"entry {wrong} is {kinds[wrong]!r} where {expected[wrong:][:1]} belongs")
    if REVEALED in kinds and OUTCOME in kinds[kinds.index(REVEALED) :]:
        problems.append("the policies were revealed before the last outcome")
    if REVEALED not in kinds:
        problems.append("the policies are not revealed: the evaluation is not over")
        return problems
    try:
        sealed = from_dict(Sealed, entries[kinds.index(REVEALED)].data)
    except ConfigurationError as error:
        return [*problems, f"what was revealed cannot be read: {error}"]
    if sealed.commitment != public.get("commitment"):
        problems.append("what was revealed is not what was committed to")
    if sorted(sealed.assignment) != public.get("aliases"):
        problems.append("the aliases are not those that were announced")
    if sorted(sealed.descriptions.values()) != public.get("policies"):
        problems.append("the policies are not those that were announced")
    problems += _against_schedule(outcomes, sealed, int(public.get("starts", 0)))
    return problems


def read_outcome(entries: Sequence[Entry], problems: Sequence[str] = ()) -> BlindResult:
    """Rates and paired comparisons of a log's outcomes."""
    revealed = [entry for entry in entries if entry.kind == REVEALED]
    names: dict[str, str] = dict(revealed[-1].data["assignment"]) if revealed else {}
    table: dict[str, dict[int, bool]] = {}
    for entry in entries:
        if entry.kind == OUTCOME:
            alias = str(entry.data["alias"])
            found = table.setdefault(names.get(alias, alias), {})
            found[int(entry.data["group"])] = bool(entry.data["success"])
    policies = sorted(table)
    return BlindResult(
        commitment=str(entries[0].data.get("commitment", "")) if entries else "",
        head=entries[-1].hash if entries else "",
        aliases=names,
        rates={name: rate(table[name].values()) for name in policies},
        pairs=compare_all({name: table[name] for name in policies}),
        problems=tuple(problems),
    )


def compare_all(table: Mapping[str, Mapping[int, bool]]) -> tuple[BlindPair, ...]:
    """Every two policies on the starts that both have, with Holm's correction.

    Args:
        table: policy to group to success.
    """
    rows: list[tuple[str, str, Interval, float]] = []
    for first, second in itertools.combinations(table, 2):
        shared = table[first].keys() & table[second].keys()
        if shared:
            less = sum(table[first][g] and not table[second][g] for g in shared)
            more = sum(table[second][g] and not table[first][g] for g in shared)
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
        low, high = found.interval.low, found.interval.high
        lines.append(
            f"{by_name.get(name, '?'):>4}  {name}: {found.successes}/{found.episodes}, "
            f"{low:.0%} to {high:.0%}"
        )
    for pair in result.pairs:
        low, high = pair.difference.low, pair.difference.high
        lines.append(
            f"{pair.second} - {pair.first}: {pair.difference.estimate:+.1%} [{low:+.1%}, "
            f"{high:+.1%}], p = {pair.p_value:.3g}, Holm {pair.p_adjusted:.3g}"
        )
    return "\n".join(lines)


def _against_schedule(outcomes: Sequence[Entry], sealed: Sealed, starts: int) -> list[str]:
    """Whether groups and aliases came in the order that the salt fixes, each once."""
    aliases = sorted(sealed.assignment)
    generator = numpy_generator(int(sealed.salt, 16), "blind order")
    generator.permutation(starts)
    expected = [
        (group, aliases[chosen])
        for group in range(starts)
        for chosen in generator.permutation(len(aliases)).tolist()
    ]
    found = [(entry.data.get("group"), entry.data.get("alias")) for entry in outcomes]
    problems: list[str] = []
    missing = [run for run in expected if run not in set(found)]
    if missing:
        problems.append(f"{len(missing)} outcomes are missing, the first of {missing[0]}")
    elif found != expected:
        problems.append("the outcomes are not in the order that was committed to")
    keys = ("task", "instruction", "seed")
    by_group: dict[Any, set[str]] = {}
    for entry in outcomes:
        start = json.dumps([entry.data.get(key) for key in keys])
        by_group.setdefault(entry.data.get("group"), set()).add(start)
    if any(len(found) > 1 for found in by_group.values()):
        problems.append("the policies of a group did not meet the same start")
    return problems


def _against_journal(entries: Sequence[Entry], path: Path) -> list[str]:
    """Whether the recorded episodes say the same, where they are there and nobody rated."""
    if not path.is_file() or not entries or entries[0].data.get("conditions", {}).get("rated"):
        return []
    problems: list[str] = []
    with Journal.open(path) as journal:
        known = {header.id for header in journal.finished()}
        for entry in entries:
            if entry.kind == OUTCOME:
                name = str(entry.data["episode"])
                if name not in known:
                    problems.append(f"entry {entry.number}: episode {name} is not recorded")
                elif journal.outcome(name).success != entry.data["success"]:
                    problems.append(f"entry {entry.number}: the recording of {name} says otherwise")
    return problems
