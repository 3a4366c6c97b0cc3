"""Pictures of a verdict: hypotheses against their thresholds, and every seed of every arm."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from importlib.resources import files

from enactive.evaluation.claims.verdict import HypothesisVerdict, Ruling, shown
from enactive.evaluation.report.svg import WIDTH, _line, _padded, _svg, _text, _ticks
from enactive.evaluation.statistics import Interval

COLOURS = {
    Ruling.SUPPORTED: "var(--good)",
    Ruling.NOT_SUPPORTED: "var(--bad)",
    Ruling.INCONCLUSIVE: "var(--soft)",
}

LONGEST = 34
"""Letters of an arm's name that fit beside its row."""


def forest(verdicts: Sequence[HypothesisVerdict]) -> str:
    """One row per hypothesis, each on a scale of its own: seeds, interval, and threshold.

    The shaded side is the one that the hypothesis says the value lies on.
    """
    left, right, row, top = 12, WIDTH - 12, 92, 4
    parts: list[str] = []
    for number, verdict in enumerate(verdicts):
        parts += _forest_row(verdict, left, right, top + row * number, row, number > 0)
    return _svg(WIDTH, top + row * len(verdicts), parts, "hypotheses and their thresholds")


def _forest_row(
    verdict: HypothesisVerdict, left: float, right: float, y: float, row: float, rule: bool
) -> list[str]:
    hypothesis, interval = verdict.hypothesis, verdict.interval
    parts = [_line(0, y, WIDTH, y, "grid")] if rule else []
    colour = COLOURS[verdict.ruling]
    kind = "total" if hypothesis.primary else "part"
    title = hypothesis.name if hypothesis.primary else f"{hypothesis.name} (secondary)"
    parts.append(
        f'<text x="{right:.1f}" y="{y + 18:.1f}" text-anchor="end" style="fill:{colour};'
        f'font-weight:700">{escape(verdict.ruling)}</text>'
    )
    finite = [value for value in verdict.values.values() if math.isfinite(value)]
    places = [hypothesis.threshold, *finite]
    if interval is not None:
        places += [interval.low, interval.high]
    low, high = _padded(min(places), max(places))

    def x(value: float) -> float:
        return left + (right - left) * (value - low) / (high - low)

    axis, edge = y + 48, x(hypothesis.threshold)
    begin, end = (edge, right) if hypothesis.direction == "greater" else (left, edge)
    parts.append(
        f'<rect x="{begin:.1f}" y="{y + 28:.1f}" width="{max(0.0, end - begin):.1f}" height="40" '
        f'style="fill:var(--good-ground)"/>'
    )
    for tick in _ticks(low, high, 6):
        parts.append(_line(x(tick), y + 64, x(tick), y + 68, "grid"))
        parts.append(_text(x(tick), y + 82, f"{tick:.4g}", "tick", "middle"))
    sign = (">", "≥") if hypothesis.direction == "greater" else ("<", "≤")
    parts.append(
        f"<g><title>{escape(f'threshold {shown(hypothesis.threshold)} {hypothesis.unit}')}</title>"
        f'<line x1="{edge:.1f}" y1="{y + 26:.1f}" x2="{edge:.1f}" y2="{y + 68:.1f}" '
        f'style="stroke:var(--ink);stroke-width:1.5;stroke-dasharray:4 3"/></g>'
    )
    unit = f" {hypothesis.unit}" if hypothesis.unit else ""
    wanted = f"should be {sign[hypothesis.exact]} {shown(hypothesis.threshold)}{unit}"
    parts.append(
        f'<text x="{left:.1f}" y="{y + 18:.1f}" class="label {kind}">{escape(title)}'
        f'<tspan dx="14" class="tick" style="font-weight:400">{escape(wanted)}</tspan></text>'
    )
    for place, (seed, value) in enumerate(verdict.values.items()):
        if math.isfinite(value):
            tip = f"seed {seed}: {shown(value)}{unit}"
            parts.append(_seed_dot(x(value), axis + _spread(place), tip))
    if interval is not None:
        tip = f"{shown(interval.estimate)}, 95 % [{shown(interval.low)}, {shown(interval.high)}]"
        parts.append(_whisker(x, interval, axis, colour, tip))
    return parts


