"""Parts found by name: built in, from an installed package's entry points, or from a file.

A part registers under its standard name with an entry point of the group ``enactive.<kind>``
(``enactive.heads``, ``enactive.worlds``, ...) that points at its configuration class. Nothing is
imported until the part is asked for, and nothing is registered globally at run time: code that is
not packaged is named by where it is, ``"package.module:Class"`` or ``"path/to/file.py:Class"``.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class UnknownPart(LookupError):
    """No part goes by that name; the message lists the nearest."""


def suggest(name: str, known: Iterable[str]) -> str:
    """The end of an error message about a wrong name: what was probably meant, and what exists."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if not near and len(name) > 2:
        near = [known for known in names if name in known][:3]
    meant = f"did you mean {' or '.join(repr(match) for match in near)}? " if near else ""
    return f"{meant}known: {', '.join(names) or 'none'}"


def refuse_unknown(field: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Check the names that a configuration's ``field`` lists.

    Raises:
        ValueError: one of ``given`` is none of ``known``; the message says what was probably meant.
    """
    there = tuple(known)
    for name in given:
        if name not in there:
            raise ValueError(f"{field}: there is no {name!r}; {suggest(name, there)}")


@dataclass(frozen=True, slots=True)
class Registry:
    """The parts of one kind."""

    kind: str
    """Plural kind, e.g. ``"heads"``; the entry-point group is ``enactive.<kind>``."""

    def names(self) -> tuple[str, ...]:
        """Names of all registered parts, sorted."""
        entries = importlib.metadata.entry_points(group=f"enactive.{self.kind}")
        return tuple(sorted({entry.name for entry in entries}))

    def load(self, name: str) -> Any:
        """The configuration class registered as ``name`` (or found at ``module:Class``).

        Raises:
            UnknownPart: nothing goes by that name; the message suggests what was meant.
        """
        if ":" in name:
            return _from_path(name)
        found = importlib.metadata.entry_points(group=f"enactive.{self.kind}", name=name)
        for entry in found:
            return entry.load()
        raise UnknownPart(f"no {self.kind[:-1]} is called {name!r}; {suggest(name, self.names())}")

    def name_of(self, config: object) -> str:
        """The name under which the class of ``config`` is found again by :meth:`load`."""
        cls = type(config)
        where = f"{cls.__module__}:{cls.__qualname__}"
        for entry in importlib.metadata.entry_points(group=f"enactive.{self.kind}"):
            if entry.value == where:
                return entry.name
        file = getattr(sys.modules.get(cls.__module__), "__file__", None)
        if cls.__module__.startswith(_FILE_MODULE) and file:
            return f"{file}:{cls.__qualname__}"
        return where


_FILE_MODULE = "enactive_part_"


def _from_path(where: str) -> Any:
    module_name, _, attribute = where.rpartition(":")
    if module_name.endswith(".py"):
        path = Path(module_name).resolve()
        if not path.is_file():
            raise UnknownPart(f"{where!r}: there is no file {path}")
        # Two files of one name are two modules; the second must not take the first one's place.
        digest = hashlib.blake2b(str(path).encode(), digest_size=6).hexdigest()
        alias = f"{_FILE_MODULE}{path.stem}_{digest}"
        module = sys.modules.get(alias)
        if module is None:
            spec = importlib.util.spec_from_file_location(alias, path)
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[alias] = module
            try:
                spec.loader.exec_module(module)
            except BaseException:
                del sys.modules[alias]
                raise
    else:
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            # A module that exists but needs a package that is not installed is another matter.
            if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
                raise
            raise UnknownPart(f"{where!r}: {error}") from error
    value: Any = module
    for step in attribute.split("."):
        if not hasattr(value, step):
            public = [name for name in dir(value) if not name.startswith("_")]
            raise UnknownPart(f"{where!r}: there is no {step!r} in it; {suggest(step, public)}")
        value = getattr(value, step)
    return value
