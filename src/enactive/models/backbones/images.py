"""Pictures as published vision encoders want them, on the device where they are.

Hugging Face's image processors either need torchvision or go through Pillow, one picture at a time
on the CPU. Resizing is a product with one matrix per axis, so a batch needs neither: the matrices
follow Pillow's law (a filter as wide as the reduction, weights normalised, values rounded after
each axis), which is what the encoders were trained on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


def _sinc(x: Tensor) -> Tensor:
    return torch.sinc(x)


def _lanczos(x: Tensor) -> Tensor:
    return torch.where(x.abs() < 3, _sinc(x) * _sinc(x / 3), torch.zeros_like(x))


def _bilinear(x: Tensor) -> Tensor:
    return (1 - x.abs()).clamp(min=0)


def _bicubic(x: Tensor) -> Tensor:
    x = x.abs()
    inner = (1.5 * x - 2.5) * x * x + 1
    outer = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, inner, torch.where(x < 2, outer, torch.zeros_like(x)))


FILTERS: dict[int, Callable[[Tensor], Tensor]] = {1: _lanczos, 2: _bilinear, 3: _bicubic}
"""Pillow's number of a filter (``resample`` in a processor's file) to the filter."""


def resampling_matrix(source: int, target: int, resample: int) -> Tensor:
    """Weights of ``source`` pixels in each of ``target`` pixels: ``float64 (target, source)``.

    Args:
        source: pixels along the axis.
        target: pixels wanted.
        resample: a key of :data:`FILTERS`.

    Raises:
        ValueError: there is no such filter here.
    """
    if resample not in FILTERS:
        raise ValueError(
            f"the processor resizes with Pillow's filter {resample}; here are "
            f"{sorted(FILTERS)} (Lanczos, bilinear, bicubic)"
        )
    scale = source / target
    spread = max(scale, 1.0)
    centres = (torch.arange(target, dtype=torch.float64) + 0.5) * scale  # (target,)
    places = torch.arange(source, dtype=torch.float64) + 0.5  # (source,)
    weights = FILTERS[resample]((places - centres[:, None]) / spread)
    return weights / weights.sum(1, keepdim=True)


def resize(image: Tensor, height: int, width: int, resample: int) -> Tensor:
    """Pictures ``uint8 (N, H, W, 3)`` as ``float32 (N, 3, height, width)``, whole numbers 0-255.

    The width is changed first. (Pillow 13 takes the height first for some shapes; rounding in
    between then differs.)
    """
    x = image.permute(0, 3, 1, 2).float()  # (N, 3, H, W)
    # Reduced precision would move grey values by whole levels.
    with torch.autocast(x.device.type, enabled=False):
        if x.shape[-1] != width:
            across = resampling_matrix(x.shape[-1], width, resample).float().to(x.device)
            x = (x @ across.T + 0.5).floor().clamp(0, 255)
        if x.shape[-2] != height:
            down = resampling_matrix(x.shape[-2], height, resample).float().to(x.device)
            x = (down @ x + 0.5).floor().clamp(0, 255)
    return x


def normalise(image: Tensor, processor: Any) -> Tensor:
    """``float (N, 3, h, w)`` of grey values, scaled and centred as ``processor`` says."""
    if processor.do_rescale:
        image = image * processor.rescale_factor
    if processor.do_normalize:
        mean = torch.tensor(processor.image_mean, device=image.device).view(3, 1, 1)
        std = torch.tensor(processor.image_std, device=image.device).view(3, 1, 1)
        image = (image - mean) / std
    return image


def rows(views: Sequence[Tensor]) -> Tensor:
    """Views ``(B, ...)`` of each row one after the other: J of them to ``(B·J, ...)``."""
    return torch.stack(tuple(views), dim=1).flatten(0, 1)


def area_between(height: int, width: int, unit: int, least: int, most: int) -> tuple[int, int]:
    """Height and width near the given ones, multiples of ``unit``, with an area in bounds.

    The rule of Qwen2-VL's processor (Wang et al., 2024, section 2.1, "naive dynamic resolution"):
    both are rounded to the unit; if the area leaves ``[least, most]`` pixels, the picture is scaled
    to that area first, rounding inwards.
    """
    if max(height, width) > 200 * min(height, width):
        raise ValueError(f"a picture of {height}x{width} pixels is more than 200 times as long")
    h, w = round(height / unit) * unit, round(width / unit) * unit
    if h * w > most:
        ratio = math.sqrt(height * width / most)
        h = max(unit, math.floor(height / ratio / unit) * unit)
        w = max(unit, math.floor(width / ratio / unit) * unit)
    elif h * w < least:
        ratio = math.sqrt(least / (height * width))
        h, w = math.ceil(height * ratio / unit) * unit, math.ceil(width * ratio / unit) * unit
    return h, w
