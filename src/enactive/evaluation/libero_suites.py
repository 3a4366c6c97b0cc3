"""LIBERO's suites and LIBERO-PRO's variants: every task from all of its official initial states."""

from __future__ import annotations

from functools import partial

from enactive.evaluation.suites import Suite


def _suite(name: str) -> Suite:
    from enactive.worlds.libero_tasks import OFFICIAL_STATES, PRO_SUITES, suite_names

    source = "Zhou et al., LIBERO-PRO (2025)" if name in PRO_SUITES else "Liu et al. (2023)"
    return Suite(
        name=name,
        world="libero",
        tasks=suite_names([name]),
        description=f"{source}, every official initial state once",
        episodes=OFFICIAL_STATES,
        wording="canonical",  # a task has one wording, that of its problem definition
    )


libero_spatial = partial(_suite, "libero_spatial")
libero_object = partial(_suite, "libero_object")
libero_goal = partial(_suite, "libero_goal")
libero_10 = partial(_suite, "libero_10")
libero_90 = partial(_suite, "libero_90")

libero_spatial_lan = partial(_suite, "libero_spatial_lan")
libero_spatial_object = partial(_suite, "libero_spatial_object")
libero_spatial_swap = partial(_suite, "libero_spatial_swap")
libero_spatial_task = partial(_suite, "libero_spatial_task")

libero_object_lan = partial(_suite, "libero_object_lan")
libero_object_object = partial(_suite, "libero_object_object")
libero_object_swap = partial(_suite, "libero_object_swap")
libero_object_task = partial(_suite, "libero_object_task")

libero_goal_lan = partial(_suite, "libero_goal_lan")
libero_goal_object = partial(_suite, "libero_goal_object")
libero_goal_swap = partial(_suite, "libero_goal_swap")
libero_goal_task = partial(_suite, "libero_goal_task")

libero_10_lan = partial(_suite, "libero_10_lan")
libero_10_object = partial(_suite, "libero_10_object")
libero_10_swap = partial(_suite, "libero_10_swap")
libero_10_task = partial(_suite, "libero_10_task")
