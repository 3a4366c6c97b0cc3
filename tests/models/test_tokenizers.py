"""The contract of tokenizers, for every registered one, and the laws of bins and of DCT + BPE."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.fft
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.torch import load_file, save_file
from torch import Generator, Tensor

from enactive import configuration
from enactive.models.tokenizers.bins import Bins
from enactive.models.tokenizers.dct import dct_matrix
from enactive.models.tokenizers.dct_bpe import DctBpe
from enactive.models.tokenizers.quantile_bins import QuantileBins
from enactive.models.tokenizers.report import report, table
from enactive.models.tokenizers.tokenizer import (
    NotFitted,
    Tokenizer,
    TokenizerConfig,
    fill_past_end,
)
from enactive.models.tokenizers.uniform_bins import UniformBins
from enactive.registry import Registry

A, H = 3, 8
NAMES = Registry("tokenizers").names()
# What makes learned tokenizers small enough for a test, and still learn something. One that is not
# listed is tested as it is configured by default.
SMALL: dict[str, dict[str, int]] = {
    "fact": {"fit_steps": 80, "fit_batch": 64, "width": 32, "depth": 1},
    "rvq": {"fit_steps": 250, "fit_batch": 64, "width": 64, "vocabulary": 32},
    "spectral": {"fit_steps": 80, "fit_batch": 64, "vocabulary": 64, "channels": 24},
}


def chunks(count: int, seed: int = 0) -> Tensor:
    """Smooth chunks of unit variance whose last dimension is a gripper at -1 or 1."""
    generator = Generator().manual_seed(seed)
    noise = torch.randn(count, A, H + 4, generator=generator)
    smooth = torch.nn.functional.avg_pool1d(noise, 5, 1).mT * math.sqrt(5)  # (N, H, A)
    smooth[..., -1] = smooth[..., -1].sign()
    return smooth.contiguous()


def small(name: str) -> TokenizerConfig:
    return Registry("tokenizers").load(name)(**SMALL.get(name, {}))


def build(name: str) -> Tokenizer:
    torch.manual_seed(0)
    return small(name).build(action_size=A, horizon=H)


def fit(name: str) -> Tokenizer:
    tokenizer = build(name)
    tokenizer.fit(chunks(512), Generator().manual_seed(1))
    return tokenizer


@pytest.fixture(scope="module")
def cache() -> dict[str, Tokenizer]:
    return {}


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def tokenizer(name: str, cache: dict[str, Tokenizer]) -> Tokenizer:
    """A fitted one. Fitting is the slow part, and nothing a test does may change it."""
    if name not in cache:
        cache[name] = fit(name)
    return cache[name]


@pytest.fixture(autouse=True)
def global_generator() -> Iterator[None]:
    """Building seeds it, for the initial weights."""
    before = torch.get_rng_state()
    yield
    torch.set_rng_state(before)


def test_the_built_in_tokenizers_are_registered() -> None:
    assert {"uniform_bins", "quantile_bins", "dct_bpe"} <= set(NAMES)


def test_shapes_types_and_ranges(tokenizer: Tokenizer) -> None:
    held = chunks(70, seed=5)
    ids = tokenizer.encode(held)
    assert ids.shape == (70, tokenizer.length) and ids.dtype == torch.int64
    assert ids.min() >= 0 and ids.max() < tokenizer.vocabulary
    decoded = tokenizer.decode(ids)
    assert decoded.chunk.shape == (70, H, A) and decoded.chunk.dtype == torch.float32
    assert decoded.valid.shape == (70,) and decoded.valid.dtype == torch.bool
    if tokenizer.legal is not None:
        assert tokenizer.legal.shape == (tokenizer.length, tokenizer.vocabulary)
        assert tokenizer.legal.expand(70, -1, -1).gather(2, ids.unsqueeze(-1)).all()


def test_every_encoding_is_valid(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode(chunks(200, seed=6))
    assert tokenizer.is_valid(ids).all()
    assert tokenizer.decode(ids).valid.all()


def test_encoding_and_decoding_are_functions(tokenizer: Tokenizer) -> None:
    held = chunks(64, seed=7)
    ids = tokenizer.encode(held)
    assert torch.equal(ids, tokenizer.encode(held))
    assert torch.equal(tokenizer.decode(ids).chunk, tokenizer.decode(ids).chunk)
    # A row's ids do not depend on its place.
    order = torch.randperm(64, generator=Generator().manual_seed(0))
    assert torch.equal(tokenizer.encode(held[order]), ids[order])


def test_the_same_seed_fits_the_same_tokenizer(name: str, tokenizer: Tokenizer) -> None:
    again = build(name)
    before = torch.get_rng_state()
    again.fit(chunks(512), Generator().manual_seed(1))
    assert torch.equal(torch.get_rng_state(), before), "fit drew from the global generator"
    for key, value in tokenizer.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key


def test_the_report_says_what_a_round_trip_does(tokenizer: Tokenizer) -> None:
    held = chunks(100, seed=8)
    ids = tokenizer.encode(held)
    decoded = tokenizer.decode(ids)
    error = decoded.chunk - held
    said = report(tokenizer, held, batch=100)
    assert said.mse == pytest.approx(float(error.square().mean()), rel=1e-4)
    assert said.mae == pytest.approx(float(error.abs().mean()), rel=1e-4)
    assert said.worst == pytest.approx(float(error.abs().max()), rel=1e-4)
    assert said.bits == pytest.approx(float(tokenizer.bits(ids).mean()), rel=1e-4)
    assert said.valid == 1.0 and said.passes == decoded.passes and said.chunks == 100
    kept = ids[ids != tokenizer.end] if tokenizer.end is not None else ids.flatten()
    frequency = np.bincount(kept.numpy()) / len(kept)
    frequency = frequency[frequency > 0]
    assert said.used == len(frequency)
    assert said.perplexity == pytest.approx(
        np.exp(-(frequency * np.log(frequency)).sum()), rel=1e-4
    )
    assert said.ids == pytest.approx(len(kept) / 100)
    # Better than the best constant, which leaves the variance; a decoder that draws from what is
    # left open may err by twice that.
    most = 0.8 if said.passes <= 1 else 1.6
    assert said.mse < most * float(held.var(0).mean())
    assert said.used > 1
    assert f"| {said.bits:.0f} |" in table({"this": said})
    assert said.to_dict()["mse"] == said.mse


def test_ids_say_which_chunk_it_is(tokenizer: Tokenizer) -> None:
    """A decoder that ignores the ids would do as well with those of another chunk."""
    held = chunks(200, seed=9)
    ids = tokenizer.encode(held)
    own = (tokenizer.decode(ids).chunk - held).square().mean()
    others = (tokenizer.decode(ids.roll(1, 0)).chunk - held).square().mean()
    assert others > 1.5 * own


@pytest.mark.parametrize("seed", range(3))
def test_garbage_decodes_to_something_finite_and_is_flagged(
    tokenizer: Tokenizer, seed: int
) -> None:
    generator = Generator().manual_seed(seed)
    shape = (40, tokenizer.length)
    inside = torch.randint(0, tokenizer.vocabulary, shape, generator=generator)
    outside = torch.randint(-9, tokenizer.vocabulary + 9, shape, generator=generator)
    outside[:, 0] = torch.where(torch.arange(40) % 2 == 0, -1, tokenizer.vocabulary)
    extreme = torch.full((2, tokenizer.length), 2**62)
    extreme[0] = -(2**62)
    for ids in (inside, outside, extreme):
        decoded = tokenizer.decode(ids)
        assert decoded.chunk.shape == (len(ids), H, A) and decoded.chunk.isfinite().all()
        assert torch.equal(decoded.valid, tokenizer.is_valid(ids))
    assert not tokenizer.decode(outside).valid.any()
    assert not tokenizer.decode(extreme).valid.any()


def test_only_illegal_ids_make_rows_invalid(tokenizer: Tokenizer) -> None:
    """Rows of fixed length are valid exactly where each id may stand at its place."""
    if tokenizer.end is not None:
        pytest.skip("its rows have other ways of being malformed")
    ids = tokenizer.encode(chunks(20, seed=3))
    swapped = ids.roll(1, 0)
    swapped[:, ::2] = ids[:, ::2]  # ids of two chunks, each at its place
    assert tokenizer.is_valid(swapped).all()


def test_saving_and_loading_loses_nothing(name: str, tokenizer: Tokenizer, tmp_path: Path) -> None:
    fresh = build(name)
    shapes = {key: value.shape for key, value in fresh.state_dict().items()}
    state = tokenizer.state_dict()
    assert {key: value.shape for key, value in state.items()} == shapes
    save_file({key: value.contiguous() for key, value in state.items()}, tmp_path / "t.safetensors")
    assert not fresh.fitted
    fresh.load_state_dict(load_file(tmp_path / "t.safetensors"))
    fresh.eval()
    assert fresh.fitted
    held = chunks(50, seed=4)
    ids = tokenizer.encode(held)
    assert torch.equal(fresh.encode(held), ids)
    assert torch.equal(fresh.decode(ids).chunk, tokenizer.decode(ids).chunk)
    assert torch.equal(fresh.bits(ids), tokenizer.bits(ids))


def test_loading_replaces_what_was_fitted(name: str, tokenizer: Tokenizer) -> None:
    other = build(name)
    other.fit(0.5 * chunks(300, seed=11), Generator().manual_seed(2))
    held = chunks(50, seed=4)
    other.encode(held)  # whatever it may have made of its weights must not outlive them
    other.load_state_dict(tokenizer.state_dict())
    assert torch.equal(other.encode(held), tokenizer.encode(held))


def test_bits_are_counted_by_the_law(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode(chunks(30, seed=2))
    bits = tokenizer.bits(ids)
    assert bits.shape == (30,) and bits.dtype == torch.float32
    one = math.log2(tokenizer.vocabulary)
    if tokenizer.end is None:
        expected = torch.full((30,), tokenizer.length * one)
    else:
        count = (ids != tokenizer.end).sum(1) + 1
        expected = count.clamp(max=tokenizer.length) * one
        # Nothing but the end follows the end.
        ended = (ids == tokenizer.end).cumsum(1) > 0
        assert (ids[ended] == tokenizer.end).all()
        assert len(count.unique()) > 1
    torch.testing.assert_close(bits, expected.float())


def test_before_fitting_it_says_what_to_do(name: str) -> None:
    tokenizer = build(name)
    with pytest.raises(NotFitted, match=r"call fit\(chunks, generator\)"):
        tokenizer.encode(chunks(2))
    ids = torch.zeros(2, tokenizer.length, dtype=torch.long)
    with pytest.raises(NotFitted, match="load a checkpoint"):
        tokenizer.decode(ids)


def test_wrong_chunks_are_refused(name: str) -> None:
    tokenizer = build(name)
    generator = Generator().manual_seed(0)
    for wrong in (chunks(4)[:, :-1], chunks(4)[..., :-1], chunks(4)[:0], chunks(4)[0]):
        with pytest.raises(ValueError, match=rf"\(N, {H}, {A}\)"):
            tokenizer.fit(wrong, generator)
    broken = chunks(4)
    broken[1, 2, 0] = torch.nan
    with pytest.raises(ValueError, match="not finite"):
        tokenizer.fit(broken, generator)
    assert not tokenizer.fitted


def test_what_was_fitted_is_frozen(tokenizer: Tokenizer) -> None:
    assert tokenizer.fitted and not tokenizer.training
    assert not any(parameter.requires_grad for parameter in tokenizer.parameters())


def test_decoder_passes_are_what_hooks_count(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode(chunks(10, seed=1))
    rows: list[int] = []
    if tokenizer.decoder is not None:
        seen = lambda module, inputs, output: rows.append(len(inputs[0]))  # noqa: E731
        handle = tokenizer.decoder.register_forward_hook(seen)
        passes = tokenizer.decode(ids).passes
        handle.remove()
    else:
        passes = tokenizer.decode(ids).passes
    assert sum(rows) == 10 * passes


def test_ids_of_a_step_say_nothing_of_other_steps(tokenizer: Tokenizer) -> None:
    if tokenizer.steps is None:
        pytest.skip("its ids span steps")
    assert tokenizer.steps.shape == (tokenizer.length,)
    assert set(tokenizer.steps.tolist()) == set(range(H))
    held = chunks(20, seed=1)
    changed = held.clone()
    changed[:, 5:] += 0.7
    same = tokenizer.steps < 5
    before, after = tokenizer.encode(held), tokenizer.encode(changed)
    assert torch.equal(before[:, same], after[:, same])
    assert (before[:, ~same] != after[:, ~same]).any()
    decoded = tokenizer.decode(before).chunk, tokenizer.decode(after).chunk
    assert torch.equal(decoded[0][:, :5], decoded[1][:, :5])


def test_configurations_are_written_and_read(name: str) -> None:
    config = small(name)
    assert isinstance(config, TokenizerConfig) and config.chunks >= 1
    data = configuration.to_dict(config)
    assert data["part"] == name
    assert configuration.from_dict(TokenizerConfig, data) == config
    end = config.build(action_size=A, horizon=H).end
    assert config.variable_length == (end is not None)


def test_what_lies_past_the_end_does_not_matter() -> None:
    held = chunks(6)
    mask = torch.arange(H) < torch.tensor([8, 7, 5, 3, 1, 0])[:, None]
    noisy = torch.where(mask.unsqueeze(-1), held, torch.full_like(held, 77.0))
    filled = fill_past_end(noisy, mask)
    assert torch.equal(filled, fill_past_end(held, mask))
    assert torch.equal(filled[2, 5:], held[2, 4].expand(3, A))
    assert (filled[5] == 0).all()


# ------------------------------------------------------------------------------------------ bins


def fitted_bins(
    cls: type[UniformBins] | type[QuantileBins], values: Tensor, **options: Any
) -> Bins:
    bins = cls.Config(**options).build(action_size=A, horizon=H)
    bins.fit(values, Generator().manual_seed(0))
    return bins


values = arrays(
    np.float32, (4, H, A), elements=st.floats(-1e3, 1e3, width=32, allow_subnormal=False)
).map(torch.from_numpy)


@settings(deadline=None)
@given(values, values, st.integers(2, 300), st.sampled_from([UniformBins, QuantileBins]))
def test_bins_err_by_half_a_bin_within_their_bounds(
    train: Tensor, held: Tensor, count: int, cls: type[UniformBins] | type[QuantileBins]
) -> None:
    bins = fitted_bins(cls, train, bins=count)
    ids = bins.encode(held)
    decoded = bins.decode(ids).chunk
    inside = torch.minimum(torch.maximum(held, bins.low), bins.high)
    rounding = 1e-5 * train.abs().amax() + 1e-7
    assert ((decoded - inside).abs() <= bins.width / 2 + rounding).all()
    # Decoding, then encoding gives the same ids, where bins are wider than rounding errors.
    wide = (bins.width > 4 * rounding).repeat(H)
    assert torch.equal(bins.encode(decoded)[:, wide], ids[:, wide])


@settings(deadline=None)
@given(values, st.integers(2, 300), st.sampled_from([UniformBins, QuantileBins]))
def test_larger_values_never_have_smaller_ids(
    train: Tensor, count: int, cls: type[UniformBins] | type[QuantileBins]
) -> None:
    bins = fitted_bins(cls, train, bins=count)
    line = torch.linspace(-1e3, 1e3, 200)[:, None, None].expand(-1, H, A)
    ids = bins.encode(line)
    assert (ids.diff(dim=0) >= 0).all()


def test_uniform_bins_have_rt1s_bounds_and_quantile_bins_openvlas() -> None:
    train = torch.linspace(0, 1, 1000 * H).view(1000, H, 1).repeat(1, 1, A)
    train[0, 0] = -50.0  # one outlier
    uniform = fitted_bins(UniformBins, train)
    quantile = fitted_bins(QuantileBins, train)
    torch.testing.assert_close(uniform.low, torch.full((A,), -50.0))
    torch.testing.assert_close(uniform.high, torch.full((A,), 1.0))
    expected = np.quantile(train[..., 0].numpy(), [0.01, 0.99])
    torch.testing.assert_close(quantile.low, torch.full((A,), float(expected[0])))
    torch.testing.assert_close(quantile.high, torch.full((A,), float(expected[1])))
    assert uniform.vocabulary == quantile.vocabulary == 256
    # The outlier costs uniform bins everyone's precision and quantile bins only its own.
    usual = train[500:]
    assert report(quantile, usual).worst < 0.02 < report(uniform, usual).worst
    assert report(quantile, train[:1]).worst > 49


def test_a_dimension_that_hardly_ever_changes_keeps_both_its_values() -> None:
    train = torch.ones(400, H, A)
    train[0, 0] = -1.0  # once in 3200 steps
    quantile = fitted_bins(QuantileBins, train)
    assert report(quantile, train[:1]).worst < 0.005
    constant = fitted_bins(UniformBins, torch.full((5, H, A), 0.3))
    torch.testing.assert_close(
        constant.decode(constant.encode(torch.full((1, H, A), 9.0))).chunk,
        torch.full((1, H, A), 0.3),
    )


def test_bins_only_know_the_training_chunks() -> None:
    train = chunks(100)
    bins = fitted_bins(UniformBins, train)
    before = bins.low.clone(), bins.high.clone()
    bins.encode(100 * chunks(5, seed=3))
    assert torch.equal(bins.low, before[0]) and torch.equal(bins.high, before[1])
    assert bins.encode(torch.full((1, H, A), 100.0)).eq(255).all()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (UniformBins.Config(bins=1), "tokenizer.bins"),
        (QuantileBins.Config(low=0.6, high=0.5), "tokenizer.low"),
        (DctBpe.Config(scale=0.0), "tokenizer.scale"),
        (DctBpe.Config(margin=-0.1), "tokenizer.margin"),
    ],
)
def test_impossible_settings_are_refused(config: TokenizerConfig, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config.build(action_size=A, horizon=H)


# ------------------------------------------------------------------------------------- DCT + BPE


def fitted_dct(train: Tensor | None = None, **options: Any) -> DctBpe:
    tokenizer = DctBpe.Config(**options).build(action_size=A, horizon=H)
    tokenizer.fit(chunks(512) if train is None else train, Generator().manual_seed(0))
    return tokenizer


DCT = fitted_dct()


def integers_of(tokenizer: DctBpe, ids: Tensor) -> Tensor:
    """What the ids stand for, read back from the decoded chunk by another DCT."""
    chunk = tokenizer.decode(ids).chunk.double().numpy()
    scaled = scipy.fft.dct(chunk, axis=1, norm="ortho") * tokenizer.config.scale
    return torch.from_numpy(scaled).flatten(1)


@pytest.mark.parametrize("steps", [1, 2, 7, 16, 50])
def test_the_transform_is_scipys_orthonormal_dct(steps: int) -> None:
    matrix = dct_matrix(steps).double()
    expected = scipy.fft.dct(np.eye(steps), axis=0, norm="ortho")
    np.testing.assert_allclose(matrix.numpy(), expected, atol=1e-6)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(steps).double(), atol=1e-6, rtol=0)


def test_low_frequencies_come_first_and_dimensions_alternate() -> None:
    chunk = torch.zeros(1, H, A)
    chunk[0, :, 1] = 1.0  # constant: frequency 0 of dimension 1
    integers = DCT.coefficients(chunk)[0]
    assert integers.nonzero().flatten().tolist() == [1]
    assert integers[1] == round(10 * math.sqrt(H))
    wave = torch.zeros(1, H, A)
    wave[0, :, 2] = dct_matrix(H)[3]  # frequency 3 of dimension 2
    assert DCT.coefficients(wave)[0].nonzero().flatten().tolist() == [3 * A + 2]


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_integers_of_the_alphabet_come_back_exactly(data: st.DataObject) -> None:
    low, count = int(DCT.low), int(DCT.symbols)
    rows = data.draw(st.integers(1, 4))
    # Mostly zeros, as in real rows, and all of the alphabet.
    element = st.one_of(st.just(0), st.integers(low, low + count - 1))
    whole = torch.from_numpy(data.draw(arrays(np.int64, (rows, H * A), elements=element)))
    coefficients = whole.view(rows, H, A).double() / DCT.config.scale
    chunk = torch.from_numpy(scipy.fft.idct(coefficients.numpy(), axis=1, norm="ortho")).float()
    ids = DCT.encode(chunk)
    decoded = DCT.decode(ids)
    assert decoded.valid.all()
    torch.testing.assert_close(integers_of(DCT, ids), whole.double(), atol=2e-3, rtol=0)
    assert torch.equal(DCT.encode(decoded.chunk), ids)


@settings(deadline=None)
@given(arrays(np.float32, (3, H, A), elements=st.floats(-2, 2, width=32)))
def test_the_error_is_that_of_rounding(raw: np.ndarray) -> None:
    chunk = torch.from_numpy(raw)
    low, high = int(DCT.low), int(DCT.low + DCT.symbols - 1)
    scaled = scipy.fft.dct(raw.astype(np.float64), axis=1, norm="ortho") * DCT.config.scale
    kept = (np.round(scaled) >= low).all((1, 2)) & (np.round(scaled) <= high).all((1, 2))
    error = (DCT.decode(DCT.encode(chunk)).chunk - chunk).double().square().mean((1, 2))
    # Orthonormal: the mean squared error over steps is that over coefficients, at most (0.5/γ)².
    assert (error[torch.from_numpy(kept)] <= (0.5 / DCT.config.scale) ** 2 + 1e-6).all()


def test_runs_become_ids_and_rows_get_shorter() -> None:
    """Slow motions have no high frequencies, and their zeros are a handful of ids."""
    generator = Generator().manual_seed(2)
    phase, level = torch.rand(2, 600, 1, A, generator=generator)
    slow = level * torch.sin(torch.linspace(0, 1, H)[:, None] + 6 * phase)  # (N, H, A)
    tokenizer = fitted_dct(slow[:500])
    ids = tokenizer.encode(slow[500:])
    assert (ids != tokenizer.end).sum(1).float().mean() < 0.5 * H * A
    assert (tokenizer.encode(torch.zeros(1, H, A)) != tokenizer.end).sum() <= 3


def test_more_scale_is_more_precise_and_longer() -> None:
    held = chunks(200, seed=13)
    coarse, fine = (report(fitted_dct(scale=scale, vocabulary=2048), held) for scale in (5.0, 40.0))
    assert fine.mse < 0.1 * coarse.mse and fine.bits > coarse.bits


@settings(deadline=None, max_examples=200)
@given(st.lists(st.integers(-3, 1026), max_size=H * A), st.integers(0, 5))
def test_malformed_rows_are_cut_or_filled_with_zeros(row: list[int], extra: int) -> None:
    assert DCT.end is not None
    table = DCT.pairs.expansions
    padded = [*row, *[DCT.end] * (H * A - len(row))]
    if extra and len(row) < H * A - extra:
        padded[-extra:] = [0] * extra  # something after the end
    wanted: list[int] = []
    for one in padded:
        if one == DCT.end:
            break
        if 0 <= one < DCT.pairs.count:
            begin, size = table.starts[one], table.sizes[one]
            wanted += (table.symbols[begin : begin + size] + int(DCT.low)).tolist()
    meaningful = [0 <= one < DCT.pairs.count or one == DCT.end for one in padded]
    first = padded.index(DCT.end) if DCT.end in padded else len(padded)
    clean = all(meaningful) and all(one == DCT.end for one in padded[first:])
    expected = (wanted + [0] * (H * A))[: H * A]
    ids = torch.tensor([padded])
    decoded = DCT.decode(ids)
    torch.testing.assert_close(
        integers_of(DCT, ids)[0], torch.tensor(expected).double(), atol=2e-3, rtol=0
    )
    assert bool(decoded.valid) == bool(DCT.is_valid(ids)) == (clean and len(wanted) == H * A)


def test_an_alphabet_that_does_not_fit_names_the_fix() -> None:
    train = chunks(50)
    train[3] *= 100
    with pytest.raises(ValueError, match=r"tokenizer.vocabulary is 1024 .* larger tokenizer.voc"):
        fitted_dct(train)
    assert fitted_dct(train, vocabulary=16384).fitted


def test_coefficients_beyond_the_alphabet_are_cut_to_it() -> None:
    held = 100 * torch.ones(1, H, A)
    decoded = DCT.decode(DCT.encode(held))
    assert decoded.valid.all()
    highest = int(DCT.low + DCT.symbols - 1) / DCT.config.scale / math.sqrt(H)
    torch.testing.assert_close(decoded.chunk, torch.full_like(held, highest))


def test_no_rows_are_no_rows() -> None:
    ids = DCT.encode(chunks(4)[:0])
    assert ids.shape == (0, DCT.length)
    assert DCT.decode(ids).chunk.shape == (0, H, A)


def test_few_chunks_leave_ids_without_a_meaning() -> None:
    tokenizer = fitted_dct(chunks(3))
    count = tokenizer.pairs.count
    assert count < tokenizer.vocabulary - 1
    ids = tokenizer.encode(chunks(3))
    assert tokenizer.decode(ids).valid.all()
    spoiled = ids.clone()
    spoiled[:, 0] = count
    assert not tokenizer.decode(spoiled).valid.any()
