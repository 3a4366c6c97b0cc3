"""Grouped blind evaluation: nobody who runs or rates an episode knows whose it is.

Policies get aliases that are drawn at random. The assignment is committed to before the first
episode (the hash of a random salt and the assignment is published, which tells nothing of it and
fixes it), episodes are run in groups (one start, every policy once, in an order drawn anew for each
group), outcomes are logged under aliases in an append-only hash chain, and the assignment is
revealed last. :mod:`enactive.evaluation.blind_log` proves from the log that it was so.

Source: the "Grouped Blind Ensemble" of the Rethinking-VLA study (arXiv 2602.09722), which shuffles
groups of four to eight models; here a group holds all of them. What no protocol can hide: a policy
whose motion gives it away, e.g. by trembling. Random streams belong to the alias, so a policy that
takes part under two aliases (an A/A test) meets the same starts with independent noise.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import enactive
from enactive.actions.decision import Decision
from enactive.actions.spaces import ActionSpace
from enactive.configuration import config_hash, from_dict, to_dict
from enactive.episodes.episode import Episode
from enactive.episodes.journal import Journal
from enactive.evaluation.files import write_atomically
from enactive.evaluation.hash_chain import HashChain, digest
from enactive.evaluation.plan import EpisodePlan, Rules
from enactive.evaluation.registration import policy_hash
from enactive.evaluation.results import EpisodeResult
from enactive.evaluation.rollouts import Listener, rollout
from enactive.evaluation.worlds import config_record
from enactive.observations import Observation, ObservationSpec, Task
from enactive.policies.policy import Policy, check_wiring
from enactive.seeding import numpy_generator
from enactive.worlds.pool import WorldPool

LOG = "blind.jsonl"
JOURNAL = "journal.sqlite"
SECRET = "sealed.json"
"""Salt and assignment while the evaluation runs, readable by the owner only: who opens it is no
longer blind. It is removed once the log holds them."""
COMMITTED = "committed"
OUTCOME = "outcome"
CLOSED = "closed"
REVEALED = "revealed"
GROUP = "blind"


class BlindError(ValueError):
    """A blind evaluation cannot begin or go on; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sealed:
    """What is known at the end only."""

    salt: str
    """256 random bits, hexadecimal."""
    assignment: Mapping[str, str]
    """Alias to the name of the policy."""
    descriptions: Mapping[str, str]
    """Name of the policy to the hash of what it says of itself."""

    @property
    def commitment(self) -> str:
        """SHA-256 over all of it: published first, it fixes the assignment and hides it."""
        return digest(to_dict(self))


@dataclass(frozen=True, kw_only=True, slots=True)
class BlindEpisode:
    """What a rater is shown."""

    alias: str
    group: int
    task: str
    instruction: str
    recording: Episode
    """Its header names the alias in place of the policy."""


Rater = Callable[[BlindEpisode], bool]
"""Judges success from the recording; the world's own test counts where there is no rater."""


def seal(names: Sequence[str], descriptions: Mapping[str, str], salt: str | None = None) -> Sealed:
    """Draw aliases ``P1, P2, ...`` for the policies.

    Args:
        names: of the policies, all different.
        descriptions: name to hash, see :func:`~enactive.evaluation.registration.policy_hash`.
        salt: 64 hexadecimal digits; by default from the system's source of randomness.

    Raises:
        BlindError: fewer than two policies, or two of one name.
    """
    if len(names) < 2 or len(set(names)) < len(names):
        raise BlindError(f"a blind evaluation needs at least two names, all different: {[*names]}")
    salt = salt or secrets.token_hex(32)
    order = numpy_generator(int(salt, 16), "blind aliases").permutation(len(names)).tolist()
    return Sealed(
        salt=salt,
        assignment={f"P{place + 1}": str(names[chosen]) for place, chosen in enumerate(order)},
        descriptions={name: descriptions[name] for name in names},
    )


