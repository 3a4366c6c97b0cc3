"""One model for several embodiments: padded, masked, normalised and decoded each in its own way."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from enactive.actions.convert import convert
from enactive.actions.spaces import Group, VectorSpace
from enactive.configuration import ConfigurationError
from enactive.episodes.cache import FrameCache
from enactive.episodes.episode import Episode, EpisodeHeader, Outcome, world_record
from enactive.episodes.features import world_features
from enactive.episodes.store import DatasetWriter
from enactive.models.action_model import ActionModel
from enactive.models.backbones.small_vla import SmallVLA
from enactive.models.batch import Batch, from_numpy
from enactive.models.chunk_reference import RelativeChunks
from enactive.models.heads.l1 import L1
from enactive.models.heads.universal_codebook import ADAPTATION, UniversalCodebook
from enactive.models.normalization import Normalizer
from enactive.models.tokenizers.quantile_bins import QuantileBins
from enactive.observations import Observation, ObservationSpec, StateVector, TaskSpec
from enactive.policies.chunked import ChunkedPolicy
from enactive.policies.policy import WiringError, check_wiring
from enactive.registry import Registry
from enactive.seeding import numpy_generator, torch_generator
from enactive.training.config import Initial, Optimizer, Source, Stage, Training
from enactive.training.data import open_data, training_loader
from enactive.training.initial import begin_from
from enactive.training.schedule import Schedule
from enactive.training.trainer import train
from enactive.worlds.world import WorldSpec

SPEED, HORIZON = 0.05, 4
TASK = TaskSpec(name="reach", instructions=("go to the goal",), max_steps=30)

Move = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Place and displacement, ``(3,)`` each, to an embodiment's command."""


def group(name: str, reference: str, frame: str, bound: float) -> Group:
    return Group(
        name=name, quantity="position", representation="xyz", reference=reference,  # type: ignore[arg-type]
        frame=frame, unit="m", low=-bound, high=bound,
    )  # fmt: skip


def spring(size: int) -> Group:
    return Group(
        name="joints", quantity="joint", representation="scalar", reference="delta", frame="arm",
        unit="rad", low=-9.0, high=9.0, size=size,
    )  # fmt: skip


LIMBS = np.random.default_rng(0).standard_normal((3, 5))
BODIES: dict[str, tuple[Group, Move]] = {
    "delta": (group("arm", "delta", "base", SPEED), lambda _, by: by),
    "absolute": (group("arm", "absolute", "base", 3.0), lambda at, by: at + by),
    "mirrored": (group("arm", "delta", "mirror", SPEED), lambda _, by: by * [-1, 1, 1]),
    "joints": (spring(5), lambda _, by: 10 * by @ LIMBS),
}


def spec(body: str) -> WorldSpec:
    names = ("x", "y", "z")
    return WorldSpec(
        name=body,
        version="1",
        observations=ObservationSpec(
            states=tuple(StateVector(name=n, names=names, unit="m") for n in ("proprio", "goal"))
        ),
        accepts=VectorSpace(groups=(BODIES[body][0],), rate_hz=10.0),
        tasks=(TASK,),
        rate_hz=10.0,
    )


def episodes(body: str, count: int) -> Iterator[Episode]:
    world, move = world_record(spec(body)), BODIES[body][1]
    for index in range(count):
        generator = numpy_generator(0, "reach", index)
        place, goal = generator.uniform(-0.5, 0.5, (2, 3))
        places, commands = [], []
        for _ in range(30):
            way = np.clip(goal - place, -SPEED, SPEED)
            places.append(place)
            commands.append(move(place, way))
            place = place + way
            if np.abs(goal - place).max() < 1e-6:
                break
        length = len(places)
        last = np.arange(length) == length - 1
        yield Episode(
            header=EpisodeHeader(
                id=f"{body}/{index}", index=index, task=TASK.task(), seed=index, world=world,
                policy="expert",
            ),
            images={},
            state={
                "proprio": np.stack(places).astype(np.float32),
                "goal": np.tile(goal, (length, 1)).astype(np.float32),
            },
            actions=np.stack(commands).astype(np.float32),
            rewards=last.astype(np.float32),
            successes=last,
            outcome=Outcome(success=True, steps=length, terminated=True, truncated=False),
        )  # fmt: skip


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("bodies")
    for body in BODIES:
        writer = DatasetWriter.create(root / body, world_features(world_record(spec(body))), 10)
        writer.append(episodes(body, 12))
    return {body: root / body for body in BODIES}


