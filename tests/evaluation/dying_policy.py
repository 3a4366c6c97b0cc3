"""An expert that takes its process down, for tests of what happens to its episode."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

from enactive.actions.decision import Decision
from enactive.observations import Observation
from enactive.policies.expert import ExpertMemory, ExpertPolicy
from enactive.worlds.world import WorldSpec

EXPERT = ExpertPolicy.Config(expert="reach_world:expert", privileged="truth", noise=0.4)


def noisy_expert(spec: WorldSpec) -> ExpertPolicy:
    """The expert of the reaching world, with noise that the seed decides."""
    return EXPERT.build(spec)


def dies(marker: Path, times: int, spec: WorldSpec) -> ExpertPolicy:
    """The same expert; ``times`` processes in all are killed in the middle of an episode."""
    policy = Dying(*(getattr(EXPERT.build(spec), name) for name in ("config", "world", "expert")))
    object.__setattr__(policy, "marks", (marker, times))
    return policy


class Dying(ExpertPolicy):
    """Kills its process at the third step of an episode, as long as marks can be made."""

    def act(
        self, observations: Sequence[Observation], memories: Sequence[ExpertMemory]
    ) -> list[Decision]:
        marker, times = self.marks  # type: ignore[attr-defined]
        if memories[0].step == 2:
            for number in range(times):
                try:
                    marker.with_suffix(f".{number}").touch(exist_ok=False)
                except FileExistsError:
                    continue
                os.kill(os.getpid(), signal.SIGKILL)
        return super().act(observations, memories)
