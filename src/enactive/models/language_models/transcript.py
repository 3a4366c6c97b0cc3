"""Recorded conversations: written down as JSON, and served again over real HTTP.

A :class:`Transcript` holds requests and the completions that were given. :class:`Recording` makes
one of any model; :class:`TranscriptServer` serves one on a port of this machine in the chat
completions protocol, streaming included, so that a client is tested against a real server whose
every reply is known. It can also misbehave as real servers do: see :class:`Fault`.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, cast

from enactive.models.language_models.language_model import (
    Completion,
    LanguageModel,
    Listener,
    Request,
)
from enactive.models.language_models.openai_protocol import (
    answer_body,
    answer_chunks,
    request_body,
)

FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange:
    """One request and what was answered."""

    asked: str
    """:func:`asked` of the request: its hash, as it looks in the protocol."""
    last: str
    """The last message, for people who read the file."""
    completion: Completion


@dataclass(frozen=True, kw_only=True, slots=True)
class Transcript:
    """Exchanges in the order in which they happened."""

    exchanges: tuple[Exchange, ...]

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        listed = [
            {"asked": one.asked, "last": one.last, "completion": one.completion.to_dict()}
            for one in self.exchanges
        ]
        text = json.dumps({"format": FORMAT, "exchanges": listed}, indent=1, ensure_ascii=False)
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(text + "\n", encoding="utf-8")
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> Transcript:
        """The transcript that :meth:`save` wrote; raises ``ValueError`` on anything else."""
        data = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise ValueError(f"{path} is no transcript of format {FORMAT}")
        listed = cast("list[Mapping[str, Any]]", data["exchanges"])
        return cls(
            exchanges=tuple(
                Exchange(asked=one["asked"], last=one["last"],
                         completion=Completion.from_dict(one["completion"]))
                for one in listed
            )
        )  # fmt: skip


def asked(body: Mapping[str, Any]) -> str:
    """Hash of what decides an answer in a request's body: tools, schema and messages."""
    telling = {key: body.get(key) for key in ("tools", "response_format", "messages")}
    text = json.dumps(telling, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class Recording:
    """A model that writes down what passes through it. Safe to share between threads."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self._exchanges: list[Exchange] = []
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The model's."""
        return self._model.name

    def describe(self) -> Mapping[str, Any]:
        """The model's."""
        return self._model.describe()

    def complete(self, request: Request, listener: Listener | None = None) -> Completion:
        """Ask the model and write down what it says."""
        completion = self._model.complete(request, listener)
        last = request.messages[-1].content if request.messages else ""
        body = request_body(request, self.name)
        with self._lock:
            one = Exchange(asked=asked(body), last=last, completion=completion)
            self._exchanges.append(one)
        return completion

    @property
    def transcript(self) -> Transcript:
        """What was written down so far."""
        with self._lock:
            return Transcript(exchanges=tuple(self._exchanges))


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One way in which a server fails to answer."""

    kind: Literal["status", "hang", "cut", "garbage", "flood"]
    """``status``: an HTTP error; ``hang``: silence for ``seconds``; ``cut``: the connection closes
    in the middle of the answer; ``garbage``: an answer that is none; ``flood``: one without end."""
    status: int = 500
    retry_after: str = ""
    """Of a ``status``: the Retry-After header."""
    seconds: float = 5.0
    message: str = "injected"
    """What the error says."""


@dataclass(slots=True)
class TranscriptServer:
    """Serves a transcript on a port of this machine; use it with ``with``.

    Args:
        transcript: requests are found by :func:`asked`. One that was recorded several times is
            answered in their order, the last again and again. Unknown ones get status 404.
        faults: what happens to the first requests instead of an answer; None in it is an answer.
        key: requests must carry it as a bearer token; empty for none.
    """

    transcript: Transcript
    faults: Sequence[Fault | None] = ()
    key: str = ""
    bodies: list[bytes] = field(default_factory=list[bytes], init=False)
    """Every request's body as it came, for tests of what a client sends."""
    _server: Any = field(default=None, init=False)
    _closing: threading.Event = field(default_factory=threading.Event, init=False)
    _given: dict[str, int] = field(default_factory=dict[str, int], init=False)
    _lock: Any = field(default_factory=threading.Lock, init=False)

    @property
    def url(self) -> str:
        """Where the API begins, ending in ``/v1``."""
        host, port = self._server.server_address[:2]
        return f"http://{host}:{port}/v1"

    def __enter__(self) -> TranscriptServer:
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        poll = {"poll_interval": 0.02}
        threading.Thread(target=self._server.serve_forever, kwargs=poll, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def take(self, content: bytes) -> Fault | Completion | str:
        """What a request gets; a text says why there is nothing for it."""
        with self._lock:
            number = len(self.bodies)
            self.bodies.append(content)
            fault = self.faults[number] if number < len(self.faults) else None
            if fault is not None:
                return fault
            try:
                key = asked(json.loads(content))
            except (ValueError, AttributeError):
                return "the body is no JSON object"
            there = [one for one in self.transcript.exchanges if one.asked == key]
            if not there:
                return f"no exchange {key} was recorded"
            turn = self._given.get(key, 0)
            self._given[key] = turn + 1
            return there[min(turn, len(there) - 1)].completion


class _Handler(BaseHTTPRequestHandler):
    owner: TranscriptServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: this is a part of tests."""

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path != "/v1/chat/completions":
            return self._error(404, f"there is nothing at {self.path}")
        key = self.owner.key
        if key and self.headers.get("Authorization") != f"Bearer {key}":
            said = self.headers.get("Authorization", "")
            return self._error(401, f"incorrect key provided: {said}")  # as hosts do, alas
        found = self.owner.take(content)
        if isinstance(found, str):
            return self._error(404, found)
        if isinstance(found, Fault):
            return self._fail(found)
        body = json.loads(content)
        if body.get("stream"):
            self._stream(found, body.get("model", ""))
            return None
        return self._json(200, answer_body(found, body.get("model", "")))

    def _json(self, status: int, value: Any, headers: Mapping[str, str] | None = None) -> None:
        content = json.dumps(value, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(content)

    def _error(self, status: int, message: str, retry_after: str = "") -> None:
        headers = {"Retry-After": retry_after} if retry_after else {}
        self._json(status, {"error": {"message": message, "type": "recorded"}}, headers)

    def _stream(self, completion: Completion, model: str, most: int | None = None) -> None:
        self._begin_stream()
        for chunk in answer_chunks(completion, model)[:most]:
            self._event(json.dumps(chunk, ensure_ascii=False))
        if most is None:
            self._event("[DONE]")

    def _begin_stream(self) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b": a comment, as hosts send to keep a connection open\n\n")

    def _event(self, text: str) -> None:
        self.wfile.write(f"data: {text}\n\n".encode())
        self.wfile.flush()

    def _fail(self, fault: Fault) -> None:
        if fault.kind == "status":
            return self._error(fault.status, fault.message, fault.retry_after)
        self.close_connection = True
        if fault.kind == "hang":
            self.owner._closing.wait(fault.seconds)
        elif fault.kind == "cut":
            self._stream(Completion(text="this text is never finished"), "", most=3)
        elif fault.kind == "garbage":
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "9")
            self.end_headers()
            self.wfile.write(b'{"choices')
        else:
            self._begin_stream()
            started = time.monotonic()
            try:
                while not self.owner._closing.is_set() and time.monotonic() - started < 60.0:
                    self.wfile.write(b"data: " + b"x" * 65536)
            except OSError:  # the client had enough
                return None
        return None
