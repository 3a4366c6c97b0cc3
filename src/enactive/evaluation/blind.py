"""Grouped blind evaluation: nobody who runs or rates an episode knows whose it is.

Policies get aliases that are drawn at random. The assignment is committed to before the first
episode (the hash of a random salt and the assignment is published, which tells nothing of it and
fixes it), episodes are run in the order of :mod:`enactive.evaluation.blind_schedule`, outcomes are
logged under aliases in an append-only hash chain, and the assignment is revealed last.
:mod:`enactive.evaluation.blind_log` proves from the log that it was so. Where people judge success,
:mod:`enactive.evaluation.blind_rating` takes their ratings before anything is revealed.

Source: the "Grouped Blind Ensemble" of the Rethinking-VLA study (arXiv 2602.09722); the commitment
and the hash chain are ours. What no protocol can hide: a policy whose motion gives it away, e.g. by
trembling. Random streams belong to the alias, so a policy that takes part under two aliases (an A/A
test) meets the same starts with independent noise.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import enactive
from enactive.configuration import config_hash, from_dict, to_dict
from enactive.episodes.episode import Episode
from enactive.episodes.journal import Journal
from enactive.evaluation.blind_panel import Panel
from enactive.evaluation.blind_schedule import Turn, aliases, groups_of, turns
from enactive.evaluation.files import write_atomically
from enactive.evaluation.hash_chain import HashChain, digest
from enactive.evaluation.plan import EpisodePlan, Rules
from enactive.evaluation.registration import policy_hash
from enactive.evaluation.results import EpisodeResult
from enactive.evaluation.rollouts import Listener, rollout
from enactive.evaluation.worlds import config_record
from enactive.policies.policy import Policy, check_wiring
from enactive.seeding import numpy_generator
from enactive.worlds.pool import WorldPool

FORMAT = 2
"""Version of the log; a reader refuses others."""
LOG = "blind.jsonl"
JOURNAL = "journal.sqlite"
SECRET = "sealed.json"
"""Salt and assignment while the evaluation runs, readable by the owner only: who opens it is no
longer blind. It is removed once the log holds them."""
COMMITTED = "committed"
OUTCOME = "outcome"
"""A trial that the world's own test judged."""
PLAYED = "played"
"""A trial that raters are to judge."""
RATINGS = "ratings"
"""A rater handed in what :mod:`enactive.evaluation.blind_rating` wrote."""
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
class Judges:
    """Who judges, where it is not the world's own success test."""

    raters: tuple[str, ...] = ()
    """Names of people or programs; each judges every trial."""
    stages: tuple[str, ...] = ()
    """How far a failure may have come, in order, e.g. ``("touched", "lifted")``."""
    hide_aliases: bool = False
    """Show raters the trial's number only: an alias lasts, and so does a guess who is behind it."""

    def __post_init__(self) -> None:
        for field, names in (("raters", self.raters), ("stages", self.stages)):
            if len(set(names)) < len(names) or not all(name.strip() for name in names):
                raise BlindError(f"{field} must have names, all different, got {[*names]}")
        if (self.stages or self.hide_aliases) and not self.raters:
            raise BlindError("stages and hidden aliases are for raters; name who rates")


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
    assigned = zip(aliases(len(names)), order, strict=True)
    return Sealed(
        salt=salt,
        assignment={alias: str(names[chosen]) for alias, chosen in assigned},
        descriptions={name: descriptions[name] for name in names},
    )


def schedule(plan: Sequence[EpisodePlan], count: int, salt: str) -> list[tuple[Turn, EpisodePlan]]:
    """Every trial in order, and its episode.

    The order is fixed by the commitment and cannot be foreseen without it. The episode's ``repeat``
    is the place of the alias among all, which gives each its own random stream.

    Args:
        plan: one episode per start.
        count: of policies.

    Raises:
        BlindError: a start occurs twice.
    """
    if len({json.dumps(start_of(one)) for one in plan}) < len(plan):
        raise BlindError("the plan holds a start twice. Fix: give each episode another seed")
    members = aliases(count)
    return [
        (turn, replace(plan[turn.start], index=n, repeat=members.index(turn.alias), group=GROUP))
        for n, turn in enumerate(turns(len(plan), members, salt))
    ]


def start_of(episode: EpisodePlan) -> list[Any]:
    """What the policies of a round share: task, wording, seed, perturbations."""
    task = episode.task
    return [task.name, task.instruction, episode.seed, list(task.perturbations)]


