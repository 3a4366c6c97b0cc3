"""What an episode may use up."""

from __future__ import annotations

from dataclasses import dataclass, fields

from enactive.models.language_models.language_model import Usage


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """Limits of an episode; ``None`` is no limit."""

    steps: int | None = None
    """Decisions."""
    calls: int | None = None
    """Calls of tools, those of programs included."""
    tokens: int | None = None
    """Tokens that language models read or wrote. A completion is cut to what is left; what it
    reads counts afterwards."""
    seconds: float | None = None
    """Wall time, s, of the process; an episode that is resumed has them anew."""
    money: float | None = None
    """US dollars, at the prices that the models' clients were told."""

    def __post_init__(self) -> None:
        for entry in fields(self):
            limit = getattr(self, entry.name)
            if limit is not None and limit < 0:
                raise ValueError(f"Budget: {entry.name} is {limit}; give a number >= 0, or None")


@dataclass(kw_only=True, slots=True)
class Spent:
    """What an episode has used up so far."""

    steps: int = 0
    calls: int = 0
    seconds: float = 0.0
    usage: Usage = Usage()

    @property
    def tokens(self) -> int:
        """Tokens read and written."""
        return self.usage.prompt_tokens + self.usage.completion_tokens

    def over(self, budget: Budget) -> str:
        """What is used up, in words; empty if there is something left of everything."""
        for name, used in (
            ("steps", self.steps),
            ("calls", self.calls),
            ("tokens", self.tokens),
            ("seconds", self.seconds),
            ("money", self.usage.money),
        ):
            limit = getattr(budget, name)
            if limit is not None and used >= limit:
                unit = " s" if name == "seconds" else ""
                return f"the budget of {limit:g} {name} is used up ({used:g}{unit})"
        return ""

    def to_dict(self) -> dict[str, float]:
        """What can be reproduced: everything but the seconds."""
        return {"steps": self.steps, "calls": self.calls, **self.usage.to_dict()}
