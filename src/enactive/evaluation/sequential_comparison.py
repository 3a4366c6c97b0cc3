"""Two policies in alternating blocks of a registered plan, until the comparison is decided.

Both play every episode of a block before the next block begins, and who plays first alternates, so
that nothing that drifts with time (a machine's temperature, a server's load) favours one of them.
After each block the stopping rule of the registration is asked; its error rate holds however often
that is. Everything is recorded: the episodes of each policy in a journal of its own, the blocks in
a hash-chained log behind the registration. An interrupted trial goes on where it stopped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import enactive
from enactive.configuration import to_dict
from enactive.episodes.journal import Journal
from enactive.evaluation.files import write_atomically
from enactive.evaluation.hash_chain import HashChain
from enactive.evaluation.plan import EpisodePlan, Rules, protocol_of
from enactive.evaluation.registration import (
    LOG,
    REGISTRATION,
    Analysis,
    Registration,
    RegistrationError,
    check_registered,
    check_runs,
    policy_hash,
)
from enactive.evaluation.results import EpisodeResult, Evaluation
from enactive.evaluation.rollouts import Listener, rollout
from enactive.evaluation.sequential import Stop, StoppingRule, difference_sequence
from enactive.evaluation.statistics import Interval, mcnemar_exact, tango
from enactive.evaluation.worlds import config_record
from enactive.policies.policy import Policy
from enactive.worlds.pool import WorldPool

ROLES = ("first", "second")
VERDICT = "verdict.json"
BLOCK = "block"
FINISHED = "finished"


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """Outcomes of the pairs so far."""

    pairs: int = 0
    both: int = 0
    only_first: int = 0
    only_second: int = 0

    def plus(self, outcomes: Sequence[tuple[bool, bool]]) -> Counts:
        """With more pairs: outcomes of the first and the second policy."""
        return Counts(
            pairs=self.pairs + len(outcomes),
            both=self.both + sum(a and b for a, b in outcomes),
            only_first=self.only_first + sum(a and not b for a, b in outcomes),
            only_second=self.only_second + sum(b and not a for a, b in outcomes),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialVerdict:
    """What a registered comparison found."""

    registration: str
    """Hash of the plan that was registered before the first episode."""
    head: str
    """Hash of the log's last entry."""
    first: str
    second: str
    hypothesis: str
    decision: Stop | None
    """None: the plan ended undecided."""
    counts: Counts
    planned: int
    """Pairs that the plan holds."""
    difference: Interval
    """Second minus first. A confidence sequence if the trial could stop early, else Tango's."""
    p_value: float
    """Of "no difference", two-sided; valid at any time if the trial could stop early."""
    sequential: bool
    rule: StoppingRule
    deviations: tuple[str, ...] = ()
    """How the run differs from what was registered."""
    notes: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        spread = (
            f"{self.difference.estimate:+.1%} [{self.difference.low:+.1%}, "
            f"{self.difference.high:+.1%}], p = {self.p_value:.3g}, after {self.counts.pairs} of "
            f"{self.planned} pairs"
        )
        if self.decision == "second":
            return f"{self.second} is better than {self.first}: {spread}"
        if self.decision == "first":
            return f"{self.second} is worse than {self.first}: {spread}"
        if self.decision == "equivalent":
            names = f"{self.second} and {self.first}"
            return f"{names} differ by less than {self.rule.margin:.1%}: {spread}"
        return f"undecided between {self.first} and {self.second}: {spread}"

    def save(self, path: Path) -> None:
        """Write it as JSON, with the sentence."""
        data = {"sentence": self.sentence, **to_dict(self)}
        write_atomically(path, json.dumps(data, indent=1, allow_nan=False) + "\n")


BlockListener = Callable[[Counts, Stop | None], None]
"""Told after every block."""


