"""The pool: same results for any number of workers, and what happens when one dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from enactive.observations import Observation, Task
from enactive.worlds.gymnasium_world import GymnasiumWorld
from enactive.worlds.pool import WorkerDied, WorldPool
from enactive.worlds.pusht import PushT
from enactive.worlds.world import Snapshot, Step

CONFIG = PushT.Config(image_size=32)
TASK = Task(name="push-t", instruction="push it")


@pytest.fixture(scope="module")
def pair() -> Iterator[WorldPool]:
    with WorldPool(CONFIG, workers=2) as pool:
        yield pool


def digest(answers: list[Observation | Step]) -> list[bytes]:
    seen = [a if isinstance(a, Observation) else a.observation for a in answers]
    rewards = [a.reward for a in answers if isinstance(a, Step)]
    return [
        *(o.images["top"].tobytes() + o.state["proprio"].tobytes() for o in seen),
        np.array(rewards).tobytes(),
    ]


def episodes(pool: WorldPool, count: int, steps: int = 6) -> dict[int, list[bytes]]:
    """``count`` episodes with actions of their own, each lane taking the next when it is done."""
    waiting, live = list(range(count)), {}
    answers: dict[int, list[Observation | Step]] = {}

    def start(worker: int) -> None:
        if waiting:
            live[worker] = waiting.pop(0)
            answers[live[worker]] = []
            pool.reset(worker, TASK, live[worker])

    for worker in range(pool.lanes):
        start(worker)
    while live:
        for worker, answer in pool.wait():
            assert not isinstance(answer, Snapshot)
            episode = live[worker]
            answers[episode].append(answer)
            if len(answers[episode]) > steps:
                del live[worker]
                start(worker)
            else:
                generator = np.random.default_rng([episode, len(answers[episode])])
                pool.step(worker, generator.uniform(0, 512, 2).astype(np.float32))
    return {episode: digest(given) for episode, given in answers.items()}


def test_results_do_not_depend_on_the_number_of_workers(pair: WorldPool) -> None:
    with WorldPool(CONFIG, workers=0) as alone:
        assert (alone.lanes, pair.lanes) == (1, 2)
        assert alone.spec == pair.spec
        expected = episodes(alone, 5)
    assert episodes(pair, 5) == expected
    assert len({b"".join(given) for given in expected.values()}) == 5


def test_gather_answers_in_the_order_asked(pair: WorldPool) -> None:
    for worker in (0, 1):
        pair.reset(worker, TASK, worker)
    second, first = pair.gather([1, 0])
    for worker in (0, 1):
        pair.reset(worker, TASK, worker)
    again = pair.gather()
    assert digest([first, second]) == digest(again)
    assert digest([first]) != digest([second])


def test_answers_are_copies(pair: WorldPool) -> None:
    pair.reset(0, TASK, 1)
    (first,) = pair.gather()
    assert isinstance(first, Observation)
    kept = first.images["top"].copy()
    for _ in range(3):
        pair.step(0, np.array([500.0, 500.0]))
        pair.gather()
    assert np.array_equal(first.images["top"], kept)


def test_snapshots_move_between_workers(pair: WorldPool) -> None:
    pair.reset(0, TASK, 3)
    pair.gather()
    pair.step(0, np.array([100.0, 400.0]))
    pair.gather()
    pair.snapshot(0)
    (snapshot,) = pair.gather()
    assert isinstance(snapshot, Snapshot)
    pair.restore(1, snapshot)
    pair.gather()
    for worker in (0, 1):
        pair.step(worker, np.array([300.0, 300.0]))
    first, second = pair.gather()
    assert digest([first]) == digest([second])


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_the_world_is_raised_when_collected(workers: int) -> None:
    with WorldPool(CONFIG, workers=workers) as pool:
        pool.reset(0, TASK, 0)
        pool.gather()
        pool.step(0, np.array([np.nan, 0]))
        with pytest.raises(ValueError, match="outside"):
            pool.wait()
        pool.reset(0, Task(name="pull-t", instruction=""), 0)
        with pytest.raises(KeyError, match="push-t"):
            pool.gather()
        pool.reset(0, TASK, 0)  # the lane is usable again
        assert isinstance(pool.gather()[0], Observation)


def test_a_world_that_cannot_be_built_says_why() -> None:
    with pytest.raises(ValueError, match="no key 'pixel'"):
        WorldPool(GymnasiumWorld.Config(cameras={"top": "pixel"}), workers=1)


@pytest.mark.parametrize("workers", [0, 1])
def test_one_command_at_a_time(workers: int) -> None:
    with WorldPool(CONFIG, workers=workers) as pool:
        with pytest.raises(RuntimeError, match="no command"):
            pool.gather([0])
        assert pool.wait() == []
        pool.reset(0, TASK, 0)
        with pytest.raises(RuntimeError, match="already"):
            pool.step(0, np.zeros(2))
        pool.gather()
        with pytest.raises(IndexError):
            pool.reset(max(workers, 1), TASK, 0)
    with pytest.raises(RuntimeError, match="closed"):
        pool.reset(0, TASK, 0)
    pool.close()


def test_wrong_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="workers"):
        WorldPool(CONFIG, workers=-1)
    with pytest.raises(ValueError, match="threads"):
        WorldPool(CONFIG, workers=0, threads=0)


def test_a_dead_worker_is_named_and_replaced() -> None:
    with WorldPool(CONFIG, workers=2) as pool:
        for worker in (0, 1):
            pool.reset(worker, TASK, 40 + worker)
        pool.gather()
        expected = episodes(pool, 2)
        victim = pool._lanes[1]
        os.kill(victim._process.pid, signal.SIGKILL)  # type: ignore[union-attr]
        victim._process.join()  # type: ignore[union-attr]
        pool.reset(0, TASK, 5)
        assert isinstance(pool.gather([0])[0], Observation)  # the other goes on
        with pytest.raises(WorkerDied, match=r"worker 1 .*-9") as caught:
            pool.step(1, np.zeros(2))
            pool.gather([1])
        assert caught.value.worker == 1
        assert caught.value.exit_code == -9
        assert "push-t, seed" in caught.value.episode
        assert episodes(pool, 2) == expected


def test_a_worker_killed_in_the_middle_of_a_step_is_noticed() -> None:
    with WorldPool(CONFIG, workers=1) as pool:
        pool.reset(0, TASK, 1)
        pool.gather()
        victim = pool._lanes[0]._process  # type: ignore[union-attr]
        os.kill(victim.pid, signal.SIGSTOP)
        pool.step(0, np.zeros(2))
        assert pool.wait(timeout=0.05) == []
        os.kill(victim.pid, signal.SIGKILL)
        with pytest.raises(WorkerDied):
            pool.wait()


SCRIPT = """
    import signal, sys, time
    # A job that a shell put into the background inherits that SIGINT is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from enactive.observations import Task
    from enactive.worlds.pool import WorldPool
    from enactive.worlds.pusht import PushT

    if __name__ == "__main__":
        with WorldPool(PushT.Config(image_size=32), workers=2) as pool:
            for worker in (0, 1):
                pool.reset(worker, Task(name="push-t", instruction=""), 0)
            pool.gather()
            print(*[lane._process.pid for lane in pool._lanes], flush=True)
            time.sleep(60)
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_its_parent(tmp_path: Path, how: signal.Signals) -> None:
    script = tmp_path / "run.py"
    script.write_text(textwrap.dedent(SCRIPT))
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    ) as parent:  # fmt: skip
        assert parent.stdout is not None
        assert parent.stderr is not None
        workers = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(workers) == 2
        # Ctrl-C in a terminal reaches the whole group.
        (os.killpg if how == signal.SIGINT else os.kill)(parent.pid, how)
        errors = parent.stderr.read()
        parent.wait()
    deadline = time.monotonic() + 10
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, workers))
    if how == signal.SIGINT:
        assert errors.count("KeyboardInterrupt") == 1  # the parent's own, and no worker's
        assert "leaked" not in errors
