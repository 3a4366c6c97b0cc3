"""Chains of roles that hand a sheet of numbers on, each having done its own sum to it.

The task of the claim ``metagpt``. Proposals come from a scripted model that does the right thing to
what it is handed, or, with a stated probability, something wrong; which of them is decided by the
seed and the request. Roles, documents, the bus, validation and the sandbox that executes checks are
the library's own.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb
from typing import Any, Literal

import numpy as np
from pydantic import Field, create_model

from enactive.models.language_models.language_model import Message, Request
from enactive.models.language_models.scripted import Scripted
from enactive.policies.agents.documents import Document, Kind, kind_of
from enactive.policies.agents.flow import Flow, Ok, do, lift, usage
from enactive.policies.agents.flow_steps import start
from enactive.policies.agents.roles import Role, Team
from enactive.policies.agents.works import Checked, Inputs, TeamState, Work, Write, complete
from enactive.seeding import numpy_generator
from enactive.worlds.code.executor import CodeExecutor, Ended

CELLS = 8
STRUCTURAL = 0.5
"""Share of what goes wrong that also breaks the form: a cell is missing, or is a word."""
COVERED = 6
"""Cells that an executable check looks at: its recall of other errors is 6 of 8."""
ATTEMPTS = 3
"""Proposals for each role of a chain, to be used by any of them."""

Arm = Literal["relay", "vote", "typed", "typed and checked", "broadcast"]


class Sheet(Document):
    """Numbers, in order."""

    cells: list[int] = Field(min_length=CELLS, max_length=CELLS)


class Note(Document):
    """Anything, in words."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Sum:
    """What one role does: cell j becomes ``factor`` times cell ``order[j]``, plus ``term``."""

    factor: int
    term: int
    order: tuple[int, ...]

    def of(self, cells: Sequence[int]) -> list[int]:
        return [self.factor * cells[i] + self.term for i in self.order]


@dataclass(frozen=True, kw_only=True, slots=True)
class Chain:
    """One episode: what there is at first, and what each role does."""

    cells: tuple[int, ...]
    sums: tuple[Sum, ...]

    @classmethod
    def draw(cls, length: int, generator: np.random.Generator) -> Chain:
        """A chain of ``length`` roles."""
        sums = tuple(
            Sum(
                factor=int(generator.choice([-1, 1, 2])),
                term=int(generator.integers(-9, 10)),
                order=tuple(generator.permutation(CELLS).tolist()),
            )
            for _ in range(length)
        )
        return cls(cells=tuple(generator.integers(0, 100, CELLS).tolist()), sums=sums)

    @property
    def result(self) -> list[int]:
        """What is right at the end."""
        cells = list(self.cells)
        for one in self.sums:
            cells = one.of(cells)
        return cells


def written(cells: Sequence[Any]) -> str:
    """Cells in a sentence."""
    return f"The cells are now {', '.join(map(str, cells))}."


def read(text: str) -> list[int]:
    """The numbers in a sentence, as a reader takes them who expects eight: what is missing is 0."""
    found = [int(one) for one in re.findall(r"-?\d+", text)][:CELLS]
    return found + [0] * (CELLS - len(found))


def proposer(corruption: float, seed: int) -> Scripted:
    """A model that does its sum, and goes wrong with probability ``corruption``."""

    def answer(request: Request) -> str:
        system, first = request.messages[0].content, request.messages[1].content
        task = json.loads(system[system.index("{") : system.index("}") + 1])
        handed = first.split("\n\n")[-1] if task["typed"] else first
        if not task["typed"]:
            cells = read(handed)
        else:
            sheets = re.findall(r'\{"cells":\[([-\d,]*)\]\}', first.split("You gave")[0])
            cells = [int(one) for one in sheets[-1].split(",")]
        right = Sum(factor=task["factor"], term=task["term"], order=tuple(task["order"])).of(cells)
        digest = hashlib.blake2b(json.dumps(request.to_dict()).encode(), digest_size=8)
        generator = numpy_generator(seed, "proposer", int.from_bytes(digest.digest(), "big") >> 1)
        given: list[Any] = list(right)
        if generator.random() < corruption:
            place = int(generator.integers(CELLS))
            if generator.random() >= STRUCTURAL:
                given[place] += int(generator.choice([-1, 1])) * int(generator.integers(1, 10))
            elif generator.random() < 0.5:
                del given[place]
            else:
                given[place] = "many"
        return json.dumps({"cells": given}) if task["typed"] else written(given)

    return Scripted(name="proposer", answer=answer, settings={"corruption": corruption})


@dataclass(frozen=True, kw_only=True, slots=True)
class Say:
    """A note in the model's own words; of several, the one that most of them are."""

    model: Scripted
    name: str
    instruction: str
    consumes: tuple[Kind, ...]
    kind: type[Note]
    votes: int = 1
    on: tuple[Kind, ...] = ()

    @property
    def produces(self) -> tuple[Kind, ...]:
        return (self.kind,)

    def do(self, inputs: Inputs, goal: str, feedback: str) -> Flow[TeamState, Document]:
        return _say(self, inputs)


@do
async def _say(work: Say, inputs: Inputs) -> Document:
    (note,) = inputs.values()
    assert isinstance(note, Note)
    said = [
        Message(role="system", content=work.instruction),
        Message(role="user", content=note.text),
    ]
    texts = [
        await complete(work.model, said, None, 200, vote) for vote in range(work.votes)
    ]  # one after the other: a list of awaits
    return work.kind(text=Counter(texts).most_common(1)[0][0])


