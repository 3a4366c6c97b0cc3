"""A report of many episodes: how long it takes to write, how large it is, how fast it opens.

Episodes are real: the random policy in PushT with its picture, and in all 53 tasks of the tabletop
with two, where each task has clips in the report; recorded step by step. The page is opened in
headless Chromium, from a fresh profile each time; what is measured is the page's own clock, from
the beginning of its navigation until everything is loaded and laid out.

    python bench/report.py [--episodes 1000] [--repeats 5]
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from enactive.episodes.journal import Journal
from enactive.episodes.provenance import processor
from enactive.evaluation.evaluate import evaluate
from enactive.evaluation.plan import Rules, evaluation_plan
from enactive.evaluation.progress import progress_bar
from enactive.evaluation.report.write import write_report
from enactive.policies.random_policy import RandomPolicy
from enactive.worlds.pool import WorldPool
from enactive.worlds.pusht import PushT
from enactive.worlds.tabletop.world import Tabletop

RESULTS = Path(__file__).resolve().parent / "results" / "report.json"
WORLDS: tuple[Any, ...] = (PushT.Config(), Tabletop.Config())
PROBE = """<script>addEventListener('load', () => { document.body.getBoundingClientRect();
document.title = 'opened after ' + performance.now() + ' ms'; });</script>"""


def record(directory: Path, world: Any, episodes: int, steps: int) -> int:
    """Run so many episodes, spread over all tasks, and save the evaluation; how many there are."""
    with WorldPool(world, 2) as pool:
        policy = RandomPolicy(pool.spec.accepts)
        tasks = [task.name for task in pool.spec.tasks]
        plan = evaluation_plan(pool.spec, tasks, math.ceil(episodes / len(tasks)))
        with (
            Journal.open(directory / "journal.sqlite") as journal,
            progress_bar("episodes", len(plan)) as listener,
        ):
            found = evaluate(
                pool, policy, plan, rules=Rules(max_steps=steps), journal=journal, listener=listener
            )
    found.save(directory / "evaluation.json")
    return len(plan)


def opened(browser: str, page: Path, directory: Path) -> float:
    """Milliseconds until the page is loaded and laid out."""
    copy = directory / "probe.html"
    copy.write_text(page.read_text().replace("</head>", PROBE + "</head>", 1))
    with tempfile.TemporaryDirectory() as profile:
        done = subprocess.run(
            [
                browser, "--headless", "--no-sandbox", "--disable-gpu", "--mute-audio",
                f"--user-data-dir={profile}", "--window-size=1280,900", "--timeout=60000",
                "--dump-dom", copy.as_uri(),
            ],
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
    said = re.search(r"opened after ([\d.]+) ms", done.stdout)
    if said is None:
        raise RuntimeError(f"the page did not open: {done.stderr[-500:]}")
    return float(said.group(1))


def measured(browser: str, world: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    """The report of one world."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        episodes = record(directory, world, arguments.episodes, arguments.steps)
        start = time.perf_counter()
        page = write_report(directory)
        written = time.perf_counter() - start
        times = [opened(browser, page, directory) for _ in range(arguments.repeats)]
        return {
            "world": world.build().spec.name,
            "episodes": episodes,
            "write_seconds": round(written, 2),
            "megabytes": round(page.stat().st_size / 1e6, 2),
            "opens_in_ms": {"median": round(statistics.median(times)), "worst": round(max(times))},
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=50, help="of each episode, at most")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if browser is None:
        raise SystemExit("Chromium is needed: apt-get install chromium")
    pages = [measured(browser, world, arguments) for world in WORLDS]
    version = subprocess.run([browser, "--version"], capture_output=True, text=True, check=True)
    result = {
        "command": f"python bench/report.py --episodes {arguments.episodes}",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "steps_of_an_episode": arguments.steps,
        "repeats": arguments.repeats,
        "reports": pages,
        "browser": version.stdout.strip(),
        "machine": {"cores": os.cpu_count(), "processor": processor()},
    }
    print(json.dumps(result, indent=1))
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
