"""Acting with a model that predicts chunks: execute k of H actions, then look and predict again.

Source: Zhao et al. (2023), ACT, section IV.A, for chunking and temporal ensembling; Chi et al.
(2023), Diffusion Policy, section III.C, for the receding horizon.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from enactive.actions.chain import Chain
from enactive.actions.decision import Cost, Decision
from enactive.actions.spaces import VectorSpace
from enactive.actions.tokens import ActionToken
from enactive.models.action_model import ActionModel
from enactive.models.batch import from_observations
from enactive.observations import Observation, ObservationSpec, Task
from enactive.seeding import numpy_generator, torch_generator

Selection = Literal["single", "random", "best", "temporal_ensemble"]
Chunk = NDArray[np.float32]


class Scorer(Protocol):
    """A verifier as selection sees it."""

    def score(self, observation: Observation, candidates: Chunk) -> Sequence[float]:
        """One score per candidate of ``candidates (S, H, A)``; larger is better."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class ChunkMemory:
    """Everything that a chunk policy remembers of an episode."""

    seed: int
    step: int = 0
    """Steps decided so far."""
    planned: int = 0
    """Chunks predicted so far; it names the next one's random stream."""
    chunks: tuple[tuple[int, Chunk], ...] = ()
    """``(first step, chunk (H, A))`` of those still in use, oldest first."""
    instruction: str = ""
    """What the latest chunk was told; another instruction makes the policy plan anew."""
    window: tuple[Observation, ...] = ()
    """The T - 1 observations before the current one, for models that see a history."""


