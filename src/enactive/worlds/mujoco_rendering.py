"""Pictures of MuJoCo scenes: cameras, render quality, and a renderer that many models share.

MuJoCo's default quality (4x multisampling, a 4096 shadow map, reflections) costs 6 to 20 times the
time of a plain picture on a software rasteriser. Quality is therefore part of what a world
declares: the same setting must serve collection and evaluation, or policies see other pictures.
"""

from __future__ import annotations

import importlib
import os
import sys
import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

HIDDEN_GROUP = 5
"""A geom group that MuJoCo does not draw by default; culled geoms move there for one frame."""

_MARGIN = 1e-3
"""How far a box must be outside the view to be culled, m; more than any rounding."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Quality:
    """How a picture is drawn. The defaults are the fast, plain picture."""

    offsamples: int = 0
    """Multisampling samples per pixel; MuJoCo's own default is 4."""
    shadowsize: int = 0
    """Side of the shadow map in texels; 0 draws no shadows. MuJoCo's own default is 4096."""
    reflections: bool = False
    """Whether reflective materials mirror the scene."""


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """One camera: either a free one aimed at a point, or one that the model defines."""

    name: str
    """Name of the image stream."""
    lookat: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """The point in the middle of the picture, world frame, m."""
    distance: float = 1.0
    """From the camera to ``lookat``, m."""
    azimuth: float = 90.0
    """Direction of sight about the vertical, degrees; 0 looks along +x, 90 along +y."""
    elevation: float = -30.0
    """Direction of sight above the horizon, degrees; -90 looks straight down."""
    fixed: str = ""
    """Name of a camera of the model; when given, the four fields above are not used."""
    upside_down: bool = False
    """Turn the picture by 180 degrees, for cameras that are mounted the wrong way up."""


class BlackFrame(RuntimeError):
    """A camera gave a picture of one colour: the OpenGL context is lost or the camera is blind."""


def backend() -> str:
    """The OpenGL backend that pictures are drawn with: ``MUJOCO_GL`` where it is set, as MuJoCo's
    own loader obeys it; else EGL on Linux, which needs no display, and GLFW elsewhere."""
    return os.environ.get("MUJOCO_GL") or ("egl" if sys.platform.startswith("linux") else "glfw")


def _gl_context(size: int) -> Any:
    # Named by module, so that it does not matter whether MuJoCo was imported before.
    name = backend()
    if name not in ("egl", "osmesa", "glfw"):
        raise ValueError(f"MUJOCO_GL is {name!r}; pictures need 'egl', 'osmesa' or 'glfw'")
    return importlib.import_module(f"mujoco.{name}").GLContext(size, size)


class Renderer:
    """Draws every view of any number of models through one OpenGL context.

    Stale contexts are the classic source of black frames: freeing one renderer makes no context
    current, and freeing a model's buffers while another context is current destroys that one's.
    Here the context is made current before each use, and everything is freed inside it.

    Args:
        views: the cameras, in the order of the streams.
        size: side of the square pictures, pixels.
        quality: how they are drawn.
        sites: whether sites (markers without physics) are drawn.
    """

    def __init__(self, views: tuple[View, ...], size: int, quality: Quality, sites: bool) -> None:
        self.views = views
        self.size = size
        self.quality = quality
        self.sites = sites
        self._gl = _gl_context(size)
        self._contexts: list[Any] = []
        self._finalizer = weakref.finalize(self, _free, self._gl, self._contexts)

    def open(self, model: Any) -> Canvas:
        """Upload ``model`` and return what draws it. Sets the model's quality fields."""
        self._gl.make_current()
        canvas = Canvas(self, model)
        self._contexts.append(canvas.context)
        return canvas

    def release(self, canvas: Canvas) -> None:
        """Free what ``canvas`` holds on the device."""
        self._gl.make_current()
        self._contexts.remove(canvas.context)
        canvas.context.free()

    def make_current(self) -> None:
        """Make this renderer's context the calling thread's."""
        self._gl.make_current()

    def close(self) -> None:
        """Free everything; may be called twice."""
        self._finalizer()


def _free(gl: Any, contexts: list[Any]) -> None:
    gl.make_current()
    for context in contexts:
        context.free()
    contexts.clear()
    gl.free()


