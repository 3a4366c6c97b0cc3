"""A store of what was retrieved: texts that accumulate, searchable, as a tool of their own.

After MetaAgent (c90d6dd), which keeps every page that it fetched in an index and asks the index
before it asks the web. Search is Okapi BM25 here, which needs no model and no server. A store is a
value: adding gives a new one, so that what an agent knew at any time can be told.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from enactive.actions.toolbox import BoundTool
from enactive.actions.tools import READS, Tool
from enactive.policies.agents.retrieval import nearest, scores

RECALL = "recall"
"""Name of the store's tool."""


@dataclass(frozen=True, slots=True)
class Store:
    """Texts, oldest first, none twice."""

    texts: tuple[str, ...] = ()
    most: int = 1000
    """Texts that are kept: the newest."""

    def add(self, texts: Iterable[str]) -> Store:
        """The store with ``texts`` added; one that it has already is not added again."""
        known = dict.fromkeys((*self.texts, *(text for text in texts if text.strip())))
        return Store(tuple(known)[-self.most :], self.most)

    def search(self, query: str, count: int = 3) -> tuple[str, ...]:
        """Up to ``count`` texts that share words with ``query``, best first."""
        found = scores(query, self.texts)
        return tuple(self.texts[i] for i in nearest(query, self.texts, count) if found[i] > 0)

    def tool(self, count: int = 3) -> BoundTool:
        """Searching it, for a toolbox. It reads what this store holds now."""

        def function(query: str) -> Any:
            return {"found": list(self.search(query, count))}

        return BoundTool(tool=recall_tool(), function=function)


def recall_tool() -> Tool:
    """What searching a store takes."""
    return Tool(
        name=RECALL,
        description="Search what was retrieved earlier. Costs nothing; ask it first.",
        input_schema={
            "type": "object",
            "properties": {"query": {"type": "string", "maxLength": 400, "description": "words"}},
            "required": ["query"],
            "additionalProperties": False,
        },
        effects=READS,
        resources=(),
    )
