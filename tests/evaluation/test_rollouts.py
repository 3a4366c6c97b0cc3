"""Rollouts: the same episodes for any number of workers, resumable, counted by the rules."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from reach_world import SPACE, ReachWorld

from enactive.actions.decision import Cost
from enactive.episodes.compaction import compact
from enactive.episodes.dataset import Dataset
from enactive.episodes.journal import Journal
from enactive.evaluation.collect import CollectionFailed, collect
from enactive.evaluation.evaluate import evaluate
from enactive.evaluation.plan import (
    EpisodePlan,
    Overlap,
    Rules,
    check_unseen,
    evaluation_plan,
    join,
    plan_hash,
    swap_plan,
)
from enactive.evaluation.results import EpisodeResult, Evaluation, summarise
from enactive.evaluation.rollouts import rollout
from enactive.evaluation.sources import training_record
from enactive.observations import Task
from enactive.policies.expert import ExpertPolicy
from enactive.policies.policy import Policy, WiringError
from enactive.policies.random_policy import RandomPolicy
from enactive.worlds.pool import WorkerDied, WorldPool

CONFIG = ReachWorld.Config()
SPEC = CONFIG.build().spec
EXPERT = ExpertPolicy.Config(expert="reach_world:expert", privileged="truth", noise=0.4)


def expert() -> ExpertPolicy:
    return EXPERT.build(SPEC)


@pytest.fixture(scope="module")
def local() -> Iterator[WorldPool]:
    with WorldPool(CONFIG, 0) as pool:
        yield pool


def timeless(results: list[EpisodeResult]) -> list[EpisodeResult]:
    """The results without the milliseconds, which are a measurement."""
    return [replace(r, cost=replace(r.cost, milliseconds=0.0)) for r in results]


def recorded(path: Path) -> dict[str, object]:
    """Every bit of the journal's episodes."""
    with Journal.open(path) as journal:
        return {
            header.id: (
                header.to_dict(),
                (episode := journal.read(header.id)).actions.tobytes(),
                {name: rows.tobytes() for name, rows in episode.hashes.items()},
                episode.rewards.tobytes(),
                [chain.hash for chain in episode.chains.values()],
                episode.outcome,
            )
            for header in journal.finished()
        }


def mixed_plan() -> list[EpisodePlan]:
    return join(
        evaluation_plan(SPEC, ["left", "right"], 4),
        swap_plan(SPEC, [("left", "right")], 1, stop_on=("went_left", "went_right")),
    )


def test_results_do_not_depend_on_workers(tmp_path: Path, local: WorldPool) -> None:
    plan = mixed_plan()
    runs = {}
    for workers in (0, 1, 2):
        path = tmp_path / f"{workers}.sqlite"
        with WorldPool(CONFIG, workers) as pool, Journal.open(path) as journal:
            results = rollout(pool, expert(), plan, journal=journal)
        runs[workers] = (timeless(results), recorded(path))
    assert runs[0] == runs[1] == runs[2]
    assert [result.index for result in runs[0][0]] == list(range(len(plan)))
    assert len({result.steps for result in runs[0][0]}) > 1
    assert timeless(rollout(local, expert(), plan)) == runs[0][0]  # recording changes nothing


def test_an_interrupted_run_resumes_to_the_same_results(tmp_path: Path, local: WorldPool) -> None:
    plan = mixed_plan()
    whole = tmp_path / "whole.sqlite"
    with Journal.open(whole) as journal:
        expected = rollout(local, expert(), plan, journal=journal)

    class Stop(Exception):
        pass

    def stop_after_five(result: EpisodeResult) -> None:
        told.append(result)
        if len(told) == 5:
            raise Stop

    told: list[EpisodeResult] = []
    path = tmp_path / "cut.sqlite"
    with WorldPool(CONFIG, 2) as pool, Journal.open(path) as journal, pytest.raises(Stop):
        rollout(pool, expert(), plan, journal=journal, listener=stop_after_five)
    with Journal.open(path) as journal:
        assert len(journal.finished()) == 5 and journal.unfinished()
        heard: list[EpisodeResult] = []
        resumed = rollout(local, expert(), plan, journal=journal, listener=heard.append)
    assert timeless(resumed) == timeless(expected)
    assert {result.id for result in heard} == {result.id for result in expected}
    assert recorded(path) == recorded(whole)


