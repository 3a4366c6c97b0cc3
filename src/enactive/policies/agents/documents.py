"""Typed documents that roles hand over, and the bus that carries them.

After MetaGPT (arXiv 2308.00352, §3.2): roles do not chat. They publish documents of declared kinds;
a document reaches those who are addressed, or else those who subscribe to its kind, in a private
buffer. Everything here is immutable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypeVar, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from enactive.actions.json_schema import portable
from enactive.policies.agents.record import Record
from enactive.registry import suggest


class Document(BaseModel):
    """What is handed over; its class is its kind, and its fields are the contract."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


D = TypeVar("D", bound=Document)
Kind: TypeAlias = type[Document]


def kind_of(document: Document | Kind) -> str:
    """The name of a document's kind."""
    return document.__name__ if isinstance(document, type) else type(document).__name__


def schema_of(kind: Kind) -> dict[str, Any]:
    """The kind's JSON Schema as language models and servers want it: without references, bounded.

    Raises:
        ValueError: a kind holds itself.
    """
    return dict(portable(kind.model_json_schema()))


def read_document(kind: type[D], text: str) -> D | str:
    """The document that a text holds as JSON, or what is wrong with it: every field, and how."""
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        found = [
            f"{'.'.join(map(str, one['loc'])) or 'the whole'}: {one['msg']}"
            for one in error.errors(include_url=False)
        ]
        return f"this is no {kind_of(kind)}: " + "; ".join(found)


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """A published document."""

    id: str
    """Of the publication, ``"<sender>.<number>"``: a copy that comes by another way has the same,
    and is not read twice."""
    sender: str
    document: Document
    to: tuple[str, ...] = ()
    """Roles that it is addressed to; empty for all who subscribe to its kind."""

    @property
    def kind(self) -> str:
        return kind_of(self.document)


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """What one role has been sent."""

    unread: tuple[Message, ...] = ()
    kept: tuple[Message, ...] = ()
    """Read, oldest first: the role's memory."""

    @property
    def ids(self) -> frozenset[str]:
        return frozenset(one.id for one in (*self.unread, *self.kept))

    def put(self, message: Message) -> Box:
        """The box with a message; unchanged if it was there already."""
        if message.id in self.ids:
            return self
        return replace(self, unread=(*self.unread, message))

    def read(self) -> Box:
        """The box once everything in it was read."""
        return Box(kept=(*self.kept, *self.unread))

    def latest(self, kind: Kind) -> Document | None:
        """The last document of a kind that was read."""
        found = (one.document for one in reversed(self.kept) if isinstance(one.document, kind))
        return next(found, None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bus:
    """All boxes, and everything that was published, in order."""

    boxes: Record
    """Role -> :class:`Box`."""
    published: tuple[Message, ...] = ()
    delivered: int = 0
    """How many of them are in the boxes."""

    @classmethod
    def of(cls, roles: Iterable[str]) -> Bus:
        """Empty boxes for ``roles``."""
        return cls(boxes=Record({role: Box() for role in roles}))

    def publish(self, sender: str, document: Document, to: tuple[str, ...] = ()) -> Bus:
        """With one more document, not yet delivered.

        Raises:
            KeyError: it is addressed to nobody that is here.
        """
        for role in to:
            if role not in self.boxes:
                raise KeyError(f"no role is called {role!r}; {suggest(role, self.boxes)}")
        number = sum(one.sender == sender for one in self.published)
        message = Message(id=f"{sender}.{number}", sender=sender, document=document, to=to)
        return replace(self, published=(*self.published, message))

    def deliver(self, subscriptions: Mapping[str, frozenset[str]]) -> Bus:
        """With everything published in the boxes of those that it is for.

        Args:
            subscriptions: role -> names of the kinds that it subscribes to.
        """
        boxes = dict(self.boxes)
        for message in self.published[self.delivered :]:
            for role, kinds in subscriptions.items():
                if role in message.to or (not message.to and message.kind in kinds):
                    boxes[role] = cast("Box", boxes[role]).put(message)
        return replace(self, boxes=Record(boxes), delivered=len(self.published))
