"""A Ray cluster: a running one, or one started on this machine for as long as it is needed."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any


def installed() -> Any:
    """Ray's module.

    Raises:
        ModuleNotFoundError: Ray is not installed.
    """
    return importlib.import_module("ray")


@contextmanager
def connected(address: str | None = None, cores: int | None = None) -> Generator[Any]:
    """Ray's module, with a cluster behind it.

    A connection that was there before is used, and left as it was.

    Args:
        address: of a running cluster, e.g. ``"auto"``; None starts one on this machine, which ends
            with the context.
        cores: how many cores the cluster on this machine may use; None for all of them.

    Raises:
        ModuleNotFoundError: Ray is not installed.
        ConnectionError: no cluster answers at ``address``.
    """
    ray = installed()
    mine = not ray.is_initialized()
    if mine:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
        local: dict[str, Any] = {}
        if not address:  # its processes find the modules that this one finds
            paths = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
            local = {"num_cpus": cores, "runtime_env": {"env_vars": paths}}
        ray.init(
            address=address or "local",
            include_dashboard=False,
            logging_level="warning",
            log_to_driver=False,
            **local,
        )
    try:
        yield ray
    finally:
        if mine:
            ray.shutdown()