def test_a_killed_worker_changes_nothing(tmp_path: Path, local: WorldPool) -> None:
    plan = mixed_plan()
    expected = tmp_path / "undisturbed.sqlite"
    with Journal.open(expected) as journal:
        undisturbed = rollout(local, expert(), plan, journal=journal)
    killed: list[str] = []
    path = tmp_path / "disturbed.sqlite"
    with WorldPool(CONFIG, 2) as pool, Journal.open(path) as journal:

        def kill(result: EpisodeResult) -> None:
            if len(killed) < 2:
                worker = next(p for p in multiprocessing.active_children() if p.name == "world-1")
                worker.kill()
                worker.join()
                killed.append(result.id)

        results = rollout(pool, expert(), plan, journal=journal, listener=kill)
    assert len(killed) == 2
    assert timeless(results) == timeless(undisturbed)
    assert recorded(path) == recorded(expected)


def test_an_episode_that_always_kills_its_worker_is_reported(local: WorldPool) -> None:
    plan = evaluation_plan(SPEC, ["left"], 2)
    config = ReachWorld.Config(deadly_seed=plan[1].seed)
    with WorldPool(config, 1) as pool, pytest.raises(WorkerDied, match=f"seed {plan[1].seed}"):
        rollout(pool, expert(), plan)


def test_a_journal_does_not_confuse_policies(tmp_path: Path, local: WorldPool) -> None:
    plan = evaluation_plan(SPEC, ["left"], 2)
    with Journal.open(tmp_path / "journal.sqlite") as journal:
        first = rollout(local, expert(), plan, journal=journal)
        second = rollout(local, RandomPolicy(SPACE), plan, journal=journal)
        assert len(journal.finished()) == 4
    assert {r.id for r in first}.isdisjoint(r.id for r in second)


def test_stop_on_success_and_hold(local: WorldPool) -> None:
    plan = evaluation_plan(SPEC, ["left"], 3)
    held = rollout(local, expert(), plan, rules=Rules(success_hold=4))
    at_once = rollout(local, expert(), plan, rules=Rules(success_hold=0))
    for long, short in zip(held, at_once, strict=True):
        assert short.success_step == short.steps == long.success_step == long.steps - 4
        assert short.success and not short.truncated
    to_the_end = rollout(local, expert(), plan, rules=Rules(stop_on_success=False))
    assert all(result.steps == 25 and result.truncated for result in to_the_end)
    limited = rollout(local, expert(), plan, rules=Rules(max_steps=2))
    assert all(r.steps == 2 and r.truncated and not r.success for r in limited)


def test_success_ever_and_at_the_end_differ(local: WorldPool) -> None:
    """A policy that reaches the side and comes back."""

    class ThereAndBack(RandomPolicy):
        def act(self, observations, memories):
            decisions = super().act(observations, memories)
            for decision, memory in zip(decisions, memories, strict=True):
                decision.action[:3] = (-0.1 if memory.step < 8 else 0.1, 0.0, 0.0)
            return decisions

    plan = evaluation_plan(SPEC, ["left"], 2)
    policy: Policy = ThereAndBack(SPACE)
    ever = rollout(local, policy, plan, rules=Rules(stop_on_success=False))
    end = rollout(local, policy, plan, rules=Rules(stop_on_success=False, success="end"))
    assert all(result.success for result in ever)
    assert not any(result.success for result in end)
    assert [r.success_step for r in ever] == [r.success_step for r in end]


def test_swapped_instructions_stop_at_the_event(local: WorldPool) -> None:
    stop_on = ("went_left", "went_right")
    results = rollout(local, expert(), swap_plan(SPEC, [("left", "right")], 2, stop_on=stop_on))
    crossed = [r for r in results if r.task != r.instructed]
    assert len(results) == 8 and len(crossed) == 4
    # The expert reads the scene's name and not the words, so it does what the scene wants.
    assert all(f"went_{r.task}" in r.events and r.steps < 25 for r in results)


def test_costs_are_summed(local: WorldPool) -> None:
    class Costly(RandomPolicy):
        def act(self, observations, memories):
            decisions = super().act(observations, memories)
            return [replace(d, cost=Cost(backbone_passes=1, head_passes=3)) for d in decisions]

    result = rollout(local, Costly(SPACE), evaluation_plan(SPEC, ["left"], 1))[0]
    assert result.cost.head_passes == 3 * result.steps == 3 * result.decisions


def test_refusals(local: WorldPool) -> None:
    plan = evaluation_plan(SPEC, ["left"], 1)
    with pytest.raises(ValueError, match="more than once"):
        rollout(local, expert(), [*plan, replace(plan[0], index=1)])
    with pytest.raises(KeyError, match="did you mean 'left'"):
        evaluation_plan(SPEC, ["lefty"], 1)
    with pytest.raises(KeyError, match="right"):
        rollout(local, expert(), [replace(plan[0], task=Task(name="rihgt", instruction="x"))])
    other = replace(SPACE, rate_hz=20.0)
    with pytest.raises(WiringError, match="rate"):
        rollout(local, RandomPolicy(other), plan)


# ---------------------------------------------------------------------------------- collect


