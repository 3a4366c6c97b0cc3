"""kill -9 while recording and compacting: nothing is lost, nothing comes twice.

``bench/kill_recording.py`` does the same with twenty kills and longer episodes.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

BENCH = Path(__file__).parents[2] / "bench" / "kill_recording.py"


def test_killed_recordings_lose_nothing(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("kill_recording", BENCH)
    assert spec is not None and spec.loader is not None
    bench = importlib.util.module_from_spec(spec)
    sys.modules["kill_recording"] = bench
    spec.loader.exec_module(bench)
    tally = bench.trial(tmp_path, kills=2, episodes=4, steps=20, seed=5)
    assert (tally["kills"], tally["lost"], tally["doubled"]) == (2, 0, 0)
