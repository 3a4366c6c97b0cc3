"""What the codes of a universal codebook mean: on which bodies, in which tasks.

The analyses of UniAct (arXiv 2501.10105) that its claim rests on, for models that were trained on
several control interfaces of Meta-World's arm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from enactive.episodes.dataset import Dataset
from enactive.episodes.windows import WindowSpec, WindowTable, subset
from enactive.models.action_model import ActionModel
from enactive.models.batch import Batch
from enactive.models.heads.universal_codebook import UniversalCodebook
from enactive.models.tokenizers.universal_codebook import divergence, usage
from enactive.seeding import numpy_generator, torch_generator


def windows(path: Path, task: str, embodiment: int, count: int) -> Batch:
    """Up to ``count`` observations of one task, evenly spaced over its demonstrations."""
    dataset = Dataset.open(path)
    chosen = [r.episode for r in dataset.records if r.header.task.name == task]
    spec = WindowSpec(action_steps=1, cameras=(), states=("scene", "proprio"))
    table = WindowTable(subset(dataset, chosen), spec)
    places = table.places(np.linspace(0, table.size - 1, min(count, table.size)).astype(np.int64))
    rows = len(places.step)
    return Batch(
        images={},
        state={name: torch.from_numpy(value) for name, value in table.states(places).items()},
        instructions=tuple(table.instructions(places)),
        embodiment=torch.full((rows,), embodiment),
    )


def codes_used(trained: ActionModel, batch: Batch) -> Tensor:
    """The most likely code in each situation, ``int64 (B,)``."""
    drawn = trained.sample(batch, torch_generator(0, "codes"))
    return drawn.trace["ids"][:, 0, 0]


@torch.no_grad()
def motions(trained: ActionModel, batch: Batch, interface: str) -> Tensor:
    """The hand's displacement over a chunk, in the scene, that each code stands for in each
    situation: ``float32 (B, N, 3)``, m."""
    slots = trained.interface.slots
    assert slots is not None and isinstance(trained.head, UniversalCodebook)
    assert batch.embodiment is not None
    chunk = trained.head.code_chunks(trained.features(batch))  # (B, N, H, U)
    chunk = trained.denormalise_chunk(chunk, batch.embodiment)
    arm = chunk[..., list(slots.places[interface])[:3]]  # (B, N, H, 3)
    if interface == "ee_absolute":
        return arm[:, :, -1] - arm[:, :, 0]
    moved = arm.sum(2)
    return moved * torch.tensor([-1.0, 1.0, 1.0]) if interface == "mirrored" else moved


def alignment(
    trained: ActionModel, data: Mapping[str, Path], tasks: Sequence[str], seed: int
) -> dict[str, float]:
    """Whether codes mean the same on two bodies: cosines of the hand's displacements in the same
    situation, averaged over situations, pairs of interfaces and the codes in use.

    Returns:
        ``cosine_same`` for one code on two interfaces, ``cosine_shuffled`` for another code that is
        in use on the second: what the situation alone explains.
    """
    same: list[float] = []
    shuffled: list[float] = []
    generator = numpy_generator(seed, "shuffled codes")
    names = list(data)
    for task in tasks:
        seen = {n: windows(data[names[0]], task, i, 32) for i, n in enumerate(names)}
        # The same situations for all: the mirrored body sees its own hand mirrored.
        seen = {n: _as_seen_by(n, batch) for n, batch in seen.items()}
        used = codes_used(trained, seen[names[0]])
        codes = used.unique()
        moved = {n: motions(trained, batch, n)[:, codes] for n, batch in seen.items()}
        other = _moved_on(len(codes), generator)
        weight = (used[:, None] == codes).float().sum(0)  # (C,)
        for i, first in enumerate(names):
            for second in names[i + 1 :]:
                one, two = moved[first], moved[second]  # (B, C, 3)
                same.append(_mean(F.cosine_similarity(one, two, dim=-1), weight))
                if len(codes) > 1:
                    mixed = F.cosine_similarity(one, two[:, other], dim=-1)
                    shuffled.append(_mean(mixed, weight))
    return {
        "cosine_same": float(np.mean(same)),
        # With a single code in use there is no other, and nothing that a code could mean.
        "cosine_shuffled": float(np.mean(shuffled)) if shuffled else float(np.mean(same)),
    }


def _as_seen_by(interface: str, batch: Batch) -> Batch:
    if interface != "mirrored":
        return batch
    turned = batch.state["proprio"] * torch.tensor([-1.0, 1.0, 1.0, 1.0])
    return replace(batch, state={**batch.state, "proprio": turned})


def _moved_on(count: int, generator: np.random.Generator) -> Tensor:
    """A permutation without fixed points: a random cycle, ``int64 (count,)``."""
    order = generator.permutation(count)
    following = np.empty(count, np.int64)
    following[order] = np.roll(order, -1)
    return torch.from_numpy(following)


def _mean(cosine: Tensor, weight: Tensor) -> float:
    return float((cosine.mean(0) * weight).sum() / weight.sum())


def divergences(
    trained: ActionModel, data: Mapping[str, Path], tasks: Sequence[str]
) -> dict[str, float]:
    """Jensen-Shannon divergences of code usage, bits: same task on two interfaces, and two tasks on
    one interface; and how many codes are in use at all."""
    assert isinstance(trained.head, UniversalCodebook)
    codes = trained.head.config.codes
    counts = {
        (name, task): usage(codes_used(trained, windows(data[name], task, number, 400)), codes)
        for number, name in enumerate(data)
        for task in tasks
    }
    cells = list(counts)
    same = [
        divergence(counts[a], counts[b])
        for i, a in enumerate(cells)
        for b in cells[i + 1 :]
        if a[1] == b[1]
    ]
    different = [
        divergence(counts[a], counts[b])
        for i, a in enumerate(cells)
        for b in cells[i + 1 :]
        if a[0] == b[0]
    ]
    total = torch.stack(list(counts.values())).sum(0)
    return {
        "js_same_task": float(np.mean(same)),
        "js_two_tasks": float(np.mean(different)),
        "codes_used": float((total > 0).sum()),
        "largest_share": float(total.max() / total.sum()),
    }
