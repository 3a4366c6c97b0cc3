"""Pictures of the bake-off: scores against passes, reconstruction errors against bits."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from enactive.evaluation.claims.claim import Figure, Measurement
from enactive.evaluation.report.svg import WIDTH, _decades, _line, _padded, _svg, _text, _ticks
from enactive.systems.bakeoff import ALONE, ARMS, CODED, SETTINGS, VARIANTS, varied

KINDS = ("a", "b", "c", "d", "faint")
"""Colours of lines, in turn."""
Found = Mapping[tuple[str, int], Measurement]
Point = tuple[float, float, str]
"""x, y and what it is."""


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


def scatter(series: Mapping[str, Sequence[Point]], *, title: str, logarithmic: bool = False) -> str:
    """Points over a logarithmic horizontal axis, each series joined by a line and named.

    Args:
        series: name to its points; a series without a name has its points named instead.
        title: above.
        logarithmic: whether the vertical axis is, too.
    """
    height = 380
    left, right, top, bottom = 58, WIDTH - 24, 30, height - 26
    up = math.log10 if logarithmic else float
    points = {
        name: [
            (math.log10(x), up(y), label) for x, y, label in row if x > 0 and (y > 0 or up is float)
        ]
        for name, row in series.items()
    }
    flat = [point for row in points.values() for point in row]
    if not flat:
        return ""
    first, last = _padded(min(x for x, _, _ in flat), max(x for x, _, _ in flat))
    low, high = _padded(min(y for _, y, _ in flat), max(y for _, y, _ in flat))

    def px(value: float) -> float:
        return left + (right - left) * (value - first) / (last - first)

    def py(value: float) -> float:
        return bottom - (bottom - top) * (value - low) / (high - low)

    parts = [_text(0, 14, title, "title")]
    for tick in _decades(low, high) if logarithmic else _ticks(low, high, 4):
        shown = 10**tick if logarithmic else tick
        parts.append(_line(left, py(tick), right, py(tick), "grid"))
        parts.append(_text(left - 6, py(tick) + 4, f"{shown:.3g}", "tick", "end"))
    for tick in _decades(first, last):
        parts.append(_text(px(tick), height - 8, f"{10**tick:.3g}", "tick", "middle"))
    taken: list[tuple[float, float]] = []
    for number, (name, row) in enumerate(points.items()):
        kind = KINDS[number % len(KINDS)]
        if name and len(row) > 1:
            path = " ".join(f"{px(x):.1f},{py(y):.1f}" for x, y, _ in row)
            parts.append(f'<polyline points="{path}" class="series {kind}"/>')
        for place, (x, y, label) in enumerate(row):
            tip = f"{label}: {10**x:.3g}, {10**y if logarithmic else y:.3g}"
            parts.append(
                f"<g><title>{escape(tip)}</title>"
                f'<circle cx="{px(x):.1f}" cy="{py(y):.1f}" r="4.5" class="dot part"/></g>'
            )
            text = label if not name else name if place == len(row) - 1 else ""
            if text:
                parts.append(_beside(px(x), py(y), text, taken))
    return _svg(WIDTH, height, parts, title)


def _beside(x: float, y: float, text: str, taken: list[tuple[float, float]]) -> str:
    """``text`` beside a point, moved down until it covers no other text of the same side."""
    begins = x < 0.6 * WIDTH
    place = y + 4
    while any(abs(place - other) < 12 and abs(x - there) < 200 for there, other in taken):
        place += 12
    taken.append((x, place))
    return _text(x + 8 if begins else x - 8, place, text, "tick", "start" if begins else "end")
