"""The measurements behind the claim ``mce`` tell right from wrong."""

from __future__ import annotations

import anyio
import numpy as np
import pytest

from enactive.systems.mce_laws import LAWS, Flows, Published, broken_laws
from enactive.systems.mce_planners import PLANNERS, lines
from enactive.systems.mce_trials import (
    SCENARIOS,
    deepest,
    faults_in_chains,
    faults_in_planner,
)


@pytest.mark.parametrize("none", [True, False])
def test_flows_obey_laws_that_the_published_containers_break(none: bool) -> None:
    async def main() -> None:
        for algebra, lawful in ((Flows(), True), (Published(), False)):
            broken, escaped = await broken_laws(
                algebra, lambda law: np.random.default_rng(len(law)), 30, none
            )
            assert broken.keys() == LAWS.keys()
            assert (sum(broken.values()) == 0) is lawful
            assert (escaped == 0) is lawful

    anyio.run(main)


def test_defects_of_the_published_containers_are_there() -> None:
    """So that the control arm is what it is said to be."""

    async def main() -> None:
        planner = await faults_in_planner("published")
        chains = await faults_in_chains("published", np.random.default_rng(0), 40)
        assert planner.waited == 1.0, "it waits for the slow branch"
        assert planner.told < planner.expected, "one error hides another"
        assert chains.escaped and chains.wrong_states
        assert await deepest("published", (100, 3_000)) == 100

    anyio.run(main)


@pytest.mark.parametrize("arm", ["flows", "plain asyncio"])
def test_both_careful_planners_get_every_scenario_right(arm: str) -> None:
    async def main() -> None:
        found = await faults_in_planner(arm)
        assert found.trials == len(SCENARIOS) and found.named == len(SCENARIOS)
        assert (found.later_steps, found.wrong_states, found.escaped) == (0, 0, 0)
        assert found.told == found.expected > 8 and found.waited < 0.5
        chains = await faults_in_chains(arm, np.random.default_rng(0), 20)
        assert (chains.later_steps, chains.wrong_states, chains.escaped) == (0, 0, 0)

    anyio.run(main)


def test_lines_are_counted_as_python_lays_them_out() -> None:
    def two(
        x: int,
    ) -> int:
        """Not counted."""

        return x  # nor this

    assert lines(two) == 2
    for versions in PLANNERS.values():
        assert versions.error_lines == lines(versions.full) - lines(versions.happy) + sum(
            map(lines, versions.helpers)
        )
