"""Writing a report: one HTML file, and the same numbers as JSON and Markdown beside it."""

from __future__ import annotations

import json
from html import escape
from importlib.resources import files
from pathlib import Path

import enactive
from enactive.evaluation.files import write_atomically
from enactive.evaluation.report import details, overview, probes
from enactive.evaluation.report.contents import Contents, Recordings, gather
from enactive.evaluation.report.numbers import as_json, as_markdown
from enactive.evaluation.results import summarise

PLAY_WHEN_SEEN = """
const seen = new IntersectionObserver(entries => entries.forEach(entry =>
  entry.isIntersecting ? entry.target.play().catch(() => {}) : entry.target.pause()));
document.querySelectorAll('video').forEach(video => {
  seen.observe(video);
  video.addEventListener('click', () => video.paused ? video.play() : video.pause());
});
"""
"""Clips outside the window cost nothing; a click stops and starts one."""


ONLY_THIS_FILE = (
    "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'"
)
"""What a browser is told: nothing may be loaded from anywhere."""


def write_report(
    directory: Path,
    out: Path | None = None,
    *,
    training: Path | None = None,
    expert: Path | None = None,
) -> Path:
    """Write the report of the evaluation in ``directory``.

    The page needs no network and no other file: pictures, charts and style are inside it.

    Args:
        directory: what an evaluation wrote, see :func:`enactive.evaluation.report.contents.gather`.
        out: the HTML file, by default ``report.html`` in ``directory``. ``.json`` and ``.md`` files
            of the same name are written beside it.
        training: the training run whose curves are shown; by default it is looked for.
        expert: directory of the expert's evaluation on the same plan, for the section on probes.

    Returns:
        The path of the HTML file.

    Raises:
        FileNotFoundError: there is no evaluation in ``directory``.
    """
    contents = gather(directory, training, expert)
    out = directory / "report.html" if out is None else out
    write_atomically(out, page(contents))
    numbers = as_json(contents)
    text = json.dumps(numbers, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomically(out.with_suffix(".json"), text + "\n")
    write_atomically(out.with_suffix(".md"), as_markdown(numbers))
    return out


def page(contents: Contents) -> str:
    """The whole page."""
    episodes = contents.evaluation.group() or contents.evaluation.episodes
    summary = summarise(episodes)
    with Recordings(contents.journal) as recordings:
        rate_hz = _rate(contents, recordings)
        sections = {
            "pictures": ("Pictures", overview.pictures(contents, recordings, rate_hz)),
            "success": ("Success", overview.success(summary)),
            "listening": ("Listening", overview.listening(contents, recordings, rate_hz)),
            "probes": ("Probes", probes.probes(contents)),
            "failures": ("Failures", details.failed(contents, recordings, rate_hz)),
            "stages": ("Stages", details.progress_of_tasks(contents)),
            "actions": ("Actions", details.actions(contents, recordings, rate_hz)),
            "training": ("Training", details.training(contents)),
            "cost": ("Cost", details.cost(contents)),
            "replay": ("Replay", details.replayed(contents)),
            "provenance": ("Provenance", details.provenance(contents)),
            "episodes": ("Episodes", details.episodes(contents)),
        }
    links = [(name, title) for name, (title, body) in sections.items() if body]
    style = files("enactive.evaluation.report").joinpath("style.css").read_text(encoding="utf-8")
    title = f"{contents.evaluation.policy}: {summary.overall.interval.estimate:.0%} success"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{ONLY_THIS_FILE}">'
        '<link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body>"
        + overview.header(contents, summary, links)
        + "<main>"
        + "".join(body for _, body in sections.values())
        + f"</main><footer>enactive {enactive.__version__} &middot; "
        f"{escape(overview.cost_line(contents))}</footer>"
        f"<script>{PLAY_WHEN_SEEN}</script></body></html>\n"
    )


def _rate(contents: Contents, recordings: Recordings) -> float:
    """Control steps per second of world time."""
    for result in contents.evaluation.episodes:
        recording = recordings.read(result)
        if recording is not None:
            return float(recording.header.world["rate_hz"])
    return 1.0
