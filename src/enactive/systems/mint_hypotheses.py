"""What MINT's claim says of its arms' measurements."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from enactive.evaluation.claims.claim import Hypothesis, Measurement
from enactive.systems.mint_one_shot import TESTED

TASKS = ("drawer-open", "door-open", "push")
"""The tasks of all arms but the last, whose labels the first id should tell."""

ONE_SHOT = "one demonstration"
"""The arm of :mod:`enactive.systems.mint_one_shot`."""

Arms = Mapping[str, Measurement]


def difference(one: str, other: str, outcome: str = "success") -> Callable[[Arms], float]:
    """An outcome of one arm minus that of another."""
    return lambda arms: arms[one].outcome(outcome) - arms[other].outcome(outcome)


def share_of_passes(arms: Arms) -> float:
    """Passes of the head per decision, scale by scale over id by id."""
    return arms["next scale"].cost["head_passes"] / arms["id by id"].cost["head_passes"]


def tokenizers_apart(arms: Arms) -> float:
    """Difference of the first two arms' fingerprints; 0 if they have the same tokenizer."""
    return abs(difference("next scale", "id by id", "fingerprint")(arms))


def time_saved(arms: Arms) -> float:
    """Milliseconds per decision, id by id minus scale by scale."""
    return arms["id by id"].cost["milliseconds"] - arms["next scale"].cost["milliseconds"]


def interaction(arms: Arms) -> float:
    """What the spectral loss gains at every scale minus what it gains at the last one only."""
    every = difference("next scale", "every scale, time")(arms)
    return every - difference("final, spectral", "final, time")(arms)


def of_variants(one: str, other: str) -> Callable[[Arms], float]:
    """Success of one way to use the demonstration minus that of another."""

    def value(arms: Arms) -> float:
        arm = arms[ONE_SHOT]
        return arm.outcome(f"success, {one}") - arm.outcome(f"success, {other}")

    return value


def hypotheses(episodes: int) -> tuple[Hypothesis, ...]:
    """What is claimed, with ``episodes`` of each task; the verdict rests on the primary ones."""
    step = 1 / (episodes * len(TASKS))
    one_shot = 1 / (episodes * len(TESTED))
    return (
        Hypothesis(
            name="as good in fewer passes",
            statement="Success scale by scale is at most 10 points below that id by id",
            value=difference("next scale", "id by id"), direction="greater", threshold=-0.1,
            unit="success rate", resolution=step,
        ),
        Hypothesis(
            name="three passes of seven",
            statement="Passes of the head per decision are 3/7 of those id by id",
            value=share_of_passes, direction="less", threshold=3 / 7 + 1e-9, exact=True,
        ),
        Hypothesis(
            name="nested scales help",
            statement="Scales 1, 2, 4 succeed more often than a single id",
            value=difference("next scale", "scale 1"), direction="greater", threshold=0.0,
            unit="success rate", resolution=step,
        ),
        Hypothesis(
            name="intent beats replay",
            statement="Told by one demonstration's intent, more succeeds than by replaying it",
            value=of_variants("intent", "replay"), direction="greater", threshold=0.0,
            unit="success rate", resolution=one_shot,
        ),
        Hypothesis(
            name="intent beats fine-tuning",
            statement="Told by one demonstration's intent, more succeeds than by tuning on it",
            value=of_variants("intent", "fine-tuned"), direction="greater", threshold=0.0,
            unit="success rate", resolution=one_shot,
        ),
        Hypothesis(
            name="intent tells something",
            statement="Told by the intent, more succeeds than with nothing told",
            value=of_variants("intent", "untold"), direction="greater", threshold=0.0,
            unit="success rate", resolution=one_shot, primary=False,
        ),
        Hypothesis(
            name="another's intent misleads",
            statement="The other task's demonstration makes less succeed than nothing told",
            value=of_variants("other intent", "untold"), direction="less", threshold=0.0,
            unit="success rate", resolution=one_shot, primary=False,
        ),
        Hypothesis(
            name="the same tokenizer",
            statement="The first two arms have the same tokenizer to the last bit",
            value=tokenizers_apart, direction="less", threshold=0.0, exact=True, primary=False,
        ),
        Hypothesis(
            name="the middle scale helps",
            statement="Scales 1, 2, 4 succeed more often than 1, 4",
            value=difference("next scale", "scales 1, 4"), direction="greater", threshold=0.0,
            unit="success rate", resolution=step, primary=False,
        ),
        Hypothesis(
            name="two scales beat one",
            statement="Scales 1, 4 succeed more often than a single id",
            value=difference("scales 1, 4", "scale 1"), direction="greater", threshold=0.0,
            unit="success rate", resolution=step, primary=False,
        ),
        Hypothesis(
            name="the first id tells the skill",
            statement="Trained at every scale and spectrally, the first id tells more of the task",
            value=difference("next scale", "final, time", "information"), direction="greater",
            threshold=0.0, unit="bits", resolution=0.01, primary=False,
        ),
        Hypothesis(
            name="the loss helps the policy",
            statement="Policies over the spectral, scale-wise tokenizer succeed more often",
            value=difference("next scale", "final, time"), direction="greater", threshold=0.0,
            unit="success rate", resolution=step, primary=False,
        ),
        Hypothesis(
            name="every scale, for the spectral loss",
            statement="With the spectral loss, comparing every scale is better than the last only",
            value=difference("next scale", "final, spectral"), direction="greater", threshold=0.0,
            unit="success rate", resolution=step, primary=False,
        ),
        Hypothesis(
            name="spectral, at every scale",
            statement="Comparing every scale, the spectral loss is better than the temporal one",
            value=difference("next scale", "every scale, time"), direction="greater",
            threshold=0.0, unit="success rate", resolution=step, primary=False,
        ),
        Hypothesis(
            name="the two go together",
            statement="The spectral loss gains more at every scale than at the last only",
            value=interaction, direction="greater", threshold=0.0, unit="success rate",
            resolution=step, primary=False,
        ),
        Hypothesis(
            name="time is saved",
            statement="A decision takes fewer milliseconds scale by scale",
            value=time_saved, direction="greater", threshold=0.0, unit="ms", resolution=0.01,
            primary=False,
        ),
    )  # fmt: skip
