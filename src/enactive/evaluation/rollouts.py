"""Running episodes: many worlds at once, one policy, results that depend on neither.

Worlds run asynchronously: whichever has answered is served, and those that are ready together share
one call of the policy. An episode's numbers depend on its plan and on the policy only, because a
reset decides every bit of a world's state and a policy keeps its state in the episode's memory. So
the results are the same for any number of workers, and an interrupted run, resumed from its
journal, ends with the results of an uninterrupted one.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from enactive.configuration import config_hash
from enactive.episodes.journal import Journal
from enactive.evaluation.attempt import Attempt, header_of, result_of, step_limit
from enactive.evaluation.plan import EpisodePlan, Rules
from enactive.evaluation.results import EpisodeResult
from enactive.evaluation.worlds import config_record
from enactive.observations import Observation
from enactive.policies.policy import Policy, check_wiring
from enactive.worlds.pool import WorkerDied, WorldPool
from enactive.worlds.world import Step

Listener = Callable[[EpisodeResult], None]
"""Called with each episode's result as it becomes known, in no particular order."""


def rollout(
    pool: WorldPool,
    policy: Policy,
    plan: Sequence[EpisodePlan],
    *,
    rules: Rules | None = None,
    journal: Journal | None = None,
    listener: Listener | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> list[EpisodeResult]:
    """Run every episode of ``plan`` and return their results in plan order.

    Args:
        pool: the worlds; the number of its workers changes the time taken and nothing else.
        policy: who decides.
        plan: the episodes.
        rules: when an episode ends and what counts as success.
        journal: where every step is recorded. Episodes that it holds already are not run again;
            one that was cut off is run from its beginning. Of those whose steps it has forgotten
            (they are in a dataset), success, length and events are known and the rest is 0.
        listener: told of every result, those found in the journal included.
        provenance: JSON values kept with each recorded episode.

    A worker that dies costs the episodes under way their steps: they begin again in a new process.

    Raises:
        WiringError: policy and world do not fit.
        WorkerDied: an episode took its worker down twice.
        ValueError: two episodes of the plan are the same.
        KeyError: an episode names an unknown task.
    """
    rules = rules or Rules()
    check_wiring(policy, pool.spec)
    for episode in plan:
        pool.spec.check_task(episode.task)
    ids = episode_ids(plan, policy, pool, rules)
    wanted = dict(zip(ids, plan, strict=True))
    results: dict[str, EpisodeResult] = {}
    if journal is not None:
        journal.drop_unfinished()
        whole = {header.id for header in journal.readable()}
        for header in journal.finished():
            if header.id in wanted:
                found = journal.read(header.id) if header.id in whole else None
                outcome = journal.outcome(header.id)
                results[header.id] = result_of(header.id, wanted[header.id], outcome, found)
                if listener is not None:
                    listener(results[header.id])
    waiting = deque((name, wanted[name]) for name in ids if name not in results)
    _Run(pool, policy, rules, journal, listener, provenance or {}, waiting, results).run()
    return [results[name] for name in ids]


def episode_ids(
    plan: Sequence[EpisodePlan], policy: Policy, pool: WorldPool, rules: Rules
) -> list[str]:
    """One identifier per episode of the plan: readable, and different for different policies.

    Everything that decides an episode's bits enters the hash, so that a journal never passes an
    episode of another policy, world or rule off as this one's.

    Raises:
        ValueError: two episodes of the plan are the same.
    """
    common = config_hash(
        {
            "policy": dict(policy.describe()),
            "world": config_record(pool.config),
            "version": pool.spec.version,
            "rules": asdict(rules),
        }
    )
    ids: list[str] = []
    for episode in plan:
        text = f"{common}:{episode.key!r}:{episode.stop_on!r}"
        digest = hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
        ids.append(f"{episode.group}/{episode.task.name}/{episode.seed}-{digest}")
    if len(set(ids)) < len(ids):
        twice = sorted({name for name in ids if ids.count(name) > 1})
        raise ValueError(
            f"the plan holds the same episode more than once: {twice[:3]}. Fix: give each another "
            "seed or another repeat"
        )
    return ids


@dataclass(slots=True)
class _Run:
    """One call of :func:`rollout`."""

    pool: WorldPool
    policy: Policy
    rules: Rules
    journal: Journal | None
    listener: Listener | None
    provenance: Mapping[str, Any]
    waiting: deque[tuple[str, EpisodePlan]]
    results: dict[str, EpisodeResult]
    live: dict[int, Attempt] = field(default_factory=dict[int, Attempt])
    deaths: set[str] = field(default_factory=set[str])
    """Episodes during which a worker died."""

    def run(self) -> None:
        for worker in range(self.pool.lanes):
            self._start(worker)
        while self.live:
            try:
                self._serve()
            except WorkerDied as death:
                self._start_over(death)

    def _serve(self) -> None:
        """Take the answers that are there and decide on them."""
        deciding: list[int] = []
        for worker, answer in self.pool.wait():
            attempt = self.live[worker]
            if isinstance(answer, Observation):
                attempt.saw(answer)
            elif isinstance(answer, Step) and self._over(attempt, answer):
                del self.live[worker]
                self._start(worker)
                continue
            deciding.append(worker)
        self._decide(deciding)

    def _start_over(self, death: WorkerDied) -> None:
        """Begin the running episodes again: a process was lost, and answers perhaps with it.

        Raises:
            WorkerDied: the episode has taken a process down before; it would again.
        """
        lost = self.live[death.worker]
        if lost.id in self.deaths:
            raise death
        self.deaths.add(lost.id)
        for worker in self.live:
            with suppress(RuntimeError):  # it has no command under way, or has died as well
                self.pool.gather([worker])
        for attempt in reversed(self.live.values()):
            if attempt.recorder is not None:
                attempt.recorder.abandon()
            self.waiting.appendleft((attempt.id, attempt.plan))
        self.live.clear()
        for worker in range(self.pool.lanes):
            self._start(worker)

    def _start(self, worker: int) -> None:
        """Give ``worker`` the next episode, if there is one."""
        if not self.waiting:
            return
        name, plan = self.waiting.popleft()
        recorder = None
        if self.journal is not None:
            recorder = self.journal.begin(
                header_of(
                    name, plan, self.policy, self.pool.spec, self.pool.config, self.rules,
                    self.provenance,
                )
            )  # fmt: skip
        self.live[worker] = Attempt(
            id=name,
            plan=plan,
            rules=self.rules,
            limit=step_limit(self.pool.spec, plan, self.rules),
            memory=self.policy.begin(plan.task, plan.policy_seed),
            recorder=recorder,
        )
        self.pool.reset(worker, plan.task, plan.seed)

    def _decide(self, workers: Sequence[int]) -> None:
        """One call of the policy for all episodes that wait for a decision."""
        if not workers:
            return
        attempts = [self.live[worker] for worker in workers]
        observations = [attempt.observation for attempt in attempts]
        decisions = self.policy.act(
            [seen for seen in observations if seen is not None],
            [attempt.memory for attempt in attempts],
        )
        for worker, attempt, decision in zip(workers, attempts, decisions, strict=True):
            attempt.decided(decision)
            self.pool.step(worker, decision.action)

    def _over(self, attempt: Attempt, step: Step) -> bool:
        if not attempt.took(step):
            return False
        assert attempt.result is not None
        self.results[attempt.id] = attempt.result
        if self.listener is not None:
            self.listener(attempt.result)
        return True
