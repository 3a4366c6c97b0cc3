"""Any world as a benchmark of vla-eval: its harness runs the episodes, its servers decide.

In a configuration of ``vla-eval run``::

    server: {url: "ws://127.0.0.1:8000"}
    benchmarks:
      - benchmark: "enactive.serving.vla_eval_benchmark:WorldBenchmark"
        params: {world: pusht, options: {cameras: []}, tasks: [pusht]}
        episodes_per_task: 20

The initial states are those of ``enactive evaluate`` with the same first seed, and so are the seeds
that a server of ours gives its policy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from vla_eval.benchmarks.base import StepBenchmark, StepResult
from vla_eval.specs import DimSpec

from enactive.actions.spaces import VectorSpace
from enactive.configuration import from_dict
from enactive.observations import Observation
from enactive.registry import Registry
from enactive.seeding import child_seed
from enactive.serving.dimensions import action_dimensions, observation_dimensions
from enactive.serving.mapping import ObservationMap, Wired, vla_eval_map
from enactive.serving.vla_eval import POLICY_SEED
from enactive.worlds.world import World


class WorldBenchmark(StepBenchmark):
    """A registered world.

    Args:
        world: its registered name.
        options: fields of its configuration.
        tasks: names of its tasks; all of them by default.
        first_seed: seed of each task's first episode; the others follow it.
        wording: which wordings of a task are told, in turn, or only its first.
        map: where observations are in messages, as in a map's YAML file; by default vla-eval's
            habits, see :func:`~enactive.serving.mapping.vla_eval_map`.

    Raises:
        ValueError: the world's actions are no vectors, or a field is wrong.
        LookupError: there is no such world or task.
    """

    render_backends: ClassVar[frozenset[str]] = frozenset({"gpu", "cpu"})

    def __init__(
        self,
        world: str,
        options: Mapping[str, Any] | None = None,
        tasks: Sequence[str] = (),
        first_seed: int = 1_000_000,
        wording: str = "held_out",
        map: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self._world: World = from_dict(Registry("worlds").load(world), options or {}).build()
        spec = self._world.spec
        if not isinstance(spec.accepts, VectorSpace):
            raise ValueError(f"{world} does not accept vector actions")
        self._space, self._wording, self._first_seed = spec.accepts, wording, first_seed
        self._tasks = [spec.task(name) for name in tasks or [task.name for task in spec.tasks]]
        chosen = vla_eval_map(spec.observations) if map is None else from_dict(ObservationMap, map)
        self._wired = Wired(chosen, spec.observations)
        self._limit, self._steps, self._reward, self._succeeded = 0, 0, 0.0, False

    @classmethod
    def configure_render(cls, mode: str) -> dict[str, str]:
        """Worlds choose their renderer themselves; nothing is set."""
        return {}

    def get_tasks(self) -> list[dict[str, Any]]:
        return [{"name": task.name, "suite": self._world.spec.name} for task in self._tasks]

    def reset(self, task: dict[str, Any]) -> Observation:
        spec, number = self._world.spec.task(task["name"]), int(task["episode_idx"])
        wordings = {
            "held_out": spec.held_out_instructions or spec.instructions,
            "training": spec.instructions,
            "canonical": spec.instructions[:1],
        }[self._wording]
        seed = self._first_seed + number
        # The harness sends the task's plain entries on to the server when the episode begins.
        task[POLICY_SEED] = child_seed(seed, "policy", spec.name, 0)
        self._limit, self._steps, self._reward, self._succeeded = spec.max_steps, 0, 0.0, False
        return self._world.reset(spec.task(wordings[number % len(wordings)]), seed)

    def step(self, action: dict[str, Any]) -> StepResult:
        vector = np.asarray(action["actions"], dtype=np.float32)
        step = self._world.step(self._space.clip(vector))
        self._steps += 1
        self._reward += float(np.float32(step.reward))  # the precision that recordings keep
        self._succeeded = self._succeeded or step.success
        over = step.terminated or step.truncated or self._succeeded or self._steps >= self._limit
        return StepResult(obs=step.observation, reward=step.reward, done=over, info={})

    def make_obs(self, raw_obs: Observation, task: dict[str, Any]) -> dict[str, Any]:
        return self._wired.write(raw_obs)

    def get_step_result(self, step_result: StepResult) -> dict[str, Any]:
        return {"success": self._succeeded, "reward": self._reward}

    def get_metric_keys(self) -> dict[str, str]:
        return {"success": "mean", "reward": "mean"}

    def get_action_spec(self) -> dict[str, DimSpec]:
        return _specs(action_dimensions(self._space))

    def get_observation_spec(self) -> dict[str, DimSpec]:
        return _specs(observation_dimensions(self._wired))

    def get_metadata(self) -> dict[str, Any]:
        return {"max_steps": max(task.max_steps for task in self._tasks)}

    def cleanup(self) -> None:
        self._world.close()


def _specs(maps: Mapping[str, Mapping[str, Any]]) -> dict[str, DimSpec]:
    return {key: DimSpec.from_dict(dict(held)) for key, held in maps.items()}