def begin_blind(
    directory: Path,
    plan: Sequence[EpisodePlan],
    sealed: Sealed,
    conditions: Mapping[str, Any],
    judges: Judges | None = None,
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
    members = aliases(len(sealed.assignment))
    public = {
        "format": FORMAT,
        "plan": digest([start_of(one) for one in plan]),
        "starts": len(plan),
        "aliases": members,
        "groups": [list(group) for group in groups_of(members)],
        "conditions": dict(conditions),
        **to_dict(judges or Judges()),
        "policies": sorted(sealed.descriptions.values()),
    }
    if log.entries:
        before = {name: log.entries[0].data.get(name) for name in public}
        if log.entries[0].kind != COMMITTED or before != json.loads(json.dumps(public)):
            raise BlindError(
                f"{log.path}: another blind evaluation was begun here (plan, policies, world, "
                "rules or raters differ). Fix: choose another directory"
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
    judges: Judges | None = None,
    listener: Listener | None = None,
    salt: str | None = None,
) -> HashChain:
    """Run every policy on every start of ``plan`` under aliases, then reveal them.

    An interrupted evaluation goes on where it stopped when it is called again; one that is over
    stays as it is. For an A/A test give one policy under two names.

    Args:
        directory: gets the log and a journal in which policies have aliases only.
        policies: name to policy, two or more.
        plan: one episode per start.
        judges: who rates; with raters, everything is played and nothing revealed before the last of
            them has handed in, see :class:`~enactive.evaluation.blind_rating.Sheet`.
        listener: told of every result.
        salt: 64 hexadecimal digits, for simulations that shall come out alike: whoever knows the
            salt is not blind.

    Returns:
        The log; :func:`enactive.evaluation.blind_log.verify_blind` reads the outcome from it.

    Raises:
        WiringError: a policy does not fit the world.
        BlindError: see :func:`seal`, :func:`schedule` and :func:`begin_blind`; or raters would see
            nothing, because the world has no camera.
    """
    rules, judges = rules or Rules(), judges or Judges()
    for policy in policies.values():
        check_wiring(policy, pool.spec)
    if judges.raters and not pool.spec.observations.cameras:
        raise BlindError("raters would see nothing: the world has no camera. Fix: configure one")
    descriptions = {name: policy_hash(policy) for name, policy in policies.items()}
    conditions = {
        "world": f"{pool.spec.name} {pool.spec.version}",
        "world_config": config_hash(config_record(pool.config)),
        "rules": config_hash(rules),
    }
    drawn = seal([*policies], descriptions, salt)
    log, sealed = begin_blind(directory, plan, drawn, conditions, judges)
    runs = schedule(plan, len(sealed.assignment), sealed.salt)
    if log.of_kind(REVEALED) or len(log.of_kind(PLAYED)) == len(runs):
        return log
    panel = Panel(
        commitment=sealed.commitment,
        space=pool.spec.accepts,
        members={alias: policies[name] for alias, name in sealed.assignment.items()},
        turns={episode.policy_seed: turn.alias for turn, episode in runs},
    )
    with Journal.open(directory / JOURNAL) as journal:
        scribe = _Scribe(log, [turn for turn, _ in runs], listener, rated=bool(judges.raters))
        results = rollout(
            pool, panel, [one for _, one in runs], rules=rules, journal=journal,
            listener=scribe.hear,
        )  # fmt: skip
        if judges.raters:
            # All at once: the times of entries would say how long each policy took.
            for (turn, _), result in [*zip(runs, results, strict=True)][len(log.of_kind(PLAYED)) :]:
                recording = recording_hash(journal.read(result.id))
                log.append(PLAYED, {**trial_record(turn, result), "recording": recording})
            return log
    finish_blind(directory, log, sealed, len(runs))
    return log


def finish_blind(directory: Path, log: HashChain, sealed: Sealed, runs: int) -> None:
    """Close the outcomes, then reveal the assignment; the sealed file is removed last."""
    if not log.of_kind(CLOSED):
        log.append(CLOSED, {"outcomes": runs})
    if not log.of_kind(REVEALED):
        log.append(REVEALED, to_dict(sealed))
    (directory / SECRET).unlink(missing_ok=True)


def trial_record(turn: Turn, result: EpisodeResult) -> dict[str, Any]:
    """What the log says of a trial, as JSON values."""
    return {
        "round": turn.round,
        "group": turn.group,
        "alias": turn.alias,
        "episode": result.id,
        "task": result.task,
        "instruction": result.instruction,
        "seed": result.seed,
        "perturbations": list(result.perturbations),
        "steps": result.steps,
    }


def recording_hash(episode: Episode) -> str:
    """SHA-256 over all pictures, states and actions of a recording, hexadecimal."""
    return digest({name: rows.tobytes().hex() for name, rows in episode.hashes.items()})


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


class _Scribe:
    """Logs outcomes in the order of the schedule, each as soon as those before it are known."""

    def __init__(
        self, log: HashChain, runs: Sequence[Turn], listener: Listener | None, *, rated: bool
    ) -> None:
        self.log = log
        self.runs = runs
        self.listener = listener
        self.rated = rated
        self.next = len(log.of_kind(OUTCOME))  # those before were logged before an interruption
        self.waiting: dict[int, EpisodeResult] = {}

    def hear(self, result: EpisodeResult) -> None:
        if self.listener is not None:
            self.listener(result)
        if self.rated:
            return
        self.waiting[result.index] = result
        while self.next in self.waiting:
            known = self.waiting.pop(self.next)
            record = trial_record(self.runs[self.next], known)
            self.log.append(OUTCOME, {**record, "success": known.success})
            self.next += 1
