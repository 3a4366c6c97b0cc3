"""Collecting demonstrations: a fixed number of successes per task, the same ones on every run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from enactive.episodes.journal import Journal
from enactive.evaluation.plan import EpisodePlan, Rules, Wording, wordings_of
from enactive.evaluation.results import EpisodeResult
from enactive.evaluation.rollouts import Listener, rollout
from enactive.observations import Task
from enactive.policies.policy import Policy
from enactive.worlds.pool import WorldPool

DEMONSTRATION = Rules(success_hold=10)
"""Demonstrations go on for a moment after success, so that a clone learns to stay there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Collection:
    """What was collected."""

    kept: tuple[EpisodeResult, ...]
    """Successful episodes, task by task, in the order of their seeds."""
    dropped: tuple[EpisodeResult, ...]
    """Failed attempts. They stay in the journal; the dataset leaves them out."""


class CollectionFailed(RuntimeError):
    """The demonstrator fails too often on a task; the message names it."""


def collect(
    pool: WorldPool,
    policy: Policy,
    tasks: Iterable[str],
    episodes: int,
    journal: Journal,
    *,
    first_seed: int = 0,
    attempts: int | None = None,
    wording: Wording = "training",
    rules: Rules = DEMONSTRATION,
    listener: Listener | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Collection:
    """``episodes`` successful demonstrations of each task, recorded in ``journal``.

    Attempt number n of a task has the seed ``first_seed + n`` and the n-th wording in turn. The
    first ``episodes`` attempts that succeed are kept. Failures are replaced by the attempts that
    follow, in rounds, so what is kept does not depend on workers or interruptions.

    Args:
        attempts: most attempts per task, by default ``2 * episodes + 10``.

    Raises:
        CollectionFailed: a task has fewer than ``episodes`` successes in that many attempts.
    """
    limit = 2 * episodes + 10 if attempts is None else attempts
    names = list(dict.fromkeys(tasks))
    tried = dict.fromkeys(names, 0)
    kept: dict[str, list[EpisodeResult]] = {name: [] for name in names}
    dropped: list[EpisodeResult] = []
    while missing := [name for name in names if len(kept[name]) < episodes]:
        plan: list[EpisodePlan] = []
        for name in missing:
            wanted = episodes - len(kept[name])
            if tried[name] + wanted > limit:
                raise CollectionFailed(
                    f"{name}: {len(kept[name])} successes in {tried[name]} attempts, {episodes} "
                    f"were asked for. Fix: less noise, more steps, or attempts > {limit}"
                )
            wordings = wordings_of(pool.spec.task(name), wording)
            for attempt in range(tried[name], tried[name] + wanted):
                task = Task(name=name, instruction=wordings[attempt % len(wordings)])
                plan.append(
                    EpisodePlan(
                        task=task,
                        seed=first_seed + attempt,
                        index=names.index(name) * limit + attempt,
                        group="demonstration",
                        instructed=name,
                    )
                )
            tried[name] += wanted
        results = rollout(
            pool,
            policy,
            plan,
            rules=rules,
            journal=journal,
            listener=listener,
            provenance=provenance,
        )
        for result in results:
            (kept[result.task] if result.success else dropped).append(result)
    return Collection(
        kept=tuple(result for name in names for result in kept[name]),
        dropped=tuple(sorted(dropped, key=lambda result: result.index)),
    )
