"""The tables of worlds, from ``bench/results``: speed, and how often experts succeed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from enactive.evaluation.retention import POOLED
from enactive.evaluation.statistics import wilson
from enactive.systems.libero_object import CONDITIONS
from enactive.worlds.tabletop.perturbations import AXES, PERTURBATIONS
from enactive.worlds.tabletop.tasks import Family

RESULTS = Path(__file__).resolve().parent.parent / "bench" / "results"
Table = tuple[Sequence[str], Sequence[Sequence[str]]]
"""Titles and rows."""


def worlds() -> Table:
    """Every world of ``bench/worlds.py``: tasks, speed, the expert over all its tasks."""
    rows: list[list[str]] = []
    for name, found in sorted(loaded("worlds")["worlds"].items()):
        speed = found["speed"]
        # LIBERO's expert has a script and a file of its own.
        tasks = loaded("libero_experts") if name == "libero" else found["expert"]["tasks"]
        counted = [one for one in tasks.values() if "successes" in one]
        total = rate(
            sum(one["successes"] for one in counted), sum(one["episodes"] for one in counted)
        )
        rows.append(
            [
                f"`{name}`", f"{speed['tasks']}", per_second(speed["state"]),
                per_second(speed["pictures"]), _pictures(speed["cameras"]),
                f"{len(counted)}" if counted else "", total,
            ]
        )  # fmt: skip
    titles = (
        "world", "tasks", "steps/s, no pictures", "steps/s, pictures", "pictures",
        "tasks with an expert", "its successes",
    )  # fmt: skip
    return titles, rows


def _pictures(cameras: Sequence[str]) -> str:
    """``top 96x96``, or how many of what size where there are more than three."""
    sizes = {one.split()[-1] for one in cameras}
    if len(cameras) <= 3:
        return ", ".join(cameras)
    return f"{len(cameras)} of {' or '.join(sorted(sizes))}"


def expert_of(name: str) -> Table:
    """The tasks of one world in which its expert failed at least once, worst first."""
    tasks = loaded("worlds")["worlds"][name]["expert"]["tasks"]
    failed = {
        task: one for task, one in tasks.items() if one.get("successes") != one.get("episodes")
    }
    rows = [
        [f"`{task}`", rate(one["successes"], one["episodes"])]
        for task, one in sorted(failed.items(), key=lambda item: item[1]["successes"])
    ]
    rest = [one for task, one in tasks.items() if task not in failed and "successes" in one]
    if rest:
        rows.append([f"each of the other {len(rest)}", rate(*_only(rest))])
    return ("task", "successes of its expert"), rows


def _only(same: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    [[successes, episodes]] = {(one["successes"], one["episodes"]) for one in same}
    return successes, episodes


def libero_suites() -> Table:
    """LIBERO's expert, suite by suite of ``bench/libero_experts.py``."""
    suites: dict[str, list[Mapping[str, Any]]] = {}
    for task, found in loaded("libero_experts").items():
        suites.setdefault(task.partition("/")[0], []).append(found)
    rows: list[list[str]] = []
    for suite, tasks in suites.items():
        tried = [one for one in tasks if "episodes" in one]
        successes, episodes = (sum(one[key] for one in tried) for key in ("successes", "episodes"))
        if not tried:
            continue
        counts = sorted({one["episodes"] for one in tried})
        rows.append(
            [
                f"`{suite}`", f"{len(tried)}", f"{len(tasks) - len(tried)}",
                " to ".join(map(str, dict.fromkeys((*counts[:1], *counts[-1:])))),
                rate(successes, episodes),
                f"{sum(one['successes'] == one['episodes'] for one in tried)}",
                ", ".join(map(str, sorted({one["expert"] for one in tried}))),
            ]
        )  # fmt: skip
    titles = (
        "suite", "tasks measured", "not supported", "states of each task", "successes",
        "tasks without a failure", "version of the expert",
    )  # fmt: skip
    return titles, rows


def libero_exceptions() -> Table:
    """LIBERO's tasks that the expert failed in at least once, worst first, and cannot do."""
    tasks = loaded("libero_experts")
    failed = [
        (found["successes"] / found["episodes"], task, rate(found["successes"], found["episodes"]))
        for task, found in tasks.items()
        if "episodes" in found and found["successes"] < found["episodes"]
    ]
    rows = [[f"`{task}`", shown] for _, task, shown in sorted(failed)]
    rows += [
        [f"`{task}`", f"not supported: {found['unsupported']}"]
        for task, found in tasks.items()
        if "unsupported" in found
    ]
    return ("task", "successes of its expert"), rows


