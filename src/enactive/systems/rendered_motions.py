"""Clips of one object that moves over the tabletop's table: motions, and contexts to tell apart.

A clip is a coarse motion (what is to be recognised) in a context of three factors: which object,
on which table, and in which variant the motion is carried out. The scene is the tabletop's own, its
objects, surfaces, camera and renderer; the object is put where the motion says, without physics
and without the arm, so that the motion alone is the same in every context.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from enactive.evaluation.context_splits import Cell
from enactive.seeding import numpy_generator
from enactive.worlds.mujoco_rendering import Quality
from enactive.worlds.tabletop.arms import ARMS
from enactive.worlds.tabletop.drawing import Drawing
from enactive.worlds.tabletop.engine import Engine
from enactive.worlds.tabletop.scene import Scene, Thing, make_scene
from enactive.worlds.tabletop.setting import Surfaces
from enactive.worlds.tabletop.tasks import TASKS
from enactive.worlds.tabletop.vocabulary import Look

MOTIONS = ("left", "right", "away", "towards", "clockwise", "anticlockwise")
"""Every one has an opposite that passes through the same places: no single picture tells them
apart."""

OBJECTS: Mapping[str, Look] = {
    "red cube": Look(colour="red", shape="cube", size="huge"),
    "blue ball": Look(colour="blue", shape="ball", size="huge"),
    "yellow brick": Look(colour="yellow", shape="brick", size="huge"),
    "purple cylinder": Look(colour="purple", shape="cylinder", size="huge"),
}
TABLES: Mapping[str, Surfaces] = {
    "wood": Surfaces(),
    "slate": Surfaces(table=(0.30, 0.33, 0.30), floor=(0.60, 0.50, 0.42)),
    "checkered": Surfaces(
        table=(0.85, 0.80, 0.70), table_pattern=(0.25, 0.30, 0.20),
        floor=(0.20, 0.20, 0.22), floor_pattern=(0.50, 0.50, 0.52),
    ),
    "squared": Surfaces(
        table=(0.65, 0.80, 0.90), table_pattern=(0.40, 0.20, 0.20),
        floor=(0.55, 0.60, 0.55), floor_pattern=(0.30, 0.20, 0.30),
    ),
}  # fmt: skip
VARIANTS = ("steady", "hesitating", "swinging", "hopping")

TRAVEL = 0.20
"""How far a straight motion goes, m."""
RADIUS = 0.08
"""Of an orbit, m; a clip shows three quarters of it."""
FIELD_OF_VIEW = 26.0
"""Of the camera, degrees: about half a metre of the table."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """One clip to be drawn."""

    motion: str
    thing: str
    table: str
    variant: str
    number: int
    """Of the clips of its motion and context."""

    @property
    def context(self) -> tuple[str, str, str]:
        """Object, table and variant."""
        return (self.thing, self.table, self.variant)

    @property
    def cell(self) -> Cell:
        """Its place in the grid."""
        return Cell(motion=self.motion, context=self.context)


def clips(
    numbers: Sequence[int],
    tables: Sequence[str] = tuple(TABLES),
    variants: Sequence[str] = VARIANTS,
) -> list[Clip]:
    """Every motion in every context, once for each of ``numbers``: a balanced grid."""
    return [
        Clip(motion=motion, thing=thing, table=table, variant=variant, number=number)
        for thing in OBJECTS
        for table in tables
        for variant in variants
        for motion in MOTIONS
        for number in numbers
    ]


def path(clip: Clip, frames: int, seed: int) -> NDArray[np.float64]:
    """Centre of the object in each frame relative to the table, ``float64 (T, 3)`` m.

    Where it starts and how far it goes is drawn anew for each clip, alike in every context; the
    variant shapes it.
    """
    draw = numpy_generator(seed, "rendered motions", clip.motion, *clip.context, clip.number)
    time = np.linspace(0.0, 1.0, frames)
    if clip.variant == "hesitating":
        time = time + np.sin(4 * math.pi * time) / (4 * math.pi)  # stops a quarter from either end
    scale = draw.uniform(0.8, 1.2)
    middle = np.array([draw.uniform(-0.06, 0.06), draw.uniform(-0.06, 0.06), 0.0])
    along = np.zeros((frames, 3))
    straight = {"right": (0, 1.0), "left": (0, -1.0), "away": (1, 1.0), "towards": (1, -1.0)}
    across = 0
    if clip.motion in straight:
        axis, sign = straight[clip.motion]
        along[:, axis] = sign * scale * TRAVEL * (time - 0.5)
        across = 1 - axis
    else:
        sign = 1.0 if clip.motion == "anticlockwise" else -1.0
        angle = draw.uniform(0, 2 * math.pi) + sign * 1.5 * math.pi * time
        along[:, 0] = scale * RADIUS * np.cos(angle)
        along[:, 1] = scale * RADIUS * np.sin(angle)
    if clip.variant == "swinging":
        along[:, across] += 0.02 * np.sin(4 * math.pi * time)
    elif clip.variant == "hopping":
        along[:, 2] += 0.02 * np.abs(np.sin(3 * math.pi * time))
    return middle + along


def draw_clips(wanted: Sequence[Clip], *, frames: int, size: int, seed: int) -> NDArray[np.uint8]:
    """The clips as pictures of the camera ``front``, ``uint8 (N, T, S, S, 3)``."""
    pictures = np.zeros((len(wanted), frames, size, size, 3), np.uint8)
    drawing = Drawing(("front",), size, Quality())
    engine: Engine | None = None
    shown: tuple[str, str] | None = None
    order = sorted(range(len(wanted)), key=lambda i: (wanted[i].thing, wanted[i].table))
    for index in order:
        clip = wanted[index]
        if engine is None or shown != (clip.thing, clip.table):
            shown = (clip.thing, clip.table)
            engine = Engine(_scene(OBJECTS[clip.thing], TABLES[clip.table]), ARMS["gantry"])
            engine.model.camera("front").fovy[:] = FIELD_OF_VIEW
            drawing.open(engine)
        for frame, place in enumerate(path(clip, frames, seed)):
            _put(engine, place)
            pictures[index, frame] = drawing.static(engine, "front")
    drawing.close()
    return pictures


def _scene(look: Look, table: Surfaces) -> Scene:
    """A table with one object and nothing else."""
    bare = make_scene(TASKS["pick-red-cube"], (), 0)
    thing = Thing(role="named", look=look, slot=0, position=(0.0, 0.0, look.half[2]), yaw=0.3)
    return replace(bare, things=(thing,), surfaces=table)


def _put(engine: Engine, place: NDArray[np.float64]) -> None:
    import mujoco

    joint = engine.model.joint("thing-named")
    start = int(joint.qposadr[0])
    engine.data.qpos[start : start + 3] = place
    engine.data.qpos[start + 2] += engine.scene.named.look.half[2]
    mujoco.mj_kinematics(engine.model, engine.data)
