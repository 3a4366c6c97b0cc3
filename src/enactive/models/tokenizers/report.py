"""What a tokenizer does to chunks: bits, errors, and how much of its vocabulary it uses."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from enactive.models.tokenizers.codebook import perplexity
from enactive.models.tokenizers.tokenizer import Tokenizer


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenizerReport:
    """A tokenizer on some chunks. Errors are in normalised units."""

    chunks: int
    """Chunks it was measured on."""
    ids: float
    """Ids of a chunk, on average, padding left out."""
    bits: float
    """Bits of a chunk, on average (:meth:`Tokenizer.bits`)."""
    valid: float
    """Fraction of the encoded chunks that decode as valid; 1 unless something is wrong."""
    mse: float
    """Mean squared error of decode(encode(chunk)) over all entries."""
    mae: float
    """Mean absolute error."""
    worst: float
    """Largest absolute error of any entry."""
    used: int
    """Different ids that occur, ``end`` left out."""
    vocabulary: int
    """V."""
    perplexity: float
    """exp of the entropy of the ids' frequencies, ``end`` left out: as many equally frequent ids
    would be as surprising. 1 means that one id is used for everything."""
    passes: int
    """Forward passes of the neural decoder per chunk."""

    def to_dict(self) -> dict[str, float]:
        """JSON values."""
        return dataclasses.asdict(self)


@torch.no_grad()
def report(
    tokenizer: Tokenizer, chunks: Tensor, generator: Generator | None = None, batch: int = 1024
) -> TokenizerReport:
    """Encode and decode ``chunks`` and say what became of them.

    Args:
        tokenizer: a fitted one.
        chunks: normalised ``float32 (N, H, A)``, N > 0; held out from fitting where the report is
            to say how it does on new data.
        generator: source of the decoder's noise, see :meth:`Tokenizer.decode`.
        batch: chunks at a time.

    Raises:
        ValueError: there are no chunks.
        NotFitted: the tokenizer has not been fitted.
    """
    if not len(chunks):
        raise ValueError("there are no chunks to report on")
    counts = torch.zeros(tokenizer.vocabulary, dtype=torch.float64)
    bits = squared = absolute = worst = 0.0
    valid = passes = 0
    for part in chunks.split(batch):
        ids = tokenizer.encode(part)  # (B, L)
        decoded = tokenizer.decode(ids, generator)
        error = (decoded.chunk - part).double()  # (B, H, A)
        squared += float(error.square().sum())
        absolute += float(error.abs().sum())
        worst = max(worst, float(error.abs().max()))
        valid += int(decoded.valid.sum())
        bits += float(tokenizer.bits(ids).double().sum())
        passes = decoded.passes
        counts += torch.bincount(ids.flatten().cpu(), minlength=tokenizer.vocabulary).double()
    if tokenizer.end is not None:
        counts[tokenizer.end] = 0.0
    total = float(counts.sum())
    return TokenizerReport(
        chunks=len(chunks),
        ids=total / len(chunks),
        bits=bits / len(chunks),
        valid=valid / len(chunks),
        mse=squared / chunks.numel(),
        mae=absolute / chunks.numel(),
        worst=worst,
        used=int((counts > 0).sum()),
        vocabulary=tokenizer.vocabulary,
        perplexity=float(perplexity(counts)),
        passes=passes,
    )


def table(reports: Mapping[str, TokenizerReport]) -> str:
    """The reports as a Markdown table, one row per name, errors in normalised units."""
    head = ["tokenizer", "ids", "bits", "MSE", "MAE", "worst", "valid", "ids used", "perplexity"]
    rows = [head, ["---", *["---:"] * (len(head) - 1)]]
    for name, one in reports.items():
        rows.append(
            [
                name,
                f"{one.ids:.1f}",
                f"{one.bits:.0f}",
                f"{one.mse:.2e}",
                f"{one.mae:.2e}",
                f"{one.worst:.3f}",
                f"{100 * one.valid:.1f} %",
                f"{one.used} of {one.vocabulary}",
                f"{one.perplexity:.1f}",
            ]
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
