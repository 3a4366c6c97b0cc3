"""The page's command trains, with a tiny model of the real class in the published one's place."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from peft.tuners.lora import LoraLayer
from tests.models import tiny_vlm

from enactive.cli import main
from enactive.models.action_model import ActionModel
from enactive.training import checkpoints
from enactive.training.points import write_points

PAGE = Path(__file__).parents[2] / "docs" / "backbones.md"


def test_the_command_and_the_merge_run_as_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = PAGE.read_text(encoding="utf-8")
    [command] = re.findall(r"^```bash\n(.*?)^```", text, re.M | re.S)
    [program] = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    monkeypatch.chdir(tmp_path)
    write_points(tmp_path / "runs" / "demos", count=3)
    tiny_vlm.write("qwen2_5_vl", tmp_path / "models" / "qwen2.5-vl-3b")
    words = shlex.split(command.replace("\\\n", " "))
    assert words[:2] == ["enactive", "train"]
    place = words.index("backbone.lora:config")
    words[place:place] = ["--steps", "2", "--threads", "1"]
    assert main(words[1:]) in (0, None)
    names = {"checkpoint": checkpoints.resolve(tmp_path / "runs" / "qwen")}
    exec(program, names | {"merged": tmp_path / "merged"})  # the page's own text
    before, after = ActionModel.load(names["checkpoint"]), ActionModel.load(tmp_path / "merged")
    assert any(isinstance(module, LoraLayer) for module in before.modules())
    assert not any(isinstance(module, LoraLayer) for module in after.modules())
