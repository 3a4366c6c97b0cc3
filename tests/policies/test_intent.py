"""Acting by a demonstration's intent: what is given when, what is recorded, what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from reach_world import ReachWorld
from torch import Generator

from enactive.models.action_model import ActionModel, Interface
from enactive.models.backbones.small_vla import SmallVLA
from enactive.models.batch import from_observations
from enactive.models.heads.next_scale import NextScale
from enactive.models.tokenizers.spectral import Spectral
from enactive.observations import Task
from enactive.policies.chunked import ChunkedPolicy
from enactive.policies.intent import IntentPolicy, demonstrated_intent
from enactive.policies.open_loop import OpenLoopPolicy
from enactive.seeding import torch_generator
from enactive.training.config import Initial
from enactive.training.initial import begin_from

H = 8
CONFIG = ActionModel.Config(
    states=("proprio",),
    horizon=H,
    backbone=SmallVLA.Config(width=16, depth=1, attention_heads=2, channels=(8, 8), keypoints=4),
    head=NextScale.Config(depth=1, attention_heads=2),
    tokenizer=Spectral.Config(vocabulary=16, channels=8, code_width=4, fit_steps=30, fit_batch=32),
    instructed=False,
)
ACTING = ChunkedPolicy.Config(execute=3)


def made(config: ActionModel.Config = CONFIG) -> ActionModel:
    """Random weights, all of which matter; the tokenizer is not fitted."""
    spec = ReachWorld.Config().build().spec
    statistics = {
        "action": {"mean": np.zeros(4), "std": np.array([0.03, 0.03, 0.03, 0.3])},
        "proprio": {"mean": np.zeros(2), "std": np.full(2, 0.3)},
    }
    interface = Interface(consumes=spec.observations, produces=spec.accepts)
    model = config.build(interface, statistics, seed=3)
    generator = torch_generator(0, "shake")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "tokenizer" not in name:
                parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return model.eval()


def recording(steps: int, seed: int = 0) -> np.ndarray:
    """``(T, 4)``, smooth and within bounds."""
    generator = np.random.default_rng(seed)
    phase = generator.uniform(0, 6.3, (1, 4))
    wave = np.sin(0.5 * np.arange(steps)[:, None] + phase) * [0.02, 0.02, 0.02, 0.3]
    return wave.astype(np.float32)


@pytest.fixture(scope="module")
def fitted() -> ActionModel:
    model = made()
    chunks = torch.from_numpy(np.stack([recording(H, seed) for seed in range(64)]))
    model.fit_tokenizer(chunks, Generator().manual_seed(0))
    return model


def decisions(policy, steps: int, instruction: str = "go to the left"):
    world = ReachWorld.Config(max_steps=100).build()
    task = Task(name="left", instruction=instruction)
    observation, memory = world.reset(task, 5), policy.begin(task, 5)
    found = []
    for _ in range(steps):
        decision = policy.act([observation], [memory])[0]
        memory = decision.memory
        found.append(decision)
        observation = world.step(decision.action).observation
    return found


def test_the_demonstrations_step_decides_what_is_given(fitted: ActionModel) -> None:
    intent = demonstrated_intent(fitted, recording(5))
    policy = IntentPolicy(ACTING, fitted, intent=intent)
    for step, decision in enumerate(decisions(policy, 10)):
        if step % 3:
            assert decision.chain is None
            continue
        given = decision.chain.token("intent")
        assert given.kind == "latent"
        assert given.content.tolist() == intent[min(step, 4)].tolist()
        assert decision.chain.final.parents == ("ids",)
        assert decision.chain.token("ids").parents == ("intent",)  # it is not told any wording
        assert decision.cost.head_passes == len(fitted.tokenizer.scales) - 1


def test_what_is_executed_begins_with_what_was_given(fitted: ActionModel) -> None:
    world = ReachWorld.Config(max_steps=100).build()
    seen = [[world.reset(Task(name="left", instruction="x"), seed)] for seed in range(3)]
    consumes = fitted.interface.consumes
    cameras = [camera.name for camera in consumes.cameras]
    batch = from_observations(seen, cameras, [state.name for state in consumes.states])
    free = fitted.sample(batch, Generator().manual_seed(0))
    own = free.trace["ids"][:, 0, :1]
    same = fitted.sample_given(batch, Generator().manual_seed(0), own)
    torch.testing.assert_close(same.chunk, free.chunk)
    other = (own + 1) % fitted.tokenizer.vocabulary
    changed = fitted.sample_given(batch, Generator().manual_seed(0), other)
    assert torch.equal(changed.trace["ids"][:, 0, :1], other)
    assert bool((changed.chunk != free.chunk).flatten(1).any(1).all())


def test_the_intent_of_a_demonstration_is_that_of_its_chunks(fitted: ActionModel) -> None:
    actions = recording(6)
    padded = np.concatenate([actions, np.repeat(actions[-1:], H, axis=0)])
    intent = demonstrated_intent(fitted, actions)
    assert intent.shape == (6, fitted.tokenizer.scales[0])
    for step in range(6):
        chunk = torch.from_numpy(padded[None, step : step + H])
        ids = fitted.tokenizer.encode(fitted.normalise_chunk(chunk))
        assert intent[step].tolist() == ids[0, : fitted.tokenizer.scales[0]].tolist()


def test_heads_without_a_coarsest_part_are_refused(model: ActionModel) -> None:
    with pytest.raises(ValueError, match="flow_matching cannot be given an intent"):
        IntentPolicy(ACTING, model, intent=torch.zeros(1, 1, dtype=torch.int64))
    with pytest.raises(ValueError, match="a head that takes intents"):
        demonstrated_intent(model, recording(4))


def test_a_model_that_is_not_instructed_hears_nothing(fitted: ActionModel, tmp_path: Path) -> None:
    """No wording changes a bit, none is embedded, and it loads without embeddings."""
    policy = ChunkedPolicy(ACTING, fitted)
    left, right = (decisions(policy, 4, text) for text in ("go to the left", "made up"))
    assert [d.action.tobytes() for d in left] == [d.action.tobytes() for d in right]
    assert not fitted.language.table
    assert [token.id for token in left[0].chain.tokens] == ["ids", "raw"]
    fitted.save(tmp_path)
    again = decisions(ChunkedPolicy(ACTING, ActionModel.load(tmp_path)), 4)
    assert [d.action.tobytes() for d in again] == [d.action.tobytes() for d in left]


def test_fine_tuning_keeps_what_ids_mean(fitted: ActionModel, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    chunks = torch.from_numpy(np.stack([recording(H, seed) for seed in range(100, 120)]))
    ids = fitted.tokenizer.encode(fitted.normalise_chunk(chunks))
    tuned = made()
    begin_from(tuned, Initial(path=tmp_path))
    assert tuned.tokenizer.fitted
    tuned.fit_tokenizer(chunks, Generator().manual_seed(1))  # as the trainer does; changes nothing
    assert torch.equal(tuned.tokenizer.encode(tuned.normalise_chunk(chunks)), ids)
    # Another recipe is another tokenizer, and is fitted to the new data.
    other = made(replace(CONFIG, tokenizer=replace(CONFIG.tokenizer, domain="time")))
    begin_from(other, Initial(path=tmp_path))
    assert not other.tokenizer.fitted


def test_open_loop_repeats_the_recording_then_its_last_action() -> None:
    space = ReachWorld.Config().build().spec.accepts
    actions = recording(4)
    played = decisions(OpenLoopPolicy(space, actions), 7)
    for step, decision in enumerate(played):
        assert decision.action.tobytes() == actions[min(step, 3)].tobytes()
    with pytest.raises(ValueError, match="T > 0"):
        OpenLoopPolicy(space, actions[:0])
    with pytest.raises(ValueError):
        OpenLoopPolicy(space, actions + 10)
