"""The table of all systems: what each is made of, what it claims, and what came out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from enactive.evaluation.claims.claim import declaration_hash
from enactive.evaluation.claims.units import load_claim
from enactive.registry import Registry

NOT_RUN = "not run"


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One system."""

    name: str
    """What ``enactive claim`` calls it."""
    system: str = ""
    """Its directory under ``claims/``."""
    title: str = ""
    statement: str = ""
    parts: Mapping[str, str] = field(default_factory=dict[str, str])
    """Mechanism -> module."""
    verdict: str = NOT_RUN
    minutes: float | None = None
    """One core's time for all units."""
    date: str = ""
    problem: str = ""
    """Why its claim could not be loaded."""
    changed: bool = False
    """Whether the claim was declared differently when it was run."""


def rows(claims: Path) -> list[Row]:
    """All registered systems, sorted by name.

    Args:
        claims: the directory that holds ``<system>/result.json``.
    """
    return [_row(name, claims) for name in Registry("systems").names()]


def _row(name: str, claims: Path) -> Row:
    try:
        claim = load_claim(name, quick=False)
    except Exception as error:  # one broken system must not hide the others
        return Row(name=name, problem=f"{type(error).__name__}: {error}")
    kept = read_result(claims / claim.system / "result.json")
    return Row(
        name=name,
        system=claim.system,
        title=claim.title,
        statement=claim.statement,
        parts=claim.parts,
        verdict=str(kept.get("verdict", NOT_RUN)),
        minutes=kept.get("minutes"),
        date=str(kept.get("date", "")),
        changed=bool(kept) and declaration_hash(kept["declaration"]) != claim.hash,
    )


def read_result(path: Path) -> dict[str, Any]:
    """A kept ``result.json``; empty if there is none."""
    if not path.is_file():
        return {}
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return values


def registered(name: str) -> str:
    """``name`` as it is registered: hyphens and underscores are the same; else unchanged."""
    if ":" in name:
        return name
    plain = name.lower().replace("-", "_")
    for known in Registry("systems").names():
        if known.lower().replace("-", "_") == plain:
            return known
    return name


def as_markdown(table: Sequence[Row], link: str = "claims/{system}/verdict.md") -> str:
    """The table as Markdown.

    Args:
        link: of a verdict page; empty for none.
    """
    lines = [
        "| system | mechanisms | claim | verdict | minutes | date |",
        "|---|---|---|---|---:|---|",
    ]
    for row in table:
        verdict = f"**{row.verdict}**" if row.verdict != NOT_RUN else NOT_RUN
        if link and row.verdict != NOT_RUN:
            verdict = f"[{verdict}]({link.format(system=row.system)})"
        if row.changed:
            verdict += " (declared differently then)"
        parts = ", ".join(f"{mechanism} `{module}`" for mechanism, module in row.parts.items())
        minutes = "" if row.minutes is None else f"{row.minutes:.1f}"
        statement = row.statement or row.problem
        cells = (row.title or row.name, parts, statement, verdict, minutes, row.date)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"
