"""Maps between others' messages and our observations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from enactive.configuration import ConfigurationError, load_yaml, save_yaml
from enactive.observations import Camera, Observation, ObservationSpec, StateVector
from enactive.serving.arrays import Malformed
from enactive.serving.mapping import (
    MappingError,
    ObservationMap,
    Picture,
    Vector,
    Wired,
    openpi_map,
    vla_eval_map,
)

SPEC = ObservationSpec(
    cameras=(Camera(name="front", height=4, width=5), Camera(name="hand", height=3, width=3)),
    states=(
        StateVector(name="arm", names=("x", "y", "z"), unit="m"),
        StateVector(name="gripper", names=("opening",), unit="m"),
    ),
    privileged=(StateVector(name="truth", names=("a", "b"), unit="m"),),
)
ALOHA = ObservationMap(
    pictures=(
        Picture(camera="front", path=("images", "cam_high"), layout="chw"),
        Picture(camera="hand", path=("images", "cam_wrist")),
    ),
    vectors=(Vector(states=("gripper", "arm"), path=("state",)),),
    privileged=(Vector(states=("truth",), path=("truth",)),),
    time=("time",),
)
REALS = st.floats(-1e6, 1e6, width=32)


@pytest.mark.parametrize("chosen", [openpi_map(SPEC), vla_eval_map(SPEC), ALOHA])
@given(
    front=hnp.arrays(np.uint8, (4, 5, 3)),
    state=hnp.arrays(np.float32, 4, elements=REALS),
    truth=hnp.arrays(np.float64, 2, elements=st.floats(-1e6, 1e6)),
    instruction=st.text(max_size=20),
)
def test_reading_undoes_writing(
    chosen: ObservationMap,
    front: np.ndarray,
    state: np.ndarray,
    truth: np.ndarray,
    instruction: str,
) -> None:
    wired = Wired(chosen, SPEC)
    seen = Observation(
        images={"front": front, "hand": np.zeros((3, 3, 3), np.uint8)},
        state={"arm": state[:3], "gripper": state[3:]},
        privileged={"truth": truth},
        instruction=instruction,
        time=1.5,
    )
    found = wired.read(wired.write(seen))
    assert found.instruction == instruction
    assert found.time == (1.5 if chosen.time else 0.0)
    for ours, theirs in (
        (seen.images, found.images),
        (seen.state, found.state),
        (seen.privileged, found.privileged),
    ):
        assert {k: v.tobytes() for k, v in ours.items()} == {
            k: v.tobytes() for k, v in theirs.items()
        }
        assert {k: v.dtype for k, v in ours.items()} == {k: v.dtype for k, v in theirs.items()}


def test_a_nested_map_writes_what_openpis_aloha_clients_send() -> None:
    wired = Wired(ALOHA, SPEC)
    sent = wired.write(
        Observation(
            images={n: np.zeros(s, np.uint8) for n, s in (("front", (4, 5, 3)),
                                                          ("hand", (3, 3, 3)))},
            state={"arm": np.arange(3, dtype=np.float32), "gripper": np.full(1, 9, np.float32)},
            privileged={"truth": np.zeros(2)},
        )
    )  # fmt: skip
    assert sent["images"]["cam_high"].shape == (3, 4, 5)
    assert sent["images"]["cam_wrist"].shape == (3, 3, 3)
    assert sent["state"].tolist() == [9, 0, 1, 2]
    assert [*sent] == ["images", "state", "truth", "prompt", "time"]


def test_a_map_that_does_not_fit_is_refused_with_every_reason() -> None:
    wrong = ObservationMap(
        pictures=(
            Picture(camera="frnt", path=("image",)),
            Picture(camera="hand", path=("image", "hand")),
        ),
        vectors=(Vector(states=("arm", "arm"), path=()),),
        instruction=("image",),
    )
    with pytest.raises(MappingError) as refused:
        Wired(wrong, SPEC)
    text = str(refused.value)
    assert "no camera 'frnt'; did you mean 'front'" in text
    assert "'image' and 'image' > 'hand' are in each other's way" in text
    assert "'arm' has more than one path" in text
    assert "a path is empty" in text


def test_a_server_must_be_sent_everything_that_its_policy_sees() -> None:
    with pytest.raises(MappingError, match=r"camera 'front'(.|\n)*state 'gripper'"):
        Wired(ObservationMap(vectors=(Vector(states=("arm",), path=("s",)),)), SPEC).require_all()


def test_a_message_that_does_not_fit_is_refused_with_every_reason() -> None:
    wired = Wired(openpi_map(SPEC), SPEC)
    with pytest.raises(Malformed) as refused:
        wired.read(
            {
                "observation/front": np.zeros((5, 4, 3), np.uint8),
                "observation/hand": np.zeros((3, 3, 3), np.float32),
                "observation/arm": np.array([1.0, np.nan, 0.0]),
                "privileged/truth": [1.0, 2.0],
                "observation/grippr": np.zeros(1),
                "prompt": b"bytes",
            }
        )
    text = str(refused.value)
    assert "'observation/front' must be uint8 (4, 5, 3), got uint8 (5, 4, 3)" in text
    assert "'observation/hand' must be uint8 (3, 3, 3), got float32 (3, 3, 3)" in text
    assert "'observation/arm' is not finite" in text
    assert "'observation/gripper' is missing; did you mean 'observation/grippr'" in text
    assert "'privileged/truth' must be numbers (2,), got list" in text
    assert "'prompt' must be text, got bytes" in text
    with pytest.raises(Malformed, match="an observation is a map, got list"):
        wired.read([1])


def test_a_map_is_a_file(tmp_path: Path) -> None:
    file = tmp_path / "map.yaml"
    save_yaml(ALOHA, file)
    assert load_yaml(ObservationMap, file) == ALOHA
    file.write_text("pictures: [{camera: front, path: [images, front], layout: whc}]")
    with pytest.raises(ConfigurationError, match=r"pictures\[0\].layout"):
        load_yaml(ObservationMap, file)
