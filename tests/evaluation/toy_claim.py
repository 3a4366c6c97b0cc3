"""A claim whose units take no time. Tests copy this file and steer it by files beside the copy:
``fail-<arm>-<seed>`` raises, ``crash-<arm>-<seed>`` kills the process, ``wait`` makes units wait.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from enactive.evaluation.claims.claim import Claim, Hypothesis, Measurement
from enactive.seeding import numpy_generator

HERE = Path(__file__).parent
ARMS = {"plain": "a rate of 20 %", "better": "a rate of 80 %", "same": "a rate of 20 % again"}
RATES = {"plain": 0.2, "better": 0.8, "same": 0.2}


def claim(quick: bool = False) -> Claim:
    """Three arms, two seeds; quick: one."""

    def measure(arm: str, seed: int, directory: Path, shared: Path) -> Measurement:
        while (HERE / "wait").exists():
            (HERE / "waits").touch()
            time.sleep(0.02)
        if (HERE / f"fail-{arm}-{seed}").exists():
            raise RuntimeError(f"{arm} broke on purpose")
        if (HERE / f"crash-{arm}-{seed}").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        episodes = int((shared / "toy-episodes").read_text())
        found = numpy_generator(seed, arm).random(episodes) < RATES[arm]
        (directory / "policy.safetensors").write_bytes(b"0" * 100)
        (directory / "journal.sqlite").write_bytes(b"1")
        return Measurement(
            outcomes={"success": found.mean(), "threads": int(os.environ["OMP_NUM_THREADS"])},
            episodes={"success": found},
            cost={"train_steps": 100 if arm == "better" else 50, "parameters": 10},
        )

    def prepare(shared: Path) -> None:
        with (HERE / "prepared").open("a") as log:
            log.write("once\n")
        (shared / "toy-episodes").write_text("40")

    return Claim(
        system="toy",
        title="A toy",
        statement="The better arm succeeds more often | than the plain one.",
        source="none",
        world="a coin",
        arms=ARMS,
        controls={"luck": "seeds"},
        hypotheses=(
            Hypothesis(
                name="better",
                statement="better beats plain by more than 10 points",
                value=lambda arms: (
                    arms["better"].outcome("success") - arms["plain"].outcome("success")
                ),
                direction="greater",
                threshold=0.1,
                unit="success rate",
                resolution=1 / 40,
            ),
            Hypothesis(
                name="one thread",
                statement="units have one thread",
                value=lambda arms: max(one.outcome("threads") for one in arms.values()),
                direction="less",
                threshold=1,
                exact=True,
            ),
            Hypothesis(
                name="same",
                statement="same is better than plain by 30 points",
                value=lambda arms: (
                    arms["same"].outcome("success") - arms["plain"].outcome("success")
                ),
                direction="greater",
                threshold=0.3,
                primary=False,
            ),
        ),
        seeds=(0,) if quick else (0, 1),
        budget="none",
        measure=measure,
        prepare=prepare,
        not_tried=("anything real",),
        parts={"coin": "numpy.random"},
    )
