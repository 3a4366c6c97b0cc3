"""The way through a map of ViZDoom: a grid of the floor, and how far each cell is from a place."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

CELL = 8.0
"""Side of a cell, map units."""
RADIUS = 17.0
"""Distance from walls that the middle of the player keeps: its radius is 16."""
ROOM = 32.0
"""Distance from walls beyond which more is no better."""


@dataclass(frozen=True, slots=True)
class Maze:
    """How far it is to a place, from every cell of a map."""

    corner: NDArray[np.float64]
    """``(2,)``: the least x and y of the map."""
    far: NDArray[np.float64]
    """``(X, Y)``: length of the way, longer where it is narrow; infinite where there is none."""
    free: NDArray[np.bool_]
    """``(X, Y)``: whether the player's middle can be there."""
    next: NDArray[np.int64]
    """``(X * Y,)``: the cell after each cell on its way, negative at the end of it."""

    def ahead(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        """The farthest point ``(2,)`` of the way from ``at`` ``(2,)`` that is straight ahead of it,
        nothing being in between."""
        x, y = self._nearest(at)
        cell, best = int(np.ravel_multi_index((x, y), self.free.shape)), self._point(x, y)
        while cell >= 0:
            point = self._point(*np.unravel_index(cell, self.free.shape))
            if not self._clear(at, point):
                break
            best, cell = point, int(self.next[cell])
        return best

    def _nearest(self, at: NDArray[np.float64]) -> tuple[int, int]:
        """The cell of ``at`` or, if it is none of the way's, the nearest that is."""
        reached = np.argwhere(np.isfinite(self.far))  # (N, 2)
        away = np.linalg.norm(reached * CELL + self.corner - at, axis=-1)
        x, y = reached[int(np.argmin(away))].tolist()
        return x, y

    def _point(self, x: np.integer | int, y: np.integer | int) -> NDArray[np.float64]:
        return self.corner + CELL * np.array([x, y], np.float64)

    def _clear(self, start: NDArray[np.float64], end: NDArray[np.float64]) -> bool:
        """Whether the straight way is free, but for its first player's radius: who touches a wall
        may leave it."""
        length = float(np.linalg.norm(end - start))
        along = np.arange(RADIUS, length, CELL / 2)[:, None] / max(length, CELL)  # (N, 1)
        cells = np.rint((start + along * (end - start) - self.corner) / CELL).astype(int)
        return bool(self.free[tuple(cells.T)].all())


@lru_cache(maxsize=8)
def maze(walls: bytes, goal: tuple[float, float]) -> Maze:
    """The ways to ``goal`` between walls, which are ``float64 (N, 4)`` as bytes: x1, y1, x2, y2."""
    ends = np.frombuffer(walls, np.float64).reshape(-1, 2, 2)
    corner = ends.min((0, 1))
    shape = tuple((np.ceil((ends.max((0, 1)) - corner) / CELL).astype(int) + 1).tolist())
    open_floor = np.ones(shape, np.bool_)
    for start, end in ends:
        count = int(np.ceil(np.linalg.norm(end - start) / (CELL / 2))) + 1
        cells = np.rint((np.linspace(start, end, count) - corner) / CELL).astype(int)
        open_floor[tuple(cells.T)] = False
    # Cells to the nearest wall, in map units.
    gap = np.asarray(distance_transform_edt(open_floor), np.float64) * CELL
    free = gap >= RADIUS
    price = 1 + np.clip(ROOM - gap, 0, None) / CELL  # of a cell's length
    number = np.arange(free.size).reshape(shape)
    rows: list[NDArray[np.int64]] = []
    columns: list[NDArray[np.int64]] = []
    lengths: list[NDArray[np.float64]] = []
    for dx, dy in ((1, 0), (0, 1), (1, 1), (1, -1)):
        here = np.s_[: shape[0] - dx, max(-dy, 0) : shape[1] - max(dy, 0)]
        there = np.s_[dx:, max(dy, 0) : shape[1] + min(dy, 0)]
        both = free[here] & free[there]
        rows.append(number[here][both])
        columns.append(number[there][both])
        lengths.append(np.hypot(dx, dy) * CELL * (price[here][both] + price[there][both]) / 2)
    graph = coo_array(
        (np.concatenate(lengths), (np.concatenate(rows), np.concatenate(columns))),
        shape=(free.size, free.size),
    ).tocsr()
    at = np.argwhere(free)
    nearest = at[int(np.argmin(np.linalg.norm(at * CELL + corner - goal, axis=-1)))]
    far, following = dijkstra(
        graph,
        directed=False,
        indices=[int(np.ravel_multi_index(tuple(nearest), shape))],
        return_predecessors=True,
    )
    return Maze(corner, far[0].reshape(shape), free, following[0].astype(np.int64))
