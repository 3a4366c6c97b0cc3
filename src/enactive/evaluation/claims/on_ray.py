"""Units on a Ray cluster: one task and one core each; the same processes, only elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from enactive.evaluation import cluster
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
    cluster.installed()

    def execute(requests: Sequence[Request], listener: Listener) -> None:
        with cluster.connected(address, cores) as ray:
            # A failed unit is a record; a lost machine is tried again elsewhere.
            task = ray.remote(num_cpus=1, max_retries=2)(_run)
            waiting = [task.remote(request) for request in requests]
            while waiting:
                ready, waiting = ray.wait(waiting)
                for reference in ready:
                    listener(ray.get(reference))

    return execute


def _run(request: Request) -> Record:
    return run_to_end(request)