def run_trial(
    directory: Path,
    pool: WorldPool,
    first: Policy,
    second: Policy,
    *,
    rules: Rules | None = None,
    listener: Listener | None = None,
    told: BlockListener | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> TrialVerdict:
    """Run the comparison that is registered in ``directory``, or what is left of it.

    Writes ``first/`` and ``second/`` (journal and evaluation each), the log and ``verdict.json``.
    The two evaluations can be reported and compared like others; a p-value that does not know of
    the early stop is not valid for them, the verdict's is.

    Args:
        listener: told of every episode's result.
        told: told after every block.

    Raises:
        RegistrationError: nothing is registered, the file was changed, or policies, world or rules
            are not the registered ones.
        ChainBroken: the log was changed.
    """
    rules = rules or Rules()
    registration = Registration.load(directory / REGISTRATION)
    log = HashChain(directory / LOG)
    check_registered(registration, log)
    plan = registration.episodes
    protocol = protocol_of(plan, pool.spec, config_record(pool.config), rules)
    check_runs(registration, first, second, protocol.hash)
    if not log.of_kind(FINISHED):
        log.append("started", {"code_version": enactive.__version__})
    results: tuple[list[EpisodeResult], list[EpisodeResult]] = ([], [])
    counts, decision, blocks = Counts(), None, log.of_kind(BLOCK)
    journals = [Journal.open(_made(directory / role) / "journal.sqlite") for role in ROLES]
    with journals[0], journals[1]:
        size = registration.analysis.block
        for number, begin in enumerate(range(0, len(plan), size)):
            block = plan[begin : begin + size]
            _play(
                number, block, results, (first, second), pool, rules, journals, listener, provenance
            )
            outcomes = [
                (one.success, other.success)
                for one, other in zip(results[0][begin:], results[1][begin:], strict=True)
            ]
            counts = counts.plus(outcomes)
            decision = _decide(registration, counts)
            record = {
                "number": number,
                "episodes": [one.id for one in results[0][begin:]],
                "outcomes": [[int(a), int(b)] for a, b in outcomes],
                "counts": to_dict(counts),
                "decision": decision,
            }
            _note(log, blocks, record)
            if told is not None:
                told(counts, decision)
            if decision is not None:
                break
    # The file that the run began under must be the file that it ends under.
    again = Registration.load(directory / REGISTRATION)
    if again.hash != registration.hash:
        raise RegistrationError(f"{directory / REGISTRATION}: was replaced while the trial ran")
    for role, policy, found in zip(ROLES, (first, second), results, strict=True):
        Evaluation(
            policy=policy.name,
            protocol=protocol_of(
                plan[: counts.pairs], pool.spec, config_record(pool.config), rules
            ),
            episodes=tuple(found),
            provenance={
                **(provenance or {}),
                "policy": dict(policy.describe()),
                "registration": registration.hash,
                "role": role,
            },
        ).save(directory / role / "evaluation.json")
    if not log.of_kind(FINISHED):
        log.append(FINISHED, {"decision": decision, "counts": to_dict(counts)})
    verdict = _verdict(registration, log, counts, decision)
    verdict.save(directory / VERDICT)
    return verdict


def make_registration(
    pool: WorldPool,
    first: Policy,
    second: Policy,
    plan: Sequence[EpisodePlan],
    analysis: Analysis,
    *,
    rules: Rules | None = None,
    hypothesis: str = "",
    names: tuple[str, str] | None = None,
) -> Registration:
    """The registration of running ``plan``, in its order, with both policies.

    Args:
        plan: see :func:`enactive.evaluation.registration.shuffled`.
        names: what the verdict calls the two; by default what they call themselves.
    """
    protocol = protocol_of(plan, pool.spec, config_record(pool.config), rules or Rules())
    called = names or (first.name, second.name)
    return Registration(
        hypothesis=hypothesis or f"{called[1]} and {called[0]} succeed at different rates",
        first=called[0],
        second=called[1],
        policies={"first": policy_hash(first), "second": policy_hash(second)},
        protocol=protocol.hash,
        analysis=analysis,
        episodes=tuple(plan),
    )


def _play(
    number: int,
    block: Sequence[EpisodePlan],
    results: tuple[list[EpisodeResult], list[EpisodeResult]],
    policies: tuple[Policy, Policy],
    pool: WorldPool,
    rules: Rules,
    journals: Sequence[Journal],
    listener: Listener | None,
    provenance: Mapping[str, Any] | None,
) -> None:
    """Both policies on one block; the second goes first in every other one."""
    for role in (0, 1) if number % 2 == 0 else (1, 0):
        results[role].extend(
            rollout(
                pool, policies[role], block, rules=rules, journal=journals[role],
                listener=listener, provenance=provenance,
            )
        )  # fmt: skip


def _decide(registration: Registration, counts: Counts) -> Stop | None:
    """The decision after a block: by the rule, or, if it is judged once, at the end."""
    analysis = registration.analysis
    if analysis.sequential:
        return analysis.rule.decide(counts.only_second, counts.only_first, counts.pairs)
    if counts.pairs < len(registration.episodes):
        return None
    if mcnemar_exact(counts.only_first, counts.only_second) <= analysis.rule.significance:
        return "second" if counts.only_second > counts.only_first else "first"
    margin = analysis.rule.margin
    if margin is not None:
        # Two one-sided tests at the level are an interval of twice the error (Schuirmann, 1987).
        inner = tango(
            counts.only_second, counts.only_first, counts.pairs, 1 - 2 * analysis.rule.significance
        )
        if -margin < inner.low and inner.high < margin:
            return "equivalent"
    return None


def _note(log: HashChain, blocks: list[Any], record: Mapping[str, Any]) -> None:
    """Log a block, or check that it is the one that was logged before an interruption."""
    number = int(record["number"])
    if number >= len(blocks):
        log.append(BLOCK, record)
    elif dict(blocks[number].data) != json.loads(json.dumps(record)):
        raise RegistrationError(
            f"block {number} is not what the log says: a journal was changed or lost after the "
            "block was logged"
        )


def _verdict(
    registration: Registration, log: HashChain, counts: Counts, decision: Stop | None
) -> TrialVerdict:
    analysis = registration.analysis
    confidence = 1 - analysis.rule.significance
    cells = (counts.only_second, counts.only_first, counts.pairs)
    if analysis.sequential:
        difference = difference_sequence(*cells, confidence)
        p_value = analysis.rule.p_value(*cells)
    else:
        difference = tango(*cells, confidence)
        p_value = mcnemar_exact(counts.only_first, counts.only_second)
    return TrialVerdict(
        registration=registration.hash,
        head=log.head,
        first=registration.first,
        second=registration.second,
        hypothesis=registration.hypothesis,
        decision=decision,
        counts=counts,
        planned=len(registration.episodes),
        difference=difference,
        p_value=p_value,
        sequential=analysis.sequential,
        rule=analysis.rule,
        deviations=tuple(deviations(registration, log)),
    )


def deviations(registration: Registration, log: HashChain) -> list[str]:
    """How a logged run differs from its registration; empty if it does not.

    What would make the numbers mean something else (another policy, world, rule or plan) is refused
    by :func:`run_trial` and cannot become a deviation. These are the rest.
    """
    found: list[str] = []
    starts = log.of_kind("started")
    versions = {str(entry.data.get("code_version")) for entry in starts}
    other = sorted(versions - {registration.code_version})
    if other:
        found.append(
            f"run with version {', '.join(other)}, registered with {registration.code_version}"
        )
    if len(starts) > 1:
        found.append(f"interrupted and resumed {len(starts) - 1} times")
    blocks = log.of_kind(BLOCK)
    played = sum(len(entry.data["outcomes"]) for entry in blocks)
    decided = [entry.data["number"] for entry in blocks if entry.data["decision"] is not None]
    if not decided and played < len(registration.episodes):
        found.append(f"stopped undecided after {played} of {len(registration.episodes)} pairs")
    if decided and decided[0] + 1 < len(blocks):
        found.append(f"went on for {len(blocks) - decided[0] - 1} blocks after it was decided")
    return found


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return directory