@dataclass(frozen=True, kw_only=True, slots=True)
class Tests:
    """Executes assertions about some cells of a sheet."""

    executor: CodeExecutor
    sum: Sum
    cells: tuple[int, ...]
    before: str
    """Name of the kind that the sheet was made of."""

    def __call__(self, document: Document, inputs: Inputs, /) -> Flow[TeamState, str]:
        before = inputs[self.before]
        assert isinstance(document, Sheet) and isinstance(before, Sheet)
        lines = [f"before = {before.cells}", f"after = {document.cells}"]
        for j in self.cells:
            wanted = f"{self.sum.factor} * before[{self.sum.order[j]}] + {self.sum.term}"
            lines.append(f"assert after[{j}] == {wanted}, 'cell {j} is wrong'")
        return lift(_execute, self.executor, "\n".join(lines), through=True)


def _execute(executor: CodeExecutor, source: str) -> str:
    session = executor.open((), 0)
    try:
        state = session.start(source)
        assert isinstance(state, Ended)
        return "" if state.failure is None else state.failure.message.splitlines()[-1]
    finally:
        session.close()


def team(
    arm: Arm, chain: Chain, model: Scripted, executor: CodeExecutor, generator: np.random.Generator
) -> Team:
    """The roles of a chain under an arm's rules of hand-over."""
    typed = arm not in ("relay", "vote")
    base = Sheet if typed else Note
    kinds: list[Any] = [create_model(f"{base.__name__}{k}", __base__=base)
                        for k in range(len(chain.sums) + 1)]  # fmt: skip
    roles: list[Role] = []
    for k, one in enumerate(chain.sums):
        told = {"typed": typed, "factor": one.factor, "term": one.term, "order": one.order}
        instruction = f"Cell j becomes factor * cell[order[j]] + term: {json.dumps(told)}."
        covered = tuple(sorted(generator.permutation(CELLS)[:COVERED].tolist()))
        work: Work
        if not typed:
            work = Say(model=model, name=f"sum {k}", instruction=instruction,
                       consumes=(kinds[k],), kind=kinds[k + 1],
                       votes=ATTEMPTS if arm == "vote" else 1)  # fmt: skip
        else:
            everything = arm == "broadcast"
            work = Write(
                model=model, name=f"sum {k}", instruction=instruction, kind=kinds[k + 1],
                consumes=tuple(kinds[: k + 1]) if everything else (kinds[k],), on=(kinds[k],),
                attempts=ATTEMPTS * len(chain.sums), max_tokens=200,
            )  # fmt: skip
            if arm != "typed":
                check = Tests(executor=executor, sum=one, cells=covered, before=kind_of(kinds[k]))
                work = Checked(work=work, check=check, rounds=ATTEMPTS * len(chain.sums))
        others = tuple(kinds[:-1]) if arm == "broadcast" else ()
        roles.append(Role(name=f"role {k}", works=(work,), also_reads=others))
    return Team(
        roles=tuple(roles), begins_with=(kinds[0],), wanted=kinds[-1],
        rounds=len(chain.sums) + 2, completions=ATTEMPTS * len(chain.sums),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of one chain."""

    right: bool
    read: float
    """Messages read, per role."""
    proposals: int
    prompt_tokens: int


def work(
    arm: Arm, chain: Chain, model: Scripted, executor: CodeExecutor, generator: np.random.Generator
) -> Outcome:
    """Run one chain."""
    some = team(arm, chain, model, executor, generator)
    (first,) = some.begins_with
    cells = list(chain.cells)
    given = first(text=written(cells)) if issubclass(first, Note) else first(cells=cells)
    with usage() as used:
        end = start(some.work(given), some.state)
    right, read_ = False, float("nan")
    if isinstance(end, Ok):
        found = end.value
        right = (found.cells if isinstance(found, Sheet) else read(found.text)) == chain.result
        read_ = float(np.mean(list(end.state.read.values())))
    return Outcome(
        right=right, read=read_, proposals=len(used),
        prompt_tokens=sum(one.prompt_tokens for one in used),
    )  # fmt: skip


RECALL: Mapping[str, float] = {
    "relay": 0.0,
    "typed": STRUCTURAL,
    "typed and checked": STRUCTURAL + (1 - STRUCTURAL) * COVERED / CELLS,
    "broadcast": STRUCTURAL + (1 - STRUCTURAL) * COVERED / CELLS,
}
"""Arm -> share of wrong proposals that it notices."""


def predicted(arm: str, corruption: float, length: int) -> float:
    """Probability that a chain is right: every role gives a right proposal before a wrong one goes
    unnoticed, and all proposals fit the budget.

    With t of them noticed as wrong, ``C(n + t - 1, t) (p r)^t (1 - p)^n``, summed over t up to the
    budget. Without a limit that is ``((1 - p) / (1 - p r))^n``. For ``vote``: the first of the most
    frequent, wrong ones never being alike.
    """
    p, n = corruption, length
    if arm == "vote":
        majority = sum(
            comb(ATTEMPTS, k) * (1 - p) ** k * p ** (ATTEMPTS - k) for k in range(2, ATTEMPTS + 1)
        )
        return (majority + (1 - p) * p ** (ATTEMPTS - 1)) ** n
    noticed = p * RECALL[arm]
    spare = (ATTEMPTS - 1) * n
    return (1 - p) ** n * sum(comb(n + t - 1, t) * noticed**t for t in range(spare + 1))
