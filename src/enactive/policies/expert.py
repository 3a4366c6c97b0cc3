"""A scripted expert, which reads simulator truth, with declared noise for demonstrations.

Cloned policies drift into states that a perfect demonstration never visits. So the expert may be
disturbed while it demonstrates: the world executes the perturbed action, the dataset keeps the
clean one as the label (Laskey et al., 2017, DART). The two never pass for one another: the executed
action is the chain's chosen raw token, the clean one a candidate that was not chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enactive.actions.chain import Chain
from enactive.actions.decision import Cost, Decision
from enactive.actions.spaces import VectorSpace
from enactive.actions.tokens import ActionToken
from enactive.observations import Observation, ObservationSpec, Task
from enactive.registry import Registry
from enactive.seeding import numpy_generator
from enactive.worlds.world import WorldSpec

Expert = Callable[[str, NDArray[np.float64]], NDArray[np.float32]]
"""``(task name, privileged vector float64 (D,)) -> action float32 (A,)`` in the world's units."""

EXPERT_SOURCE = "expert"
"""Source of the token that holds the clean action, in chains and in the dataset."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpertMemory:
    """What the expert remembers of an episode."""

    task: str
    seed: int
    step: int = 0


@dataclass(frozen=True, slots=True)
class ExpertPolicy:
    """A world's scripted expert as a policy."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        expert: str = "enactive.worlds.metaworld_experts:expert_action"
        """Where the expert function is, ``"package.module:function"``; see :data:`Expert`."""
        privileged: str = "metaworld"
        """Name of the privileged vector that it reads."""
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
                ValueError: noise out of range, or the world's actions are not vectors.
                KeyError: the world shows no such privileged vector, or has no such group.
            """
            return ExpertPolicy(self, world, Registry("experts").load(self.expert))

    config: Config
    world: WorldSpec
    expert: Expert

    def __post_init__(self) -> None:
        config = self.config
        if config.noise < 0 or config.noise_hold < 1 or not 0 <= config.noise_episodes <= 1:
            raise ValueError(
                "needs noise >= 0, noise_hold >= 1 and noise_episodes in [0, 1], got "
                f"{config.noise}, {config.noise_hold} and {config.noise_episodes}"
            )
        if not isinstance(self.world.accepts, VectorSpace):
            raise ValueError(f"{self.world.name} does not accept vector actions")
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
    def produces(self) -> VectorSpace:
        assert isinstance(self.world.accepts, VectorSpace)
        return self.world.accepts

    def describe(self) -> Mapping[str, Any]:
        return {"policy": "expert", **asdict(self.config)}

    def begin(self, task: Task, seed: int) -> ExpertMemory:
        return ExpertMemory(task=task.name, seed=seed)

    def act(
        self, observations: Sequence[Observation], memories: Sequence[ExpertMemory]
    ) -> list[Decision]:
        return [
            self._act(observation, memory)
            for observation, memory in zip(observations, memories, strict=True)
        ]

    def _act(self, observation: Observation, memory: ExpertMemory) -> Decision:
        truth = observation.privileged[self.config.privileged]
        clean = self.produces.clip(self.expert(memory.task, truth))
        following = ExpertMemory(task=memory.task, seed=memory.seed, step=memory.step + 1)
        noise = self._noise(memory)
        if noise is None:
            chain = Chain.raw(clean[None], source=EXPERT_SOURCE)
            return Decision(action=clean, chain=chain, cost=Cost(), memory=following)
        executed = self.produces.clip(clean + noise)
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
