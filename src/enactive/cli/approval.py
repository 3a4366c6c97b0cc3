"""A person at the terminal as a check of calls."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from enactive.runtime.checks import APPROVE, Proposal, Verdict

if TYPE_CHECKING:
    from enactive.cli.agent_progress import Live


@dataclass(frozen=True, slots=True)
class Person:
    """Asks about every call that may change something outside the world.

    Args:
        live: what is shown meanwhile, which is paused for a question.
        asks: whether to ask; otherwise such calls are rejected.
    """

    live: Live
    asks: bool = True

    @property
    def name(self) -> str:
        return "person"

    async def check(self, proposal: Proposal) -> Verdict:
        """``y`` makes the call, ``n`` with words after it tells the model why not, ``e`` asks for
        other arguments as JSON."""
        effects = proposal.tool.effects
        if effects.read_only or not effects.open_world:
            return APPROVE
        if not self.asks:
            return Verdict(say="reject", reason="calls that change something are not allowed")
        if not sys.stdin.isatty():
            return Verdict(say="reject", reason="nobody is there to approve it; --approve all "
                           "makes such calls without asking")  # fmt: skip
        with self.live.paused():
            return self._ask(proposal)

    def _ask(self, proposal: Proposal) -> Verdict:
        call = proposal.call
        arguments = json.dumps(dict(call.arguments), ensure_ascii=False)
        print(f"\n  {call.tool} {arguments}\n  {_what(proposal)}")
        while True:
            said = input("  make this call? [y]es, [n]o and why, [e]dit: ").strip()
            choice, reason = said[:1].lower(), said.partition(" ")[2].strip()
            if choice == "y":
                return APPROVE
            if choice == "n":
                return Verdict(say="reject", reason=reason or "the person said no")
            if choice == "e":
                try:
                    changed = json.loads(input("  arguments as JSON: "))
                except ValueError as error:
                    print(f"  no JSON: {error}")
                    continue
                problem = proposal.tool.check_arguments(changed)
                if not problem:
                    return Verdict(say="modify", reason="the person changed it", arguments=changed)
                print(f"  {problem}")


def _what(proposal: Proposal) -> str:
    effects = proposal.tool.effects
    does = "may overwrite or delete" if effects.destructive else "adds something"
    return f"It {does} outside the world{'' if effects.idempotent else ', and not only once'}."
