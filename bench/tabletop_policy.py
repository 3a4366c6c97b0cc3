"""Train the tabletop's policy: one camera, three kinds of task, the instruction decides.

    python bench/tabletop_policy.py --out runs/tabletop

Run again, it goes on where it stopped. The policy is in OUT/policy, for ``enactive evaluate``.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path

from enactive.systems.tabletop_policy import Recipe, imitate, shown, trunk


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("--out", type=Path, default=Path("runs/tabletop"))
    parser.add_argument("--demonstrations", type=int, default=Recipe().demonstrations)
    parser.add_argument("--steps", type=int, default=Recipe().steps)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    recipe = Recipe(demonstrations=arguments.demonstrations, steps=arguments.steps)
    shared, seconds = arguments.out / "shared", {}

    def timed(name: str, before: float) -> float:
        seconds[name] = round(time.process_time() - before, 1)
        print(f"{name}: {seconds[name]} s of processor time", flush=True)
        return time.process_time()

    now = time.process_time()
    shown(shared, recipe)
    now = timed("demonstrations", now)
    trunk(shared, recipe)
    now = timed("pointing", now)
    imitate(shared, arguments.out / "policy", recipe, seed=arguments.seed, frozen=True)
    timed("imitation", now)
    record = {"recipe": dataclasses.asdict(recipe), "processor_seconds": seconds}
    (arguments.out / "recipe.json").write_text(json.dumps(record, indent=1) + "\n")
    print(f"{arguments.out / 'policy'}; next: enactive evaluate {arguments.out / 'policy'}")


if __name__ == "__main__":
    main()
