"""Units: one arm with one seed. What was asked of a process, and the record it leaves."""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from enactive.evaluation.claims.claim import Claim, ClaimError, Measurement, slug
from enactive.evaluation.files import write_atomically
from enactive.registry import Registry
from enactive.seeding import numpy_generator

FORMAT = 1
"""Version of a unit's record; records of another version are measured again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What a process is asked to do: one unit, or, without an arm, to prepare what they share."""

    reference: str
    """How the claim is found again: a system's name, or ``/path/file.py:function``."""
    quick: bool
    arm: str | None
    seed: int
    directory: Path
    """Of the unit; it holds the request, the log, the record, and ``files/`` for the unit."""
    shared: Path
    attempt: int = 1
    digest: str = ""
    """Of the claim's source, see :func:`source_digest`."""

    def write(self) -> Path:
        """Write the request into its directory; returns the file."""
        path = self.directory / "request.json"
        values = {
            "reference": self.reference, "quick": self.quick, "arm": self.arm, "seed": self.seed,
            "directory": str(self.directory), "shared": str(self.shared),
            "attempt": self.attempt, "digest": self.digest,
        }  # fmt: skip
        write_atomically(path, json.dumps(values, indent=1) + "\n")
        return path

    @classmethod
    def read(cls, path: Path) -> Request:
        """The request that :meth:`write` wrote."""
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        for name in ("directory", "shared"):
            values[name] = Path(values[name])
        return cls(**values)


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """What became of a unit."""

    arm: str
    seed: int
    attempt: int
    """How often it was tried, this time included."""
    measurement: Measurement | None
    """None if it failed."""
    error: str = ""
    """The traceback, or how the process ended."""
    seconds: float = 0.0
    """Wall time of the process."""
    peak_mb: float = 0.0
    """Largest resident memory of the process, MiB."""
    digest: str = ""
    """Of the claim's source at that time."""
    commit: str | None = None
    dirty: bool | None = None
    """Whether tracked files differed from that commit."""
    version: str = ""
    """Of ``enactive``."""
    started: str = ""
    """Time of day in UTC, ISO 8601."""
    machine: str = ""
    """Processor and platform."""

    def write(self, path: Path) -> None:
        """Write the record as JSON, whole or not at all."""
        values: dict[str, Any] = {"format": FORMAT}
        values |= {name: getattr(self, name) for name in self.__dataclass_fields__}
        if self.measurement is not None:
            values["measurement"] = measurement_to_json(self.measurement)
        write_atomically(path, json.dumps(values, indent=1, allow_nan=False) + "\n")

    @classmethod
    def read(cls, path: Path) -> Record | None:
        """The record at ``path``; None if there is none, or of another format."""
        try:
            values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if values.pop("format", None) != FORMAT:
            return None
        if values["measurement"] is not None:
            values["measurement"] = measurement_from_json(values["measurement"])
        return cls(**values)


def measurement_to_json(measurement: Measurement) -> dict[str, Any]:
    """JSON values; numbers that are not finite become strings, which JSON has no other form for."""
    return {
        "outcomes": {name: _plain(value) for name, value in measurement.outcomes.items()},
        "episodes": {
            name: [_plain(value) for value in row] for name, row in measurement.episodes.items()
        },
        "cost": {name: _plain(value) for name, value in measurement.cost.items()},
    }


def measurement_from_json(values: Mapping[str, Any]) -> Measurement:
    """The inverse of :func:`measurement_to_json`."""
    return Measurement(
        outcomes=values["outcomes"], episodes=values["episodes"], cost=values["cost"]
    )


def _plain(value: float) -> float | str:
    if not math.isfinite(value):
        return repr(value)
    return int(value) if value == int(value) and abs(value) < 2**53 else value


def load_claim(reference: str, quick: bool) -> Claim:
    """The claim that is registered under a system's name, or declared in a file.

    Args:
        reference: a name of the entry-point group ``enactive.systems``, ``"module:function"`` or
            ``"path/to/file.py:function"``.
        quick: the small variant, which shows that everything runs.

    Raises:
        UnknownPart: nothing goes by that name; the message suggests what was meant.
        ClaimError: it is there but is no claim.
    """
    declare: Any = Registry("systems").load(reference)
    if not callable(declare):
        raise ClaimError(f"{reference} is {declare!r}; a claim is declared by a function")
    try:
        inspect.signature(declare).bind(quick=quick)
    except TypeError as error:
        raise ClaimError(
            f"{reference} must take the argument quick: def claim(quick: bool = False) -> Claim"
        ) from error
    claim: Any = declare(quick=quick)
    if not isinstance(claim, Claim):
        raise ClaimError(f"{reference} returned {type(claim).__name__}; it must return a Claim")
    return claim


def source_digest(claim: Claim) -> str:
    """16 hexadecimal digits that change with the code of the file that ``claim.measure`` is in, or
    of files in the same directory that it imports.

    Comments, formatting and docstrings do not count. Code further away does not either: for that
    the commit is recorded with every unit.
    """
    measure: Any = claim.measure
    while isinstance(measure, functools.partial):
        measure = measure.func
    try:
        file = inspect.getsourcefile(inspect.unwrap(measure))
    except TypeError:  # an object with __call__
        file = inspect.getsourcefile(type(measure))
    if file is None or not Path(file).is_file():
        return ""
    digest = hashlib.blake2b(digest_size=8)
    waiting, seen = [Path(file)], {Path(file)}
    while waiting:
        path = waiting.pop()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        beside = {path.with_name(f"{name}.py") for name in _imported(tree)}
        fresh = sorted(other for other in beside - seen if other.is_file())
        seen.update(fresh)
        waiting += fresh
        _drop_docstrings(tree)
        digest.update(f"{path.name}:{ast.dump(tree)}".encode())
    return digest.hexdigest()


def _imported(tree: ast.AST) -> set[str]:
    """Last parts of all names that are imported as modules or from modules."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.rpartition(".")[2] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").rpartition(".")[2])
            names |= {alias.name for alias in node.names}
    return names


def _drop_docstrings(tree: ast.AST) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:]


def order(claim: Claim) -> Iterator[tuple[str, int]]:
    """All units (arm, seed): seed by seed, the arms of a seed in an order drawn from it.

    So that what changes while the claim runs (heat, other load) meets all arms alike, and that an
    interrupted run holds whole seeds.
    """
    for seed in claim.seeds:
        generator = numpy_generator(seed, "claim", claim.system, "order")
        arms = list(claim.arms)
        for place in generator.permutation(len(arms)).tolist():
            yield arms[place], seed


def unit_directory(root: Path, arm: str, seed: int) -> Path:
    """Where a unit of the run in ``root`` lies."""
    return root / "units" / slug(arm) / f"seed-{seed}"
