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


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What a rollout has still to do, and where its results go."""

    pool: WorldPool
    policy: Policy
    rules: Rules
    journal: Journal | None
    listener: Listener | None
    provenance: Mapping[str, Any]
    waiting: deque[tuple[str, EpisodePlan]]
    """Identifiers and episodes that are to be run; emptied."""
    results: dict[str, EpisodeResult]
    """Identifier to result; filled."""

    def done(self, result: EpisodeResult) -> None:
        """Keep a result, and tell the listener of it."""
        self.results[result.id] = result
        if self.listener is not None:
            self.listener(result)


Execute = Callable[[Work], None]
"""Runs the episodes of a rollout, wherever it does so."""


def locally(work: Work) -> None:
    """Run the episodes in the worlds of the pool, with one policy in this process."""
    _Run(work).run()


def rollout(
    pool: WorldPool,
    policy: Policy,
    plan: Sequence[EpisodePlan],
    *,
    rules: Rules | None = None,
    journal: Journal | None = None,
    listener: Listener | None = None,
    provenance: Mapping[str, Any] | None = None,
    execute: Execute = locally,
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
        execute: where the episodes are run; see :func:`enactive.evaluation.on_ray.on_ray` for a
            cluster. It changes the time taken and nothing else.

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
    work = Work(
        pool=pool, policy=policy, rules=rules, journal=journal, listener=listener,
        provenance=provenance or {}, waiting=deque(), results={},
    )  # fmt: skip
    if journal is not None:
        journal.drop_unfinished()
        whole = {header.id for header in journal.readable()}
        for header in journal.finished():
            if header.id in wanted:
                found = journal.read(header.id) if header.id in whole else None
                outcome = journal.outcome(header.id)
                work.done(result_of(header.id, wanted[header.id], outcome, found))
    work.waiting.extend((name, wanted[name]) for name in ids if name not in work.results)
    execute(work)
    return [work.results[name] for name in ids]


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
    """One call of :func:`locally`."""

    work: Work
    live: dict[int, Attempt] = field(default_factory=dict[int, Attempt])
    deaths: set[str] = field(default_factory=set[str])
    """Episodes during which a worker died."""

    def run(self) -> None:
        for worker in range(self.work.pool.lanes):
            self._start(worker)
        while self.live:
            try:
                self._serve()
            except WorkerDied as death:
                self._start_over(death)

    def _serve(self) -> None:
        """Take the answers that are there and decide on them."""
        deciding: list[int] = []
        for worker, answer in self.work.pool.wait():
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
                self.work.pool.gather([worker])
        for attempt in reversed(self.live.values()):
            if attempt.recorder is not None:
                attempt.recorder.abandon()
            self.work.waiting.appendleft((attempt.id, attempt.plan))
        self.live.clear()
        for worker in range(self.work.pool.lanes):
            self._start(worker)

    def _start(self, worker: int) -> None:
        """Give ``worker`` the next episode, if there is one."""
        work = self.work
        if not work.waiting:
            return
        name, plan = work.waiting.popleft()
        recorder = None
        if work.journal is not None:
            recorder = work.journal.begin(
                header_of(
                    name, plan, work.policy, work.pool.spec, work.pool.config, work.rules,
                    work.provenance,
                )
            )  # fmt: skip
        self.live[worker] = Attempt(
            id=name,
            plan=plan,
            rules=work.rules,
            limit=step_limit(work.pool.spec, plan, work.rules),
            memory=work.policy.begin(plan.task, plan.policy_seed),
            recorder=recorder,
        )
        work.pool.reset(worker, plan.task, plan.seed)

    def _decide(self, workers: Sequence[int]) -> None:
        """One call of the policy for all episodes that wait for a decision."""
        if not workers:
            return
        attempts = [self.live[worker] for worker in workers]
        observations = [attempt.observation for attempt in attempts]
        decisions = self.work.policy.act(
            [seen for seen in observations if seen is not None],
            [attempt.memory for attempt in attempts],
        )
        for worker, attempt, decision in zip(workers, attempts, decisions, strict=True):
            attempt.decided(decision)
            self.work.pool.step(worker, decision.action)

    def _over(self, attempt: Attempt, step: Step) -> bool:
        if not attempt.took(step):
            return False
        assert attempt.result is not None
        self.work.done(attempt.result)
        return True
