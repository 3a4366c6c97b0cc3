"""DCT and byte-pair encoding beside the FAST reference algorithm, on the same chunks.

FAST (Pertsch et al. 2025, arXiv 2501.09747) is published as a Python processor that is downloaded
with its weights; no package ships it. ``Reference`` below follows its published steps with the
libraries it uses: SciPy's DCT, scaling and rounding, one character per integer, a byte-level
byte-pair encoding of the ``tokenizers`` library inside ``PreTrainedTokenizerFast``, one chunk at a
time. Both sides have the same scale and the same vocabulary (of ours, one id is ``end``), are
fitted on the same chunks and measured on the same held-out ones, from other episodes, on one
thread.

Both sides encode and decode batches: of 64, as in training, and of 1024, as where a dataset is
encoded. Of single chunks, too, for completeness; there, ours is about as fast as the reference.

Chunks come from Meta-World's scripted experts (16 steps, and one second), from a synthetic
two-armed motion of the size that the paper treats (50 Hz, 14 dimensions), and from the dataset
directories that are named. They are normalised as the paper does it, the 1st and 99th percentile of
the training chunks to -1 and 1.

    python bench/action_tokenizers.py [DATASET ...]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Both sides would encode batches on several threads; one thread each compares the algorithms.
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import numpy as np
import scipy.fft
import tokenizers
import torch
import transformers
from numpy.typing import NDArray

from enactive.models.tokenizers.dct_bpe import DctBpe
from enactive.models.tokenizers.report import report
from enactive.seeding import numpy_generator, torch_generator

Chunks = NDArray[np.float32]
Episodes = list[NDArray[np.float32]]
TASKS = ("drawer-open", "pick-place", "window-close", "faucet-open", "door-open", "push")


class Reference:
    """The published processor's steps."""

    def __init__(self, train: Chunks, scale: float, vocabulary: int) -> None:
        self.scale = scale
        self.shape = train.shape[1:]
        rounded = np.around(scipy.fft.dct(train, axis=1, norm="ortho") * scale)
        self.smallest = int(rounded.min())
        alphabet = [chr(k) for k in range(int(rounded.max()) - self.smallest + 1)]
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=vocabulary, min_frequency=2, show_progress=False, special_tokens=[],
            initial_alphabet=alphabet, max_token_length=10000,
        )  # fmt: skip
        pairs = tokenizers.ByteLevelBPETokenizer()
        texts = (self.text(one) for one in rounded)
        pairs._tokenizer.train_from_iterator(texts, trainer=trainer)
        self.pairs = transformers.PreTrainedTokenizerFast(
            tokenizer_object=pairs._tokenizer, clean_up_tokenization_spaces=False
        )

    def text(self, rounded: NDArray[Any]) -> str:
        """One chunk's integers ``(H, A)`` as characters; too small ones become the smallest."""
        return "".join(map(chr, np.maximum(rounded.flatten() - self.smallest, 0).astype(int)))

    def encode(self, chunks: Chunks) -> list[list[int]]:
        """Ids of chunks ``(N, H, A)``, of different lengths."""
        rounded = np.around(scipy.fft.dct(chunks, axis=1, norm="ortho") * self.scale)
        return [self.pairs(self.text(one))["input_ids"] for one in rounded]

    def decode(self, rows: list[list[int]]) -> tuple[Chunks, int]:
        """Chunks, and how many rows were malformed and became zeros."""
        chunks: list[NDArray[Any]] = []
        malformed = 0
        for row in rows:
            integers = np.array([ord(one) for one in self.pairs.decode(row)]) + self.smallest
            if integers.size != np.prod(self.shape):
                malformed += 1
                integers = np.zeros(self.shape)
            whole = integers.reshape(self.shape) / self.scale
            chunks.append(scipy.fft.idct(whole, axis=0, norm="ortho"))
        return np.stack(chunks).astype(np.float32), malformed


# -- chunks ----------------------------------------------------------------------------------


def metaworld_episodes(episodes: int) -> Episodes:
    """Actions of Meta-World's experts, ``episodes`` of each task, until success and half a second
    beyond."""
    from enactive.worlds.metaworld import MetaWorld
    from enactive.worlds.metaworld_experts import expert_action

    world = MetaWorld.Config(cameras=()).build()
    found: Episodes = []
    for task in TASKS:
        for seed in range(episodes):
            observation = world.reset(world.spec.task(task).task(), seed)
            actions: list[NDArray[np.float32]] = []
            left = 400
            while left > 0:
                actions.append(expert_action(task, observation.privileged["metaworld"]))
                step = world.step(actions[-1])
                observation = step.observation
                left = min(left - 1, 40) if step.success else left - 1
            found.append(np.stack(actions))
    world.close()
    return found