def schedule(
    plan: Sequence[EpisodePlan], aliases: Sequence[str], salt: str
) -> list[tuple[int, str, EpisodePlan]]:
    """Every run in order: its group, its alias, and the episode.

    Starts are shuffled, and the aliases anew within each; all follow from the salt, so that the
    order is fixed by the commitment and cannot be foreseen without it. The episode's ``repeat`` is
    the place of the alias among all, which gives each its own random stream.

    Raises:
        BlindError: a start occurs twice.
    """
    starts = {
        (one.task.name, one.task.instruction, one.seed, one.task.perturbations) for one in plan
    }
    if len(starts) < len(plan):
        raise BlindError("the plan holds a start twice. Fix: give each episode another seed")
    generator = numpy_generator(int(salt, 16), "blind order")
    listed = list(aliases)
    runs: list[tuple[int, str, EpisodePlan]] = []
    for group, place in enumerate(generator.permutation(len(plan)).tolist()):
        for chosen in generator.permutation(len(listed)).tolist():
            episode = replace(plan[place], index=len(runs), repeat=chosen, group=GROUP)
            runs.append((group, listed[chosen], episode))
    return runs


def begin_blind(
    directory: Path, plan: Sequence[EpisodePlan], sealed: Sealed, conditions: Mapping[str, Any]
) -> tuple[HashChain, Sealed]:
    """Commit to the assignment, or find the commitment of an evaluation that was begun before.

    Args:
        conditions: JSON values that a resumed evaluation must share: world, rules.

    Returns:
        The log, and what is sealed: the one drawn earlier where there is one.

    Raises:
        BlindError: another evaluation was begun here, or what was sealed is gone.
    """
    log = HashChain(directory / LOG)
    public = {
        "plan": digest([to_dict(one) for one in plan]),
        "starts": len(plan),
        "aliases": sorted(sealed.assignment),
        "conditions": dict(conditions),
        "policies": sorted(sealed.descriptions.values()),
    }
    if log.entries:
        before = {name: log.entries[0].data.get(name) for name in public}
        if log.entries[0].kind != COMMITTED or before != json.loads(json.dumps(public)):
            raise BlindError(
                f"{log.path}: another blind evaluation was begun here (plan, policies, world or "
                "rules differ). Fix: choose another directory"
            )
        over = log.of_kind(REVEALED)
        return log, from_dict(Sealed, over[0].data) if over else read_sealed(directory)
    write_sealed(directory, sealed)
    log.append(
        COMMITTED,
        {**public, "commitment": sealed.commitment, "code_version": enactive.__version__},
    )
    return log, sealed


def run_blind(
    directory: Path,
    pool: WorldPool,
    policies: Mapping[str, Policy],
    plan: Sequence[EpisodePlan],
    *,
    rules: Rules | None = None,
    rater: Rater | None = None,
    listener: Listener | None = None,
) -> HashChain:
    """Run every policy on every start of ``plan`` under aliases, then reveal them.

    An interrupted evaluation goes on where it stopped when it is called again; one that is over
    stays as it is. For an A/A test give
    one policy under two names.

    Args:
        directory: gets the log and a journal in which policies have aliases only.
        policies: name to policy, two or more.
        plan: one episode per start.
        rater: who judges; by default the world's own success test.
        listener: told of every result, under the alias.

    Returns:
        The log; :func:`enactive.evaluation.blind_log.verify_blind` reads the outcome from it.

    Raises:
        WiringError: a policy does not fit the world.
        BlindError: see :func:`seal`, :func:`schedule` and :func:`begin_blind`.
    """
    rules = rules or Rules()
    for policy in policies.values():
        check_wiring(policy, pool.spec)
    descriptions = {name: policy_hash(policy) for name, policy in policies.items()}
    conditions = {
        "world": f"{pool.spec.name} {pool.spec.version}",
        "world_config": config_hash(config_record(pool.config)),
        "rules": config_hash(rules),
        "rated": rater is not None,
    }
    log, sealed = begin_blind(directory, plan, seal([*policies], descriptions), conditions)
    if log.of_kind(REVEALED):
        return log
    runs = schedule(plan, sorted(sealed.assignment), sealed.salt)
    panel = Panel.of(runs, {a: policies[n] for a, n in sealed.assignment.items()}, pool, sealed)
    with Journal.open(directory / JOURNAL) as journal:
        scribe = _Scribe(log, runs, journal, rater, listener)
        rollout(
            pool, panel, [one for _, _, one in runs], rules=rules, journal=journal,
            listener=scribe.hear,
        )  # fmt: skip
    finish_blind(directory, log, sealed, len(runs))
    return log


