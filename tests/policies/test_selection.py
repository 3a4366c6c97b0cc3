"""Selection: which candidate counts, and how much each overlapping chunk does."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from reach_world import ReachWorld

from enactive.configuration import from_dict, to_dict
from enactive.models.action_model import ActionModel
from enactive.observations import Task
from enactive.policies.chunked import ChunkedPolicy
from enactive.policies.selection.adaptive_ensemble import AdaptiveEnsemble, cosines
from enactive.policies.selection.intent_ensemble import IntentEnsemble
from enactive.policies.selection.mean_ensemble import MeanEnsemble
from enactive.policies.selection.random import Random
from enactive.policies.selection.selection import Plan, Selection
from enactive.policies.selection.single import Single
from enactive.policies.selection.temporal_ensemble import TemporalEnsemble
from enactive.registry import Registry

H, A = 6, 3
NAMES = Registry("selections").names()
ENSEMBLES = [name for name in NAMES if name.endswith("_ensemble")]


def build(name: str) -> Selection:
    return Registry("selections").load(name)().build()


def plans(seed: int, count: int, size: int = A) -> tuple[list[Plan], int]:
    """``count`` plans that begin at steps 0, 1, ..., and the last one's first step."""
    rng = np.random.default_rng(seed)

    def floats(*shape: int):
        return rng.normal(size=shape).astype(np.float32)

    made = [
        Plan(
            start=start,
            chunk=floats(H, size) * 10,
            normalised=floats(H, size),
            trace={"intent": floats(4), "confidence": rng.uniform(0.1, 1, size=()).astype("f4")},
        )
        for start in range(count)
    ]
    return made, count - 1


def test_every_selection_is_registered_and_off_by_default() -> None:
    assert set(NAMES) == {
        "adaptive_ensemble", "best", "intent_ensemble", "mean_ensemble", "random", "single",
        "temporal_ensemble",
    }  # fmt: skip
    assert isinstance(ChunkedPolicy.Config().selection, Single.Config)


@pytest.mark.parametrize("name", NAMES)
def test_configurations_survive_plain_values(name: str) -> None:
    config = ChunkedPolicy.Config(selection=Registry("selections").load(name)())
    plain = to_dict(config)
    assert plain["selection"]["part"] == name
    assert from_dict(ChunkedPolicy.Config, plain) == config


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), count=st.integers(1, H))
def test_the_action_is_a_weighted_mean(name: str, seed: int, count: int) -> None:
    selection = build(name)
    found, step = plans(seed, count)
    kept = found if selection.window is None else found[-selection.window :]
    weights = selection.weights(kept, step)
    assert weights.shape == (len(kept),) and (weights >= 0).all() and weights.sum() > 0
    said = np.stack([plan.at(step) for plan in kept])  # (N, A)
    action = selection.action(kept, step)
    assert action.dtype == np.float32 and action.shape == (A,)
    expected = (weights / weights.sum()) @ said.astype(np.float64)
    np.testing.assert_allclose(action, expected, rtol=1e-5, atol=1e-5)
    # Shares that sum to 1 keep the action between the predictions.
    assert (action >= said.min(0) - 1e-5).all() and (action <= said.max(0) + 1e-5).all()


@pytest.mark.parametrize("name", NAMES)
@given(seed=st.integers(0, 2**31), count=st.integers(1, H))
def test_predictions_that_agree_are_executed_to_the_bit(name: str, seed: int, count: int) -> None:
    selection = build(name)
    found, step = plans(seed, count)
    agreed = found[-1].at(step)
    for plan in found:
        plan.chunk[step - plan.start] = agreed
    assert selection.action(found, step).tobytes() == agreed.tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_one_chunk_is_executed_as_it_is(name: str) -> None:
    found, step = plans(0, 1)
    action = build(name).action(found, step + 2)
    assert action.tobytes() == Single().action(found, step + 2).tobytes()
    assert action.tobytes() == found[0].chunk[2].tobytes()


@given(seed=st.integers(0, 2**31), count=st.integers(2, H), decay=st.floats(-1, 1))
def test_temporal_ensemble_has_the_numbers_of_act(seed: int, count: int, decay: float) -> None:
    found, step = plans(seed, count)
    said = np.stack([plan.at(step) for plan in found])
    weights = np.exp(-decay * np.arange(count))
    expected = ((said * weights[:, None]).sum(axis=0) / weights.sum()).astype(np.float32)
    made = TemporalEnsemble.Config(decay=decay).build()
    assert made.action(found, step).tobytes() == expected.tobytes()


