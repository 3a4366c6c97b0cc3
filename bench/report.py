"""A report of many episodes: how long it takes to write, how large it is, how fast it opens.

Episodes are real: the random policy in PushT with its picture, recorded step by step. The page is
opened in headless Chromium, from a fresh profile each time; what is measured is the page's own
clock, from the beginning of its navigation until everything is loaded and laid out.

    python bench/report.py [--episodes 1000] [--repeats 5]
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from enactive.episodes.journal import Journal
from enactive.evaluation.evaluate import evaluate
from enactive.evaluation.plan import Rules, evaluation_plan
from enactive.evaluation.progress import progress_bar
from enactive.evaluation.report.write import write_report
from enactive.policies.random_policy import RandomPolicy
from enactive.worlds.pool import WorldPool
from enactive.worlds.pusht import PushT

RESULTS = Path(__file__).resolve().parent / "results" / "report.json"
PROBE = """<script>addEventListener('load', () => { document.body.getBoundingClientRect();
document.title = 'opened after ' + performance.now() + ' ms'; });</script>"""


def record(directory: Path, episodes: int, steps: int) -> None:
    """Run the episodes and save the evaluation."""
    with WorldPool(PushT.Config(), 2) as pool:
        policy = RandomPolicy(pool.spec.accepts)
        plan = evaluation_plan(pool.spec, ["push-t"], episodes)
        with (
            Journal.open(directory / "journal.sqlite") as journal,
            progress_bar("episodes", episodes) as listener,
        ):
            found = evaluate(
                pool, policy, plan, rules=Rules(max_steps=steps), journal=journal, listener=listener
            )
    found.save(directory / "evaluation.json")


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=50, help="of each episode, at most")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if browser is None:
        raise SystemExit("Chromium is needed: apt-get install chromium")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        record(directory, arguments.episodes, arguments.steps)
        start = time.perf_counter()
        page = write_report(directory)
        written = time.perf_counter() - start
        times = [opened(browser, page, directory) for _ in range(arguments.repeats)]
        size = page.stat().st_size
    version = subprocess.run([browser, "--version"], capture_output=True, text=True, check=True)
    result = {
        "command": f"python bench/report.py --episodes {arguments.episodes}",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "episodes": arguments.episodes,
        "steps_of_an_episode": arguments.steps,
        "write_seconds": round(written, 2),
        "megabytes": round(size / 1e6, 2),
        "opens_in_ms": {"median": round(statistics.median(times)), "worst": round(max(times))},
        "repeats": arguments.repeats,
        "browser": version.stdout.strip(),
        "machine": {"cores": os.cpu_count(), "processor": platform.processor()},
    }
    print(json.dumps(result, indent=1))
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
