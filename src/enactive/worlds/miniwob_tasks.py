"""Which pages of MiniWoB++ are tasks here, and why others are not."""

from __future__ import annotations

from collections.abc import Mapping

LEFT_OUT: Mapping[str, str] = {}
"""Page to the reason why it is no task of this world."""