def libero_listening() -> Table:
    """``enactive libero``: conditions down, policies across."""
    found = loaded("libero_listening")["rows"]
    policies = list(dict.fromkeys(row["policy"] for row in found))
    cells = {(row["condition"], row["policy"]): row for row in found}
    rows = [
        [what, *(_listening(cells.get((group, policy))) for policy in policies)]
        for group, (_, what) in CONDITIONS.items()
        if any((group, policy) in cells for policy in policies)
    ]
    return ("", *policies), rows


def _listening(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return ""
    low, high = 100 * row["low"], 100 * row["high"]
    return f"{row['successes']}/{row['episodes']} ({low:.0f} to {high:.0f} %)"


def tabletop_speed() -> Table:
    """Control steps per second of processor time."""
    parts = loaded("tabletop")["parts"]
    rows: list[list[str]] = []
    for name, found in parts.items():
        whole = found.get("all", found)
        [value] = [v for k, v in whole.items() if k.endswith("_per_processor_second")]
        unit = "episodes" if "episodes_per_second" in whole else "steps"
        each = [v["steps_per_processor_second"] for k, v in found.items() if k in list(Family)]
        spread = f"{min(each):,.0f} to {max(each):,.0f}" if each else ""
        rows.append([name, f"{value:,.0f} {unit}", spread])
    return ("", "per second of one core", "by family"), rows


def tabletop_expert() -> Table:
    """Successes of the expert by perturbation; the families go before."""
    arms = loaded("tabletop_expert")["arms"]
    families = [family.value for family in Family]
    rows = [
        [f"`{one['arm']}`, `{one['control']}`, no perturbation", _sum(one["rows"], families)]
        for one in arms
    ]
    first = arms[0]
    for axis in AXES:
        levels = [name for name in first["rows"] if name.rpartition("-")[0] == axis]
        rows += [
            [f"`{first['arm']}`, `{first['control']}`, `{name}`", _sum(first["rows"], [name])]
            for name in levels
        ]
    return ("arm, control", "successes of the expert"), rows


def _sum(found: Mapping[str, Any], names: Sequence[str]) -> str:
    return rate(
        sum(found[name]["successes"] for name in names),
        sum(found[name]["episodes"] for name in names),
    )


def loaded(name: str) -> Any:
    """A file of results."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def per_second(speed: Mapping[str, float] | None) -> str:
    """Steps per second of processor time; empty where it was not measured."""
    return "" if speed is None else f"{speed['per_processor_second']:,.0f}"


def rate(successes: int, episodes: int) -> str:
    """``19/20, 95 % (76 to 99)``, Wilson's interval."""
    if not episodes:
        return ""
    found = wilson(successes, episodes)
    return (
        f"{successes}/{episodes}, {100 * found.estimate:.1f} % "
        f"({100 * found.low:.1f} to {100 * found.high:.1f})"
    )


def probes() -> Table:
    """What policy and expert keep under each probe of ``bench/probes.py``."""
    found = loaded("probes")
    described = {one.name: one.description for one in PERTURBATIONS}
    kept = {
        (who, row["measure"], row["probe"]): row
        for who in ("policy", "expert")
        for row in found[who]
        if row["probe"] or row["axis"] == POOLED
    }
    names = list(dict.fromkeys(probe for _, _, probe in kept if probe))
    rows: list[list[str]] = []
    for probe in (*names, ""):
        intention = kept["policy", "approached_target", probe]
        success, expert = (kept[who, "success", probe] for who in ("policy", "expert"))
        what = "; ".join(described[name] for name in probe.split("+") if name)
        rows.append(
            [
                f"`{probe}`" if probe else "all", what,
                *_kept(intention), *_kept(success), *_kept(expert)[1:],
            ]
        )  # fmt: skip
    titles = (
        "probe", "what is new", "intention", "retention", "success", "retention",
        "the expert's retention of success",
    )  # fmt: skip
    return titles, rows


def _kept(row: Mapping[str, Any]) -> tuple[str, str]:
    """Rates before and after, and their ratio with its interval."""
    before, after = ("/".join(map(str, row[when])) for when in ("before", "after"))
    ratio, (low, high) = row["retention"], row["interval"]
    said = "–" if ratio is None else f"{ratio:.2f}"
    ends = [f"{end:.2f}" if end is not None else "∞" for end in (low, high)]
    return f"{before} → {after}", f"{said} ({ends[0]} to {ends[1]})"
