"""The complete state of a Meta-World environment as msgpack values.

MuJoCo's integration state is not all of it: the environment keeps Python attributes (previous
observation, goals, initial positions), and its reset moves bodies and sites of the model itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MODEL_FIELDS = ("body_pos", "site_pos")
"""Fields of the model that Meta-World's resets write to."""

_VIEWED = ("xpos", "xquat", "geom_xpos", "site_xpos", "qpos", "qvel", "mocap_pos")
"""Fields of the simulation data that attributes of an environment may be views of."""

_SKIP = ("model", "data", "mujoco_renderer")


def mujoco_state(env: Any) -> NDArray[np.float64]:
    """MuJoCo's integration state: time, positions, velocities, warm start, controls, mocap."""
    import mujoco

    kind = mujoco.mjtState.mjSTATE_INTEGRATION
    state = np.empty(mujoco.mj_stateSize(env.model, kind), np.float64)
    mujoco.mj_getState(env.model, env.data, state, kind)
    return state


def set_mujoco_state(env: Any, state: NDArray[np.float64]) -> None:
    """Put back a :func:`mujoco_state` and everything that is computed from it."""
    import mujoco

    kind = mujoco.mjtState.mjSTATE_INTEGRATION
    mujoco.mj_setState(env.model, env.data, state, kind)
    mujoco.mj_forward(env.model, env.data)
    # The forward pass stores its solution as the next warm start; put back the one that was.
    mujoco.mj_setState(env.model, env.data, state, kind)


def capture(env: Any) -> dict[str, Any]:
    """Model fields and attributes of ``env`` as msgpack values (not MuJoCo's own state)."""
    attributes: dict[str, Any] = {}
    for name, value in vars(env).items():
        if name not in _SKIP and _plain(value):
            attributes[name] = _view(env, value) or _encode(value)
    model = {name: _encode(np.asarray(getattr(env.model, name))) for name in MODEL_FIELDS}
    return {"attributes": attributes, "model": model}


def put_back(env: Any, captured: dict[str, Any]) -> None:
    """Undo every change since :func:`capture`."""
    for name, value in captured["model"].items():
        getattr(env.model, name)[:] = _decode(value)
    attributes = captured["attributes"]
    for name, value in list(vars(env).items()):
        if name not in attributes and name not in _SKIP and _plain(value):
            delattr(env, name)
    for name, value in attributes.items():
        setattr(env, name, _resolve(env, value))


def _plain(value: Any) -> bool:
    if value is None or isinstance(value, (bool, int, float, str, np.generic)):
        return True
    if isinstance(value, np.ndarray):
        return value.dtype != object
    if isinstance(value, (list, tuple)):
        return all(_plain(entry) for entry in value)
    if isinstance(value, dict):
        return all(isinstance(k, str) and _plain(v) for k, v in value.items())
    return False


def _view(env: Any, value: Any) -> dict[str, Any] | None:
    """An attribute that is a live view of the simulation data stays one."""
    if not isinstance(value, np.ndarray) or value.size == 0:
        return None
    for field in _VIEWED:
        whole = getattr(env.data, field)
        if whole.size and np.may_share_memory(value, whole):
            start = value.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
            return {"view": field, "start": start // whole.itemsize, "shape": list(value.shape)}
    return None


def _resolve(env: Any, value: Any) -> Any:
    if isinstance(value, dict) and "view" in value:
        flat = getattr(env.data, value["view"]).reshape(-1)
        size = int(np.prod(value["shape"]))
        return flat[value["start"] : value["start"] + size].reshape(value["shape"])
    return _decode(value)


def _encode(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        array = np.ascontiguousarray(value)
        return {"array": array.dtype.str, "shape": list(value.shape), "bytes": array.tobytes()}
    if isinstance(value, np.generic):
        return {"scalar": value.dtype.str, "bytes": value.tobytes()}
    if isinstance(value, tuple):
        return {"tuple": [_encode(entry) for entry in value]}
    if isinstance(value, list):
        return [_encode(entry) for entry in value]
    if isinstance(value, dict):
        return {"dict": {name: _encode(entry) for name, entry in value.items()}}
    return value


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return [_decode(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    if "array" in value:
        array = np.frombuffer(value["bytes"], np.dtype(value["array"]))
        return array.reshape(value["shape"]).copy()
    if "scalar" in value:
        return np.frombuffer(value["bytes"], np.dtype(value["scalar"]))[0]
    if "tuple" in value:
        return tuple(_decode(entry) for entry in value["tuple"])
    return {name: _decode(entry) for name, entry in value["dict"].items()}