def sources(paths: dict[str, Path], *bodies: str) -> tuple[Source, ...]:
    return tuple(Source(path=paths[body], embodiment=body) for body in bodies or BODIES)


BACKBONE = SmallVLA.Config(width=32, depth=1, mlp_ratio=2)
HEAD = UniversalCodebook.Config(codes=16, code_size=16, hidden=64, perception_size=32)
MODEL = ActionModel.Config(
    states=("proprio", "goal"), horizon=HORIZON, backbone=BACKBONE, head=HEAD
)


def run(path: Path, data: tuple[Source, ...], **changes: object) -> Training:
    config = Training(
        run=path, data=data, model=MODEL, steps=4, batch_size=32, threads=1, workers=0,
        optimizer=Optimizer(learning_rate=3e-3), schedule=Schedule(warmup=3), ema_decay=0.9,
        cache=FrameCache.Config(directory=None),
    )  # fmt: skip
    return dataclasses.replace(config, **changes)  # type: ignore[arg-type]


def batch(config: Training) -> Batch:
    data = open_data(config)
    loader = training_loader(config, data, config.plan[0], 0, rank=0, world_size=1)
    return from_numpy(next(iter(loader)))


def rows(body: str, count: int, config: Training) -> Batch:
    """Windows of one embodiment."""
    found = batch(dataclasses.replace(config, batch_size=128))
    assert found.embodiment is not None
    number = list(BODIES).index(body)
    mine = (found.embodiment == number).nonzero()[:count, 0]
    assert found.action is not None and found.mask is not None
    return Batch(
        images={},
        state={name: value[mine] for name, value in found.state.items()},
        instructions=tuple(found.instructions[i] for i in mine.tolist()),
        action=found.action[mine],
        mask=found.mask[mine],
        embodiment=found.embodiment[mine],
    )


# -- batches and statistics ----------------------------------------------------------------


def test_batches_hold_every_embodiments_actions_in_its_slots(
    paths: dict[str, Path], tmp_path: Path
) -> None:
    config = run(tmp_path / "run", sources(paths))
    data, found = open_data(config), batch(config)
    slots = data.interface.slots
    assert slots is not None and slots.names == tuple(BODIES) and slots.size == 3 * 3 + 5
    assert found.action is not None and found.mask is not None and found.embodiment is not None
    assert found.action.shape == found.mask.shape == (32, HORIZON, 14)
    assert set(found.embodiment.tolist()) == {0, 1, 2, 3}
    for row, number in enumerate(found.embodiment.tolist()):
        name = slots.names[number]
        kept = torch.from_numpy(slots.mask(name))
        assert torch.equal(found.mask[row].any(0), kept)
        assert not found.action[row][:, ~kept].any()
        move = BODIES[name][1]
        place, goal = (found.state[key][row, 0].numpy() for key in ("proprio", "goal"))
        expected = move(place, np.clip(goal - place, -SPEED, SPEED))
        own = slots.extract(name, found.action[row].numpy())[0]
        np.testing.assert_allclose(own, expected, atol=1e-5)


def test_one_embodiment_without_a_name_is_what_it_always_was(
    paths: dict[str, Path], tmp_path: Path
) -> None:
    config = run(tmp_path / "run", (Source(path=paths["delta"]),))
    data, found = open_data(config), batch(config)
    assert data.interface.slots is None and not data.embodiments
    assert "slots" not in data.interface.to_dict()
    assert found.embodiment is None
    assert found.mask is not None and found.mask.shape == (32, HORIZON)
    assert set(data.statistics) == {"action", "proprio", "goal"}


