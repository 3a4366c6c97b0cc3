"""Chains of roles do their sums, errors are noticed as stated, and the formula is a probability."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import cast

import numpy as np
import pytest

pytest.importorskip("pydantic_monty")

from enactive.models.language_models.language_model import Message, Request
from enactive.systems.metagpt_relay import (
    ATTEMPTS,
    RECALL,
    Arm,
    Chain,
    predicted,
    proposer,
    read,
    work,
    written,
)
from enactive.worlds.code.monty import MontyExecutor

ARMS = cast("tuple[Arm, ...]", ("relay", "vote", "typed", "typed and checked", "broadcast"))


@pytest.fixture(scope="module")
def executor() -> Iterator[MontyExecutor]:
    made = MontyExecutor.Config(check_types=False).build()
    yield made
    made.close()


@pytest.mark.parametrize("arm", ARMS)
def test_chains_without_errors_are_right(arm: Arm, executor: MontyExecutor) -> None:
    generator = np.random.default_rng(0)
    for n in (1, 3):
        chain = Chain.draw(n, generator)
        end = work(arm, chain, proposer(0.0, 0), executor, generator)
        assert end.right and end.proposals == n * (ATTEMPTS if arm == "vote" else 1)
        assert end.read == (n if arm == "broadcast" else 1)


@pytest.mark.parametrize("arm", ARMS)
def test_chains_that_are_always_wrong_end_within_their_budget(
    arm: Arm, executor: MontyExecutor
) -> None:
    generator = np.random.default_rng(0)
    for seed in range(5):
        end = work(arm, Chain.draw(3, generator), proposer(1.0, seed), executor, generator)
        assert not end.right and end.proposals <= 3 * ATTEMPTS


def test_the_formula() -> None:
    for arm in ARMS:
        assert predicted(arm, 0.0, 5) == 1.0
        assert 0.0 <= predicted(arm, 0.9, 3) < predicted(arm, 0.1, 3) < 1.0
    assert predicted("relay", 0.1, 4) == pytest.approx(0.9**4)
    p, n, recall = 0.1, 4, RECALL["typed and checked"]
    unlimited = ((1 - p) / (1 - p * recall)) ** n
    assert predicted("typed and checked", p, n) == pytest.approx(unlimited, abs=1e-4)


def test_a_proposal_is_a_function_of_its_request() -> None:
    model = proposer(0.5, 1)
    told = json.dumps({"typed": False, "factor": 2, "term": 1, "order": [7, 6, 5, 4, 3, 2, 1, 0]})
    said = (Message(role="system", content=told), Message(role="user", content=written(range(8))))
    texts = [model.complete(Request(messages=said, seed=seed)).text for seed in range(40)]
    assert texts == [model.complete(Request(messages=said, seed=seed)).text for seed in range(40)]
    right = [read(text) == [15, 13, 11, 9, 7, 5, 3, 1] for text in texts]
    assert 8 < sum(right) < 32


def test_a_sandbox_that_is_not_there_is_no_failed_check() -> None:
    """It would be taken for a chain that went wrong."""

    class Missing:
        restorable = False

        def open(self, tools: object, seed: int) -> object:
            raise FileNotFoundError("no sandbox here")

    generator = np.random.default_rng(0)
    with pytest.raises(FileNotFoundError, match="no sandbox here"):
        work(
            "typed and checked", Chain.draw(2, generator), proposer(0.0, 0),
            cast("MontyExecutor", Missing()), generator,
        )  # fmt: skip
