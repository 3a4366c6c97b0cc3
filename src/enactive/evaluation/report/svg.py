"""A few charts as inline SVG: no script, sharp at any size, readable on paper.

Colours are CSS variables of the page, so that a chart follows its theme. Every mark has a
``<title>``, which browsers show as a tooltip and screen readers read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 720
"""Width of a full chart in its own units; the page scales it."""
KINDS = ("a", "b", "c", "d", "faint")
"""Colours of a scatter's lines, in turn."""
Point = tuple[float, float, str]
"""x, y and what it is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line of an interval chart."""

    label: str
    value: float
    """In [0, 1]."""
    low: float
    high: float
    note: str = ""
    """Printed at the right, e.g. ``"19 / 20"``."""
    strong: bool = False
    """Whether it is a total rather than one part."""


def intervals(rows: Sequence[Row], label_width: int = 190, limit: float = 1.0) -> str:
    """Dots with whiskers on a scale from 0 to ``limit`` (1 is 100 %), one row each."""
    left, right, line, top = label_width, WIDTH - 120, 30, 26
    height = top + line * len(rows) + 8

    def x(value: float) -> float:
        return left + (right - left) * min(value, limit) / limit

    parts: list[str] = []
    for tick in (number / 4 for number in range(int(4 * limit) + 1)):
        parts.append(_line(x(tick), top - 6, x(tick), height - 8, "grid"))
        parts.append(_text(x(tick), 14, f"{tick:.0%}", "tick", "middle"))
    for number, row in enumerate(rows):
        y = top + line * (number + 0.5)
        kind = "total" if row.strong else "part"
        if row.strong and number:
            parts.append(_line(0, y - line / 2, WIDTH, y - line / 2, "rule"))
        tip = f"{row.label}: {row.value:.1%}, 95 % interval {row.low:.1%} to {row.high:.1%}"
        parts.append(
            f"<g><title>{escape(tip)}</title>"
            + _line(x(row.low), y, x(row.high), y, f"whisker {kind}")
            + _line(x(row.low), y - 5, x(row.low), y + 5, f"whisker {kind}")
            + _line(x(row.high), y - 5, x(row.high), y + 5, f"whisker {kind}")
            + f'<circle cx="{x(row.value):.1f}" cy="{y:.1f}" r="5.5" class="dot {kind}"/></g>'
        )
        parts.append(_text(left - 14, y + 4, row.label, f"label {kind}", "end"))
        parts.append(_text(WIDTH, y + 4, row.note, f"value {kind}", "end"))
    return _svg(WIDTH, height, parts, "success rates with intervals")


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """One line of a line chart."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    kind: str = "a"
    """Colour: ``a``, ``b``, ``c``, ``d``, or ``faint``."""


def lines(
    series: Sequence[Series],
    *,
    title: str,
    unit: str = "",
    width: int = WIDTH,
    height: int = 220,
    logarithmic: bool = False,
    marks: Sequence[float] = (),
    legend: bool = True,
) -> str:
    """Lines over a shared horizontal axis.

    Args:
        logarithmic: vertical axis in powers of ten; values that are not positive are left out.
        marks: horizontal positions of thin vertical lines.
    """
    drawn = [_clean(one, logarithmic) for one in series]
    drawn = [one for one in drawn if one.x]
    if not drawn:
        return ""
    left, right, top, bottom = 58, width - 24, 30, height - 26
    ys = [value for one in drawn for value in one.y]
    xs = [value for one in drawn for value in one.x]
    low, high = _padded(min(ys), max(ys))
    first, last = min(xs), max(xs) if max(xs) > min(xs) else min(xs) + 1
    px, py = _scale(first, last, left, right), _scale(low, high, bottom, top)
    parts = [_text(0, 14, title, "title")]
    parts += _value_axis(low, high, py, (left, right), logarithmic)
    for tick in _ticks(first, last, 6):
        parts.append(_text(px(tick), height - 8, f"{tick:g}", "tick", "middle"))
    if unit:
        parts.append(_text(width, 14, unit, "tick", "end"))
    parts += [_line(px(mark), top, px(mark), bottom, "mark") for mark in marks]
    for one in drawn:
        points = " ".join(f"{px(a):.1f},{py(b):.1f}" for a, b in zip(one.x, one.y, strict=True))
        parts.append(
            f'<polyline points="{points}" class="series {one.kind}">'
            f"<title>{escape(one.name)}</title></polyline>"
        )
    named = list(dict.fromkeys((one.name, one.kind) for one in drawn if one.name))
    if legend and len(named) > 1:
        place = left + 8 * len(title)
        for name, kind in named:
            parts.append(_line(place, 10, place + 16, 10, f"series {kind}"))
            parts.append(_text(place + 21, 14, name, "tick"))
            place += 34 + 7 * len(name)
    return _svg(width, height, parts, title)


def dots(
    rows: Sequence[tuple[str, Sequence[tuple[float, str, str]]]], *, unit: str, limit: float
) -> str:
    """One row of dots per label: ``(label, [(value, kind, tooltip), ...])``.

    Args:
        unit: of the values.
        limit: right end of the scale.
    """
    left, right, line, top = 190, WIDTH - 16, 30, 24
    height = top + line * len(rows) + 22

    def x(value: float) -> float:
        return left + (right - left) * min(value, limit) / limit

    parts: list[str] = []
    for tick in _ticks(0, limit, 6):
        parts.append(_line(x(tick), top - 6, x(tick), height - 22, "grid"))
        parts.append(_text(x(tick), height - 6, f"{tick:g}", "tick", "middle"))
    parts.append(_text(right, 12, unit, "tick", "end"))
    for number, (label, values) in enumerate(rows):
        y = top + line * (number + 0.5)
        parts.append(_text(left - 14, y + 4, label, "label part", "end"))
        for place, (value, kind, tip) in enumerate(values):
            offset = (place % 5 - 2) * 2.6  # spread, so that equal values stay visible
            parts.append(
                f'<circle cx="{x(value):.1f}" cy="{y + offset:.1f}" r="3.6" class="spot {kind}">'
                f"<title>{escape(tip)}</title></circle>"
            )
    return _svg(WIDTH, height, parts, f"per episode, {unit}")


def scatter(series: Mapping[str, Sequence[Point]], *, title: str, logarithmic: bool = False) -> str:
    """Points over a logarithmic horizontal axis, each series joined by a line and named.

    Args:
        series: name to its points; a series without a name has its points named instead.
        title: above.
        logarithmic: whether the vertical axis is, too.
    """
    width, height = WIDTH, 380
    left, right, top, bottom = 58, width - 24, 30, height - 26
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
    px, py = _scale(first, last, left, right), _scale(low, high, bottom, top)
    parts = [_text(0, 14, title, "title")]
    parts += _value_axis(low, high, py, (left, right), logarithmic)
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
    return _svg(width, height, parts, title)


def _clean(series: Series, logarithmic: bool) -> Series:
    pairs = [
        (float(a), math.log10(b) if logarithmic else float(b))
        for a, b in zip(series.x, series.y, strict=True)
        if math.isfinite(b) and (b > 0 or not logarithmic)
    ]
    return Series(
        name=series.name, x=[a for a, _ in pairs], y=[b for _, b in pairs], kind=series.kind
    )


def _padded(low: float, high: float) -> tuple[float, float]:
    if high <= low:
        pad = abs(low) * 0.1 or 1.0
        return low - pad, high + pad
    pad = (high - low) * 0.05
    return low - pad, high + pad


def _ticks(low: float, high: float, count: int) -> list[float]:
    """Round numbers inside [low, high], about ``count`` of them."""
    raw = (high - low) / count
    power = 10 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw)
    first = math.ceil(low / step - 1e-9)
    ticks: list[float] = []
    while (tick := first * step) <= high + 1e-9 * step:
        ticks.append(round(tick, 12))
        first += 1
    return ticks


def _decades(low: float, high: float) -> list[float]:
    """Logarithms of round numbers inside [low, high]; fewer where many fit."""
    powers = range(math.floor(low), math.ceil(high) + 1)
    for digits in ((1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        found = [power + math.log10(digit) for power in powers for digit in digits]
        found = [tick for tick in found if low <= tick <= high]
        if len(found) <= 6:
            return found
    return found[:: math.ceil(len(found) / 6)]


def _beside(x: float, y: float, text: str, taken: list[tuple[float, float]]) -> str:
    """``text`` beside a point, moved down until it covers no other text of the same side."""
    begins = x < 0.6 * WIDTH
    place = y + 4
    while any(abs(place - other) < 12 and abs(x - there) < 200 for there, other in taken):
        place += 12
    taken.append((x, place))
    return _text(x + 8 if begins else x - 8, place, text, "tick", "start" if begins else "end")


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """Places values: ``low`` at ``start``, ``high`` at ``end``, pixels."""
    return lambda value: start + (end - start) * (value - low) / (high - low)


def _value_axis(
    low: float,
    high: float,
    py: Callable[[float], float],
    ends: tuple[float, float],
    logarithmic: bool,
) -> list[str]:
    """Horizontal grid lines between ``ends``, with their values; ``py`` places a value."""
    parts: list[str] = []
    for tick in _decades(low, high) if logarithmic else _ticks(low, high, 4):
        shown = 10**tick if logarithmic else tick
        parts.append(_line(ends[0], py(tick), ends[1], py(tick), "grid"))
        parts.append(_text(ends[0] - 6, py(tick) + 4, f"{shown:.3g}", "tick", "end"))
    return parts


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def _svg(width: float, height: float, parts: Sequence[str], label: str) -> str:
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(label)}" '
        f'style="max-width:{width:.0f}px">{"".join(parts)}</svg>'
    )