def synthetic_episodes(episodes: int) -> Episodes:
    """Two arms with 7 entries each at 50 Hz: minimum-jerk reaches between random postures, each of
    0.4 to 1.6 s, and grippers that open or close at their ends; 10 s an episode."""
    generator = numpy_generator(0, "synthetic arms")
    found: Episodes = []
    for _ in range(episodes):
        columns: list[NDArray[Any]] = []
        for _arm in range(2):
            pieces: list[NDArray[Any]] = []
            here = generator.uniform(-1, 1, 7)
            while sum(map(len, pieces)) < 500:
                goal = generator.uniform(-1, 1, 7)
                goal[6] = generator.choice([-1.0, 1.0])
                time_ = np.linspace(0, 1, int(generator.integers(20, 80)), endpoint=False)[:, None]
                blend = time_**3 * (10 - 15 * time_ + 6 * time_**2)
                piece = here + (goal - here) * blend
                piece[:, 6] = here[6]
                pieces.append(piece)
                here = goal
            columns.append(np.concatenate(pieces)[:500])
        found.append(np.concatenate(columns, axis=1).astype(np.float32))
    return found


def dataset_episodes(path: Path) -> Episodes:
    """The actions of a dataset's episodes."""
    from enactive.episodes.dataset import Dataset

    dataset = Dataset.open(path)
    return [
        np.asarray(dataset.frames(index, ["action"])["action"], np.float32)
        for index in range(len(dataset))
    ]


def windows(episodes: Episodes, horizon: int, most: int, stream: str) -> Chunks:
    """At most ``most`` whole windows of the episodes, evenly drawn, ``(N, H, A)``."""
    every = [
        episode[start : start + horizon]
        for episode in episodes
        for start in range(len(episode) - horizon + 1)
    ]
    order = numpy_generator(0, "windows", stream).permutation(len(every))[:most]
    return np.stack([every[k] for k in order])


