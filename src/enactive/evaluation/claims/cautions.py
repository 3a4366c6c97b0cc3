"""What a reader of a verdict should know: unequal budgets, tasks that tell no arms apart."""

from __future__ import annotations

from enactive.evaluation.claims.claim import Claim
from enactive.evaluation.claims.verdict import Measurements, binary, means, names_of, shown

EQUAL = {"train_steps": 0.0, "parameters": 0.05}
"""Cost that arms should share, and the relative difference that is tolerated."""


def cautions(claim: Claim, measurements: Measurements) -> list[str]:
    """One sentence each; empty if there is nothing to say."""
    found: list[str] = []
    for name, tolerance in EQUAL.items():
        table = means(claim, measurements, "cost", name)
        each = {arm: sum(values.values()) / len(values) for arm, (values, _) in table.items()}
        if len(each) > 1 and max(each.values()) > min(each.values()) * (1 + tolerance):
            listed = ", ".join(f"{arm} {shown(value)}" for arm, value in each.items())
            found.append(f"The arms' {name} differ: {listed}.")
        absent = [arm for arm in claim.arms if arm not in each]
        if each and absent:
            found.append(f"{name} is not reported by: {', '.join(absent)}.")
    found += _saturated(claim, measurements)
    return found


def _saturated(claim: Claim, measurements: Measurements) -> list[str]:
    """A comparison on a task that everybody or nobody solves says nothing, in either direction."""
    found: list[str] = []
    for name in names_of(measurements, "episodes"):
        if not binary(measurements, name) or len(claim.arms) < 2:
            continue
        values = [v for m in measurements.values() for v in m.episodes.get(name, ())]
        if len(set(values)) == 1:
            rate = "1" if values[0] else "0"
            found.append(
                f"{name} is {rate} in every episode of every arm: this task cannot tell the arms "
                "apart, so a hypothesis of no difference is met by any arm."
            )
    return found
