"""What ``enactive agent`` shows: each thought, call and result as it happens, and the cost."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from enactive.actions.decision import Decision
from enactive.actions.tools import Failure
from enactive.policies.agents.prompts import ANSWERS, shorten

if TYPE_CHECKING:
    from enactive.runtime.agent_run import AgentResult

SHOWN = 160
"""Characters of one value."""


class Live:
    """A watcher of one episode; use it with ``with`` while the episode runs."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._status = self._console.status("thinking")
        self._answer = ""
        self._said = 0

    def begins(self, id: str, model: str, again: bool) -> None:
        """The episode begins, or goes on."""
        going = "goes on" if again else "begins"
        self._console.print(f"[bold]{escape(id)}[/] {going}, model {escape(model or 'none')}")

    def __enter__(self) -> Live:
        self._status.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._status.stop()

    @contextmanager
    def paused(self) -> Generator[None]:
        """While a person is asked."""
        self._status.stop()
        try:
            yield
        finally:
            self._status.start()

    def __call__(self, kind: str, path: str, value: Any) -> None:
        """See :class:`enactive.runtime.agent_run.Watcher`."""
        if kind == "decision":
            self._decided(path, value)
        elif kind == "result":
            call, result = value
            arguments = ", ".join(f"{k}={_short(v)}" for k, v in call.arguments.items())
            self._line(f"   [cyan]{escape(call.tool)}[/]({escape(arguments)})")
            if isinstance(result, Failure):
                self._line(f"   [red]{escape(f'{result.kind}: {result.message}'[:SHOWN])}[/]")
            elif call.tool in ANSWERS:
                self._answer = next((v for v in call.arguments.values() if isinstance(v, str)), "")
            else:
                self._line(f"   [dim]-> {escape(_short(result.value))}[/]")

    def _decided(self, path: str, decision: Decision) -> None:
        cost = decision.cost
        said = f"{cost.prompt_tokens} tokens read, {cost.tokens} written"
        self._line(f"[bold]{path}[/] [dim]{said}[/]")
        for token in decision.chain.tokens if decision.chain is not None else ():
            if token.kind in ("reasoning", "language", "code"):
                style = "italic" if token.chosen else "strike dim"
                self._line(f"   [{style}]{escape(shorten(token.content, 3 * SHOWN))}[/]")

    def _line(self, text: str) -> None:
        self._console.print(text)

    def stopped(self) -> None:
        """Somebody pressed Control-C."""
        self._console.print("[yellow]stopped[/]")

    def ended(self, result: AgentResult, out: Path) -> None:
        """The answer, why it ended, and what it cost."""
        spent = result.spent
        if self._answer:
            self._console.print(f"[bold green]answer[/] {escape(self._answer)}")
        colour = "green" if result.success else "yellow"
        ending = "success" if result.success else f"no success: {result.reason}"
        if "answered" in result.events:  # a folder's own event: it has no test of success
            ending = "answered; whether it is done is for you to judge"
        self._console.print(f"[{colour}]{escape(ending)}[/]")
        money = f", {spent.usage.money:.4f} US dollars" if spent.usage.money else ""
        self._console.print(
            f"{spent.steps} decisions, {spent.calls} calls, {spent.usage.prompt_tokens} tokens "
            f"read ({spent.usage.cached_tokens} from the cache), {spent.usage.completion_tokens} "
            f"written{money}, {spent.seconds:.1f} s"
        )
        self._console.print(f"[dim]enactive trace {escape(str(out))} shows all of it[/]")


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return shorten(text, SHOWN) if len(text) > SHOWN else text
