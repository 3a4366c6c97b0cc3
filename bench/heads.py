"""Heads of equal size on the same features: passes, latency, memory per decision.

Autoregression (with and without its KV cache), discrete diffusion at several numbers of rounds,
flow matching and L1, with numbers of parameters within 5 % of one another, which is checked. Sizes
are those of the system discrete-diffusion-vla, whose claim gives the success rates of these heads
(scripts/docs_tables.py joins both), and a larger one. Every head sees the same random features;
what a decision takes does not depend on their values. Passes are counted by hooks. Memory is the
peak of what one decision allocates (weights come on top, ``megabytes``), on an accelerator by its
allocator, on a processor by the profiler.

Rounds go through all heads in turn, so that a slow minute of the machine hits all of them.

    python bench/heads.py [--device cuda]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor
from torch.profiler import ProfilerActivity, profile

from enactive.models.backbones.backbone import Features
from enactive.models.heads.autoregressive import Autoregressive
from enactive.models.heads.discrete_diffusion import DiscreteDiffusion
from enactive.models.heads.flow_matching import FlowMatching
from enactive.models.heads.head import Head, HeadConfig, HeadSpec
from enactive.models.heads.l1 import L1
from enactive.models.tokenizers.quantile_bins import QuantileBins
from enactive.systems.equal_heads import BINS, HEADS, SETTINGS, WIDTH
from enactive.systems.experiment import parameters

ROUNDS = (1, 2, 4, 8, 12)
TOLERANCE = 0.05
TOKENS = 64
"""Feature tokens that heads attend to: about two cameras of small pictures."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """Features, chunks, and heads of one size."""

    name: str
    width: int
    horizon: int
    action_size: int
    bins: int
    autoregressive: Autoregressive.Config
    discrete_diffusion: DiscreteDiffusion.Config
    flow_matching: FlowMatching.Config
    l1: L1.Config


SIZES = (
    *(
        Size(
            name="claim", width=WIDTH, horizon=setting.horizon, action_size=setting.entries,
            bins=BINS, autoregressive=HEADS.autoregressive,
            discrete_diffusion=HEADS.discrete_diffusion, flow_matching=HEADS.flow_matching,
            l1=HEADS.l1,
        )
        for setting in SETTINGS
    ),
    Size(
        name="medium", width=256, horizon=8, action_size=7, bins=256,
        autoregressive=Autoregressive.Config(depth=4),
        discrete_diffusion=DiscreteDiffusion.Config(depth=4),
        flow_matching=FlowMatching.Config(depth=3, mlp_ratio=2),
        l1=L1.Config(depth=4),
    ),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One way to decide."""

    name: str
    head: Head
    decide: Callable[[], Any]


def without_cache(head: Autoregressive, features: Features) -> Callable[[], Tensor]:
    """Greedy autoregression that computes all earlier positions again in every pass."""

    @torch.no_grad()
    def decide() -> Tensor:
        memory = head.network.memory(features)
        ids = torch.full((1, 1), head.special, device=features.pooled.device)
        for _ in range(head.tokenizer.length):
            last = head.network(ids, memory)[:, -1:].argmax(-1)
            ids = torch.cat([ids, last], dim=1)
        return head.tokenizer.decode(ids[:, 1:]).chunk

    return decide


def arms_of(size: Size, device: str) -> list[Arm]:
    """All heads of a size, weights drawn at random: they do not change what a decision takes."""
    generator = Generator().manual_seed(0)
    features = Features(
        tokens=torch.randn(1, TOKENS, size.width, generator=generator).to(device),
        pooled=torch.randn(1, size.width, generator=generator).to(device),
    )

    def build(config: HeadConfig) -> Head:
        torch.manual_seed(0)
        tokenizer = None
        if config.refuses(None) is not None:
            tokenizer = QuantileBins.Config(bins=size.bins).build(
                action_size=size.action_size, horizon=size.horizon
            )
            chunks = torch.randn(256, size.horizon, size.action_size, generator=generator)
            tokenizer.fit(chunks, generator)
        spec = HeadSpec(
            width=size.width, action_size=size.action_size, horizon=size.horizon,
            tokenizer=tokenizer,
        )  # fmt: skip
        return config.build(spec).to(device).eval()

    def arm(name: str, config: HeadConfig) -> Arm:
        head = build(config)

        @torch.no_grad()
        def decide() -> Any:
            return head.sample(features, Generator().manual_seed(0))

        return Arm(name=name, head=head, decide=decide)

    cached = arm("autoregressive", size.autoregressive)
    assert isinstance(cached.head, Autoregressive)
    uncached = Arm(
        name="autoregressive, no cache",
        head=cached.head,
        decide=without_cache(cached.head, features),
    )
    length = cached.head.tokenizer.length
    diffusions = [
        arm(f"discrete_diffusion, T={rounds}", replaced(size.discrete_diffusion, rounds))
        for rounds in ROUNDS
        if rounds <= length
    ]
    rest = [arm("flow_matching", size.flow_matching), arm("l1", size.l1)]
    return [cached, uncached, *diffusions, *rest]


