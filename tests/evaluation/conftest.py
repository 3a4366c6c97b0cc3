"""Makes ``reach_world`` importable here and in the processes that pools and replays spawn."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