def split(episodes: Episodes, horizon: int, most: int) -> tuple[Chunks, Chunks]:
    """Normalised chunks for fitting, and others from every fifth episode."""
    train = windows([e for k, e in enumerate(episodes) if k % 5], horizon, most, "train")
    held = windows(episodes[::5], horizon, max(1, most // 4), "held out")
    low, high = np.quantile(train, [0.01, 0.99], axis=(0, 1))
    spread = np.where(high - low > 1e-6, high - low, 1.0)
    return tuple((2 * (one - low) / spread - 1).astype(np.float32) for one in (train, held))  # type: ignore[return-value]


def sources(arguments: argparse.Namespace) -> Iterator[tuple[str, Episodes, int]]:
    """Name, episodes and horizon of each setting."""
    for path in arguments.datasets:
        yield str(path.name), dataset_episodes(path), arguments.horizon
    experts = metaworld_episodes(arguments.episodes)
    yield "Meta-World experts, 16 steps", experts, 16
    yield "Meta-World experts, 1 s", experts, 80
    yield "synthetic arms, 1 s", synthetic_episodes(10 * arguments.episodes), 50


# -- measuring -------------------------------------------------------------------------------


def seconds(work: Callable[[], Any]) -> tuple[float, float]:
    """Wall time, and the process's CPU time, which other programs hardly change."""
    start, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - cpu


def throughput(ours: DctBpe, theirs: Reference, held: Chunks, batch: int, rounds: int) -> Any:
    """Chunks per second of both sides, in batches, alternating; and the ratios round by round."""
    count = max(batch, len(held) // batch * batch)
    parts = [
        np.resize(held, (count, *held.shape[1:]))[k : k + batch] for k in range(0, count, batch)
    ]
    tensors = [torch.from_numpy(np.ascontiguousarray(part)) for part in parts]
    ids = [ours.encode(part) for part in tensors]
    rows = [theirs.encode(part) for part in parts]
    work: dict[str, dict[str, Callable[[], Any]]] = {
        "encode": {
            "ours": lambda: [ours.encode(part) for part in tensors],
            "reference": lambda: [theirs.encode(part) for part in parts],
        },
        "decode": {
            "ours": lambda: [ours.decode(part) for part in ids],
            "reference": lambda: [theirs.decode(part) for part in rows],
        },
    }
    times: dict[str, dict[str, list[tuple[float, float]]]] = {
        key: {side: [] for side in sides} for key, sides in work.items()
    }
    for side in ("ours", "reference"):
        for key in work:
            work[key][side]()  # caches fill, code loads
    for _ in range(rounds):
        for key, sides in work.items():
            for side, call in sides.items():
                times[key][side].append(seconds(call))
    result: dict[str, Any] = {"batch": batch, "rounds": rounds}
    for key in ("encode", "decode", "both"):
        parts_of = ("encode", "decode") if key == "both" else (key,)
        result[key] = {}
        for clock, name in enumerate(("wall", "cpu")):
            spent = {
                side: sum(np.array([one[clock] for one in times[part][side]]) for part in parts_of)
                for side in ("ours", "reference")
            }
            ratios = spent["reference"] / spent["ours"]
            result[key][name] = {
                "chunks_per_second": {
                    side: round(float(count / np.median(one))) for side, one in spent.items()
                },
                "ratio": round(float(np.median(ratios)), 2),
                "ratio_range": [round(float(ratios.min()), 2), round(float(ratios.max()), 2)],
            }
    return result


def compare(name: str, train: Chunks, held: Chunks, arguments: argparse.Namespace) -> Any:
    """One setting: compression, errors and throughput of both sides."""
    horizon, size = train.shape[1:]
    config = DctBpe.Config(scale=arguments.scale, vocabulary=arguments.vocabulary)
    ours = config.build(action_size=size, horizon=horizon)
    fit = {
        "ours": seconds(lambda: ours.fit(torch.from_numpy(train), torch_generator(0, "bench")))[0]
    }
    found: list[Reference] = []
    fit["reference"] = seconds(
        lambda: found.append(Reference(train, arguments.scale, arguments.vocabulary))
    )[0]
    theirs = found[0]
    said = report(ours, torch.from_numpy(held))
    rows = theirs.encode(held)
    back, malformed = theirs.decode(rows)
    error = back.astype(np.float64) - held
    lengths = np.array([len(row) for row in rows])
    sides = {
        "ours": {
            "ids": round(said.ids, 3),
            "compression": round(horizon * size / said.ids, 3),
            "bits": round(said.bits, 2),
            "mse": said.mse,
            "mae": said.mae,
            "worst": said.worst,
            "malformed": round((1 - said.valid) * len(held)),
            "fit_seconds": round(fit["ours"], 3),
        },
        "reference": {
            "ids": round(float(lengths.mean()), 3),
            "compression": round(horizon * size / float(lengths.mean()), 3),
            # A sequence model needs an end here too.
            "bits": round(float((lengths + 1).mean() * np.log2(arguments.vocabulary)), 2),
            "mse": float((error**2).mean()),
            "mae": float(np.abs(error).mean()),
            "worst": float(np.abs(error).max()),
            "malformed": malformed,
            "fit_seconds": round(fit["reference"], 3),
        },
    }
    timed = [throughput(ours, theirs, held, batch, arguments.rounds) for batch in arguments.batches]
    print(f"{name}: {len(train)} chunks of {horizon} x {size}, {len(held)} held out")
    for side, entry in sides.items():
        print(
            f"  {side:10} {entry['ids']:6.1f} ids, {entry['compression']:5.1f} times fewer than "
            f"bins, MSE {entry['mse']:.3e}, worst {entry['worst']:.3f}, "
            f"{entry['malformed']} malformed"
        )
    for one in timed:
        for clock in ("wall", "cpu"):
            both = one["both"][clock]
            print(
                f"  batch {one['batch']:5} {clock:4} time: encode + decode {both['ratio']:.1f} "
                f"times as many chunks per second ({both['ratio_range'][0]:.1f} to "
                f"{both['ratio_range'][1]:.1f}), encode {one['encode'][clock]['ratio']:.1f}, "
                f"decode {one['decode'][clock]['ratio']:.1f}",
                flush=True,
            )
    return {
        "chunks": name,
        "horizon": horizon,
        "action_size": size,
        "fitted_on": len(train),
        "held_out": len(held),
        "sides": sides,
        "throughput": timed,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("datasets", type=Path, nargs="*", help="dataset directories, beside ours")
    parser.add_argument("--horizon", type=int, default=16, help="steps of a chunk of DATASET")
    parser.add_argument("--episodes", type=int, default=12, help="of each Meta-World task")
    parser.add_argument("--chunks", type=int, default=8000, help="to fit on, at most")
    parser.add_argument("--scale", type=float, default=10.0)
    parser.add_argument("--vocabulary", type=int, default=1024)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 64, 1024])
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds")
    parser.add_argument("--out", type=Path, default=Path("bench/results/action_tokenizers.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results = [
        compare(name, *split(episodes, horizon, arguments.chunks), arguments)
        for name, episodes, horizon in sources(arguments)
    ]
    summary = {
        "benchmark": "action_tokenizers",
        "scale": arguments.scale,
        "vocabulary": arguments.vocabulary,
        "threads": 1,
        "versions": {
            "torch": torch.__version__,
            "tokenizers": tokenizers.__version__,
            "transformers": transformers.__version__,
        },
        "machine": {"cores": os.cpu_count(), "processor": platform.processor()},
        "results": results,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(summary, indent=1) + "\n")


if __name__ == "__main__":
    main()
