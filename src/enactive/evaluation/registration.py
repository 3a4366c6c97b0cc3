"""What will be compared and how it will be judged, written and hashed before the first episode.

A registration is a JSON file: hypothesis, policies (by the hash of what they say of themselves),
protocol, every episode in the order in which it will be run, and the analysis. Its hash is the
first entry of a hash-chained log, so the log proves that it came before the episodes. A run refuses
to start, and to finish, under a file that was changed.
Source of the practice: Nosek et al. (2018), "The preregistration revolution", PNAS 115.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import enactive
from enactive.configuration import ConfigurationError, config_hash, from_dict, to_dict
from enactive.evaluation.files import write_atomically
from enactive.evaluation.hash_chain import HashChain, digest
from enactive.evaluation.plan import EpisodePlan
from enactive.evaluation.sequential import StoppingRule
from enactive.policies.policy import Policy
from enactive.seeding import numpy_generator

FORMAT = 1
"""Version of the file; a reader refuses others."""
REGISTRATION = "registration.json"
LOG = "log.jsonl"
REGISTERED = "registered"
"""Kind of the log's first entry."""


class RegistrationError(ValueError):
    """A registration is missing, was changed, or is not what is being run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Analysis:
    """How the comparison will be judged."""

    rule: StoppingRule = StoppingRule()
    """Error rate and margin."""
    sequential: bool = True
    """Judge after every block and stop when it is decided. False: judge once, after the last
    episode, by the exact McNemar test and Tango's interval."""
    block: int = 5
    """Episodes that each policy plays before the other's turn, and between two looks."""

    def __post_init__(self) -> None:
        if self.block < 1:
            raise ValueError(f"block must be at least 1, got {self.block}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Registration:
    """The plan of a comparison of two policies."""

    hypothesis: str
    """In words: what is expected, of what, and why."""
    first: str
    """Name of the baseline."""
    second: str
    """Name of the candidate."""
    policies: Mapping[str, str]
    """``"first"`` and ``"second"`` to the hash of the policy's description."""
    protocol: str
    """Hash of the :class:`~enactive.evaluation.plan.EvaluationProtocol` of the whole plan."""
    analysis: Analysis
    episodes: tuple[EpisodePlan, ...]
    """In the order in which they will be run."""
    code_version: str = enactive.__version__
    """Version of this package at registration."""
    notes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """JSON values: whatever else was fixed beforehand."""

    @property
    def hash(self) -> str:
        """SHA-256 over everything, hexadecimal: what is published."""
        return digest(to_dict(self))

    def save(self, path: Path) -> None:
        """Write it, whole or not at all."""
        data = {"format": FORMAT, "hash": self.hash, **to_dict(self)}
        text = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False)
        write_atomically(path, text + "\n")

    @classmethod
    def load(cls, path: Path) -> Registration:
        """Read what :meth:`save` wrote.

        Raises:
            RegistrationError: there is none, or it was changed.
        """
        if not path.is_file():
            raise RegistrationError(f"{path}: there is no registration")
        try:
            data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            version, expected = data.pop("format", None), data.pop("hash", None)
            found = from_dict(cls, data)
        except (json.JSONDecodeError, ConfigurationError) as error:
            raise RegistrationError(f"{path}: not a registration: {error}") from error
        if version != FORMAT:
            raise RegistrationError(f"{path}: format {version!r}, this code reads {FORMAT}")
        if found.hash != expected:
            raise RegistrationError(
                f"{path}: was changed after it was registered: its hash is {found.hash}, it says "
                f"{expected}. Fix: restore the file, or register anew in another directory"
            )
        return found


def policy_hash(policy: Policy) -> str:
    """Hash of what a policy says of itself: configuration and checkpoint."""
    return config_hash({"name": policy.name, **policy.describe()})


def shuffled(plan: Sequence[EpisodePlan], seed: int) -> tuple[EpisodePlan, ...]:
    """The plan in an order drawn with ``seed``, numbered anew.

    A sequential test needs it: after a prefix in random order the tasks are represented as in the
    whole plan.
    """
    order = numpy_generator(seed, "trial order").permutation(len(plan))
    return tuple(replace(plan[place], index=index) for index, place in enumerate(order.tolist()))


def register(directory: Path, registration: Registration) -> HashChain:
    """Write the registration and the first entry of its log; the same one again changes nothing.

    Raises:
        RegistrationError: another registration is there, or the log began without one.
    """
    path = directory / REGISTRATION
    if path.is_file():
        found = Registration.load(path)
        if found.hash != registration.hash:
            raise RegistrationError(
                f"{path}: another comparison is registered here; what differs: "
                f"{', '.join(_changes(found, registration))}. Fix: choose another directory, or "
                "run what was registered"
            )
    else:
        registration.save(path)
    log = HashChain(directory / LOG)
    if not log.entries:
        log.append(REGISTERED, {"hash": registration.hash})
    check_registered(registration, log)
    return log


def check_registered(registration: Registration, log: HashChain) -> None:
    """Refuse a log whose first entry is not this registration.

    Raises:
        RegistrationError: it is another's, or episodes came before it.
    """
    first = log.entries[0] if log.entries else None
    if first is None or first.kind != REGISTERED:
        raise RegistrationError(f"{log.path}: does not begin with a registration")
    if first.data.get("hash") != registration.hash:
        raise RegistrationError(
            f"{log.path}: registers {first.data.get('hash')}, but the file's hash is "
            f"{registration.hash}: it was replaced after it was registered"
        )


def check_runs(
    registration: Registration, first: Policy, second: Policy, protocol_hash: str
) -> None:
    """Refuse policies or conditions that are not the registered ones.

    Raises:
        RegistrationError: naming everything that differs.
    """
    problems = [
        f"the {role} policy, {policy.name}, describes itself otherwise than registered"
        for role, policy in (("first", first), ("second", second))
        if policy_hash(policy) != registration.policies[role]
    ]
    if protocol_hash != registration.protocol:
        problems.append("the protocol (world, its configuration, rules, episodes) is another")
    if problems:
        raise RegistrationError("not what was registered: " + "; ".join(problems))


def _changes(one: Registration, other: Registration) -> list[str]:
    mine, theirs = to_dict(one), to_dict(other)
    return [name for name in mine if mine[name] != theirs[name]]
