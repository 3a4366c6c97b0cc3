"""Types of a program, checked in Monty's worker before anything of it runs."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any, Protocol

from enactive.actions.stubs import AWAITABLE, HEADER, stubs
from enactive.actions.tools import Tool
from enactive.worlds.code.executor import shortened


class Workers(Protocol):
    """Where a worker that checks types comes from."""

    monty: Any
    """The package."""

    def worker(self, *, seed: int = 0, stubs: str | None = None) -> Any:
        """A session of the interpreter; with ``stubs``, one that checks types."""
        ...


class TypeChecker:
    """What the programs of one session are checked against: tools, and names bound so far."""

    def __init__(self, workers: Workers, tools: Mapping[str, Tool]) -> None:
        self._workers = workers
        self._tools = tools
        self._stubs = HEADER + stubs(tools.values()) + f"def {_BEGIN}() -> None: ...\n"
        self.bound: dict[str, str] = {}
        """Names that programs have bound, with their declarations."""

    def executed(self, source: str) -> None:
        """Note the names that a program binds."""
        self.bound |= bindings(source, self._tools)

    def problem(self, source: str) -> str:
        """What the type checker says, its lines numbered as the program's; empty if nothing."""
        declared = self._stubs + "".join(f"{line}\n" for line in self.bound.values())
        monty = self._workers.monty
        checker = self._workers.worker(stubs=declared)
        try:
            # The first line suspends, so that what passes the check is not run here; requests
            # before it are the type checker's own, for modules that it does not know.
            snapshot = checker.feed_start(f"{_BEGIN}()\n{source}")
            while isinstance(snapshot, monty.FunctionSnapshot) and snapshot.is_os_function:
                snapshot = snapshot.resume_not_handled()
        except monty.MontyTypingError as error:
            moved = re.sub(
                r"^main\.py:(\d+):", lambda m: f"line {int(m[1]) - 1}:", error.display(), flags=re.M
            )
            # Warnings and notes are about style; the interpreter says the rest.
            return shortened(moved.strip(), 4000) if " error[" in moved else ""
        except monty.MontySyntaxError as error:
            return shortened(f"SyntaxError: {error}", 1000)
        except monty.MontyCrashedError as error:
            return f"the program cannot be checked: {shortened(str(error), 500)}"
        except monty.MontyRuntimeError as error:
            return shortened(str(error), 1000)
        finally:
            checker.__exit__(None, None, None)
        return ""


_BEGIN = "enactive_program_begins"


def bindings(source: str, tools: Mapping[str, Tool]) -> dict[str, str]:
    """Names that a program may bind, each with what the type checker is told of it afterwards: an
    import as it is, everything else of any type, as programs reuse names."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            where = f"from {node.module} " if isinstance(node, ast.ImportFrom) else ""
            for one in node.names:
                name = one.asname or one.name
                if name.isidentifier():
                    found[name] = f"{where}import {one.name} as {name}"
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.setdefault(node.id, f"{node.id}: Any")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.setdefault(node.name, f"{node.name}: Any")
    return {k: v for k, v in found.items() if k.removesuffix(AWAITABLE) not in tools}
