"""One contract for every registered head, with a tokenizer where it needs one.

What a head is excused from stands in the tables below, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save
from torch import Generator, Tensor, nn

from enactive.models.backbones.backbone import Features
from enactive.models.heads.head import Head, HeadConfig, HeadSpec
from enactive.models.tokenizers.tokenizer import Tokenizer, TokenizerConfig
from enactive.registry import Registry

WIDTH, A, H, N, LAYERS = 32, 3, 6, 5, 3
EMBODIMENTS = ("left", "right")

SMALL: Mapping[str, Mapping[str, Any]] = {
    "uniform_bins": {"bins": 16},
    "quantile_bins": {"bins": 16},
    "dct_bpe": {"vocabulary": 192, "scale": 3.0},
    "rvq": {"vocabulary": 16, "width": 32, "fit_steps": 60},
    "spectral": {"vocabulary": 16, "channels": 16, "fit_steps": 60},
}
"""Settings that keep fitting and learning short; tokenizers not named here keep their own."""

VARIANTS: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "autoregressive": ({}, {"temperature": 1.0, "top_k": 5}),
    "discrete_diffusion": (
        {},
        {"temperature": 1.0, "noise": 1.0, "remask": 0.6},
        {"rounds": 1, "gap": True},
    ),
    "next_scale": ({}, {"temperature": 1.0, "top_k": 5}),
    "universal_codebook": ({}, {"hard_sampling": False}),
}
"""Settings besides the defaults under which a head is another one."""

DETERMINISTIC: Mapping[str, str] = {
    "l1": "regression: samples are copies",
    "autoregressive": "takes the most probable id at temperature 0",
    "discrete_diffusion": "takes the most probable id at temperature 0",
    "discrete_diffusion, rounds=1, gap=True": "takes the most probable id at temperature 0",
    "next_scale": "takes the most probable id at temperature 0",
    "universal_codebook": "takes the most likely code",
}
"""Heads whose samples have nothing random, so that other seeds give the same."""

SLOW_LEARNERS: Mapping[str, float] = {}
"""Heads that are excused from the common factor by which the loss must fall, with their own."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A head under some settings, over one tokenizer or none."""

    head: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    tokenizer: str | None = None

    @property
    def name(self) -> str:
        return ", ".join([self.head, *(f"{key}={value}" for key, value in self.settings.items())])

    def __str__(self) -> str:
        return self.name if self.tokenizer is None else f"{self.name} over {self.tokenizer}"

    def config(self) -> HeadConfig:
        return Registry("heads").load(self.head)(**self.settings)


def tokenizer_config(name: str) -> TokenizerConfig:
    return Registry("tokenizers").load(name)(**SMALL.get(name, {}))


def suitable(head: HeadConfig) -> list[str | None]:
    """None if the head works without a tokenizer; else one of each sort that it accepts."""
    if head.refuses(None) is None:
        return [None]
    configs = {name: tokenizer_config(name) for name in Registry("tokenizers").names()}
    accepted = [name for name, config in configs.items() if head.refuses(config) is None]
    assert accepted, f"{head} refuses every tokenizer and none"
    # Bins, rows of variable length, a neural decoder; whatever else only where it is all there is.
    wanted = [name for name in ("quantile_bins", "dct_bpe", "rvq") if name in accepted]
    return list(wanted or accepted[:1])


CASES = [
    Case(head=name, settings=settings, tokenizer=tokenizer)
    for name in Registry("heads").names()
    for settings in VARIANTS.get(name, ({},))
    for tokenizer in suitable(Registry("heads").load(name)(**settings))
]


def smooth_chunks(count: int, seed: int) -> Tensor:
    """Chunks ``(count, H, A)`` like a robot's: slow waves of several sizes."""
    generator = Generator().manual_seed(seed)
    phase = 6.3 * torch.rand(count, 1, A, generator=generator)
    size = 0.3 + torch.rand(count, 1, A, generator=generator)
    return size * torch.sin(0.5 * torch.arange(H).view(1, H, 1) + phase)


