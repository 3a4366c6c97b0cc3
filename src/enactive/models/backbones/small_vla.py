"""A small vision-language-action backbone, trained from scratch and quick on a CPU.

Each camera's image goes through a convolutional stem whose last map gives one token per cell and
whose second map gives keypoints by spatial softmax (Levine et al., 2016; Finn et al., Deep
Spatial Autoencoders, 2016), which keep positions finer than a cell. The instruction's embedding
modulates the stem (FiLM, Perez et al., 2018, as in RT-1) and is a token of its own, as is each
state vector, or each thing of a state vector that lists things. Of listed things the instruction
can choose a few by attention, whose entries then have tokens of their own, as a picture's keypoints
have. A few transformer layers mix the tokens; a readout token gives the pooled feature.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enactive.configuration import added
from enactive.models.backbones.backbone import Backbone, BackboneConfig, Features, Instructions
from enactive.models.layers import EncoderLayer


class Stem(nn.Module):
    """Strided convolutions, each followed by GroupNorm, FiLM and GELU."""

    def __init__(
        self, channels: tuple[int, ...], patch: int, language_size: int, film: bool, keypoints: int
    ) -> None:
        super().__init__()
        convolutions: list[nn.Module] = []
        inputs = 3
        for i, outputs in enumerate(channels):
            stride = patch if i == 0 else 2
            kernel = 2 * patch if i == 0 else 3
            padding = patch // 2 if i == 0 else 1
            convolutions.append(nn.Conv2d(inputs, outputs, kernel, stride, padding))
            inputs = outputs
        self.convolutions = nn.ModuleList(convolutions)
        self.norms = nn.ModuleList(nn.GroupNorm(math.gcd(8, c), c) for c in channels)
        self.films: nn.ModuleList | None = None
        if film:
            self.films = nn.ModuleList(nn.Linear(language_size, 2 * c) for c in channels)
            for layer in self.films:
                assert isinstance(layer, nn.Linear)
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)
        self.keypoints: nn.Conv2d | None = None
        if keypoints:
            self.keypoints = nn.Conv2d(channels[1], keypoints, 1)

    def forward(self, image: Tensor, language: Tensor) -> tuple[Tensor, Tensor | None]:
        """``image (B, 3, H, W)`` in [-1, 1] to the last map and the keypoints.

        Returns:
            The map ``(B, C, h, w)`` and keypoints ``(B, 2·K)``: x then y of each, in [-1, 1].
        """
        x, points = image, None
        for i in range(len(self.convolutions)):
            x = self._convolved(i, x, language)
            if i == 1 and self.keypoints is not None:
                points = spatial_softmax(self.keypoints(x))
        return x, points

    def keypoint_maps(self, image: Tensor, language: Tensor) -> Tensor:
        """The scores ``(B, K, h, w)`` whose spatial softmax gives the keypoints.

        Raises:
            ValueError: the stem has no keypoints.
        """
        if self.keypoints is None:
            raise ValueError("backbone.keypoints is 0: this stem has no keypoints to point with")
        return self.keypoints(self._convolved(1, self._convolved(0, image, language), language))

    def _convolved(self, i: int, x: Tensor, language: Tensor) -> Tensor:
        x = self.norms[i](self.convolutions[i](x))
        if self.films is not None:
            gain, bias = self.films[i](language)[:, :, None, None].chunk(2, dim=1)
            x = x * (1 + gain) + bias
        return F.gelu(x, approximate="tanh")


def spatial_softmax(maps: Tensor) -> Tensor:
    """Expected position under each map's softmax: ``(B, K, h, w)`` to ``(B, 2·K)`` in [-1, 1]."""
    batch, keypoints, height, width = maps.shape
    weight = maps.reshape(batch, keypoints, -1).float().softmax(-1).view_as(maps)
    xs = torch.linspace(-1, 1, width, device=maps.device)
    ys = torch.linspace(-1, 1, height, device=maps.device)
    return torch.cat([(weight.sum(2) * xs).sum(-1), (weight.sum(3) * ys).sum(-1)], dim=-1)


class Scales(nn.Module):
    """Entries ``(..., E)`` as ``tanh(x / s)`` for each of S scales: ``(..., S·E)``."""

    def __init__(self, scales: tuple[float, ...]) -> None:
        super().__init__()
        self.scales = scales

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([torch.tanh(x / scale) for scale in self.scales], dim=-1)


