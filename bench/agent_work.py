"""The work that every runtime is given in ``agent_overhead.py``: so many calls of a tool in turn,
each taking and returning a text of so many bytes that neither compresses nor repeats.

The proposer is a list; the tool notes the time at which it is called, so an action's overhead is
the time from one call to the next, in any runtime.
"""

from __future__ import annotations

import hashlib
import json
import statistics
import time
from pathlib import Path


def text(number: int, size: int, side: str) -> str:
    """A text of ``size`` characters that is different for every call and side."""
    block = hashlib.shake_256(f"{side}{number}".encode()).hexdigest((size + 1) // 2)
    return block[:size]


class Work:
    """Texts in, texts out, and when."""

    def __init__(self, steps: int, size: int) -> None:
        self.steps, self.size = steps, size
        self.inputs = [text(i, size, "in") for i in range(steps)]
        self.outputs = {given: text(i, size, "out") for i, given in enumerate(self.inputs)}
        self.times: list[float] = []

    def tool(self, content: str) -> str:
        """What the tool does."""
        self.times.append(time.perf_counter())
        return self.outputs[content]

    def figures(self, files: list[Path]) -> dict[str, float]:
        """Microseconds per action, and bytes on disk per byte of payload."""
        assert len(self.times) == self.steps, (len(self.times), self.steps)
        gaps = [1e6 * (b - a) for a, b in zip(self.times, self.times[1:], strict=False)]
        gaps.sort()
        stored = sum(file.stat().st_size for file in files if file.exists())
        return {
            "median_us": round(statistics.median(gaps), 1),
            "p95_us": round(gaps[int(0.95 * len(gaps))], 1),
            "bytes": stored,
            "bytes_per_payload_byte": round(stored / (2 * self.steps * self.size), 3),
        }


def say(name: str, figures: dict[str, float]) -> None:
    """One line for the script that compares."""
    print(json.dumps({"name": name, **figures}), flush=True)
