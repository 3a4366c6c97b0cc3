"""Wordings drawn anew: only those of the same task, all of them, the same on every run."""

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from enactive.configuration import ConfigurationError
from enactive.training.paraphrases import Paraphrases

WORDINGS = {"open": ("open it", "get it open", "pull"), "close": ("close it", "shut it")}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(
    told=st.lists(st.sampled_from([w for words in WORDINGS.values() for w in words]), max_size=9),
    seed=st.integers(0, 2**31),
)
def test_a_wording_stays_with_its_task(told: list[str], seed: int) -> None:
    paraphrases = Paraphrases(WORDINGS)
    drawn = paraphrases(told, generator(seed))
    assert len(drawn) == len(told)
    for before, after in zip(told, drawn, strict=True):
        assert any(before in words and after in words for words in WORDINGS.values())
    assert drawn == paraphrases(told, generator(seed))


def test_every_wording_is_as_likely() -> None:
    drawn = Counter(Paraphrases(WORDINGS)(["pull"] * 3000, generator()))
    assert set(drawn) == set(WORDINGS["open"])
    # Three standard deviations of a binomial with n = 3000, p = 1/3 are 77.
    assert all(abs(count - 1000) < 80 for count in drawn.values())


def test_unknown_instructions_stay_as_they_are() -> None:
    assert Paraphrases(WORDINGS)(["dance"], generator()) == ("dance",)


def test_a_wording_of_two_tasks_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'pull' is a wording of 'open' and of 'drag'"):
        Paraphrases({**WORDINGS, "drag": ("pull",)})
