"""Rotation representations, all read into and written from SciPy's ``Rotation``.

Conventions (shared with :data:`enactive.actions.groups.Representation`):

- ``axis_angle``: unit axis times angle in rad, the angle in [0, pi];
- ``quaternion_wxyz``, ``quaternion_xyzw``: unit quaternions, scalar first or last, written with
  ``w >= 0`` (at ``w = 0`` the first non-zero of x, y, z is positive), so that q and -q, which are
  the same rotation, are written the same;
- ``rot6d``: the first two columns of the matrix, one after the other (Zhou et al. 2019, "On the
  Continuity of Rotation Representations in Neural Networks", §4.2); ``rot6d_rows``: its first two
  rows, which is PyTorch3D's layout. Reading orthonormalises by Gram-Schmidt in that order;
- ``matrix``: nine entries row by row; reading takes the nearest rotation;
- ``euler_xyz``: roll, pitch, yaw in rad about the fixed axes x, then y, then z, so
  R = Rz(yaw) Ry(pitch) Rx(roll), with the pitch in [-pi/2, pi/2] and the others in (-pi, pi].
  At a pitch of +-pi/2 only a combination of roll and yaw is determined; the yaw is then 0.

Rotations act on column vectors and map coordinates of the body into coordinates of the frame.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from enactive.actions.groups import ROTATIONS, Representation
from enactive.registry import suggest


def read(values: NDArray[Any], representation: Representation) -> Rotation:
    """The N rotations that ``values`` ``(N, D)`` stand for (angles in rad).

    Raises:
        ValueError: the representation is none of a rotation, or the entries are no rotation: zero
            quaternions, parallel rot6d vectors, a reflection, numbers that are not finite.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError(f"{representation}: entries must be finite")
    match representation:
        case "axis_angle":
            return Rotation.from_rotvec(numbers)
        case "quaternion_wxyz":
            return _from_quaternion(numbers[:, [1, 2, 3, 0]])
        case "quaternion_xyzw":
            return _from_quaternion(numbers)
        case "rot6d":
            return Rotation.from_matrix(_gram_schmidt(numbers).transpose(0, 2, 1))
        case "rot6d_rows":
            return Rotation.from_matrix(_gram_schmidt(numbers))
        case "matrix":
            matrices = numbers.reshape(-1, 3, 3)
            if (np.linalg.det(matrices) <= 0).any():
                raise ValueError("matrix: the determinant must be positive (1 for a rotation)")
            left, _, right = np.linalg.svd(matrices)
            return Rotation.from_matrix(left @ right)
        case "euler_xyz":
            return Rotation.from_euler("xyz", numbers)
        case _:
            raise ValueError(
                f"{representation!r} is no rotation; {suggest(representation, ROTATIONS)}"
            )


def write(rotations: Rotation, representation: Representation) -> NDArray[np.float64]:
    """``rotations`` (N of them) in their canonical form, ``float64 (N, D)``, angles in rad.

    Raises:
        ValueError: the representation is none of a rotation.
    """
    match representation:
        case "axis_angle":
            # From the canonical quaternion, so that half a turn has one axis, not two.
            return Rotation.from_quat(_canonical(rotations)).as_rotvec()
        case "quaternion_wxyz":
            return _canonical(rotations)[:, [3, 0, 1, 2]]
        case "quaternion_xyzw":
            return _canonical(rotations)
        case "rot6d":
            return _matrices(rotations)[:, :, :2].transpose(0, 2, 1).reshape(-1, 6)
        case "rot6d_rows":
            return _matrices(rotations)[:, :2, :].reshape(-1, 6)
        case "matrix":
            return _matrices(rotations).reshape(-1, 9)
        case "euler_xyz":
            with warnings.catch_warnings():
                # At a pitch of +-pi/2 SciPy warns and sets the yaw to 0, as documented above.
                warnings.filterwarnings("ignore", message="Gimbal lock")
                angles = Rotation.from_quat(_canonical(rotations)).as_euler("xyz")
            angles = np.asarray(angles, dtype=np.float64)
            return np.where(angles <= -np.pi + 1e-12, np.pi, angles)
        case _:
            raise ValueError(
                f"{representation!r} is no rotation; {suggest(representation, ROTATIONS)}"
            )


