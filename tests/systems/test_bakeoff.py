"""The bake-off: arms of equal size, and what its hypotheses compare."""

from __future__ import annotations

import math

import pytest

from enactive.evaluation.claims.claim import Measurement
from enactive.evaluation.report.svg import scatter
from enactive.models.action_model import seeded_initialisation
from enactive.models.heads.head import HeadSpec
from enactive.systems.action_tokenization import (
    COMPRESSED,
    agreement,
    beyond_the_exact,
    error_ratio,
    family,
    passes,
)
from enactive.systems.bakeoff import ALONE, ARMS, HORIZON, TOKENIZERS, VARIANTS, WIDTH
from enactive.systems.bakeoff_figures import figures
from enactive.systems.experiment import parameters


def measured(scores: dict[str, tuple[float, float]], mse: dict[str, float]) -> dict:
    """Units whose PushT and Meta-World scores are as given."""
    return {
        arm: Measurement(
            outcomes={
                "pusht": pusht,
                "metaworld": metaworld,
                **{f"{s}/mse": mse.get(arm, 1.0) for s in ("pusht", "metaworld")},
                **{f"{s}/bits": 64.0 for s in ("pusht", "metaworld")},
            },
            cost={"pusht/head_passes": 4.0, "metaworld/head_passes": 8.0},
        )
        for arm, (pusht, metaworld) in scores.items()
    }


@pytest.mark.parametrize("size", [2, 4])
def test_heads_are_of_equal_size(size: int) -> None:
    counts: dict[str, int] = {}
    for arm, (config, name) in ARMS.items():
        assert config.refuses(None if name is None else TOKENIZERS[name]) is None
        with seeded_initialisation(0):
            tokenizer = None
            if name is not None:
                tokenizer = TOKENIZERS[name].build(action_size=size, horizon=HORIZON)
            head = config.build(
                HeadSpec(width=WIDTH, action_size=size, horizon=HORIZON, tokenizer=tokenizer)
            )
        counts[arm] = parameters(head) - (0 if tokenizer is None else parameters(tokenizer))
    assert max(counts.values()) < 1.05 * min(counts.values()), counts
    assert min(counts.values()) > 200_000 and max(counts.values()) < 210_000, counts


def test_learned_tokenizers_have_equal_bits() -> None:
    for name, bits in (("rvq", 64), ("fact", 64), ("spectral", 63)):
        tokenizer = TOKENIZERS[name].build(action_size=4, horizon=HORIZON)
        assert tokenizer.length * math.log2(tokenizer.vocabulary) == bits


def test_the_most_exact_is_compared_with_the_compressed_ones() -> None:
    scores = dict.fromkeys(ARMS, (0.5, 0.5))
    scores["autoregressive + uniform_bins"] = (0.1, 0.3)
    arms = measured(scores, {"autoregressive + uniform_bins": 1e-4})
    assert beyond_the_exact(arms) == pytest.approx((0.4 + 0.2) / 2)
    # A compressed tokenizer may be the most exact, and is then left out of the others.
    scores["autoregressive + dct_bpe"] = (0.9, 0.9)
    arms = measured(scores, {"autoregressive + dct_bpe": 1e-5})
    assert beyond_the_exact(arms) == pytest.approx(-0.4)
    assert len(COMPRESSED) == 4


def test_families_are_means_and_not_the_luckiest() -> None:
    scores = dict.fromkeys(ARMS, (0.2, 0.2))
    scores |= {"diffusion": (0.8, 0.0), "l1": (0.3, 0.3)}
    arms = measured(scores, {})
    names = ("diffusion", "flow_matching", "clean_action")
    assert family(arms, names, "pusht", "l1") == pytest.approx(0.4 - 0.3)


def test_agreement_is_kendalls_tau() -> None:
    same = {arm: (k / 20, k / 40) for k, arm in enumerate(ARMS)}
    assert agreement(measured(same, {})) == pytest.approx(1.0)
    reverse = {arm: (k / 20, -k) for k, arm in enumerate(ARMS)}
    assert agreement(measured(reverse, {})) == pytest.approx(-1.0)
    from scipy.stats import kendalltau

    mixed = {arm: (k % 5, (7 * k) % 4) for k, arm in enumerate(ARMS)}
    expected = kendalltau([a for a, _ in mixed.values()], [b for _, b in mixed.values()]).statistic
    assert agreement(measured(mixed, {})) == pytest.approx(expected)
    assert agreement(measured(dict.fromkeys(ARMS, (0.0, 0.0)), {})) == 0.0


def test_ratios_of_errors_and_passes() -> None:
    arms = measured(dict.fromkeys(ARMS, (0, 0)), {"l1": 4.0, "diffusion": 2.0})
    assert error_ratio(arms, "l1", "diffusion") == pytest.approx(2.0)
    assert passes(arms, "l1", "diffusion") == 1.0


def test_pictures_hold_every_arm_that_was_measured() -> None:
    arms = measured(dict.fromkeys(ARMS, (0.4, 0.6)), {"autoregressive + rvq": 0.1})
    alone: dict[str, tuple[float, ...]] = {}
    for name, configs in VARIANTS.items():
        for setting in ("pusht", "metaworld"):
            alone[f"{setting}/{name} bits"] = tuple(32.0 * (k + 1) for k in range(len(configs)))
            alone[f"{setting}/{name} mse"] = tuple(0.1 / (k + 1) for k in range(len(configs)))
    found = {(arm, 0): unit for arm, unit in arms.items()}
    drawn = figures({**found, (ALONE, 0): Measurement(episodes=alone)})
    assert len(drawn) == 4
    for arm in ARMS:
        assert arm in drawn[0].svg
    for name in TOKENIZERS:
        assert name in drawn[1].svg
    assert len(figures({})) == 0
    assert scatter({"": [(0.0, 1.0, "no place on a logarithmic scale")]}, title="t") == ""
