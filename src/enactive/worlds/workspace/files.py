"""A sealed tree of text files: list, read, write, move, search."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from enactive.actions.toolbox import ToolError
from enactive.registry import suggest
from enactive.worlds.workspace.problem import (
    Domain,
    Level,
    Problem,
    State,
    Wordings,
    call,
    pick,
    reads,
    several,
    text,
    writes,
)

PATH = "[a-z0-9_-]+([.][a-z0-9_-]+)*(/[a-z0-9_-]+([.][a-z0-9_-]+)*)*"
"""One way to write each path, so that a path names one resource: no ``..``, no double slashes."""

MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip
THINGS = ("paper", "screws", "paint", "lamps", "cable", "glue", "timber", "tiles", "rope", "soap")
FOLDERS = ("archive", "done", "handled", "storage", "kept")
PARTNERS = ("alder", "birch", "cedar", "elm", "hazel", "larch", "maple", "oak", "pine", "rowan")


def _path(what: str) -> dict[str, Any]:
    examples = ["notes/a.txt", "out.txt"]
    return text(what, 120, pattern=f"^{PATH}$", examples=examples)


def _find(state: State, path: str) -> str:
    if path not in state["files"]:
        raise ToolError(f"there is no file {path!r}; {suggest(path, state['files'])}")
    return state["files"][path]


def _list(state: State, arguments: Mapping[str, Any], key: str) -> Any:
    folder = arguments["folder"].strip("/")
    start = f"{folder}/" if folder and folder != "." else ""
    found = sorted(path for path in state["files"] if path.startswith(start))
    if not found and start:
        raise ToolError(f"there is no folder {folder!r}; '' lists everything")
    return {"files": found}


def _read(state: State, arguments: Mapping[str, Any], key: str) -> Any:
    return {"text": _find(state, arguments["path"])}


def _search(state: State, arguments: Mapping[str, Any], key: str) -> Any:
    wanted = arguments["text"].casefold()
    lines = [
        {"path": path, "line": line}
        for path in sorted(state["files"])
        for line in state["files"][path].splitlines()
        if wanted in line.casefold()
    ]
    return {"lines": lines[:40], "found": len(lines)}


def _free(state: State, path: str) -> None:
    """Refuse a path through a file, or one that is a folder."""
    parents = {path[:place] for place, letter in enumerate(path) if letter == "/"}
    for other in state["files"]:
        if other in parents:
            raise ToolError(f"{other!r} is a file, so nothing can lie in it")
        if other.startswith(f"{path}/"):
            raise ToolError(f"{path!r} is a folder")


def _write(state: State, arguments: Mapping[str, Any], key: str) -> Any:
    _free(state, arguments["path"])
    state["files"][arguments["path"]] = arguments["text"]
    return {"path": arguments["path"], "characters": len(arguments["text"])}


def _move(state: State, arguments: Mapping[str, Any], key: str) -> Any:
    path, to = arguments["path"], arguments["to"]
    _find(state, path)
    if to in state["files"]:
        raise ToolError(f"there is a file {to!r} already; give another path")
    _free(state, to)
    state["files"][to] = state["files"].pop(path)
    return {"path": to}


OPERATIONS = (
    reads(
        "list_files", "Paths of all files in a folder and below it.",
        {"folder": text("a folder; '' for everything", 120, default="", examples=["", "notes"])},
        _list, resources=None,
    ),
    reads(
        "read_file", "The text of a file.", {"path": _path("path of the file")}, _read,
        resources=("file:{path}",),
    ),
    reads(
        "search_files", "The lines that contain a text, with the paths of their files.",
        {"text": text("what to look for; capitals do not matter", minLength=1, examples=["total"])},
        _search, resources=None,
    ),
    writes(
        "write_file", "Write a file; what was in it is lost.",
        {
            "path": _path("path of the file"),
            "text": text("everything that shall be in it", 1900, examples=["done"]),
        },
        _write, resources=("file:{path}",), idempotent=True,
    ),
    writes(
        "move_file", "Move or rename a file; refuses to overwrite another.",
        {"path": _path("where it is"), "to": _path("its new path, the file's name included")},
        _move, resources=("file:{path}", "file:{to}"), destructive=False,
    ),
)  # fmt: skip
"""Listing and searching look at all files, so that they wait for every other call."""

MOVE = Wordings(
    training=(
        "Move the file that mentions {code} into the folder {folder}; keep its name. Then answer.",
        "One file mentions {code}. Put it into the folder {folder} under the same name, then "
        "answer.",
    ),
    held_out=(
        "Somewhere {code} is mentioned. Bring that file to {folder} without renaming it, and "
        "answer when it is there.",
    ),
)
COLLECT = Wordings(
    training=(
        "Collect the totals of the reports {names} of {year} into summary.txt, one line each, like "
        "'{first}: 123'. Then answer.",
        "Write summary.txt with one line for each of the {year} reports {names}: its name, a "
        "colon and its total, as in '{first}: 123'. Then answer.",
    ),
    held_out=(
        "I need the {year} totals of {names} side by side: make summary.txt, a line per report in "
        "the form '{first}: 123', and answer.",
    ),
)
ARCHIVE = Wordings(
    training=(
        "Move every contract whose status is expired from contracts to archive, names unchanged, "
        "and list their file names in archive/index.txt, one a line, in alphabetical order. Then "
        "answer.",
    ),
    held_out=(
        "Expired contracts do not belong in contracts: put each into archive under its own name, "
        "write their names to archive/index.txt sorted from A to Z, a line each, and answer.",
    ),
)


def generate(level: int, generator: np.random.Generator) -> Problem:
    """Move one file, collect totals, or archive what has expired."""
    return (_one_file, _totals, _expired)[level - 1](generator)


def _one_file(generator: np.random.Generator) -> Problem:
    codes = [f"{a}-{n}" for a, n in zip("KRTVX", several(generator, range(100, 1000), 5),
                                        strict=True)]  # fmt: skip
    names = several(generator, PARTNERS, 5)
    folders = ("notes", "letters", "notes/old", "letters/in", "drafts")
    files = {
        f"{folder}/{name}.txt": f"To {name.title()}\nOrder of {pick(generator, THINGS)}\n"
        f"Reference {code}\nThank you.\n"
        for folder, name, code in zip(folders, names, codes, strict=True)
    }
    path = pick(generator, [*files])
    code = next(line.split()[1] for line in files[path].splitlines() if line.startswith("Ref"))
    folder = pick(generator, FOLDERS)
    to = f"{folder}/{path.rpartition('/')[2]}"
    wanted = {to if one == path else one: content for one, content in files.items()}

    def judge(state: State, answer: str) -> str:
        return _difference(state["files"], wanted)

    solution = (
        call("search_files", text=code),
        call("move_file", path=path, to=to),
        call("answer", text="done"),
    )
    return Problem(
        wordings=MOVE, fields={"code": code, "folder": folder}, state={"files": files},
        solution=solution, judge=judge,
    )  # fmt: skip


def _totals(generator: np.random.Generator) -> Problem:
    year = int(generator.integers(2012, 2025))
    months = several(generator, MONTHS, 5)
    files: dict[str, str] = {"readme.txt": "Reports lie in reports, one folder a year.\n"}
    totals: dict[tuple[int, str], int] = {}
    for one in (year - 1, year):
        for month in months:
            sold = several(generator, THINGS, 3)
            amounts: list[int] = generator.integers(5, 400, 3).tolist()
            totals[one, month] = sum(amounts)
            lines = [f"{thing}: {amount}" for thing, amount in zip(sold, amounts, strict=True)]
            report = [f"Report of {month} {one}", *lines, f"total: {sum(amounts)}"]
            files[f"reports/{one}/{month}.txt"] = "\n".join(report) + "\n"
    asked = months[:3]

    def judge(state: State, answer: str) -> str:
        others = {path: one for path, one in state["files"].items() if path != "summary.txt"}
        if problem := _difference(others, files):
            return problem
        lines = state["files"].get("summary.txt", "").splitlines()
        found = [
            re.fullmatch(r"[\s*-]*(\w+)\s*:\s*(\d+)\s*", line) for line in lines if line.strip()
        ]
        said = [(one.group(1).casefold(), int(one.group(2))) if one else None for one in found]
        right = sorted((month, totals[year, month]) for month in asked)
        return "" if None not in said and sorted(s for s in said if s) == right else (
            f"summary.txt does not say {right}")  # fmt: skip

    summary = "".join(f"{month}: {totals[year, month]}\n" for month in asked)
    solution = (
        *(call("read_file", path=f"reports/{year}/{month}.txt") for month in asked),
        call("write_file", path="summary.txt", text=summary),
        call("answer", text="done"),
    )
    names = f"{asked[0]}, {asked[1]} and {asked[2]}"
    return Problem(
        wordings=COLLECT, fields={"names": names, "year": year, "first": asked[0]},
        state={"files": dict(files)}, solution=solution, judge=judge,
    )  # fmt: skip


def _expired(generator: np.random.Generator) -> Problem:
    names = several(generator, PARTNERS, 7)
    gone = set(several(generator, names, int(generator.integers(2, 5))))
    files = {
        f"contracts/{name}.txt": f"Contract with {name.title()}\nGoods: {pick(generator, THINGS)}\n"
        f"Status: {'expired' if name in gone else 'valid'}\n"
        for name in names
    }
    # A trap: the word without the status.
    files["notes/reminder.txt"] = "Ask whether the expired licences were paid.\n"
    moved = sorted(f"{name}.txt" for name in gone)
    wanted = {
        f"archive/{path.rpartition('/')[2]}" if path.rpartition("/")[2] in moved else path: content
        for path, content in files.items()
    }

    def judge(state: State, answer: str) -> str:
        others = {path: one for path, one in state["files"].items() if path != "archive/index.txt"}
        if problem := _difference(others, wanted):
            return problem
        index = state["files"].get("archive/index.txt", "")
        lines = [line.strip() for line in index.splitlines() if line.strip()]
        return "" if lines == moved else f"archive/index.txt does not list {moved}"

    solution = (
        call("search_files", text="status: expired"),
        *(call("move_file", path=f"contracts/{one}", to=f"archive/{one}") for one in moved),
        call("write_file", path="archive/index.txt", text="\n".join(moved) + "\n"),
        call("answer", text="done"),
    )
    return Problem(
        wordings=ARCHIVE, fields={}, state={"files": files}, solution=solution, judge=judge
    )


def _difference(files: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    """The first path at which two trees differ, trailing white space aside."""
    for path in sorted({*files, *wanted}):
        if path not in wanted:
            return f"{path} should not be there"
        if path not in files:
            return f"{path} is missing"
        if files[path].rstrip() != wanted[path].rstrip():
            return f"{path} was changed"
    return ""


FILES = Domain(
    name="files",
    operations=OPERATIONS,
    levels=(
        Level(max_steps=12, description="find a file by what it says and move it"),
        Level(max_steps=20, description="totals of three reports into a summary"),
        Level(max_steps=24, description="archive what has expired, with an index"),
    ),
    generate=generate,
)
