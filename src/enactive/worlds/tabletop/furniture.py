"""A cabinet with a drawer on its left and a door on its right."""

from __future__ import annotations

from typing import Any

from enactive.worlds.tabletop.scene import Scene
from enactive.worlds.tabletop.vocabulary import COLOURS

DRAWER_TRAVEL = 0.14
"""How far the drawer comes out, m."""
DOOR_SWING = 1.3
"""How far the door opens, rad."""
TRAVEL = {"drawer": DRAWER_TRAVEL, "door": DOOR_SWING}

DRAWER_AT = -0.10
"""x of the drawer's middle, from the cabinet's middle, m."""
HINGE_AT = 0.19
"""x of the door's hinge."""
DOOR_WIDTH = 0.17
HANDLE_OUT = 0.045
"""How far a handle is in front of what it opens, m."""
HANDLE_HEIGHT = 0.075
"""Height of the drawer's handle, m."""
DOOR_HANDLE_HEIGHT = 0.10
"""Upper end of the door's upright handle, m; it is held just below."""
HANDLE_HALF = 0.006
"""Half thickness of a handle, m."""

_HEIGHT = 0.13
_DEPTH = 0.16


def attach_furniture(mujoco: Any, world: Any, scene: Scene) -> None:
    """Add cabinet, drawer and door; joints are called ``drawer`` and ``door``."""
    x, y = scene.cabinet
    box = mujoco.mjtGeom.mjGEOM_BOX
    friction = [0.4 * scene.dynamics.friction, 0.005, 0.0001]
    fixed = {
        "rgba": [*COLOURS["grey"], 1.0], "contype": 0, "conaffinity": 3, "friction": friction
    }  # fmt: skip
    # Of what moves, bit 4 says that it does not collide with the cabinet, nor drawer with door.
    moving = {
        "rgba": [*COLOURS["brown"], 1.0], "contype": 4, "conaffinity": 3, "friction": friction,
        "density": 500.0,
    }  # fmt: skip
    handle = {**moving, "rgba": [*COLOURS["black"], 1.0], "condim": 4}
    cabinet = world.add_body(name="cabinet", pos=[x, y, 0.0])
    middle, height = _DEPTH / 2, _HEIGHT / 2
    for side in (-0.205, 0.0, 0.205):
        cabinet.add_geom(
            type=box, size=[0.008, middle, height], pos=[side, middle + 0.02, height], **fixed
        )
    cabinet.add_geom(type=box, size=[0.213, 0.006, height], pos=[0, _DEPTH + 0.02, height], **fixed)
    cabinet.add_geom(
        type=box, size=[0.213, middle, 0.006], pos=[0, middle + 0.02, _HEIGHT + 0.006], **fixed
    )

    drawer = cabinet.add_body(name="drawer", pos=[DRAWER_AT, 0.0, 0.0])
    drawer.add_joint(
        name="drawer", type=mujoco.mjtJoint.mjJNT_SLIDE, axis=[0, -1, 0], limited=True,
        range=[0.0, DRAWER_TRAVEL], damping=6.0, frictionloss=0.3,
    )  # fmt: skip
    drawer.add_geom(type=box, size=[0.088, 0.006, 0.052], pos=[0, 0.006, 0.058], **moving)
    for side in (-1.0, 1.0):
        drawer.add_geom(
            type=box, size=[0.004, 0.07, 0.035], pos=[side * 0.08, 0.08, 0.045], **moving
        )
    drawer.add_geom(type=box, size=[0.08, 0.07, 0.004], pos=[0, 0.08, 0.012], **moving)
    drawer.add_geom(type=box, size=[0.08, 0.004, 0.035], pos=[0, 0.15, 0.045], **moving)
    drawer.add_geom(
        name="drawer", type=box, size=[0.035, HANDLE_HALF, HANDLE_HALF],
        pos=[0, -HANDLE_OUT, HANDLE_HEIGHT], **handle,
    )  # fmt: skip
    for side in (-1.0, 1.0):
        drawer.add_geom(
            type=box, size=[0.005, HANDLE_OUT / 2, 0.005],
            pos=[side * 0.04, -HANDLE_OUT / 2, HANDLE_HEIGHT], **handle,
        )  # fmt: skip

    door = cabinet.add_body(name="door", pos=[HINGE_AT, 0.0, 0.0])
    door.add_joint(
        name="door", type=mujoco.mjtJoint.mjJNT_HINGE, axis=[0, 0, 1], limited=True,
        range=[0.0, DOOR_SWING], damping=0.15, frictionloss=0.02,
    )  # fmt: skip
    door.add_geom(
        type=box, size=[DOOR_WIDTH / 2, 0.006, 0.058], pos=[-DOOR_WIDTH / 2, 0.006, 0.064], **moving
    )
    reach = DOOR_WIDTH - 0.025
    door.add_geom(
        name="door", type=mujoco.mjtGeom.mjGEOM_CYLINDER, size=[HANDLE_HALF, 0.035, 0],
        pos=[-reach, -HANDLE_OUT, DOOR_HANDLE_HEIGHT - 0.035], **handle,
    )  # fmt: skip
    for height in (0.035, 0.06):
        door.add_geom(
            type=box, size=[0.004, HANDLE_OUT / 2, 0.004], pos=[-reach, -HANDLE_OUT / 2, height],
            **handle,
        )  # fmt: skip
    _mark_handles(drawer, door, reach)


def _mark_handles(drawer: Any, door: Any, reach: float) -> None:
    """Sites where the handles are to be held."""
    drawer.add_site(name="drawer", pos=[0, -HANDLE_OUT, HANDLE_HEIGHT], group=4)
    door.add_site(name="door", pos=[-reach, -HANDLE_OUT, DOOR_HANDLE_HEIGHT - 0.02], group=4)
