"""What a chunk's steps count from: the step before (delta), or the chunk's begin (relative).

A world that takes displacements can be predicted in either way. Deltas are what is executed, and
their errors add up over a chunk; relative targets ("Rel" in arXiv 2602.09722, which compares the
two in world and end-effector frames) say at every step where the body shall be, measured from where
it was when the chunk began, and an error of one step stays one. The frame is the action space's
own: a world whose group is in frame "tool" gives the end-effector variants.

The two are the same chunk in the conventions ``delta`` and ``chunk_start`` of
:func:`enactive.actions.convert.convert`; what is here works on batches of tensors, for quantities
that add up.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from enactive.actions.groups import ROTATIONS
from enactive.actions.slots import Slots
from enactive.actions.spaces import VectorSpace
from enactive.configuration import ConfigurationError


class RelativeChunks(nn.Module):
    """Displacements to places relative to the chunk's begin, and back.

    Args:
        space: the model's action space.
        slots: its embodiments, if there are several.

    Raises:
        ConfigurationError: no group is a displacement, or one is a rotation.
    """

    columns: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, space: VectorSpace, slots: Slots | None = None) -> None:
        super().__init__()
        own = {"": space} if slots is None else slots.spaces
        rows = []
        for name, each in own.items():
            row = torch.zeros(space.size, dtype=torch.bool)
            places = range(space.size) if slots is None else slots.places[name]
            row[list(places)] = torch.tensor(displacements(each))
            rows.append(row)
        # Known from the action space, so that nothing of it needs to be in a checkpoint.
        self.register_buffer("columns", torch.stack(rows), persistent=False)  # (E, A)
        self.register_buffer("low", torch.from_numpy(space.low), persistent=False)
        self.register_buffer("high", torch.from_numpy(space.high), persistent=False)

    def relative(self, chunk: Tensor, embodiment: Tensor | None = None) -> Tensor:
        """Displacements ``(B, H, A)`` summed up; other entries stay."""
        return torch.where(self._columns(chunk, embodiment), chunk.cumsum(-2), chunk)

    def displacements(self, chunk: Tensor, embodiment: Tensor | None = None) -> Tensor:
        """The inverse: ``(..., H, A)`` of rows ``(B, ...)``.

        Each step moves from where the last one led to the step's place, as far as the space's
        bounds allow, so that what one step could not reach the next ones catch up with.
        """
        at = torch.zeros_like(chunk[..., 0, :])  # (..., A)
        steps: list[Tensor] = []
        for place in chunk.unbind(-2):
            step = (place - at).clamp(self.low, self.high)
            at = at + step
            steps.append(step)
        return torch.where(self._columns(chunk, embodiment), torch.stack(steps, -2), chunk)

    def _columns(self, chunk: Tensor, embodiment: Tensor | None) -> Tensor:
        if embodiment is None:
            return self.columns[0]
        rows = self.columns[embodiment]  # (B, A)
        return rows.view(len(rows), *[1] * (chunk.dim() - 2), rows.shape[-1])


def displacements(space: VectorSpace) -> list[bool]:
    """Which of the space's A entries are displacements.

    Raises:
        ConfigurationError: none is, or one is a rotation.
    """
    columns: list[bool] = []
    for group in space.groups:
        if group.reference == "delta" and group.representation in ROTATIONS:
            raise ConfigurationError(
                f"model.relative: group {group.name!r} is a rotation, and rotations do not add up; "
                "convert the dataset's chunks with enactive.actions.convert instead"
            )
        columns += [group.reference == "delta"] * group.size
    if not any(columns):
        raise ConfigurationError(
            f"model.relative: no group is a displacement (reference 'delta'): {space}; "
            "leave relative out"
        )
    return columns
