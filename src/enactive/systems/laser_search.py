"""The search tasks of the Laser claim: several chains to follow, and an answer that needs them all.

The documents are those of the workspace's domain ``search``, made longer by sentences that matter
to nobody. A question of depth d has d hops in chains of two, and asks for the ends of all chains,
so that what was found early is needed late. In the second domain one retrieval in five is
corrupted: the document that is opened names other people.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from enactive.actions.toolbox import ToolError
from enactive.seeding import numpy_generator
from enactive.worlds.workspace.answers import plain
from enactive.worlds.workspace.documents import (
    DOCUMENTS,
    chain_of,
    people,
    question_of,
    relations_of,
    write_documents,
)
from enactive.worlds.workspace.problem import (
    Domain,
    Level,
    Problem,
    State,
    Wordings,
    call,
    pick,
    reads,
    text,
)

CORRUPTED = 0.2
"""Share of the retrievals that name other people than the document does."""

NAME = r"[A-Z][a-z]+ [A-Z][a-z]+"
"""Pattern of a person's name."""

FILLER = (
    "In the long winters {name} kept a diary that nobody has read to this day.",
    "{name} was seen at the spring fair and spoke of the weather with great care.",
    "The house with the green door was repaired twice while {name} lived in it.",
    "Visitors remember that {name} served tea at four and never asked for news.",
    "A letter about the harvest, signed by {name}, hangs in the town hall.",
)

WORDINGS = Wordings(
    training=("Who are {question}? Name them all in this order.",),
    held_out=("Name, in this order, {question}.",),
)


def generate(level: int, generator: np.random.Generator) -> Problem:
    """A question of ``level`` hops: chains of two, and one of one hop where ``level`` is odd."""
    names = people(generator)
    known = relations_of(generator, names)
    walks: list[tuple[list[str], list[str]]] = []
    met: set[str] = set()
    left = level
    while left > 0:
        walk, steps = chain_of(generator, known, min(2, left))
        if met.isdisjoint(walk):  # no name serves two chains
            walks.append((walk, steps))
            met.update(walk)
            left -= len(steps)
    documents = write_documents(generator, known)
    for one in documents.values():
        rest = [pick(generator, FILLER).format_map({"name": one["title"]}) for _ in range(4)]
        one["text"] = " ".join([one["text"], *rest])
    ends = [walk[-1] for walk, _ in walks]
    starts = {walk[0] for walk, _ in walks}

    def judge(state: State, answer: str) -> str:
        said = re.findall("|".join(plain(name) for name in names), plain(answer))
        given = [name for name in said if name not in {plain(start) for start in starts}]
        return "" if given == [plain(end) for end in ends] else f"the answer is not {ends}"

    ids = {one["title"]: id for id, one in documents.items()}
    reading = [call("open_document", id=ids[name]) for walk, _ in walks for name in walk[:-1]]
    return Problem(
        wordings=WORDINGS,
        fields={"question": ", and ".join(question_of(walk[0], steps) for walk, steps in walks)},
        state={
            "documents": documents, "opened": {}, "salt": int(generator.integers(2**31)),
            "names": names,
        },
        solution=(*reading, call("answer", text=", ".join(ends))),
        judge=judge,
    )  # fmt: skip


def _open(state: State, arguments: Mapping[str, Any], key: str) -> Any:
    """A document, or one time in five another version of it; drawn anew at every opening."""
    id = arguments["id"]
    if id not in state["documents"]:
        raise ToolError(f"there is no document {id!r}; search for one")
    one = dict(state["documents"][id])
    opened = state["opened"][id] = state["opened"].get(id, 0) + 1
    generator = numpy_generator(state["salt"], "corrupted", id, opened)
    if generator.random() < CORRUPTED:
        others = [name for name in state["names"] if name != one["title"]]
        named = dict.fromkeys(re.findall(NAME, one["text"]))
        for name in named:
            if name != one["title"] and name in others:
                one["text"] = one["text"].replace(name, pick(generator, others).swapcase())
        # Swapped case keeps what was put in from being replaced again.
        one["text"] = re.sub(r"\b[a-z][A-Z]+\b", lambda found: found[0].swapcase(), one["text"])
    return one


_LEVELS = tuple(
    Level(max_steps=200, description=f"the ends of chains with {depth} hops in all")
    for depth in range(1, 9)
)

BRANCHED = Domain(
    name="branched", operations=DOCUMENTS.operations, levels=_LEVELS, generate=generate
)
"""Chains whose ends are all asked for."""

UNRELIABLE = Domain(
    name="unreliable",
    operations=(
        DOCUMENTS.operations[0],
        reads(
            "open_document", "Title and text of a document.",
            {"id": text("identifier, as a search returned it", 8, examples=["d00", "d07"])},
            _open, resources=("document:{id}",),
        ),
    ),
    levels=_LEVELS,
    generate=generate,
)  # fmt: skip
"""The same with corrupted retrievals."""
