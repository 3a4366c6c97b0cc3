"""Timelines: what was seen in words comes back whole from the differences that the log holds."""

import dataclasses

import anyio
from tests.runtime.ledger_world import LedgerWorld, Script

from enactive.actions.digital import ChoiceSpace
from enactive.episodes.action_log import ActionLog
from enactive.observations import Observation, Task
from enactive.runtime.agent_run import AgentRun
from enactive.runtime.run import run
from enactive.runtime.timeline import timeline
from enactive.worlds.world import Step


class Page:
    """A long text in which one line changes; a world without tools."""

    def __init__(self):
        spec = dataclasses.replace(LedgerWorld().spec, accepts=ChoiceSpace(names=("on", "end")))
        self.spec, self.count, self.shown = spec, 0, []

    def reset(self, task, seed):
        return self.look()

    def look(self):
        lines = [f"line {i}" for i in range(600)]
        lines[self.count % 600] = f"changed {self.count}"
        self.shown.append("\n".join(lines))
        return Observation(text=self.shown[-1])

    def step(self, action):
        self.count += 7
        return Step(observation=self.look(), reward=0.0, terminated=action == 1, truncated=False,
                    success=action == 1)  # fmt: skip


def test_texts_of_a_page_are_told_whole(tmp_path):
    page, script = Page(), Script([0, 0, 5, 0, 1])  # 5 is no action: it is refused
    agent = AgentRun(world=page, policy=lambda model: script,
                     task=Task(name="pay", instruction="read"))  # fmt: skip
    with ActionLog(tmp_path / "actions.sqlite") as log:
        anyio.run(run, agent, log, "e")
        made = timeline(log.entries("e"))
        written = sum(len(entry.body) for entry in log.entries("e"))
    seen = [made.seen, *(one.seen for one in made.decisions if not one.refused)]
    assert seen == page.shown
    assert [bool(one.refused) for one in made.decisions] == [False, False, True, False, False]
    assert written < 0.6 * sum(map(len, page.shown))
