"""What the claims on questions share: sets of questions and of picks as arrays, and a small network
that looks, answers and points.

A set is made once, through the worlds themselves, and kept in the claims' shared directory under
the hash of what decides its bits. Every unit splits it by its own seed, so that no question that is
scored was trained on, and seeds differ in both.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from enactive.configuration import config_hash
from enactive.models.action_model import seeded_initialisation
from enactive.observations import Task
from enactive.policies.text_only import TextOnlyPolicy
from enactive.seeding import numpy_generator, torch_generator
from enactive.worlds.questions.acting import CLOSED, OPEN, Act
from enactive.worlds.questions.catalogue import VERSION
from enactive.worlds.questions.item import MOMENTS, Item, told
from enactive.worlds.questions.staging import (
    AREA,
    COLOURS,
    Piece,
    footprint,
    scaled,
    scene,
    some,
    spots,
)
from enactive.worlds.questions.world import Questions, stream
from enactive.worlds.tabletop.scene import Scene

SIDE = 48
"""Of the pictures, pixels."""
CUBE = 1.2
"""Size of the cubes that are picked, as a factor."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QuestionSet:
    """N questions as arrays."""

    pictures: NDArray[np.uint8]
    """``(N, S, H, W, 3)``: S streams."""
    kinds: tuple[str, ...]
    questions: tuple[str, ...]
    options: tuple[tuple[str, ...], ...]
    answers: NDArray[np.int64]
    """``(N,)``: place of the right option."""

    def __len__(self) -> int:
        return len(self.answers)

    def of(self, places: Sequence[int] | NDArray[np.int64]) -> QuestionSet:
        """The questions at ``places``."""
        chosen = [int(i) for i in places]
        return QuestionSet(
            pictures=self.pictures[chosen],
            kinds=tuple(self.kinds[i] for i in chosen),
            questions=tuple(self.questions[i] for i in chosen),
            options=tuple(self.options[i] for i in chosen),
            answers=self.answers[chosen],
        )

    def only(self, *kinds: str) -> QuestionSet:
        """The questions of ``kinds``."""
        return self.of([i for i, kind in enumerate(self.kinds) if kind in kinds])

    def seen(self, *streams: int) -> QuestionSet:
        """The same with some streams only."""
        return QuestionSet(
            pictures=self.pictures[:, list(streams)], kinds=self.kinds, questions=self.questions,
            options=self.options, answers=self.answers,
        )  # fmt: skip

    @property
    def texts(self) -> list[str]:
        """What a policy is told."""
        return [told(q, o) for q, o in zip(self.questions, self.options, strict=True)]


