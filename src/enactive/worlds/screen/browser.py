"""A real browser that executes screen actions: Chromium, driven by playwright.

One page of a fixed size at a time, one pixel per CSS pixel, no animations, and page time that
stands still except while :meth:`Browser.advance` lets it pass. Playwright runs in a thread of its
own, so a browser can be used from any thread, with or without a running event loop. Every wait is
bounded: what takes longer than it may ends the browser and raises :class:`BrowserError`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import shutil
import threading
import uuid
import weakref
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from enactive.actions.digital import ScreenSpace
from enactive.worlds.screen.chromium import check_address, end, flags, marked, parent, profile
from enactive.worlds.screen.page_time import page_script

_T = TypeVar("_T")

NETSCAPE = 946_684_800_000
"""1 January 2000, 00:00 UTC, in ms: when pages take their time to begin."""


class BrowserError(RuntimeError):
    """The browser or its page failed; the message says what to do. The browser has been ended."""


class Browser:
    """One page in one browser; made with ``Browser.Config(...).build()``. Close it."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """Configuration of :class:`Browser`."""

        width: int = 1280
        """Of the page, px."""
        height: int = 800
        """Of the page, px."""
        executable: str = "/usr/bin/chromium"
        """Where Chromium is."""
        hosts: tuple[str, ...] = ()
        """Hosts beside this machine whose pages may be opened, e.g. ``("example.org",)``. All
        others cannot be reached from inside the browser, not by its pages either."""
        epoch_ms: int = NETSCAPE
        """The time at which pages begin, ms since 1970. Their time zone is UTC."""
        timeout: float = 20.0
        """Seconds that one action, picture or page may take."""
        start_timeout: float = 60.0
        """Seconds that the browser may take to start."""

        def build(self) -> Browser:
            """Start the browser.

            Raises:
                BrowserError: playwright or Chromium is missing, or it does not start.
                ValueError: a size or a time is out of range.
            """
            return Browser(self)

    def __init__(self, config: Config) -> None:
        if config.timeout <= 0 or config.start_timeout <= 0:
            raise ValueError("timeout and start_timeout are seconds, above 0")
        self.space = ScreenSpace(width=config.width, height=config.height)  # checks the sizes
        self.config = config
        self._inside = _Inside(config)
        self._closer = weakref.finalize(self, self._inside.close)
        try:
            self._do(self._inside.start(), "starting the browser", config.start_timeout)
        except BaseException:
            self.close()
            raise

    @property
    def version(self) -> str:
        """Of Chromium, e.g. ``"156.0.8078.79"``."""
        return self._inside.version

    @property
    def alive(self) -> bool:
        """Whether it can still be used: neither closed, nor crashed, nor ended."""
        return self._closer.alive and not self._inside.broken

    @property
    def notes(self) -> tuple[str, ...]:
        """What happened beside the page since it was opened, in words: dialogs that were
        dismissed, windows that were closed, errors in the page's scripts."""
        return tuple(self._inside.notes)

    def open(self, url: str, seed: int = 0) -> None:
        """Open a page in a window without history: no cookies, no storage, pointer at (0, 0).

        Args:
            url: a file, this machine, or one of ``config.hosts``.
            seed: of the page's ``Math.random``.

        Raises:
            ValueError: the address is not allowed.
            BrowserError: the page did not load.
        """
        check_address(url, self.config.hosts)
        self._do(self._inside.open(url, seed), f"opening {url}")

    def execute(self, action: Mapping[str, Any], seconds: float = 0.0) -> None:
        """Execute an action of ``space``, and let page time pass after it.

        Raises:
            ValueError: the action is outside the space; nothing was done.
        """
        if problem := self.space.problem(action):
            raise ValueError(f"screen action: {problem}")
        self._do(self._inside.execute(action, 1000 * seconds), f"executing {action['do']}")

    def advance(self, seconds: float) -> None:
        """Let page time pass: timers, animation frames and intervals run in order."""
        self._do(self._inside.advance(1000 * seconds), f"letting {seconds:g} s pass")

    def screenshot(self, width: int | None = None, height: int | None = None) -> NDArray[np.uint8]:
        """The page, or its upper left ``width`` by ``height`` px: ``uint8 (H, W, 3)``, RGB."""
        size = (width or self.config.width, height or self.config.height)
        return self._do(self._inside.screenshot(*size), "taking a picture")

    def evaluate(self, script: str, argument: Any = None) -> Any:
        """Value of a JavaScript expression, or of a function called with ``argument``: JSON."""
        return self._do(self._inside.evaluate(script, argument), "running a script")

    def ask(self, method: str, parameters: Mapping[str, Any] | None = None) -> Any:
        """Answer of the browser's own protocol, e.g. to ``"Accessibility.getFullAXTree"``."""
        return self._do(self._inside.ask(method, dict(parameters or {})), method)

    def close(self) -> None:
        """End the browser and all its processes. May be called twice."""
        self._closer()

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _do(self, work: Coroutine[Any, Any, _T], what: str, limit: float | None = None) -> _T:
        if not self.alive:
            work.close()
            why = self._inside.broken or "the browser was closed"
            raise BrowserError(f"{what}: {why}; build another one")
        limit = limit or self.config.timeout
        try:
            return self._inside.wait(work, limit)
        except (TimeoutError, FutureTimeout) as error:
            self.close()
            raise BrowserError(
                f"{what} took longer than {limit:g} s (a page that computes without end?); the "
                "browser was ended. Raise its timeout if the machine is slow"
            ) from error
        except (ValueError, BrowserError):
            raise
        except Exception as error:
            self.close()
            raise BrowserError(f"{what}: {str(error).splitlines()[0]}") from error


