"""What backbones around a pretrained language model share: prompts, state tokens, masks.

A row's sequence has one fixed length, padded on the left, so that its numbers do not depend on the
other rows' words and its last position is the last one of every row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enactive.configuration import ConfigurationError


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """The tokens of B rows."""

    ids: Tensor
    """``int64 (B, L)``."""
    valid: Tensor
    """``bool (B, L)``: False for padding."""
    positions: Tensor
    """``int64 (K, B, L)``: of K axes (1, or time, height and width)."""


class Prompts:
    """Instructions to token ids of one length, each instruction tokenised once."""

    def __init__(
        self,
        tokenizer: Any,
        write: Callable[[str], str],
        positions: Callable[[Tensor, Tensor], Tensor],
        text_tokens: int,
        slots: int,
    ) -> None:
        """
        Args:
            tokenizer: of ``transformers``.
            write: the instruction to the whole prompt, placeholders of pictures included.
            positions: ids and validity ``(1, L)`` to positions ``(K, L)``.
            text_tokens: most tokens that an instruction may have.
            slots: S, places kept free behind the prompt.
        """
        self.tokenizer, self.write, self.positions = tokenizer, write, positions
        self.slots = slots
        self.text_tokens = text_tokens
        self.length = len(self._tokens("")) + text_tokens + slots
        self._known: dict[str, tuple[Tensor, Tensor, Tensor]] = {}

    def __call__(self, texts: Sequence[str], device: torch.device) -> Prompt:
        """The tokens of B instructions.

        Raises:
            ConfigurationError: an instruction is too long.
        """
        rows = [self._row(text) for text in texts]
        ids, valid, positions = (torch.stack(parts) for parts in zip(*rows, strict=True))
        return Prompt(
            ids=ids.to(device),
            valid=valid.to(device),
            positions=positions.transpose(0, 1).contiguous().to(device),
        )

    def _tokens(self, text: str) -> list[int]:
        return self.tokenizer(self.write(text), add_special_tokens=False)["input_ids"]

    def _row(self, text: str) -> tuple[Tensor, Tensor, Tensor]:
        """Ids ``(L,)``, validity ``(L,)`` and positions ``(K, L)``."""
        if text not in self._known:
            tokens = self._tokens(text)
            missing = self.length - self.slots - len(tokens)
            if missing < 0:
                raise ConfigurationError(
                    f"backbone.text_tokens is {self.text_tokens}, and the instruction {text!r} "
                    f"has {self.text_tokens - missing} tokens; raise backbone.text_tokens"
                )
            pad = self.tokenizer.pad_token_id
            ids = torch.tensor([pad] * missing + tokens + [pad] * self.slots)
            valid = torch.arange(self.length) >= missing
            positions = self.positions(ids[None], valid[None].long())  # (K, L)
            self._known[text] = (ids, valid, positions)
        return self._known[text]


def count_up(ids: Tensor, valid: Tensor) -> Tensor:
    """Positions 0, 1, ... from the first valid token on: ``(1, L)`` each to ``(1, L)``."""
    return (valid.cumsum(-1) - 1).clamp(min=0)


def attention_mask(valid: Tensor, bidirectional: bool) -> Tensor:
    """Who may attend to whom: ``bool (B, L)`` to ``bool (B, 1, L, L)``, query before key.

    Padding attends to itself and nothing attends to padding, so that no row of a softmax is empty.
    Given whole, the mask keeps the attention kernel, and with it a row's bits, from depending on
    whether some other row has padding.
    """
    length = valid.shape[1]
    order = torch.ones(length, length, dtype=torch.bool, device=valid.device)
    if not bidirectional:
        order = order.tril()
    self_only = torch.eye(length, dtype=torch.bool, device=valid.device)
    return (order & valid[:, None, :] & valid[:, :, None] | self_only)[:, None]


class StateTokens(nn.Module):
    """State vectors to tokens of the size of a language model's own embeddings."""

    def __init__(self, states: Mapping[str, int], steps: int, width: int, size: float) -> None:
        """
        Args:
            states: name to D.
            steps: T.
            width: of a token.
            size: root mean square of an embedding's entries, where the tokens start.
        """
        super().__init__()
        self.names = tuple(states)
        self.count = steps * len(states)
        self.embed = nn.ModuleList(
            nn.Sequential(nn.Linear(d, width), nn.GELU(approximate="tanh"), nn.Linear(width, width))
            for d in states.values()
        )
        self.places = nn.Parameter(0.02 * torch.randn(self.count, width))
        self.gain = nn.Parameter(torch.full((width,), size))

    def forward(self, state: Mapping[str, Tensor]) -> Tensor:
        """``(B, T, D)`` each to ``float32 (B, S, width)``, oldest first, state by state."""
        tokens = [
            embed(state[name]) for name, embed in zip(self.names, self.embed, strict=True)
        ]  # (B, T, width) each
        x = torch.cat(tokens, dim=1) + self.places  # (B, S, width)
        return F.layer_norm(x, x.shape[-1:]) * self.gain


def without_padding(hidden: Tensor, valid: Tensor) -> Tensor:
    """Hidden states ``(B, L, D)`` in ``float32``, zero where a row is padded."""
    return hidden.float().masked_fill(~valid[..., None], 0.0)
