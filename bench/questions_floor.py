"""What the questions' floors are: the majority answer, and words without pictures.

    python bench/questions_floor.py --training 100 --episodes 100

Training questions have seeds from 0 on, those that are scored evaluation seeds. The interval is
Wilson's, of the answers from words alone.
"""

from __future__ import annotations

import argparse
from collections import Counter

from enactive.evaluation.plan import FIRST_EVALUATION_SEED
from enactive.evaluation.statistics import wilson
from enactive.policies.text_only import TextOnlyPolicy
from enactive.worlds.questions.catalogue import KINDS, make_item


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--training", type=int, default=100, help="questions of each kind")
    parser.add_argument("--episodes", type=int, default=100, help="questions of each kind")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS))
    arguments = parser.parse_args()
    print("| kind | chance | majority answer | words alone | 95 % | repeated |")
    print("|---|---|---|---|---|---|")
    sums = {2: [0, 0], 4: [0, 0]}
    for name in arguments.kinds:
        training = [make_item(name, seed) for seed in range(arguments.training)]
        scored = [make_item(name, FIRST_EVALUATION_SEED + i) for i in range(arguments.episodes)]
        words = Counter(item.right for item in training)
        policy = TextOnlyPolicy.fit(
            [item.text for item in training], [item.answer for item in training]
        )
        majority = text = 0
        for item in scored:
            common = max(item.options, key=lambda option: words[option])
            majority += common == item.right
            given = policy.scores(item.text)
            text += given.index(max(given)) == item.answer
        seen = {(item.text, item.states) for item in training}
        repeated = sum((item.text, item.states) in seen for item in scored)
        interval = wilson(text, len(scored))
        options = KINDS[name].options
        sums[options][0] += text
        sums[options][1] += len(scored)
        print(
            f"| `{name}` | {1 / options:.2f} | {majority / len(scored):.2f} "
            f"| {text / len(scored):.2f} | {interval.low:.2f} to {interval.high:.2f} "
            f"| {repeated} |",
            flush=True,
        )
    for options, (right, count) in sums.items():
        if count:
            interval = wilson(right, count)
            print(
                f"{options} options, all kinds: words alone {right / count:.3f} "
                f"({interval.low:.3f} to {interval.high:.3f}, {count} questions)"
            )


if __name__ == "__main__":
    main()
