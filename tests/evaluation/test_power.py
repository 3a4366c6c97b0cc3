"""Power against simulation of the tests that it speaks of."""

from __future__ import annotations

import numpy as np
import pytest

from enactive.cli import main
from enactive.evaluation import power
from enactive.evaluation.coverage import paired_tables
from enactive.evaluation.interval_ends import cluster_robust_ends, tango_ends
from enactive.evaluation.sequential import StoppingRule
from enactive.seeding import numpy_generator


@pytest.mark.parametrize(("tasks", "episodes"), [(6, 30), (20, 10)])
def test_clustered_power_against_simulation(tasks: int, episodes: int) -> None:
    generator = numpy_generator(0, "clustered power")
    _, plus, minus = paired_tables(generator, (0.75, 0.6), 0.25, 0.3, (1500, tasks, episodes))
    sums = plus - minus
    low, high = cluster_robust_ends(sums, np.full(sums.shape, episodes), 0.95)
    found = ((low > 0) | (high < 0)).mean()
    # The intraclass correlation that these simulated differences have, by analysis of variance.
    within = (plus + minus - sums**2 / episodes).sum() / (sums.size * (episodes - 1))
    between = episodes * (sums / episodes).var(axis=1, ddof=1).mean()
    likeness = (between - within) / (between + (episodes - 1) * within)
    discordant = (plus + minus).mean() / episodes
    better, worse = power.discordance(0.6, 0.15, 0.3)
    assert better + worse == pytest.approx(discordant, abs=0.08)
    expected = power.power_clustered(0.6, 0.15, tasks, episodes, likeness)
    assert expected == pytest.approx(found, abs=0.07)


def test_more_tasks_help_where_more_episodes_do_not() -> None:
    few = power.power_clustered(0.6, 0.15, 5, 200, 0.2)
    assert few < power.power_clustered(0.6, 0.15, 5, 2000, 0.2) + 1e-9 < few + 0.02
    assert power.power_clustered(0.6, 0.15, 40, 25, 0.2) > few + 0.3
    assert power.power_clustered(0.6, 0.0, 10, 20) == pytest.approx(0.05, abs=1e-6)
    with pytest.raises(ValueError, match="at least 2"):
        power.power_clustered(0.6, 0.1, 1, 10)
    with pytest.raises(ValueError, match="likeness"):
        power.power_clustered(0.6, 0.1, 3, 10, likeness=2.0)


@pytest.mark.parametrize(("margin", "difference"), [(0.1, 0.0), (0.15, -0.05)])
def test_non_inferiority_against_simulation(margin: float, difference: float) -> None:
    better, worse = power.discordance(0.75, difference, 0.3)
    generator = numpy_generator(0, "non-inferiority")
    draws = generator.multinomial(150, [better, worse, 1 - better - worse], size=4000)
    low, _ = tango_ends(draws[:, 0], draws[:, 1], 150, 0.9)
    expected = power.power_non_inferiority(0.75, margin, 150, difference)
    assert expected == pytest.approx((low > -margin).mean(), abs=0.05)
    with pytest.raises(ValueError, match="positive"):
        power.power_non_inferiority(0.75, 0.0, 10)


def test_what_a_sequential_comparison_takes() -> None:
    fixed = power.episodes_needed(0.6, 0.2, power=0.9)
    early = power.sequential_plan(0.6, 0.2, 2 * fixed.episodes)
    assert early.power > 0.9 and early.wrong < 0.005
    assert early.mean_pairs < early.most_pairs * 0.6
    null = power.sequential_plan(0.6, 0.0, 200)
    assert null.power + null.wrong <= 0.05 and null.mean_pairs > 190
    same = power.sequential_plan(0.9, 0.0, 200, rule=StoppingRule(margin=0.15), correlation=0.8)
    assert same.equivalent > 0.9
    mirror = power.sequential_plan(0.8, -0.2, 100)
    assert mirror.power > 0.5 and mirror.wrong < 0.01


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["evaluate", "--power", "--baseline", "0.6", "--difference", "0.2"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "episodes each see it" in said and "enactive trial stops after" in said
    assert main([*words, "--task-count", "8"]) == 0
    assert "100 episodes of each" in capsys.readouterr().out
    assert main(["evaluate", "--power", "--baseline", "0.8", "--margin", "0.05"]) == 0
    assert "loss of less than 5.0%" in capsys.readouterr().out
    assert main([*words, "--unpaired"]) == 0
    assert "enactive trial" not in capsys.readouterr().out
