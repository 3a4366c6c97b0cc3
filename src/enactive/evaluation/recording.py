"""The part of a recorded episode that can be executed again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enactive.actions.spaces import VectorSpace
from enactive.episodes.episode import Episode, EpisodeHeader, Outcome
from enactive.worlds.world import World


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """The part of an episode that replay needs: no pictures, only their hashes."""

    header: EpisodeHeader
    actions: NDArray[Any]
    """``(T, A)``."""
    outcome: Outcome
    hashes: Mapping[str, NDArray[np.uint8]]
    """See :attr:`enactive.episodes.episode.Episode.hashes`."""
    rewards: NDArray[np.float32] | None = None
    """``(T,)``; None where the recording has none."""
    successes: NDArray[np.bool_] | None = None
    """``(T,)``; None where the recording has none."""
    events: Mapping[int, tuple[str, ...]] = field(default_factory=dict[int, tuple[str, ...]])
    """Step to what happened during it."""

    @classmethod
    def of(cls, episode: Episode) -> Recording:
        """What replay needs of ``episode``."""
        events: dict[int, tuple[str, ...]] = {}
        for event in episode.events:
            events[event.step] = (*events.get(event.step, ()), event.name)
        return cls(
            header=episode.header,
            actions=episode.actions,
            outcome=episode.outcome,
            hashes=episode.hashes,
            rewards=episode.rewards,
            successes=episode.successes,
            events=events,
        )


def executable(action: Any, world: World) -> Any:
    """A recorded row as the world takes it: a vector, the number of one choice of N, or JSON."""
    if isinstance(world.spec.accepts, VectorSpace) or not isinstance(action, np.ndarray):
        return action
    return int(action.reshape(-1)[0])
