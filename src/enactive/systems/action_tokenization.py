"""A bake-off of action tokens, after "A Survey on VLA Models: An Action Tokenization Perspective"
(arXiv 2507.01925).

The survey compares kinds of action tokens by what their papers report, each on its own data, robot
and model. Here tokenizers and heads meet under one protocol: the same demonstrations, backbone,
steps, number of parameters and evaluation episodes. The claim is the survey's conclusion in a form
that can fail: no single kind wins on every axis. It fails if the head that costs least, or the
tokenizer that loses least, also makes the better policy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from enactive.evaluation.claims.claim import Claim, Hypothesis, Measurement
from enactive.systems.bakeoff import (
    ALONE,
    ARMS,
    CODED,
    FITTED_ON,
    HORIZON,
    QUICK,
    SETTINGS,
    TASKS,
    Scale,
    measure,
)
from enactive.systems.bakeoff_figures import figures
from enactive.systems.experiment import WINDOWS

Arms = Mapping[str, Measurement]
CHEAPEST = "l1"
"""One pass of the head and no tokenizer: nothing costs less, and nothing is lost in encoding."""
GENERATIVE = ("flow_matching", "diffusion", "clean_action")
"""The heads that draw continuous actions from a distribution."""
COMPRESSED = tuple(arm for arm in CODED if not arm.endswith("bins"))
"""Autoregression over ids that do not stand for one entry each."""


def claim(quick: bool = False) -> Claim:
    """The claim; ``quick`` shows that everything runs."""
    scale = QUICK if quick else Scale()

    def prepare(shared: Path) -> None:
        for setting in SETTINGS:
            setting.data(shared, scale)
            setting.data(shared, scale, held_out=True)

    def unit(arm: str, seed: int, directory: Path, shared: Path) -> Measurement:
        return measure(arm, seed, directory, shared, scale)

    return Claim(
        system="action-tokenization",
        title="Action tokens: tokenizers and heads under one protocol",
        statement=(
            "No single kind of action token wins on every axis: where demonstrations disagree, the "
            "head that costs least acts worse than those that draw from a distribution, and under "
            "one head, the tokenizer that reconstructs best acts worse than those that compress."
        ),
        source=(
            "A Survey on Vision-Language-Action Models: An Action Tokenization Perspective, arXiv "
            "2507.01925: every kind of token has its strengths, and none is compared under shared "
            "conditions; tokenizers from RT-2, OpenVLA, FAST (2501.09747), VQ-BeT and QueST, MINT "
            "(2602.08602) and FACT (GenieReasoner)"
        ),
        world=(
            "PushT from states, the T beginning at 40 % of its usual distance and angle from its "
            f"mark, {scale.demonstrations} demonstrations of a planner that goes "
            "round the T either way, score: best reward of an episode. Meta-World from states, "
            f"{', '.join(TASKS)}, {scale.task_demonstrations} scripted demonstrations of each and "
            "one policy for all, score: success. Executed actions are slightly disturbed, the "
            "undisturbed ones are imitated."
        ),
        arms={arm: described(arm) for arm in ARMS}
        | {ALONE: "no policy: bits and held-out error with more and fewer bits"},
        controls={
            "Arms see other data or train longer": "the same demonstrations, batches, steps, "
            "learning rate, backbone and evaluation episodes for all arms of a seed",
            "Heads differ in size": "201 000 to 209 000 parameters, the ids' tables included; what "
            "a tokenizer learned beforehand is tokenizer_parameters",
            "Some losses draw several noises per chunk": "every loss draws one",
            "Bits not matched, as one tokenizer has rows of different lengths": "rvq, fact and "
            "spectral have 64, 64 and 63 bits; dct_bpe's are measured; errors are drawn over bits",
            "The best of many arms is best by luck": "primary hypotheses compare means of families "
            "that were fixed beforehand, not the best of them",
            "Reconstruction measured on what was fitted": "on demonstrations from other initial "
            "states that no policy and no tokenizer has seen",
            "Passes mistaken for speed": "milliseconds per decision are a cost of their own",
            "Malformed rows pass unseen": "the share of valid rows is an outcome of every arm",
        },
        hypotheses=hypotheses(scale),
        seeds=scale.seeds,
        budget=(
            f"two policies per unit, {scale.steps} steps of {WINDOWS} windows each; "
            f"{scale.episodes} episodes of PushT and {scale.task_episodes} of each Meta-World "
            f"task, at most {scale.max_steps} steps; chunks of {HORIZON}, tokenizers fitted on "
            f"at most {FITTED_ON} of them"
        ),
        measure=unit,
        prepare=prepare,
        figures=figures,
        parts={
            "bins": "enactive.models.tokenizers.bins",
            "DCT and byte pairs (FAST)": "enactive.models.tokenizers.dct_bpe",
            "residual quantisation": "enactive.models.tokenizers.rvq",
            "spectral scales (MINT)": "enactive.models.tokenizers.spectral",
            "sign bits and flow (FACT)": "enactive.models.tokenizers.fact",
            "autoregression": "enactive.models.heads.autoregressive",
            "discrete diffusion": "enactive.models.heads.discrete_diffusion",
            "next scale": "enactive.models.heads.next_scale",
        },
        not_tried=(
            "the survey's other kinds of tokens: language, code, affordances, trajectories, goal "
            "states, reasoning",
            "pictures, pretrained vision-language models, real robots",
            "sampling above temperature 0, and other numbers of rounds and steps",
            "tuning any arm: learning rate and steps are the same for all, and none was chosen for "
            "one of them",
        ),
        scale_note=(
            "The papers train models of 30 million to 7 billion parameters for ten thousands of "
            f"steps on pictures. Here: states, heads of 0.2 million, {scale.steps} steps. An arm "
            "that learns slowly loses here, whatever it would reach in the end."
        ),
    )


def described(arm: str) -> str:
    """What an arm is, in words."""
    head, tokenizer = ARMS[arm]
    kinds = {
        "uniform_bins": "256 bins between the extremes of each dimension",
        "quantile_bins": "256 bins between the 1st and 99th percentile of each dimension",
        "dct_bpe": "DCT, scale 10, and byte pairs, 512 ids, rows of variable length",
        "rvq": "residual quantisation, 8 ids of 8 bits",
        "spectral": "MINT's scales 1, 2, 4, 7 ids of 9 bits",
        "fact": "FACT's sign bits, 8 ids of 8 bits, 8 flow steps to decode",
    }
    if tokenizer is not None:
        return f"{head.part_name()} over {kinds[tokenizer]}"
    return f"{head.part_name()}, continuous actions"


# ------------------------------------------------------------------------------- what is compared


def family(arms: Arms, names: Sequence[str], setting: str, reference: str) -> float:
    """How much better several arms score on average than ``reference``.

    The family is fixed beforehand. The best of many arms would be better than any one of them by
    the luck of its training alone.
    """
    mean = np.mean([arms[name].outcome(setting) for name in names])
    return float(mean - arms[reference].outcome(setting))


def beyond_the_exact(arms: Arms) -> float:
    """How much better compressed ids act than those that reconstruct best.

    In each setting, under autoregression: the tokenizer of the smallest held-out error is the
    reference for the mean of the compressed ones; the mean over both settings.
    """
    gains: list[float] = []
    for setting in SETTINGS:
        exact = min(CODED, key=lambda arm: arms[arm].outcome(f"{setting.name}/mse"))
        others = [arm for arm in COMPRESSED if arm != exact]
        gains.append(family(arms, others, setting.name, exact))
    return float(np.mean(gains))


def agreement(arms: Arms) -> float:
    """Kendall's tau-b between the arms' scores in both settings: 1 for the same order."""
    one, other = ([arms[arm].outcome(setting.name) for arm in ARMS] for setting in SETTINGS)
    signs = np.array(
        [
            (np.sign(one[a] - one[b]), np.sign(other[a] - other[b]))
            for a, b in combinations(range(len(ARMS)), 2)
        ]
    )  # (pairs, 2)
    untied = np.sqrt((signs[:, 0] != 0).sum() * (signs[:, 1] != 0).sum())
    return float(signs.prod(1).sum() / max(untied, 1.0))


def passes(arms: Arms, one: str, other: str) -> float:
    """Head passes of ``other`` over those of ``one``, the smaller ratio of both settings."""
    return min(
        arms[other].cost[f"{setting.name}/head_passes"]
        / max(arms[one].cost[f"{setting.name}/head_passes"], 1.0)
        for setting in SETTINGS
    )


def gain(arms: Arms, better: str, worse: str) -> float:
    """Difference of scores, the mean over both settings."""
    return float(
        np.mean([arms[better].outcome(s.name) - arms[worse].outcome(s.name) for s in SETTINGS])
    )


def error_ratio(arms: Arms, one: str, other: str) -> float:
    """Held-out MSE of ``one`` over that of ``other``, the geometric mean over both settings."""
    logs = [
        np.log(arms[one].outcome(f"{s.name}/mse") / arms[other].outcome(f"{s.name}/mse"))
        for s in SETTINGS
    ]
    return float(np.exp(np.mean(logs)))


def hypotheses(scale: Scale) -> tuple[Hypothesis, ...]:
    """What is claimed, and what is reported beside it."""
    ar, masked = "autoregressive + {}", "discrete_diffusion + {}"
    bins, short = ar.format("quantile_bins"), ar.format("dct_bpe")
    step = 1 / (scale.task_episodes * len(TASKS))
    return (
        Hypothesis(
            name="the cheapest is not the best",
            statement="On PushT, where demonstrations go either way, the heads that draw from a "
            "distribution on average cover more of the mark than L1 regression, which takes one "
            "pass and loses nothing in encoding",
            value=lambda arms: family(arms, GENERATIVE, "pusht", CHEAPEST),
            direction="greater", threshold=0.0, unit="best reward of an episode",
        ),
        Hypothesis(
            name="the most exact is not the best",
            statement="Under autoregression, compressed ids on average act better than the ids "
            "with the smallest reconstruction error",
            value=beyond_the_exact,
            direction="greater", threshold=0.0, unit="score, mean of both settings",
        ),
        Hypothesis(
            name="the cheapest where demonstrations agree",
            statement="On Meta-World these heads succeed at most 5 points more often than L1",
            value=lambda arms: family(arms, GENERATIVE, "metaworld", CHEAPEST),
            direction="less", threshold=0.05, unit="success rate", primary=False, resolution=step,
        ),
        Hypothesis(
            name="orders differ",
            statement="The order of the arms on one setting says little about the other",
            value=agreement,
            direction="less", threshold=0.5, unit="Kendall's tau", primary=False,
        ),
        Hypothesis(
            name="compression costs no success",
            statement="Under autoregression, DCT and byte pairs score at most 0.1 less than "
            "quantile bins",
            value=lambda arms: gain(arms, short, bins),
            direction="greater", threshold=-0.1, unit="score, mean of both settings",
            primary=False, resolution=step / 2,
        ),
        Hypothesis(
            name="compression halves the passes",
            statement="and take at most half the passes of the head",
            value=lambda arms: passes(arms, short, bins),
            direction="greater", threshold=2.0, unit="times fewer", primary=False, exact=True,
        ),
        Hypothesis(
            name="parallel decoding at equal ids",
            statement="Discrete diffusion over quantile bins scores at most 0.1 less than "
            "autoregression, in a quarter of the passes",
            value=lambda arms: gain(arms, masked.format("quantile_bins"), bins),
            direction="greater", threshold=-0.1, unit="score, mean of both settings",
            primary=False, resolution=step / 2,
        ),
        Hypothesis(
            name="a flow decoder at equal bits",
            statement="At 64 bits FACT's held-out error is smaller than residual quantisation's",
            value=lambda arms: error_ratio(arms, ar.format("fact"), ar.format("rvq")),
            direction="less", threshold=1.0, unit="of its MSE", primary=False,
        ),
        Hypothesis(
            name="scale after scale",
            statement="Next-scale decoding scores at most 0.1 less than id after id with the same "
            "tokenizer",
            value=lambda arms: gain(arms, "next_scale + spectral", ar.format("spectral")),
            direction="greater", threshold=-0.1, unit="score, mean of both settings",
            primary=False, resolution=step / 2,
        ),
    )  # fmt: skip
