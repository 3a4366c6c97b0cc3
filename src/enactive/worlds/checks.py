"""Whether a world keeps its contract: a checker that any world can be run through.

Every finding names what was looked at, what came out, and what to change. A world that passes can
be recorded, replayed bit for bit, forked and evaluated like the built-in ones.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from enactive.observations import Task
from enactive.worlds.trials import (
    Elsewhere,
    Moment,
    Trial,
    copied,
    difference,
    follow,
    is_number,
    moved,
    outside,
    run,
    unequal,
)
from enactive.worlds.world import NotSupported, Snapshot, World, WorldSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that was looked at."""

    check: str
    """Name of the check, one of :data:`CHECKS`."""
    ok: bool
    message: str
    """What came out, with the task it was seen in."""
    fix: str = ""
    """What to change; empty where all is well."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckReport:
    """What :func:`check_world` found."""

    world: str
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether the world keeps its contract, as far as was looked."""
        return all(finding.ok for finding in self.findings)

    @property
    def failures(self) -> tuple[Finding, ...]:
        """What does not hold."""
        return tuple(finding for finding in self.findings if not finding.ok)

    def __str__(self) -> str:
        lines = [f"{self.world}: {len(self.findings)} checks, {len(self.failures)} failed"]
        for finding in self.findings:
            lines.append(f"{'ok  ' if finding.ok else 'FAIL'} {finding.check}: {finding.message}")
            if finding.fix:
                lines.append(f"     fix: {finding.fix}")
        return "\n".join(lines)


def check_world(
    world: World,
    *,
    tasks: Sequence[str] | None = None,
    steps: int = 16,
    seed: int = 0,
    limit: int = 1000,
    config: Any = None,
) -> CheckReport:
    """Look whether ``world`` keeps the contract of :class:`~enactive.worlds.world.World`.

    Args:
        world: what to look at; it is left open, in the middle of some episode.
        tasks: names of the tasks to run, by default the first two.
        steps: control steps of each trial run, at least 8.
        seed: decides seeds and actions of the trials.
        limit: longest ``max_steps`` that the truncation is looked at for; it takes so many steps.
        config: the world's configuration; when given, a world built from it in another process
            must give the same bits.

    Raises:
        KeyError: ``tasks`` names a task that the world does not declare.
        ValueError: ``steps`` is below 8.
    """
    if steps < 8:
        raise ValueError(f"steps must be at least 8, got {steps}")
    spec = world.spec
    findings: list[Finding] = []
    names = list(tasks) if tasks is not None else [task.name for task in spec.tasks[:2]]
    for name in names:
        spec.task(name)
    trials = [
        Trial(
            world=world,
            spec=spec,
            task=spec.task(name).task(),
            other=spec.task(spec.tasks[(i + 1) % len(spec.tasks)].name).task(),
            steps=steps,
            seed=seed + i,
            limit=limit if i == 0 else 0,
            config=config if i == 0 else None,
        )
        for i, name in enumerate(names)
    ]
    findings.extend(_guarded("specification", lambda: _specification(spec), spec.name))
    for trial in trials:
        for name, check in CHECKS.items():
            findings.extend(_guarded(name, lambda c=check, t=trial: c(t), trial.task.name))
    return CheckReport(world=spec.name, findings=tuple(findings))


def _specification(spec: WorldSpec) -> Iterator[Finding]:
    problems: list[str] = []
    if not spec.tasks:
        problems.append("declares no task")
    if not (math.isfinite(spec.rate_hz) and spec.rate_hz > 0):
        problems.append(f"rate_hz is {spec.rate_hz}")
    for kind, names in (
        ("tasks", [task.name for task in spec.tasks]),
        ("events", [event.name for event in spec.events]),
        ("cameras", [camera.name for camera in spec.observations.cameras]),
        ("states", [state.name for state in spec.observations.states]),
    ):
        if len(set(names)) < len(names):
            problems.append(f"{kind} hold a name twice")
    for task in spec.tasks:
        if not all(task.instructions):
            problems.append(f"task {task.name!r} has an empty instruction")
        if shared := set(task.instructions) & set(task.held_out_instructions):
            problems.append(f"task {task.name!r} holds out a training wording: {sorted(shared)}")
        if task.max_steps < 1:
            problems.append(f"task {task.name!r} has max_steps {task.max_steps}")
    try:
        json.dumps({**spec.provenance, "accepts": spec.accepts.to_dict()})
    except (TypeError, ValueError) as error:
        problems.append(f"provenance or accepts is no JSON: {error}")
    message = "; ".join(problems) or f"{len(spec.tasks)} tasks, complete and consistent"
    yield _finding("specification", not problems, message, "complete the WorldSpec")


def _determinism(trial: Trial) -> Iterator[Finding]:
    again = run(trial.world, trial.task, trial.seed, trial.actions())
    found = difference(trial.first(), again)
    yield _finding(
        "determinism", not found,
        f"{trial.task.name}, the same seed and actions twice: {found or 'equal'}",
        "draw everything random from the reset's seed, and seed the engine's own generators",
    )  # fmt: skip


