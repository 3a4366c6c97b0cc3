"""Rotation representations, all through one canonical form.

Conventions (each is also the text of :data:`enactive.actions.spaces.Representation`):

- ``axis_angle``: unit axis times angle in rad, the angle in [0, pi];
- ``quaternion_wxyz``, ``quaternion_xyzw``: unit quaternions, scalar first or last, written with
  ``w >= 0`` (at ``w = 0`` the first non-zero of x, y, z is positive), so that q and -q, which are
  the same rotation, are written the same;
- ``rot6d``: the first two columns of the matrix (Zhou et al. 2019, "On the Continuity of Rotation
  Representations", §4); ``rot6d_rows``: its first two rows (PyTorch3D's layout). Reading
  orthonormalises them by Gram-Schmidt in that order;
- ``matrix``: nine entries row by row; reading takes the nearest rotation;
- ``euler_xyz``: roll, pitch, yaw in rad about the fixed axes x, then y, then z. At a pitch of
  +-pi/2 roll and yaw are not unique; yaw is then written as 0 or as SciPy chooses.
"""
