"""A scene as a MuJoCo model: compiled for each episode, with no more in it than the scene has."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from enactive.worlds.tabletop.arms import FINGERS, Arm, attach_gripper
from enactive.worlds.tabletop.furniture import attach_furniture
from enactive.worlds.tabletop.scene import Scene, Thing
from enactive.worlds.tabletop.setting import CameraSetting
from enactive.worlds.tabletop.vocabulary import COLOURS, MATERIALS

TIMESTEP = 0.008
"""Of the simulation, s."""

TABLE_FRICTION = 0.2
"""Lower than any material's, so that in a contact (whose friction is the larger of the two) the
object's material decides."""
FLOOR = 0.004
"""Thickness of a container's floor, m."""
_WALL = 0.004
"""Half thickness of a container's walls, m."""

SPINNING = 1e-4
"""Damping of free joints: too little to be felt in a fall (N s/m), enough to stop what rolls
(N m s/rad)."""

CAMERAS: Mapping[str, tuple[float, float, float]] = {
    "front": (90.0, -45.0, 1.05),
    "side": (180.0, -35.0, 1.10),
    "top": (90.0, -85.0, 1.05),
}
"""Cameras that look at the table's middle: azimuth and elevation of the line of sight in degrees,
distance in m. ``wrist`` is on the hand."""

_LOOKAT = (0.0, 0.0, 0.03)
_FIELD_OF_VIEW = 45.0


def build_model(scene: Scene, arm: Arm) -> Any:
    """The compiled model of ``scene`` with ``arm`` in it."""
    import mujoco

    spec = mujoco.MjSpec()
    spec.compiler.degree = False
    option = spec.option
    option.timestep = TIMESTEP
    option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    option.integrator = mujoco.mjtIntegrator.mjINT_EULER
    option.impratio = 3.0
    # Flat sides of cylinders touch in more than one point; without it they sink and creep.
    option.enableflags = int(mujoco.mjtEnableBit.mjENBL_MULTICCD)
    option.iterations, option.ls_iterations = 30, 20
    spec.memory = 1 << 22
    # Light comes from the scene's own lamp.
    spec.visual.headlight.ambient = list(scene.light.ambient)
    spec.visual.headlight.diffuse = [0.1, 0.1, 0.1]
    spec.visual.headlight.specular = [0.0, 0.0, 0.0]
    world = spec.worldbody
    friction = scene.dynamics.friction
    position = scene.light.position
    world.add_light(
        pos=list(position), dir=[-position[0], -position[1], -position[2]],
        diffuse=list(scene.light.colour), specular=[0.2, 0.2, 0.2], castshadow=True,
    )  # fmt: skip
    _surfaces(mujoco, spec, scene)
    world.add_geom(
        name="table", type=mujoco.mjtGeom.mjGEOM_PLANE, size=[2, 2, 0.1], group=4, contype=0,
        conaffinity=3, friction=[TABLE_FRICTION * friction, 0.005, 0.0001],
    )  # fmt: skip
    for thing in scene.things:
        if thing.movable:
            _object(mujoco, world, thing, scene)
        elif thing.is_container:
            _container(mujoco, world, thing, friction)
        elif thing.is_mark:
            _mark(mujoco, world, thing)
    if any(thing.is_furniture for thing in scene.things):
        attach_furniture(mujoco, world, scene)
    hand = arm.attach(mujoco, world)
    attach_gripper(mujoco, hand, friction)
    _cameras(world, hand, scene.cameras)
    for joint in (*arm.joints, *FINGERS):
        gain = joint.gain * (scene.dynamics.gain if joint not in FINGERS else 1.0)
        spec.add_actuator(
            name=joint.name, target=joint.name, trntype=mujoco.mjtTrn.mjTRN_JOINT,
            gaintype=mujoco.mjtGain.mjGAIN_FIXED, biastype=mujoco.mjtBias.mjBIAS_AFFINE,
            gainprm=[gain, *[0.0] * 9], biasprm=[0.0, -gain, *[0.0] * 8],
            forcelimited=True, forcerange=[-joint.force, joint.force],
        )  # fmt: skip
    return spec.compile()


