"""Encoding arrays to mp4 and decoding them back, in sequence and without temporary images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

Frames = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoCodec:
    """How cameras are encoded.

    The default trades size for speed and fidelity at the sizes policies see (64 to 256 pixels):
    a key frame every second frame, as LeRobot does, so that random access decodes at most two
    frames, and no B-frames, so that frames leave the decoder in the order they went in.
    """

    name: str = "libx264"
    """Encoder: ``"libx264"`` (fast), ``"libsvtav1"`` (LeRobot's default, smaller and slower)."""
    group: int = 2
    """Frames from one key frame to the next."""
    quality: int = 20
    """Constant rate factor: 0 is nearly lossless, 51 is worst. LeRobot's AV1 default is 30."""
    preset: str = "veryfast"
    """The encoder's speed preset (``"12"`` is LeRobot's for ``libsvtav1``)."""
    pixel_format: str = "yuv420p"
    """``"yuv420p"`` plays everywhere; ``"yuv444p"`` keeps the colour of single pixels."""

    def options(self) -> dict[str, str]:
        """Options for the encoder. One thread: the same frames give the same bytes."""
        options = {"g": str(self.group), "crf": str(self.quality), "preset": self.preset}
        if self.name == "libx264":
            # Without scene-cut detection key frames come at multiples of `group` only. Looking
            # ahead (`mbtree`) buys nothing over two frames, and with AVX-512 x264 then gives
            # other bytes for the same frames about once in a hundred times.
            options |= {"bf": "0", "threads": "1", "sc_threshold": "0"}
            options |= {"mbtree": "0", "rc-lookahead": "0"}
        elif self.name == "libsvtav1":
            options |= {"svtav1-params": "lp=1:log=1"}
        return options


class UnreadableVideo(ValueError):
    """A video file lacks frames that the episode table promises, or cannot be decoded."""


def encode(frames: Iterable[Frames], path: Path, rate: Fraction, codec: VideoCodec) -> int:
    """Encode ``frames`` to an mp4 file and return how many there were.

    Args:
        frames: ``uint8 (H, W, 3)`` RGB images, all of one size.
        path: the file to write.
        rate: frames per second; frame ``i`` is shown exactly at ``i / rate`` seconds.
        codec: the encoder and its settings.

    Raises:
        ValueError: there is no frame, or one has another shape or dtype than the first.
    """
    count = 0
    with av.open(str(path), "w", format="mp4") as container:
        stream: Any = None
        shape: tuple[int, ...] = ()
        for image in frames:
            if stream is None:
                shape = image.shape
                stream = container.add_stream(codec.name, rate, options=codec.options())
                stream.height, stream.width = shape[0], shape[1]
                stream.pix_fmt = codec.pixel_format
                stream.codec_context.time_base = 1 / rate
            if image.shape != shape or image.dtype != np.uint8 or len(shape) != 3 or shape[2] != 3:
                raise ValueError(
                    f"frame {count} of {path.name} is {image.dtype} {image.shape}; "
                    f"every frame must be uint8 (H, W, 3) like the first, {shape}"
                )
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts = count
            frame.time_base = 1 / rate
            container.mux(stream.encode(frame))
            count += 1
        if stream is None:
            raise ValueError(f"{path.name}: there are no frames to encode")
        container.mux(stream.encode(None))
    return count


def concatenate(sources: Iterable[Path], target: Path, rate: Fraction) -> list[int]:
    """Join mp4 files of one encoder into ``target`` without encoding again.

    Args:
        sources: files written by :func:`encode`, or an earlier ``target``.
        target: the file to write; none of ``sources``.
        rate: frames per second, the same for all.

    Returns:
        Frames that each source contributed.
    """
    counts: list[int] = []
    with av.open(str(target), "w", format="mp4", options={"movflags": "faststart"}) as output:
        stream: Any = None
        shown = 0
        for source in sources:
            first = shown
            with av.open(str(source)) as container:
                video = container.streams.video[0]
                if stream is None:
                    stream = output.add_stream_from_template(video, opaque=True)
                    stream.time_base = video.time_base
                ticks = 1 / (rate * Fraction(video.time_base or 1))
                if ticks.denominator != 1:
                    raise ValueError(
                        f"{source.name} counts time in {video.time_base} s, in which "
                        f"frames at {rate} per second have no exact time"
                    )
                for packet in container.demux(video):
                    if packet.dts is None or packet.pts is None:  # the demuxer's end marker
                        continue
                    packet.pts += first * int(ticks)
                    packet.dts += first * int(ticks)
                    packet.stream = stream
                    output.mux(packet)
                    shown += 1
            counts.append(shown - first)
    return counts


def stream_facts(path: Path) -> dict[str, Any]:
    """What ``meta/info.json`` says of a video feature, under LeRobot's names."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        return {
            "video.height": video.height,
            "video.width": video.width,
            "video.codec": video.codec_context.codec.canonical_name,
            "video.pix_fmt": video.pix_fmt,
            "video.is_depth_map": False,
            "video.fps": int(video.base_rate or 0),
            "video.channels": 3,
            "has_audio": False,
        }


def parameters(path: Path) -> tuple[Any, ...]:
    """What must be equal for two files to be joined without encoding again."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        context = video.codec_context
        header = bytes(context.extradata or b"")
        return (context.name, video.width, video.height, video.pix_fmt, video.time_base, header)


def rate_and_count(path: Path) -> tuple[Fraction | None, int]:
    """Average frames per second (``None`` if the file does not say), and frames in the file.

    Raises:
        UnreadableVideo: it is no video file, or was cut short.
    """
    try:
        with av.open(str(path)) as container:
            video = container.streams.video[0]
            frames = video.frames
            if not frames:
                frames = sum(1 for packet in container.demux(video) if packet.pts is not None)
            return video.average_rate, frames
    except (av.error.FFmpegError, IndexError) as error:
        raise UnreadableVideo(f"{path} cannot be opened: {error}") from error


def decode_into(path: Path, start: int, rate: Fraction, out: Frames) -> None:
    """Decode consecutive frames into ``out``, ``uint8 (T, H, W, 3)``, RGB.

    Args:
        path: the mp4 file.
        start: the first frame wanted, counted from the beginning of the file.
        rate: frames per second of the file.
        out: filled with frames ``start .. start + T - 1``.

    Raises:
        UnreadableVideo: the file ends, or cannot be decoded, before all T frames were found.
    """
    wanted = len(out)
    found = 0
    converter = VideoReformatter()
    try:
        for position, frame in _frames_from(path, start, rate):
            if position < start:
                continue
            if position != start + found:
                raise UnreadableVideo(
                    f"{path}: after frame {start + found - 1} comes frame {position}; the file "
                    f"does not hold one frame every 1/{rate} s"
                )
            # One conversion context for all frames, one thread: five times faster at 96 pixels.
            out[found] = converter.reformat(frame, format="rgb24", threads=1).to_ndarray()
            found += 1
            if found == wanted:
                return
    except (av.error.FFmpegError, OSError) as error:
        raise UnreadableVideo(f"{path} cannot be decoded: {error}") from error
    raise UnreadableVideo(
        f"{path} ends after frame {start + found - 1}; frames {start} to {start + wanted - 1} "
        "were promised. Was the file truncated, or the episode table written for another file?"
    )


def _frames_from(path: Path, start: int, rate: Fraction) -> Iterator[tuple[int, Any]]:
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        video.codec_context.thread_count = 1
        base = Fraction(video.time_base or 1)
        if start:
            container.seek(round(Fraction(start) / (rate * base)), stream=video)
        for frame in container.decode(video):
            if frame.pts is None:
                continue
            yield round(frame.pts * base * rate), frame
