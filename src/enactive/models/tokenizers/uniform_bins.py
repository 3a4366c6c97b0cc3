"""Uniform bins (RT-1, Brohan et al. 2022, section 5.1; RT-2, Brohan et al. 2023, section 3.2).

Each dimension of the action is cut into 256 bins of equal width between its bounds. The bounds are
the smallest and the largest value of the training chunks: nothing of the training set is clipped,
and one outlier makes every bin of its dimension wider.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from enactive.models.tokenizers.bins import Bins
from enactive.models.tokenizers.tokenizer import TokenizerConfig


class UniformBins(Bins):
    """See the module and :class:`Bins`."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config(TokenizerConfig):
        """Number of bins."""

        bins: int = 256
        """V, bins per dimension."""
        chunks: int = 65536
        """Training chunks whose bounds are taken, at most."""

        def build(self, *, action_size: int, horizon: int) -> UniformBins:
            """Make the tokenizer, see :meth:`TokenizerConfig.build`."""
            return UniformBins(self.bins, action_size, horizon)

    def bounds(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """The smallest and the largest value of each dimension."""
        return values.amin(0), values.amax(0)
