"""A websocket server for one policy: who may connect, how much at a time, on which interface.

What is said over a connection is a :class:`Dialogue`: :mod:`enactive.serving.openpi` or
:mod:`enactive.serving.vla_eval`. The policy decides in one thread, one request at a time, so it
need not be safe to call from several; each connection has its own episodes.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import ipaddress
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import Any, Protocol, TypeVar

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.http11 import Request, Response

from enactive.serving.arrays import Limits

T = TypeVar("T")
Think = Callable[[Callable[[], T]], Awaitable[T]]
"""Runs a function in the policy's thread."""
SHORTEST_TOKEN = 16
"""Characters that a token must have at least."""

logger = logging.getLogger(__name__)


class Dialogue(Protocol):
    """What is said over one kind of connection."""

    @property
    def pages(self) -> Mapping[str, tuple[str, str]]:
        """Path of a plain GET to its content type and text: the health check."""
        ...

    async def converse(
        self, connection: ServerConnection, think: Think[Any], limits: Limits
    ) -> None:
        """Answer one client until it leaves."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Listening:
    """Where a server listens, and to whom.

    Raises:
        ValueError: another interface than loopback without a token, or a token that is too short.
    """

    host: str = "127.0.0.1"
    """Interface. Any but loopback needs a token."""
    port: int = 8000
    """TCP port; 0 takes a free one."""
    token: str = field(default="", repr=False)
    """What clients must show; empty asks for nothing."""
    connections: int = 16
    """Clients at a time; more are turned away."""
    limits: Limits = field(default_factory=Limits)
    """Bounds on each message."""

    def __post_init__(self) -> None:
        if self.token and len(self.token) < SHORTEST_TOKEN:
            raise ValueError(
                f"a token has at least {SHORTEST_TOKEN} characters; "
                'python -c "import secrets; print(secrets.token_urlsafe())" makes one'
            )
        if not self.token and not is_loopback(self.host):
            raise ValueError(
                f"host {self.host!r} is not this machine's loopback, so anybody who reaches it "
                "could use the policy. Fix: give a token, or listen on 127.0.0.1 and use a tunnel"
            )
        if self.connections < 1:
            raise ValueError(f"connections must be at least 1, got {self.connections}")


def is_loopback(host: str) -> bool:
    """Whether ``host`` is ``localhost`` or an address of the loopback interface."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class PolicyServer:
    """Serves one dialogue.

    As a context manager it listens in a thread of its own and :attr:`address` says where;
    :meth:`run` listens in this thread until it is interrupted.
    """

    def __init__(self, listening: Listening, dialogue: Dialogue) -> None:
        self.listening = listening
        self.dialogue = dialogue
        self.address: tuple[str, int] = (listening.host, listening.port)
        self._open = 0
        self._thread: threading.Thread | None = None
        self._stop: Callable[[], None] = lambda: None

    @property
    def url(self) -> str:
        """``ws://HOST:PORT``."""
        host, port = self.address
        return f"ws://[{host}]:{port}" if ":" in host else f"ws://{host}:{port}"

    def run(self, ready: Callable[[str], None]) -> None:
        """Listen until interrupted; ``ready`` is told the URL once clients may come."""

        async def forever() -> None:
            await self._listen(lambda: ready(self.url), asyncio.Event())

        asyncio.run(forever())

    def __enter__(self) -> PolicyServer:
        started: Future[None] = Future()

        async def until_stopped() -> None:
            stop, loop = asyncio.Event(), asyncio.get_running_loop()

            def end() -> None:
                loop.call_soon_threadsafe(stop.set)

            self._stop = end
            await self._listen(lambda: started.set_result(None), stop)

        def listen() -> None:
            try:
                asyncio.run(until_stopped())
            except BaseException as error:
                if started.done():
                    raise
                started.set_exception(error)

        self._thread = threading.Thread(target=listen, name="policy-server", daemon=True)
        self._thread.start()
        started.result()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()
        if self._thread is not None:
            self._thread.join()

    async def _listen(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        loop, limits = asyncio.get_running_loop(), self.listening.limits
        with ThreadPoolExecutor(1, "policy") as executor:

            async def think(work: Callable[[], T]) -> T:
                return await loop.run_in_executor(executor, work)

            async def handle(connection: ServerConnection) -> None:
                if self._open >= self.listening.connections:  # several were admitted at once
                    await connection.close(CloseCode.TRY_AGAIN_LATER, "Too many clients.")
                    return
                self._open += 1
                try:
                    with suppress(ConnectionClosed):  # a client that vanishes ends its episodes
                        await self.dialogue.converse(connection, think, limits)
                finally:
                    self._open -= 1

            server: Server
            async with serve(
                handle,
                self.listening.host,
                self.listening.port,
                process_request=self._admit,
                origins=[None],  # programs send no Origin; a page in somebody's browser does
                compression=None,
                max_size=limits.message_bytes,
                max_queue=1,
                # Simulators hold their client's event loop for long; death is told by TCP anyway.
                ping_interval=30,
                ping_timeout=600,
                logger=logger,
            ) as server:
                self.address = tuple(server.sockets[0].getsockname()[:2])
                ready()
                await stop.wait()

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer health checks, turn away who may not come, let the others through."""
        page = self.dialogue.pages.get(request.path.partition("?")[0])
        if page is not None:
            response = connection.respond(HTTPStatus.OK, page[1])
            del response.headers["Content-Type"]
            response.headers["Content-Type"] = page[0]
            return response
        shown = request.headers.get_all("Authorization")
        if self.listening.token and not any(_opens(s, self.listening.token) for s in shown):
            return connection.respond(
                HTTPStatus.UNAUTHORIZED, "a token is needed: Authorization: Api-Key TOKEN\n"
            )
        if self._open >= self.listening.connections:
            return connection.respond(
                HTTPStatus.SERVICE_UNAVAILABLE, f"{self._open} clients are connected already\n"
            )
        return None


def _opens(header: str, token: str) -> bool:
    """Whether an Authorization header shows the token: as an API key (openpi's client), a bearer
    token, or the password of a URL (``ws://user:TOKEN@host``, which vla-eval's client sends)."""
    scheme, _, shown = header.strip().partition(" ")
    if scheme.lower() == "basic":
        try:
            shown = base64.b64decode(shown, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return False
    elif scheme.lower() not in ("api-key", "bearer"):
        return False
    return hmac.compare_digest(shown.encode(), token.encode())