def finish_blind(directory: Path, log: HashChain, sealed: Sealed, runs: int) -> None:
    """Close the outcomes, then reveal the assignment; the sealed file is removed last."""
    if not log.of_kind(CLOSED):
        log.append(CLOSED, {"outcomes": runs})
    log.append(REVEALED, to_dict(sealed))
    (directory / SECRET).unlink(missing_ok=True)


def log_outcome(
    log: HashChain, group: int, alias: str, result: EpisodeResult, success: bool
) -> None:
    """Append one outcome, under the alias."""
    log.append(
        OUTCOME,
        {
            "group": group,
            "alias": alias,
            "episode": result.id,
            "task": result.task,
            "instruction": result.instruction,
            "seed": result.seed,
            "success": success,
            "steps": result.steps,
        },
    )


def write_sealed(directory: Path, sealed: Sealed) -> None:
    """Keep what is sealed until the end, readable by the owner only."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / SECRET
    write_atomically(path, json.dumps(to_dict(sealed)) + "\n")
    os.chmod(path, 0o600)


def read_sealed(directory: Path) -> Sealed:
    """What :func:`write_sealed` kept.

    Raises:
        BlindError: it is gone, so that the evaluation can be neither resumed nor revealed.
    """
    path = directory / SECRET
    if not path.is_file():
        raise BlindError(f"{path} is gone: this evaluation can be neither resumed nor revealed")
    return Sealed(**json.loads(path.read_text(encoding="utf-8")))


@dataclass(frozen=True, slots=True)
class Panel:
    """All policies behind one: it finds out from an episode's random stream whose turn it is."""

    commitment: str
    space: ActionSpace
    members: Mapping[str, Policy]
    """Alias to policy."""
    turns: Mapping[int, str]
    """Policy seed of an episode to the alias that plays it."""

    @classmethod
    def of(
        cls,
        runs: Sequence[tuple[int, str, EpisodePlan]],
        members: Mapping[str, Policy],
        pool: WorldPool,
        sealed: Sealed,
    ) -> Panel:
        """The panel that plays ``runs``."""
        turns = {episode.policy_seed: alias for _, alias, episode in runs}
        return cls(sealed.commitment, pool.spec.accepts, members, turns)

    @property
    def name(self) -> str:
        return "blind"

    @property
    def consumes(self) -> ObservationSpec:
        return ObservationSpec()  # each member was checked against the world by itself

    @property
    def produces(self) -> ActionSpace:
        return self.space

    def describe(self) -> Mapping[str, Any]:
        return {"policy": "blind", "commitment": self.commitment}

    def begin(self, task: Task, seed: int) -> tuple[str, Any]:
        alias = self.turns[seed]
        return alias, self.members[alias].begin(task, seed)

    def act(
        self, observations: Sequence[Observation], memories: Sequence[tuple[str, Any]]
    ) -> list[Decision]:
        decisions: dict[int, Decision] = {}
        for alias in dict.fromkeys(alias for alias, _ in memories):
            places = [place for place, (mine, _) in enumerate(memories) if mine == alias]
            made = self.members[alias].act(
                [observations[place] for place in places], [memories[place][1] for place in places]
            )
            for place, decision in zip(places, made, strict=True):
                decisions[place] = replace(decision, memory=(alias, decision.memory))
        return [decisions[place] for place in range(len(memories))]


class _Scribe:
    """Logs outcomes in the order of the schedule, each as soon as those before it are known."""

    def __init__(
        self,
        log: HashChain,
        runs: Sequence[tuple[int, str, EpisodePlan]],
        journal: Journal,
        rater: Rater | None,
        listener: Listener | None,
    ) -> None:
        self.log = log
        self.runs = runs
        self.journal = journal
        self.rater = rater
        self.listener = listener
        self.next = len(log.of_kind(OUTCOME))  # those before were logged before an interruption
        self.waiting: dict[int, EpisodeResult] = {}

    def hear(self, result: EpisodeResult) -> None:
        if self.listener is not None:
            self.listener(result)
        self.waiting[result.index] = result
        while self.next in self.waiting:
            group, alias, episode = self.runs[self.next]
            known = self.waiting[self.next]
            success = known.success
            if self.rater is not None:
                success = self.rater(
                    BlindEpisode(
                        alias=alias, group=group, task=episode.task.name,
                        instruction=episode.task.instruction,
                        recording=self.journal.read(known.id),
                    )
                )  # fmt: skip
            log_outcome(self.log, group, alias, known, success)
            self.next += 1
