"""Meta-World's environments: making one, beginning an episode, and what happens in it."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from enactive.registry import suggest
from enactive.worlds import metaworld_state
from enactive.worlds.world import EventSpec

FAUCET_ANGLE = 0.5
"""How far the handle must turn from straight to count as opened or closed, rad."""

EVENTS = (
    EventSpec(name="near_object", description="Meta-World's own near_object test became true"),
    EventSpec(name="grasped", description="both finger pads began to press on one same body"),
    EventSpec(name="success", description="Meta-World's own success test became true"),
    EventSpec(
        name="faucet_opened",
        description=f"the faucet's handle turned past +{FAUCET_ANGLE} rad, the opening direction",
    ),
    EventSpec(
        name="faucet_closed",
        description=f"the faucet's handle turned past -{FAUCET_ANGLE} rad, the closing direction",
    ),
)


def environment(name: str) -> Any:
    """Meta-World's own environment, fully observable, its picture-taking unused."""
    from metaworld.env_dict import ENV_CLS_MAP

    classes: Mapping[str, Any] = ENV_CLS_MAP
    if f"{name}-v3" not in classes:
        known = [key.removesuffix("-v3") for key in classes]
        raise KeyError(f"Meta-World has no task {name!r}; {suggest(name, known)}")
    env = classes[f"{name}-v3"]()
    # What its set_task does, without the pickled task: show the goal, allow stepping.
    env._partially_observable = False
    vars(env).pop("sawyer_observation_space", None)
    env._set_task_called = True
    env.seeded_rand_vec = True
    return env


def begin(env: Any, pristine: dict[str, Any], generator: np.random.Generator) -> None:
    """Put the environment into the initial state that its task vector decides.

    Meta-World's reset runs ``reset_model`` twice, each time moving the hand for 50 control steps,
    the first time out of whatever state the last episode ended in. Its benchmarks freeze the task
    vector, so the second pass starts from the first one's model. Here the first pass draws the
    vector without moving the hand, and the second runs in full: the result is the same to the bit.
    """
    import mujoco

    metaworld_state.put_back(env, pristine)
    mujoco.mj_resetData(env.model, env.data)
    mujoco.mj_forward(env.model, env.data)  # some tasks read orientations before the first step
    env.np_random = generator
    env._freeze_rand_vec = False
    with _hand_at_rest(env):
        env.reset_model()
    env._freeze_rand_vec = True
    mujoco.mj_resetData(env.model, env.data)
    env.curr_path_length = 0
    env.reset_model()
    # Meta-World's first observation is stale where its reset moved a body last; see it as it is,
    # without letting the extra forward pass change the solver's warm start.
    state = metaworld_state.mujoco_state(env)
    metaworld_state.set_mujoco_state(env, state)
    env._prev_obs = env._get_curr_obs_combined_no_goal()
    space = env.sawyer_observation_space
    env._last_stable_obs = np.clip(env._get_obs(), space.low, space.high)


@contextmanager
def _hand_at_rest(env: Any) -> Generator[None]:
    reset_hand = env._reset_hand
    env._reset_hand = lambda steps=0: reset_hand(steps=0)
    try:
        yield
    finally:
        del env._reset_hand


def facts(env: Any, info: Mapping[str, Any]) -> dict[str, bool]:
    """Which events' conditions hold now, by name."""
    holds = {
        "near_object": bool(info["near_object"]),
        "grasped": _pressed_by_both_pads(env),
        "success": bool(info["success"]),
    }
    if hasattr(env, "_handle_length"):  # the two faucet tasks
        angle = float(env.data.joint("knob_Joint_1").qpos[0])
        holds["faucet_opened"] = angle > FAUCET_ANGLE
        holds["faucet_closed"] = angle < -FAUCET_ANGLE
    return holds


def _pressed_by_both_pads(env: Any) -> bool:
    model, data = env.model, env.data
    if data.ncon == 0 or data.nefc == 0:
        return False
    bodies = model.geom_bodyid[data.contact.geom]  # (C, 2)
    address = data.contact.efc_address  # (C,)
    pressing = (address >= 0) & (data.efc_force[np.maximum(address, 0)] > 0)  # (C,)
    touched: list[set[int]] = []
    for pad in ("rightpad", "leftpad"):
        body = model.body(pad).id
        rows = bodies[pressing & (bodies == body).any(1)]  # (N, 2)
        touched.append({int(other) for other in rows.flat if other != body})
    static = {0}
    pads = {int(model.body(pad).id) for pad in ("rightpad", "leftpad")}
    return bool((touched[0] & touched[1]) - pads - static)
