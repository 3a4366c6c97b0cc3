"""Episodes on a Ray cluster: the results of one process, bit for bit, from many machines.

Every worker is a Ray actor with one core, one world and a policy of its own. It runs one episode at
a time into a journal of its own, and sends back the result together with the journal's record,
which enters the caller's journal in one transaction. So an episode counts when its record is here,
and once: what a lost worker had not sent back is run again, from its beginning, by another.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from enactive.episodes.journal import Journal
from enactive.episodes.provenance import torch_threads
from enactive.evaluation import cluster
from enactive.evaluation.plan import EpisodePlan, Rules
from enactive.evaluation.results import EpisodeResult
from enactive.evaluation.rollouts import Execute, Work, rollout
from enactive.policies.policy import Policy
from enactive.worlds.pool import WorkerDied, WorldPool
from enactive.worlds.worker import WorldConfig
from enactive.worlds.world import WorldSpec

PolicySource = Callable[[WorldSpec], Policy]
"""Makes the policy for a world, in the worker's process: a function of a module, or a
``functools.partial`` of one. It gives the same policy wherever it is called."""


def on_ray(source: PolicySource, workers: int, address: str | None = None) -> Execute:
    """Runs the episodes of a rollout on a Ray cluster.

    Files that ``source`` reads (checkpoints) must be on a file system that all machines of the
    cluster share, and the same version of ``enactive`` and of what it uses installed on all of
    them: other versions, or other processors, may round differently.

    Args:
        source: the policy that the rollout was given, once more, for each worker.
        workers: how many, of one core each.
        address: of a running cluster, e.g. ``"auto"``; None starts one on this machine.

    Raises:
        ModuleNotFoundError: Ray is not installed.
        ValueError: there are no workers.
    """
    cluster.installed()
    if workers < 1:
        raise ValueError(f"workers must be at least 1 on Ray, got {workers}")

    def execute(work: Work) -> None:
        if not work.waiting:
            return
        with cluster.connected(address, workers) as ray:
            _Spread(ray, source, min(workers, len(work.waiting)), work).run()

    return execute


class _Spread:
    """One rollout over actors."""

    def __init__(self, ray: Any, source: PolicySource, workers: int, work: Work) -> None:
        self._ray = ray
        self._work = work
        # Not given to constructors, whose errors look like lost workers.
        self._setup = ray.put(
            _Setup(
                config=work.pool.config, source=source, rules=work.rules,
                provenance=work.provenance, record=work.journal is not None,
                threads=torch_threads(),
            )
        )  # fmt: skip
        # The rollout tries a lost worker's episode again itself, so that it can say which it was.
        self._actor = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(_Worker)
        self._workers = [self._actor.remote() for _ in range(workers)]
        self._running: dict[Any, tuple[int, str, EpisodePlan]] = {}
        self._deaths: set[str] = set()

    def run(self) -> None:
        try:
            for worker in range(len(self._workers)):
                self._start(worker)
            while self._running:
                ready, _ = self._ray.wait(list(self._running))
                for answer in ready:
                    self._take(answer, *self._running.pop(answer))
        finally:
            for worker in self._workers:
                self._ray.kill(worker)

    def _start(self, worker: int) -> None:
        if self._work.waiting:
            name, plan = self._work.waiting.popleft()
            answer = self._workers[worker].run.remote(self._setup, plan)
            self._running[answer] = (worker, name, plan)

    def _take(self, answer: Any, worker: int, name: str, plan: EpisodePlan) -> None:
        try:
            result, record = self._ray.get(answer)
        except self._ray.exceptions.RayActorError as death:
            if name in self._deaths:
                raise WorkerDied(worker, name, None) from death
            self._deaths.add(name)
            self._work.waiting.appendleft((name, plan))
            self._workers[worker] = self._actor.remote()
        else:
            if self._work.journal is not None:
                self._work.journal.insert(record)
            self._work.done(result)
        self._start(worker)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Setup:
    """What all workers of a rollout are told."""

    config: WorldConfig
    source: PolicySource
    rules: Rules
    provenance: Mapping[str, Any]
    record: bool
    threads: int
    """Of PyTorch in the caller's process; 0 if it is not loaded there."""


class _Worker:
    """One world and one policy, in a process of the cluster."""

    def __init__(self) -> None:
        self._made: tuple[WorldPool, Policy] | None = None

    def run(self, setup: _Setup, plan: EpisodePlan) -> tuple[EpisodeResult, bytes]:
        """The episode's result, and its record if one is wanted."""
        if self._made is None:
            pool = WorldPool(setup.config, 0)
            self._made = pool, setup.source(pool.spec)
            # Sums depend on how many there are; a policy that needs none has not loaded it.
            torch = sys.modules.get("torch")
            if setup.threads and torch is not None:
                torch.set_num_threads(setup.threads)
        pool, policy = self._made
        if not setup.record:
            return rollout(pool, policy, [plan], rules=setup.rules)[0], b""
        with (
            tempfile.TemporaryDirectory(prefix="enactive-") as directory,
            Journal.open(Path(directory) / "journal.sqlite") as journal,
        ):
            [result] = rollout(
                pool, policy, [plan], rules=setup.rules, journal=journal,
                provenance=setup.provenance,
            )  # fmt: skip
            return result, journal.export(result.id)
