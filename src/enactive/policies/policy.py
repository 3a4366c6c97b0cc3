"""The contract of a policy, and the check that it fits a world before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from enactive.actions.compare import compare
from enactive.actions.decision import Decision
from enactive.actions.spaces import ActionSpace
from enactive.observations import Observation, ObservationSpec, Task
from enactive.registry import suggest
from enactive.worlds.world import WorldSpec


@runtime_checkable
class Policy(Protocol):
    """Who decides, for any number of episodes at once.

    A policy keeps nothing between calls. Whatever it must remember of an episode is in that
    episode's memory: an immutable value that :meth:`begin` makes and every decision hands on. So
    episodes can be batched in any composition, forked, or moved to another process, and a decision
    depends only on its own episode. Randomness comes from streams named by the episode's seed and
    by counters in the memory (:mod:`enactive.seeding`).
    """

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    @property
    def consumes(self) -> ObservationSpec:
        """The cameras, state vectors and privileged vectors it reads."""
        ...

    @property
    def produces(self) -> ActionSpace: ...

    def describe(self) -> Mapping[str, Any]:
        """JSON values that decide what it does: configuration, checkpoint hash. Provenance."""
        ...

    def begin(self, task: Task, seed: int) -> Any:
        """The memory of an episode that begins. ``seed`` names its random streams."""
        ...

    def act(self, observations: Sequence[Observation], memories: Sequence[Any]) -> list[Decision]:
        """One decision per episode, in order; ``decision.memory`` is that episode's next memory."""
        ...


class WiringError(ValueError):
    """A policy and a world do not fit; the message lists every reason with its fix."""


def check_wiring(policy: Policy, world: WorldSpec) -> None:
    """Refuse a policy whose actions or observations differ from the world's in any convention.

    Raises:
        WiringError: all mismatches at once: action conventions, missing cameras or states, sizes.
    """
    problems = [
        f"action {mismatch.where}: {mismatch.message}. Fix: {mismatch.fix}"
        for mismatch in compare(policy.produces, world.accepts)
    ]
    problems += _observation_problems(policy.consumes, world.observations)
    if problems:
        lines = "\n".join(f"  - {problem}" for problem in problems)
        raise WiringError(f"policy {policy.name!r} does not fit world {world.name!r}:\n{lines}")


def _observation_problems(consumes: ObservationSpec, shows: ObservationSpec) -> list[str]:
    problems: list[str] = []
    cameras = {camera.name: camera for camera in shows.cameras}
    for camera in consumes.cameras:
        shown = cameras.get(camera.name)
        if shown is None:
            problems.append(
                f"camera {camera.name!r} is not shown; {suggest(camera.name, cameras)}. "
                "Fix: add it to the world's cameras"
            )
        elif (shown.height, shown.width) != (camera.height, camera.width):
            problems.append(
                f"camera {camera.name!r} is {shown.height}x{shown.width}, the policy was made for "
                f"{camera.height}x{camera.width}. Fix: render the size it was trained with"
            )
    for kind, wanted, given in (
        ("state", consumes.states, shows.states),
        ("privileged", consumes.privileged, shows.privileged),
    ):
        known = {vector.name: vector for vector in given}
        for vector in wanted:
            found = known.get(vector.name)
            if found is None:
                problems.append(
                    f"{kind} vector {vector.name!r} is not shown; {suggest(vector.name, known)}. "
                    "Fix: configure the world to show it"
                )
            elif found.names != vector.names:
                problems.append(
                    f"{kind} vector {vector.name!r} has entries {list(found.names)}, the policy "
                    f"expects {list(vector.names)}. Fix: use the world it was trained for"
                )
    return problems
