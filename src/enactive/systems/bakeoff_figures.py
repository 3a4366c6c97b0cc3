"""Pictures of the bake-off: scores against passes, reconstruction errors against bits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from enactive.evaluation.claims.claim import Figure, Measurement
from enactive.evaluation.report.svg import Point, scatter
from enactive.systems.bakeoff import ALONE, ARMS, CODED, SETTINGS, VARIANTS, varied

Found = Mapping[tuple[str, int], Measurement]


def figures(found: Found) -> list[Figure]:
    """All of them, of the units that succeeded."""
    drawn: list[Figure] = []
    for setting in SETTINGS:
        points = scores(found, setting.name)
        if points:
            drawn.append(
                Figure(
                    title=f"Score and passes, {setting.name}",
                    svg=scatter(
                        {"": points}, title=f"{setting.outcome} against head passes per chunk"
                    ),
                    caption="Means over seeds. To the left: fewer passes; up: better. The number "
                    "of passes is on a logarithmic scale.",
                )
            )
        series = errors(found, setting.name)
        if series:
            drawn.append(
                Figure(
                    title=f"Reconstruction and bits, {setting.name}",
                    svg=scatter(
                        series, title="held-out MSE against bits per chunk", logarithmic=True
                    ),
                    caption="Mean squared error of normalised, held-out actions after encoding and "
                    "decoding, means over seeds; both scales are logarithmic. Down and to the left "
                    "is better.",
                )
            )
    return drawn


def scores(found: Found, setting: str) -> list[Point]:
    """Passes and score of every policy."""
    points: list[Point] = []
    for arm in ARMS:
        units = [unit for (name, _), unit in found.items() if name == arm]
        passes = [unit.cost.get(f"{setting}/head_passes", 0.0) for unit in units]
        if units and np.mean(passes) > 0:
            score = np.mean([unit.outcomes[setting] for unit in units])
            points.append((float(np.mean(passes)), float(score), arm))
    return points


def errors(found: Found, setting: str) -> dict[str, list[Point]]:
    """Bits and error of every tokenizer, by its name: alone, and as it is in the policies."""
    values: dict[str, dict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for (arm, _), unit in found.items():
        if arm == ALONE:
            for name, configs in VARIANTS.items():
                pairs = zip(
                    configs,
                    unit.episodes[f"{setting}/{name} bits"],
                    unit.episodes[f"{setting}/{name} mse"],
                    strict=True,
                )
                for config, bits, mse in pairs:
                    values[name][f"{name}, {varied(config)}"].append((bits, mse))
        elif arm in CODED:
            name = ARMS[arm][1]
            assert name is not None
            pair = unit.outcomes[f"{setting}/bits"], unit.outcomes[f"{setting}/mse"]
            values[name][f"{name}, as in the policies"].append(pair)
    series: dict[str, list[Point]] = {}
    for name, groups in values.items():
        means = [(*np.mean(pairs, axis=0).tolist(), label) for label, pairs in groups.items()]
        series[name] = sorted((bits, mse, label) for bits, mse, label in means)
    return series
