"""Pictures of episodes, small enough to travel inside a page."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Frames = NDArray[np.uint8]
"""``uint8 (T, H, W, 3)``, RGB."""

CLIP_FRAMES = 72
"""Most frames of a clip; longer episodes are shown as a time lapse."""
CLIP_RATE = 20
"""Frames per second of a clip."""


def side_by_side(images: Mapping[str, Frames]) -> Frames:
    """All cameras of an episode beside one another, ``(T, H, W1 + W2 + ..., 3)``.

    Cameras of different height are put on a dark background, tops aligned.
    """
    cameras = list(images.values())
    if not cameras:
        raise ValueError("the episode has no pictures")
    height = max(camera.shape[1] for camera in cameras)
    width = sum(camera.shape[2] for camera in cameras)
    canvas = np.full((len(cameras[0]), height, width, 3), 24, np.uint8)
    left = 0
    for camera in cameras:
        canvas[:, : camera.shape[1], left : left + camera.shape[2]] = camera
        left += camera.shape[2]
    return canvas


def thinned(frames: Frames, count: int = CLIP_FRAMES) -> tuple[Frames, int]:
    """At most ``count`` frames at an even stride, the last one included, and the stride."""
    stride = max(1, math.ceil(len(frames) / count))
    kept = frames[::stride]
    if (len(frames) - 1) % stride:
        kept = np.concatenate([kept, frames[-1:]])
    return kept, stride


def clip(frames: Frames, rate: int = CLIP_RATE, quality: int = 24) -> bytes:
    """``frames`` as H.264 in an mp4 that browsers play.

    Args:
        quality: x264's constant rate factor: less is better and larger.
    """
    height, width = frames.shape[1] // 2 * 2, frames.shape[2] // 2 * 2  # yuv420p needs even sides
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(rate))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": str(quality), "preset": "veryfast", "tune": "animation"}
        stream.codec_context.thread_count = 1
        for image in frames:
            frame = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(image[:height, :width]), format="rgb24"
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()


def filmstrip(frames: Frames, count: int = 6, gap: int = 2) -> bytes:
    """``count`` evenly spaced frames beside one another, as WebP."""
    chosen = np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int)
    height, width = frames.shape[1:3]
    strip = np.full((height, len(chosen) * (width + gap) - gap, 3), 255, np.uint8)
    for place, index in enumerate(chosen.tolist()):
        left = place * (width + gap)
        strip[:, left : left + width] = frames[index]
    buffer = io.BytesIO()
    Image.fromarray(strip).save(buffer, "WEBP", quality=82, method=4)
    return buffer.getvalue()


def still(frame: NDArray[np.uint8]) -> bytes:
    """One picture as WebP: what is shown before a clip plays, and on paper."""
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "WEBP", quality=80, method=4)
    return buffer.getvalue()


def data_url(data: bytes, kind: str) -> str:
    """``data`` as an address that needs no network, e.g. ``kind="video/mp4"``."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