class Choice(nn.Module):
    """K queries, made of the instruction and of all that is listed, each choose among N things.

    A query's softmax over the things weights their entries, as a keypoint's over a picture's cells
    weights places: what comes out has the precision of the entries, whichever thing is chosen.
    """

    def __init__(
        self, config: SmallVLA.Config, things: int, entries: int, language_size: int
    ) -> None:
        super().__init__()
        width = config.width
        self.look = _things_in(entries, config)
        self.kinds = nn.Parameter(0.02 * torch.randn(things, width))
        self.told = nn.Linear(language_size, config.chosen * width)
        self.scene = nn.Linear(width, config.chosen * width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.embed = _things_in(entries, config)
        self.kind = nn.Linear(width, width)

    def scores(self, things: Tensor, language: Tensor) -> Tensor:
        """How much each query means each thing: ``(B, K, N)``, before the softmax over N.

        Args:
            things: their entries, ``(B, N, entries)``.
            language: ``(B, E)``, of unit variance.
        """
        tokens = self.look(things) + self.kinds
        queries = self.told(language) + self.scene(tokens.mean(1))
        queries = queries.unflatten(-1, (-1, tokens.shape[-1]))  # (B, K, D)
        return queries @ self.key(tokens).transpose(1, 2) / math.sqrt(tokens.shape[-1])

    def forward(self, things: Tensor, language: Tensor) -> Tensor:
        """Tokens ``(B, K, D)`` of what is chosen, see :meth:`scores`."""
        weights = self.scores(things, language).softmax(-1)
        return self.embed(weights @ things) + self.kind(weights @ self.kinds)


class SmallVLA(Backbone):
    """See the module."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config(BackboneConfig):
        """Size of the backbone; the defaults have about one million parameters."""

        width: int = 128
        """D, entries of a token."""
        depth: int = 3
        """Transformer layers."""
        attention_heads: int = 4
        """Heads of each attention; divides ``width``."""
        mlp_ratio: int = 4
        """Inner width of the MLPs over ``width``."""
        patch: int = 4
        """Stride of the first convolution, pixels; its kernel is twice as large."""
        channels: tuple[int, ...] = (48, 64, 96)
        """Channels after each convolution; every one after the first halves the map."""
        film: bool = True
        """Whether the instruction modulates the convolutions."""
        keypoints: int = 32
        """Spatial-softmax keypoints per camera, read after the second convolution; 0 for none."""
        slots: tuple[tuple[str, int], ...] = added(())
        """State vectors that list things, with the entries of one thing. Each thing becomes a token
        by the same MLP and an embedding of its place in the list, so that attention can choose
        among them."""
        scales: tuple[float, ...] = added(())
        """Show each entry x of ``slots`` as tanh(x / s) for every s given here instead of as x, so
        that metres far away and millimetres nearby can both be told apart. In the units that
        normalisation leaves: give the vector the mode ``identity`` to mean its own."""
        chosen: int = added(0)
        """K: tokens, for every vector of ``slots``, of things that instruction and scene choose
        among its things by a softmax; 0 for none."""
        things: bool = added(True)
        """Whether every thing of ``slots`` is a token. Without, they reach the policy as the chosen
        ones alone, and it cannot act on a thing that it has not chosen."""
        shared_stem: bool = False
        """Whether all cameras go through the same convolutions."""
        cells: bool = added(True)
        """Whether the cells of the last map are tokens. Without them, pictures reach the policy as
        keypoints alone, and ``channels`` needs no more than two entries."""

        def build(
            self,
            *,
            cameras: Mapping[str, tuple[int, int]],
            states: Mapping[str, int],
            observation_steps: int,
            language_size: int,
        ) -> SmallVLA:
            """Make the backbone, see :meth:`BackboneConfig.build`."""
            return SmallVLA(self, cameras, states, observation_steps, language_size)

    def __init__(
        self,
        config: SmallVLA.Config,
        cameras: Mapping[str, tuple[int, int]],
        states: Mapping[str, int],
        observation_steps: int,
        language_size: int,
    ) -> None:
        super().__init__()
        if len(config.channels) < 2:
            raise ValueError("backbone.channels needs at least two convolutions")
        if not (config.cells or config.keypoints):
            raise ValueError("backbone.cells and backbone.keypoints: pictures need one of the two")
        width = config.width
        self.width = width
        self.camera_names = tuple(cameras)
        self.state_names = tuple(states)
        self.shared_stem = config.shared_stem
        self.film = config.film

        def stem() -> Stem:
            return Stem(config.channels, config.patch, language_size, config.film, config.keypoints)

        count = min(1, len(cameras)) if config.shared_stem else len(cameras)
        self.stems = nn.ModuleList(stem() for _ in range(count))
        self.patches = nn.Linear(config.channels[-1], width) if config.cells else None
        # One learned embedding per camera, time and cell: it says where a token comes from.
        self.places = nn.ParameterList()
        shrink = config.patch * 2 ** (len(config.channels) - 1)
        for name, (height, column) in cameras.items():
            if height % shrink or column % shrink:
                raise ValueError(
                    f"camera {name!r} is {height}x{column} pixels, and the stem needs multiples "
                    f"of {shrink}; resize it, or change backbone.patch or backbone.channels"
                )
            if not config.cells:
                continue
            cells = (height // shrink) * (column // shrink)
            self.places.append(nn.Parameter(0.02 * torch.randn(observation_steps, cells, width)))
        self.points = nn.ModuleList(
            mlp_in(2 * config.keypoints, width) for _ in cameras if config.keypoints
        )
        self.slots = {**states, **dict(config.slots)}
        for name, entries in config.slots:
            if name not in states or entries < 1 or states[name] % entries:
                known = ", ".join(f"{known} ({size})" for known, size in states.items())
                raise ValueError(
                    f"backbone.slots: {name!r} must be a state vector of a multiple of {entries} "
                    f"entries; the model sees {known or 'none'}"
                )
        self.listing = listing = tuple(name for name, _ in config.slots)
        if any(scale <= 0 for scale in config.scales) or config.chosen < 0:
            raise ValueError(
                "backbone.scales must be positive and backbone.chosen not negative, got "
                f"{config.scales} and {config.chosen}"
            )
        if (config.scales or config.chosen) and not listing:
            raise ValueError("backbone.scales and backbone.chosen need backbone.slots")
        if not (config.things or config.chosen):
            raise ValueError("backbone.things and backbone.chosen: slots need one of the two")
        self.singly = [name for name in states if config.things or name not in listing]
        self.states = nn.ModuleList(
            _things_in(self.slots[name], config) if name in listing else mlp_in(size, width)
            for name, size in states.items()
            if name in self.singly
        )
        self.choices = nn.ModuleList(
            Choice(config, states[name] // entries, entries, language_size)
            for name, entries in config.slots
            if config.chosen
        )
        self.language = nn.Linear(language_size, width)
        listed = sum(states[name] // self.slots[name] for name in self.singly)
        listed += config.chosen * len(self.choices)
        singles = 2 + observation_steps * (listed + len(self.points))
        self.singles = nn.Parameter(0.02 * torch.randn(singles, width))
        self.blocks = nn.ModuleList(
            EncoderLayer(width, config.attention_heads, config.mlp_ratio)
            for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(width)

    def forward(
        self,
        images: Mapping[str, Tensor],
        state: Mapping[str, Tensor],
        instructions: Instructions,
        layers: bool = False,
    ) -> Features:
        """See :meth:`Backbone.forward`. Token 0 is the readout, token 1 the instruction."""
        language = instructions.embedding
        assert language is not None
        batch = language.shape[0]
        # MiniLM's embeddings have length 1; times sqrt(E) their entries have unit variance.
        language = language * math.sqrt(language.shape[-1])
        patches: list[Tensor] = []
        singles: list[Tensor] = [torch.zeros_like(self.language(language)), self.language(language)]
        for i, name in enumerate(self.camera_names):
            image = images[name]  # (B, T, H, W, 3)
            steps = image.shape[1]
            # A uint8 (B, H, W, 3) image seen as (B, 3, H, W) is already in channels_last order.
            flat = image.flatten(0, 1).permute(0, 3, 1, 2)  # (B·T, 3, H, W)
            flat = flat.to(language.dtype, memory_format=torch.channels_last) / 127.5 - 1
            stem = self.stems[0 if self.shared_stem else i]
            grid, points = stem(flat, language.repeat_interleave(steps, dim=0))
            if self.patches is not None:
                cells = self.patches(grid.flatten(2).transpose(1, 2))  # (B·T, h·w, D)
                cells = cells.view(batch, steps, -1, self.width) + self.places[i]
                patches.append(cells.flatten(1, 2))  # (B, T·h·w, D)
            if points is not None:
                token = self.points[i](points).view(batch, steps, self.width)
                singles.extend(token.unbind(1))
        for name, embed in zip(self.singly, self.states, strict=True):
            things = state[name].unflatten(-1, (-1, self.slots[name])).flatten(1, 2)
            singles.extend(embed(things).unbind(1))  # T · things × (B, D)
        for name, choice in zip(self.listing if self.choices else (), self.choices, strict=True):
            things = state[name].unflatten(-1, (-1, self.slots[name]))  # (B, T, N, entries)
            words = language.repeat_interleave(things.shape[1], dim=0)
            found = choice(things.flatten(0, 1), words).view(batch, -1, self.width)
            singles.extend(found.unbind(1))  # T · K × (B, D)
        x = torch.cat([torch.stack(singles, dim=1) + self.singles, *patches], dim=1)  # (B, N, D)
        seen: Tensor | None = None
        if x.shape[1] > 2 and (not self.stems or not self.film):  # FiLM mixes words into pictures
            seen = x[:, 2:].mean(1)
        kept: list[Tensor] = []
        for block in self.blocks:
            x = block(x)
            if layers:
                kept.append(x)
        x = self.norm(x)
        return Features(tokens=x, pooled=x[:, 0], layers=tuple(kept), perception=seen)


def _things_in(entries: int, config: SmallVLA.Config) -> nn.Sequential:
    """``(..., entries)`` of things to ``(..., D)``."""
    if not config.scales:
        return mlp_in(entries, config.width)
    shown = mlp_in(entries * len(config.scales), config.width)
    return nn.Sequential(Scales(config.scales), *shown)


def mlp_in(size: int, width: int) -> nn.Sequential:
    """``(..., size)`` to ``(..., width)`` with one hidden layer."""
    return nn.Sequential(
        nn.Linear(size, width), nn.GELU(approximate="tanh"), nn.Linear(width, width)
    )
