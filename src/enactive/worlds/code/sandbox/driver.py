"""The process inside the sandbox: reads programs from its standard input, runs them, makes calls.

Frames are JSON, one a line. Everything a program does happens in this process, so a program can do
here whatever it likes, forging frames included: the other side takes what is said as the program's
own word, bounds it, and checks it.
"""

from __future__ import annotations

import ast
import asyncio
import builtins
import contextlib
import inspect
import io
import json
import linecache
import os
import random
import resource
import selectors
import sys
import traceback
from typing import Any

if __package__:  # imported, by a documentation tool say
    from enactive.worlds.code.sandbox import seccomp
    from enactive.worlds.code.sandbox.values import json_problem, jsonable, shown
else:  # run inside the sandbox, where this file's folder is all that there is of the package
    import seccomp  # type: ignore[import-not-found,no-redef]
    from values import (  # type: ignore[import-not-found,no-redef]
        json_problem,
        jsonable,
        shown,
    )

ERROR_LIMIT = 6000


class Channel:
    """The pipe to the other side."""

    def __init__(self, into: int) -> None:
        self._from = os.fdopen(os.dup(0), "rb")
        self._into = into
        self._nonce = ""
        null = os.open("/dev/null", os.O_RDWR)
        os.dup2(null, 0)
        os.set_inheritable(into, False)

    def read(self) -> dict[str, Any]:
        line = self._from.readline()
        if not line:
            os._exit(0)  # the other side is gone
        frame = json.loads(line)
        self._nonce = frame.get("nonce", self._nonce)
        return frame

    def write(self, frame: dict[str, Any]) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        data = json.dumps({**frame, "nonce": self._nonce}, allow_nan=False).encode() + b"\n"
        view = memoryview(data)
        while view:
            view = view[os.write(self._into, view) :]

    def pong(self, nonce: str) -> None:
        os.write(self._into, json.dumps({"pong": nonce}).encode() + b"\n")

    def call(self, calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]]) -> list[Any]:
        """Ask for calls; each answer is a value or an exception."""
        listed = [{"name": n, "args": jsonable(a), "kwargs": jsonable(k)} for n, a, k in calls]
        self.write({"calls": listed})
        return [
            one["value"] if "value" in one else getattr(builtins, one["error"])(one["message"])
            for one in self.read()["results"]
        ]


class Waiting(selectors.SelectSelector):
    """A selector that makes the gathered calls when nothing else is left to do."""

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self.channel = channel
        self.calls: list[tuple[Any, tuple[str, tuple[Any, ...], dict[str, Any]]]] = []

    def select(self, timeout: float | None = None) -> Any:
        if not self.calls or timeout == 0:
            return super().select(timeout)
        calls, self.calls = self.calls, []
        answers = self.channel.call([call for _, call in calls])
        for (future, _), answer in zip(calls, answers, strict=True):
            if not future.done():
                if isinstance(answer, BaseException):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)
        return []


class Loops(asyncio.DefaultEventLoopPolicy):
    """Makes event loops that make calls together."""

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self.channel = channel

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        selector = Waiting(self.channel)
        loop = asyncio.SelectorEventLoop(selector)
        loop.calls = selector  # type: ignore[attr-defined]
        return loop


def tool(channel: Channel, name: str) -> Any:
    """A function that makes a call and waits for it."""

    def call(*args: Any, **kwargs: Any) -> Any:
        check(name, args, kwargs)
        (answer,) = channel.call([(name, args, kwargs)])
        if isinstance(answer, BaseException):
            raise answer
        return answer

    call.__name__ = call.__qualname__ = name
    return call


def awaitable(name: str, shown_name: str) -> Any:
    """A function that makes a call together with others."""

    def call(*args: Any, **kwargs: Any) -> Any:
        check(shown_name, args, kwargs)
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        loop.calls.calls.append((future, (name, args, kwargs)))  # type: ignore[attr-defined]
        return future

    call.__name__ = call.__qualname__ = shown_name
    return call


def check(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Refuse arguments that JSON cannot carry."""
    for where, value in [*enumerate(args), *kwargs.items()]:
        if problem := json_problem(value):
            raise TypeError(f"{name}(): the argument {where!r} is {problem}")


def run(source: str, file: str, names: dict[str, Any], limit: int) -> Any:
    """Run a program; the value of its last expression."""
    lines = source.splitlines(keepends=True)
    linecache.cache[file] = (len(source), None, lines, file)
    tree = ast.parse(source, file)
    last = tree.body[-1] if tree.body else None
    value = None
    parts: list[Any] = [tree]
    if isinstance(last, ast.Expr):
        tree.body.pop()
        parts.append(ast.Expression(last.value))
    for part in parts:
        mode = "eval" if isinstance(part, ast.Expression) else "exec"
        code = compile(part, file, mode, ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        value = eval(code, names)
        if code.co_flags & inspect.CO_COROUTINE:
            with asyncio.Runner() as runner:

                async def awaited(coroutine: Any = value) -> Any:
                    return await coroutine

                value = runner.run(awaited())
    return shown(value, limit) if len(parts) == 2 else None


def error_text(error: BaseException, file: str) -> str:
    """The traceback without this file's own frames."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != file:
        trace = trace.tb_next
    with contextlib.redirect_stderr(io.StringIO()):
        made = traceback.TracebackException(type(error), error, trace, limit=-20)
        kept = [one for one in made.stack if not one.filename.startswith("/sandbox/")]
        made.stack = traceback.StackSummary.from_list(kept)
        text = "".join(made.format())
    if len(text) > ERROR_LIMIT:
        text = text[: ERROR_LIMIT // 3] + "\n...\n" + text[-2 * ERROR_LIMIT // 3 :]
    return text.encode("utf-8", "replace").decode()


def main() -> None:
    """Run programs until the other side goes away."""
    limits = json.loads(sys.argv[1])
    channel = Channel(limits["into"])
    for name, value in limits["resources"].items():
        resource.setrlimit(getattr(resource, name), (value, value))
    random.seed(limits["seed"])
    sys.setrecursionlimit(limits["recursion"])
    asyncio.set_event_loop_policy(Loops(channel))
    names: dict[str, Any] = {"__name__": "__main__", "__builtins__": builtins}
    for name in limits["tools"]:
        names[name] = tool(channel, name)
        names[name + limits["awaitable"]] = awaitable(name, name + limits["awaitable"])
    seccomp.install()
    channel.write({"ready": True})
    number = 0
    while True:
        frame = channel.read()
        if "ping" in frame:
            channel.pong(frame["ping"])
            continue
        number += 1
        file = f"<program {number}>"
        try:
            value = run(frame["source"], file, names, limits["shown"])
            answer: dict[str, Any] = {"value": value}
        except (SyntaxError, RecursionError, MemoryError, ValueError) as error:
            parsed = isinstance(error, SyntaxError)
            answer = {"error": error_text(error, file), "invalid": parsed}
        except BaseException as error:
            answer = {"error": error_text(error, file), "invalid": False}
        channel.write(answer)


if __name__ == "__main__":
    main()