def _history(trial: Trial) -> Iterator[Finding]:
    first = trial.first()
    run(trial.world, trial.task, trial.seed + 1, trial.actions("history"))
    run(trial.world, trial.other, trial.seed + 2, trial.actions("history")[:4])
    again = run(trial.world, trial.task, trial.seed, trial.actions())
    found = difference(first, again)
    yield _finding(
        "history", not found,
        f"{trial.task.name}, again after other episodes: {found or 'equal'}",
        "put everything an episode changes back at reset: engine state, model fields, attributes",
    )  # fmt: skip


def _process(trial: Trial) -> Iterator[Finding]:
    if trial.config is None:
        return
    from enactive.worlds.pool import WorldPool

    with WorldPool(trial.config, workers=1) as pool:
        again = run(Elsewhere(pool), trial.task, trial.seed, trial.actions())
    found = difference(trial.first(), again)
    yield _finding(
        "process", not found,
        f"{trial.task.name}, in another process: {found or 'equal'}",
        "depend on nothing that a process has of its own: hashes of strings, addresses, its time",
    )  # fmt: skip


def _snapshots(trial: Trial) -> Iterator[Finding]:
    world = trial.world
    if not trial.spec.snapshots:
        world.reset(trial.task, trial.seed)
        try:
            world.snapshot()
        except NotSupported:
            yield _finding("snapshots", True, "none, and the world says so", "")
        else:
            yield _finding(
                "snapshots", False, "snapshot() works though spec.snapshots is false",
                "declare snapshots=True, or raise NotSupported",
            )  # fmt: skip
        return
    actions = trial.actions()
    half = (len(trial.first()) - 1) // 2  # an episode may end on its own, after one step too
    before = run(world, trial.task, trial.seed, actions[:half])
    taken = world.snapshot()
    after = list(follow(world, actions[half:]))
    run(world, trial.other, trial.seed + 3, actions[:2])
    # Through bytes, as a file would keep it.
    back = world.restore(Snapshot(world=taken.world, payload=bytes(taken.payload)))
    found = difference(before[-1:], [Moment(copied(back), back, before[-1].step)])
    if not found:
        found = difference(after, list(follow(world, actions[half:])))
    yield _finding(
        "snapshots", not found,
        f"{trial.task.name}, restored after another episode: {found or 'equal'}",
        "the snapshot must hold every bit that decides what follows: the engine's warm starts, "
        "model fields, Python attributes, generators; else declare snapshots=False",
    )  # fmt: skip


def _observations(trial: Trial) -> Iterator[Finding]:
    problems: list[str] = []
    spec = trial.spec.observations
    declared = {
        "images": {c.name: ((c.height, c.width, 3), np.uint8) for c in spec.cameras},
        "state": {s.name: ((s.size,), np.float32) for s in spec.states},
        "privileged": {s.name: ((s.size,), np.float64) for s in spec.privileged},
    }
    for moment in trial.first():
        for part, wanted in declared.items():
            given = getattr(moment.observation, part)
            for name in sorted({*wanted, *given}):
                if name not in wanted:
                    problems.append(f"{part}[{name!r}] is not declared")
                elif name not in given:
                    problems.append(f"{part}[{name!r}] is missing")
                elif (given[name].shape, given[name].dtype) != wanted[name]:
                    shape, kind = wanted[name]
                    problems.append(
                        f"{part}[{name!r}] is {given[name].dtype} {given[name].shape}, declared "
                        f"{np.dtype(kind)} {shape}"
                    )
                elif part != "images" and not np.isfinite(given[name]).all():
                    problems.append(f"{part}[{name!r}] holds NaN or infinity")
        told = moment.observation.instruction
        if not told:
            problems.append("instruction is empty; a task without one is told the world's own")
        elif told != (trial.task.instruction or told):
            problems.append(f"instruction is {told!r}, not the task's")
    yield _finding(
        "observations", not problems,
        f"{trial.task.name}: {problems[0] if problems else 'as declared'}",
        "give what spec.observations declares, or declare what is given",
    )  # fmt: skip
    period = 1.0 / trial.spec.rate_hz
    times = [moment.observation.time for moment in trial.first()]
    late = [i for i, time in enumerate(times) if not math.isclose(time, i * period, abs_tol=1e-6)]
    yield _finding(
        "time", not late,
        f"{trial.task.name}: time is {times[late[0]]} s after {late[0]} steps of {period:.6g} s"
        if late else f"{trial.task.name}: {period:.6g} s a step",
        "observation.time counts seconds since the episode began, at spec.rate_hz",
    )  # fmt: skip
    changed = [
        i for i, moment in enumerate(trial.first()) if unequal(moment.observation, moment.kept)
    ]
    yield _finding(
        "kept", not changed,
        f"{trial.task.name}: the observation of step {changed[0]} changed afterwards"
        if changed else f"{trial.task.name}: observations stay what they were",
        "copy arrays out of buffers that later steps write to",
    )  # fmt: skip


