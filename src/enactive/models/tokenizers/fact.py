"""FACT: sign-bit codes of a chunk, decoded by flow matching.

Flow-matching action tokenizer (GenieReasoner, Unified Embodied Reasoning, section on FACT). An
encoder in which L learned queries, zero at the start, attend jointly with the chunk's steps (two
streams with weights of their own, as in MM-DiT; Esser et al., 2024, section 4) gives
``e (L, D)``, and ``c = sign(e)`` in {-1, +1} is the code: L ids of D bits each, vocabulary 2^D.
The decoder is a velocity field: with noise z and ``a_t = (1 - t) · z + t · a`` it is trained on
``|(a - z) - v(a_t, c, t)|²``, and decoding integrates v from noise at t = 0 to the chunk at t = 1.

**Bits.** Bit d of an id is 1 where c_d = +1; sign(0) counts as +1. Every id in [0, 2^D) is the
code of something.

**Gradient and collapse.** sign has no gradient: the straight-through estimator passes the
decoder's gradient on to e, and a commitment loss keeps e near its signs. Nothing in these asks for
*different* codes. The entropy term (Yu et al., Language model beats diffusion, 2024, section 3;
per bit, as in Zhao et al., Binary spherical quantization, 2024, section 3) does: with
``p = sigmoid(4e)``, the probability of +1 under a softmax of squared distances, it makes each
chunk's bits certain and each bit's average over chunks a half.

**Noise.** Decoding is stochastic. Without a generator every row starts from the same noise, the
first draw of the stream ``(0, "fact decode")``: decoding is then a function of the ids alone, and
of no other row. With a generator each row has noise of its own. An error of reconstruction is to be
reported over decodes as they come, never over the best of several.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from enactive.models.layers import DecoderLayer, mlp, sinusoidal
from enactive.models.tokenizers.fitting import fit_minibatches
from enactive.models.tokenizers.tokenizer import Decoded, Progress, Tokenizer, TokenizerConfig
from enactive.seeding import torch_generator

LATEST = 0.999
"""Largest t that training draws; decoding with up to 1000 steps never evaluates a later one."""


class FACT(Tokenizer):
    """See the module."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config(TokenizerConfig):
        """Sizes of code and networks, and how they are fitted."""

        chunks: int = 20_000
        """Training chunks that it is fitted on, at most."""
        codes: int = 8
        """L, ids of a chunk. (The paper: 20.)"""
        bits_per_code: int = 8
        """D, bits of an id; the vocabulary is 2^D. (The paper: 12.)"""
        width: int = 64
        """Width of encoder and decoder."""
        depth: int = 1
        """Layers of each."""
        attention_heads: int = 4
        """Heads of each attention; divides the width."""
        steps: int = 8
        """Euler steps of decoding; each is one pass of the decoder."""
        flow: bool = True
        """False is the control of the same code: the decoder predicts the chunk from the code alone
        in one pass, trained on the squared error."""
        entropy: float = 0.1
        """Weight of the entropy term; 0 lets the codes collapse."""
        commitment: float = 0.02
        """Weight of the loss that keeps e near its signs."""
        fit_steps: int = 600
        """Gradient steps of the fit."""
        fit_batch: int = 64
        """Chunks in a mini-batch."""
        fit_rate: float = 5e-3
        """Largest learning rate."""

        def build(self, *, action_size: int, horizon: int) -> FACT:
            """Make the tokenizer, see :meth:`TokenizerConfig.build`."""
            return FACT(self, action_size, horizon)

    decoder: VelocityField
    place: Tensor
    """``int64 (D,)``: 2^0, ..., 2^(D-1), what each bit counts in an id."""
    start: Tensor
    """``float32 (H, A)``: the noise that decoding starts from when it is given no generator."""

    def __init__(self, config: FACT.Config, action_size: int, horizon: int) -> None:
        super().__init__(action_size=action_size, horizon=horizon)
        if not 1 <= config.bits_per_code <= 20:
            raise ValueError(
                f"tokenizer.bits_per_code must be from 1 to 20, got {config.bits_per_code}: heads "
                "have a weight for each of the 2^bits_per_code ids"
            )
        if config.codes < 1 or config.depth < 1:
            raise ValueError("tokenizer.codes and tokenizer.depth must be at least 1")
        if not 1 <= config.steps <= 1000:
            raise ValueError(f"tokenizer.steps must be from 1 to 1000, got {config.steps}")
        self.config = config
        self.length = config.codes
        self.vocabulary = 2**config.bits_per_code
        self.encoder = SignEncoder(config, action_size, horizon)
        self.decoder = VelocityField(config, action_size, horizon)
        self.register_buffer("place", 2 ** torch.arange(config.bits_per_code), persistent=False)
        noise = torch.randn(horizon, action_size, generator=torch_generator(0, "fact decode"))
        self.register_buffer("start", noise if config.flow else torch.zeros_like(noise))

    def _fit(self, chunks: Tensor, generator: Generator, progress: Progress | None) -> None:
        """See the module and :meth:`losses`."""
        fit_minibatches(
            self.parameters(),
            lambda batch: sum(self.losses(batch, generator).values(), start=batch.new_zeros(())),
            chunks,
            steps=self.config.fit_steps,
            batch=self.config.fit_batch,
            rate=self.config.fit_rate,
            generator=generator,
            progress=progress,
        )

    def losses(self, batch: Tensor, generator: Generator) -> dict[str, Tensor]:
        """The weighted terms of the training loss on ``batch (B, H, A)``, scalars."""
        e = self.encoder(batch)  # (B, L, D)
        code = signs(e)
        noise = torch.zeros_like(batch)
        time = batch.new_zeros(len(batch))
        if self.config.flow:
            device = generator.device
            noise = torch.randn(batch.shape, generator=generator, device=device).to(batch)
            time = draw_times(len(batch), generator).to(batch)
        t = time[:, None, None]
        x = (1 - t) * noise + t * batch  # (B, H, A); without flow 0
        velocity = self.decoder(x, code, time)
        return {
            "decoder": F.mse_loss(velocity, batch - noise),
            "commitment": self.config.commitment * F.mse_loss(e, code.detach()),
            "entropy": self.config.entropy * entropy_term(e),
        }

    def encode(self, chunk: Tensor) -> Tensor:
        """Ids ``int64 (B, L)``, see :meth:`Tokenizer.encode`."""
        self.require_fitted()
        with torch.no_grad():
            return self.pack(self.encoder(chunk.float()) >= 0)

    def decode(self, ids: Tensor, generator: Generator | None = None) -> Decoded:
        """Chunks, integrated from noise; see the module for which.

        Ids outside [0, 2^D) are read as the nearest id inside and flagged.
        """
        self.require_fitted()
        shape = (len(ids), self.horizon, self.action_size)
        with torch.no_grad():
            code = self.unpack(ids.clamp(0, self.vocabulary - 1))  # (B, L, D)
            x = self.start.expand(shape)  # (B, H, A)
            if generator is not None and self.config.flow:
                noise = torch.randn(shape, generator=generator, device=generator.device)
                x = noise.to(self.start)
            steps = self.config.steps if self.config.flow else 1
            for step in range(steps):
                time = torch.full((len(ids),), step / steps, device=x.device)
                x = x + self.decoder(x, code, time) / steps
        return Decoded(chunk=x, valid=self.is_valid(ids), passes=steps)

    def pack(self, bits: Tensor) -> Tensor:
        """Ids ``int64 (B, L)`` of ``bits bool (B, L, D)``."""
        return (bits.long() * self.place).sum(-1)

    def unpack(self, ids: Tensor) -> Tensor:
        """Signs ``float32 (B, L, D)`` of ids ``int64 (B, L)`` in [0, 2^D)."""
        set_bits = (ids.unsqueeze(-1) & self.place) != 0  # (B, L, D)
        return torch.where(set_bits, 1.0, -1.0)

    def bit_entropy(self, chunks: Tensor) -> Tensor:
        """Entropy of each bit over ``chunks (N, H, A)``, in bits: ``float32 (L, D)``.

        1 where a bit is set for half of the chunks, 0 where it is the same for all of them.
        """
        share = (self.unpack(self.encode(chunks)) > 0).float().mean(0)  # (L, D)
        return binary_entropy(share) / torch.tensor(2.0).log()


