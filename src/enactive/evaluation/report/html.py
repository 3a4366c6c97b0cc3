"""Small pieces of HTML that sections are made of."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from enactive.episodes.episode import Episode
from enactive.evaluation.report import media
from enactive.evaluation.report.analysis import furthest
from enactive.evaluation.report.contents import Contents
from enactive.evaluation.results import EpisodeResult, Rate
from enactive.evaluation.statistics import Interval


def section(name: str, title: str, body: str) -> str:
    """A section that the navigation can point at."""
    return f'<section id="{name}"><h2>{escape(title)}</h2>{body}</section>'


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, kind: str = "", numbers: str = ""
) -> str:
    """A table of cells that are HTML already.

    Args:
        numbers: one letter per column, ``n`` for right-aligned numbers.
    """
    align = numbers.ljust(len(head))

    def cell(tag: str, place: int, text: str) -> str:
        return f"<{tag}{' class=n' if align[place] == 'n' else ''}>{text}</{tag}>"

    top = "".join(cell("th", place, escape(text)) for place, text in enumerate(head))
    top = f"<thead><tr>{top}</tr></thead>" if any(head) else ""
    body = "".join(
        "<tr>" + "".join(cell("td", place, text) for place, text in enumerate(row)) + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table class="{kind}">{top}<tbody>{body}</tbody></table></div>'


def badge(good: bool, yes: str = "success", no: str = "failure") -> str:
    """A coloured word."""
    return f'<span class="badge {"good" if good else "bad"}">{yes if good else no}</span>'


def percent(interval: Interval) -> str:
    """``[72 %, 91 %]`` of an interval."""
    return f"[{interval.low:.1%}, {interval.high:.1%}]"


def fraction(rate: Rate) -> str:
    """``19 / 20``."""
    return f"{rate.successes} / {rate.episodes}"


def figure(
    result: EpisodeResult,
    recording: Episode | None,
    rate_hz: float,
    *,
    strip: bool = False,
    caption: str = "",
    outcome: str = "",
) -> str:
    """An episode as a looping clip of all its cameras, with what it was told and what came out.

    Args:
        rate_hz: control steps per second of world time.
        strip: add six moments of the first camera.
        caption: HTML in place of task and outcome.
        outcome: text in place of how far a failed episode got.
    """
    shown = caption or f"<b>{escape(result.task)}</b> {badge(result.success)}"
    words = f"told <q>{escape(result.instruction)}</q>"
    facts = f"{result.steps} steps, seed {result.seed}"
    if outcome:
        facts += f", {escape(outcome)}"
    elif not result.success:
        facts += f", got as far as: {escape(furthest(result))}"
    picture, speed = '<p class="note">no pictures are recorded</p>', ""
    if recording is not None and recording.images:
        whole = media.side_by_side(recording.images)
        frames, stride = media.thinned(whole)
        speed = f", {stride * media.CLIP_RATE / rate_hz:.2g}&times; speed"
        label = escape(f"{result.task}, {'success' if result.success else 'failure'}", quote=True)
        picture = (
            f'<video muted loop playsinline preload="metadata" aria-label="{label}" '
            f'width="{frames.shape[2]}" height="{frames.shape[1]}" '
            f'poster="{media.data_url(media.still(frames[-1]), "image/webp")}" '
            f'src="{media.data_url(media.clip(frames), "video/mp4")}"></video>'
        )
        if strip:
            first = next(iter(recording.images.values()))
            picture += (
                f'<img class="strip" alt="{label}: six moments" '
                f'src="{media.data_url(media.filmstrip(first), "image/webp")}">'
            )
    return (
        f"<figure>{picture}<figcaption>{shown}<br>{words}<br>"
        f'<span class="note">{facts}{speed}</span></figcaption></figure>'
    )


def replay_command(contents: Contents, result: EpisodeResult) -> str:
    """The command that replays one episode."""
    return f"enactive replay {shlex.quote(str(contents.directory))} --episodes {result.id}"


def flat(values: Mapping[str, Any], where: str = "") -> list[tuple[str, str]]:
    """Nested JSON values as dotted names and texts; short lists of scalars stay on one line."""
    rows: list[tuple[str, str]] = []
    for name, value in values.items():
        path = f"{where}.{name}" if where else str(name)
        if isinstance(value, Mapping):
            rows += flat(value, path)  # pyright: ignore[reportUnknownArgumentType]
        elif isinstance(value, list | tuple) and any(
            isinstance(entry, Mapping | list | tuple) for entry in value
        ):
            rows += flat({str(place): entry for place, entry in enumerate(value)}, path)
        elif isinstance(value, list | tuple):
            rows.append((path, ", ".join(str(entry) for entry in value)))
        else:
            rows.append((path, str(value)))
    return rows