def _actions(trial: Trial) -> Iterator[Finding]:
    world, good = trial.world, trial.actions()[0]
    problems: list[str] = []
    for name, bad in outside(trial.spec, good):
        world.reset(trial.task, trial.seed)
        try:
            world.step(bad)
        except ValueError:
            continue
        except Exception as error:
            problems.append(f"{name} raises {type(error).__name__} instead of ValueError")
        else:
            problems.append(f"{name} is executed")
    yield _finding(
        "actions", not problems,
        f"{trial.task.name}: {'; '.join(problems) or 'out-of-space actions are refused'}",
        "raise ValueError at the top of step unless spec.accepts.contains(action)",
    )  # fmt: skip


def _tasks(trial: Trial) -> Iterator[Finding]:
    strange = replace(trial.task, perturbations=("no such perturbation",))
    for what, task, wanted in (
        ("task", Task(name="no such task", instruction=""), KeyError),
        ("perturbation", strange, ValueError),
    ):
        try:
            trial.world.reset(task, 0)
        except wanted:
            problem = ""
        except Exception as error:
            problem = f"raises {type(error).__name__} instead of {wanted.__name__}"
        else:
            problem = "is accepted"
        yield _finding(
            "tasks", not problem, f"an unknown {what} {problem or 'is refused'}",
            "call spec.check_task(task) at the top of reset",
        )  # fmt: skip


def _steps(trial: Trial) -> Iterator[Finding]:
    steps = [moment.step for moment in trial.first() if moment.step is not None]
    declared = {event.name for event in trial.spec.events}
    unknown = sorted({event for step in steps for event in step.events} - declared)
    yield _finding(
        "events", not unknown,
        f"{trial.task.name}: {f'undeclared {unknown}' if unknown else 'all are declared'}",
        "declare every event in spec.events",
    )  # fmt: skip
    wrong = [
        f"{name} is {getattr(step, name)!r}"
        for step in steps
        for name in ("success", "terminated", "truncated")
        if type(getattr(step, name)) is not bool
    ]
    wrong += [f"reward is {s.reward!r}" for s in steps if not is_number(s.reward)]
    yield _finding(
        "step", not wrong,
        f"{trial.task.name}: {wrong[0] if wrong else 'plain bools and a finite reward'}",
        "convert NumPy scalars with bool() and float()",
    )  # fmt: skip


def _frames(trial: Trial) -> Iterator[Finding]:
    observations = [moment.observation for moment in trial.first()]
    lively = any(moved(observations[0], later) for later in observations[1:])
    for camera in trial.spec.observations.cameras:
        frames = [o.images[camera.name] for o in observations if camera.name in o.images]
        blank = [i for i, frame in enumerate(frames) if frame.size and (frame == frame[0, 0]).all()]
        frozen = len(frames) > 1 and all(np.array_equal(frames[0], f) for f in frames[1:])
        problem = ""
        if blank:
            problem = f"frame {blank[0]} has one colour"
        elif frozen and lively:
            problem = f"all {len(frames)} frames are the same though the state changed"
        yield _finding(
            "frames", not problem, f"{trial.task.name}, {camera.name}: {problem or 'alive'}",
            "draw after the physics step; close other renderers of the process; make the OpenGL "
            "context current before drawing; aim the camera at what moves",
        )  # fmt: skip


def _truncation(trial: Trial) -> Iterator[Finding]:
    most = trial.spec.task(trial.task.name).max_steps
    if most > trial.limit:
        return
    trial.world.reset(trial.task, trial.seed)
    actions = trial.actions()
    count, ended, terminated, truncated = 0, False, False, False
    while count < most and not ended:
        step = trial.world.step(actions[count % len(actions)])
        count += 1
        terminated, truncated = step.terminated, step.truncated
        ended = terminated or truncated
    early = truncated and not terminated and count < most
    how = "truncated" if truncated else "terminated" if ended else "still running"
    yield _finding(
        "truncation", ended and not early,
        f"{trial.task.name}: {how} after {count} of {most} steps",
        "set truncated on the step number max_steps of the task, no sooner and no later",
    )  # fmt: skip


CHECKS: dict[str, Callable[[Trial], Iterator[Finding]]] = {
    "observations": _observations,
    "step": _steps,
    "frames": _frames,
    "determinism": _determinism,
    "history": _history,
    "process": _process,
    "snapshots": _snapshots,
    "actions": _actions,
    "tasks": _tasks,
    "truncation": _truncation,
}
"""The checks that run in a task, by the name that their exceptions are reported under."""


def _finding(check: str, ok: bool, message: str, fix: str) -> Finding:
    return Finding(check=check, ok=ok, message=message, fix="" if ok else fix)


def _guarded(name: str, look: Callable[[], Iterator[Finding]], where: str) -> list[Finding]:
    """The findings of one check; an exception that the world raises is one."""
    findings: list[Finding] = []
    try:
        findings.extend(look())
    except Exception as error:
        findings.append(
            _finding(
                name, False, f"{where}: {type(error).__name__}: {error}",
                "a legal sequence of calls must not raise",
            )
        )  # fmt: skip
    return findings
