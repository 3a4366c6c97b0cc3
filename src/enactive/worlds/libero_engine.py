"""LIBERO's environments: making one, beginning an episode, stepping, and the complete state.

Two properties of robosuite 1.4 decide what is here. Its reset draws from NumPy's *global*
generator, and not only what an initial state overwrites: where fixtures stand is a field of the
model. And its import opens a log file of a fixed name in the system's temporary directory, which
fails where another user made it first, and warns about settings that nobody needs.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enactive.seeding import child_seed
from enactive.worlds import metaworld_state
from enactive.worlds.libero_tasks import LiberoTask
from enactive.worlds.mujoco_rendering import HIDDEN_GROUP
from enactive.worlds.world import EventSpec

MOST_LITERALS = 3
"""The most literals that a goal of any suite has."""

EVENTS = (
    EventSpec(name="grasped_target", description="both finger pads began to touch one same object "
              "that the goal wants moved"),
    EventSpec(name="grasped_other", description="both finger pads began to touch one same object "
              "that the goal does not want moved"),
    *(
        EventSpec(name=f"goal_{i}", description=f"literal {i} of the goal, in the order of the "
                  "problem definition, became true")
        for i in range(MOST_LITERALS)
    ),
    EventSpec(name="success", description="LIBERO's own success test became true"),
)  # fmt: skip

_CONTROLLER = (
    "goal_pos", "goal_ori", "relative_ori", "ee_pos", "ee_ori_mat", "ee_pos_vel", "ee_ori_vel",
    "joint_pos", "joint_vel", "J_pos", "J_ori", "J_full", "mass_matrix", "initial_joint",
    "initial_ee_pos", "initial_ee_ori_mat",
)  # fmt: skip
"""Attributes of the arm's controller that decide what it does next."""

_MODEL = ("body_pos", "body_quat", "site_rgba")
"""Fields of the model that resets and steps write to."""


@contextmanager
def _quiet() -> Iterator[None]:
    """Import robosuite without its log file, its warnings, or its change of the environment."""
    spec = importlib.util.find_spec("robosuite")
    if spec is None or spec.origin is None:
        raise ImportError("LIBERO needs robosuite: pip install 'enactive[libero]'")
    logger = logging.getLogger("robosuite_logs")
    level, backend = logger.level, os.environ.get("MUJOCO_GL")
    if "robosuite" not in sys.modules:
        where = Path(spec.origin).with_name("macros.py")
        found = importlib.util.spec_from_file_location("robosuite.macros", where)
        assert found is not None and found.loader is not None
        macros = importlib.util.module_from_spec(found)
        found.loader.exec_module(macros)
        macros.FILE_LOGGING_LEVEL = None  # pyright: ignore[reportAttributeAccessIssue]
        sys.modules["robosuite.macros"] = macros
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # robosuite warns of its own way to warn
            yield
    finally:
        logger.setLevel(level)
        if backend is None:
            os.environ.pop("MUJOCO_GL", None)
        else:
            os.environ["MUJOCO_GL"] = backend


def environment(task: LiberoTask) -> Any:
    """The benchmark's own environment of ``task``, its picture-taking unused.

    Geoms that only collide are moved to a group that is not drawn, as robosuite's own pictures
    leave them out.
    """
    with _quiet():
        from libero.libero.envs.env_wrapper import ControlEnv
    with _own_random_numbers(0):
        wrapped = ControlEnv(
            bddl_file_name=str(task.definition_file),
            has_offscreen_renderer=False,
            use_camera_obs=False,
            hard_reset=False,
            ignore_done=True,
        )
    env = wrapped.env
    env._observables.clear()  # nothing here reads them, and they are sampled every simulation step
    groups = env.sim.model._model.geom_group
    groups[groups == 0] = HIDDEN_GROUP
    return env


def aim(env: Any, task: LiberoTask) -> None:
    """Make the goal that of ``task``, which has the scene of the environment's own task."""
    env.parsed_problem["goal_state"] = [list(literal) for literal in task.definition().goal]


@contextmanager
def _own_random_numbers(seed: int) -> Iterator[None]:
    """Run with NumPy's global generator at ``seed``, and put it back."""
    kept = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(kept)  # noqa: NPY002


def begin(env: Any, task: LiberoTask, index: int, settle: int) -> None:
    """Put the environment into the official initial state ``index``.

    Fixtures stand where the problem definition's (small) regions allow, drawn here from the stream
    ``("libero", task.name, index)``: an official state is one scene, wherever it is used.

    Args:
        settle: control steps without motion, gripper open, that let things come to rest.
    """
    from robosuite.utils.errors import RandomizationError

    with _own_random_numbers(child_seed(0, "libero", task.name, index) % 2**32):
        while True:
            try:
                env.reset()
                break
            except RandomizationError:  # objects found no place; drawn again, as LIBERO does
                continue
    env.robots[0].gripper.current_action = np.zeros(2)
    env.sim.set_state_from_flattened(task.initial_states()[index])
    env.sim.forward()
    _refresh(env)
    for _ in range(settle):
        step(env, np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0]))
    look(env)


