"""UltraCUA: a policy whose actions are clicks and tool calls, and that chooses between them itself.

"UltraCUA: A Foundation Model for Computer Use Agents with Hybrid Action" (arXiv 2510.17790): one
policy over primitives and tools, a memory block that is carried from step to step, and no rule
that says when to use which. Here the policy is a categorical one over the options of a text
desktop, with a linear score for each; which way serves which wish is learned
(:mod:`enactive.training.grpo`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enactive.actions.chain import Chain
from enactive.actions.decision import Cost, Decision
from enactive.actions.digital import UnionSpace
from enactive.actions.spaces import ActionSpace
from enactive.actions.tokens import ActionToken
from enactive.actions.tools import ToolSpace
from enactive.observations import Observation, ObservationSpec, Task
from enactive.policies.agents.hybrid_options import Memory, Option, Options, read, remember, wishes
from enactive.seeding import numpy_generator


@dataclass(frozen=True, kw_only=True, slots=True)
class HybridMemory:
    """What the policy carries through an episode."""

    seed: int
    step: int = 0
    believed: Memory = ()
    """The memory block."""
    called: tuple[str, int] | None = None
    """Setting and value of the last decision's call."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """A decision as training sees it."""

    features: NDArray[np.float64]
    """``(N, F)``: of the N options."""
    chosen: int
    call: bool
    """Whether a tool was called."""


@dataclass(frozen=True, eq=False)
class UltraCUA:
    """The policy; made with ``UltraCUA.Config(...).build(accepts)``."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """Configuration of :class:`UltraCUA`."""

        clicks: bool = True
        """Whether it may click."""
        calls: bool = True
        """Whether it may call tools."""
        memory: bool = True
        """Whether it carries its memory block; without, it knows what the screen shows now."""
        named: tuple[str, ...] = ()
        """Tools that it tells apart by name: those of its training."""
        greedy: bool = True
        """Take the best option; otherwise one drawn with the options' probabilities."""

        def build(
            self, accepts: ActionSpace, weights: NDArray[np.float64] | None = None
        ) -> UltraCUA:
            """The policy.

            Args:
                accepts: the world's union of ``"screen"`` and ``"calls"``.
                weights: ``(F,)`` of the linear score; zero by default.

            Raises:
                ValueError: it may neither click nor call, or the space or the weights do not fit.
            """
            if not (self.clicks or self.calls):
                raise ValueError("clicks, calls: it may do neither; allow one")
            if not isinstance(accepts, UnionSpace) or set(accepts.spaces) != {"screen", "calls"}:
                raise ValueError("accepts: needs a union of 'screen' and 'calls'")
            tools = accepts.spaces["calls"]
            if not isinstance(tools, ToolSpace):
                raise ValueError("accepts: 'calls' is no space of tools")
            options = Options(tools.tools, self.named)
            given = np.zeros(options.size) if weights is None else np.array(weights, np.float64)
            if given.shape != (options.size,):
                raise ValueError(f"weights: need ({options.size},), got {given.shape}")
            return UltraCUA(self, accepts, given, options)

    config: Config
    accepts: UnionSpace
    weights: NDArray[np.float64]
    options: Options = field(repr=False)

    @property
    def name(self) -> str:
        return "ultracua"

    @property
    def consumes(self) -> ObservationSpec:
        return ObservationSpec()

    @property
    def produces(self) -> ActionSpace:
        return self.accepts

    def describe(self) -> Mapping[str, Any]:
        config = self.config
        return {
            "policy": "ultracua", "clicks": config.clicks, "calls": config.calls,
            "memory": config.memory, "greedy": config.greedy, "named": list(config.named),
            "weights": self.weights.tolist(),
        }  # fmt: skip

    def begin(self, task: Task, seed: int) -> HybridMemory:
        return HybridMemory(seed=seed)

    def act(
        self, observations: Sequence[Observation], memories: Sequence[HybridMemory]
    ) -> list[Decision]:
        return [
            self._act(observation, memory)
            for observation, memory in zip(observations, memories, strict=True)
        ]

    def look(
        self, observation: Observation, memory: HybridMemory
    ) -> tuple[list[Option], HybridMemory]:
        """The options now, and the memory after looking."""
        shown = read(observation.text or "")
        before = memory.believed if self.config.memory else ()
        believed = remember(before, shown, memory.called)
        options = self.options.of(
            shown, wishes(observation.instruction), believed,
            clicks=self.config.clicks, calls=self.config.calls,
        )  # fmt: skip
        return options, replace(memory, believed=believed)

    def probabilities(self, options: Sequence[Option]) -> NDArray[np.float64]:
        """Of each option, ``(N,)``."""
        return softmax(np.stack([option.features for option in options]) @ self.weights)

    def decide(
        self, observation: Observation, memory: HybridMemory
    ) -> tuple[Option, Choice, HybridMemory]:
        """The option taken, with what training needs of it."""
        options, memory = self.look(observation, memory)
        shares = self.probabilities(options)
        if self.config.greedy:
            chosen = int(np.argmax(shares))
        else:
            draw = numpy_generator(memory.seed, "ultracua", memory.step).random()
            chosen = min(int(np.searchsorted(np.cumsum(shares), draw)), len(options) - 1)
        option = options[chosen]
        choice = Choice(
            features=np.stack([one.features for one in options]),
            chosen=chosen,
            call=option.called is not None,
        )
        after = replace(memory, step=memory.step + 1, called=option.called)
        return option, choice, after

    def _act(self, observation: Observation, memory: HybridMemory) -> Decision:
        option, _, after = self.decide(observation, memory)
        block = "; ".join(f"{name} is {value} ({how})" for name, value, how in after.believed)
        chain = Chain((
            ActionToken(id="memory", kind="reasoning", content=block or "nothing is known",
                        source="ultracua"),
            ActionToken(id="choice", kind="language", content=option.what, parents=("memory",),
                        source="ultracua"),
            ActionToken(id="action", kind="raw", content=dict(option.action), parents=("choice",),
                        source="ultracua"),
        ))  # fmt: skip
        return Decision(
            action=dict(option.action), chain=chain, cost=Cost(head_passes=1), memory=after
        )


def softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """``exp`` of the scores, divided by its sum."""
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()