@cache
def fitted(name: str) -> dict[str, Tensor]:
    """Fitting is slow; tokenizers of one name share what they learned."""
    tokenizer = tokenizer_config(name).build(action_size=A, horizon=H)
    tokenizer.fit(smooth_chunks(512, seed=1), Generator().manual_seed(2))
    return tokenizer.state_dict()


def build(case: Case, seed: int = 0, learned: bool = True) -> Head:
    torch.manual_seed(seed)
    tokenizer: Tokenizer | None = None
    if case.tokenizer is not None:
        tokenizer = tokenizer_config(case.tokenizer).build(action_size=A, horizon=H)
        if learned:
            tokenizer.load_state_dict(fitted(case.tokenizer))
        tokenizer.requires_grad_(False)
    head = case.config().build(
        HeadSpec(
            width=WIDTH,
            action_size=A,
            horizon=H,
            tokenizer=tokenizer,
            layers=LAYERS,
            embodiments=EMBODIMENTS,
        )
    )
    # Layers that begin at zero would make many properties hold for the wrong reason.
    for parameter in head.parameters():
        if parameter.requires_grad and not parameter.any():
            nn.init.normal_(parameter, std=0.05)
    return head.eval()


@pytest.fixture(params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.fixture
def head(case: Case) -> Head:
    return build(case)


def features(batch: int, seed: int = 0) -> Features:
    generator = Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(batch, *shape, generator=generator)

    layers = tuple(draw(N, WIDTH) for _ in range(LAYERS))
    return Features(
        tokens=layers[-1],
        pooled=draw(WIDTH),
        layers=layers,
        embodiment=torch.arange(batch) % len(EMBODIMENTS),
    )


def row(whole: Features, number: int) -> Features:
    one = slice(number, number + 1)
    assert whole.embodiment is not None
    return Features(
        tokens=whole.tokens[one],
        pooled=whole.pooled[one],
        layers=tuple(layer[one] for layer in whole.layers),
        embodiment=whole.embodiment[one],
    )


def generators(count: int, seed: int = 0) -> list[Generator]:
    return [Generator().manual_seed(100 * seed + number) for number in range(count)]


def everything(batch: int) -> Tensor:
    return torch.ones(batch, H, dtype=torch.bool)


def test_samples_have_the_shapes_of_the_contract(head: Head) -> None:
    drawn = head.sample(features(4), Generator().manual_seed(0), samples=3)
    assert drawn.chunk.shape == (4, 3, H, A)
    assert drawn.chunk.dtype == torch.float32
    assert drawn.chunk.isfinite().all()
    assert drawn.cost.head_passes >= 1
    assert drawn.cost.backbone_passes == 0
    if drawn.valid is not None:
        assert drawn.valid.shape == (4, 3) and drawn.valid.dtype == torch.bool
    assert set(head.traces) <= set(drawn.trace)
    assert all(value.shape[:2] == (4, 3) for value in drawn.trace.values())
    if head.tokenizer is not None and "ids" in drawn.trace:
        ids = drawn.trace["ids"]
        assert ids.min() >= 0 and ids.max() < head.tokenizer.vocabulary


def test_the_same_generators_give_the_same_bits(head: Head) -> None:
    one = head.sample(features(3), generators(3), samples=2)
    two = head.sample(features(3), generators(3), samples=2)
    assert torch.equal(one.chunk, two.chunk)
    for key, value in one.trace.items():
        assert torch.equal(value, two.trace[key]), key


def test_other_seeds_give_other_samples_where_anything_is_random(case: Case, head: Head) -> None:
    one = head.sample(features(3), generators(3, seed=1), samples=2).chunk
    two = head.sample(features(3), generators(3, seed=2), samples=2).chunk
    if case.name in DETERMINISTIC:
        assert torch.equal(one, two) and torch.equal(one[:, 0], one[:, 1])
    else:
        assert not torch.equal(one, two)
        assert not torch.equal(one[:, 0], one[:, 1])


def test_a_row_does_not_depend_on_the_others(head: Head) -> None:
    together = head.sample(features(4), generators(4), samples=2).chunk
    for number in range(4):
        alone = head.sample(row(features(4), number), [generators(4)[number]], samples=2).chunk
        torch.testing.assert_close(alone[0], together[number], rtol=0, atol=1e-4)


def test_rows_and_generators_must_match(case: Case, head: Head) -> None:
    if case.name in DETERMINISTIC:
        pytest.skip("draws nothing")
    with pytest.raises(ValueError, match="2 generators for 4 rows"):
        head.sample(features(4), generators(2))


def test_the_total_is_the_mean_of_the_samples(head: Head) -> None:
    loss = head.loss(features(4), smooth_chunks(4, 3), everything(4), Generator().manual_seed(0))
    assert loss.per_sample.shape == (4,)
    torch.testing.assert_close(loss.total, loss.per_sample.mean())
    assert loss.parts and all(part.dim() == 0 for part in loss.parts.values())
    assert not any(part.requires_grad for part in loss.parts.values())


def masks() -> dict[str, Tensor]:
    steps = everything(4)
    steps[1, 2:] = False
    steps[2, 5:] = False
    entries = torch.ones(4, H, A, dtype=torch.bool)
    entries[0, :, 1] = False  # an entry that this row's embodiment lacks
    entries[1, 3:] = False
    return {"steps": steps, "entries": entries}


@pytest.mark.parametrize("kind", ["steps", "entries"])
def test_what_the_mask_leaves_out_never_matters(head: Head, kind: str) -> None:
    mask = masks()[kind]
    chunk = smooth_chunks(4, 3)
    whole = mask if mask.dim() == 3 else mask.unsqueeze(-1).expand_as(chunk)
    other = torch.where(whole, chunk, torch.full_like(chunk, 50.0))
    one = head.loss(features(4), chunk, mask, Generator().manual_seed(0))
    two = head.loss(features(4), other, mask, Generator().manual_seed(0))
    assert torch.equal(one.per_sample, two.per_sample)
    # What it keeps does matter.
    changed = torch.where(whole, -chunk, chunk)
    three = head.loss(features(4), changed, mask, Generator().manual_seed(0))
    assert (three.per_sample != one.per_sample).all()


def test_a_row_that_keeps_nothing_has_no_loss_and_no_gradient(head: Head) -> None:
    mask = everything(2)
    mask[1] = False
    loss = head.loss(features(2), smooth_chunks(2, 3), mask, Generator().manual_seed(0))
    assert loss.per_sample[1] == 0 and loss.per_sample[0] > 0
    loss.per_sample[1].backward()
    assert not any(p.grad is not None and p.grad.any() for p in head.parameters())


def test_gradients_reach_every_trainable_parameter(case: Case) -> None:
    reached: set[str] = set()
    for seed in range(3):
        head = build(case, seed).train()
        head.loss(
            features(8, seed), smooth_chunks(8, seed), everything(8), Generator().manual_seed(seed)
        ).total.backward()
        reached |= {
            name for name, p in head.named_parameters() if p.grad is not None and p.grad.any()
        }
    trainable = {name for name, p in head.named_parameters() if p.requires_grad}
    assert trainable - reached == set()
    assert not any(name.startswith("tokenizer.") for name in trainable)


def test_gradients_reach_the_features(head: Head) -> None:
    seen = features(2)
    tensors = (*seen.layers, seen.pooled) if head.needs_layers else (seen.tokens, seen.pooled)
    for tensor in tensors:
        tensor.requires_grad_()
    head.loss(seen, smooth_chunks(2, 3), everything(2), Generator().manual_seed(0)).total.backward()
    assert any(tensor.grad is not None and tensor.grad.any() for tensor in tensors)


# How ids are drawn does not matter to learning.
@pytest.mark.parametrize("case", [case for case in CASES if not case.settings], ids=str)
def test_one_batch_can_be_learned_by_heart(case: Case) -> None:
    head = build(case)
    seen, chunk, mask = features(4), smooth_chunks(4, 3), everything(4)
    trained = [p for p in head.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, 3e-3)

    def mean_loss() -> float:
        with torch.no_grad():
            losses = [
                float(head.loss(seen, chunk, mask, Generator().manual_seed(900 + seed)).total)
                for seed in range(8)
            ]
        return sum(losses) / len(losses)

    before = mean_loss()
    for step in range(250):
        optimizer.zero_grad()
        head.loss(seen, chunk, mask, Generator().manual_seed(step)).total.backward()
        optimizer.step()
    assert mean_loss() < SLOW_LEARNERS.get(case.name, 0.2) * before
    drawn = head.sample(seen, generators(4))
    if head.tokenizer is not None and "ids" in drawn.trace:
        wanted = head.tokenizer.encode(chunk)
        assert (drawn.trace["ids"][:, 0] == wanted).float().mean() > 0.95
        assert drawn.valid is None or drawn.valid.float().mean() > 0.7
    else:
        error = (drawn.chunk[:, 0] - chunk).abs().mean()
        assert error < 0.35 * chunk.abs().mean()


class Counter:
    """Counts the rows that pass through a module."""

    def __init__(self, module: nn.Module) -> None:
        self.rows = 0
        self.handle = module.register_forward_hook(self._count, with_kwargs=True)

    def _count(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        first = (*args, *kwargs.values())[0]
        self.rows += len(first.pooled if isinstance(first, Features) else first)


@pytest.mark.parametrize("samples", [1, 3])
def test_the_cost_is_what_hooks_count(head: Head, samples: int) -> None:
    batch = 4
    network = Counter(head.network)
    decoder = head.tokenizer.decoder if head.tokenizer is not None else None
    decoding = None if decoder is None else Counter(decoder)
    drawn = head.sample(features(batch), generators(batch), samples)
    assert drawn.cost.head_passes * batch == network.rows
    assert drawn.cost.decoder_passes * batch == (0 if decoding is None else decoding.rows)


def test_saved_weights_give_the_same_samples(case: Case, head: Head) -> None:
    written = save({name: value.contiguous() for name, value in head.state_dict().items()})
    again = build(case, seed=5, learned=False)
    again.load_state_dict(load(written))
    one = head.sample(features(3), generators(3), samples=2)
    two = again.sample(features(3), generators(3), samples=2)
    assert torch.equal(one.chunk, two.chunk)


PAIRS = [
    (head, tokenizer)
    for head in Registry("heads").names()
    for tokenizer in (None, *Registry("tokenizers").names())
]


@pytest.mark.parametrize(("name", "tokenizer"), PAIRS)
def test_refusals_give_the_reason_and_the_fix(name: str, tokenizer: str | None) -> None:
    config: HeadConfig = Registry("heads").load(name)()
    chosen = None if tokenizer is None else tokenizer_config(tokenizer)
    reason = config.refuses(chosen)
    if reason is None:
        return
    assert name in reason and "Fix: " in reason
    assert tokenizer is None or tokenizer in reason


@pytest.mark.parametrize("name", Registry("tokenizers").names())
def test_tokenizers_say_whether_their_rows_may_end_early(name: str) -> None:
    config = tokenizer_config(name)
    assert config.variable_length == (config.build(action_size=A, horizon=H).end is not None)


def test_every_built_in_head_is_registered() -> None:
    built_in = {"autoregressive", "discrete_diffusion", "flow_matching", "l1"}
    assert built_in <= set(Registry("heads").names())


def test_the_page_lists_every_head() -> None:
    page = (Path(__file__).parents[2] / "docs" / "heads.md").read_text(encoding="utf-8")
    missing = [name for name in Registry("heads").names() if f"| `{name}` |" not in page]
    assert not missing