def clumsy() -> ExpertPolicy:
    return replace(EXPERT, expert="reach_world:clumsy_expert", noise=0.1).build(SPEC)


def test_collection_replaces_failures_deterministically(tmp_path: Path) -> None:
    runs = []
    for workers in (0, 2):
        path = tmp_path / f"{workers}.sqlite"
        with WorldPool(CONFIG, workers) as pool, Journal.open(path) as journal:
            found = collect(pool, clumsy(), ["left", "right"], 5, journal)
        runs.append((timeless(list(found.kept)), timeless(list(found.dropped)), recorded(path)))
    assert runs[0] == runs[1]
    kept, dropped, _ = runs[0]
    assert [result.task for result in kept] == ["left"] * 5 + ["right"] * 5
    assert dropped and not any(result.success for result in dropped)
    for task in ("left", "right"):
        seeds = [r.seed for r in kept if r.task == task]
        failed = [r.seed for r in dropped if r.task == task]
        assert seeds == sorted(seeds)
        assert sorted(seeds + failed) == list(range(len(seeds + failed)))
    assert {r.instruction for r in kept if r.task == "left"} == {"go to the left", "move left"}


def test_collection_resumes_and_becomes_a_dataset(tmp_path: Path, local: WorldPool) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal.open(path) as journal:
        collect(local, clumsy(), ["left"], 2, journal)
        count = len(journal.finished())
        found = collect(local, clumsy(), ["left", "right"], 4, journal)
        again = collect(local, clumsy(), ["left", "right"], 4, journal)
        assert len(journal.finished()) > count
        assert again == found
        ids = [result.id for result in found.kept]
        dataset = compact(journal, tmp_path / "dataset", ids=ids, storage="image")
    assert [record.header.id for record in dataset.records] == ids
    assert dataset.column("action.expert").shape == dataset.column("action").shape
    assert (dataset.column("action.expert") != dataset.column("action")).any()


def test_collection_gives_up_on_a_hopeless_task(tmp_path: Path, local: WorldPool) -> None:
    with (
        Journal.open(tmp_path / "journal.sqlite") as journal,
        pytest.raises(CollectionFailed, match="left: 0 successes"),
    ):
        collect(local, RandomPolicy(SPACE), ["left"], 2, journal, attempts=3)


# ------------------------------------------------------------------------- plans, evaluation


def test_evaluation_refuses_what_was_trained_on(tmp_path: Path, local: WorldPool) -> None:
    with Journal.open(tmp_path / "journal.sqlite") as journal:
        collect(local, expert(), ["left"], 2, journal, first_seed=100)
        compact(journal, tmp_path / "dataset", storage="image")
    training = training_record([Dataset.open(tmp_path / "dataset")])
    assert training.seeds == {"left": frozenset({100, 101})}
    good = evaluation_plan(SPEC, ["left", "right"], 2)
    check_unseen(good, training)
    evaluate(local, expert(), good, training=training)
    with pytest.raises(Overlap, match=r"left: 1 seeds were trained on \(101\)"):
        evaluate(
            local, expert(), evaluation_plan(SPEC, ["left"], 2, first_seed=101), training=training
        )
    told = evaluation_plan(SPEC, ["left"], 2, wording="training")
    with pytest.raises(Overlap, match="move left"):
        check_unseen(told, training)
    check_unseen(told, training, held_out=False)
    # The same seed of another task is another initial state as far as the record can tell.
    check_unseen(evaluation_plan(SPEC, ["right"], 2, first_seed=100), training)


def test_evaluations_are_files(tmp_path: Path, local: WorldPool) -> None:
    evaluation = evaluate(local, expert(), mixed_plan(), provenance={"note": "test"})
    path = tmp_path / "evaluation.json"
    evaluation.save(path)
    assert Evaluation.load(path) == evaluation
    text = path.read_text()
    path.write_text(text.replace('"max_steps": 25', '"max_steps": 30', 1))
    with pytest.raises(ValueError, match="changed after the evaluation"):
        Evaluation.load(path)
    summary = summarise(evaluation.group())
    assert summary.overall.episodes == 8 and list(summary.tasks) == ["left", "right"]
    assert len(evaluation.group("swap")) == 4


def test_plan_hash_sees_every_field() -> None:
    plan = evaluation_plan(SPEC, ["left", "right"], 2)
    first = plan[0]
    for changed in (
        replace(first, seed=first.seed + 7),
        replace(first, repeat=1),
        replace(first, stop_on=("went_left",)),
        replace(first, task=replace(first.task, instruction="please")),
    ):
        assert plan_hash([changed, *plan[1:]]) != plan_hash(plan)
    assert plan_hash(evaluation_plan(SPEC, ["left", "right"], 2)) == plan_hash(plan)
