"""The first part of a page: headline, pictures, success, whether the policy listens."""

from __future__ import annotations

from html import escape

from enactive.evaluation.report import choice, svg
from enactive.evaluation.report.analysis import (
    NOTHING,
    Swap,
    SwapCell,
    cost_summary,
    first_of,
    swap,
)
from enactive.evaluation.report.contents import Contents, Recordings
from enactive.evaluation.report.html import badge, figure, fraction, percent, section, table
from enactive.evaluation.results import EpisodeResult, Summary


def header(contents: Contents, summary: Summary, links: list[tuple[str, str]]) -> str:
    """Success with its interval, and the few facts that decide whether to believe it."""
    evaluation = contents.evaluation
    overall = summary.overall
    protocol = evaluation.protocol
    facts = [
        (
            "95 %, these tasks",
            percent(overall.interval),
            "Wilson's interval: the same tasks, other seeds",
            "",
        )
    ]
    if summary.clustered is not None:
        facts.append(
            (
                "95 %, tasks like these",
                percent(summary.clustered),
                "tasks as clusters: wider, because there are few of them",
                "",
            )
        )
    facts.append(("episodes", fraction(overall), "successes of all main episodes", ""))
    if contents.replay is not None:
        report = contents.replay
        facts.append(
            (
                "replayed bit for bit",
                f"{report.equal} / {len(report.episodes)}",
                f"{report.compared:,} values compared",
                "good" if report.passed else "bad",
            )
        )
    found = swap(evaluation.group("swap"), evaluation.group())
    if found is not None and found.listened is not None:
        facts.append(
            (
                "follows swapped words",
                fraction(found.listened),
                f"95 % interval {percent(found.listened.interval)}",
                "good" if found.listened.interval.low > 0.5 else "bad",
            )
        )
    listed = "".join(
        f'<div class="{kind}" title="{escape(tip, quote=True)}"><dt>{escape(name)}</dt>'
        f"<dd>{value}</dd></div>"
        for name, value, tip, kind in facts
    )
    anchors = "".join(f'<a href="#{name}">{escape(title)}</a>' for name, title in links)
    return (
        f"<header><div><h1>{escape(evaluation.policy)} in {escape(protocol.world)}, "
        f"{len(summary.tasks)} tasks</h1>"
        f'<div class="headline"><div><div class="rate">{overall.interval.estimate * 100:.1f}'
        f'<small> %</small></div><span class="soft">success</span></div>'
        f'<dl class="facts">{listed}</dl></div><nav>{anchors}</nav></div></header>'
    )


def pictures(contents: Contents, recordings: Recordings, rate_hz: float) -> str:
    """The first episode of every task, whatever came out."""
    chosen = choice.one_per_task(contents.evaluation.group())
    figures = "".join(
        figure(result, recordings.read(result), rate_hz, strip=True) for result in chosen
    )
    return section(
        "pictures",
        "What it looks like",
        '<p class="soft">The first evaluation episode of each task, chosen by its number and not '
        f'by how it went; all cameras side by side.</p><div class="clips">{figures}</div>',
    )


def success(summary: Summary) -> str:
    """Rates per task and overall, as a chart and as a table."""
    rows = [
        svg.Row(
            label=name,
            value=rate.interval.estimate,
            low=rate.interval.low,
            high=rate.interval.high,
            note=fraction(rate),
        )
        for name, rate in summary.tasks.items()
    ]
    overall = summary.overall
    rows.append(
        svg.Row(
            label="all, these tasks",
            value=overall.interval.estimate,
            low=overall.interval.low,
            high=overall.interval.high,
            note=fraction(overall),
            strong=True,
        )
    )
    if summary.clustered is not None:
        rows.append(
            svg.Row(
                label="all, tasks like these",
                value=summary.clustered.estimate,
                low=summary.clustered.low,
                high=summary.clustered.high,
                note=f"{len(summary.tasks)} tasks",
                strong=True,
            )
        )
    cells = [
        [escape(row.label), row.note, f"{row.value:.1%}", f"{row.low:.1%}", f"{row.high:.1%}"]
        for row in rows
    ]
    return section(
        "success",
        "Success",
        '<p class="soft">Dots are rates, lines 95 % intervals: Wilson per task and over all '
        "episodes. The last row answers another question, how the policy would do on other tasks "
        "of this kind: tasks are the sample there, and there are few of them.</p>"
        + svg.intervals(rows)
        + "<details><summary>as a table</summary>"
        + table(["task", "successes", "rate", "low", "high"], cells, numbers=" nnnn")
        + "</details>",
    )


