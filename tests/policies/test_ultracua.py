"""The hybrid policy: it chooses, it remembers, and it plays by the policies' contract."""

from __future__ import annotations

import numpy as np
import pytest

from enactive.observations import Observation
from enactive.policies.agents.hybrid_options import Wish, read, remember, wishes
from enactive.policies.agents.ultracua import UltraCUA
from enactive.policies.policy import Policy, check_wiring
from enactive.worlds.desktop import Desktop

WORLD = Desktop.Config().build()
TOLD = "in sound set volume to 3; in mail set archive to 5"


def seen(text: str) -> Observation:
    return Observation(instruction=TOLD, text=text)


def test_it_fits_the_desktop() -> None:
    policy = UltraCUA.Config().build(WORLD.spec.accepts)
    assert isinstance(policy, Policy)
    check_wiring(policy, WORLD.spec)


def test_what_was_seen_and_told_is_believed_and_the_screen_wins() -> None:
    assert wishes(TOLD) == (Wish(app="sound", setting="volume", value=3),
                            Wish(app="mail", setting="archive", value=5))  # fmt: skip
    memory = remember((), read("desktop\nsound\nmail\nsaid 4"), ("volume", 3))
    assert memory == (("volume", 4, "told"),)
    memory = remember(memory, read("desktop\nsound\nsaid ok"), ("archive", 5))
    assert memory == (("volume", 4, "told"), ("archive", 5, "ok"))
    memory = remember(memory, read("app mail\narchive 2"), None)
    assert memory[1] == ("archive", 2, "seen")
    failed = remember((), read("desktop\nsound\nfailed: sound is not installed"), ("volume", 3))
    assert failed == ()  # a failed call is no success


def test_without_the_memory_block_only_the_screen_is_known() -> None:
    for remembers, known in ((True, 1), (False, 0)):
        policy = UltraCUA.Config(memory=remembers).build(WORLD.spec.accepts)
        memory = policy.begin(WORLD.spec.tasks[0].task(), 0)
        _, memory = policy.look(seen("app sound\nvolume 3"), memory)
        _, memory = policy.look(seen("desktop\nsound\nmail"), memory)
        assert len(memory.believed) == known


def test_arms_have_the_options_that_they_are_named_after() -> None:
    for clicks, calls in ((True, False), (False, True), (True, True)):
        policy = UltraCUA.Config(clicks=clicks, calls=calls).build(WORLD.spec.accepts)
        memory = policy.begin(WORLD.spec.tasks[0].task(), 0)
        options, _ = policy.look(seen("desktop\nsound\ndisplay\nmouse\nmail"), memory)
        words = [option.what for option in options]
        assert "done" in words
        assert ("open mail" in words) == clicks
        assert ("set_volume(3)" in words) == calls  # archive has no tool
        assert all(WORLD.spec.accepts.contains(option.action) for option in options)
        assert not any("archive(" in word for word in words)


def test_a_batch_is_its_episodes_one_by_one() -> None:
    weights = np.random.default_rng(0).normal(size=29)
    policy = UltraCUA.Config(greedy=False).build(WORLD.spec.accepts, weights)
    task = WORLD.spec.tasks[0].task()
    observations = [WORLD.reset(task, seed) for seed in range(6)]
    memories = [policy.begin(task, seed) for seed in range(6)]
    together = policy.act(observations, memories)
    for decision, observation, memory in zip(together, observations, memories, strict=True):
        alone = policy.act([observation], [memory])[0]
        assert alone.action == decision.action and alone.memory == decision.memory
        assert alone.chain is not None and alone.chain.final.content["space"] in ("screen", "calls")
        assert [token.kind for token in alone.chain.tokens] == ["reasoning", "language", "raw"]


def test_a_policy_that_may_do_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="allow one"):
        UltraCUA.Config(clicks=False, calls=False).build(WORLD.spec.accepts)
    with pytest.raises(ValueError, match=r"weights: need \(29,\)"):
        UltraCUA.Config().build(WORLD.spec.accepts, np.zeros(3))
