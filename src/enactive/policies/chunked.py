"""Acting with a model that predicts chunks: execute k of H actions, then look and predict again.

Source: Zhao et al. (2023), ACT, section IV.A, for chunking; Chi et al. (2023), Diffusion Policy,
section III.C, for the receding horizon. Which of the predicted actions is executed is a part of its
own, :mod:`enactive.policies.selection`.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Generator

from enactive.actions.chain import Chain
from enactive.actions.decision import Cost, Decision
from enactive.actions.spaces import VectorSpace
from enactive.actions.tokens import ActionToken
from enactive.configuration import to_dict
from enactive.models.action_model import ActionModel
from enactive.models.batch import Batch, from_observations
from enactive.models.heads.head import Samples
from enactive.observations import Observation, ObservationSpec, Task
from enactive.policies.selection.selection import (
    Choice,
    Floats,
    Plan,
    Scorer,
    Selection,
    SelectionConfig,
)
from enactive.policies.selection.single import Single
from enactive.registry import suggest
from enactive.seeding import numpy_generator, torch_generator


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """What one forward pass made of one row."""

    candidates: Floats
    """``float32 (S, H, A)`` in the action space's units."""
    normalised: Floats
    """``float32 (S, H, A)``, as the head gave them."""
    trace: Mapping[str, Any]
    """Name to an array ``(S, ...)``: what selection wants to know of how they came about."""
    cost: Cost
    ids: NDArray[Any] | None = None
    """``int64 (S, L)``, of heads that predict ids."""
    valid: NDArray[Any] | None = None
    """``bool (S,)``: False where the ids are malformed; None where they cannot be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChunkMemory:
    """Everything that a chunk policy remembers of an episode."""

    seed: int
    step: int = 0
    """Steps decided so far."""
    planned: int = 0
    """Chunks predicted so far; it names the next one's random stream."""
    plans: tuple[Plan, ...] = ()
    """The chunks still in use, oldest first."""
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
        selection: SelectionConfig = field(default_factory=Single.Config)
        """Which candidate counts, and how chunks that overlap are averaged; by default the first
        and none."""
        batch_size: int = 1
        """Windows per forward pass; the last pass of a call is padded up to it."""
        embodiment: str = ""
        """Which of the model's embodiments it acts for; needed where the model has several."""

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
    selection: Selection = field(init=False)

    def __post_init__(self) -> None:
        config, horizon = self.config, self.model.config.horizon
        if not 1 <= config.execute <= horizon:
            raise ValueError(f"execute must lie in [1, {horizon}] (H), got {config.execute}")
        if config.samples < 1 or config.batch_size < 1:
            raise ValueError(
                f"samples and batch_size must be positive, got {config.samples} and "
                f"{config.batch_size}"
            )
        known = self.model.interface.embodiments
        if self._embodiment not in (known or ("",)):
            raise ValueError(
                f"embodiment: the model has none called {config.embodiment!r}; "
                f"{suggest(config.embodiment, known)}"
                if known
                else f"embodiment: the model knows no embodiments, so {config.embodiment!r} names "
                "none; leave it out"
            )
        object.__setattr__(self, "selection", config.selection.build())
        head = self.model.head
        reason = self.selection.refuses(
            execute=config.execute,
            horizon=horizon,
            samples=config.samples,
            scorer=self.scorer,
            head=self.model.config.head.part_name(),
            traces=head.traces,
        )
        if reason is not None:
            raise ValueError(f"selection {config.selection.part_name()!r}: {reason}")
        self.model.eval()

    @property
    def name(self) -> str:
        return self.label

    @property
    def consumes(self) -> ObservationSpec:
        return self.model.interface.consumes

    @property
    def produces(self) -> VectorSpace:
        slots = self.model.interface.slots
        return self.model.interface.produces if slots is None else slots.spaces[self._embodiment]

    @property
    def open_loop(self) -> int:
        """Actions that follow from one observation, in [1, H]: k, or 1 with a history of
        observations, because each step's own belongs in it."""
        return self.config.execute if self.model.config.observation_steps == 1 else 1

    @property
    def _embodiment(self) -> str:
        """Name of the embodiment; the only one need not be named."""
        known = self.model.interface.embodiments
        return self.config.embodiment or (known[0] if len(known) == 1 else "")

    def _own(self, unified: torch.Tensor) -> torch.Tensor:
        """``(..., U)`` to the embodiment's ``(..., A)``."""
        slots = self.model.interface.slots
        return unified if slots is None else unified[..., list(slots.places[self._embodiment])]

    def describe(self) -> Mapping[str, Any]:
        return {
            "policy": "chunked",
            **to_dict(self.config),
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
        planned: dict[int, Prediction] = {}
        for start in range(0, len(due), self.config.batch_size):
            rows = due[start : start + self.config.batch_size]
            planned |= self._sample(rows, [pairs[row] for row in rows])
        return [
            self._decide(observation, memory, planned.get(row))
            for row, (observation, memory) in enumerate(pairs)
        ]

    def _must_plan(self, observation: Observation, memory: ChunkMemory) -> bool:
        if not memory.plans or observation.instruction != memory.instruction:
            return True
        return memory.step - memory.plans[-1].start >= self.config.execute

    def _sample(
        self, rows: Sequence[int], pairs: Sequence[tuple[Observation, ChunkMemory]]
    ) -> dict[int, Prediction]:
        """The candidates of each row, in one forward pass."""
        started = time.perf_counter()
        size, consumes = self.config.batch_size, self.consumes
        batch = from_observations(
            [self._window(observation, memory) for observation, memory in pairs],
            [camera.name for camera in consumes.cameras],
            [state.name for state in consumes.states],
        ).padded(size)
        slots = self.model.interface.slots
        if slots is not None:
            number = torch.full((batch.size,), slots.index(self._embodiment))
            batch = replace(batch, embodiment=number)
        generators = [torch_generator(memory.seed, "chunk", memory.planned) for _, memory in pairs]
        generators += [torch_generator(0, "padding") for _ in range(size - len(pairs))]
        drawn = self._draw(batch, generators, [memory for _, memory in pairs])
        chunks = self._own(drawn.chunk.float().cpu())  # (B, S, H, A)
        rows_of = None if batch.embodiment is None else batch.embodiment.to(drawn.chunk.device)
        scaled = self.model.normalise_chunk(drawn.chunk, rows_of)
        normalised = self._own(scaled.float().cpu())
        wanted = (*self.selection.needs_trace, *self.selection.uses_trace)
        trace = {name: drawn.trace[name].cpu() for name in wanted if name in drawn.trace}
        spent = (time.perf_counter() - started) * 1000 / len(pairs)
        return {
            row: Prediction(
                candidates=chunks[place].numpy().copy(),
                normalised=normalised[place].numpy().copy(),
                trace={name: entry[place].numpy().copy() for name, entry in trace.items()},
                cost=replace(drawn.cost, milliseconds=spent),
                ids=_row(drawn.trace.get("ids"), place),
                valid=_row(drawn.valid, place),
            )
            for place, row in enumerate(rows)
        }

    def _draw(
        self, batch: Batch, generators: list[Generator], memories: Sequence[ChunkMemory]
    ) -> Samples:
        """Chunks for a batch whose first rows are the episodes' of ``memories``; padding follows.

        Policies that give the model more than observations override it, and :meth:`_told`.
        """
        return self.model.sample(batch, generators, self.config.samples)

    def _window(self, observation: Observation, memory: ChunkMemory) -> list[Observation]:
        """T observations, oldest first; before an episode's start its first one is repeated."""
        seen = [*memory.window, observation]
        missing = self.model.config.observation_steps - len(seen)
        return [seen[0]] * missing + seen

    def _decide(
        self, observation: Observation, memory: ChunkMemory, predicted: Prediction | None
    ) -> Decision:
        plans, chain, cost = memory.plans, None, Cost()
        if predicted is not None:
            cost = predicted.cost
            generator = numpy_generator(memory.seed, "selection", memory.planned)
            choice = self.selection.choose(
                observation, predicted.candidates, generator, self.scorer
            )
            if observation.instruction != memory.instruction:
                plans = ()  # chunks made for another instruction are not averaged in
            plans = (*plans, _plan(memory.step, predicted, choice.index))
            told = self._told(observation.instruction, memory)
            chain = self._chain(told, predicted, choice)
        horizon, window = self.model.config.horizon, self.selection.window
        plans = tuple(plan for plan in plans if memory.step - plan.start < horizon)
        if window is not None:
            plans = plans[-window:]
        history = self.model.config.observation_steps - 1
        following = ChunkMemory(
            seed=memory.seed,
            step=memory.step + 1,
            planned=memory.planned + (predicted is not None),
            plans=plans,
            instruction=observation.instruction,
            window=(*memory.window, observation)[-history:] if history else (),
        )
        action = self.produces.clip(self.selection.action(plans, memory.step))
        return Decision(action=action, chain=chain, cost=cost, memory=following)

    def _told(self, instruction: str, memory: ChunkMemory) -> tuple[ActionToken, ...]:
        """What a chunk is made from, besides pictures and states."""
        if not self.model.config.instructed:
            return ()
        return (
            ActionToken(
                id="instruction", kind="language", content=instruction, source="observation"
            ),
        )

    def _chain(self, told: tuple[ActionToken, ...], predicted: Prediction, choice: Choice) -> Chain:
        """What was told, every candidate with its score, and which of them is executed.

        Of heads that predict ids, each candidate's ids come before it as a latent token. Ids that
        are those of no chunk are called ``malformed-ids``: what the tokenizer decoded them to is
        executed, and the recording says so.
        """
        head = self.model.head
        single = len(predicted.candidates) == 1
        tokens: list[ActionToken] = []
        for number, candidate in enumerate(predicted.candidates):
            chosen = number == choice.index
            parents = tuple(token.id for token in told)
            if predicted.ids is not None:
                valid = predicted.valid is None or bool(predicted.valid[number])
                ids = ActionToken(
                    id=("ids" if valid else "malformed-ids") + ("" if single else f"-{number}"),
                    kind="latent",
                    content=predicted.ids[number],
                    parents=parents,
                    source=type(head).__name__,
                    chosen=chosen,
                )
                tokens.append(ids)
                parents = (ids.id,)
            tokens.append(
                ActionToken(
                    id="raw" if single else f"candidate-{number}",
                    kind="raw",
                    content=candidate,
                    parents=parents,
                    source=type(head.tokenizer or head).__name__,
                    score=None if choice.scores is None else choice.scores[number],
                    chosen=chosen,
                )
            )
        return Chain((*told, *tokens))


def _row(value: torch.Tensor | None, place: int) -> NDArray[Any] | None:
    return None if value is None else value[place].cpu().numpy().copy()


def _plan(step: int, predicted: Prediction, index: int) -> Plan:
    return Plan(
        start=step,
        chunk=predicted.candidates[index],
        normalised=predicted.normalised[index],
        trace={name: entry[index] for name, entry in predicted.trace.items()},
    )


def weights_hash(model: torch.nn.Module) -> str:
    """16 hexadecimal digits over every parameter and buffer, by name, shape and bits."""
    digest = hashlib.blake2b(digest_size=8)
    for name, tensor in sorted(model.state_dict().items()):
        value = tensor.detach().cpu().contiguous()
        digest.update(f"{name}:{value.dtype}:{tuple(value.shape)}".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