@given(seed=st.integers(0, 2**31), count=st.integers(2, H), size=st.integers(1, 7))
def test_the_published_alpha_is_nearly_the_plain_mean(seed: int, count: int, size: int) -> None:
    """Weights of one set of predictions differ by at most e^0.2 = 1.22, whatever they are."""
    found, step = plans(seed, count, size)
    weights = AdaptiveEnsemble.Config(alpha=0.1).build().weights(found, step)
    assert 1 <= weights.max() / weights.min() <= math.exp(0.2) + 1e-9
    assert weights[-1] >= weights.max() * (1 - 1e-9)  # nothing agrees more


def test_a_larger_alpha_adapts() -> None:
    """One step at which the older chunks went the other way: with the published alpha they still
    decide, with a large one the newest does."""
    newest = np.tile(np.array([1.0, 0.2, 0.0], np.float32), (H, 1))
    others = [
        Plan(start=start, chunk=-newest, normalised=-newest, trace={}) for start in range(H - 1)
    ]
    found, step = [*others, Plan(start=H - 1, chunk=newest, normalised=newest)], H - 1
    nearly, mean = (
        config.build().action(found, step)
        for config in (AdaptiveEnsemble.Config(), MeanEnsemble.Config())
    )
    adaptive = AdaptiveEnsemble.Config(alpha=10.0).build()
    assert nearly @ newest[0] < 0 and mean @ newest[0] < 0
    assert np.abs(nearly - mean).max() < 0.06 * np.abs(newest).max()
    np.testing.assert_allclose(adaptive.action(found, step), newest[0], atol=1e-6)
    weights = adaptive.weights(found, step)
    assert weights.max() / weights.min() == pytest.approx(math.exp(20.0), rel=1e-4)


@given(seed=st.integers(0, 2**31), count=st.integers(2, H))
def test_alpha_zero_is_the_mean(seed: int, count: int) -> None:
    found, step = plans(seed, count)
    one = AdaptiveEnsemble.Config(alpha=0.0).build().action(found, step)
    assert one.tobytes() == MeanEnsemble.Config().build().action(found, step).tobytes()


def test_raw_units_let_the_largest_entry_decide() -> None:
    """Why cosines are of normalised actions: metres beside a gripper's 1 do not count."""
    scale = np.array([0.01, 0.01, 1.0], np.float32)
    ways = [np.array([side, 0.0, 1.0], np.float32) for side in (-2.0, 2.0)]
    found = [
        Plan(start=start, chunk=np.tile(way * scale, (H, 1)), normalised=np.tile(way, (H, 1)))
        for start, way in enumerate(ways)
    ]
    seen = AdaptiveEnsemble.Config(alpha=10.0).build().weights(found, 1)
    blind = AdaptiveEnsemble.Config(alpha=10.0, normalised=False).build().weights(found, 1)
    assert seen[0] / seen[1] < 1e-6
    assert blind[0] / blind[1] > 0.99


@given(st.integers(0, 2**31), st.integers(1, 5))
def test_cosines(seed: int, size: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(4, size))
    assume((np.linalg.norm(rows, axis=1) > 1e-3).all())
    found = cosines(rows, rows[0])
    assert found[0] == pytest.approx(1.0) and (np.abs(found) <= 1 + 1e-9).all()
    np.testing.assert_allclose(cosines(-rows, rows[0]), -found)
    assert cosines(np.zeros((1, size)), rows[0])[0] == 0


def test_intents_age_and_confidence_weigh() -> None:
    found, step = plans(3, 4)
    made = IntentEnsemble.Config(temperature=0.5, decay=0.03).build()
    weights = made.weights(found, step)
    now = found[-1].trace["intent"]
    for plan, weight in zip(found, weights, strict=True):
        then = plan.trace["intent"]
        cosine = then @ now / np.linalg.norm(then) / np.linalg.norm(now)
        expected = math.exp((cosine - 1) / 0.5) * plan.trace["confidence"]
        expected *= math.exp(-0.03 * (3 - plan.start))
        assert weight == pytest.approx(expected, rel=1e-5)


