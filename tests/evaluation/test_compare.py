"""Paired comparison: counts, refusals, and the verdict."""

from __future__ import annotations

from dataclasses import replace

import pytest
from reach_world import SPACE, ReachWorld

from enactive.evaluation.compare import Incomparable, compare
from enactive.evaluation.evaluate import evaluate
from enactive.evaluation.plan import Rules, evaluation_plan
from enactive.evaluation.results import Evaluation
from enactive.evaluation.statistics import holm, mcnemar_exact
from enactive.policies.expert import ExpertPolicy
from enactive.policies.random_policy import RandomPolicy
from enactive.worlds.pool import WorldPool

CONFIG = ReachWorld.Config()
SPEC = CONFIG.build().spec
PLAN = evaluation_plan(SPEC, ["left", "right"], 12)


def run(policy, plan=PLAN, config=CONFIG, rules=None) -> Evaluation:
    with WorldPool(config, 0) as pool:
        return evaluate(pool, policy, plan, rules=rules)


@pytest.fixture(scope="module")
def random() -> Evaluation:
    return run(RandomPolicy(SPACE))


@pytest.fixture(scope="module")
def expert() -> Evaluation:
    return run(
        ExpertPolicy.Config(expert="reach_world:clumsy_expert", privileged="truth").build(SPEC)
    )


def test_counts_and_verdict(random: Evaluation, expert: Evaluation) -> None:
    found = compare(random, expert)
    worse = {e.key for e in random.group() if e.success}
    better = {e.key for e in expert.group() if e.success}
    assert found.pairs.only_second == len(better - worse)
    assert found.pairs.only_first == len(worse - better)
    assert found.pairs.both == len(better & worse)
    assert found.pairs.episodes == 24
    assert found.difference.estimate == pytest.approx((len(better) - len(worse)) / 24)
    assert found.difference.low > 0 and "is better than random" in found.verdict
    assert found.p_value == mcnemar_exact(found.pairs.only_first, found.pairs.only_second)
    p_values = [task.p_value for task in found.tasks.values()]
    assert [task.p_adjusted for task in found.tasks.values()] == holm(p_values)
    assert found.clustered is not None and found.clustered.contains(found.difference.estimate)
    assert compare(random, expert) == found
    assert compare(expert, random).difference.estimate == -found.difference.estimate


def test_a_policy_is_no_better_than_itself(expert: Evaluation) -> None:
    found = compare(expert, replace(expert, policy="twin"))
    assert found.p_value == 1.0 and found.difference.estimate == 0
    assert "no difference" in found.verdict
    assert found.difference.low < 0 < found.difference.high


def test_other_protocols_are_refused_with_the_reason(random: Evaluation) -> None:
    policy = RandomPolicy(SPACE)
    with pytest.raises(Incomparable, match=r"world_config\.max_steps: 25 against 20"):
        compare(random, run(policy, config=ReachWorld.Config(max_steps=20)))
    with pytest.raises(Incomparable, match=r"rules\.success_hold: 5 against 0"):
        compare(random, run(policy, rules=Rules(success_hold=0)))
    with pytest.raises(Incomparable, match="plan:"):
        other = evaluation_plan(SPEC, ["left", "right"], 12, first_seed=5)
        compare(random, run(policy, other))


def test_missing_episodes_are_refused(random: Evaluation) -> None:
    cut = replace(random, episodes=random.episodes[:-1])
    with pytest.raises(Incomparable, match="1 episodes of group 'main' have no partner"):
        compare(random, cut)
