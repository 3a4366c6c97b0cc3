"""What holds for every test: rendering without a display, one thread per process, a fixed seed."""

from __future__ import annotations

import os

# Before anything imports MuJoCo, which reads it once; tests run side by side, so one thread each.
os.environ.setdefault("MUJOCO_GL", "egl")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

from hypothesis import HealthCheck, settings

# Property tests draw the same examples on every machine; how long one takes depends on its load.
settings.register_profile(
    "enactive",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("enactive")
