"""The running simulation of one scene: targets in, positions, velocities and contacts out."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from enactive.worlds.tabletop.arms import FINGERS, OPENING, Arm, Vector
from enactive.worlds.tabletop.model import TIMESTEP, body_name, build_model
from enactive.worlds.tabletop.scene import Scene

SUBSTEPS = 5
RATE_HZ = 1.0 / (SUBSTEPS * TIMESTEP)
"""Control steps per second."""

_GRIPPING = 0.0015
"""How far a finger stays from where it is told to go when something is between, m."""
_NEAR = 0.10
"""Distance from the hand beyond which contacts with a thing are not looked for, m."""


class Engine:
    """Model and data of a scene, with views of what is read in every step.

    Args:
        scene: what is on the table.
        arm: what moves there.
    """

    def __init__(self, scene: Scene, arm: Arm) -> None:
        import mujoco

        self._mujoco = mujoco
        self.scene = scene
        self.arm = arm
        self.model = model = build_model(scene, arm)
        self.data = data = mujoco.MjData(model)
        joints = [model.joint(joint.name) for joint in (*arm.joints, *FINGERS)]
        self._positions = np.array([joint.qposadr[0] for joint in joints])
        self._arm_count = len(arm.joints)
        self._arm_positions = self._positions[: self._arm_count]
        self._finger_positions = self._positions[self._arm_count :]
        hand = model.body("hand").id
        self.hand_position: Vector = data.xpos[hand]
        """Of the gripper's origin, m; a live view ``(3,)``."""
        self._hand_axes: Vector = data.xmat[hand]
        self.things = scene.things
        self.bodies = np.array([model.body(body_name(thing)).id for thing in scene.things])
        """Body of each thing, ``(N,)``."""
        self.handles = {
            thing.role: data.site_xpos[model.site(thing.look.shape).id]
            for thing in scene.things
            if thing.is_furniture
        }
        """Where furniture is held, by role: live views ``(3,)``."""
        self._indices = {thing.role: index for index, thing in enumerate(scene.things)}
        self._places: dict[str, Vector] = {
            thing.role: self.handles.get(thing.role, data.xpos[body])
            for thing, body in zip(scene.things, self.bodies, strict=True)
        }
        self._furniture = {
            thing.role: int(model.joint(thing.look.shape).qposadr[0])
            for thing in scene.things
            if thing.is_furniture
        }
        self._of_geom = self._things_of_geoms()
        self._fingers = tuple(int(model.geom(joint.name).id) for joint in FINGERS)
        self._velocities = {
            thing.role: data.qvel[adr : adr + 6]
            for thing in scene.things
            if thing.movable
            for adr in [int(model.joint(body_name(thing)).dofadr[0])]
        }
        kind = mujoco.mjtState.mjSTATE_INTEGRATION
        self._kind = kind
        self._state = np.empty(mujoco.mj_stateSize(model, kind), np.float64)
        self._begin()

    def _things_of_geoms(self) -> NDArray[np.int64]:
        """Index of the thing that each geom belongs to, -1 for none; of furniture, its handle."""
        model, found = self.model, np.full(self.model.ngeom, -1)
        for index, thing in enumerate(self.things):
            if thing.is_furniture:
                found[model.geom(thing.look.shape).id] = index
            else:
                found[model.geom_bodyid == self.bodies[index]] = index
        return found

    def _begin(self) -> None:
        data = self.data
        goal = self.arm.inverse(np.array(self.scene.hand))
        data.qpos[self._arm_positions] = goal
        data.qpos[self._finger_positions] = OPENING
        data.ctrl[: self._arm_count] = goal
        data.ctrl[self._arm_count :] = OPENING
        for thing in self.things:
            if thing.is_furniture:
                data.qpos[self._furniture[thing.role]] = thing.opening
        self._mujoco.mj_kinematics(self.model, data)

    # -- running -------------------------------------------------------------------------------

    def step(self, joints: Vector, finger: float) -> None:
        """One control step towards joint targets ``(J,)`` and the fingers' target, m."""
        control = self.data.ctrl
        control[: self._arm_count] = joints
        control[self._arm_count :] = finger
        self._mujoco.mj_step(self.model, self.data, SUBSTEPS)
        # Positions in space are those of the last substep's begin; make them the present ones.
        self._mujoco.mj_kinematics(self.model, self.data)

    def state(self) -> bytes:
        """MuJoCo's integration state: time, positions, velocities, warm start, controls."""
        self._mujoco.mj_getState(self.model, self.data, self._state, self._kind)
        return self._state.tobytes()

    def set_state(self, state: bytes) -> None:
        """Put back a :meth:`state`; what follows is bit-equal to what followed it then."""
        self._state[:] = np.frombuffer(state, np.float64)
        self._mujoco.mj_setState(self.model, self.data, self._state, self._kind)
        self._mujoco.mj_kinematics(self.model, self.data)

    # -- reading -------------------------------------------------------------------------------

    def pose(self) -> Vector:
        """The gripper's pose ``(4,)``: x, y, z in m, yaw in rad."""
        axes = self._hand_axes
        yaw = math.atan2(axes[3], axes[0])
        return np.array([*self.hand_position.tolist(), yaw])

    def joints(self) -> Vector:
        """Measured joint positions ``(J,)``."""
        return self.data.qpos[self._arm_positions]

    def opening(self) -> float:
        """Mean distance of the fingers from the middle, m."""
        left, right = self.data.qpos[self._finger_positions]
        return float(left + right) / 2

    def positions(self) -> Vector:
        """Centres of all things ``(N, 3)``, m; of furniture, its frame."""
        return self.data.xpos[self.bodies]

    def orientations(self) -> Vector:
        """Orientations of all things ``(N, 4)``, wxyz."""
        return self.data.xquat[self.bodies]

    def place(self, role: str) -> Vector:
        """Where a thing is, ``(3,)`` m: its centre, or furniture's handle; a live view."""
        return self._places[role]

    def index(self, role: str) -> int:
        """Index of the thing with ``role``."""
        return self._indices[role]

    def opened(self, role: str) -> float:
        """How far furniture is open, m or rad."""
        return float(self.data.qpos[self._furniture[role]])

    def speed(self, role: str) -> float:
        """Largest component of an object's velocity, m/s, its spin counted by 2 cm, m/s."""
        x, y, z, a, b, c = self._velocities[role].tolist()
        return max(abs(x), abs(y), abs(z), 0.02 * max(abs(a), abs(b), abs(c)))

    def touched(self) -> tuple[set[int], set[int]]:
        """Indices of the things that the left and the right finger press on."""
        data = self.data
        sides: tuple[set[int], set[int]] = (set(), set())
        if data.ncon == 0:
            return sides
        pairs: NDArray[np.int32] = data.contact.geom  # (C, 2)
        for side, finger in zip(sides, self._fingers, strict=True):
            rows = pairs[(pairs == finger).any(1)]  # (n, 2)
            side.update(int(i) for i in self._of_geom[rows].flat if i >= 0)
        return sides

    def held(self, before: int | None) -> int | None:
        """Index of the thing that is held; None where there is none.

        A grip begins when both fingers press on a thing that keeps them from closing, and lasts
        while one of them still does.

        Args:
            before: what was held before.
        """
        left, right = self.data.qpos[self._finger_positions].tolist()
        target = float(self.data.ctrl[self._arm_count])
        if left + right - 2 * max(target, 0.0) < _GRIPPING:
            return None  # the fingers are where they were told to be, or close on nothing
        first, second = self.touched()
        if before is not None and (before in first or before in second):
            return before
        return min(first & second, default=None)

    def near(self, role: str) -> bool:
        """Whether the hand is so near that it may touch the thing."""
        pairs = zip(self._places[role].tolist(), self.hand_position.tolist(), strict=True)
        return all(abs(a - b) < _NEAR for a, b in pairs)