def draw_times(count: int, generator: Generator) -> Tensor:
    """``count`` training times ``0.999 · u²`` with u uniform in [0, 1), ``float32``.

    Small t is drawn more often: there the chunk is hardly visible in a_t, and only its code tells
    what it is.
    """
    uniform = torch.rand(count, generator=generator, device=generator.device)
    return LATEST * uniform.square()


def signs(e: Tensor) -> Tensor:
    """Value sign(e), with sign(0) = +1; gradient that of e (straight-through)."""
    code = torch.where(e >= 0, 1.0, -1.0)
    return e + (code - e).detach()


def binary_entropy(p: Tensor) -> Tensor:
    """Entropy of coins that show heads with probability ``p (...)``, in nats."""
    q = p.clamp(1e-6, 1 - 1e-6)
    return -(q * q.log() + (1 - q) * (1 - q).log())


def entropy_term(e: Tensor) -> Tensor:
    """Mean over bits of (entropy of a chunk's bit) - (entropy of its average), a scalar.

    From 0, where every bit is the same for all chunks or a coin flip for each, down to -log 2,
    where all bits are certain and balanced.

    Args:
        e: ``float32 (B, L, D)``.
    """
    p = torch.sigmoid(4 * e)  # softmax of -(e - c)² over c in {-1, +1}
    return (binary_entropy(p).mean(0) - binary_entropy(p.mean(0))).mean()


