"""UniAct's head: one shared code, a small decoder for every embodiment (arXiv 2501.10105).

Logits over a universal codebook are read from the pooled features; a decoder of the row's
embodiment turns the code and a vector of what is seen into its chunk. The code is the only way by
which the instruction reaches an action: decoders see :attr:`Features.perception`, which a backbone
makes before it mixes words in. The loss is the masked Huber loss of the released code (delta 0.1).

To adapt to a new embodiment, freeze backbone, logits and codes and train its decoder alone::

    Stage(steps=..., freeze=("backbone.*", "head.network.logits.*", "head.network.codebook.*"))

with ``hard=True``, as the authors do; a run that begins with another's weights
(``Training.initial``) draws only the new decoder anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from enactive.actions.decision import Cost
from enactive.models.backbones.backbone import Features
from enactive.models.heads.head import (
    Generators,
    Head,
    HeadConfig,
    HeadSpec,
    Loss,
    Samples,
    draw_uniform,
    masked_mean,
)
from enactive.models.tokenizers.universal_codebook import (
    UniversalCodebook as Codebook,
)
from enactive.models.tokenizers.universal_codebook import (
    gumbel,
    hard_weights,
    soft_weights,
    uniformity,
)

ADAPTATION = ("backbone.*", "head.network.logits.*", "head.network.codebook.*")
"""What ``Stage.freeze`` holds while a new embodiment's decoder is trained."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Coded:
    """What one pass of the network gives."""

    chunk: Tensor
    """``float32 (B, H, A)``, normalised."""
    logits: Tensor
    """``float32 (B, N)``."""


class CodedPolicy(nn.Module):
    """Features to a code, and the code to the chunk of each row's embodiment."""

    def __init__(self, config: UniversalCodebook.Config, spec: HeadSpec) -> None:
        super().__init__()
        self.bottleneck = config.bottleneck
        self.shape = (spec.horizon, spec.action_size)
        self.logits = nn.Linear(spec.width, config.codes)
        self.codebook = Codebook(config.codes, config.code_size)
        names = spec.embodiments or ("default",)
        inputs = config.code_size + (config.perception_size if config.perception else 0)

        def decoder() -> nn.Module:
            return Decoder(config, spec, inputs)

        # Module names may hold no dots.
        self.decoders = nn.ModuleDict({name.replace(".", "/"): decoder() for name in names})

    def forward(
        self, features: Features, noise: Tensor | None, temperature: float, hard: bool
    ) -> Coded:
        """One pass.

        Args:
            features: of B windows.
            noise: Gumbel noise ``(B, N)``, or None for none.
            temperature: tau.
            hard: the most likely code alone instead of a mixture.
        """
        logits = self.logits(features.pooled)  # (B, N)
        if not self.bottleneck:
            code = self.codebook(logits)  # the same parameters, but nothing is chosen
        elif hard:
            code = self.codebook(hard_weights(logits, temperature))  # (B, D)
        else:
            code = self.codebook(soft_weights(logits, temperature, noise))
        return Coded(chunk=self.decode(code, features), logits=logits.float())

    def decode(self, code: Tensor, features: Features) -> Tensor:
        """Codes ``(B, D)`` to chunks ``float32 (B, H, A)``, each by its row's decoder."""
        rows = len(code)
        if features.embodiment is None:
            if len(self.decoders) > 1:
                raise ValueError(
                    f"the head decodes for {', '.join(self.decoders)} and the features do not say "
                    "which rows are which; give Batch.embodiment"
                )
            which = torch.zeros(rows, dtype=torch.int64, device=code.device)
        else:
            which = features.embodiment
        seen = features.perception
        if seen is None:
            seen = features.tokens.mean(1)  # (B, W); carries the instruction too
        chunk = code.new_zeros((rows, *self.shape), dtype=torch.float32)
        for number, decoder in enumerate(self.decoders.values()):
            # Also without rows: then its gradient is 0 and not missing, in every process alike.
            own = (which == number).nonzero()[:, 0]
            chunk = chunk.index_copy(0, own, decoder(code[own], seen[own]).float())
        return chunk


class Decoder(nn.Module):
    """A code and what is seen to one embodiment's chunk, by an MLP with one hidden layer."""

    def __init__(self, config: UniversalCodebook.Config, spec: HeadSpec, inputs: int) -> None:
        super().__init__()
        self.shape = (spec.horizon, spec.action_size)
        self.perception: nn.Linear | None = None
        if config.perception:
            self.perception = nn.Linear(spec.width, config.perception_size)
        self.hidden = nn.Linear(inputs, config.hidden)
        self.out = nn.Linear(config.hidden, spec.horizon * spec.action_size)

    def forward(self, code: Tensor, seen: Tensor) -> Tensor:
        """``code (B, D)`` and ``seen (B, W)`` to ``(B, H, A)``."""
        x = code
        if self.perception is not None:
            x = torch.cat([self.perception(seen), code], dim=-1)
        x = F.gelu(self.hidden(x), approximate="tanh")
        return self.out(x).view(len(code), *self.shape)


