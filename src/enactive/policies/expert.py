"""A world's expert, which reads simulator truth, with declared noise for demonstrations.

Cloned policies drift into states that a perfect demonstration never visits. So the expert may be
disturbed while it demonstrates: the world executes the perturbed action, the dataset keeps the
clean one as the label (Laskey et al., 2017, DART). The two never pass for one another: the executed
action is the chain's chosen raw token, the clean one a candidate that was not chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from enactive.actions.chain import Chain
from enactive.actions.decision import Cost, Decision
from enactive.actions.spaces import ActionSpace, VectorSpace
from enactive.actions.tokens import ActionToken
from enactive.observations import Observation, ObservationSpec, Task
from enactive.registry import Registry
from enactive.seeding import numpy_generator
from enactive.worlds.world import WorldSpec

Expert = Callable[[str, NDArray[np.float64]], Any]
"""``(task name, privileged vector float64 (D,)) -> action``: ``float32 (A,)`` in the world's units,
or a value of whatever space the world accepts."""


@runtime_checkable
class PlanningExpert(Protocol):
    """An expert that remembers something of an episode, such as the plan that it carries out.

    Registered as the class, which is made without arguments. Memories are immutable.
    """

    version: ClassVar[int]
    """Part of what describes the policy; rises when the expert acts differently."""

    def begin(self, task: str, seed: int) -> Any:
        """The memory of an episode that begins."""
        ...

    def act(self, truth: NDArray[np.float64], memory: Any) -> tuple[Any, Any]:
        """``(privileged vector float64 (D,), memory) -> (action, next memory)``; the action is
        ``float32 (A,)`` or a value of whatever space the world accepts."""
        ...


EXPERT_SOURCE = "expert"
"""Source of the token that holds the clean action, in chains and in the dataset."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpertMemory:
    """What the expert remembers of an episode."""

    task: str
    seed: int
    step: int = 0
    plan: Any = None
    """The memory of a :class:`PlanningExpert`."""


