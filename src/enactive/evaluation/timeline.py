"""An episode as a recording for the rerun viewer: pictures, states, actions and events over time.

The viewer (``rerun FILE``) scrubs through the episode step by step, with every stream side by side
and the chain of tokens behind each decision as text.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from enactive.actions.chain import Chain
from enactive.episodes.episode import Episode


def write_timeline(episode: Episode, path: Path, *, quality: int = 90) -> Path:
    """Write ``episode`` as a ``.rrd`` file, whole or not at all.

    Timelines are ``step`` (actions executed) and ``time`` (seconds of world time). What was seen
    before action t, action t and what it gave are all at step t.

    Args:
        quality: of the pictures as JPEG, in [1, 100].

    Returns:
        ``path``.

    Raises:
        ModuleNotFoundError: the package ``rerun`` is not installed.
    """
    import rerun

    recording = rerun.RecordingStream("enactive", recording_id=episode.header.id)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    recording.save(temporary)
    _describe(rerun, recording, episode)
    rate_hz = float(episode.header.world["rate_hz"])
    chains, events = episode.chains, episode.events
    for step in range(episode.length):
        recording.set_time("step", sequence=step)
        recording.set_time("time", duration=step / rate_hz)
        for name, frames in episode.images.items():
            picture = rerun.Image(frames[step]).compress(jpeg_quality=quality)
            recording.log(f"images/{name}", picture)
        for name, values in _rows(episode).items():
            recording.log(name, rerun.Scalars(np.asarray(values[step], np.float64).reshape(-1)))
        if step in chains:
            recording.log("decisions", rerun.TextLog(_summary(chains[step])))
        for event in events:
            if event.step == step:
                recording.log("events", rerun.TextLog(event.name))
    recording.flush()
    recording.disconnect()
    os.replace(temporary, path)
    return path


def _rows(episode: Episode) -> dict[str, Any]:
    """Entity path to one row per step."""
    rows: dict[str, Any] = {f"state/{name}": values for name, values in episode.state.items()}
    rows["action/executed"] = episode.actions
    if episode.expert_actions is not None:
        rows["action/expert"] = episode.expert_actions
    return {**rows, "reward": episode.rewards, "success": episode.successes}


def _describe(rerun: Any, recording: Any, episode: Episode) -> None:
    """What holds for the whole episode: its task, and names for the entries of its vectors."""
    header, outcome = episode.header, episode.outcome
    text = (
        f"# {header.id}\n\n{header.task.name}: *{header.task.instruction}*\n\n"
        f"{'success' if outcome.success else 'no success'} after {outcome.steps} steps, "
        f"policy {header.policy}, seed {header.seed}"
    )
    document = rerun.TextDocument(text, media_type="text/markdown")
    recording.log("episode", document, static=True)
    for state in header.world["observations"]["states"]:
        lines = rerun.SeriesLines(names=list(state["names"]))
        recording.log(f"state/{state['name']}", lines, static=True)


def _summary(chain: Chain) -> str:
    """One line per token: its kind, where it came from, and what it says where that is text."""
    lines: list[str] = []
    for token in chain.tokens:
        said = f" {token.content!r}" if isinstance(token.content, str) else ""
        score = "" if token.score is None else f", score {token.score:.3g}"
        left = "" if token.chosen else " (not chosen)"
        lines.append(f"{token.kind} from {token.source}{score}{left}:{said}".removesuffix(":"))
    return "\n".join(lines)
