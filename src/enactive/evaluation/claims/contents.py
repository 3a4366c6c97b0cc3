"""What a verdict page says, as tables and charts that Markdown and HTML both draw from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from enactive.evaluation.claims import charts
from enactive.evaluation.claims.claim import Figure
from enactive.evaluation.claims.results import Result, pooled_rates
from enactive.evaluation.claims.verdict import binary, means, names_of, shown


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table of plain texts."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: str = ""
    """One letter a column, ``n`` for numbers."""


def figures(result: Result) -> list[Figure]:
    """All pictures: hypotheses first, then outcomes, then the claim's own."""
    claim, found = result.claim, result.measurements
    seeds = f"{len(claim.seeds)} seeds"
    drawn = [
        Figure(
            title="Hypotheses",
            svg=charts.forest(result.verdict.hypotheses),
            caption="Circles are seeds, the bar is the 95 % interval of their mean (Student's t), "
            "the dashed line the threshold. The shaded side is where the value should lie.",
        )
    ]
    for name in names_of(found, "outcomes"):
        table = means(claim, found, "outcomes", name)
        picture = charts.arms(name, table, name)
        if picture:
            drawn.append(
                Figure(
                    title=name,
                    svg=picture,
                    caption=f"{name} of every arm: circles are seeds, the bar is the 95 % interval "
                    f"of the mean over {seeds}.",
                )
            )
    if claim.figures is not None and found:
        try:
            drawn += claim.figures(found)
        except Exception as error:  # a picture must not cost the page
            problem = f"could not be drawn: {type(error).__name__}: {error}"
            drawn.append(Figure(title="More pictures", svg=charts.sentence(problem)))
    return drawn


def hypotheses(result: Result) -> Table:
    """One row per hypothesis."""
    rows: list[tuple[str, ...]] = []
    for one in result.verdict.hypotheses:
        hypothesis = one.hypothesis
        sign = {"greater": ">", "less": "<"}[hypothesis.direction]
        if hypothesis.exact:
            sign = {">": "≥", "<": "≤"}[sign]
        unit = f" {hypothesis.unit}" if hypothesis.unit else ""
        rows.append(
            (
                hypothesis.name + ("" if hypothesis.primary else " (secondary)"),
                hypothesis.statement,
                f"{sign} {shown(hypothesis.threshold)}{unit}",
                str(one.ruling),
                one.reason,
            )
        )
    return Table(
        head=("hypothesis", "statement", "threshold", "ruling", "evidence"), rows=tuple(rows)
    )


def outcomes(result: Result, group: str) -> list[tuple[str, Table]]:
    """One table per outcome (or cost): arms by mean, interval, and every seed."""
    claim, found = result.claim, result.measurements
    tables: list[tuple[str, Table]] = []
    for name in names_of(found, group):
        rows: list[tuple[str, ...]] = []
        for arm, (values, interval) in means(claim, found, group, name).items():
            ends = "" if interval is None else f"[{shown(interval.low)}, {shown(interval.high)}]"
            seeds = (
                shown(values[seed]) if seed in values else "–"
                for seed in claim.seeds
            )  # fmt: skip
            rows.append((arm, shown(sum(values.values()) / len(values)), ends, *seeds))
        head = ("arm", "mean", "95 % over seeds", *(f"seed {seed}" for seed in claim.seeds))
        tables.append((name, Table(head=head, rows=tuple(rows), numbers=" " + "n" * len(head))))
    return tables


def pooled(result: Result) -> list[tuple[str, Table]]:
    """Success counts over the episodes of all seeds, where outcomes are binary."""
    claim, found = result.claim, result.measurements
    tables: list[tuple[str, Table]] = []
    for name in names_of(found, "episodes"):
        if not binary(found, name):
            continue
        rows = tuple(
            (
                arm,
                f"{one.successes} / {one.episodes}",
                f"{one.interval.estimate:.1%}",
                f"[{one.interval.low:.1%}, {one.interval.high:.1%}]",
            )
            for arm, one in pooled_rates(claim, found, name).items()
        )
        head = ("arm", "successes", "rate", "95 % (Wilson)")
        tables.append((name, Table(head=head, rows=rows, numbers=" nnn")))
    return tables


def costs(result: Result) -> Table:
    """One row per arm, one column per kind of cost; means over seeds."""
    claim, found = result.claim, result.measurements
    names = names_of(found, "cost")
    by_name = {name: means(claim, found, "cost", name) for name in names}
    rows: list[tuple[str, ...]] = []
    for arm in claim.arms:
        cells: list[str] = []
        for name in names:
            values = by_name[name].get(arm, ({}, None))[0]
            cells.append(shown(sum(values.values()) / len(values)) if values else "–")
        own = [record for record in result.records if record.arm == arm and record.measurement]
        seconds = sum(record.seconds for record in own) / len(own) if own else math.nan
        peak = max((record.peak_mb for record in own), default=math.nan)
        rows.append((arm, *cells, f"{seconds:.1f}", f"{peak:,.0f}"))
    head = ("arm", *names, "s per unit", "peak MiB of process")
    return Table(head=head, rows=tuple(rows), numbers=" " + "n" * len(head))


def units(result: Result) -> Table:
    """One row per unit, in the order in which they are planned."""
    rows = tuple(
        (
            record.arm,
            str(record.seed),
            "done" if record.measurement is not None else "failed",
            str(record.attempt),
            f"{record.seconds:.1f}",
            record.started,
            (record.commit or "–")[:10] + (" + changes" if record.dirty else ""),
        )
        for record in result.records
    )
    head = ("arm", "seed", "state", "attempt", "s", "started (UTC)", "commit")
    return Table(head=head, rows=rows, numbers=" n nn")


def provenance(result: Result) -> Table:
    """What the page was made from."""
    made = result.provenance
    dirty = {True: "with uncommitted changes", False: "unchanged", None: "unknown"}
    packages = ", ".join(f"{name} {version}" for name, version in made.packages.items())
    machines = dict.fromkeys(record.machine for record in result.records if record.machine)
    rows = (
        ("enactive", made.code_version),
        ("commit", f"{made.git_commit or 'none'} ({dirty[made.git_dirty]})"),
        ("declaration", result.claim.hash),
        ("machine of the units", "; ".join(machines) or "–"),
        ("cores", f"{made.cores}; one thread per unit"),
        ("Python", made.python),
        ("packages", packages),
        ("run", "the directory given with --out, " + _place(result)),
    )
    return Table(head=("", ""), rows=rows)


def _place(result: Result) -> str:
    """Relative, because an absolute path says nothing on another machine."""
    parts = result.root.parts[-2:] if result.quick else result.root.parts[-1:]
    return "/".join(parts) + "/units/<arm>/seed-<n>/files"


def verdict_line(result: Result) -> str:
    """The verdict in one sentence."""
    seeds, arms = len(result.claim.seeds), len(result.claim.arms)
    return (
        f"{result.verdict.reason[:1].upper()}{result.verdict.reason[1:]}. "
        f"{arms} {_plural('arm', arms)}, {seeds} {_plural('seed', seeds)}, "
        f"{_duration(60 * result.minutes)} of one core in all."
    )


def failures(result: Result) -> Sequence[tuple[str, str]]:
    """(what failed, its traceback)."""
    return [
        (
            f"{record.arm}, seed {record.seed}, attempt {record.attempt} "
            "(tried again when the claim is run again)",
            record.error.strip(),
        )
        for record in result.failures
    ]


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 90 else f"{seconds / 60:.1f} minutes"


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"