def replaced(config: DiscreteDiffusion.Config, rounds: int) -> DiscreteDiffusion.Config:
    """``config`` with T rounds."""
    return DiscreteDiffusion.Config(
        depth=config.depth,
        attention_heads=config.attention_heads,
        mlp_ratio=config.mlp_ratio,
        rounds=rounds,
    )


def passes_of(arm: Arm) -> int:
    """Calls of the network in one decision."""
    count = 0

    def hook(*_: Any) -> None:
        nonlocal count
        count += 1

    handle = arm.head.network.register_forward_hook(hook)
    arm.decide()
    handle.remove()
    return count


def memory_of(arm: Arm, device: str) -> int:
    """Bytes that one decision allocates at its peak."""
    arm.decide()
    if device != "cpu":
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        arm.decide()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        arm.decide()
    assert profiler.profiler is not None and profiler.profiler.kineto_results is not None
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    live = peak = 0
    for event in sorted(events, key=lambda one: one.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    return peak


def milliseconds(arm: Arm, count: int, device: str) -> list[float]:
    """What each of ``count`` decisions took."""
    taken: list[float] = []
    for _ in range(count):
        start = time.perf_counter()
        arm.decide()
        if device != "cpu":
            torch.cuda.synchronize()
        taken.append((time.perf_counter() - start) * 1000)
    return taken


def matched(arms: list[Arm]) -> dict[str, int]:
    """Parameters of each arm's network.

    Raises:
        ValueError: they differ by more than 5 %.
    """
    sizes = {arm.name: parameters(arm.head.network) for arm in arms}
    if max(sizes.values()) > (1 + TOLERANCE) * min(sizes.values()):
        raise ValueError(f"these heads are not of equal size: {sizes}")
    return sizes


def compare(size: Size, device: str, rounds: int, count: int) -> list[dict[str, Any]]:
    """One row per arm."""
    arms = arms_of(size, device)
    sizes = matched(arms)
    times: dict[str, list[list[float]]] = {arm.name: [] for arm in arms}
    for arm in arms:
        milliseconds(arm, max(3, count // 4), device)
    for _ in range(rounds):
        for arm in arms:
            times[arm.name].append(milliseconds(arm, count, device))
    passes = {arm.name: passes_of(arm) for arm in arms}
    reference = statistics.median(chain.from_iterable(times["autoregressive"]))
    rows: list[dict[str, Any]] = []
    for arm in arms:
        flat = sorted(chain.from_iterable(times[arm.name]))
        median = statistics.median(flat)
        # Round by round against autoregression, so that a slow machine cancels.
        ratios = sorted(
            statistics.median(cached) / statistics.median(own)
            for cached, own in zip(times["autoregressive"], times[arm.name], strict=True)
        )
        rows.append(
            {
                "size": size.name,
                "head": arm.name,
                "parameters": sizes[arm.name],
                "megabytes": round(4 * sizes[arm.name] / 2**20, 3),
                "ids": size.horizon * size.action_size,
                "passes": passes[arm.name],
                "milliseconds": {
                    "median": round(median, 3),
                    "p95": round(flat[int(0.95 * (len(flat) - 1))], 3),
                    "of_rounds": [round(statistics.median(one), 3) for one in times[arm.name]],
                },
                "peak_kilobytes": round(memory_of(arm, device) / 1024, 1),
                "fewer_passes": round(passes["autoregressive"] / passes[arm.name], 2),
                "faster": round(reference / median, 2),
                "faster_range": [round(ratios[0], 2), round(ratios[-1], 2)],
            }
        )
        row = rows[-1]
        print(
            f"{size.name:7} L={row['ids']:<3} {arm.name:26} {row['parameters']:>8} parameters "
            f"{row['passes']:3} passes  {median:7.2f} ms (p95 {row['milliseconds']['p95']:.2f})  "
            f"{row['peak_kilobytes']:8.1f} KiB  {row['fewer_passes']:5.2f} x fewer passes, "
            f"{row['faster']:5.2f} x faster",
            flush=True,
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7, help="rounds through all heads")
    parser.add_argument("--count", type=int, default=60, help="decisions of a head in a round")
    parser.add_argument("--out", type=Path, default=None, help="default: bench/results/heads.json")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    results: list[dict[str, Any]] = []
    for size in SIZES:
        results += compare(size, arguments.device, arguments.rounds, arguments.count)
    device = arguments.device
    name = platform.processor() if device == "cpu" else torch.cuda.get_device_name()
    report = {
        "benchmark": "heads",
        "device": device,
        "threads": arguments.threads,
        "rounds": arguments.rounds,
        "decisions_per_round": arguments.count,
        "feature_tokens": TOKENS,
        "batch": 1,
        "torch": torch.__version__,
        "machine": {"cores": os.cpu_count(), "processor": name},
        "results": results,
    }
    suffix = "" if device == "cpu" else f"_{device}"
    out = arguments.out or Path(f"bench/results/heads{suffix}.json")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
