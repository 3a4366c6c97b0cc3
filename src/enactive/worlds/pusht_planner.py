"""PushT's expert: a planner that samples pushes, plays them in a simulator and takes the best.

PushT ships neither an expert nor demonstrations. This planner repeats: sample pushes along the T's
outline; play each in a simulator of its own that is set to the state; score it by how much nearer
the T's corners come to their mark (the logarithm of the error's reduction, because precision is won
by factors) in the time that the way to it and the push take; go there round the T; push.

The simulator has the world's bodies, walls and solver. Without its contact cache it is not
bit-equal to the world, which does not matter: it is set to the true state before every push.

What the planner does has two modes on purpose: an episode's seed decides whether the pusher goes
round the T with rising or with falling angle, besides its pace and small differences between
scores. The same state is therefore followed by different actions in different episodes, as in
people's demonstrations; :mod:`enactive.evaluation.multimodality` measures it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from enactive.seeding import numpy_generator
from enactive.worlds.pusht_geometry import (
    BOARD,
    GAP,
    GOAL,
    PUSHER_RADIUS,
    Array,
    Ways,
    contacts,
    pose_error,
    ring,
    to_block,
    to_board,
    way_points,
    ways,
)

GO_SPEED = 26.0
"""Fastest free movement, px per control step."""
PUSH_SPEED = 14.0
"""Fastest movement in contact, px per control step."""
ACCELERATION = 10.0
"""Change of speed, px per control step and step."""
LONGEST_PUSH = 150.0
"""px."""
DONE = 1.0
"""Error of the corners below which less is not better, px."""
LAG = 2.5
"""Control steps by which the pusher's controller (gains 100 and 20) lags behind its target, with
half a step because targets are held; actions lead by as much."""


@dataclass(frozen=True, slots=True)
class PlannerMemory:
    """What the planner knows of an episode besides the state."""

    seed: int
    turn: int
    """1 or -1: which way round the T."""
    pace: float
    """Share of the fastest speed that the episode goes at."""
    pushes: int = 0
    """Pushes planned so far: names the random stream of the next."""
    path: tuple[tuple[float, float], ...] = ()
    """Where the pusher shall be after each of the coming control steps, px."""
    waiting: int = 0
    """Steps spent at the path's end for the pusher to arrive."""


