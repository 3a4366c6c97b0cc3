"""The browser's process: how it is started, and that it is gone afterwards."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import signal
import time
from pathlib import Path
from urllib.parse import urlsplit

STEADY = (
    "--disable-gpu",
    "--disable-lcd-text",
    "--disable-partial-raster",
    "--disable-skia-runtime-opts",
    "--disable-smooth-scrolling",
    "--font-render-hinting=none",
    "--force-color-profile=srgb",
    "--force-prefers-reduced-motion",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--hide-scrollbars",
    "--mute-audio",
)
"""Flags for pictures that are the same on every run: drawn by the CPU, no sub-pixel text, no
animation."""

LOCAL = ("localhost", "127.0.0.1", "[::1]")


def flags(hosts: tuple[str, ...], token: str) -> list[str]:
    """Command line of a browser that reaches this machine and ``hosts`` and nothing else.

    Names of other hosts are not resolved, and whatever would leave anyway goes to a proxy that is
    not there. ``token`` marks the process, so that it can be found again.
    """
    reachable = (*LOCAL, *hosts)
    rules = ", ".join(["MAP * ~NOTFOUND", *(f"EXCLUDE {host}" for host in reachable)])
    return [
        *STEADY,
        f"--host-resolver-rules={rules}",
        "--proxy-server=http://127.0.0.1:9",
        f"--proxy-bypass-list={';'.join(reachable)}",
        f"--enactive-browser={token}",
    ]


def check_address(url: str, hosts: tuple[str, ...]) -> None:
    """Refuse an address that the browser shall not open.

    Raises:
        ValueError: naming the host and the fix.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" or url == "about:blank":
        return
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"url: {url!r} is no file:, http: or https: address")
    host = parts.hostname or ""
    if host == "localhost" or host in hosts:
        return
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(host).is_loopback:
            return
    raise ValueError(
        f"url: {host!r} is not on this machine; if pages of that host shall be opened, "
        f"add it to the browser's configuration: hosts=({host!r},)"
    )


def marked(token: str) -> list[int]:
    """Process ids of the running browsers that carry ``token``."""
    found: list[int] = []
    flag = f"--enactive-browser={token}".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if flag in (entry / "cmdline").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return sorted(found)


def profile(pid: int) -> Path | None:
    """The folder that playwright has made for a browser's files; ``None`` if it is not its."""
    with contextlib.suppress(OSError):
        for part in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
            if part.startswith(b"--user-data-dir="):
                found = Path(part.partition(b"=")[2].decode())
                return found if found.name.startswith("playwright_") else None
    return None


def parent(pid: int) -> int:
    """Process id of the parent; 0 where there is none any more."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        stat = Path(f"/proc/{pid}/stat").read_text()
        return int(stat.rpartition(")")[2].split()[1])
    return 0


def end(token: str, driver: int = 0, patience: float = 5.0) -> None:
    """Kill the browser that carries ``token`` with all its processes, and its driver.

    Args:
        token: as in :func:`flags`.
        driver: process id of playwright's driver, which is killed too; 0 if it has ended.
        patience: seconds to wait for the processes to be gone.
    """
    for pid in marked(token):
        with contextlib.suppress(OSError):
            group = os.getpgid(pid)
            # The driver gives the browser a process group of its own; never end ours.
            if group != os.getpgrp():
                os.killpg(group, signal.SIGKILL)
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    if driver:
        with contextlib.suppress(OSError):
            os.kill(driver, signal.SIGKILL)
    deadline = time.monotonic() + patience
    while marked(token) and time.monotonic() < deadline:
        time.sleep(0.02)
