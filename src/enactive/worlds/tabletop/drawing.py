"""Pictures of the tabletop: the whole, the scene without the arm, the arm without the scene."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from enactive.worlds.mujoco_rendering import Canvas, Quality, Renderer, View
from enactive.worlds.tabletop.arms import ARM_GROUP
from enactive.worlds.tabletop.engine import Engine
from enactive.worlds.tabletop.model import CAMERAS

CAMERA_NAMES = (*CAMERAS, "wrist")
BACKGROUND = 127
"""Grey level behind the arm when it is drawn alone."""


class Drawing:
    """The renderer of one world: at any time it holds the buffers of one scene.

    Args:
        cameras: names of the cameras, of :data:`CAMERA_NAMES`.
        size: side of the square pictures, pixels.
        quality: how they are drawn.
    """

    def __init__(self, cameras: tuple[str, ...], size: int, quality: Quality) -> None:
        self._cameras, self._size, self._quality = cameras, size, quality
        views = tuple(View(name=name, fixed=name) for name in cameras)
        self._renderer = Renderer(views, size, quality, sites=False)
        self._canvas: Canvas | None = None
        self._layers: _Layers | None = None

    def open(self, engine: Engine) -> None:
        """Take ``engine``'s scene in place of the one before."""
        if self._canvas is not None:
            self._renderer.release(self._canvas)
        self._layers = None
        self._canvas = self._renderer.open(engine.model)

    def draw(self, engine: Engine) -> dict[str, NDArray[np.uint8]]:
        """Every camera's picture of the present state: name to ``uint8 (S, S, 3)``."""
        assert self._canvas is not None
        _aim_cameras(engine)
        return self._canvas.draw(engine.data)

    def static(self, engine: Engine, camera: str) -> NDArray[np.uint8]:
        """Everything but the arm, ``uint8 (S, S, 3)``."""
        self._known(camera)
        _aim_cameras(engine)
        return self._layer(engine).draw(engine, camera, arm=False, segments=False)

    def agent(self, engine: Engine, camera: str) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """The arm on plain grey, ``uint8 (S, S, 3)``, and where it is, ``bool (S, S)``."""
        self._known(camera)
        _aim_cameras(engine)
        layer = self._layer(engine)
        drawn = layer.draw(engine, camera, arm=True, segments=True)
        mask = np.asarray(drawn.any(-1), np.bool_)
        picture = layer.draw(engine, camera, arm=True, segments=False)
        return np.where(mask[..., None], picture, np.uint8(BACKGROUND)), mask

    def close(self) -> None:
        """Free everything; may be called twice."""
        self._layers = self._canvas = None
        self._renderer.close()

    def _known(self, camera: str) -> None:
        if camera not in self._cameras:
            raise KeyError(f"there is no camera {camera!r}; there are: {', '.join(self._cameras)}")

    def _layer(self, engine: Engine) -> _Layers:
        assert self._canvas is not None
        if self._layers is None:
            self._layers = _Layers(
                self._renderer, self._canvas, engine.model, self._size, self._quality
            )
        return self._layers


def _aim_cameras(engine: Engine) -> None:
    """Positions of cameras and lights, which stepping leaves where they were."""
    import mujoco

    mujoco.mj_camlight(engine.model, engine.data)


class _Layers:
    """Draws geoms of some groups only, through the buffers of a canvas."""

    def __init__(
        self, renderer: Renderer, canvas: Canvas, model: Any, size: int, quality: Quality
    ) -> None:
        import mujoco

        self._mujoco, self._renderer, self._canvas = mujoco, renderer, canvas
        self._model, self._size = model, size
        self._scene: Any = mujoco.MjvScene(model, maxgeom=1000)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = int(quality.shadowsize > 0)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = int(quality.reflections)
        self._option: Any = mujoco.MjvOption()
        self._option.sitegroup[:] = 0
        self._camera: Any = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED

    def draw(self, engine: Engine, camera: str, *, arm: bool, segments: bool) -> NDArray[np.uint8]:
        """The arm, or all but it, ``uint8 (S, S, 3)``; as segments, what is drawn is not black."""
        mujoco, size = self._mujoco, self._size
        self._renderer.make_current()
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._canvas.context)
        self._option.geomgroup[:] = 0
        self._option.geomgroup[ARM_GROUP if arm else 0] = 1
        self._camera.fixedcamid = self._model.camera(camera).id
        flags = self._scene.flags
        flags[mujoco.mjtRndFlag.mjRND_SEGMENT] = int(segments)
        mujoco.mjv_updateScene(
            self._model, engine.data, self._option, mujoco.MjvPerturb(), self._camera,
            mujoco.mjtCatBit.mjCAT_ALL, self._scene,
        )  # fmt: skip
        rect = mujoco.MjrRect(0, 0, size, size)
        pixels = np.empty((size, size, 3), np.uint8)
        mujoco.mjr_render(rect, self._scene, self._canvas.context)
        mujoco.mjr_readPixels(pixels, None, rect, self._canvas.context)
        return np.ascontiguousarray(pixels[::-1])