def test_intents_alone_without_confidence() -> None:
    intents = np.eye(2, dtype=np.float32)
    chunk = np.zeros((H, A), np.float32)
    found = [
        Plan(start=start, chunk=chunk, normalised=chunk, trace={"intent": intents[which]})
        for start, which in enumerate((0, 1, 1))
    ]
    weights = IntentEnsemble.Config(temperature=0.1, decay=0.0).build().weights(found, 2)
    np.testing.assert_allclose(weights, [math.exp(-10), 1, 1], rtol=1e-4)


def test_random_is_uniform_and_repeatable() -> None:
    candidates = np.zeros((4, H, A), np.float32)
    observation = ReachWorld.Config().build().reset(Task(name="left", instruction="left"), 0)
    made = Random()

    def draw(seed: int) -> list[int]:
        generator = np.random.default_rng(seed)
        return [made.choose(observation, candidates, generator).index for _ in range(2000)]

    assert draw(1) == draw(1) != draw(2)
    assert np.abs(np.bincount(draw(1)) / 2000 - 0.25).max() < 0.05


# ------------------------------------------------------------------------------- in a policy

LEFT = Task(name="left", instruction="go to the left")


def decisions(policy: ChunkedPolicy, steps: int):
    world = ReachWorld.Config(max_steps=100).build()
    observation = world.reset(LEFT, 4)
    memory = policy.begin(LEFT, 4)
    made = []
    for _ in range(steps):
        decision = policy.act([observation], [memory])[0]
        made.append(decision)
        memory = decision.memory
        observation = world.step(decision.action).observation
    return made


def test_a_window_of_k_chunks_is_averaged(model: ActionModel) -> None:
    config = ChunkedPolicy.Config(execute=1, selection=MeanEnsemble.Config(window=3))
    made = decisions(config.build(model), 6)
    chunks = [decision.chain.final.array for decision in made]
    for step, decision in enumerate(made):
        first = max(0, step - 2)
        said = np.stack([chunks[start][step - start] for start in range(first, step + 1)])
        expected = model.interface.produces.clip(said.mean(0, dtype=np.float64).astype(np.float32))
        np.testing.assert_allclose(decision.action, expected, atol=1e-6)
        assert decision.cost.backbone_passes == 1
        assert len(decision.memory.plans) == min(step + 1, 3)


def test_agreement_is_of_normalised_actions(model: ActionModel) -> None:
    policy = ChunkedPolicy.Config(execute=1, selection=AdaptiveEnsemble.Config()).build(model)
    for plan in decisions(policy, 3)[-1].memory.plans:
        scale = np.array(model.statistics["action"]["std"], np.float32)
        np.testing.assert_allclose(plan.normalised * scale, plan.chunk, rtol=1e-5, atol=1e-6)


def test_selection_is_part_of_the_provenance(model: ActionModel) -> None:
    policy = ChunkedPolicy.Config(execute=1, selection=AdaptiveEnsemble.Config(alpha=2.0))
    described = policy.build(model).describe()
    assert described["selection"] == {
        "part": "adaptive_ensemble", "window": 7, "alpha": 2.0, "normalised": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"execute": 6, "selection": MeanEnsemble.Config()}, "no two chunks overlap"),
        ({"execute": 1, "selection": IntentEnsemble.Config()}, "by intent, and the head 'flow_"),
        ({"execute": 1, "samples": 3, "selection": MeanEnsemble.Config()}, "would ignore 2"),
        ({"execute": 1, "selection": MeanEnsemble.Config(window=1)}, "selection.window"),
        ({"execute": 1, "selection": AdaptiveEnsemble.Config(window=0)}, "selection.window"),
        ({"execute": 1, "selection": IntentEnsemble.Config(temperature=0)}, "temperature"),
    ],
)
def test_what_cannot_work_is_refused_at_wiring(
    model: ActionModel, config: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ChunkedPolicy.Config(**config).build(model)


def test_a_scorer_that_nobody_asks_is_refused(model: ActionModel) -> None:
    class Nobody:
        def score(self, observation, candidates):
            return [0.0] * len(candidates)

    with pytest.raises(ValueError, match="would ignore the scorer"):
        ChunkedPolicy.Config(execute=2).build(model, Nobody())