class JointLayer(nn.Module):
    """Attention over two streams at once; each has norms, projections and an MLP of its own."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(
                f"tokenizer.width {width} is not a multiple of the {heads} attention heads"
            )
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(4))
        self.projections = nn.ModuleList(nn.Linear(width, 3 * width) for _ in range(2))
        self.outs = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.mlps = nn.ModuleList(mlp(width, 2) for _ in range(2))

    def forward(self, streams: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """``(B, N, w)`` and ``(B, M, w)``, the same shapes out."""
        projected = [
            projection(norm(x)).unflatten(-1, (3, self.heads, -1))
            for x, norm, projection in zip(streams, self.norms[:2], self.projections, strict=True)
        ]
        q, k, v = torch.cat(projected, 1).permute(2, 0, 3, 1, 4)  # (B, h, N + M, w / h) each
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        parts = mixed.split([x.shape[1] for x in streams], dim=1)
        first, second = (
            x + out(part) for x, out, part in zip(streams, self.outs, parts, strict=True)
        )
        return (
            first + self.mlps[0](self.norms[2](first)),
            second + self.mlps[1](self.norms[3](second)),
        )


class SignEncoder(nn.Module):
    """Chunks to e, whose signs are the code."""

    def __init__(self, config: FACT.Config, action_size: int, horizon: int) -> None:
        super().__init__()
        self.inputs = nn.Linear(action_size, config.width)
        self.positions = nn.Parameter(0.5 * torch.randn(horizon, config.width))
        self.queries = nn.Parameter(torch.zeros(config.codes, config.width))
        # Queries that are all zero are told apart only by where they stand. Faintly: a bit that the
        # place decides at the start is the same for all chunks, and is slow to come loose.
        place = torch.arange(config.codes)
        self.register_buffer(
            "query_positions", sinusoidal(place, config.width, 2.0, 4.0 * config.codes), False
        )
        self.layers = nn.ModuleList(
            JointLayer(config.width, config.attention_heads) for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.width)
        self.out = nn.Linear(config.width, config.bits_per_code)

    query_positions: Tensor

    def forward(self, chunk: Tensor) -> Tensor:
        """``(B, H, A)`` to e ``float32 (B, L, D)``."""
        steps = self.inputs(chunk) + self.positions  # (B, H, w)
        queries = (self.queries + 0.3 * self.query_positions).expand(
            len(chunk), -1, -1
        )  # (B, L, w)
        for layer in self.layers:
            steps, queries = layer((steps, queries))
        return self.out(self.norm(queries))


class VelocityField(nn.Module):
    """The velocity da/dt of a noisy chunk, given its code and the time.

    The transformer F does not predict the velocity itself, most of which is noise that it would
    have to copy, but what the best linear guess from x alone leaves over, at unit variance (the
    preconditioning of Karras et al., 2022, section 5, for this path and for data of unit variance):
    with ``n = t² + (1 - t)²``, ``v = (2t - 1)/n · x + F(x/√n, c, t)/√n``. At t = 0 F predicts the
    chunk from its code.
    """

    def __init__(self, config: FACT.Config, action_size: int, horizon: int) -> None:
        super().__init__()
        self.width = config.width
        self.inputs = nn.Linear(action_size, config.width)
        self.positions = nn.Parameter(0.5 * torch.randn(horizon, config.width))
        self.code = nn.Linear(config.bits_per_code, config.width)
        self.code_positions = nn.Parameter(0.5 * torch.randn(config.codes, config.width))
        self.time = nn.Sequential(
            nn.Linear(config.width, config.width), nn.SiLU(), nn.Linear(config.width, config.width)
        )
        self.layers = nn.ModuleList(
            DecoderLayer(config.width, config.attention_heads, 2, conditioned=True)
            for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.width)
        self.out = nn.Linear(config.width, action_size)

    def forward(self, x: Tensor, code: Tensor, time: Tensor) -> Tensor:
        """``x (B, H, A)``, ``code (B, L, D)``, ``time (B,)`` to ``float32 (B, H, A)``."""
        condition = self.time(sinusoidal(time, self.width, shortest=4e-3, longest=4.0))
        memory = self.code(code) + self.code_positions  # (B, L, w)
        t = time[:, None, None]
        n = t.square() + (1 - t).square()  # variance of a_t
        y = self.inputs(x / n.sqrt()) + self.positions  # (B, H, w)
        for layer in self.layers:
            y = layer(y, memory, condition)
        return (2 * t - 1) / n * x + self.out(self.norm(y)) / n.sqrt()