def question_set(
    shared: Path, kinds: Sequence[str], each: int, *, cameras: tuple[str, ...] = ("front",),
    clip: bool = False, first_seed: int = 0,
) -> QuestionSet:  # fmt: skip
    """``each`` questions of every kind, from ``first_seed`` on, made where they are not there yet.

    Streams are the cameras in order; with ``clip`` each camera's moments, earliest first.
    """
    recipe = {
        "kinds": list(kinds), "each": each, "cameras": list(cameras), "clip": clip,
        "first_seed": first_seed, "side": SIDE, "version": VERSION,
    }  # fmt: skip
    path = shared / f"questions-{config_hash(recipe)}.npz"
    if not path.is_file():
        config = Questions.Config(cameras=cameras, clip=clip, image_size=SIDE, privileged=False)
        names = [
            stream(camera, moment)
            for camera in cameras
            for moment in (range(MOMENTS) if clip else (MOMENTS - 1,))
        ]
        world, pictures, items = config.build(), [], []
        try:
            for kind in kinds:
                for seed in range(first_seed, first_seed + each):
                    seen = world.reset(Task(name=kind, instruction=""), seed)
                    pictures.append(np.stack([seen.images[name] for name in names]))
                    items.append((kind, world.item.question, world.item.options, world.item.answer))
        finally:
            world.close()
        width = max(len(item[2]) for item in items)
        _save(
            path,
            pictures=np.stack(pictures),
            kinds=np.array([item[0] for item in items]),
            questions=np.array([item[1] for item in items]),
            options=np.array([[*item[2], *[""] * (width - len(item[2]))] for item in items]),
            answers=np.array([item[3] for item in items]),
        )
    with np.load(path, allow_pickle=False) as data:
        return QuestionSet(
            pictures=data["pictures"],
            kinds=tuple(data["kinds"].tolist()),
            questions=tuple(data["questions"].tolist()),
            options=tuple(tuple(o for o in row if o) for row in data["options"].tolist()),
            answers=data["answers"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class PickSet:
    """N scenes in which one of four cubes is to be picked."""

    pictures: NDArray[np.uint8]
    """``(N, 1, H, W, 3)``."""
    instructions: tuple[str, ...]
    spots: NDArray[np.float64]
    """``(N, 2)`` m: where the named cube stands, which is where the expert's fingers close."""
    seeds: tuple[int, ...]


def pick_set(shared: Path, count: int, first_seed: int = 0) -> PickSet:
    """``count`` demonstrations of picking, from ``first_seed`` on."""
    recipe = {"picks": count, "first_seed": first_seed, "side": SIDE, "version": VERSION}
    path = shared / f"picks-{config_hash(recipe)}.npz"
    if not path.is_file():
        world, pictures, told_, where = Questions.Config(
            cameras=("front",), clip=False, image_size=SIDE
        ).build(), [], [], []  # fmt: skip
        try:
            for seed in range(first_seed, first_seed + count):
                staged, colour = pick_scene(seed)
                pictures.append(world.draw(_shown(staged))["front"][None])
                told_.append(f"pick up the {colour} cube")
                where.append(staged.things[0].position[:2])
        finally:
            world.close()
        _save(path, pictures=np.stack(pictures), told=np.array(told_), spots=np.array(where))
    with np.load(path, allow_pickle=False) as data:
        return PickSet(
            pictures=data["pictures"], instructions=tuple(data["told"].tolist()),
            spots=data["spots"], seeds=tuple(range(first_seed, first_seed + count)),
        )  # fmt: skip


def pick_scene(seed: int) -> tuple[Scene, str]:
    """Four cubes, and the colour of the one that is to be picked, number 0."""
    draw = numpy_generator(seed, "questions", "picks")
    colours = some(draw, COLOURS, 4)
    looks = [scaled(colour, "cube", CUBE) for colour in colours]
    places = spots(draw, [footprint(look) for look in looks], AREA)
    return scene([Piece(look=x, at=at) for x, at in zip(looks, places, strict=True)]), colours[0]


def picked(seed: int, spot: Sequence[float]) -> bool:
    """Whether fingers that close at ``spot`` (x, y in m) and rise bring the named cube along."""
    staged, _ = pick_scene(seed)
    act = Act.begin(staged, settle=2)
    height = float(act.places[0][0, 2])
    x, y = (float(np.clip(v, -b, b)) for v, b in zip(spot, (0.3, 0.3), strict=True))
    act.go(x, y, 0.18, OPEN, steps=80, settle=0)
    act.go(x, y, height, OPEN, steps=25, settle=1)
    act.wait(6, CLOSED)
    act.go(x, y, 0.14, CLOSED, steps=25, settle=2)
    return bool(act.held[-1] == 0 and act.places[-1][0, 2] > height + 0.05)


def _shown(staged: Scene) -> Item:
    state = Act.begin(staged, settle=2).state
    return Item(question="?", options=("a", "b"), answer=0, scene=staged, states=(state,))


def _save(path: Path, **arrays: NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with partial.open("wb") as file:
        np.savez(file, **arrays)
    os.replace(partial, path)


# -- words ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Words:
    """Numbers of words; 0 is for those that are not there."""

    numbers: Mapping[str, int]

    @classmethod
    def of(cls, *texts: Sequence[str]) -> Words:
        """All words of ``texts``."""
        found = sorted({word for some_ in texts for text in some_ for word in split(text)})
        return cls({word: i for i, word in enumerate(found, start=1)})

    def ids(self, texts: Sequence[str]) -> Tensor:
        """``int64 (N, L)``, filled up with 0."""
        rows = [[self.numbers.get(word, 0) for word in split(text)] for text in texts]
        longest = max(1, *(len(row) for row in rows))
        return torch.tensor([row + [0] * (longest - len(row)) for row in rows])


def split(text: str) -> list[str]:
    """Lower-case words without signs."""
    return "".join(c if c.isalnum() else " " for c in text.casefold()).split()


# -- the network ---------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """Of the network."""

    words: int = 32
    channels: tuple[int, int, int] = (24, 32, 32)
    looks: int = 4
    """Places that it looks at, each found by an inner product of the words with every cell."""
    hidden: int = 96


class Network(nn.Module):
    """Pictures and words to an answer or to a place on the table.

    Convolutions whose later two are modulated by the words (FiLM, Perez et al., 2018); places that
    the words attend to, with what is there; means and maxima of the last map. Options are scored by
    an inner product.
    """

    def __init__(self, streams: int, vocabulary: int, size: Size) -> None:
        super().__init__()
        a, b, c = size.channels
        self.embedding = nn.Embedding(vocabulary + 1, size.words, padding_idx=0)
        self.first = nn.Conv2d(3 * streams, a, 7, 4, 2)
        self.second = nn.Conv2d(a, b, 3, 1, 1)
        self.third = nn.Conv2d(b, c, 3, 1, 1)
        self.norms = nn.ModuleList(nn.GroupNorm(8, n) for n in (a, b, c))
        self.films = nn.ModuleList(nn.Linear(size.words, 2 * n) for n in (b, c))
        self.query = nn.Linear(size.words, size.looks * c)
        features = size.looks * (2 + c) + 2 * c
        self.features = features
        self.mix = nn.Sequential(
            nn.Linear(features + size.words, size.hidden), nn.GELU(),
            nn.Linear(size.hidden, size.hidden), nn.GELU(),
        )  # fmt: skip
        self.option = nn.Linear(size.words, size.hidden)
        self.place = nn.Sequential(
            nn.Linear(features + size.words, size.hidden), nn.GELU(), nn.Linear(size.hidden, 2)
        )

    def bag(self, ids: Tensor) -> Tensor:
        """Mean embedding of the words ``ids (..., L)``: ``(..., E)``."""
        there = (ids > 0).float().unsqueeze(-1)
        return (self.embedding(ids) * there).sum(-2) / there.sum(-2).clamp(min=1.0)

    def look(self, pictures: Tensor, words: Tensor) -> Tensor:
        """Features ``(B, D)`` of ``pictures (B, 3S, H, W)`` in [-1, 1] given ``words (B, E)``."""
        x = F.gelu(self.norms[0](self.first(pictures)))
        for layer, norm, film in zip(
            (self.second, self.third), self.norms[1:], self.films, strict=True
        ):
            scale, shift = film(words)[..., None, None].chunk(2, 1)
            x = F.gelu(norm(layer(x)) * (1 + scale) + shift)
        height, width = x.shape[2:]
        cells = x.flatten(2)  # (B, C, h·w)
        query = self.query(words).view(len(x), -1, cells.shape[1])  # (B, K, C)
        maps = (query @ cells).softmax(-1)  # (B, K, h·w)
        there = (maps @ cells.transpose(1, 2)).flatten(1)  # (B, K·C)
        rows = torch.linspace(-1, 1, height).repeat_interleave(width)
        columns = torch.linspace(-1, 1, width).repeat(height)
        places = [maps @ columns, maps @ rows]
        return torch.cat([*places, there, x.mean((2, 3)), x.amax((2, 3))], 1)

    def answer(self, features: Tensor, words: Tensor, options: Tensor) -> Tensor:
        """Scores ``(B, O)`` of ``options (B, O, L)``; -inf where there is none."""
        mixed = self.mix(torch.cat([features, words], 1))
        scores = (self.option(self.bag(options)) @ mixed.unsqueeze(-1)).squeeze(-1)
        return scores.masked_fill(~(options > 0).any(-1), float("-inf"))

    def point(self, features: Tensor, words: Tensor) -> Tensor:
        """Where the fingers shall close, ``(B, 2)`` m."""
        return 0.2 * self.place(torch.cat([features, words], 1))


def network(streams: int, words: Words, seed: int, size: Size | None = None) -> Network:
    """A new network with weights of ``seed``."""
    with seeded_initialisation(seed):
        return Network(streams, len(words.numbers), size or Size())


def saved(path: Path, net: Network, train: Callable[[], None]) -> Network:
    """``net`` with the weights in ``path``; where there are none, ``train`` makes them first."""
    from safetensors.torch import load_file, save_file

    if not path.is_file():
        train()
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        save_file(net.state_dict(), partial)
        os.replace(partial, path)
    net.load_state_dict(load_file(path))
    return net.eval()


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """Questions as tensors."""

    pictures: Tensor
    """``uint8 (N, 3S, H, W)``."""
    questions: Tensor
    options: Tensor
    """``int64 (N, O, L)``."""
    answers: Tensor

    @classmethod
    def of(cls, asked: QuestionSet, words: Words, blind: bool = False) -> Asked:
        """``asked`` with ``words``' numbers; ``blind`` makes all pictures one."""
        width = max(len(options) for options in asked.options)
        flat = [o for options in asked.options for o in (*options, *[""] * (width - len(options)))]
        pictures = channels(asked.pictures)
        return cls(
            pictures=torch.zeros_like(pictures) if blind else pictures,
            questions=words.ids(asked.questions),
            options=words.ids(flat).view(len(asked), width, -1),
            answers=torch.from_numpy(asked.answers),
        )


def channels(pictures: NDArray[np.uint8]) -> Tensor:
    """``(N, S, H, W, 3)`` to ``uint8 (N, 3S, H, W)``."""
    count, streams, height, width, _ = pictures.shape
    return (
        torch.from_numpy(pictures).permute(0, 1, 4, 2, 3).reshape(
            count, 3 * streams, height, width
        )
    )  # fmt: skip


def shifted(pictures: Tensor, draw: torch.Generator, most: int = 2) -> Tensor:
    """``uint8 (B, C, H, W)``, each moved by up to ``most`` pixels; what comes in repeats the edge.

    All moments of a clip move alike. It keeps a few thousand pictures from being known by heart.
    """
    count, _, height, width = pictures.shape
    rows, columns = (
        torch.randint(-most, most + 1, (count, 1), generator=draw) + torch.arange(n)
        for n in (height, width)
    )
    rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    place = torch.arange(count)[:, None, None]
    return pictures.permute(0, 2, 3, 1)[place, rows[:, :, None], columns[:, None, :]].permute(
        0, 3, 1, 2
    )


def scaled_pictures(pictures: Tensor) -> Tensor:
    """``uint8`` to [-1, 1]."""
    return pictures.float() / 127.5 - 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Pointed:
    """Picks as tensors."""

    pictures: Tensor
    instructions: Tensor
    spots: Tensor

    @classmethod
    def of(cls, picks: PickSet, words: Words, streams: int = 1) -> Pointed:
        """``picks`` as stills of ``streams`` equal moments."""
        return cls(
            pictures=channels(picks.pictures).repeat(1, streams, 1, 1),
            instructions=words.ids(picks.instructions),
            spots=torch.from_numpy(picks.spots).float(),
        )


def fit(
    net: Network, *, steps: int, batch: int, seed: int, name: str, asked: Asked | None = None,
    pointed: Pointed | None = None, rate: float = 2e-3, head_only: bool = False,
) -> None:  # fmt: skip
    """Train ``net`` for ``steps`` of ``batch`` examples: questions, picks, or half of each.

    Args:
        name: of the stream that orders the examples.
        rate: of AdamW, at its peak; it rises over a tenth of the steps and falls along a cosine.
        head_only: leave alone what looks; only what answers is trained.
    """
    trained = [*net.mix.parameters(), *net.option.parameters()] if head_only else net.parameters()
    optimizer = torch.optim.AdamW(trained, lr=rate, weight_decay=0.01)
    warm = max(1, steps // 10)

    def factor(step: int) -> float:
        return min((step + 1) / warm, 0.5 * (1 + np.cos(np.pi * step / steps)))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    draw = torch_generator(seed, "questions", name)
    both = asked is not None and pointed is not None
    net.train()
    for _ in range(steps):
        loss = torch.zeros(())
        count = batch // 2 if both else batch
        if asked is not None:
            rows = torch.randint(len(asked.answers), (count,), generator=draw)
            words = net.bag(asked.questions[rows])
            pictures = shifted(asked.pictures[rows], draw)
            seen = net.look(scaled_pictures(pictures), words)
            scores = net.answer(seen, words, asked.options[rows])
            loss = loss + F.cross_entropy(scores, asked.answers[rows])
        if pointed is not None:
            rows = torch.randint(len(pointed.spots), (count,), generator=draw)
            words = net.bag(pointed.instructions[rows])
            seen = net.look(scaled_pictures(pointed.pictures[rows]), words)
            wanted = pointed.spots[rows]
            # In decimetres, so that it weighs about as much as a question.
            loss = loss + 10 * F.smooth_l1_loss(10 * net.point(seen, words), 10 * wanted)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    net.eval()


@torch.inference_mode()
def answers(net: Network, asked: Asked) -> Tensor:
    """Probabilities of the options, ``(N, O)``."""
    found = []
    for rows in torch.arange(len(asked.answers)).split(128):
        words = net.bag(asked.questions[rows])
        seen = net.look(scaled_pictures(asked.pictures[rows]), words)
        found.append(net.answer(seen, words, asked.options[rows]).softmax(-1))
    return torch.cat(found)


@torch.inference_mode()
def points(net: Network, pointed: Pointed) -> NDArray[np.float64]:
    """Where the fingers shall close, ``(N, 2)`` m."""
    words = net.bag(pointed.instructions)
    seen = net.look(scaled_pictures(pointed.pictures), words)
    return net.point(seen, words).double().numpy()


def right(net: Network, asked: Asked) -> NDArray[np.float64]:
    """1 where the answer is right, ``(N,)``."""
    return (answers(net, asked).argmax(-1) == asked.answers).double().numpy()


def right_from_words(training: QuestionSet, scored: QuestionSet) -> NDArray[np.float64]:
    """The same of the text-only control, which sees no picture."""
    policy = TextOnlyPolicy.fit(training.texts, training.answers.tolist())
    given = []
    for text in scored.texts:
        scores = policy.scores(text)
        given.append(scores.index(max(scores)))
    return (np.array(given) == scored.answers).astype(np.float64)


def right_from_majority(training: QuestionSet, scored: QuestionSet) -> NDArray[np.float64]:
    """The same of answering with the option whose words were right most often in training."""
    counts: dict[tuple[str, str], int] = {}
    for kind, options, answer in zip(
        training.kinds, training.options, training.answers.tolist(), strict=True
    ):
        key = (kind, options[answer])
        counts[key] = counts.get(key, 0) + 1
    return np.array([
        max(range(len(options)), key=lambda i: counts.get((kind, options[i]), 0)) == answer
        for kind, options, answer in zip(
            scored.kinds, scored.options, scored.answers.tolist(), strict=True
        )
    ], np.float64)  # fmt: skip


def split_set(whole: QuestionSet, seed: int, share: float) -> tuple[QuestionSet, QuestionSet]:
    """Training and scored questions: ``share`` of each kind's for training, others every seed."""
    draw = numpy_generator(seed, "questions", "split")
    train: list[int] = []
    test: list[int] = []
    for kind in dict.fromkeys(whole.kinds):
        own = np.flatnonzero(np.array(whole.kinds) == kind)
        own = own[draw.permutation(len(own))]
        cut = round(share * len(own))
        train += own[:cut].tolist()
        test += own[cut:].tolist()
    return whole.of(train), whole.of(test)


def with_two_options(whole: QuestionSet, seed: int) -> QuestionSet:
    """Every question with the right option and one other: chance is a half for all."""
    draw = numpy_generator(seed, "questions", "two")
    kept: list[tuple[str, ...]] = []
    places: list[int] = []
    for options, answer in zip(whole.options, whole.answers.tolist(), strict=True):
        wrong = [i for i in range(len(options)) if i != answer]
        pair = [answer, wrong[int(draw.integers(len(wrong)))]]
        if len(options) > 2 and draw.integers(2):
            pair.reverse()
        if len(options) == 2:
            pair = [0, 1]
        kept.append(tuple(options[i] for i in pair))
        places.append(pair.index(answer))
    return QuestionSet(
        pictures=whole.pictures, kinds=whole.kinds, questions=whole.questions,
        options=tuple(kept), answers=np.array(places),
    )  # fmt: skip
