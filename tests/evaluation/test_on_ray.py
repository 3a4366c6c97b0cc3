"""Episodes on a Ray cluster: the tables of one process, also when a worker is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from dying_policy import dies, noisy_expert
from reach_world import ReachWorld
from test_rollouts import mixed_plan, recorded, timeless

from enactive.cli import main
from enactive.episodes.journal import Journal, JournalError
from enactive.evaluation import cluster
from enactive.evaluation.on_ray import on_ray
from enactive.evaluation.results import EpisodeResult
from enactive.evaluation.rollouts import rollout
from enactive.policies.random_policy import RandomPolicy
from enactive.worlds.pool import WorkerDied, WorldPool
from enactive.worlds.world import WorldSpec

pytest.importorskip("ray", reason="needs the extra ray")

CONFIG = ReachWorld.Config()


@pytest.fixture(scope="module", autouse=True)
def _cluster() -> Iterator[None]:
    with cluster.connected(cores=2):
        yield


@pytest.fixture(scope="module")
def pool() -> Iterator[WorldPool]:
    with WorldPool(CONFIG, 0) as pool:
        yield pool


def test_the_table_and_the_record_of_one_process_although_a_worker_is_lost(
    pool: WorldPool, tmp_path: Path
) -> None:
    plan, policy, told = mixed_plan(), noisy_expert(pool.spec), list[EpisodeResult]()
    here, there = tmp_path / "here.sqlite", tmp_path / "there.sqlite"
    with Journal.open(here) as journal:
        expected = rollout(pool, policy, plan, journal=journal, provenance={"a": 1})
    with Journal.open(there) as journal:
        found = rollout(
            pool, policy, plan, journal=journal, provenance={"a": 1}, listener=told.append,
            execute=on_ray(partial(dies, tmp_path / "mark", 1), 2),
        )  # fmt: skip
        assert not journal.unfinished()
    assert (tmp_path / "mark.0").is_file()  # a process was killed
    assert timeless(found) == timeless(expected)
    assert recorded(there) == recorded(here)
    assert sorted(r.id for r in told) == sorted(r.id for r in expected)  # each counted once


def test_an_interrupted_run_goes_on_from_its_journal(pool: WorldPool, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop_after_four(result: EpisodeResult) -> None:
        told.append(result.id)
        if len(told) == 4:
            raise Stop

    plan, policy, told = mixed_plan(), noisy_expert(pool.spec), list[str]()
    execute = on_ray(noisy_expert, 1)
    with Journal.open(tmp_path / "cut.sqlite") as journal:
        with pytest.raises(Stop):
            rollout(pool, policy, plan, journal=journal, listener=stop_after_four, execute=execute)
        assert sorted(told) == sorted(header.id for header in journal.finished())
        found = rollout(pool, policy, plan, journal=journal, execute=execute)
    assert timeless(found) == timeless(rollout(pool, policy, plan))


def test_an_episode_that_kills_twice_is_named(pool: WorldPool, tmp_path: Path) -> None:
    plan, policy = mixed_plan()[:1], noisy_expert(pool.spec)
    with pytest.raises(WorkerDied, match="main/left"):
        rollout(pool, policy, plan, execute=on_ray(partial(dies, tmp_path / "mark", 2), 1))


def no_policy(spec: WorldSpec) -> RandomPolicy:
    raise ValueError(f"nothing acts in {spec.name}")


def test_what_a_worker_raises_is_raised_here(pool: WorldPool) -> None:
    with pytest.raises(ValueError, match="nothing acts in reach"):
        rollout(pool, noisy_expert(pool.spec), mixed_plan()[:1], execute=on_ray(no_policy, 1))
    with pytest.raises(ValueError, match="at least 1"):
        on_ray(noisy_expert, 0)


def test_a_journal_takes_an_exported_episode_once(pool: WorldPool, tmp_path: Path) -> None:
    with (
        Journal.open(tmp_path / "from.sqlite") as source,
        Journal.open(tmp_path / "to.sqlite") as target,
    ):
        [result] = rollout(pool, noisy_expert(pool.spec), mixed_plan()[:1], journal=source)
        exported = source.export(result.id)
        target.insert(exported)
        with pytest.raises(JournalError, match="finished already"):
            target.insert(exported)
    assert recorded(tmp_path / "to.sqlite") == recorded(tmp_path / "from.sqlite")


def episodes(out: Path) -> list[Any]:
    """The episode table, without the milliseconds, which are a measurement."""
    table = json.loads((out / "evaluation.json").read_text())["episodes"]
    for row in table:
        row["cost"].pop("milliseconds")
    return table


def test_one_process_two_processes_and_two_ray_workers(tmp_path: Path) -> None:
    words = (
        "evaluate expert --world tabletop --tasks pick-red-cube open-drawer --episodes 2 "
        "--probe camera-1 distractor-1+light-1"
    )
    ways = {"one": ["0"], "two": ["2"], "ray": ["2", "--ray"]}
    for name, workers in ways.items():
        assert main([*words.split(), "--workers", *workers, "--out", str(tmp_path / name)]) == 0
    tables = [episodes(tmp_path / name) for name in ways]
    assert tables[0] == tables[1] == tables[2]
    assert len(tables[0]) == 12
