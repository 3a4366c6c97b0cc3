"""Choosing texts by the words that they share with a query: Okapi BM25.

Robertson and Zaragoza 2009, "The Probabilistic Relevance Framework: BM25 and Beyond", equation
3.15, over words with their endings cut. It needs no model, so it can run at every step.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from enactive.actions.tools import Tool
from enactive.policies.agents.prompts import signature

K1 = 1.2
B = 0.75
STOP_WORDS = frozenset(
    {
        "a", "an", "and", "are", "as", "at", "be", "by", "for", "from", "has", "have", "how", "in",
        "into", "is", "it", "its", "many", "me", "of", "on", "or", "that", "the", "then", "there",
        "this", "to", "was", "what", "when", "where", "which", "who", "will", "with", "you", "your",
    }
)  # fmt: skip


def words(text: str, stop: frozenset[str] = STOP_WORDS) -> list[str]:
    """Lower-case words of a text with plural and verbal endings cut and without those in ``stop``;
    names in snake and camel case are taken apart."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).replace("_", " ")
    found = re.findall(r"[a-z0-9]+", spaced.casefold())
    return [_stem(word) for word in found if word not in stop]


def scores(query: str, texts: Sequence[str], stop: frozenset[str] = STOP_WORDS) -> list[float]:
    """BM25 of each text for a query; 0 where they share no word but those in ``stop``."""
    counted = [Counter(words(text, stop)) for text in texts]
    lengths = [sum(one.values()) for one in counted]
    mean = sum(lengths) / len(lengths) if lengths and sum(lengths) else 1.0
    found = [0.0] * len(texts)
    for word in sorted(set(words(query, stop))):
        having = sum(word in one for one in counted)
        if not having:
            continue
        weight = math.log(1 + (len(texts) - having + 0.5) / (having + 0.5))
        for i, one in enumerate(counted):
            if word in one:
                norm = K1 * (1 - B + B * lengths[i] / mean)
                found[i] += weight * one[word] * (K1 + 1) / (one[word] + norm)
    return found


def nearest(
    query: str, texts: Sequence[str], count: int, stop: frozenset[str] = STOP_WORDS
) -> list[int]:
    """Indices of the ``count`` best texts, best first; ties go to the earlier one."""
    found = scores(query, texts, stop)
    return sorted(range(len(texts)), key=lambda i: (-found[i], i))[:count]


def relevant_tools(
    tools: Sequence[Tool], query: str, count: int, always: Sequence[str] = ()
) -> tuple[Tool, ...]:
    """``count`` tools by name, arguments and description, in their own order; those that the query
    names come first.

    Args:
        tools: of which to choose.
        query: the task, or what the next step should do.
        count: how many; all of them where there are no more.
        always: names of tools that are there in any case, within the count.
    """
    if len(tools) <= count:
        return tuple(tools)
    kept = {i for i, tool in enumerate(tools) if tool.name in always}
    said = set(re.findall(r"[\w-]+", query))
    order = nearest(query, [signature(tool) for tool in tools], len(tools))
    for i in sorted(order, key=lambda i: tools[i].name not in said):
        if len(kept) >= count:
            break
        kept.add(i)
    return tuple(tools[i] for i in sorted(kept))


def _stem(word: str) -> str:
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word
