"""Search in a local set of documents: questions that take one to eight hops.

Every document is about one person and says how that person is related to others. A question walks
along relations ("the tutor of the neighbour of Arvo Lind"); each hop's name is in the document
before it, so that depth is the number of documents that must be read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from enactive.actions.toolbox import ToolError
from enactive.registry import suggest
from enactive.worlds.workspace.answers import judge_name, plain
from enactive.worlds.workspace.problem import (
    Domain,
    Level,
    Problem,
    State,
    Wordings,
    call,
    pick,
    reads,
    several,
    text,
)

FIRST = (
    "Arvo", "Brida", "Cosmo", "Delia", "Emil", "Fenna", "Goran", "Hedda", "Ivo", "Jolan", "Katri",
    "Lazlo", "Mira", "Nilo", "Odile", "Pavel", "Quinn", "Runa", "Silvan", "Tove", "Ugo", "Vesna",
    "Wim", "Yara",
)  # fmt: skip
LAST = (
    "Lind", "Marsh", "Novak", "Orme", "Pell", "Quist", "Rask", "Sorel", "Thorn", "Ulven", "Varga",
    "Weir", "Ysaye", "Zeman", "Abel", "Brandt", "Corso", "Dahl", "Ekman", "Fabre", "Grieg", "Holt",
    "Ibsen", "Juhl",
)  # fmt: skip
RELATIONS = (
    "tutor", "neighbour", "rival", "landlord", "doctor", "editor", "cousin", "mentor", "baker",
    "tailor",
)  # fmt: skip
TOWNS = ("Vessel", "Torrin", "Malby", "Osk", "Pernau", "Quell")
TRADES = ("weaver", "printer", "gardener", "clockmaker", "painter", "sailor")
SENTENCES = (
    "The {relation} of {name} is {other}.",
    "{other} is the {relation} of {name}.",
    "As {relation}, {name} has {other}.",
)
PEOPLE = 40
KNOWN = 4
"""Relations that a document states."""
FOUND = 5
"""Documents that a search returns at most."""


def people(generator: np.random.Generator, count: int = PEOPLE) -> list[str]:
    """``count`` different names of persons."""
    firsts = [*several(generator, FIRST, len(FIRST)), *several(generator, FIRST, len(FIRST))]
    lasts = [*several(generator, LAST, len(LAST)), *several(generator, LAST, len(LAST))]
    if count > len(firsts):
        raise ValueError(f"count is {count}; there are {len(firsts)} names at most")
    # Shifted by one in the second round, so that no full name occurs twice for sure.
    names = dict.fromkeys(f"{a} {b}" for a, b in zip(firsts, lasts, strict=True))
    extra = (f"{a} {b}" for a in FIRST for b in LAST if f"{a} {b}" not in names)
    while len(names) < count:
        names[next(extra)] = None
    return [*names][:count]


def relations_of(generator: np.random.Generator, names: list[str]) -> dict[str, dict[str, str]]:
    """Name to relation to other name: :data:`KNOWN` relations each, to different others."""
    return {
        name: dict(
            zip(
                several(generator, RELATIONS, KNOWN),
                several(generator, [other for other in names if other != name], KNOWN),
                strict=True,
            )
        )
        for name in names
    }


def chain_of(
    generator: np.random.Generator, known: Mapping[str, Mapping[str, str]], depth: int
) -> tuple[list[str], list[str]]:
    """Names ``(depth + 1)`` and relations ``(depth)`` of a walk that meets nobody twice."""
    while True:
        walk = [pick(generator, [*known])]
        steps: list[str] = []
        while len(steps) < depth:
            onward = [(r, o) for r, o in known[walk[-1]].items() if o not in walk]
            if not onward:
                break
            relation, other = pick(generator, onward)
            walk.append(other)
            steps.append(relation)
        if len(steps) == depth:
            return walk, steps


def question_of(start: str, steps: list[str]) -> str:
    """``"the tutor of the neighbour of Arvo Lind"`` for the steps neighbour, tutor."""
    return "".join(f"the {relation} of " for relation in reversed(steps)) + start


def write_documents(
    generator: np.random.Generator, known: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, str]]:
    """Identifier to ``{"title", "text"}``, one a person, in shuffled order."""
    documents: dict[str, dict[str, str]] = {}
    for number, name in enumerate(several(generator, [*known], len(known))):
        lines = [f"{name} is a {pick(generator, TRADES)} in {pick(generator, TOWNS)}."]
        for relation, other in known[name].items():
            fields = {"relation": relation, "name": name, "other": other}
            lines.append(pick(generator, SENTENCES).format_map(fields))
        documents[f"d{number:02d}"] = {"title": name, "text": " ".join(lines)}
    return documents


def ranked(documents: Mapping[str, Mapping[str, str]], query: str) -> list[str]:
    """Identifiers of the documents that share words with a query, best first.

    A word counts as much as few documents have it, and three times in a title; ties go by
    identifier, so that the order depends on nothing else.
    """
    words = set(plain(query).split())
    texts = {id: plain(f"{one['title']} {one['text']}").split() for id, one in documents.items()}
    having = {word: sum(word in set(said) for said in texts.values()) for word in words}
    scores = {
        id: sum(
            (1 + 3 * (word in plain(documents[id]["title"]).split())) / having[word]
            for word in words
            if word in said
        )
        for id, said in texts.items()
    }
    return sorted((id for id in documents if scores[id] > 0), key=lambda id: (-scores[id], id))


def _search(state: State, arguments: Mapping[str, Any], key: str) -> Any:
    documents = state["documents"]
    found = ranked(documents, arguments["query"])[:FOUND]
    return {
        "results": [
            {
                "id": id,
                "title": documents[id]["title"],
                "begins": re.split(r"(?<=\.) ", documents[id]["text"])[0],
            }
            for id in found
        ]
    }


def _open(state: State, arguments: Mapping[str, Any], key: str) -> Any:
    id = arguments["id"]
    if id not in state["documents"]:
        raise ToolError(f"there is no document {id!r}; {suggest(id, state['documents'])}")
    return dict(state["documents"][id])


OPERATIONS = (
    reads(
        "search_documents", f"The {FOUND} documents that share most words with a query.",
        {"query": text("a few words", minLength=1, examples=["Arvo Lind", "tutor"])}, _search,
    ),
    reads(
        "open_document", "Title and text of a document.",
        {"id": text("identifier, as a search returned it", 8, examples=["d00", "d07"])}, _open,
    ),
)  # fmt: skip

WORDINGS = Wordings(
    training=(
        "Who is {question}? The documents say it.",
        "Find {question} in the documents.",
        "Name {question}; search the documents.",
    ),
    held_out=(
        "Look into the documents: what is the name of {question}?",
        "I wonder who {question} may be. Search for it.",
    ),
)


def generate(level: int, generator: np.random.Generator) -> Problem:
    """A question of ``level`` hops."""
    names = people(generator)
    known = relations_of(generator, names)
    walk, steps = chain_of(generator, known, level)
    documents = write_documents(generator, known)
    ids = {one["title"]: id for id, one in documents.items()}
    solution = [
        action
        for name in walk[:-1]
        for action in (
            call("search_documents", query=name), call("open_document", id=ids[name])
        )
    ]  # fmt: skip
    expected = walk[-1]
    rivals = [name for name in names if name != walk[0]]  # an answer may repeat the question
    return Problem(
        wordings=WORDINGS,
        fields={"question": question_of(walk[0], steps)},
        state={"documents": documents},
        solution=(*solution, call("answer", text=expected)),
        judge=lambda state, answer: judge_name(answer, expected, rivals),
    )


DOCUMENTS = Domain(
    name="search",
    operations=OPERATIONS,
    levels=tuple(
        Level(max_steps=6 + 6 * depth, description=f"a question of {depth} hops")
        for depth in range(1, 9)
    ),
    generate=generate,
)
