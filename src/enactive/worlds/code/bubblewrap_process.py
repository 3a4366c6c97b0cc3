"""The process behind a bubblewrap sandbox: started, spoken to within bounds, and killed."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from enactive.actions.tools import FailureKind
from enactive.worlds.code.sandbox.seccomp import ARCHITECTURES

SANDBOX = Path(__file__).parent / "sandbox"


class Broken(Exception):
    """The program cannot go on and its process must be killed."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(message)
        self.kind: FailureKind = kind


class SandboxProcess:
    """One process. Frames are JSON, one a line, in both directions; what it prints is apart."""

    def __init__(
        self, command: Sequence[str], settings: dict[str, Any], output: int, frame_mb: int
    ) -> None:
        """Start it.

        Args:
            command: as :func:`sandbox_command` made it, and the interpreter.
            settings: for the driver; where it writes its frames is added.
            output: most characters that may be printed; whoever reads ``printed`` empties it.
            frame_mb: largest frame, 10⁶ bytes.
        """
        self.printed = b""
        self._output, self._frame_mb = output, frame_mb
        self._inbox = b""
        self._reply, into = os.pipe()
        driver = ("/sandbox/driver.py", json.dumps({**settings, "into": into}))
        try:
            self._process = subprocess.Popen(
                (*command, *FLAGS, *driver),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(into,),
                env={},
                start_new_session=True,
            )
        except BaseException:
            os.close(self._reply)
            raise
        finally:
            os.close(into)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        for descriptor in (self._reply, self._in.fileno(), self._out.fileno()):
            os.set_blocking(descriptor, False)

    @property
    def pid(self) -> int:
        """The process on this side of the sandbox."""
        return self._process.pid

    def text(self) -> str:
        """What was printed."""
        return self.printed.decode("utf-8", "replace")

    def talk(self, message: bytes, seconds: float) -> tuple[dict[str, Any], float]:
        """Write a message and read one frame; the frame, and the seconds that are left.

        Raises:
            Broken: it has died, takes too long, says or prints too much, or what it says is no
                frame.
        """
        outbox = memoryview(message)
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._reply, selectors.EVENT_READ)
            selector.register(self._out, selectors.EVENT_READ)
            if outbox:
                selector.register(self._in, selectors.EVENT_WRITE)
            while b"\n" not in self._inbox:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Broken("timeout", "it took too long")
                for key, _ in selector.select(left):
                    if key.fd == self._reply:
                        self._inbox += self._read()
                    elif key.fileobj is self._out:
                        if not self._print():
                            selector.unregister(self._out)
                    else:
                        try:
                            outbox = outbox[os.write(key.fd, outbox[:65536]) :]
                        except BrokenPipeError as error:
                            raise Broken("error", "the interpreter died") from error
                        if not outbox:
                            selector.unregister(self._in)
                if len(self._inbox) > self._frame_mb * 1_000_000:
                    raise Broken("budget", f"a message has more than {self._frame_mb} MB")
        left = deadline - time.monotonic()
        self._print()
        line, _, rest = self._inbox.partition(b"\n")
        self._inbox = b""
        if rest:
            raise Broken("error", FORGED)
        return _parsed(line), left

    def listens(self, seconds: float = 1.0) -> bool:
        """Whether it waits for a program, and not for something that an earlier one has left under
        way."""
        nonce = os.urandom(8).hex()
        try:
            frame, _ = self.talk(json.dumps({"ping": nonce}).encode() + b"\n", seconds)
        except Broken:
            return False
        return frame == {"pong": nonce}

    def kill(self) -> str:
        """End it and everything in its namespaces; how it had ended, if it had."""
        process = self._process
        code = process.poll()
        # The first process of the namespace goes first: once it has ended, the kernel has ended all
        # others there, and then bubblewrap itself ends.
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        with contextlib.suppress(OSError):
            for child in children.read_text().split():
                os.kill(int(child), signal.SIGKILL)
        try:
            process.wait(2.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(self._reply)
        with contextlib.suppress(BrokenPipeError):
            self._in.close()
        self._out.close()
        if code is None:
            return ""
        number = -code if code < 0 else code - 128
        names = {one.value: one.name for one in signal.Signals}
        return f"signal {names[number]}" if number in names else f"exit status {code}"

    def _read(self) -> bytes:
        data = os.read(self._reply, 65536)
        if not data:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1.0)
            raise Broken("error", "the interpreter died")
        return data

    def _print(self) -> bool:
        """Take what was printed; whether there may be more."""
        most = self._output
        while True:
            try:
                data = os.read(self._out.fileno(), 65536)
            except BlockingIOError:
                return True
            if not data:
                return False
            self.printed += data
            if len(self.printed) > 4 * most or len(self.text()) > most:
                self.printed = self.printed[: 4 * most]
                raise Broken("budget", f"the program printed more than {most} characters")


FORGED = "the program wrote to the pipe of its calls"

# Environment variables are read (hashes must not differ from run to run); nobody's packages are.
FLAGS = ("-s", "-S", "-B", "-X", "utf8")


def interpreter() -> str:
    """The Python that this one was made from, without its virtual environment."""
    return os.path.realpath(sys.executable)


def sandbox_command(files_mb: int) -> tuple[str, ...]:
    """The command before the interpreter.

    Raises:
        RuntimeError: there is no bubblewrap, it makes no namespaces, or the machine's system calls
            are not known.
    """
    found = shutil.which("bwrap")
    if found is None:
        raise RuntimeError(
            "programs in CPython need bubblewrap, and there is no 'bwrap' on the path; install it "
            "(Debian, Ubuntu, Fedora: the package 'bubblewrap'), or use the Monty executor"
        )
    if platform.machine() not in ARCHITECTURES:
        raise RuntimeError(
            f"the sandbox's filter knows the system calls of {', '.join(ARCHITECTURES)}, not of "
            f"{platform.machine()}; use the Monty executor"
        )
    command = [
        found, "--unshare-all", "--unshare-user", "--disable-userns", "--uid", "65534",
        "--gid", "65534", "--hostname", "sandbox", "--die-with-parent", "--new-session",
        "--cap-drop", "ALL", "--clearenv", "--setenv", "PYTHONHASHSEED", "0",
    ]  # fmt: skip
    prefix = os.path.realpath(sys.base_prefix)
    for path in (f"{prefix}/bin", f"{prefix}/lib", "/usr/lib", "/usr/lib64"):
        if os.path.isdir(path):
            command += ["--ro-bind", path, path]
    for path in ("/lib", "/lib64"):
        if os.path.islink(path):
            command += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            command += ["--ro-bind", path, path]
    for path in ("/dev/null", "/dev/urandom"):
        command += ["--dev-bind", path, path]
    command += ["--ro-bind", str(SANDBOX), "/sandbox"]
    command += ["--size", str(files_mb * 1_000_000), "--tmpfs", "/tmp"]
    command += ["--remount-ro", "/", "--chdir", "/tmp", "--"]
    probe = subprocess.run(
        [*command, interpreter(), *FLAGS, "-c", ""], capture_output=True, text=True, check=False
    )
    if probe.returncode != 0:
        raise RuntimeError(
            f"bubblewrap makes no sandbox here: {probe.stderr.strip()[:500]}. It needs user "
            "namespaces (sysctl kernel.unprivileged_userns_clone, or AppArmor's "
            "apparmor_restrict_unprivileged_userns); or use the Monty executor"
        )
    return tuple(command)


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        frame: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Broken("error", FORGED) from error
    if not isinstance(frame, dict):
        raise Broken("error", FORGED)
    return cast("dict[str, Any]", frame)
