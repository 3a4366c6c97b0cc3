"""Chunk execution: what is executed when, and that episodes never leak into one another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reach_world import ReachWorld

from enactive.models.action_model import ActionModel
from enactive.models.heads.autoregressive import Autoregressive
from enactive.models.tokenizers.dct_bpe import DctBpe
from enactive.observations import Observation, Task
from enactive.policies.chunked import ChunkedPolicy, weights_hash
from enactive.policies.selection.best import Best
from enactive.policies.selection.random import Random
from enactive.policies.selection.temporal_ensemble import TemporalEnsemble
from enactive.seeding import torch_generator

LEFT = Task(name="left", instruction="go to the left")
RIGHT = Task(name="right", instruction="go to the right")


def episode(policy: ChunkedPolicy, task: Task, seed: int, steps: int):
    """The decisions and observations of one episode run alone."""
    world = ReachWorld.Config(max_steps=100).build()
    observation = world.reset(task, seed)
    memory = policy.begin(task, seed)
    decisions, observations = [], []
    for _ in range(steps):
        decision = policy.act([observation], [memory])[0]
        decisions.append(decision)
        observations.append(observation)
        memory = decision.memory
        observation = world.step(decision.action).observation
    return decisions, observations


def actions(decisions) -> list[bytes]:
    return [decision.action.tobytes() for decision in decisions]


def test_executes_k_of_h(model: ActionModel) -> None:
    policy = ChunkedPolicy.Config(execute=4).build(model)
    decisions, _ = episode(policy, LEFT, 5, 10)
    planned = [step for step, decision in enumerate(decisions) if decision.chain is not None]
    assert planned == [0, 4, 8]
    for step, decision in enumerate(decisions):
        chunk = decisions[step - step % 4].chain.final.array  # (H, A)
        assert chunk.shape == (6, 4)
        expected = model.interface.produces.clip(chunk[step % 4])
        assert decision.action.tobytes() == expected.tobytes()
        assert (decision.cost.backbone_passes, decision.cost.head_passes > 0) == (
            (1, True) if step % 4 == 0 else (0, False)
        )


def test_chain_tells_the_instruction_and_the_candidates(model: ActionModel) -> None:
    policy = ChunkedPolicy.Config(execute=2, samples=3, selection=Random.Config()).build(model)
    decisions, _ = episode(policy, RIGHT, 1, 12)
    chosen = set()
    for decision in decisions[::2]:
        chain = decision.chain
        assert chain.token("instruction").content == RIGHT.instruction
        candidates = chain.of_kind("raw")
        assert len(candidates) == 3
        assert len(chain.of_kind("raw", chosen=True)) == 1
        assert len({candidate.content_hash for candidate in candidates}) == 3
        chosen.add(chain.final.id)
        assert (
            decision.action.tobytes()
            == model.interface.produces.clip(chain.final.array[0]).tobytes()
        )
    assert len(chosen) > 1


def test_the_chain_holds_the_ids_and_says_which_are_malformed(model: ActionModel) -> None:
    config = replace(
        model.config,
        head=Autoregressive.Config(depth=1, attention_heads=2, temperature=1.0),
        tokenizer=DctBpe.Config(vocabulary=128),
    )
    made = config.build(model.interface, model.statistics, seed=3)
    made.language.preload(model.language.table, "made up")
    scale = torch.tensor([0.03, 0.03, 0.03, 0.3])
    generator = torch_generator(0, "chunks")
    made.fit_tokenizer(scale * torch.randn(200, 6, 4, generator=generator), generator)
    # Untrained, it draws any ids, most of which are those of no chunk.
    policy = ChunkedPolicy.Config(execute=1, samples=4, selection=Random.Config()).build(
        made.eval()
    )
    decisions, _ = episode(policy, LEFT, 2, 12)
    told: set[bool] = set()
    for decision in decisions:
        assert decision.chain is not None
        for raw in decision.chain.of_kind("raw"):
            [parent] = raw.parents
            ids = decision.chain.token(parent)
            assert ids.kind == "latent" and ids.parents == ("instruction",)
            valid = bool(made.tokenizer.is_valid(torch.from_numpy(ids.array.copy())[None]))
            assert ids.id.startswith("ids" if valid else "malformed-ids")
            assert ids.chosen == raw.chosen and np.isfinite(raw.array).all()
            told.add(valid)
    assert False in told


def test_best_follows_the_scores(model: ActionModel) -> None:
    class LargestX:
        def score(self, observation: Observation, candidates):
            return candidates[:, :, 0].sum(axis=1)

    policy = ChunkedPolicy.Config(execute=3, samples=4, selection=Best.Config()).build(
        model, LargestX()
    )
    decisions, _ = episode(policy, LEFT, 2, 3)
    candidates = decisions[0].chain.of_kind("raw")
    assert decisions[0].chain.final.score == max(candidate.score for candidate in candidates)
    assert decisions[0].chain.final.chosen


def test_temporal_ensemble_is_the_weighted_mean(model: ActionModel) -> None:
    selection = TemporalEnsemble.Config(decay=0.5)
    policy = ChunkedPolicy.Config(execute=2, selection=selection).build(model)
    decisions, _ = episode(policy, LEFT, 4, 5)
    chunks = [decisions[start].chain.final.array for start in (0, 2, 4)]
    predictions = np.stack([chunks[0][4], chunks[1][2], chunks[2][0]])
    weights = np.exp(-0.5 * np.arange(3))
    mean = (predictions * weights[:, None]).sum(0) / weights.sum()
    expected = model.interface.produces.clip(mean.astype(np.float32))
    np.testing.assert_allclose(decisions[4].action, expected, atol=1e-7)
    single = ChunkedPolicy.Config(execute=2).build(model)
    assert actions(episode(single, LEFT, 4, 5)[0]) != actions(decisions)


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_batches_do_not_leak(model: ActionModel, data: st.DataObject) -> None:
    """Any composition and order of batches gives each episode the bits it gets alone."""
    policy = ChunkedPolicy.Config(execute=3).build(model)
    tasks = [LEFT, RIGHT, LEFT, RIGHT]
    alone = [episode(policy, task, seed, 6) for seed, task in enumerate(tasks)]
    memories = [policy.begin(task, seed) for seed, task in enumerate(tasks)]
    done = [0] * 4
    got: list[list[bytes]] = [[] for _ in tasks]
    while any(count < 6 for count in done):
        open_ = [number for number in range(4) if done[number] < 6]
        chosen = data.draw(st.lists(st.sampled_from(open_), min_size=1, unique=True))
        seen = [alone[number][1][done[number]] for number in chosen]
        decisions = policy.act(seen, [memories[number] for number in chosen])
        for number, decision in zip(chosen, decisions, strict=True):
            memories[number] = decision.memory
            got[number].append(decision.action.tobytes())
            done[number] += 1
    assert got == [actions(decisions) for decisions, _ in alone]


def test_padded_batches_agree_up_to_rounding(model: ActionModel) -> None:
    one = ChunkedPolicy.Config(execute=2).build(model)
    many = ChunkedPolicy.Config(execute=2, batch_size=4).build(model)
    runs = [episode(one, LEFT, seed, 1) for seed in range(6)]
    observations = [run[1][0] for run in runs]
    decisions = many.act(observations, [many.begin(LEFT, seed) for seed in range(6)])
    for decision, (alone, _) in zip(decisions, runs, strict=True):
        np.testing.assert_allclose(decision.action, alone[0].action, atol=1e-5)


def test_a_memory_can_be_resumed(model: ActionModel) -> None:
    """The memory is the whole state: another policy object goes on with the same bits."""
    first = ChunkedPolicy.Config(execute=4).build(model)
    decisions, observations = episode(first, RIGHT, 9, 9)
    second = ChunkedPolicy.Config(execute=4).build(model)
    memory = decisions[4].memory
    for step in range(5, 9):
        decision = second.act([observations[step]], [memory])[0]
        assert decision.action.tobytes() == decisions[step].action.tobytes()
        memory = decision.memory


def test_a_new_instruction_makes_a_new_plan(model: ActionModel) -> None:
    policy = ChunkedPolicy.Config(execute=6).build(model)
    _, observations = episode(policy, LEFT, 0, 3)
    memory = policy.begin(LEFT, 0)
    first = policy.act([observations[0]], [memory])[0]
    told = replace(observations[1], instruction=RIGHT.instruction)
    assert policy.act([observations[1]], [first.memory])[0].chain is None
    again = policy.act([told], [first.memory])[0]
    assert again.chain.token("instruction").content == RIGHT.instruction


def test_the_instruction_matters(model: ActionModel) -> None:
    policy = ChunkedPolicy.Config().build(model) if model.config.horizon >= 8 else None
    policy = policy or ChunkedPolicy.Config(execute=1).build(model)
    _, observations = episode(policy, LEFT, 0, 1)
    told = replace(observations[0], instruction=RIGHT.instruction)
    left, right = policy.act([observations[0], told], [policy.begin(LEFT, 0)] * 2)
    assert left.action.tobytes() != right.action.tobytes()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (ChunkedPolicy.Config(execute=7), r"\[1, 6\]"),
        (ChunkedPolicy.Config(execute=2, samples=2), "would ignore 1"),
        (ChunkedPolicy.Config(execute=2, selection=Best.Config()), "needs a scorer"),
        (ChunkedPolicy.Config(execute=2, batch_size=0), "batch_size"),
    ],
)
def test_refusals(model: ActionModel, config: ChunkedPolicy.Config, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config.build(model)


def test_weights_hash_sees_one_bit(model: ActionModel) -> None:
    before = weights_hash(model)
    parameter = next(model.parameters())
    with torch.no_grad():
        kept = parameter.view(-1)[0].clone()
        parameter.view(-1)[0] = torch.nextafter(kept, kept + 1)
        changed = weights_hash(model)
        parameter.view(-1)[0] = kept
    assert changed != before == weights_hash(model)
