"""Random streams: one run seed, any number of named, independent generators.

Every random draw of the project comes from a generator made here, so that the same code,
configuration and seed give the same bits, whatever the order in which parts are built.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def sequence(seed: int, *names: str | int) -> np.random.SeedSequence:
    """The seed sequence of one named stream of a run.

    Args:
        seed: the run's seed, a non-negative integer.
        names: the path of the stream, e.g. ``("loader", 3)``. The same path always gives the same
            stream, and two paths never share one.

    Raises:
        ValueError: the seed is negative.
    """
    if seed < 0:
        raise ValueError(f"seed must be non-negative, got {seed}")
    # Each name is hashed with its length and type, so ("a", "b") and ("ab",), 1 and "1" differ.
    digest = hashlib.blake2b(digest_size=16)
    for name in names:
        text = f"{type(name).__name__}:{name}".encode()
        digest.update(len(text).to_bytes(4, "little") + text)
    words = np.frombuffer(digest.digest(), dtype=np.uint32).tolist()
    return np.random.SeedSequence([seed, *words])


def numpy_generator(seed: int, *names: str | int) -> np.random.Generator:
    """A NumPy generator for the stream ``names`` of the run ``seed``."""
    return np.random.default_rng(sequence(seed, *names))


def child_seed(seed: int, *names: str | int) -> int:
    """A 63-bit integer seed for the stream ``names``, for APIs that take only an integer."""
    return int(sequence(seed, *names).generate_state(1, np.uint64)[0] >> np.uint64(1))


def torch_generator(seed: int, *names: str | int, device: str = "cpu") -> torch.Generator:
    """A PyTorch generator on ``device`` for the stream ``names`` of the run ``seed``."""
    import torch

    return torch.Generator(device=device).manual_seed(child_seed(seed, *names))