def look(env: Any) -> None:
    """Bring the places of bodies in line with the state, without changing what follows.

    After a step MuJoCo's bodies are still where they were one simulation step before; a snapshot
    that is restored shows them where they are.
    """
    bare = _Bare(env)
    metaworld_state.set_mujoco_state(bare, metaworld_state.mujoco_state(bare))


def _refresh(env: Any) -> None:
    """Bring what shows a state (the stove's burner) in line with it."""
    env._check_success()
    env._post_process()


def capture(env: Any) -> dict[str, bytes]:
    """The complete state of the environment as msgpack values."""
    controller = env.robots[0].controller
    state = {"mujoco": metaworld_state.mujoco_state(_Bare(env)).tobytes()}
    for name in _CONTROLLER:
        state[f"controller.{name}"] = np.asarray(getattr(controller, name), np.float64).tobytes()
    state["controller.new_update"] = bytes([controller.new_update])
    state["gripper"] = np.asarray(env.robots[0].gripper.current_action, np.float64).tobytes()
    for name in _MODEL:
        state[f"model.{name}"] = np.ascontiguousarray(getattr(env.sim.model, name)).tobytes()
    return state


def put_back(env: Any, state: dict[str, bytes]) -> None:
    """Undo every change since :func:`capture`."""
    controller = env.robots[0].controller
    for name in _MODEL:
        field = getattr(env.sim.model, name)
        field[:] = np.frombuffer(state[f"model.{name}"], field.dtype).reshape(field.shape)
    for name in _CONTROLLER:
        shape = np.shape(getattr(controller, name))
        value = np.frombuffer(state[f"controller.{name}"], np.float64)
        setattr(controller, name, value.reshape(shape).copy())
    controller.new_update = bool(state["controller.new_update"][0])
    env.robots[0].gripper.current_action = np.frombuffer(state["gripper"], np.float64).copy()
    physics = np.frombuffer(state["mujoco"], np.float64).copy()
    metaworld_state.set_mujoco_state(_Bare(env), physics)
    _refresh(env)


class _Bare:
    """MuJoCo's own model and data of a robosuite environment."""

    def __init__(self, env: Any) -> None:
        self.model: Any = env.sim.model._model
        self.data: Any = env.sim.data._data


def step(env: Any, units: NDArray[np.float64]) -> bool:
    """One control step of normalised entries ``(7,)``; whether LIBERO's success test holds."""
    with _no_repetition(env):
        _, _, success, _ = env.step(units)
    return bool(success)


@contextmanager
def _no_repetition(env: Any) -> Iterator[None]:
    """Compute positions, velocities and contacts once per simulation step, to the same bits.

    robosuite computes everything three times: before the controller, in it, and in the step.
    Nothing moves in between, so the second and third time only forces and accelerations are
    computed, which begin where the solver stopped the time before.
    """
    import mujoco

    sim = env.sim
    model, data = sim.model._model, sim.data._data
    current = False

    def forward() -> None:
        nonlocal current
        if current:
            mujoco.mj_forwardSkip(model, data, mujoco.mjtStage.mjSTAGE_VEL, 1)
        else:
            mujoco.mj_forward(model, data)
        current = True

    def advance() -> None:
        nonlocal current
        mujoco.mj_step2(model, data)
        current = False

    sim.forward, sim.step = forward, advance
    try:
        yield
    finally:
        del sim.forward, sim.step


def facts(env: Any, success: bool) -> dict[str, bool]:
    """Which events' conditions hold now, by name."""
    goal = env.parsed_problem["goal_state"]
    wanted = {literal[1] for literal in goal}
    held = _held(env)
    holds = {
        "grasped_target": bool(held & wanted),
        "grasped_other": bool(held - wanted),
        **{f"goal_{i}": bool(env._eval_predicate(literal)) for i, literal in enumerate(goal)},
    }
    return {**holds, "success": success}


def _held(env: Any) -> set[str]:
    """Names of the objects that both finger pads touch."""
    model, data = env.sim.model._model, env.sim.data._data
    if data.ncon == 0:
        return set()
    pairs = data.contact.geom  # (C, 2)
    touched: list[set[int]] = []
    for finger in ("1", "2"):
        pad = model.geom(f"gripper0_finger{finger}_pad_collision").id
        rows = pairs[(pairs == pad).any(1)]  # (N, 2)
        touched.append({int(model.body_rootid[model.geom_bodyid[g]]) for g in rows.flat})
    both = touched[0] & touched[1]
    return {name for name in env.objects_dict if env.obj_body_id[name] in both}
