"""Where something came from: code, configuration, seeds, packages, machine, parents."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import enactive
from enactive.configuration import config_hash, to_dict
from enactive.worlds.world import WorldSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """What an episode, dataset, checkpoint or report was made from. All values are JSON."""

    code_version: str
    """Version of ``enactive``."""
    git_commit: str | None
    """Commit of the source, where it runs from a checkout."""
    git_dirty: bool | None
    """Whether tracked files differ from that commit."""
    seeds: Mapping[str, int] = field(default_factory=dict[str, int])
    """Name to seed, e.g. ``{"run": 7}``."""
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The resolved configuration."""
    config_hash: str = ""
    packages: Mapping[str, str] = field(default_factory=dict[str, str])
    """Version of every package that ``enactive`` depends on and that is installed."""
    python: str = ""
    platform: str = ""
    """System and machine, e.g. ``"Linux-6.1-x86_64"``."""
    processor: str = ""
    cores: int = 0
    """Cores that this process may use."""
    threads: int = 0
    """PyTorch's threads if it is loaded, else 0: sums depend on it in their last bits."""
    worlds: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """World name to its version and what a picture of it depends on."""
    parents: Mapping[str, str] = field(default_factory=dict[str, str])
    """Name to content hash of what went in: datasets, checkpoints."""

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Provenance:
        """The provenance that :meth:`to_dict` described; unknown fields of later versions are
        passed over."""
        known = set(cls.__dataclass_fields__)
        return cls(**{key: value for key, value in data.items() if key in known})


def provenance(
    *,
    config: Any = None,
    seeds: Mapping[str, int] | None = None,
    worlds: Iterable[WorldSpec] = (),
    parents: Mapping[str, str] | None = None,
) -> Provenance:
    """The provenance of what is being made now.

    Args:
        config: a nested configuration dataclass, see :mod:`enactive.configuration`.
        seeds: the seeds it depends on.
        worlds: specifications of the worlds it depends on.
        parents: content hashes of the datasets and checkpoints that go in.
    """
    commit, dirty = source_state()
    return Provenance(
        code_version=enactive.__version__,
        git_commit=commit,
        git_dirty=dirty,
        seeds=dict(seeds or {}),
        config={} if config is None else to_dict(config),
        config_hash="" if config is None else config_hash(config),
        packages=package_versions(),
        python=platform.python_version(),
        platform=f"{platform.system()}-{platform.release()}-{platform.machine()}",
        processor=processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0,
        threads=torch_threads(),
        worlds={spec.name: {"version": spec.version, **dict(spec.provenance)} for spec in worlds},
        parents=dict(parents or {}),
    )


@functools.cache
def source_state() -> tuple[str | None, bool | None]:
    """Commit and dirty flag of the checkout that ``enactive`` runs from; ``(None, None)`` if it is
    installed from a package, or git is not there."""
    source = Path(enactive.__file__).resolve()
    # A virtual environment may lie inside a checkout of something else, which does not track us.
    if _git(source.parent, "ls-files", "--error-unmatch", source.name) is None:
        return None, None
    status = _git(source.parent, "status", "--porcelain", "--untracked-files=no")
    return _git(source.parent, "rev-parse", "HEAD"), None if status is None else bool(status)


def _git(directory: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(directory), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


@functools.cache
def package_versions() -> dict[str, str]:
    """Installed version of everything that ``enactive`` requires, extras included."""
    try:
        requirements = importlib.metadata.requires("enactive") or []
    except importlib.metadata.PackageNotFoundError:
        requirements = []
    names = {
        re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0] for requirement in requirements
    }
    versions: dict[str, str] = {}
    for name in sorted(names - {"enactive"}):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def processor() -> str:
    """The model of this machine's processor."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found.group(1).strip() if found else platform.processor()


def torch_threads() -> int:
    """The threads that PyTorch computes with in this process; 0 where it is not loaded."""
    torch = sys.modules.get("torch")
    return 0 if torch is None else int(torch.get_num_threads())


def file_hash(path: Path) -> str:
    """128-bit blake2b of a file's bytes, 32 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, _blake2b).hexdigest()


def _blake2b() -> Any:
    return hashlib.blake2b(digest_size=16)
