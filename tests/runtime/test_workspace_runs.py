"""The workspace and its planners in the durable runtime: recorded, replayed, cut off, resumed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from enactive.episodes.action_log import ActionLog
from enactive.models.language_models.language_model import LanguageModel
from enactive.observations import Task
from enactive.policies.agents.experience import Experience
from enactive.policies.agents.laser import Laser
from enactive.policies.agents.metaagent import MetaAgent
from enactive.policies.agents.skill_sets import Repeat
from enactive.policies.agents.skills import SkilledWorld
from enactive.policies.agents.store import Store
from enactive.policies.expert import ExpertPolicy
from enactive.policies.policy import Policy
from enactive.runtime.agent_run import AgentRun
from enactive.runtime.replay import replay
from enactive.runtime.run import resume, run
from enactive.systems.laser_arms import proposer
from enactive.systems.metaagent_stream import model as errands_model
from enactive.worlds.babyai import BabyAI
from enactive.worlds.workspace.shop_server import ShopServer
from enactive.worlds.workspace.world import DOMAINS, Workspace


class Killed(BaseException):
    """Ends a run in the middle, as a killed process would."""


def expert_of(world: Workspace) -> Policy:
    return ExpertPolicy.Config().build(world.spec)


def test_every_task_runs_and_replays_to_equal_bits(tmp_path: Path) -> None:
    world = Workspace.Config().build()
    with ActionLog(tmp_path / "actions.sqlite") as log:
        for domain in DOMAINS.values():
            for level in range(1, len(domain.levels) + 1):
                name = domain.task_name(level)
                agent = AgentRun(
                    world=world, policy=lambda model: expert_of(world),
                    task=Task(name=name, instruction=""), seed=11,
                )  # fmt: skip
                result = anyio.run(run, agent, log, name)
                assert result.success
                again = anyio.run(replay, agent, log, name)
                assert again.equal, str(again)


def laser(model: LanguageModel) -> Policy:
    accepts = Workspace.Config(domains=(BRANCHED,), privileged=False).build().spec.accepts
    return Laser.Config(window=700, max_thoughts=40).build(model, accepts)


def metaagent(model: LanguageModel) -> Policy:
    accepts = Workspace.Config(domains=(ERRANDS,), privileged=False).build().spec.accepts
    experience = Experience(lessons="price_of: divide what it says by 100.", store=Store(("x",)))
    return MetaAgent.Config().build(model, accepts, experience=experience)


BRANCHED = "enactive.systems.laser_search:BRANCHED"
ERRANDS = "enactive.systems.metaagent_stream:ERRANDS"


@pytest.mark.parametrize(
    ("domain", "task", "policy", "model"),
    [
        (BRANCHED, "branched-4", laser, proposer(0, checks=False)),
        (ERRANDS, "errands-1", metaagent, errands_model(0)),
    ],
)
def test_planners_replay_without_asking_the_model(
    tmp_path: Path, domain: str, task: str, policy: Any, model: Any
) -> None:
    world = Workspace.Config(domains=(domain,), privileged=False).build()
    agent = AgentRun(
        world=world, policy=policy, task=Task(name=task, instruction=""), seed=4, model=model
    )
    with ActionLog(tmp_path / "actions.sqlite") as log:
        result = anyio.run(run, agent, log, "e")
        assert result.reason == "terminated" or result.final.text == '{"value": "taken"}'
        again = anyio.run(replay, agent, log, "e")
        assert again.equal and again.compared > 10, str(again)


def test_skills_run_and_replay_to_equal_bits(tmp_path: Path) -> None:
    world = SkilledWorld.Config(world=BabyAI.Config(cameras=())).build()
    follow = Repeat(world.spec.accepts, {"tool": "follow_instruction", "arguments": {}})
    agent = AgentRun(
        world=world, policy=lambda model: follow, task=Task(name="GoToObj", instruction=""), seed=3
    )
    with ActionLog(tmp_path / "actions.sqlite") as log:
        assert anyio.run(run, agent, log, "e").success
        again = anyio.run(replay, agent, log, "e")
        assert again.equal, str(again)
    world.close()


@dataclass(frozen=True, slots=True)
class Dies:
    """A policy whose process dies at its n-th decision."""

    inner: Policy
    at: list[int]
    """One entry, counted down; shared by nobody else."""

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def consumes(self) -> Any:
        return self.inner.consumes

    @property
    def produces(self) -> Any:
        return self.inner.produces

    def describe(self) -> Any:
        return self.inner.describe()

    def begin(self, task: Task, seed: int) -> Any:
        return self.inner.begin(task, seed)

    def act(self, observations: Any, memories: Any) -> Any:
        self.at[0] -= 1
        if self.at[0] < 0:
            raise Killed
        return self.inner.act(observations, memories)


@pytest.mark.parametrize("alive", [1, 2, 3, 4])
def test_an_order_is_placed_once_however_often_the_run_is_resumed(
    tmp_path: Path, alive: int
) -> None:
    task = Task(name="shop-4", instruction="")
    with ShopServer.Config(database=tmp_path / "shop.sqlite").build() as server:
        config = Workspace.Config(domains=("shop",), shop_url=server.url, shop_session="run")

        def live(going: Any, decisions: int) -> Any:
            world = config.build()
            dying = Dies(expert_of(world), [decisions])
            agent = AgentRun(world=world, policy=lambda model: dying, task=task, seed=2)
            try:
                with ActionLog(tmp_path / "actions.sqlite") as log:
                    return anyio.run(going, agent, log, "e")
            except Killed:
                return None
            finally:
                world.close()

        result = live(run, alive)
        lives = 1
        while result is None:
            # A resumed run decides again what it had decided, so it must live longer each time.
            result = live(resume, lives * alive + alive)
            lives += 1
            assert lives < 20
        assert result.success and lives > 1
        kept = httpx.get(f"{server.url}/sessions/run-shop-4-2", trust_env=False).json()
    done = [operation for operation, _ in kept["effects"]]
    assert done == ["refund_order", "add_to_cart", "place_order"]
    assert len({key for _, key in kept["effects"]}) == 3
