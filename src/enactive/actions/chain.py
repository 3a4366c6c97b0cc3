"""Chains: the directed acyclic graph of action tokens behind one decision."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import msgpack
from numpy.typing import NDArray

from enactive.actions.tokens import ActionToken, Kind, unpack
from enactive.registry import suggest

FORMAT = 1
"""Version of the written form."""


@dataclass(frozen=True, slots=True, repr=False)
class Chain:
    """The tokens behind one decision, losing candidates included, parents before children.

    Raises:
        ValueError: two tokens share an id, or a parent is missing or comes later; the message names
            both tokens. As parents must come first, a chain has no cycle.
    """

    tokens: tuple[ActionToken, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "tokens", tuple(self.tokens))
        if not self.tokens:
            raise ValueError("Chain: tokens is empty; a decision has at least one")
        everything = {token.id for token in self.tokens}
        seen: set[str] = set()
        for token in self.tokens:
            if token.id in seen:
                raise ValueError(f"Chain: two tokens are called {token.id!r}; ids must differ")
            for parent in token.parents:
                if parent not in everything:
                    raise ValueError(
                        f"Chain: token {token.id!r} has the parent {parent!r}, which "
                        f"is not there; {suggest(parent, everything)}"
                    )
                if parent not in seen:
                    raise ValueError(
                        f"Chain: token {token.id!r} comes before its parent "
                        f"{parent!r}; put parents first"
                    )
            seen.add(token.id)

    @classmethod
    def raw(cls, chunk: NDArray[Any] | Any, source: str) -> Chain:
        """The chain of one raw token ``"raw"``: a chunk ``(H, A)``, or any executable value."""
        return cls((ActionToken(id="raw", kind="raw", content=chunk, source=source),))

    def then(self, *tokens: ActionToken) -> Chain:
        """This chain with ``tokens`` at its end."""
        return Chain((*self.tokens, *tokens))

    def token(self, id: str) -> ActionToken:
        """The token called ``id``; raises ``KeyError`` with suggestions."""
        for token in self.tokens:
            if token.id == id:
                return token
        raise KeyError(f"no token is called {id!r}; {suggest(id, (t.id for t in self.tokens))}")

    @property
    def final(self) -> ActionToken:
        """What is executed: the last chosen raw token, or, without one, the last chosen code token.

        Raises:
            LookupError: the chain ends in nothing executable.
        """
        for kind in ("raw", "code"):
            for token in reversed(self.tokens):
                if token.kind == kind and token.chosen:
                    return token
        raise LookupError("the chain holds no chosen raw or code token, so nothing to execute")

    def of_kind(self, kind: Kind, *, chosen: bool | None = None) -> tuple[ActionToken, ...]:
        """The tokens of one kind in order: all, the chosen (``True``) or those that lost."""
        return tuple(t for t in self.tokens if t.kind == kind and chosen in (None, t.chosen))

    def ancestors(self, id: str) -> tuple[ActionToken, ...]:
        """The tokens that ``id`` was made from, directly or not, in order."""
        wanted = set(self.token(id).parents)
        for token in reversed(self.tokens):
            if token.id in wanted:
                wanted.update(token.parents)
        return tuple(token for token in self.tokens if token.id in wanted)

    @property
    def hash(self) -> str:
        """128-bit blake2b of the canonical bytes, hex."""
        return hashlib.blake2b(self.to_bytes(), digest_size=16).hexdigest()

    def to_bytes(self) -> bytes:
        """Canonical msgpack: equal chains give equal bytes."""
        tokens = [token.to_dict(text=False) for token in self.tokens]
        return cast(bytes, msgpack.packb({"format": FORMAT, "tokens": tokens}))

    @classmethod
    def from_bytes(cls, data: bytes) -> Chain:
        """The chain that :meth:`to_bytes` wrote; raises ``ValueError`` on anything else."""
        return cls._from_record(unpack(data))

    def to_json(self) -> str:
        """Canonical JSON, arrays in base64."""
        tokens = [token.to_dict(text=True) for token in self.tokens]
        return json.dumps({"format": FORMAT, "tokens": tokens}, allow_nan=False, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Chain:
        """The chain that :meth:`to_json` wrote; raises ``ValueError`` on anything else."""
        return cls._from_record(json.loads(text))

    @classmethod
    def _from_record(cls, record: Mapping[str, Any]) -> Chain:
        if record.get("format") != FORMAT:
            raise ValueError(f"Chain: format is {record.get('format')!r}, this code reads {FORMAT}")
        tokens = cast("Iterable[Mapping[str, Any]]", record["tokens"])
        return cls(tuple(ActionToken.from_dict(token) for token in tokens))

    def __repr__(self) -> str:
        return "\n".join(["Chain", *(f"  {token!r}" for token in self.tokens)])
