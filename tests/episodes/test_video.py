"""Video files: every frame at its exact time, joined without loss, damage reported."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from enactive.episodes import video


def ramp(count: int, first: int = 0, size: tuple[int, int] = (32, 48)) -> np.ndarray:
    """Uniform frames whose brightness says which they are."""
    levels = (10 + 5 * (first + np.arange(count))).astype(np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (count, *size, 3)).copy()


def levels_of(frames: np.ndarray) -> list[int]:
    return np.rint((frames.mean(axis=(1, 2, 3)) - 10) / 5).astype(int).tolist()


@pytest.mark.parametrize("rate", [Fraction(10), Fraction(80), Fraction(30000, 1001)])
def test_frames_lie_exactly_at_their_times(tmp_path: Path, rate: Fraction) -> None:
    path = tmp_path / "a.mp4"
    assert video.encode(ramp(25), path, rate, video.VideoCodec()) == 25
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        times = [packet.pts * stream.time_base for packet in container.demux(stream) if packet.size]
    assert times == [n / rate for n in range(25)]
    assert video.rate_and_count(path) == (rate, 25)


def test_joining_loses_nothing_and_any_range_decodes(tmp_path: Path) -> None:
    rate, codec = Fraction(20), video.VideoCodec()
    parts = [tmp_path / f"{n}.mp4" for n in range(3)]
    for n, (path, count) in enumerate(zip(parts, (7, 12, 1), strict=True)):
        video.encode(ramp(count, 20 * n), path, rate, codec)
    joined = tmp_path / "joined.mp4"
    assert video.concatenate(parts, joined, rate) == [7, 12, 1]
    whole = np.empty((20, 32, 48, 3), np.uint8)
    video.decode_into(joined, 0, rate, whole)
    assert levels_of(whole) == [*range(7), *range(20, 32), 40]
    for n, (start, count) in enumerate(((0, 7), (7, 12), (19, 1))):
        alone = np.empty((count, 32, 48, 3), np.uint8)
        video.decode_into(parts[n], 0, rate, alone)
        np.testing.assert_array_equal(alone, whole[start : start + count])
    for start in range(20):
        tail = np.empty((20 - start, 32, 48, 3), np.uint8)
        video.decode_into(joined, start, rate, tail)
        np.testing.assert_array_equal(tail, whole[start:])


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    rows, columns = np.mgrid[0:24, 0:32]
    frames = [
        np.stack([(4 * rows + 8 * t) % 256, (4 * columns + 48) % 256, rows * 0 + 60], axis=-1)
        for t in range(4)
    ]
    seen: set[bytes] = set()
    for _ in range(150):  # with x264's mbtree about one in a hundred differs
        pictures = [frame.astype(np.uint8) for frame in frames]
        video.encode(pictures, tmp_path / "a.mp4", Fraction(20), video.VideoCodec())
        seen.add((tmp_path / "a.mp4").read_bytes())
    assert len(seen) == 1


def test_pictures_survive_encoding_closely(tmp_path: Path) -> None:
    rows, columns = np.mgrid[0:64, 0:64]
    image = np.stack([2 * rows, 2 * columns, rows + columns], axis=-1).astype(np.uint8)
    frames = np.stack([np.roll(image, 3 * t, axis=1) for t in range(10)])
    video.encode(frames, tmp_path / "a.mp4", Fraction(20), video.VideoCodec())
    out = np.empty_like(frames)
    video.decode_into(tmp_path / "a.mp4", 0, Fraction(20), out)
    assert np.abs(out.astype(int) - frames).mean() < 2.5


def test_frames_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    frames = [np.zeros((32, 32, 3), np.uint8), np.zeros((32, 48, 3), np.uint8)]
    with pytest.raises(ValueError, match=r"frame 1 .* like the first"):
        video.encode(frames, tmp_path / "a.mp4", Fraction(20), video.VideoCodec())
    with pytest.raises(ValueError, match="no frames"):
        video.encode([], tmp_path / "b.mp4", Fraction(20), video.VideoCodec())


def test_damage_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    video.encode(ramp(10), path, Fraction(20), video.VideoCodec())
    with pytest.raises(video.UnreadableVideo, match="ends after frame 9"):
        video.decode_into(path, 5, Fraction(20), np.empty((8, 32, 48, 3), np.uint8))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(video.UnreadableVideo):
        video.decode_into(path, 0, Fraction(20), np.empty((1, 32, 48, 3), np.uint8))
    with pytest.raises(video.UnreadableVideo):
        video.rate_and_count(path)
