"""The unified action vector: what goes in comes out, and unlike things do not share a slot."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enactive.actions.slots import SlotConflict, Slots
from enactive.actions.spaces import Group, VectorSpace


def position(name: str = "arm", reference: str = "delta", frame: str = "base", **other) -> Group:
    fields = {"unit": "m", "low": -0.01, "high": 0.01, **other}
    return Group(
        name=name,
        quantity="position",
        representation="xyz",
        reference=reference,  # type: ignore[arg-type]
        frame=frame,
        **fields,
    )


def joints(size: int = 7, **other) -> Group:
    fields = {"unit": "rad", "low": -0.1, "high": 0.1, "reference": "delta", **other}
    return Group(
        name="joints", quantity="joint", representation="scalar", frame="arm", size=size, **fields
    )


def gripper(positive: str = "closes", **other) -> Group:
    fields = {"unit": "effort", "low": -1.0, "high": 1.0, **other}
    return Group(
        name="gripper",
        quantity="gripper",
        representation="scalar",
        reference="absolute",
        frame="hand",
        positive=positive,
        **fields,
    )


def space(*groups: Group, rate: float = 20.0) -> VectorSpace:
    return VectorSpace(groups=groups, rate_hz=rate)


GROUPS = [
    position(),
    position(frame="tool"),
    position(reference="absolute", low=-1.0, high=1.0),
    joints(),
    gripper(),
]


@st.composite
def embodiments(draw: st.DrawFn) -> dict[str, VectorSpace]:
    count = draw(st.integers(1, 4))
    return {
        f"body {i}": space(
            *(
                dataclasses.replace(group, name=f"{group.name}{place}", size=group.size)
                if group.representation == "scalar"
                else dataclasses.replace(group, name=f"{group.name}{place}", size=1)
                for place, group in enumerate(
                    draw(st.permutations(GROUPS))[: draw(st.integers(1, len(GROUPS)))]
                )
            )
        )
        for i in range(count)
    }


@given(embodiments(), st.integers(0, 2**31))
def test_embedding_is_undone_exactly(spaces: dict[str, VectorSpace], seed: int) -> None:
    generator = np.random.default_rng(seed)
    for slots in (Slots.of(spaces), Slots.by_position(spaces)):
        for name, own in spaces.items():
            chunk = generator.standard_normal((3, own.size)).astype(np.float32)
            unified = slots.embed(name, chunk)
            assert unified.shape == (3, slots.size) and unified.dtype == chunk.dtype
            np.testing.assert_array_equal(slots.extract(name, unified), chunk)
            mask = slots.mask(name)
            assert mask.sum() == own.size
            assert not unified[:, ~mask].any()


@given(embodiments())
def test_a_slot_holds_one_meaning(spaces: dict[str, VectorSpace]) -> None:
    slots = Slots.of(spaces)
    for name, own in spaces.items():
        kinds = {}
        for group in slots.unified.groups:
            for entry, place in zip(group.entries, range(*_range(slots, group)), strict=True):
                kinds[place] = (group.quantity, group.reference, entry.split(".")[-1])
        for group in own.groups:
            where = own.slices[group.name]
            for entry, place in zip(group.entries, slots.places[name][where], strict=True):
                quantity, reference, last = kinds[place]
                assert (quantity, reference) == (group.quantity, group.reference)
                if group.size > 1:
                    assert last == entry.split(".")[-1]
                at = place
                assert slots.unified.low[at] <= own.low[where].min()
                assert slots.unified.high[at] >= own.high[where].max()
    # No larger than needed: every entry is somebody's.
    assert slots.masks().any(0).all()


def _range(slots: Slots, group: Group) -> tuple[int, int]:
    where = slots.unified.slices[group.name]
    return where.start, where.stop


@given(embodiments())
def test_slots_survive_json(spaces: dict[str, VectorSpace]) -> None:
    slots = Slots.of(spaces)
    assert Slots.from_dict(json.loads(json.dumps(slots.to_dict()))) == slots


def test_shared_and_separate_slots() -> None:
    slots = Slots.of(
        {
            "delta": space(position(), gripper()),
            "absolute": space(position(reference="absolute", low=-1.0, high=1.0), gripper()),
            "joint": space(joints(), gripper()),
            "elsewhere": space(gripper(), position(frame="mirrored")),
        }
    )
    assert slots.size == 3 + 1 + 3 + 7 + 3
    gripper_places = {slots.extract(name, np.arange(17))[-1] for name in ("delta", "joint")}
    assert gripper_places == {3} and slots.places["elsewhere"][0] == 3
    assert not (slots.mask("delta") & slots.mask("elsewhere"))[:3].any()
    naive = Slots.by_position(slots.spaces)
    assert naive.size == 8 and naive.mask("joint").all()


def test_two_arms_are_told_apart_by_name() -> None:
    two = space(position("left"), position("right"))
    slots = Slots.of({"bimanual": two, "one": space(position("right"))})
    assert slots.places["one"] == slots.places["bimanual"][3:]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (space(position(unit="cm", low=-1.0, high=1.0)), ["unit", "'cm'", "'m'", "convert"]),
        (space(gripper("opens")), ["positive", "'opens'", "'closes'", "convert"]),
        (space(joints(6)), ["size", "6", "7", "equally long"]),
        (space(position(), rate=10.0), ["10 Hz", "20 Hz", "resample"]),
    ],
)
def test_a_disagreement_is_refused_with_its_fix(other: VectorSpace, words: list[str]) -> None:
    with pytest.raises(SlotConflict) as refusal:
        Slots.of({"first": space(position(), joints(), gripper()), "second": other})
    for word in [*words, "second", "first"]:
        assert word in str(refusal.value)


def test_unknown_embodiment_and_wrong_size() -> None:
    slots = Slots.of({"delta": space(position())})
    with pytest.raises(KeyError, match="did you mean 'delta'"):
        slots.mask("deltas")
    with pytest.raises(ValueError, match="3 entries"):
        slots.embed("delta", np.zeros((2, 4)))