def listening(contents: Contents, recordings: Recordings, rate_hz: float) -> str:
    """The instruction swap: same scenes, exchanged words."""
    episodes = contents.evaluation.group("swap")
    found = swap(episodes, contents.evaluation.group())
    if found is None:
        return ""
    figures = "".join(
        figure(
            result,
            recordings.read(result),
            rate_hz,
            caption=_scene(result, found),
            outcome=f"what happened: {first_of(result, found.outcomes)}",
        )
        for result in choice.one_per_cell(episodes)
    )
    verdict = ""
    if found.listened is not None:
        rate = found.listened
        verdict = (
            f"<p>Of {rate.episodes} episodes whose instruction belongs to the other task, "
            f"<b>{rate.successes}</b> did what they were told: {rate.interval.estimate:.1%}, "
            f"95 % interval {percent(rate.interval)} "
            f"{badge(rate.interval.low > 0.5, 'it listens', 'not shown to listen')}</p>"
        )
    return section(
        "listening",
        "Does it listen?",
        '<p class="soft">Scenes that look alike, each told both instructions, in wordings that no '
        "training data had. What counts is what happened first, not the scene's own success "
        "test.</p>"
        f'{verdict}{_matrix(found)}<div class="clips small">{figures}</div>',
    )


def _scene(result: EpisodeResult, found: Swap) -> str:
    text = f"scene of <b>{escape(result.task)}</b>"
    if result.task != result.instructed:
        text += " (swapped)"
    meant = found.meant.get(result.instructed)
    if meant is not None:
        did = first_of(result, found.outcomes) == meant
        text += " " + badge(did, "did as told", "did not")
    return text


def _matrix(found: Swap) -> str:
    head = ["scene of", "told", *found.outcomes, "did what it was told"]
    rows = [_row(cell, found) for cell in found.cells]
    key = "".join(
        f'<span><i class="{kind}"></i>{text}</span>'
        for kind, text in (
            ("asked", "what it was told"),
            ("other", "something else"),
            ("none", NOTHING),
        )
    )
    return (
        table(head, rows, kind="matrix", numbers="  " + "n" * len(found.outcomes))
        + f'<div class="key">{key}</div>'
    )


def _row(cell: SwapCell, found: Swap) -> list[str]:
    counts = [cell.happened.get(outcome, 0) for outcome in found.outcomes]
    meant = found.meant.get(cell.told)
    asked = cell.happened.get(meant, 0) if meant is not None else 0
    none = cell.happened.get(NOTHING, 0)
    shares = (("asked", asked), ("other", cell.episodes - asked - none), ("none", none))
    bar = "".join(
        f'<i class="{kind}" style="width:{100 * count / cell.episodes:.1f}%" title="{count}"></i>'
        for kind, count in shares
    )
    crossed = "" if cell.scene == cell.told else ' <span class="note">(swapped)</span>'
    return [
        escape(cell.scene),
        f"{escape(cell.told)}{crossed}",
        *(str(count) for count in counts),
        f'<div class="bar">{bar}</div>',
    ]


def cost_line(contents: Contents) -> str:
    """One sentence about what deciding costs."""
    cost = cost_summary(contents.evaluation.episodes)
    return (
        f"{cost.decisions:,} decisions for {cost.steps:,} steps, {cost.milliseconds:.1f} ms and "
        f"{cost.backbone_passes:.2g} backbone and {cost.head_passes:.2g} head passes each"
    )