def arms(
    name: str, table: Mapping[str, tuple[Mapping[int, float], Interval | None]], title: str
) -> str:
    """One row per arm: a dot for every seed, and the mean with its interval over seeds.

    Args:
        name: of what is drawn, for the axis.
        table: arm -> (seed -> value, interval of the mean).
    """
    places: list[float] = []
    for values, interval in table.values():
        places += [value for value in values.values() if math.isfinite(value)]
        if interval is not None:
            places += [interval.low, interval.high]
    if not places:
        return ""
    low, high = _padded(min(places), max(places))
    label = min(260, 7.5 * max(len(arm) for arm in table) + 24)
    left, right, line, top = label, WIDTH - 96, 32, 30
    height = top + line * len(table) + 24

    def x(value: float) -> float:
        return left + (right - left) * (value - low) / (high - low)

    parts = [_text(0, 14, title, "title")]
    for tick in _ticks(low, high, 6):
        parts.append(_line(x(tick), top - 4, x(tick), height - 22, "grid"))
        parts.append(_text(x(tick), height - 6, f"{tick:.4g}", "tick", "middle"))
    for number, (arm, (values, interval)) in enumerate(table.items()):
        y = top + line * (number + 0.5)
        named = arm if len(arm) <= LONGEST else arm[: LONGEST - 1] + "…"
        parts.append(_text(left - 12, y + 4, named, "label part", "end"))
        for place, (seed, value) in enumerate(values.items()):
            if math.isfinite(value):
                tip = f"{arm}, seed {seed}: {name} {shown(value)}"
                parts.append(_seed_dot(x(value), y + _spread(place), tip))
        mean = sum(values.values()) / len(values)
        if interval is not None:
            tip = f"{arm}: {shown(mean)}, 95 % [{shown(interval.low)}, {shown(interval.high)}]"
            parts.append(_whisker(x, interval, y, "var(--a)", tip))
        parts.append(_text(WIDTH, y + 4, shown(mean), "value part", "end"))
    return _svg(WIDTH, height, parts, title)


def sentence(text: str) -> str:
    """A line of text where a picture should be."""
    return _svg(WIDTH, 24, [_text(0, 16, text, "tick")], text)


def standalone(svg: str) -> str:
    """An inline chart as an SVG file of its own, with the page's colours on white."""
    sheet = files("enactive.evaluation.report").joinpath("style.css").read_text(encoding="utf-8")
    root = re.search(r":root \{(.*?)\}", sheet, re.DOTALL)
    rules = [line for line in sheet.splitlines() if line.startswith("svg")]
    variables = root.group(1).strip() if root else ""
    style = f"svg {{ {variables} background: #fff; }}\n" + "\n".join(rules)
    box = re.search(r'viewBox="0 0 (\d+) (\d+)"', svg)
    size = f' width="{box.group(1)}" height="{box.group(2)}"' if box else ""
    head = "" if "xmlns=" in svg.partition(">")[0] else ' xmlns="http://www.w3.org/2000/svg"'
    return re.sub(
        r"<svg([^>]*)>",
        lambda found: f"<svg{head}{size}{found.group(1)}><style>{style}</style>",
        svg,
        count=1,
    )


def _spread(place: int) -> float:
    return (place % 5 - 2) * 2.6  # so that equal values stay visible


def _seed_dot(x: float, y: float, tip: str) -> str:
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.4" '
        f'style="fill:none;stroke:var(--soft);stroke-width:1.3"><title>{escape(tip)}</title></circle>'
    )


def _whisker(
    x: Callable[[float], float], interval: Interval, y: float, colour: str, tip: str
) -> str:
    low, middle, high = (x(value) for value in (interval.low, interval.estimate, interval.high))
    bars = "".join(
        f'<line x1="{a:.1f}" y1="{b:.1f}" x2="{c:.1f}" y2="{d:.1f}"/>'
        for a, b, c, d in ((low, y, high, y), (low, y - 5, low, y + 5), (high, y - 5, high, y + 5))
    )
    return (
        f'<g style="stroke:{colour};stroke-width:2"><title>{escape(tip)}</title>{bars}'
        f'<circle cx="{middle:.1f}" cy="{y:.1f}" r="5" style="fill:{colour};stroke:none"/></g>'
    )
