"""Units on a Ray cluster: one task and one core each; the same processes, only elsewhere."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from typing import Any

from enactive.evaluation.claims.process import run_to_end
from enactive.evaluation.claims.runner import Execute, Listener
from enactive.evaluation.claims.units import Record, Request


def on_ray(address: str | None = None, cores: int | None = None) -> Execute:
    """Runs units on a Ray cluster.

    The directories of the claim must be on a file system that all machines of the cluster share,
    and the same version of ``enactive`` installed on all of them.

    Args:
        address: of a running cluster, e.g. ``"auto"``; None starts one on this machine.
        cores: how many cores the cluster on this machine may use; None for all of them.

    Raises:
        ModuleNotFoundError: Ray is not installed.
    """
    ray: Any = importlib.import_module("ray")

    def execute(requests: Sequence[Request], listener: Listener) -> None:
        mine = not ray.is_initialized()
        if mine:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
            local: dict[str, Any] = {} if address else {"num_cpus": cores}
            ray.init(
                address=address or "local",
                include_dashboard=False,
                logging_level="warning",
                log_to_driver=False,
                **local,
            )
        try:
            # A failed unit is a record; a lost machine is tried again elsewhere.
            task = ray.remote(num_cpus=1, max_retries=2)(_run)
            waiting = [task.remote(request) for request in requests]
            while waiting:
                ready, waiting = ray.wait(waiting)
                for reference in ready:
                    listener(ray.get(reference))
        finally:
            if mine:
                ray.shutdown()

    return execute


def _run(request: Request) -> Record:
    return run_to_end(request)
