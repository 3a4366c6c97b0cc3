"""Acting by another's intent: the coarse part of every chunk is read off one demonstration.

One-shot transfer (Mimic Intent, Not Just Trajectories, arXiv 2602.08602, its language-free
MINT-Zero). A policy of several tasks that is not told the instruction cannot know which one is
meant where their scenes look alike. One demonstration tells it: at step t of an episode the first
scale of the chunk is not predicted but is that of the demonstration's chunk at step t, and the
finer scales are decoded for what the policy sees. So the demonstration says *what*, and the
policy, from its own situation, *how*. Past the demonstration's end its last step counts.

The chain shows the ids that were given as a ``latent`` token, from which the chunk is made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from enactive.actions.tokens import ActionToken
from enactive.models.action_model import ActionModel
from enactive.models.batch import Batch
from enactive.models.heads.head import Samples, TakesIntent
from enactive.policies.chunked import ChunkedPolicy, ChunkMemory


@dataclass(frozen=True, slots=True)
class IntentPolicy(ChunkedPolicy):
    """A :class:`ChunkedPolicy` whose chunks begin with a demonstration's intent; see the module.

    Raises:
        ValueError: the model's head cannot be given an intent, or ``intent`` is not ``(T, l)``.
    """

    label: str = "intent"
    intent: Tensor = field(kw_only=True, compare=False)
    """``int64 (T, l)``: the first scale's ids of the chunk at each of the demonstration's T steps,
    see :func:`demonstrated_intent`."""

    def __post_init__(self) -> None:
        ChunkedPolicy.__post_init__(self)
        if not isinstance(self.model.head, TakesIntent):
            raise ValueError(
                f"the head {self.model.config.head.part_name()} cannot be given an intent; use "
                "ChunkedPolicy, or train a head that can, such as next_scale"
            )
        if self.intent.dim() != 2 or not len(self.intent):
            raise ValueError(
                f"intent must be (T, l) with T > 0, got {tuple(self.intent.shape)}; make it with "
                "demonstrated_intent(model, actions)"
            )

    def describe(self) -> Mapping[str, Any]:
        described = ChunkedPolicy.describe(self)
        return {**described, "policy": "intent", "intent": self.intent.tolist()}

    def intent_at(self, step: int) -> Tensor:
        """What is given for a chunk that begins at ``step`` of an episode: ``int64 (l,)``."""
        return self.intent[min(step, len(self.intent) - 1)]

    def _draw(
        self, batch: Batch, generators: list[Generator], memories: Sequence[ChunkMemory]
    ) -> Samples:
        given = [self.intent_at(memory.step) for memory in memories]
        given += [self.intent[0]] * (batch.size - len(memories))
        return self.model.sample_given(batch, generators, torch.stack(given), self.config.samples)

    def _told(self, instruction: str, memory: ChunkMemory) -> tuple[ActionToken, ...]:
        told = ChunkedPolicy._told(self, instruction, memory)
        ids = self.intent_at(memory.step).numpy()
        return (*told, ActionToken(id="intent", kind="latent", content=ids, source="demonstration"))


@torch.inference_mode()
def demonstrated_intent(model: ActionModel, actions: NDArray[np.float32]) -> Tensor:
    """The intent of the chunk at every step of a demonstration.

    Args:
        model: whose head takes intents; it has one embodiment.
        actions: the demonstration's, ``float32 (T, A)``, in the action space's units. Past its end
            the last action is repeated.

    Returns:
        ``int64 (T, l)``, on the CPU.

    Raises:
        ValueError: the head cannot be given an intent, there are several embodiments, or
            ``actions`` has another shape.
    """
    if not isinstance(model.head, TakesIntent) or model.interface.slots is not None:
        raise ValueError(
            "a demonstration's intent needs a model of one embodiment and a head that takes "
            f"intents, such as next_scale; got the head {model.config.head.part_name()}"
        )
    wanted = model.interface.produces.size
    if actions.ndim != 2 or actions.shape[1] != wanted or not len(actions):
        raise ValueError(f"actions must be (T, {wanted}) with T > 0, got {actions.shape}")
    steps = np.arange(len(actions))[:, None] + np.arange(model.config.horizon)  # (T, H)
    chunks = torch.from_numpy(actions[np.minimum(steps, len(actions) - 1)])  # (T, H, A)
    return model.head.intent_of(model.normalise_chunk(chunks.to(model.device))).cpu()
