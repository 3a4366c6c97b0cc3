"""The first candidate of the newest chunk: no selection at all, the default."""

from __future__ import annotations

from dataclasses import dataclass

from enactive.policies.selection.selection import Selection, SelectionConfig


class Single(Selection):
    """See the module."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config(SelectionConfig):
        """It has no options."""

        def build(self) -> Single:
            """Make the selection."""
            return Single()
