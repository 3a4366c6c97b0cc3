"""``enactive serve`` and ``enactive evaluate remote``, as they are typed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from enactive.cli import main
from enactive.cli.mistakes import UserError
from enactive.cli.serve import prepare, read

PUSHT = ["--world", "pusht", "--world.max-steps", "12", "--world.cameras"]
EPISODES = ["--tasks", "all", "--episodes", "2", "--workers", "0", "--out"]


def episodes(directory: Path) -> list[dict[str, Any]]:
    found = json.loads((directory / "evaluation.json").read_text())["episodes"]
    return [{k: v for k, v in e.items() if k not in ("id", "cost")} for e in found]


# A job that a shell put into the background inherits that SIGINT is ignored.
SERVE = """import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from enactive.cli import main
sys.exit(main())
"""


@pytest.mark.parametrize("protocol", ["openpi", "vla_eval"])
def test_a_policy_is_served_and_evaluated_from_another_process(
    tmp_path: Path, protocol: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-c", SERVE, "serve", "random", "--port", "0"]
    server = subprocess.Popen(
        [*command, "--protocol", protocol, *PUSHT], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        first = server.stdout.readline()
        assert first.startswith("random at ws://127.0.0.1:")
        url = first.split()[2].rstrip(";")
        words = ["evaluate", "remote", "--remote", protocol, "--remote.url", url]
        assert main([*words, *PUSHT, *EPISODES, str(tmp_path / "served")]) == 0
    finally:
        server.send_signal(signal.SIGINT)
        try:
            rest, _ = server.communicate(timeout=60)
        finally:
            server.kill()
    assert rest.endswith("stopped\n") and server.returncode == 0
    assert main(["evaluate", "random", *PUSHT, *EPISODES, str(tmp_path / "here")]) == 0
    assert episodes(tmp_path / "served") == episodes(tmp_path / "here")
    capsys.readouterr()
    assert main([*words, *PUSHT, *EPISODES, str(tmp_path / "gone")]) == 2
    assert "no server answers there" in capsys.readouterr().err


def test_mistakes_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="--world names the world"):
        prepare(read(["random"]))
    with pytest.raises(UserError, match="not this machine's loopback"):
        prepare(read(["random", *PUSHT, "--host", "0.0.0.0"]))
    file = tmp_path / "map.yaml"
    file.write_text("pictures: [{camera: top, path: [image]}]")
    with pytest.raises(UserError, match="no camera 'top'"):
        prepare(read(["random", *PUSHT, "--map", str(file)]))
    with pytest.raises(UserError, match="privileged vector 'pusht' is nowhere"):
        file.write_text("instruction: [prompt]")
        prepare(read(["expert", *PUSHT, "--map", str(file)]))
    assert "ENACTIVE_TOKEN" not in os.environ
    monkeypatch.setenv("ENACTIVE_TOKEN", "a-token-of-some-length")
    listening, _ = prepare(read(["random", *PUSHT, "--host", "0.0.0.0", "--port", "0"]))
    assert listening.token == "a-token-of-some-length"
