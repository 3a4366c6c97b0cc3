"""Parts by name: entry points, modules, files; and what a wrong name is answered with."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from enactive.registry import Registry, UnknownPart, refuse_unknown, suggest

PART = """
from dataclasses import dataclass

class Twice:
    @dataclass
    class Config:
        factor: int = 2
"""


def test_every_registered_part_loads() -> None:
    """What pyproject.toml declares exists, is a class with defaults, and is found by its name."""
    pytest.importorskip("torch")
    for kind in ("worlds", "heads", "backbones"):
        registry = Registry(kind)
        assert registry.names(), f"no {kind} are registered"
        for name in registry.names():
            config = registry.load(name)()
            assert registry.name_of(config) == name


def test_a_wrong_name_suggests_the_right_one() -> None:
    with pytest.raises(UnknownPart, match="no head is called 'flowmatching'; did you mean 'flow_m"):
        Registry("heads").load("flowmatching")


def test_a_name_that_is_like_nothing_lists_what_exists() -> None:
    with pytest.raises(UnknownPart) as caught:
        Registry("heads").load("zzz")
    assert "did you mean" not in str(caught.value)
    assert "known: " in str(caught.value)


def test_a_part_in_a_module_is_named_by_where_it_is() -> None:
    cls = Registry("worlds").load("enactive.observations:Camera")
    assert cls.__name__ == "Camera"
    config = cls(name="front", height=1, width=1)
    assert Registry("worlds").name_of(config) == "enactive.observations:Camera"


def test_a_part_in_a_file_is_found_again(tmp_path: Path) -> None:
    file = tmp_path / "twice.py"
    file.write_text(PART)
    registry = Registry("heads")
    config = registry.load(f"{file}:Twice.Config")()
    assert config.factor == 2
    assert registry.name_of(config) == f"{file}:Twice.Config"
    assert registry.load(registry.name_of(config)) is type(config)


def test_two_files_of_the_same_name_are_two_parts(tmp_path: Path) -> None:
    for folder, factor in (("one", 1), ("two", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "part.py").write_text(PART.replace("= 2", f"= {factor}"))
    registry = Registry("heads")
    names = [f"{tmp_path}/{folder}/part.py:Twice.Config" for folder in ("one", "two")]
    configs = [registry.load(name)() for name in names]
    assert [config.factor for config in configs] == [1, 2]
    assert [registry.name_of(config) for config in configs] == names


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("enactive.observation:Camera", "No module named 'enactive.observation'"),
        ("enactive.observations:Camra", "there is no 'Camra' in it; did you mean 'Camera'"),
        ("nowhere.py:Part", "there is no file"),
    ],
)
def test_a_wrong_place_says_what_is_wrong_with_it(where: str, message: str) -> None:
    with pytest.raises(UnknownPart, match=message):
        Registry("heads").load(where)


def test_an_error_inside_a_part_is_not_taken_for_a_wrong_name(tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text("import enactive_has_no_such_module\n")
    with pytest.raises(ModuleNotFoundError):
        Registry("heads").load(f"{file}:Part")


def test_entry_points_name_configuration_classes() -> None:
    for kind in ("worlds", "heads", "backbones"):
        for entry in importlib.metadata.entry_points(group=f"enactive.{kind}"):
            if entry.value.startswith("enactive."):
                assert entry.value.endswith(".Config"), entry


def test_suggestions_come_nearest_first() -> None:
    text = suggest("faucet-opne", ["faucet-close", "faucet-open", "door-open"])
    assert text.startswith("did you mean 'faucet-open' or ")
    assert suggest("x", []) == "known: none"


def test_a_part_of_a_name_suggests_the_whole() -> None:
    assert suggest("flow", ["flow_matching", "l1"]).startswith("did you mean 'flow_matching'?")


def test_unknown_names_of_a_field_are_refused() -> None:
    refuse_unknown("states", ["joints"], ["joints", "proprio"])
    with pytest.raises(ValueError, match="states: there is no 'propri'; did you mean 'proprio'"):
        refuse_unknown("states", ["joints", "propri"], ["joints", "proprio"])
