"""Forks: go back to a step of a recorded episode and let somebody else go on from there.

The world is brought there by executing the recorded actions from the recorded seed, and every bit
on the way is checked against the recording. The new episode holds the shared steps and what
followed; the parent's later steps are no part of it. As it starts from the same seed, it can itself
be replayed and forked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from enactive.actions.decision import Cost, Decision
from enactive.configuration import from_dict
from enactive.episodes.episode import Episode, observation_hashes
from enactive.episodes.journal import Journal
from enactive.evaluation.attempt import Attempt, header_of, step_limit
from enactive.evaluation.plan import EpisodePlan, Rules
from enactive.evaluation.recording import executable
from enactive.evaluation.results import EpisodeResult
from enactive.evaluation.worlds import load_config
from enactive.observations import Observation
from enactive.policies.policy import Policy, check_wiring
from enactive.seeding import child_seed
from enactive.worlds.world import World


class NotReproduced(RuntimeError):
    """The recorded steps did not repeat themselves, so there is nothing to fork from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fork:
    """A fork and where it came from."""

    result: EpisodeResult
    parent: str
    """Id of the episode it was forked from."""
    step: int
    """Steps that both share."""


def fork(
    parent: Episode,
    step: int,
    policy: Policy,
    *,
    instruction: str | None = None,
    rules: Rules | None = None,
    repeat: int = 0,
    watch: bool = True,
    world: World | None = None,
    journal: Journal | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Fork:
    """Continue ``parent`` after its first ``step`` steps under ``policy``.

    Args:
        step: steps kept, in [0, T]; the policy decides from then on.
        instruction: what the policy is told from there on; by default what it was told.
        rules: when it ends; by default the parent's.
        repeat: number of the fork, for several that differ in the policy's random stream only. With
            0 the stream is the parent's own, so the parent's policy repeats what it did.
        watch: let the policy see the shared steps (its decisions there are not executed), so that
            its memory is what it would be if it had acted. Without it, it begins at the fork.
        world: where to run; by default one is made from the parent's record, and closed again.
        journal: where the new episode is recorded, under the id in the result.

    Raises:
        ValueError: ``step`` lies outside the episode.
        NotReproduced: a shared step's observation differs from the recorded one.
        WiringError: policy and world do not fit.
    """
    if not 0 <= step <= parent.length:
        raise ValueError(f"step must lie in [0, {parent.length}] (T), got {step}")
    config = load_config(parent.header.world["config"])
    own = world is None
    running = config.build() if world is None else world
    try:
        return _Forking(
            parent,
            step,
            policy,
            instruction,
            rules or recorded_rules(parent),
            repeat,
            watch,
            running,
            config,
        ).run(journal, provenance or {})
    finally:
        if own:
            running.close()


def recorded_rules(episode: Episode) -> Rules:
    """The rules under which an episode ran; the default ones where none are recorded."""
    return from_dict(Rules, episode.header.provenance.get("rules", {}))


@dataclass(slots=True)
class _Forking:
    parent: Episode
    step: int
    policy: Policy
    instruction: str | None
    rules: Rules
    repeat: int
    watch: bool
    world: World
    config: Any

    def run(self, journal: Journal | None, provenance: Mapping[str, Any]) -> Fork:
        check_wiring(self.policy, self.world.spec)
        attempt = self._attempt(journal, provenance)
        observation = self.world.reset(self.parent.header.task, self.parent.header.seed)
        attempt.saw(observation)
        self._check(0, observation)
        for number in range(self.step):
            self._repeat(attempt, number)
        self._tell(attempt)
        # The parent may have ended right at the fork; then there is nothing to continue.
        while attempt.result is None:
            assert attempt.observation is not None
            decision = self.policy.act([attempt.observation], [attempt.memory])[0]
            attempt.decided(decision)
            attempt.took(self.world.step(decision.action))
            self._tell(attempt)
        return Fork(result=attempt.result, parent=self.parent.header.id, step=self.step)

    def _repeat(self, attempt: Attempt, number: int) -> None:
        """Execute one recorded step."""
        if attempt.result is not None:
            raise NotReproduced(
                f"the episode ends after {number} steps under these rules, before step {self.step}"
            )
        memory = attempt.memory
        if self.watch:
            assert attempt.observation is not None
            memory = self.policy.act([attempt.observation], [memory])[0].memory
        made = {entry.step: entry for entry in self.parent.deliberations}.get(number)
        attempt.decided(
            Decision(
                action=executable(self.parent.actions[number], self.world),
                chain=None if made is None else made.chain,
                cost=Cost() if made is None else made.cost,
                memory=memory,
            )
        )
        assert attempt.decision is not None
        step = self.world.step(attempt.decision.action)
        attempt.took(step)
        self._check(number + 1, step.observation)

    def _tell(self, attempt: Attempt) -> None:
        """From the fork on, observations carry the new instruction."""
        if self.instruction is not None and attempt.observation is not None:
            attempt.observation = replace(attempt.observation, instruction=self.instruction)

    def _check(self, number: int, observation: Observation) -> None:
        hashes = observation_hashes(observation)
        for name, rows in self.parent.hashes.items():
            if name == "action" or number >= len(rows):
                continue
            if hashes.get(name) != np.ascontiguousarray(rows[number]).tobytes():
                raise NotReproduced(
                    f"{self.parent.header.id}: {name} differs after {number} steps; replay the "
                    "episode to see everything that does"
                )

    def _attempt(self, journal: Journal | None, provenance: Mapping[str, Any]) -> Attempt:
        header = self.parent.header
        recorded = header.provenance.get("plan", {})
        plan = EpisodePlan(
            task=header.task,
            seed=header.seed,
            index=header.index,
            repeat=int(recorded.get("repeat", 0)),
            group="fork",
            instructed=str(recorded.get("instructed", "")),
            stop_on=tuple(recorded.get("stop_on", ())),
        )
        seed = plan.policy_seed if self.repeat == 0 else child_seed(plan.policy_seed, self.repeat)
        memory = self.policy.begin(header.task, seed)
        text = f"{header.id}:{self.step}:{self.instruction}:{self.repeat}:{self.watch}"
        text += f":{sorted(self.policy.describe().items())!r}"
        digest = hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
        name = f"fork/{header.id}@{self.step}-{digest}"
        recorder = None
        if journal is not None:
            origin = {"parent": header.id, "step": self.step, "instruction": self.instruction}
            recorder = journal.begin(
                header_of(
                    name, plan, self.policy, self.world.spec, self.config, self.rules,
                    {**provenance, "fork": origin},
                )
            )  # fmt: skip
        return Attempt(
            id=name,
            plan=plan,
            rules=self.rules,
            limit=step_limit(self.world.spec, plan, self.rules),
            memory=memory,
            recorder=recorder,
        )