def test_statistics_are_each_embodiments_own_unless_shared(
    paths: dict[str, Path], tmp_path: Path
) -> None:
    config = run(tmp_path / "run", sources(paths))
    data = open_data(config)
    model = config.model.build(data.interface, data.statistics, 0)
    slots = data.interface.slots
    assert slots is not None
    for number, name in enumerate(BODIES):
        found = rows(name, 20, config)
        assert found.action is not None
        scaled = model.normalise_chunk(found.action, found.embodiment)
        own = data.statistics[f"{name}/action"]
        places = list(slots.places[name])
        mean, std = (torch.tensor(np.asarray(own[key])[places]) for key in ("mean", "std"))
        expected = (found.action[..., places] - mean) / std
        torch.testing.assert_close(scaled[..., places], expected.float(), atol=1e-4, rtol=1e-4)
        assert not scaled[..., ~torch.from_numpy(slots.mask(name))].any()
        back = model.denormalise_chunk(scaled, found.embodiment)
        torch.testing.assert_close(back, found.action, atol=1e-5, rtol=1e-5)
        assert number == slots.index(name)
    # Shared: the same numbers for all, made of those embodiments that have the entry.
    shared = Normalizer.Config(shared=("action", "proprio", "goal"))
    other = dataclasses.replace(config.model, normalization=shared)
    together = other.build(data.interface, data.statistics, 0)
    delta = list(slots.places["delta"])
    np.testing.assert_allclose(
        np.asarray(data.statistics["action"]["std"])[delta],
        np.asarray(data.statistics["delta/action"]["std"])[delta],
    )
    found = rows("mirrored", 3, config)
    value = found.state["goal"]
    torch.testing.assert_close(
        together.normalizer.normalize("goal", value, found.embodiment),
        together.normalizer.normalize("goal", value),
    )
    with pytest.raises(ValueError, match=r"normalization\.shared: no feature 'gaol'"):
        Normalizer.Config(shared=("gaol",)).build({"goal": 3}, data.statistics)


def test_a_batch_must_say_whose_it_is(paths: dict[str, Path], tmp_path: Path) -> None:
    config = run(tmp_path / "run", sources(paths))
    data = open_data(config)
    model = config.model.build(data.interface, data.statistics, 0)
    nameless = dataclasses.replace(batch(config), embodiment=None)
    with pytest.raises(ValueError, match=r"give Batch\.embodiment"):
        model.loss(nameless, torch_generator(0))


# -- training and acting -------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(paths: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> ActionModel:
    torch.set_num_threads(1)
    config = run(tmp_path_factory.mktemp("trained") / "run", sources(paths), steps=250)
    return ActionModel.load(train(config).checkpoint, "ema")


def error_of(model: ActionModel, found: Batch) -> tuple[float, float]:
    """Mean error of the first predicted action, and of predicting the mean, normalised."""
    assert found.action is not None and found.mask is not None
    with torch.no_grad():
        chunk = model.sample(found, torch_generator(0)).chunk[:, 0]
    kept = found.mask[:, 0]
    wanted = model.normalise_chunk(found.action, found.embodiment)[:, 0]
    given = model.normalise_chunk(chunk, found.embodiment)[:, 0]
    return float((wanted - given)[kept].abs().mean()), float(wanted[kept].abs().mean())


def test_one_model_learns_every_embodiment(
    trained: ActionModel, paths: dict[str, Path], tmp_path: Path
) -> None:
    config = run(tmp_path / "run", sources(paths))
    for body in BODIES:
        wrong, naive = error_of(trained, rows(body, 24, config))
        assert wrong < 0.6 * naive, body


