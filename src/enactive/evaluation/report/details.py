"""The second part of a page: failures, stages, actions, cost, training, replay, provenance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from enactive.episodes.episode import Episode
from enactive.evaluation.report import choice, svg
from enactive.evaluation.report.analysis import cost_summary, furthest, stages
from enactive.evaluation.report.contents import Contents, Recordings
from enactive.evaluation.report.html import (
    badge,
    figure,
    flat,
    replay_command,
    section,
    table,
)
from enactive.evaluation.results import EpisodeResult


def failed(contents: Contents, recordings: Recordings, rate_hz: float) -> str:
    """Clips of failures, with where they got stuck."""
    episodes = contents.evaluation.group()
    lost = [episode for episode in episodes if not episode.success]
    if not lost:
        body = f"<p>None: all {len(episodes)} episodes succeeded.</p>"
    else:
        chosen = choice.failures(episodes)
        body = (
            f'<p class="soft">{len(lost)} of {len(episodes)} episodes failed; '
            f"{'all' if len(chosen) == len(lost) else 'here are'} {len(chosen)}"
            f"{'' if len(chosen) == len(lost) else ', the tasks taken in turn'}.</p>"
            '<div class="clips small">'
            + "".join(figure(result, recordings.read(result), rate_hz) for result in chosen)
            + "</div>"
        )
    return section("failures", "Failures", body)


def progress_of_tasks(contents: Contents) -> str:
    """Steps to success, and the stages that episodes reached."""
    by_task = _by_task(contents.evaluation.group())
    limit = max(episode.steps for found in by_task.values() for episode in found)
    rows = [
        (
            task,
            [
                (
                    float(episode.success_step or episode.steps),
                    "good" if episode.success else "bad",
                    f"{task}, seed {episode.seed}: "
                    + ("success" if episode.success else f"failed, {furthest(episode)}")
                    + f" at step {episode.success_step or episode.steps}",
                )
                for episode in found
            ],
        )
        for task, found in by_task.items()
    ]
    events = [
        [
            escape(task),
            escape(stage.event),
            f"{stage.reached} / {stage.of}",
            f"{stage.reached / stage.of:.0%}",
            f"{stage.median_step:g}",
        ]
        for task, found in by_task.items()
        for stage in stages(found)
    ]
    return section(
        "stages",
        "How far, how fast",
        '<p class="soft">Each dot is an episode: filled where it succeeded, at the step of its '
        "success; open where it failed, at its last step.</p>"
        + svg.dots(rows, unit="control steps", limit=float(limit))
        + "<details><summary>stages reached, by task</summary>"
        + table(["task", "event", "reached", "share", "median step"], events, numbers="  nnn")
        + "</details>",
    )


def actions(contents: Contents, recordings: Recordings, rate_hz: float) -> str:
    """What was planned and what was executed, for the first episode."""
    for result in contents.evaluation.group()[:1]:
        recording = recordings.read(result)
        if recording is None or not np.issubdtype(recording.actions.dtype, np.floating):
            return ""
        names, unit = _action_names(recording)
        charts = "".join(
            _action_chart(recording, place, name, rate_hz)
            for place, name in enumerate(names[: recording.actions.shape[1]])
        )
        chain = next(iter(recording.chains.values()), None)
        shown = "" if chain is None else f"<pre>{escape(repr(chain))}</pre>"
        return section(
            "actions",
            "What was decided",
            f'<p class="soft">{escape(result.task)}, seed {result.seed}: executed actions in blue; '
            "in orange every predicted chunk, with the tail that was replaced by the next one; "
            f"dashed where the policy looked again. {unit}</p>"
            f'<div class="charts">{charts}</div>'
            "<details><summary>the chain of its first decision</summary>"
            f"{shown}</details>",
        )
    return ""


def _action_chart(recording: Episode, place: int, name: str, rate_hz: float) -> str:
    steps = len(recording.actions)
    series: list[svg.Series] = []
    marks: list[float] = []
    for step, chain in recording.chains.items():
        content = chain.final.content
        if not isinstance(content, np.ndarray) or content.ndim != 2 or len(content) < 2:
            continue
        marks.append(step / rate_hz)
        kept = content[: max(0, steps - step), place]
        series.append(
            svg.Series(
                name="predicted",
                x=[(step + k) / rate_hz for k in range(len(kept))],
                y=[float(value) for value in kept],
                kind="faint",
            )
        )
    executed = svg.Series(
        name="executed",
        x=[step / rate_hz for step in range(steps)],
        y=[float(value) for value in recording.actions[:, place]],
        kind="a",
    )
    return svg.lines(
        [*series, executed],
        title=name, unit="s", width=520, height=170, marks=marks, legend=False,
    )  # fmt: skip


def _action_names(recording: Episode) -> tuple[list[str], str]:
    from enactive.actions.spaces import VectorSpace, space_from_dict

    space = space_from_dict(dict(recording.header.world["accepts"]))
    if not isinstance(space, VectorSpace):
        return [f"action {place}" for place in range(recording.actions.shape[1])], ""
    units = "; ".join(
        f"{group.name}: {group.reference} {group.quantity} in {group.unit}"
        for group in space.groups
    )
    return list(space.names), escape(units)


def cost(contents: Contents) -> str:
    """What deciding cost, and how long each part of a recipe took."""
    found = cost_summary(contents.evaluation.episodes)
    rows = [
        ["decisions", f"{found.decisions:,}"],
        ["steps per decision", f"{found.steps / max(1, found.decisions):.1f}"],
        ["ms per decision", f"{found.milliseconds:.2f}"],
        ["backbone passes per decision", f"{found.backbone_passes:.2f}"],
        ["head passes per decision", f"{found.head_passes:.2f}"],
        ["generated tokens per decision", f"{found.tokens:.2f}"],
    ]
    parts = [[escape(name), f"{seconds:.0f} s"] for name, seconds in contents.timings.items()]
    if parts:
        parts.append(["all", f"{sum(contents.timings.values()):.0f} s"])
    return section(
        "cost",
        "Cost",
        '<div class="charts"><div>'
        + table(["per decision", ""], rows, numbers=" n")
        + "</div><div>"
        + (table(["part", ""], parts, numbers=" n") if parts else "")
        + "</div></div>",
    )


def training(contents: Contents) -> str:
    """Curves of the training run."""
    records = contents.training
    if not records:
        return ""

    def curve(name: str, key: str, kind: str) -> svg.Series:
        found = [(r["step"], r[key]) for r in records if isinstance(r.get(key), int | float)]
        return svg.Series(name=name, x=[a for a, _ in found], y=[b for _, b in found], kind=kind)

    known = {"step", "stage", "epoch", "loss", "validation_loss", "learning_rate"}
    rates = {"samples_per_second", "seconds"}
    others = [
        name
        for name in dict.fromkeys(key for record in records for key in record)
        if name not in known | rates
        and any(isinstance(r.get(name), int | float) for r in records)
        and any(r.get(name) != r.get("loss") for r in records if "loss" in r)
    ]
    charts = [
        svg.lines(
            [curve("training", "loss", "a"), curve("held-out", "validation_loss", "b")],
            title="loss", unit="optimizer steps", logarithmic=True, width=520,
        ),
        svg.lines(
            [curve("learning rate", "learning_rate", "c")],
            title="learning rate", unit="optimizer steps", width=520,
        ),
        *(
            svg.lines([curve(name, name, "d")], title=name.replace("_", " "),
                      unit="optimizer steps", width=520)
            for name in others[:3]
        ),
        svg.lines(
            [curve("samples/s", "samples_per_second", "a")],
            title="samples per second", unit="optimizer steps", width=520,
        ),
    ]  # fmt: skip
    last = max(int(record["step"]) for record in records)
    return section(
        "training",
        "Training",
        f'<p class="soft">{last:,} optimizer steps.</p>'
        f'<div class="charts">{"".join(chart for chart in charts if chart)}</div>',
    )


def replayed(contents: Contents) -> str:
    """Whether the episodes are what they claim to be."""
    report = contents.replay
    how = f"<pre>enactive replay {escape(str(contents.directory))}</pre>"
    if report is None:
        body = f"<p>The episodes have not been replayed. To check every bit of them:</p>{how}"
        return section("replay", "Replay", body)
    verdict = (
        f"<p>{badge(report.passed, 'bit-equal', 'not bit-equal')} {report.equal} of "
        f"{len(report.episodes)} episodes were executed again from their seeds and recorded "
        f"actions and gave the same bits: {report.compared:,} pictures, states, rewards, success "
        "tests and events were compared.</p>"
    )
    broken = [
        [
            f"<code>{escape(episode.id)}</code>",
            escape(episode.error)
            or f"{episode.differing} of {episode.compared} values differ, the first after step "
            f"{episode.mismatches[0].step}: {escape(episode.mismatches[0].what)}",
        ]
        for episode in report.episodes
        if not episode.equal
    ]
    return section(
        "replay",
        "Replay",
        verdict + (table(["episode", "what is wrong"], broken) if broken else "") + how,
    )


def provenance(contents: Contents) -> str:
    """Where everything came from."""
    evaluation = contents.evaluation
    protocol = evaluation.protocol
    head: dict[str, Any] = {
        "policy": evaluation.policy,
        "protocol": protocol.hash,
        "plan": protocol.plan,
        "world": protocol.world,
        "episodes": protocol.episodes,
    }
    for key in ("code_version", "git_commit", "git_dirty", "platform", "processor"):
        if key in evaluation.provenance:
            head[key] = evaluation.provenance[key]

    def rows(values: Mapping[str, Any]) -> list[list[str]]:
        return [
            [escape(name), f"<code>{escape(value[:200])}</code>"] for name, value in flat(values)
        ]

    rules = protocol.rules
    when = "at any step" if rules.success == "ever" else "at the end"
    how = f"Success counts if the world's own test holds {when}. Episodes end "
    if rules.stop_on_success:
        how += f"{rules.success_hold} steps after success, or "
    how += f"after {rules.max_steps} steps." if rules.max_steps else "at the task's limit."
    return section(
        "provenance",
        "Provenance",
        f'<p class="soft">{how} Two evaluations may be compared if their protocols have the '
        "same hash.</p>"
        + table(["", ""], rows(head))
        + "<details><summary>the world's configuration</summary>"
        + table(["", ""], rows(protocol.world_config))
        + "</details><details><summary>everything else</summary>"
        + table(["", ""], rows(evaluation.provenance))
        + "</details>",
    )


def episodes(contents: Contents) -> str:
    """Every episode, failures first, each with the command that replays it."""
    listed = sorted(contents.evaluation.episodes, key=lambda e: (e.success, e.index))
    state = {} if contents.replay is None else {e.id: e.equal for e in contents.replay.episodes}
    rows = [
        [
            escape(episode.group),
            escape(episode.task),
            f"<q>{escape(episode.instruction)}</q>",
            str(episode.seed),
            badge(episode.success),
            str(episode.steps),
            escape(", ".join(f"{name} {step}" for name, step in _ordered(episode))),
            badge(state[episode.id], "equal", "differs") if episode.id in state else "",
            f"<code>{escape(replay_command(contents, episode))}</code>",
        ]
        for episode in listed
    ]
    head = ["group", "task", "told", "seed", "outcome", "steps", "events", "replay", "command"]
    return section(
        "episodes",
        "Every episode",
        f"<details><summary>{len(rows)} episodes, failures first</summary>"
        + table(head, rows, numbers="   n n")
        + "</details>",
    )


def _ordered(episode: EpisodeResult) -> list[tuple[str, int]]:
    return sorted(episode.events.items(), key=lambda entry: (entry[1], entry[0]))


def _by_task(episodes: Sequence[EpisodeResult]) -> dict[str, list[EpisodeResult]]:
    found: dict[str, list[EpisodeResult]] = {}
    for episode in episodes:
        found.setdefault(episode.task, []).append(episode)
    return found