class UniversalCodebook(Head):
    """See the module."""

    traces: ClassVar[tuple[str, ...]] = ("ids",)

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config(HeadConfig):
        """Codebook, temperature and decoders."""

        codes: int = 256
        """N, behaviours in the codebook."""
        code_size: int = 128
        """D, entries of a code."""
        temperature: float = 1.4
        """tau of the Gumbel-softmax in the first training step, and without annealing in all: 1.4
        is the released checkpoint's. Pretraining went from 2.0 to 0.5."""
        final_temperature: float = 0.5
        """tau after ``anneal_steps``."""
        anneal_steps: int = 0
        """Updates over which tau falls linearly; 0 keeps it."""
        uniformity: float = 5e-4
        """Weight of the codes' divergence from uniform use in the loss; 0 leaves it out, as the
        released training does in effect."""
        hard: bool = False
        """Train on the most likely code alone (straight-through) instead of a mixture."""
        hard_sampling: bool = True
        """Act with the most likely code, as the paper says; False draws a mixture, as the released
        code does."""
        bottleneck: bool = True
        """False passes a linear map of the logits on instead of codes: the control without a
        discrete bottleneck, with the same parameters."""
        perception: bool = True
        """Whether decoders see more than the code. Without it the code must carry everything."""
        perception_size: int = 64
        """Entries of what a decoder takes from :attr:`Features.perception`."""
        hidden: int = 256
        """Hidden units of each decoder."""
        delta: float = 0.1
        """Where the Huber loss turns from square to linear, in normalised units."""

        def build(self, spec: HeadSpec) -> UniversalCodebook:
            """Make the head, see :meth:`HeadConfig.build`.

            Raises:
                ValueError: a field is out of range.
            """
            for name in ("codes", "code_size", "perception_size", "hidden"):
                if getattr(self, name) < 1:
                    raise ValueError(f"head.{name} must be at least 1, got {getattr(self, name)}")
            for name in ("temperature", "final_temperature", "delta"):
                if not getattr(self, name) > 0:
                    raise ValueError(f"head.{name} must be positive, got {getattr(self, name)}")
            for name in ("uniformity", "anneal_steps"):
                if getattr(self, name) < 0:
                    raise ValueError(f"head.{name} must be at least 0, got {getattr(self, name)}")
            return UniversalCodebook(self, spec)

    updates: Tensor

    def __init__(self, config: UniversalCodebook.Config, spec: HeadSpec) -> None:
        super().__init__(spec)
        self.config = config
        self.network = CodedPolicy(config, spec)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    @property
    def temperature(self) -> float:
        """tau of the next training step."""
        config = self.config
        if not config.anneal_steps:
            return config.temperature
        done = min(1.0, int(self.updates) / config.anneal_steps)
        return config.temperature + done * (config.final_temperature - config.temperature)

    def loss(self, features: Features, chunk: Tensor, mask: Tensor, generator: Generator) -> Loss:
        """Masked Huber loss plus the weighted uniformity term, see :meth:`Head.loss`."""
        config, temperature = self.config, self.temperature
        if self.training and torch.is_grad_enabled() and config.anneal_steps:
            self.updates += 1
        noise = None
        if config.bottleneck and not config.hard:
            shape = (len(chunk), config.codes)
            noise = gumbel(draw_uniform(shape, generator, chunk.device))
        coded: Coded = self.network(features, noise, temperature, config.hard)
        error = F.huber_loss(coded.chunk, chunk, reduction="none", delta=config.delta)
        huber = masked_mean(error, mask)  # (B,)
        counts = mask.flatten(1).any(1)  # rows that keep nothing do not count at all
        spread = uniformity(coded.logits) * counts  # (B,)
        per_sample = huber
        if config.bottleneck and config.uniformity:
            per_sample = huber + config.uniformity * spread
        total = per_sample.mean()
        parts = {"huber": huber.mean().detach(), "uniformity": spread.mean().detach()}
        return Loss(total=total, per_sample=per_sample, parts=parts)

    def sample(self, features: Features, generator: Generators, samples: int = 1) -> Samples:
        """One pass for the most likely code, whose chunk every candidate is; one pass for each
        candidate where codes are drawn. ``trace["ids"]`` is the most likely code, ``(B, S, 1)``."""
        rows = len(features.pooled)
        config = self.config
        if config.hard_sampling or not config.bottleneck:
            coded: Coded = self.network(features, None, self.temperature, True)
            chunk = coded.chunk.unsqueeze(1).expand(-1, samples, -1, -1)  # (B, S, H, A)
            ids = coded.logits.argmax(-1)[:, None, None].expand(-1, samples, -1)
            return Samples(chunk=chunk, cost=Cost(head_passes=1), trace={"ids": ids})
        noise = gumbel(
            draw_uniform((rows, samples, config.codes), generator, features.pooled.device)
        )
        drawn: Coded = self.network(
            features.repeat(samples), noise.flatten(0, 1), self.temperature, False
        )
        chunk = drawn.chunk.view(rows, samples, self.horizon, self.action_size)
        ids = drawn.logits.argmax(-1).view(rows, samples, 1)
        return Samples(chunk=chunk, cost=Cost(head_passes=samples), trace={"ids": ids})

    @torch.no_grad()
    def code_chunks(self, features: Features) -> Tensor:
        """What every code means on the rows' embodiments: chunks ``float32 (B, N, H, A)``, each
        code alone decoded in the situation that ``features`` shows."""
        codes = self.network.codebook.codes  # (N, D)
        count = len(codes)
        every = codes.repeat(len(features.pooled), 1)  # (B·N, D)
        chunk = self.network.decode(every, features.repeat(count))
        return chunk.view(-1, count, self.horizon, self.action_size)