@dataclass(frozen=True, slots=True)
class PushTPlanner:
    """Expert of PushT; a pure function of the state and the memory that it hands on."""

    version: ClassVar[int] = 3
    """Rises when other actions are planned from the same state."""
    jitter: float = 0.1
    """Random part of a push's score: standard deviation of the logarithm. It breaks ties."""
    slowest: float = 0.8
    """Smallest pace of an episode; they are evenly distributed up to 1."""
    lookahead: int = 6
    """Best pushes whose best successors are looked at before one is taken; 0 takes the best."""

    def begin(self, task: str, seed: int) -> PlannerMemory:
        """The memory of an episode that begins; the seed decides the way round."""
        generator = numpy_generator(seed, "pusht_planner", "episode")
        turn = 1 if generator.random() < 0.5 else -1
        return PlannerMemory(seed=seed, turn=turn, pace=generator.uniform(self.slowest, 1.0))

    def act(
        self, truth: NDArray[np.float64], memory: PlannerMemory
    ) -> tuple[NDArray[np.float32], PlannerMemory]:
        """The next target of the pusher.

        Args:
            truth: ``float64 (5,)``, the world's privileged vector: pusher x, y, block x, y in px,
                block angle in rad.
            memory: what this episode's last call handed on.

        Returns:
            ``float32 (2,)`` px, and the next memory.
        """
        pusher = truth[:2]
        path, pushes, waiting = memory.path, memory.pushes, memory.waiting
        if len(path) == 1 and np.hypot(*(pusher - path[0])) > 1.0 and waiting < 4:
            waiting += 1
        elif len(path) > 1:
            path = path[1:]
        else:
            found = self.plan(truth, memory)
            path, pushes, waiting = tuple((x, y) for x, y in found.tolist()), pushes + 1, 0
        now = np.array(path[0])
        following = np.array(path[min(1, len(path) - 1)])
        target = now + (LAG - 1.0) * (following - now)
        handed_on = replace(memory, pushes=pushes, path=path, waiting=waiting)
        return np.clip(target, 0.0, BOARD).astype(np.float32), handed_on

    def plan(self, truth: NDArray[np.float64], memory: PlannerMemory) -> Array:
        """``(N, 2)``: where the pusher shall be after each control step until the push is over."""
        pusher, pose = truth[:2], truth[2:5]
        generator = numpy_generator(memory.seed, "pusht_planner", memory.pushes)
        simulator = _Simulator()
        pushes = _pushes(simulator, pose, np.arange(len(contacts().begin)))
        way, turn = _way_to_gain(pusher, pose, pushes, memory)
        travel = way.length
        noise = np.exp(self.jitter * generator.standard_normal(len(travel)))
        score = np.where(np.isfinite(travel), pushes.score(travel) * noise, -1.0)
        if score.max() <= 0:  # nothing within reach helps: any push may open another
            score = np.where(score < 0, score, noise)
        best = np.argsort(-score)[: max(1, min(self.lookahead, int((score > 0).sum())))]
        if self.lookahead > 1:
            values = [
                self._value(simulator, pushes, int(i), float(travel[i]), memory) for i in best
            ]
            choice = int(best[int(np.argmax(values))])
        else:
            choice = int(best[0])
        corners = to_board(way_points(to_block(pusher, pose), choice, way, turn), pose)
        begin = corners[-1]
        direction = to_board(contacts().direction[choice], pose) - pose[:2]
        end = begin + pushes.length[choice] * direction
        going = _timed(corners, memory.pace * GO_SPEED)
        speed = memory.pace * (PUSH_SPEED if pushes.length[choice] > 30 else PUSH_SPEED / 2)
        return np.clip(np.concatenate([going, _timed(np.stack([begin, end]), speed)]), 0.0, BOARD)

    def _value(
        self,
        simulator: _Simulator,
        pushes: _Pushes,
        first: int,
        travel: float,
        memory: PlannerMemory,
    ) -> float:
        """Reduction per time of a push and the best one after it."""
        pose, length = pushes.pose[first], pushes.length[first]
        gain, spent = pushes.gain(first), _duration(travel, length)
        if pushes.error[first] <= DONE * 2:
            return float(gain / spent)
        direction = to_board(contacts().direction[first], pushes.start) - pushes.start[:2]
        pusher = to_board(contacts().begin[first], pushes.start) + length * direction
        way = _ways(pusher, pose, memory.turn, strict=False)
        sparse = np.flatnonzero(np.isfinite(way.length))[::3]
        if not len(sparse):
            return float(gain / spent)
        following = _pushes(simulator, pose, sparse)
        then = _duration(way.length[sparse], following.length)
        return float(np.max((gain + following.gain()) / (spent + then)))


@dataclass(frozen=True, slots=True)
class _Pushes:
    """What came of playing N pushes from one pose, each ended where it was best."""

    start: Array  # (3,)
    before: float  # error before, px
    pose: Array  # (N, 3)
    error: Array  # (N,) px
    length: Array  # (N,) px

    def gain(self, index: Any = slice(None)) -> Any:
        """Logarithm of the error's reduction, ``(N,)``."""
        return np.log(self.before / np.maximum(self.error[index], DONE))

    def score(self, travel: Array) -> Array:
        """Gain per control step, ``(N,)``."""
        return np.maximum(self.gain(), 0.0) / _duration(travel, self.length)


def _duration(travel: Any, length: Any) -> Any:
    """Control steps that a way and a push take, about."""
    return travel / (0.85 * GO_SPEED) + length / (0.8 * PUSH_SPEED) + 6.0


def _way_to_gain(
    pusher: Array, pose: Array, pushes: _Pushes, memory: PlannerMemory
) -> tuple[Ways, int]:
    """Ways to all contacts and which way round they go: the episode's, if any push so helps.

    On the way to the first push every piece goes that way round: that is where demonstrations
    differ most. Later the pusher goes straight where it can. Walls may close one way round.
    """
    options = [(memory.turn, True)] if memory.pushes == 0 else []
    options += [(memory.turn, False), (-memory.turn, False)]
    found = [_ways(pusher, pose, *option) for option in options]
    for way, (turn, _) in zip(found, options, strict=True):
        if pushes.score(way.length).max() > 0:
            return way, turn
    reach = [int(np.isfinite(way.length).sum()) for way in found]
    most = int(np.argmax(reach))
    return found[most], options[most][0]


