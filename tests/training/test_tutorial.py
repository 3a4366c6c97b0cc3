"""The tutorial that adds a head, executed as it is written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from enactive.models.action_model import ActionModel
from enactive.training.checkpoints import resolve
from enactive.training.log import read_log

PAGE = Path(__file__).parents[2] / "docs" / "tutorials" / "add_a_head.md"


def run(directory: Path, *command: str) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(directory)}
    environment["PYTHONPATH"] = str(directory)
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
def test_the_tutorial_works_as_it_is_written(tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    (head,) = re.findall(r'^```python title="my_head.py"\n(.*?)^```', text, re.M | re.S)
    (python,) = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    (shell,) = re.findall(r"^```bash\n(.*?)^```", text, re.M | re.S)
    (tmp_path / "my_head.py").write_text(head)
    run(tmp_path, sys.executable, "-c", python)
    words = shell.replace("\\\n", " ").split()
    assert words[0] == "enactive"
    run(tmp_path, sys.executable, "-m", "enactive", *words[1:])
    saved = yaml.safe_load((tmp_path / "runs/from_cli/config.yaml").read_text())
    assert saved["model"]["head"]["part"].endswith("my_head.py:MyHead.Config")
    assert saved["model"]["head"]["hidden"] == 64
    model = ActionModel.load(resolve(tmp_path / "runs/from_cli"), weights="ema")
    assert type(model.head).__name__ == "MyHead"
    log = read_log(tmp_path / "runs/from_cli")
    assert {"nll", "std"} <= log[0].keys()
    assert log[-1]["loss"] < log[0]["loss"]