@dataclass(frozen=True, slots=True)
class ExpertPolicy:
    """A world's expert as a policy."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        expert: str | None = None
        """Name of a registered expert, or where it is, ``"package.module:name"``: an
        :data:`Expert` or a :class:`PlanningExpert`. By default the one that is registered under
        the world's name."""
        privileged: str | None = None
        """Name of the privileged vector that it reads; by default the world's name."""
        noise: float = 0.0
        """Standard deviation of the Gaussian that is added to what is executed, in half-ranges of
        each entry. 0 executes the clean action."""
        noise_hold: int = 1
        """Steps for which one draw is kept: 1 is white noise, more pushes the arm away."""
        noise_episodes: float = 1.0
        """Share of the episodes that are disturbed, in [0, 1]; the episode's seed decides."""
        noise_groups: tuple[str, ...] | None = None
        """Action groups that are disturbed; by default all but those of quantity ``"gripper"``."""

        def build(self, world: WorldSpec) -> ExpertPolicy:
            """The expert of ``world``.

            Raises:
                ValueError: noise out of range, or noise where the actions are not vectors.
                KeyError: the world shows no such privileged vector, or has no such group.
                UnknownPart: there is no such expert.
            """
            found: Any = Registry("experts").load(self.expert or world.name)
            where = self.expert or f"{found.__module__}:{found.__qualname__}"
            config = replace(self, expert=where, privileged=self.privileged or world.name)
            return ExpertPolicy(config, world, found() if isinstance(found, type) else found)

    config: Config
    """With the names of expert and privileged vector filled in."""
    world: WorldSpec
    expert: Expert | PlanningExpert

    def __post_init__(self) -> None:
        config = self.config
        if config.noise < 0 or config.noise_hold < 1 or not 0 <= config.noise_episodes <= 1:
            raise ValueError(
                "needs noise >= 0, noise_hold >= 1 and noise_episodes in [0, 1], got "
                f"{config.noise}, {config.noise_hold} and {config.noise_episodes}"
            )
        if config.noise and not isinstance(self.world.accepts, VectorSpace):
            raise ValueError(
                f"noise: actions of {self.world.name} are no vectors; nothing can be added to them"
            )
        _ = self.consumes, self._noise_scale()  # refuse unknown names now, not mid-episode

    @property
    def name(self) -> str:
        return f"expert (noise {self.config.noise:g})" if self.config.noise else "expert"

    @property
    def consumes(self) -> ObservationSpec:
        for vector in self.world.observations.privileged:
            if vector.name == self.config.privileged:
                return ObservationSpec(privileged=(vector,))
        known = ", ".join(vector.name for vector in self.world.observations.privileged) or "none"
        raise KeyError(
            f"{self.world.name} shows no privileged vector {self.config.privileged!r} (there are: "
            f"{known}); configure the world to show privileged state"
        )

    @property
    def produces(self) -> ActionSpace:
        return self.world.accepts

    def describe(self) -> Mapping[str, Any]:
        expert = self.expert
        version = {"version": expert.version} if isinstance(expert, PlanningExpert) else {}
        return {"policy": "expert", **asdict(self.config), **version}

    def begin(self, task: Task, seed: int) -> ExpertMemory:
        expert = self.expert
        plan = expert.begin(task.name, seed) if isinstance(expert, PlanningExpert) else None
        return ExpertMemory(task=task.name, seed=seed, plan=plan)

    def act(
        self, observations: Sequence[Observation], memories: Sequence[ExpertMemory]
    ) -> list[Decision]:
        return [
            self._act(observation, memory)
            for observation, memory in zip(observations, memories, strict=True)
        ]

    def _act(self, observation: Observation, memory: ExpertMemory) -> Decision:
        truth = observation.privileged[self.consumes.privileged[0].name]
        plan = memory.plan
        if isinstance(self.expert, PlanningExpert):
            wanted, plan = self.expert.act(truth, plan)
        else:
            wanted = self.expert(memory.task, truth)
        following = replace(memory, step=memory.step + 1, plan=plan)
        space = self.produces
        if not isinstance(space, VectorSpace):
            chain = Chain.raw(wanted, source=EXPERT_SOURCE)
            return Decision(action=wanted, chain=chain, cost=Cost(), memory=following)
        clean = space.clip(wanted)
        noise = self._noise(memory)
        if noise is None:
            chain = Chain.raw(clean[None], source=EXPERT_SOURCE)
            return Decision(action=clean, chain=chain, cost=Cost(), memory=following)
        executed = space.clip(clean + noise)
        label = ActionToken(
            id="label", kind="raw", content=clean[None], parents=(), source=EXPERT_SOURCE,
            chosen=False,
        )  # fmt: skip
        action = ActionToken(
            id="executed", kind="raw", content=executed[None], parents=("label",),
            source="expert+noise",
        )  # fmt: skip
        chain = Chain(tokens=(label, action))
        return Decision(action=executed, chain=chain, cost=Cost(), memory=following)

    def _noise(self, memory: ExpertMemory) -> NDArray[np.float32] | None:
        """This step's disturbance, ``float32 (A,)``: a function of seed and step only."""
        config = self.config
        if config.noise == 0:
            return None
        if config.noise_episodes < 1:
            draw = numpy_generator(memory.seed, "expert_noise", "episode").random()
            if draw >= config.noise_episodes:
                return None
        generator = numpy_generator(memory.seed, "expert_noise", memory.step // config.noise_hold)
        scale = self._noise_scale()
        return (generator.standard_normal(len(scale)) * scale).astype(np.float32)

    def _noise_scale(self) -> NDArray[np.float64]:
        """Standard deviation of each action entry, ``float64 (A,)``, in the action's units."""
        space = self.produces
        if not isinstance(space, VectorSpace):
            return np.zeros(0)
        groups = self.config.noise_groups
        if groups is None:
            groups = tuple(group.name for group in space.groups if group.quantity != "gripper")
        scale = np.zeros(space.size)
        half_range = (space.high.astype(np.float64) - space.low) / 2
        for name in groups:
            if name not in space.slices:
                raise KeyError(f"no action group is called {name!r}; there are: {[*space.slices]}")
            scale[space.slices[name]] = self.config.noise * half_range[space.slices[name]]
        return scale
