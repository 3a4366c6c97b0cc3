"""Checks: what stands between a decision and its execution.

Checks are asked in turn about every call, those that programs make included. The first that does
not escalate has the say; a call about which all of them escalate is refused. The verdicts are those
of Inspect's approvers (UK AI Security Institute, inspect_ai, ``approval``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from enactive.actions.tools import Call, Tool
from enactive.observations import Observation

Say = Literal["approve", "modify", "reject", "escalate"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What a check says of a call."""

    say: Say
    reason: str = ""
    """For people, and for the policy where the call is rejected."""
    arguments: Mapping[str, Any] | None = None
    """What to call it with instead, where it says ``modify``."""

    def __post_init__(self) -> None:
        if (self.say == "modify") != (self.arguments is not None):
            raise ValueError("Verdict: arguments are given exactly where say is 'modify'")


APPROVE = Verdict(say="approve")


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """A call that is to be made."""

    call: Call
    tool: Tool
    path: str
    """Where in the episode it is, e.g. ``"7.0.a"``."""
    observation: Observation
    """What was seen before the decision that it belongs to."""


class Check(Protocol):
    """Judges calls before they are made: a rule, a verifier's score, a person."""

    @property
    def name(self) -> str:
        """What the log calls it."""
        ...

    async def check(self, proposal: Proposal) -> Verdict:
        """The verdict. It is logged, so that a resumed episode does not ask again."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class ByEffects:
    """Approves what declares no more than the allowed effects, and escalates the rest."""

    destructive: bool = False
    """Whether calls that may overwrite or delete are approved."""
    open_world: bool = False
    """Whether calls that change something outside the world are approved."""
    name: str = "by_effects"

    async def check(self, proposal: Proposal) -> Verdict:
        """Reading is always approved."""
        effects = proposal.tool.effects
        if effects.read_only:
            return APPROVE
        if effects.destructive and not self.destructive:
            return Verdict(say="escalate", reason="it may overwrite or delete")
        if effects.open_world and not self.open_world:
            return Verdict(say="escalate", reason="it changes something outside the world")
        return APPROVE


async def ask(checks: Sequence[Check], proposal: Proposal) -> tuple[str, Verdict]:
    """Ask ``checks`` in turn.

    Returns:
        The name of the check that decided, and its verdict, which is never ``escalate``. Without
        checks everything is approved.
    """
    reasons: list[str] = []
    for check in checks:
        verdict = await check.check(proposal)
        if verdict.say != "escalate":
            return check.name, verdict
        reasons.append(f"{check.name}: {verdict.reason or 'not for me to decide'}")
    if not checks:
        return "", APPROVE
    reason = f"nobody approved it ({'; '.join(reasons)})"
    return checks[-1].name, Verdict(say="reject", reason=reason)