class Canvas:
    """One model's buffers; made by :meth:`Renderer.open`."""

    def __init__(self, renderer: Renderer, model: Any) -> None:
        import mujoco

        quality = renderer.quality
        model.vis.quality.offsamples = quality.offsamples
        model.vis.quality.shadowsize = quality.shadowsize
        model.vis.global_.offwidth = renderer.size
        model.vis.global_.offheight = renderer.size
        self._renderer = renderer
        self._model = model
        self._mujoco = mujoco
        self.context: Any = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_50)
        self._scene: Any = mujoco.MjvScene(model, maxgeom=1000)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = int(quality.shadowsize > 0)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = int(quality.reflections)
        self._option: Any = mujoco.MjvOption()
        if not renderer.sites:
            self._option.sitegroup[:] = 0
        self._perturb: Any = mujoco.MjvPerturb()
        self._cameras = [_camera(mujoco, model, view) for view in renderer.views]
        self._rect: Any = mujoco.MjrRect(0, 0, renderer.size, renderer.size)
        # What is out of sight may still throw a shadow or show in a mirror.
        self._cull = not quality.reflections and quality.shadowsize == 0
        self._groups = model.geom_group.copy()

    def draw(self, data: Any) -> dict[str, NDArray[np.uint8]]:
        """Every view of the state ``data``: name to ``uint8 (S, S, 3)``, first row at the top."""
        mujoco = self._mujoco
        self._renderer.make_current()
        # Another model's canvas may have been drawn on since: without this, the first picture
        # after a change of models lands in that one's buffer.
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self.context)
        size = self._renderer.size
        images: dict[str, NDArray[np.uint8]] = {}
        for view, camera in zip(self._renderer.views, self._cameras, strict=True):
            pixels = np.empty((size, size, 3), np.uint8)
            if self._cull:
                self._hide_unseen(data, camera)
            mujoco.mjv_updateScene(
                self._model, data, self._option, self._perturb, camera,
                mujoco.mjtCatBit.mjCAT_ALL, self._scene,
            )  # fmt: skip
            mujoco.mjr_render(self._rect, self._scene, self.context)
            mujoco.mjr_readPixels(pixels, None, self._rect, self.context)
            # OpenGL's first row is at the bottom; of a camera upside down, left is right too.
            images[view.name] = np.ascontiguousarray(
                pixels[:, ::-1] if view.upside_down else pixels[::-1]
            )
        if self._cull:
            self._model.geom_group[:] = self._groups
        return images

    def _hide_unseen(self, data: Any, camera: Any) -> None:
        """Move geoms whose bounding box lies outside the view's pyramid to a group not drawn.

        A robot's meshes are most of the work of a picture on a software rasteriser, and most of
        them are out of a close-up; the picture is the same to the bit.
        """
        model = self._model
        self._mujoco.mjv_updateCamera(model, data, camera, self._scene)
        left, right = self._scene.camera
        # The mono picture is taken midway between the stereo pair.
        position = (np.asarray(left.pos) + np.asarray(right.pos)) / 2  # (3,)
        forward = np.asarray(left.forward, np.float64)  # (3,)
        up = np.asarray(left.up, np.float64)  # (3,)
        side = np.cross(forward, up)  # (3,)
        tangent = left.frustum_top / left.frustum_near  # the picture is square
        cosine = 1.0 / np.sqrt(1.0 + tangent * tangent)
        inward = np.stack([side, -side, up, -up]) * cosine + forward * (tangent * cosine)
        normals = np.concatenate([inward, forward[None]])  # (5, 3), the last: behind the camera
        axes = data.geom_xmat.reshape(-1, 3, 3)  # (G, 3, 3), columns are the box's axes
        box = model.geom_aabb  # (G, 6), centre and half sizes in the geom's frame
        centre = data.geom_xpos + np.einsum("gij,gj->gi", axes, box[:, :3])  # (G, 3)
        distance = (centre - position) @ normals.T  # (G, 5)
        reach = np.abs(normals @ axes) @ box[:, 3:, None]  # (G, 5, 1)
        outside = (distance + reach[..., 0] < -_MARGIN).any(1)  # (G,)
        # Planes have no bounds, and a bounding radius of 0.
        unseen = outside & (model.geom_rbound > 0)
        model.geom_group[:] = np.where(unseen, HIDDEN_GROUP, self._groups)


def _camera(mujoco: Any, model: Any, view: View) -> Any:
    camera = mujoco.MjvCamera()
    if view.fixed:
        known = [model.camera(index).name for index in range(model.ncam)]
        if view.fixed not in known:
            raise ValueError(
                f"view {view.name!r}: the model has no camera {view.fixed!r}; it has {known}"
            )
        camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        camera.fixedcamid = known.index(view.fixed)
    else:
        camera.type = mujoco.mjtCamera.mjCAMERA_FREE
        camera.lookat[:] = view.lookat
        camera.distance = view.distance
        camera.azimuth = view.azimuth
        camera.elevation = view.elevation
    return camera


def assert_not_blank(images: dict[str, NDArray[np.uint8]], world: str) -> None:
    """Raise :class:`BlackFrame` naming the camera whose picture has only one colour."""
    for name, image in images.items():
        if (image == image[0, 0]).all():
            raise BlackFrame(
                f"{world}: camera {name!r} gave a picture of one colour {image[0, 0].tolist()}; "
                "close other renderers of this process, or point the camera at the scene"
            )
