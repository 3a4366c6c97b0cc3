"""Configurations: round trips, errors that name the field, and the hash."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from enactive.configuration import (
    ConfigurationError,
    config_hash,
    from_dict,
    load_yaml,
    part,
    save_yaml,
    to_dict,
)
from enactive.models.heads.flow_matching import FlowMatching
from enactive.models.heads.head import HeadConfig
from enactive.models.heads.l1 import L1


@dataclass(frozen=True, kw_only=True, slots=True)
class Inner:
    rate: float = 0.5
    name: str = "x"


@dataclass(frozen=True, kw_only=True, slots=True)
class Outer:
    count: int
    inner: Inner = field(default_factory=Inner)
    many: tuple[Inner, ...] = ()
    pair: tuple[int, str] = (1, "a")
    mode: Literal["fast", "slow"] = "fast"
    path: Path = Path("runs")
    maybe: float | None = None
    table: Mapping[str, float] = field(default_factory=dict[str, float])
    head: HeadConfig = field(default_factory=L1.Config)
    loose: Any = part("heads", default_factory=FlowMatching.Config)


inners = st.builds(
    Inner, rate=st.floats(allow_nan=False, allow_infinity=False), name=st.text(max_size=5)
)
heads = st.one_of(
    st.builds(L1.Config, depth=st.integers(1, 4)),
    st.builds(FlowMatching.Config, steps=st.integers(1, 20)),
)
outers = st.builds(
    Outer,
    count=st.integers(),
    inner=inners,
    many=st.lists(inners, max_size=3).map(tuple),
    pair=st.tuples(st.integers(), st.text(max_size=3)),
    mode=st.sampled_from(["fast", "slow"]),
    path=st.sampled_from([Path("a"), Path("/b/c")]),
    maybe=st.none() | st.floats(allow_nan=False),
    table=st.dictionaries(st.text(max_size=3), st.floats(allow_nan=False), max_size=3),
    head=heads,
    loose=heads,
)


@given(outers)
def test_round_trip_through_plain_values(config: Outer) -> None:
    assert from_dict(Outer, to_dict(config)) == config


@given(outers)
@example(Outer(count=1, inner=Inner(name="a\x85b")))
def test_round_trip_through_yaml(tmp_path_factory: pytest.TempPathFactory, config: Outer) -> None:
    path = tmp_path_factory.getbasetemp() / "config.yaml"
    save_yaml(config, path)
    loaded = load_yaml(Outer, path)
    assert loaded == config
    assert config_hash(loaded) == config_hash(config)
    assert not list(path.parent.glob(".config.yaml*"))


@given(outers, outers)
def test_equal_hashes_mean_equal_configurations(a: Outer, b: Outer) -> None:
    assert (config_hash(a) == config_hash(b)) == (to_dict(a) == to_dict(b))


def test_a_part_is_written_with_its_registered_name() -> None:
    plain = to_dict(Outer(count=1, head=FlowMatching.Config(steps=7)))
    assert plain["head"]["part"] == "flow_matching"
    assert plain["head"]["steps"] == 7
    assert plain["loose"]["part"] == "flow_matching"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"cuont": 1}, r"cuont: unknown field; did you mean 'count'"),
        ({}, r"count: is missing"),
        ({"count": "many"}, r"count: expected int"),
        ({"count": True}, r"count: expected int"),
        ({"count": 1, "inner": {"rat": 1}}, r"inner\.rat: unknown field; did you mean 'rate'"),
        ({"count": 1, "many": [{"rate": "x"}]}, r"many\[0\]\.rate: expected a number"),
        ({"count": 1, "mode": "fsat"}, r"mode: 'fsat' is not allowed; did you mean 'fast'"),
        ({"count": 1, "pair": [1]}, r"pair: expected 2 entries, got 1"),
        ({"count": 1, "head": {"part": "flow_maching"}}, r"head\.part: .*'flow_matching'"),
        ({"count": 1, "head": {"depth": 1}}, r"head: needs the key 'part'"),
        ({"count": 1, "head": {"part": "l1", "dept": 1}}, r"head\.dept: .*'depth'"),
        ({"count": 1, "maybe": "x"}, r"maybe: expected a number"),
    ],
)
def test_a_wrong_field_is_named_with_its_fix(data: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        from_dict(Outer, data)


def test_the_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text("count: [1]\n")
    with pytest.raises(ConfigurationError, match=r"wrong\.yaml: count: expected int"):
        load_yaml(Outer, path)


def test_exponents_that_yaml_reads_as_text_are_numbers() -> None:
    assert from_dict(Inner, {"rate": "1e-4"}).rate == 1e-4


def test_what_has_no_plain_form_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"table\.a: object has no plain form"):
        to_dict(Outer(count=1, table={"a": object()}))  # type: ignore[dict-item]


def test_an_error_of_the_class_itself_is_a_configuration_error() -> None:
    @dataclass(frozen=True, kw_only=True, slots=True)
    class Positive:
        value: int

        def __post_init__(self) -> None:
            if self.value < 1:
                raise ValueError("value must be positive")

    with pytest.raises(ConfigurationError, match="value must be positive"):
        from_dict(Positive, {"value": 0})
    assert dataclasses.asdict(from_dict(Positive, {"value": 1})) == {"value": 1}
