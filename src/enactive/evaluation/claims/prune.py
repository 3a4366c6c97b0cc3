"""Making a claim's directory smaller: weights go, episodes stay."""

from __future__ import annotations

from pathlib import Path

HEAVY = (".safetensors", ".pt", ".ckpt")
"""Endings of weights and optimizer states."""


def prune(root: Path) -> int:
    """Remove weights of all units below ``root``; returns how many bytes that freed."""
    freed = 0
    for path in sorted((root / "units").rglob("*")):
        if path.suffix in HEAVY and path.is_file() and not path.is_symlink():
            freed += path.stat().st_size
            path.unlink()
    return freed
