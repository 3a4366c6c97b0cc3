"""The numbers of a report, for programs (JSON) and for reading in a terminal (Markdown)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from enactive.evaluation.report.analysis import cost_summary, stages, swap
from enactive.evaluation.report.contents import Contents
from enactive.evaluation.report.probes import retention_numbers
from enactive.evaluation.results import Rate, summarise


def as_json(contents: Contents) -> dict[str, Any]:
    """Every number of the page as JSON values."""
    evaluation = contents.evaluation
    episodes = evaluation.group() or evaluation.episodes
    summary = summarise(episodes)
    found = swap(evaluation.group("swap"), evaluation.group())
    replay = contents.replay
    return {
        "policy": evaluation.policy,
        "world": evaluation.protocol.world,
        "protocol": evaluation.protocol.hash,
        "overall": _rate(summary.overall),
        "clustered": None if summary.clustered is None else asdict(summary.clustered),
        "tasks": {name: _rate(rate) for name, rate in summary.tasks.items()},
        "stages": {
            name: [asdict(stage) for stage in stages([e for e in episodes if e.task == name])]
            for name in summary.tasks
        },
        "swap": None
        if found is None
        else {
            "cells": [asdict(cell) for cell in found.cells],
            "meant": dict(found.meant),
            "listened": None if found.listened is None else _rate(found.listened),
        },
        "retention": retention_numbers(contents),
        "replay": None
        if replay is None
        else {
            "equal": replay.equal,
            "episodes": len(replay.episodes),
            "values_compared": replay.compared,
        },
        "cost": asdict(cost_summary(evaluation.episodes)),
        "seconds": dict(contents.timings),
        "failures": [
            {"id": e.id, "task": e.task, "seed": e.seed, "instruction": e.instruction}
            for e in episodes
            if not e.success
        ],
    }


def as_markdown(numbers: dict[str, Any]) -> str:
    """The same as a page of Markdown."""
    lines = [
        f"# {numbers['policy']} in {numbers['world']}",
        "",
        f"Protocol `{numbers['protocol']}`. Intervals are 95 %.",
        "",
        "| task | successes | rate | interval |",
        "|---|---:|---:|---|",
        *(_row(name, rate) for name, rate in numbers["tasks"].items()),
        _row("**all, these tasks** (Wilson)", numbers["overall"]),
    ]
    clustered = numbers["clustered"]
    if clustered is not None:
        lines.append(
            f"| **all, tasks like these** (clustered) | | {clustered['estimate']:.1%} | "
            f"[{clustered['low']:.1%}, {clustered['high']:.1%}] |"
        )
    if numbers["swap"] is not None:
        lines += [
            "",
            "## Swapped instructions",
            "",
            "| scene | told | what happened |",
            "|---|---|---|",
        ]
        for cell in numbers["swap"]["cells"]:
            happened = ", ".join(f"{name} {count}" for name, count in cell["happened"].items())
            lines.append(f"| {cell['scene']} | {cell['told']} | {happened} |")
        listened = numbers["swap"]["listened"]
        if listened is not None:
            lines += [
                "",
                f"{listened['successes']} of {listened['episodes']} swapped episodes did what they "
                f"were told, [{listened['low']:.1%}, {listened['high']:.1%}].",
            ]
    if numbers["retention"]:
        lines += ["", "## Retention under probes", "", *_retention(numbers["retention"])]
    replay = numbers["replay"]
    if replay is not None:
        lines += [
            "",
            f"Replay: {replay['equal']} of {replay['episodes']} episodes bit-equal, "
            f"{replay['values_compared']} values compared.",
        ]
    cost = numbers["cost"]
    lines += [
        "",
        f"Cost: {cost['milliseconds']:.1f} ms per decision, {cost['decisions']} decisions for "
        f"{cost['steps']} steps.",
    ]
    if numbers["seconds"]:
        parts = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in numbers["seconds"].items())
        lines += ["", f"Time: {parts}."]
    return "\n".join(lines) + "\n"


def _retention(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| policy | measure | axis | probe | before | after | retention | interval |",
        "|---|---|---|---|---:|---:|---:|---|",
    ]
    for row in rows:
        low, high = (_ratio(end) for end in row["interval"])
        (before, starts), (after, episodes) = row["before"], row["after"]
        lines.append(
            f"| {row['policy']} | {row['measure']} | {row['axis']} | {row['probe'] or '(all)'} | "
            f"{before} / {starts} | {after} / {episodes} | {_ratio(row['retention'])} | "
            f"[{low}, {high}] |"
        )
    return lines


def _ratio(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.2f}"


def _rate(rate: Rate) -> dict[str, Any]:
    return {
        "successes": rate.successes,
        "episodes": rate.episodes,
        "rate": rate.interval.estimate,
        "low": rate.interval.low,
        "high": rate.interval.high,
    }


def _row(name: str, rate: dict[str, Any]) -> str:
    return (
        f"| {name} | {rate['successes']} / {rate['episodes']} | {rate['rate']:.1%} | "
        f"[{rate['low']:.1%}, {rate['high']:.1%}] |"
    )