@dataclass(eq=False)
class _Inside:
    """Everything of a browser that lives in its thread; knows nothing of :class:`Browser`, so that
    it cannot keep it alive."""

    config: Browser.Config
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    version: str = ""
    broken: str = ""
    notes: list[str] = field(default_factory=list[str])
    playwright: Any = None
    browser: Any = None
    context: Any = None
    page: Any = None
    cdp: Any = None
    driver: int = 0
    profile: Path | None = None

    def __post_init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._serve, name="enactive-browser", daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def wait(self, work: Coroutine[Any, Any, _T], limit: float) -> _T:
        future = asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, limit), self.loop)
        try:
            return future.result(limit + 5.0)
        except BaseException:
            future.cancel()
            raise

    async def start(self) -> None:
        try:
            from playwright.async_api import async_playwright
        except ImportError as error:
            raise BrowserError(
                "playwright is not installed; pip install 'enactive[screen]'"
            ) from error
        where = self.config.executable
        if not Path(where).exists():
            raise BrowserError(
                f"there is no Chromium at {where}: install it (Debian: apt-get install chromium) "
                "or give executable="
            )
        self.playwright = await async_playwright().start()
        import os

        self.browser = await self.playwright.chromium.launch(
            executable_path=where,
            headless=True,
            args=flags(self.config.hosts, self.token),
            # Chromium refuses to run its sandbox as root.
            chromium_sandbox=os.geteuid() != 0,
            handle_sigint=False, handle_sigterm=False, handle_sighup=False,
            timeout=1000 * self.config.start_timeout,
        )  # fmt: skip
        self.version = self.browser.version
        for pid in marked(self.token)[:1]:
            self.driver, self.profile = parent(pid), profile(pid)
        self.browser.on("disconnected", self._browser_ended)

    def _browser_ended(self, _: Any) -> None:
        self.broken = self.broken or "the browser's process ended"

    def _page_crashed(self, _: Any) -> None:
        self.broken = self.broken or "the page crashed"

    def _page_error(self, error: Any) -> None:
        self._note(f"error: {error}")

    async def open(self, url: str, seed: int) -> None:
        if self.context is not None:
            await self.context.close()
        self.notes = []
        config = self.config
        self.context = await self.browser.new_context(
            viewport={"width": config.width, "height": config.height},
            device_scale_factor=1,
            reduced_motion="reduce",
            locale="en-US",
            timezone_id="UTC",
            accept_downloads=False,
            service_workers="block",
        )
        self.context.set_default_timeout(1000 * config.timeout)
        self.page = await self.context.new_page()
        self.context.on("page", self._close_window)
        self.page.on("dialog", self._dismiss)
        self.page.on("pageerror", self._page_error)
        self.page.on("crash", self._page_crashed)
        await self.page.add_init_script(page_script(config.epoch_ms, seed))
        self.cdp = await self.context.new_cdp_session(self.page)
        await self.page.goto(url, wait_until="load")
        await self.page.mouse.move(0, 0)
        await self._settle()

    def _note(self, text: str) -> None:
        if len(self.notes) < 100:
            self.notes.append(text.splitlines()[0][:500] if text else "")

    async def _dismiss(self, dialog: Any) -> None:
        self._note(f"dismissed a dialog: {dialog.message}")
        with contextlib.suppress(Exception):  # the page may have gone with it
            await dialog.dismiss()

    async def _close_window(self, page: Any) -> None:
        self._note(f"closed a new window: {page.url}")
        with contextlib.suppress(Exception):
            await page.close()

    async def execute(self, action: Mapping[str, Any], span: float) -> None:
        mouse, keyboard = self.page.mouse, self.page.keyboard
        if "x" in action:
            # The pointer arrives before it presses: what it hovers over may change under it.
            await mouse.move(action["x"], action["y"])
            await self._settle()
        match action["do"]:
            case "click":
                await mouse.click(action["x"], action["y"])
            case "double_click":
                await mouse.dblclick(action["x"], action["y"])
            case "right_click":
                await mouse.click(action["x"], action["y"], button="right")
            case "drag":
                await mouse.down()
                # A short move, because pages take a single jump for no drag at all, and the rest
                # in one: a button held beyond the edge of a scrolled box scrolls it, for as long
                # as it is held on this machine.
                x, y = action["x"], action["y"]
                across, down = action["to_x"] - x, action["to_y"] - y
                share = min(1.0, 4 / max(abs(across), abs(down), 1))
                await mouse.move(x + share * across, y + share * down)
                await mouse.move(action["to_x"], action["to_y"])
                await mouse.up()
            case "type":
                await keyboard.type(action["text"])
            case "scroll":
                await mouse.wheel(action["dx"], action["dy"])
                await self._settle()  # the page hears of it with the next frame
            case "keys":
                await self._press(action["keys"])
            case _:  # "move" is done; "wait": time passes after every action
                pass
        await self.advance(span)

    async def _press(self, keys: Sequence[str]) -> None:
        held: list[str] = []
        try:
            for key in keys:
                await self.page.keyboard.down(key)
                held.append(key)
        finally:
            for key in reversed(held):
                await self.page.keyboard.up(key)

    async def advance(self, span: float) -> None:
        for frame in self.page.frames if span > 0 else ():
            await self._in_page("span => __enactive.advance(span)", span, frame)
        await self._settle()

    async def _settle(self) -> None:
        """Wait for pictures that load and for the next frame, of this machine's time."""
        await self._in_page("() => __enactive.settle()")

    async def _in_page(self, script: str, argument: Any = None, frame: Any = None) -> Any:
        """Evaluate; once more where a navigation took the document away."""
        from playwright.async_api import Error

        try:
            return await (frame or self.page).evaluate(script, argument)
        except Error as error:
            gone = ("context was destroyed", "navigat", "Frame was detached")
            if not any(word in error.message for word in gone):
                raise
            await self.page.wait_for_load_state("load")
            return await self.page.evaluate(script, argument)

    async def evaluate(self, script: str, argument: Any) -> Any:
        return await self._in_page(script, argument)

    async def ask(self, method: str, parameters: dict[str, Any]) -> Any:
        return await self.cdp.send(method, parameters)

    async def screenshot(self, width: int, height: int) -> NDArray[np.uint8]:
        from PIL import Image

        shot = await self.cdp.send(
            "Page.captureScreenshot",
            {
                "format": "png",
                "optimizeForSpeed": True,
                "clip": {"x": 0, "y": 0, "width": width, "height": height, "scale": 1},
            },
        )
        with Image.open(io.BytesIO(base64.b64decode(shot["data"]))) as picture:
            return np.array(picture.convert("RGB"), np.uint8)

    def close(self) -> None:
        """End everything; nothing is raised, and nothing is left."""
        if self.loop.is_closed():
            return
        with contextlib.suppress(Exception):
            self.wait(self._stop(), 5.0)
        end(self.token, self.driver if marked(self.token) else 0)
        if self.profile is not None:  # playwright removes it, unless it was killed
            shutil.rmtree(self.profile, ignore_errors=True)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5.0)
        if not self.thread.is_alive():
            self.loop.close()

    async def _stop(self) -> None:
        if self.browser is not None and not self.broken:
            await self.browser.close()
        if self.playwright is not None:
            await self.playwright.stop()