def test_a_policy_acts_for_one_embodiment_and_fits_its_world_alone(trained: ActionModel) -> None:
    seen = Observation(
        state={"proprio": np.zeros(3, np.float32), "goal": np.full(3, 0.4, np.float32)},
        instruction=TASK.instructions[0],
    )
    actions = {}
    for body in BODIES:
        policy = ChunkedPolicy.Config(execute=2, embodiment=body).build(trained)
        check_wiring(policy, spec(body))
        for other in BODIES:
            if other != body:
                with pytest.raises(WiringError):
                    check_wiring(policy, spec(other))
        decision = policy.act([seen], [policy.begin(TASK.task(), 0)])[0]
        assert policy.produces.contains(decision.action)
        actions[body] = np.asarray(decision.action)
    assert actions["delta"][0] > 0.02 and actions["mirrored"][0] < -0.02
    assert actions["joints"].shape == (5,)
    with pytest.raises(ValueError, match="did you mean 'delta'"):
        ChunkedPolicy.Config(execute=2, embodiment="detla").build(trained)
    with pytest.raises(ValueError, match="embodiment"):
        ChunkedPolicy.Config(execute=2).build(trained)


def test_saved_and_loaded_it_knows_its_embodiments(trained: ActionModel, tmp_path: Path) -> None:
    trained.save(tmp_path / "model")
    loaded = ActionModel.load(tmp_path / "model")
    assert loaded.interface == trained.interface
    assert json.loads((tmp_path / "model" / "interface.json").read_text())["slots"]
    for name, value in trained.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name


def test_heads_that_know_no_embodiments_learn_the_mixture_too(
    paths: dict[str, Path], tmp_path: Path
) -> None:
    model = dataclasses.replace(MODEL, head=L1.Config(depth=1))
    for align in (True, False):
        config = run(tmp_path / f"{align}", sources(paths), model=model, align=align)
        data = open_data(config)
        assert data.interface.produces.size == (14 if align else 5)
        assert train(config).finished


def test_adapting_to_a_new_embodiment_trains_its_decoder_alone(
    trained: ActionModel, paths: dict[str, Path], tmp_path: Path
) -> None:
    first = run(tmp_path / "first", sources(paths, "delta", "mirrored"), steps=20)
    before = ActionModel.load(train(first).checkpoint, "ema")
    head = dataclasses.replace(HEAD, hard=True)
    config = run(
        tmp_path / "second",
        sources(paths, "joints"),
        model=dataclasses.replace(MODEL, head=head),
        initial=Initial(path=first.run, statistics=("goal",)),
        stages=(Stage(steps=5, freeze=ADAPTATION),),
        ema_decay=None,
    )
    with pytest.raises(ConfigurationError, match=r"initial\.statistics: .*normalization\.shared"):
        train(config)
    shared = dataclasses.replace(config.model, normalization=Normalizer.Config(shared=("goal",)))
    with pytest.raises(ConfigurationError, match=r"initial\.statistics: .* none of 'goal'"):
        train(dataclasses.replace(config, model=shared))  # each embodiment had its own
    config = dataclasses.replace(config, initial=Initial(path=first.run))
    data = open_data(config)
    fresh = config.model.build(data.interface, data.statistics, config.seed)
    assert config.initial is not None
    left = begin_from(fresh, config.initial)
    assert left and all(name.startswith("head.network.decoders.joints.") for name in left)
    after = ActionModel.load(train(config).checkpoint)
    old = dict(before.named_parameters())
    for name, value in after.named_parameters():
        if name in old:
            assert torch.equal(value, old[name]), name
        else:
            assert not torch.equal(value, dict(fresh.named_parameters())[name]), name
    with pytest.raises(ConfigurationError, match=r"initial\.path"):
        train(run(tmp_path / "third", sources(paths, "joints"), initial=Initial(path=tmp_path)))


