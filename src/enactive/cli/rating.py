"""``enactive blind --rate``: a person judges trials under aliases, in a terminal."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from enactive.cli.mistakes import UserError

if TYPE_CHECKING:
    from enactive.evaluation.blind_rating import BlindEpisode, Rating, Sheet

SHOWN = "shown"
"""Directory of the videos; a file's name says the trial's number and nothing else."""


def rate(directory: Path, rater: str) -> int:
    """Ask for every trial that has no rating; 0 also where the rater stops before the end."""
    from enactive.cli.blind import verify
    from enactive.evaluation.blind import BlindError
    from enactive.evaluation.blind_rating import open_sheet
    from enactive.evaluation.hash_chain import ChainBroken

    try:
        with open_sheet(directory, rater or _only_rater(directory)) as sheet:
            over = _session(sheet)
    except (BlindError, ChainBroken) as error:
        raise UserError(str(error)) from error
    return verify(directory, None) if over else 0


def _session(sheet: Sheet) -> bool:
    """Rate until all is handed in or the rater stops; whether the policies are revealed."""
    print(f"{sheet.rater}: {len(sheet.ratings)} of {len(sheet.trials)} trials rated")
    print(_keys(sheet))
    stages = "".join(f", {number + 1}" for number in range(len(sheet.stages)))
    shown = 0
    while not sheet.handed_in:
        trial = sheet.next
        if trial is not None and trial != shown:
            print(_present(sheet, sheet.show(trial)), flush=True)
            shown = trial
        try:
            question = (
                "hand in (h), or undo the last (u)" if trial is None else f"s, f{stages}, k, u, q"
            )
            answer = input(f"{question}> ").strip().lower()
        except EOFError:
            answer = "q"
        if answer == "q":
            print(f"\n{len(sheet.ratings)} ratings are kept; the same command goes on from here")
            return False
        if answer == "u":
            if not sheet.ratings:
                print("there is nothing to undo")
                continue
            print(f"withdrawn: the rating of trial {sheet.undo()}")
            shown = 0
        elif trial is None and answer == "h":
            break
        elif trial is not None and (rating := _rating(answer, sheet.stages)) is not None:
            sheet.rate(trial, rating)
        else:
            print(f"{answer!r} is no answer; {_keys(sheet)}")
    over = sheet.hand_in()
    print("handed in" if over else "handed in; the policies are revealed when all raters have")
    return over


def _rating(answer: str, stages: tuple[str, ...]) -> Rating | None:
    """What an answer means; None if nothing."""
    from enactive.evaluation.blind_rating import Rating

    if answer in ("s", "success"):
        return Rating(verdict="success")
    if answer in ("f", "failure"):
        return Rating(verdict="failure")
    if answer in ("k", "skip"):
        return Rating(verdict="skipped")
    if answer.isdigit() and 1 <= int(answer) <= len(stages):
        return Rating(verdict="failure", stage=stages[int(answer) - 1])
    return None


def _keys(sheet: Sheet) -> str:
    stages = "".join(f", {n} failure after: {name}" for n, name in enumerate(sheet.stages, start=1))
    return f"s success, f failure{stages}, k skip, u undo the last, q stop for now"


def _present(sheet: Sheet, episode: BlindEpisode) -> str:
    """Write what the rater looks at, and say where it is."""
    from PIL import Image

    from enactive.evaluation.report.media import clip, side_by_side

    frames = side_by_side(episode.images)
    directory = sheet.directory / SHOWN
    directory.mkdir(exist_ok=True)
    video = directory / f"trial-{episode.trial:04d}.mp4"
    still = video.with_suffix(".png")
    temporary = video.with_name(f".{os.getpid()}.{video.name}")
    temporary.write_bytes(clip(frames, rate=max(1, round(episode.rate_hz)), quality=16))
    os.replace(temporary, video)
    temporary = still.with_name(f".{os.getpid()}.{still.name}")
    Image.fromarray(frames[-1]).save(temporary)
    os.replace(temporary, still)
    who = f", {episode.alias}" if episode.alias else ""
    return (
        f"\ntrial {episode.trial} of {len(sheet.trials)}{who}: "
        f"{episode.instruction or episode.task}\n  video      {video}\n  last frame {still}"
    )


def _only_rater(directory: Path) -> str:
    """The evaluation's rater, where there is one only.

    Raises:
        UserError: there are several, or the log is not there.
    """
    from enactive.evaluation.blind import LOG

    path = directory / LOG
    if not path.is_file():
        raise UserError(f"{directory}: there is no {LOG}, the log of a blind evaluation")
    with path.open(encoding="utf-8") as file:
        raters = json.loads(file.readline() or "{}").get("data", {}).get("raters", [])
    if len(raters) != 1:
        known = ", ".join(raters) or "nobody: the world's own test judged"
        raise UserError(f"--rater names who rates; the evaluation's raters: {known}")
    return str(raters[0])
