"""Check that the system libraries which no Python package ships are here, or install them.

Run by ``make`` before anything renders. It needs nothing but the standard library:

    python3 scripts/system_libraries.py            # what rendering needs
    python3 scripts/system_libraries.py --tests    # and what the tests need: a browser, a sandbox

A missing library is installed with ``apt-get`` where this runs as root on a Debian-like system;
anywhere else the message names the packages and nothing is changed.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@dataclass(frozen=True)
class Need:
    """Something of the system that is used, and the packages that bring it."""

    what: str
    here: Callable[[], bool]
    debian: tuple[str, ...]
    fedora: tuple[str, ...]


def loads(library: str) -> bool:
    """Whether the dynamic linker finds ``library``."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


RENDERING = (
    Need(
        "libEGL (off-screen rendering of MuJoCo worlds)",
        lambda: loads("libEGL.so.1"),
        ("libegl1", "libgl1-mesa-dri"),
        ("mesa-libEGL", "mesa-dri-drivers"),
    ),
    Need("libGL (OpenCV)", lambda: loads("libGL.so.1"), ("libgl1",), ("mesa-libGL",)),
    Need("GLib (OpenCV)", lambda: loads("libgthread-2.0.so.0"), ("libglib2.0-0",), ("glib2",)),
)
SANDBOX = (
    Need(
        "bubblewrap (programs of agents run in it)",
        lambda: shutil.which("bwrap") is not None,
        ("bubblewrap",),
        ("bubblewrap",),
    ),
)
BROWSER = (
    Need(
        "Chromium (the tests open the report in it)",
        lambda: any(shutil.which(name) for name in BROWSERS),
        ("chromium",),
        ("chromium",),
    ),
)


def main() -> int:
    """Check, install where that is possible, and say what is missing; 1 if something still is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tests", action="store_true", help="Chromium and bubblewrap too")
    needs = RENDERING + (BROWSER + SANDBOX if parser.parse_args().tests else ())
    missing = [need for need in needs if not need.here()]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        packages = [name for need in missing for name in need.debian]
        print("installing system packages:", " ".join(packages), flush=True)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
        for command in (["apt-get", "update", "-qq"], install):
            subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)
        missing = [need for need in needs if not need.here()]
    if not missing:
        return 0
    print("These are missing on this system:", file=sys.stderr)
    for need in missing:
        print(f"  - {need.what}", file=sys.stderr)
    debian = " ".join(name for need in missing for name in need.debian)
    fedora = " ".join(name for need in missing for name in need.fedora)
    print(f"Debian or Ubuntu:  sudo apt-get install {debian}", file=sys.stderr)
    print(f"Fedora:            sudo dnf install {fedora}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