def convert_rotation(
    values: NDArray[Any], source: Representation, target: Representation
) -> NDArray[np.float64]:
    """``values`` ``(..., D)`` in another representation, ``float64 (..., D')``, angles in rad.

    Raises:
        ValueError: see :func:`read` and :func:`write`.
    """
    numbers = np.asarray(values, dtype=np.float64)
    written = write(read(numbers.reshape(-1, numbers.shape[-1]), source), target)
    return written.reshape(*numbers.shape[:-1], written.shape[-1])


def project(values: NDArray[Any], representation: Representation) -> NDArray[np.float64]:
    """``values`` ``(..., D)``, which a network made, as the rotation they are nearest to.

    Quaternions are normalised and keep their sign; rot6d is orthonormalised by Gram-Schmidt, a
    matrix in the least-squares sense, reflections included.

    Raises:
        ValueError: no rotation is nearest (a zero quaternion, parallel rot6d vectors).
    """
    numbers = np.asarray(values, dtype=np.float64)
    flat = numbers.reshape(-1, numbers.shape[-1])
    match representation:
        case "quaternion_wxyz" | "quaternion_xyzw":
            result = flat / _lengths(flat, "a quaternion of length 0 is no rotation")
        case "rot6d" | "rot6d_rows":
            result = _gram_schmidt(flat)[:, :2].reshape(-1, 6)
        case "matrix":
            left, _, right = np.linalg.svd(flat.reshape(-1, 3, 3))
            left[:, :, 2] *= np.linalg.det(left @ right)[:, None]  # least change towards det 1
            result = (left @ right).reshape(-1, 9)
        case _:
            result = flat
    return result.reshape(numbers.shape)


def random(generator: np.random.Generator, representation: Representation) -> NDArray[np.float64]:
    """One rotation, uniform over all, ``float64 (D,)``."""
    # Normalised Gaussians are uniform on the sphere of unit quaternions (Shoemake 1992).
    return write(_from_quaternion(generator.standard_normal((1, 4))), representation)[0]


def identity(count: int) -> Rotation:
    """``count`` rotations by nothing."""
    return Rotation.from_quat(np.tile([0.0, 0.0, 0.0, 1.0], (count, 1)))


def _from_quaternion(xyzw: NDArray[np.float64]) -> Rotation:
    _lengths(xyzw, "a quaternion of length 0 is no rotation")
    return Rotation.from_quat(xyzw)


def _canonical(rotations: Rotation) -> NDArray[np.float64]:
    xyzw = np.atleast_2d(np.asarray(rotations.as_quat(), dtype=np.float64))  # (N, 4)
    decisive = xyzw[:, [3, 0, 1, 2]]
    first = np.argmax(np.abs(decisive) > 1e-12, axis=1)  # w, or the first entry that is not 0
    sign = np.sign(decisive[np.arange(len(xyzw)), first])
    xyzw = xyzw * sign[:, None] + 0.0  # adding 0 turns -0 into 0
    xyzw[:, 3] = np.maximum(xyzw[:, 3], 0.0)  # a w of -1e-17 counted as 0 above
    return xyzw


def _matrices(rotations: Rotation) -> NDArray[np.float64]:
    return np.asarray(rotations.as_matrix(), dtype=np.float64).reshape(-1, 3, 3)


def _gram_schmidt(pairs: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(N, 6)``, two vectors each, to ``(N, 3, 3)`` whose rows are the orthonormal frame."""
    first, second = pairs[:, :3], pairs[:, 3:]
    first = first / _lengths(first, "rot6d: the first vector has length 0")
    second = second - np.sum(first * second, axis=1, keepdims=True) * first
    second = second / _lengths(second, "rot6d: the two vectors are parallel")
    third = np.asarray(np.cross(first, second), dtype=np.float64)
    return np.stack([first, second, third], axis=1)


def _lengths(vectors: NDArray[np.float64], message: str) -> NDArray[np.float64]:
    lengths = np.sqrt(np.sum(vectors**2, axis=1, keepdims=True))
    if (lengths < 1e-9).any():
        raise ValueError(message)
    return lengths