def _ways(pusher: Array, pose: Array, turn: int, strict: bool) -> Ways:
    """The ways to all contacts that stay on the board."""
    board, start = to_board(ring(), pose), to_block(pusher, pose)
    inside = np.all((board >= 4.0) & (board <= BOARD - 4.0), 1)
    begins = to_board(contacts().begin, pose)
    reachable = np.all((begins >= 8.0) & (begins <= BOARD - 8.0), 1)
    found = ways(start, inside, turn, strict=strict)
    return replace(found, length=np.where(reachable, found.length, np.inf))


def _pushes(simulator: _Simulator, pose: Array, chosen: NDArray[np.int64]) -> _Pushes:
    """Play the chosen contacts' pushes from ``pose``."""
    goal, places = np.array(GOAL), contacts()
    begins = to_board(places.begin[chosen], pose)
    directions = to_board(places.direction[chosen], pose) - pose[:2]
    before = float(pose_error(pose, goal))
    poses, errors, lengths = [], [], []
    for begin, direction in zip(begins, directions, strict=True):
        trace = simulator.push(pose, begin, direction, before)
        error = pose_error(trace, goal)
        last = int(error.argmin())
        poses.append(trace[last])
        errors.append(error[last])
        lengths.append((last + 1) * _Simulator.STRIDE)
    return _Pushes(
        start=pose, before=before, pose=np.array(poses), error=np.array(errors),
        length=np.array(lengths, float),
    )  # fmt: skip


def _timed(corners: Array, speed: float) -> Array:
    """A polyline walked from rest to rest: ``(N, 2)`` positions after each control step."""
    pieces = np.linalg.norm(np.diff(corners, axis=0), axis=1)
    lengths = np.concatenate([[0.0], np.cumsum(pieces)])
    total, done, pace, marks = float(lengths[-1]), 0.0, 0.0, []
    while total - done > 1e-6:
        left = total - done
        braking = np.sqrt(2 * ACCELERATION * left) - ACCELERATION / 2
        pace = max(min(pace + ACCELERATION, speed, braking), 2.0)
        done = min(done + pace, total)
        marks.append(done)
    if not marks:
        return corners[-1:]
    return np.stack([np.interp(marks, lengths, corners[:, axis]) for axis in (0, 1)], 1)


class _Simulator:
    """The world's physics for trying pushes; made anew for every plan, so plans are repeatable."""

    STRIDE = 2.0
    """px that the pusher moves in one step of 10 ms."""

    def __init__(self) -> None:
        import pymunk
        from gym_pusht.envs.pusht import PushTEnv

        self.space = pymunk.Space()
        self.space.damping = 0.0
        corners = ((5, 506), (5, 5), (506, 5), (506, 506), (5, 506))
        for a, b in pairwise(corners):
            self.space.add(pymunk.Segment(self.space.static_body, a, b, 2))
        self.pusher = PushTEnv.add_circle(self.space, (256, 400), PUSHER_RADIUS)
        self.block, _ = PushTEnv.add_tee(self.space, (256, 300), 0)

    def push(self, pose: Array, begin: Array, direction: Array, error: float) -> Array:
        """``(S, 3)``: the block's poses while the pusher goes straight from ``begin``."""
        space, block, pusher = self.space, self.block, self.pusher
        # A step with the two apart, so that no contact of the last push is remembered.
        pusher.position, pusher.velocity = (-900.0, -900.0), (0.0, 0.0)
        block.position, block.angle = (256.0, 256.0), 0.0
        block.velocity, block.angular_velocity = (0.0, 0.0), 0.0
        space.reindex_shapes_for_body(block)
        space.step(0.01)
        block.angle = float(pose[2])
        block.position = (float(pose[0]), float(pose[1]))
        pusher.position = (float(begin[0]), float(begin[1]))
        speed = self.STRIDE / 0.01
        pusher.velocity = (float(direction[0]) * speed, float(direction[1]) * speed)
        space.reindex_shapes_for_body(block)
        space.reindex_shapes_for_body(pusher)
        trace: list[tuple[float, float, float]] = []
        for _ in range(int(min(LONGEST_PUSH, 1.5 * error + 2 * GAP + 4.0) / self.STRIDE)):
            space.step(0.01)
            x, y = block.position
            trace.append((x, y, block.angle))
        return np.array(trace)
