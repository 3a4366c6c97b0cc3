"""Skills of worlds that are here: what a planner can have BabyAI's agent and the robots do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from enactive.actions.chain import Chain
from enactive.actions.decision import Cost, Decision
from enactive.actions.spaces import ActionSpace
from enactive.observations import Observation, ObservationSpec, Task
from enactive.policies.agents.skills import Skill
from enactive.policies.expert import ExpertPolicy
from enactive.policies.policy import Policy
from enactive.worlds.world import WorldSpec


@dataclass(frozen=True, slots=True)
class Repeat:
    """The same action at every step."""

    space: ActionSpace
    action: Any

    @property
    def name(self) -> str:
        return "repeat"

    @property
    def consumes(self) -> ObservationSpec:
        return ObservationSpec()

    @property
    def produces(self) -> ActionSpace:
        return self.space

    def describe(self) -> Mapping[str, Any]:
        return {"policy": "repeat", "action": self.action}

    def begin(self, task: Task, seed: int) -> None:
        """It remembers nothing."""

    def act(self, observations: Sequence[Observation], memories: Sequence[None]) -> list[Decision]:
        chain = Chain.raw(self.action, source="repeat")
        return [Decision(action=self.action, chain=chain, cost=Cost()) for _ in memories]


def checkpoint_skill(
    path: Path,
    *,
    name: str,
    description: str,
    execute: int = 8,
    until: tuple[str, ...] = (),
    max_steps: int = 50,
) -> Skill:
    """A trained action model as a skill that is told what to do in words.

    Args:
        path: directory of the checkpoint, as ``enactive train`` makes them.
        name: of the tool.
        description: of the tool.
        execute: actions of each predicted chunk that are executed.
        until: events of the world at which it stops, besides success.
        max_steps: control steps after which it stops.
    """
    from enactive.models.action_model import ActionModel
    from enactive.policies.chunked import ChunkedPolicy

    model = ActionModel.load(path)
    config = ChunkedPolicy.Config(execute=min(execute, model.config.horizon))
    policy: Policy = ChunkedPolicy(config, model, label=path.name)
    words = {"type": "string", "maxLength": 200, "description": "what to do, as in its training"}
    return Skill(
        name=name,
        description=description,
        policy=lambda arguments: policy,
        properties={"instruction": words},
        instruction=lambda arguments: arguments["instruction"],
        until=until,
        max_steps=max_steps,
    )


def babyai(world: WorldSpec) -> tuple[Skill, ...]:
    """BabyAI: single movements, and its bot, which follows the episode's whole sentence."""
    from enactive.worlds.babyai import ACTIONS

    def once(name: str, description: str, action: str) -> Skill:
        policy = Repeat(ACTIONS, ACTIONS.index(action))
        return Skill(
            name=name, description=description, policy=lambda arguments: policy, max_steps=1
        )

    bot: Policy = ExpertPolicy.Config(expert="babyai", privileged="babyai").build(world)
    return (
        once("turn_left", "Turn left by 90 degrees.", "left"),
        once("turn_right", "Turn right by 90 degrees.", "right"),
        once("go_forward", "Go one cell ahead, if nothing is there.", "forward"),
        once("pick_up", "Pick up what is ahead.", "pickup"),
        once("drop", "Put down ahead what is carried.", "drop"),
        once("open", "Open or close the door ahead, or the box.", "toggle"),
        Skill(
            name="follow_instruction",
            description="Go on following the instruction, for at most 20 movements.",
            policy=lambda arguments: bot,
            until=("expert_gave_up",),
            max_steps=20,
        ),
    )


def tabletop(world: WorldSpec) -> tuple[Skill, ...]:
    """The tabletop: the expert's way in three stages, and another task of the table."""
    expert: Policy = ExpertPolicy.Config(expert="tabletop", privileged="tabletop").build(world)

    def stage(name: str, description: str, *until: str) -> Skill:
        return Skill(
            name=name, description=description, policy=lambda arguments: expert, until=until,
            max_steps=120,
        )  # fmt: skip

    return (
        stage("approach", "Move the hand to the thing that is named.", "approached_target"),
        stage("grasp", "Close the fingers on the thing that is named.", "grasped", "dropped"),
        stage("finish", "Do the rest of what is asked for.", "dropped"),
    )


def metaworld(world: WorldSpec) -> tuple[Skill, ...]:
    """Meta-World: the expert of any of its tasks, for as long as is said."""
    expert: Policy = ExpertPolicy.Config(expert="metaworld", privileged="metaworld").build(world)
    names = [task.name for task in world.tasks]
    return (
        Skill(
            name="do_task",
            description="Move as the task of that name wants it, for at most 100 control steps.",
            policy=lambda arguments: expert,
            properties={"task": {"enum": names, "description": "name of the task"}},
            task=lambda arguments: arguments["task"],
            max_steps=100,
        ),
    )
