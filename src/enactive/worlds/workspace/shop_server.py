"""The shop over HTTP: the machine of :mod:`~enactive.worlds.workspace.shop`, kept in a database.

A real server for agents whose effects outlive them. Sessions keep the shops of different runs
apart; a request, its effect and its reply are committed together, so that a request that comes
again under its ``Idempotency-Key`` (draft-ietf-httpapi-idempotency-key-header) gets the first reply
and does nothing, also after the server was killed::

    PUT  /sessions/NAME              the state at the start; changes nothing if there is one already
    GET  /sessions/NAME              the state now, replies and effects included
    POST /sessions/NAME/OPERATION    arguments as JSON; gives {"value": ...}, or 409 {"error": ...}

Serve one with ``python -m enactive.worlds.workspace.shop_server shop.sqlite --port 8008``. It
listens on the loopback address only, and knows no passwords: it is a test's counterpart.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from enactive.actions.toolbox import ToolError
from enactive.worlds.workspace.shop import OPERATIONS

_BY_NAME = {operation.tool.name: operation for operation in OPERATIONS}
LONGEST = 1_000_000
"""Bytes of a request."""


class ShopServer:
    """A running server; made with ``ShopServer.Config(...).build()``, a context manager."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """Configuration of :class:`ShopServer`."""

        database: Path
        """SQLite file; made if it is not there."""
        port: int = 0
        """Port on 127.0.0.1; 0 takes a free one."""
        reply_after: float = 0.0
        """Seconds between an effect and its reply, so that whoever asked may die in between."""

        def build(self) -> ShopServer:
            """The server, which answers from now on."""
            return ShopServer(self)

    def __init__(self, config: Config) -> None:
        store = _Store(config.database)

        class Handler(_Handler):
            def answer(self, make: Callable[[_Store], tuple[int, Any]]) -> None:
                status, reply = make(store)
                time.sleep(config.reply_after)
                self.reply(status, reply)

        self._server = ThreadingHTTPServer(("127.0.0.1", config.port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """E.g. ``"http://127.0.0.1:8008"``."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stop. May be called twice."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> ShopServer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class _Store:
    """Sessions in SQLite, one transaction a request."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with closing(self._open()) as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("CREATE TABLE IF NOT EXISTS sessions (name PRIMARY KEY, state TEXT)")

    def _open(self) -> sqlite3.Connection:
        # One connection a request: a handler's thread ends with it.
        return sqlite3.connect(self._path, timeout=30, isolation_level=None)

    def put(self, name: str, state: Any) -> tuple[int, Any]:
        """Begin a session that is not there."""
        with closing(self._open()) as database:
            row = (name, json.dumps(state))
            made = database.execute("INSERT OR IGNORE INTO sessions VALUES (?, ?)", row).rowcount
        return (201 if made else 200), {"session": name}

    def get(self, name: str) -> tuple[int, Any]:
        """The state of a session."""
        with closing(self._open()) as database:
            state = _state(database, name)
        return _MISSING if state is None else (200, state)

    def post(self, name: str, operation: str, arguments: Any, key: str) -> tuple[int, Any]:
        """Do one operation."""
        if operation not in _BY_NAME:
            return 404, {"error": f"there is no operation {operation!r}"}
        if problem := _BY_NAME[operation].tool.check_arguments(arguments):
            return 400, {"error": problem}
        with closing(self._open()) as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                state = _state(database, name)
                if state is None:
                    return _MISSING
                try:
                    reply = 200, {"value": _BY_NAME[operation](state, arguments, key)}
                except ToolError as error:
                    reply = 409, {"error": str(error)}
                row = (json.dumps(state), name)
                database.execute("UPDATE sessions SET state = ? WHERE name = ?", row)
                database.execute("COMMIT")
                return reply
            finally:
                if database.in_transaction:
                    database.execute("ROLLBACK")


_MISSING = (404, {"error": "there is no such session; PUT it first"})


def _state(database: sqlite3.Connection, name: str) -> Any:
    row = database.execute("SELECT state FROM sessions WHERE name = ?", (name,)).fetchone()
    return None if row is None else json.loads(row[0])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, make: Callable[[_Store], tuple[int, Any]]) -> None:
        raise NotImplementedError

    def do_PUT(self) -> None:
        self._dispatch(2, lambda store, parts, body: store.put(parts[1], body))

    def do_GET(self) -> None:
        self._dispatch(2, lambda store, parts, body: store.get(parts[1]))

    def do_POST(self) -> None:
        key = self.headers.get("Idempotency-Key", "")
        self._dispatch(3, lambda store, parts, body: store.post(parts[1], parts[2], body, key))

    def _dispatch(self, count: int, make: Callable[[_Store, list[str], Any], Any]) -> None:
        parts = [part for part in self.path.split("/") if part]
        length = int(self.headers.get("Content-Length", 0))
        if len(parts) != count or parts[0] != "sessions" or length > LONGEST:
            self.close_connection = True  # what it sent has not been read
            self.reply(404, {"error": f"nothing at {self.path!r}"})
            return
        try:
            body = json.loads(self.rfile.read(length) or b"{}")
        except ValueError:
            self.reply(400, {"error": "the body is no JSON"})
            return
        self.answer(lambda store: make(store, parts, body))

    def reply(self, status: int, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="Serve the workspace's shop on the loopback.")
    parser.add_argument("database", type=Path, help="SQLite file that keeps the shops")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--reply-after", type=float, default=0.0, help="seconds")
    given = parser.parse_args()
    config = ShopServer.Config(
        database=given.database, port=given.port, reply_after=given.reply_after
    )
    with config.build() as server:
        print(server.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