def body_name(thing: Thing) -> str:
    """Name of a thing's body in the model."""
    return f"thing-{thing.role}" if not thing.is_furniture else thing.look.shape


def _quaternion(yaw: float) -> list[float]:
    return [math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2)]


def _rgba(colour: str) -> list[float]:
    return [*COLOURS[colour], 1.0]


_GEOMS = {
    "cube": "BOX", "brick": "BOX", "ball": "SPHERE", "cylinder": "CYLINDER", "puck": "CYLINDER"
}  # fmt: skip


def _object(mujoco: Any, world: Any, thing: Thing, scene: Scene) -> None:
    material = MATERIALS[thing.material]
    body = world.add_body(
        name=body_name(thing), pos=list(thing.position), quat=_quaternion(thing.yaw)
    )
    body.add_joint(name=body_name(thing), type=mujoco.mjtJoint.mjJNT_FREE, damping=SPINNING)
    half = thing.look.half
    kind = getattr(mujoco.mjtGeom, f"mjGEOM_{_GEOMS[thing.look.shape]}")
    size = [half[0], half[2], 0.0] if kind == mujoco.mjtGeom.mjGEOM_CYLINDER else list(half)
    body.add_geom(
        name=body_name(thing), type=kind, size=size, rgba=_rgba(thing.look.colour), contype=1,
        conaffinity=3, density=material.density * scene.dynamics.mass,
        friction=[material.friction * scene.dynamics.friction, 0.005, 0.0001],
        material=f"shine-{thing.material}",
    )  # fmt: skip


def _container(mujoco: Any, world: Any, thing: Thing, friction: float) -> None:
    x, y, z = thing.position
    half = thing.look.half
    body = world.add_body(name=body_name(thing), pos=[x, y, z])
    common = {
        "rgba": _rgba(thing.look.colour), "contype": 0, "conaffinity": 3,
        "friction": [0.3 * friction, 0.005, 0.0001],
    }  # fmt: skip
    box = mujoco.mjtGeom.mjGEOM_BOX
    bottom = -half[2] + FLOOR / 2
    if thing.look.shape == "bowl":
        # Seen as a disc, felt as a square: boxes keep rocking on a cylinder's flat side.
        body.add_geom(
            type=mujoco.mjtGeom.mjGEOM_CYLINDER, size=[0.042, FLOOR / 2, 0], pos=[0, 0, bottom],
            **{**common, "conaffinity": 0},
        )  # fmt: skip
        body.add_geom(
            type=box, size=[0.033, 0.033, FLOOR / 2], pos=[0, 0, bottom], **{**common, "group": 4}
        )
        sides, lean = 8, 0.35
        for index in range(sides):
            angle = 2 * math.pi * index / sides
            across, along = math.cos(angle), math.sin(angle)
            radius = 0.048
            turn, tilt = _quaternion(angle), [math.cos(lean / 2), 0.0, math.sin(lean / 2), 0.0]
            body.add_geom(
                type=box, size=[0.003, 0.0215, half[2]], pos=[radius * across, radius * along, 0],
                quat=_product(turn, tilt), **common,
            )  # fmt: skip
        return
    body.add_geom(type=box, size=[half[0], half[1], FLOOR / 2], pos=[0, 0, bottom], **common)
    for side in (-1.0, 1.0):
        body.add_geom(
            type=box, size=[_WALL, half[1], half[2]], pos=[side * (half[0] - _WALL), 0, 0], **common
        )
        body.add_geom(
            type=box, size=[half[0], _WALL, half[2]], pos=[0, side * (half[1] - _WALL), 0], **common
        )