@dataclass(frozen=True, slots=True)
class ChunkedPolicy:
    """An action model as a policy.

    Memories hold all state, and each chunk's noise comes from a generator named by its episode's
    seed and its number in the episode. With ``batch_size=1`` the bits of a decision do not depend
    on what else is decided at the same time. A larger, fixed ``batch_size`` is faster on an
    accelerator and agrees up to rounding, because matrix libraries block by position.
    """

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        execute: int = 8
        """k: actions of a chunk that are executed before the next prediction, in [1, H]."""
        samples: int = 1
        """S: candidates drawn at each prediction."""
        selection: Selection = "single"
        """Which candidate is executed. ``single``: the first. ``random``: a random one, the control
        of ``best``. ``best``: the one that the scorer likes most. ``temporal_ensemble``: no
        candidate but the weighted mean, at every step, of all chunks that predicted it."""
        ensemble_decay: float = 0.01
        """m: temporal ensembling weighs the i-th oldest prediction by exp(-m i)."""
        batch_size: int = 1
        """Windows per forward pass; the last pass of a call is padded up to it."""

        def build(self, model: ActionModel, scorer: Scorer | None = None) -> ChunkedPolicy:
            """The policy.

            Raises:
                ValueError: a value out of range, or a selection that cannot work.
            """
            return ChunkedPolicy(self, model, scorer)

    config: Config
    model: ActionModel
    scorer: Scorer | None = None
    label: str = "chunked"
    """What reports call the policy."""

    def __post_init__(self) -> None:
        config, horizon = self.config, self.model.config.horizon
        if not 1 <= config.execute <= horizon:
            raise ValueError(f"execute must lie in [1, {horizon}] (H), got {config.execute}")
        if config.samples < 1 or config.batch_size < 1:
            raise ValueError(
                f"samples and batch_size must be positive, got {config.samples} and "
                f"{config.batch_size}"
            )
        if (config.selection == "best") != (self.scorer is not None):
            raise ValueError("selection 'best' needs a scorer, and only it uses one")
        if config.selection in ("single", "temporal_ensemble") and config.samples > 1:
            raise ValueError(
                f"selection {config.selection!r} would ignore {config.samples - 1} of the "
                f"{config.samples} samples. Fix: samples=1, or selection 'random' or 'best'"
            )
        self.model.eval()

    @property
    def name(self) -> str:
        return self.label

    @property
    def consumes(self) -> ObservationSpec:
        return self.model.interface.consumes

    @property
    def produces(self) -> VectorSpace:
        return self.model.interface.produces

    def describe(self) -> Mapping[str, Any]:
        from enactive.configuration import to_dict

        return {
            "policy": "chunked",
            **asdict(self.config),
            "model": to_dict(self.model.config),
            "weights": weights_hash(self.model),
        }

    def begin(self, task: Task, seed: int) -> ChunkMemory:
        return ChunkMemory(seed=seed)

    def act(
        self, observations: Sequence[Observation], memories: Sequence[ChunkMemory]
    ) -> list[Decision]:
        pairs = list(zip(observations, memories, strict=True))
        due = [row for row, (seen, memory) in enumerate(pairs) if self._must_plan(seen, memory)]
        planned: dict[int, tuple[Chunk, Cost]] = {}
        for start in range(0, len(due), self.config.batch_size):
            rows = due[start : start + self.config.batch_size]
            planned |= self._sample(rows, [pairs[row] for row in rows])
        return [
            self._decide(observation, memory, planned.get(row))
            for row, (observation, memory) in enumerate(pairs)
        ]

    def _must_plan(self, observation: Observation, memory: ChunkMemory) -> bool:
        if not memory.chunks or observation.instruction != memory.instruction:
            return True
        return memory.step - memory.chunks[-1][0] >= self.config.execute

    def _sample(
        self, rows: Sequence[int], pairs: Sequence[tuple[Observation, ChunkMemory]]
    ) -> dict[int, tuple[Chunk, Cost]]:
        """Candidates ``(S, H, A)`` and cost of each row, in one forward pass."""
        started = time.perf_counter()
        size, consumes = self.config.batch_size, self.consumes
        batch = from_observations(
            [self._window(observation, memory) for observation, memory in pairs],
            [camera.name for camera in consumes.cameras],
            [state.name for state in consumes.states],
        ).padded(size)
        generators = [torch_generator(memory.seed, "chunk", memory.planned) for _, memory in pairs]
        generators += [torch_generator(0, "padding") for _ in range(size - len(pairs))]
        drawn = self.model.sample(batch, generators, self.config.samples)
        chunks = drawn.chunk.to(device="cpu", dtype=torch.float32).numpy()  # (B, S, H, A)
        spent = (time.perf_counter() - started) * 1000 / len(pairs)
        cost = replace(drawn.cost, milliseconds=spent)
        return {row: (chunks[place].copy(), cost) for place, row in enumerate(rows)}

    def _window(self, observation: Observation, memory: ChunkMemory) -> list[Observation]:
        """T observations, oldest first; before an episode's start its first one is repeated."""
        seen = [*memory.window, observation]
        missing = self.model.config.observation_steps - len(seen)
        return [seen[0]] * missing + seen

    def _decide(
        self, observation: Observation, memory: ChunkMemory, planned: tuple[Chunk, Cost] | None
    ) -> Decision:
        chunks, chain, cost = memory.chunks, None, Cost()
        if planned is not None:
            candidates, cost = planned
            chosen, scores = self._select(observation, memory, candidates)
            if observation.instruction != memory.instruction:
                chunks = ()  # chunks made for another instruction are not averaged in
            chunks = (*chunks, (memory.step, candidates[chosen]))
            chain = self._chain(observation.instruction, candidates, chosen, scores)
        horizon = self.model.config.horizon
        kept = tuple(entry for entry in chunks if memory.step - entry[0] < horizon)
        if self.config.selection != "temporal_ensemble":
            kept = kept[-1:]
        predictions = np.stack([chunk[memory.step - start] for start, chunk in kept])  # (N, A)
        action = self.produces.clip(self._average(predictions))
        history = self.model.config.observation_steps - 1
        following = ChunkMemory(
            seed=memory.seed,
            step=memory.step + 1,
            planned=memory.planned + (planned is not None),
            chunks=kept,
            instruction=observation.instruction,
            window=(*memory.window, observation)[-history:] if history else (),
        )
        return Decision(action=action, chain=chain, cost=cost, memory=following)

    def _average(self, predictions: Chunk) -> Chunk:
        """ACT's weighted mean of ``predictions (N, A)``, oldest first."""
        if len(predictions) == 1:
            return predictions[0]
        weights = np.exp(-self.config.ensemble_decay * np.arange(len(predictions)))  # (N,)
        mean = (predictions * weights[:, None]).sum(axis=0) / weights.sum()  # (A,)
        return mean.astype(np.float32)

    def _select(
        self, observation: Observation, memory: ChunkMemory, candidates: Chunk
    ) -> tuple[int, Sequence[float] | None]:
        if self.scorer is not None:
            scores = [float(score) for score in self.scorer.score(observation, candidates)]
            return int(np.argmax(scores)), scores
        if self.config.selection == "random":
            generator = numpy_generator(memory.seed, "selection", memory.planned)
            return int(generator.integers(len(candidates))), None
        return 0, None

    def _chain(
        self,
        instruction: str,
        candidates: Chunk,
        chosen: int,
        scores: Sequence[float] | None,
    ) -> Chain:
        """The instruction, every candidate with its score, and which of them is executed."""
        told = ActionToken(
            id="instruction", kind="language", content=instruction, source="observation"
        )
        head = type(self.model.head).__name__
        tokens = [
            ActionToken(
                id="raw" if len(candidates) == 1 else f"candidate-{number}",
                kind="raw",
                content=candidate,
                parents=("instruction",),
                source=head,
                score=None if scores is None else scores[number],
                chosen=number == chosen,
            )
            for number, candidate in enumerate(candidates)
        ]
        return Chain((told, *tokens))


def weights_hash(model: torch.nn.Module) -> str:
    """16 hexadecimal digits over every parameter and buffer, by name, shape and bits."""
    digest = hashlib.blake2b(digest_size=8)
    for name, tensor in sorted(model.state_dict().items()):
        value = tensor.detach().cpu().contiguous()
        digest.update(f"{name}:{value.dtype}:{tuple(value.shape)}".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