def test_statistics_can_be_taken_over(paths: dict[str, Path], tmp_path: Path) -> None:
    shared = Normalizer.Config(shared=("goal",))
    model = dataclasses.replace(MODEL, normalization=shared)
    first = run(tmp_path / "first", sources(paths, "delta", "mirrored"), model=model)
    train(first)
    config = run(
        tmp_path / "second",
        sources(paths, "joints"),
        model=model,
        initial=Initial(path=first.run, statistics=("goal",)),
    )
    own, taken = open_data(dataclasses.replace(config, initial=None)), open_data(config)
    assert taken.statistics["goal"]["count"] != list(own.statistics["goal"]["count"])
    assert taken.statistics["goal"]["mean"] == pytest.approx(
        list(open_data(first).statistics["goal"]["mean"])
    )


# -- what cannot work ----------------------------------------------------------------------


def test_refusals(paths: dict[str, Path], tmp_path: Path) -> None:
    nameless = tuple(Source(path=paths[body]) for body in ("delta", "joints"))
    with pytest.raises(ConfigurationError, match="name the embodiment of each"):
        train(run(tmp_path / "run", nameless))
    alike = tuple(Source(path=paths[body], embodiment="arm") for body in ("delta", "joints"))
    with pytest.raises(ConfigurationError, match=r"(?s)'arm' have different.*name another"):
        train(run(tmp_path / "run", alike))
    tokens = dataclasses.replace(
        MODEL, head=Registry("heads").load("autoregressive")(), tokenizer=QuantileBins.Config()
    )
    with pytest.raises(ConfigurationError, match=r"model\.tokenizer: .*one action space"):
        train(run(tmp_path / "run", sources(paths), model=tokens))
    assert not (tmp_path / "run").exists()


# -- relative chunks -----------------------------------------------------------------------


@given(st.lists(st.lists(st.floats(-0.05, 0.05), min_size=3, max_size=3), min_size=1, max_size=8))
def test_relative_chunks_are_what_convert_says(steps: list[list[float]]) -> None:
    chunk = np.array(steps)
    space = spec("delta").accepts
    assert isinstance(space, VectorSpace)
    wide = dataclasses.replace(space.groups[0], reference="chunk_start", low=-9.0, high=9.0, size=1)
    target = dataclasses.replace(space, groups=(wide,))
    reference = RelativeChunks(space)
    found = reference.relative(torch.from_numpy(chunk)[None])
    np.testing.assert_allclose(found[0].numpy(), convert(chunk, space, target), atol=1e-12)
    back = reference.displacements(found)[0].numpy()
    np.testing.assert_allclose(back, chunk, atol=1e-7)


def test_what_one_step_cannot_reach_the_next_ones_catch_up_with() -> None:
    space = spec("delta").accepts
    assert isinstance(space, VectorSpace)
    places = torch.tensor([0.12, 0.12, 0.12, 0.12]).view(1, 4, 1).expand(1, 4, 3)
    steps = RelativeChunks(space).displacements(places)
    torch.testing.assert_close(steps[0, :, 0], torch.tensor([0.05, 0.05, 0.02, 0.0]))


def test_a_relative_model_trains_on_the_same_data(paths: dict[str, Path], tmp_path: Path) -> None:
    model = dataclasses.replace(MODEL, relative=True)
    config = run(tmp_path / "run", sources(paths, "delta", "mirrored"), model=model)
    data = open_data(config)
    own = open_data(dataclasses.replace(config, model=MODEL))
    assert (data.statistics["delta/action"]["std"] > 1.2 * own.statistics["delta/action"]["std"])[
        :3
    ].all()
    built = model.build(data.interface, data.statistics, 0)
    found = batch(config)
    assert found.action is not None
    scaled = built.normalise_chunk(found.action, found.embodiment)
    back = built.denormalise_chunk(scaled.unsqueeze(1), found.embodiment)[:, 0]
    torch.testing.assert_close(back, found.action, atol=1e-6, rtol=1e-5)
    result = train(config)
    loaded = ActionModel.load(result.checkpoint)
    assert loaded.config.relative
    with pytest.raises(ConfigurationError, match=r"model\.relative: no group is a displacement"):
        train(run(tmp_path / "other", sources(paths, "absolute"), model=model))