def _product(a: list[float], b: list[float]) -> list[float]:
    """The quaternion ``a`` times ``b``, wxyz."""
    w, x, y, z = a
    p, q, r, s = b
    return [
        w * p - x * q - y * r - z * s, w * q + x * p + y * s - z * r,
        w * r - x * s + y * p + z * q, w * s + x * r - y * q + z * p,
    ]  # fmt: skip


def _mark(mujoco: Any, world: Any, thing: Thing) -> None:
    half = thing.look.half
    square = thing.look.shape == "square"
    body = world.add_body(name=body_name(thing), pos=list(thing.position))
    body.add_geom(
        type=mujoco.mjtGeom.mjGEOM_BOX if square else mujoco.mjtGeom.mjGEOM_CYLINDER,
        size=list(half) if square else [half[0], half[2], 0.0], contype=0, conaffinity=0,
        rgba=_rgba(thing.look.colour),
    )  # fmt: skip


def _surfaces(mujoco: Any, spec: Any, scene: Scene) -> None:
    for name, material in MATERIALS.items():
        spec.add_material(
            name=f"shine-{name}", specular=material.shine, shininess=material.shine,
            rgba=[1.0, 1.0, 1.0, 1.0],
        )  # fmt: skip
    looks = scene.surfaces
    for name, first, second, size, pos, repeat in (
        ("tabletop", looks.table, looks.table_pattern, [0.55, 0.45, 0.02], [0, 0, -0.021], 6),
        ("floor", looks.floor, looks.floor_pattern, [8.0, 8.0, 0.02], [0, 0, -0.6], 32),
    ):
        spec.add_texture(
            name=name, type=mujoco.mjtTexture.mjTEXTURE_2D, width=64, height=64,
            builtin=mujoco.mjtBuiltin.mjBUILTIN_CHECKER, rgb1=list(first),
            rgb2=list(second or first),
        )  # fmt: skip
        material = spec.add_material(name=name, texrepeat=[repeat, repeat], specular=0.0)
        material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
        spec.worldbody.add_geom(
            name=f"{name}-looks", type=mujoco.mjtGeom.mjGEOM_BOX, size=size, pos=pos,
            material=name, contype=0, conaffinity=0,
        )  # fmt: skip


def _cameras(world: Any, hand: Any, setting: CameraSetting) -> None:
    angle = _FIELD_OF_VIEW + setting.field_of_view
    for name, (azimuth, elevation, distance) in CAMERAS.items():
        azimuth, elevation = azimuth + setting.turn, max(-89.0, elevation + setting.tilt)
        distance = distance * setting.distance
        a, e = math.radians(azimuth), math.radians(elevation)
        forward = (math.cos(e) * math.cos(a), math.cos(e) * math.sin(a), math.sin(e))
        right = (math.sin(a), -math.cos(a), 0.0)
        up = _cross(right, forward)
        position = [c - distance * f for c, f in zip(_LOOKAT, forward, strict=True)]
        world.add_camera(name=name, pos=position, quat=_axes(right, up), fovy=angle)
    # Beside the palm, looking down along the fingers.
    tilt = math.radians(28.0)
    forward = (0.0, math.sin(tilt), -math.cos(tilt))
    right = (1.0, 0.0, 0.0)
    hand.add_camera(
        name="wrist", pos=[0.0, -0.075, 0.11], quat=_axes(right, _cross(right, forward)),
        fovy=angle + 15.0,
    )  # fmt: skip


def _cross(a: tuple[float, ...], b: tuple[float, ...]) -> tuple[float, float, float]:
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


def _axes(right: tuple[float, ...], up: tuple[float, ...]) -> list[float]:
    """Quaternion of a camera whose x is ``right`` and whose y is ``up``; it looks along -z."""
    from scipy.spatial.transform import Rotation

    back = _cross(right, up)
    columns = [[r, u, b] for r, u, b in zip(right, up, back, strict=True)]
    return Rotation.from_matrix(columns).as_quat(scalar_first=True).tolist()
