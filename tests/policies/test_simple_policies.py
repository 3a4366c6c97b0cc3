"""Random, hold and expert policies, and the wiring check."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from reach_world import SPACE, ReachWorld, expert

from enactive.actions.spaces import VectorSpace
from enactive.observations import Camera, Observation, ObservationSpec, Task
from enactive.policies.expert import ExpertPolicy
from enactive.policies.hold import HoldPolicy
from enactive.policies.policy import Policy, WiringError, check_wiring
from enactive.policies.random_policy import RandomPolicy

LEFT = Task(name="left", instruction="go to the left")
SPEC = ReachWorld.Config().build().spec
EXPERT = ExpertPolicy.Config(expert="reach_world:expert", privileged="truth")


def run(policy: Policy, seed: int, steps: int = 8):
    world = ReachWorld.Config().build()
    observation = world.reset(LEFT, seed)
    memory = policy.begin(LEFT, seed)
    decisions = []
    for _ in range(steps):
        decision = policy.act([observation], [memory])[0]
        decisions.append(decision)
        memory = decision.memory
        observation = world.step(decision.action).observation
    return decisions


def test_random_actions_belong_to_their_episode() -> None:
    policy = RandomPolicy(SPACE)
    first, again, other = run(policy, 1), run(policy, 1), run(policy, 2)
    assert [d.action.tobytes() for d in first] == [d.action.tobytes() for d in again]
    assert all(a.action.tobytes() != b.action.tobytes() for a, b in zip(first, other, strict=True))
    assert len({d.action.tobytes() for d in first}) == len(first)
    assert all(SPACE.contains(d.action) for d in first)


def test_hold_needs_every_absolute_group() -> None:
    with pytest.raises(ValueError, match="gripper"):
        HoldPolicy(SPACE)
    with pytest.raises(ValueError, match="did you mean 'gripper'"):
        HoldPolicy(SPACE, absolute={"griper": 0.0})
    with pytest.raises(ValueError, match="out of bounds"):
        HoldPolicy(SPACE, absolute={"gripper": 3.0})
    policy = HoldPolicy(SPACE, absolute={"gripper": -1.0})
    assert [d.action.tolist() for d in run(policy, 0, 2)] == [[0, 0, 0, -1]] * 2


def test_clean_expert_is_the_expert() -> None:
    for decision in run(EXPERT.build(SPEC), 3):
        assert decision.chain.final.source == "expert"
        assert decision.action.tobytes() == decision.chain.final.array[0].tobytes()
        assert len(decision.chain.tokens) == 1


def test_noisy_expert_keeps_the_clean_action_as_the_label() -> None:
    config = replace(EXPERT, noise=0.5)
    policy = config.build(SPEC)
    world = ReachWorld.Config().build()
    observation = world.reset(LEFT, 7)
    memory = policy.begin(LEFT, 7)
    differences = []
    for _ in range(40 // 2):
        decision = policy.act([observation], [memory])[0]
        label = decision.chain.token("label")
        assert not label.chosen and label.source == "expert"
        clean = SPACE.clip(expert("left", observation.privileged["truth"]))
        assert label.array[0].tobytes() == clean.tobytes()
        assert decision.chain.final.array[0].tobytes() == decision.action.tobytes()
        assert SPACE.contains(decision.action)
        assert decision.action[3] == clean[3]  # the gripper is not disturbed
        differences.append(decision.action[:3] - clean[:3])
        memory = decision.memory
        observation = world.step(decision.action).observation
    assert 0.01 < np.std(differences) < 0.06  # half-range 0.1, clipped at the bounds
    assert [d.action.tobytes() for d in run(policy, 7)] == [
        d.action.tobytes() for d in run(config.build(SPEC), 7)
    ]


def test_held_noise_and_the_share_of_noisy_episodes() -> None:
    policy = replace(EXPERT, noise=0.3, noise_hold=4).build(SPEC)
    memory = policy.begin(LEFT, 0)
    draws = [policy._noise(replace(memory, step=step)).tobytes() for step in range(8)]
    assert len(set(draws[:4])) == len(set(draws[4:])) == 1 and draws[0] != draws[4]
    half = replace(EXPERT, noise=0.3, noise_episodes=0.5).build(SPEC)
    noisy = [half._noise(half.begin(LEFT, seed)) is not None for seed in range(200)]
    assert 70 < sum(noisy) < 130


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"noise": -1.0}, ValueError, "noise >= 0"),
        ({"privileged": "thruth"}, KeyError, "there are: truth"),
        ({"noise_groups": ("leg",)}, KeyError, "no action group"),
    ],
)
def test_expert_refusals(changes, error, message) -> None:
    with pytest.raises(error, match=message):
        replace(EXPERT, **changes).build(SPEC)


def test_wiring_lists_everything_that_does_not_fit() -> None:
    groups = (replace(SPACE.groups[0], reference="absolute"), SPACE.groups[1])
    policy = EXPERT.build(SPEC)
    check_wiring(policy, SPEC)
    other = replace(
        SPEC,
        accepts=VectorSpace(groups=groups, rate_hz=10.0),
        observations=ObservationSpec(cameras=SPEC.observations.cameras),
    )
    with pytest.raises(WiringError) as caught:
        check_wiring(policy, other)
    text = str(caught.value)
    assert "delta" in text and "absolute" in text and "truth" in text and "Fix:" in text


def test_wiring_knows_cameras(model) -> None:
    from enactive.policies.chunked import ChunkedPolicy

    policy = ChunkedPolicy.Config(execute=2).build(model)
    check_wiring(policy, SPEC)
    larger = ReachWorld.Config(size=24).build().spec
    with pytest.raises(WiringError, match="24x24"):
        check_wiring(policy, larger)
    renamed = replace(
        SPEC,
        observations=replace(
            SPEC.observations, cameras=(Camera(name="tops", height=16, width=16),)
        ),
    )
    with pytest.raises(WiringError, match="did you mean 'tops'"):
        check_wiring(policy, renamed)


def test_the_expert_is_by_default_the_worlds_own() -> None:
    pytest.importorskip("gym_pusht")
    pytest.importorskip("metaworld")
    from enactive.worlds.metaworld import MetaWorld
    from enactive.worlds.pusht import PushT

    scripted = ExpertPolicy.Config().build(MetaWorld.Config(cameras=()).build().spec)
    described = scripted.describe()
    assert described["expert"] == "enactive.worlds.metaworld_experts:expert_action"
    assert described["privileged"] == "metaworld"
    assert "version" not in described, "recorded episodes of it keep their identity"
    spec = PushT.Config(cameras=()).build().spec
    planner = ExpertPolicy.Config().build(spec)
    assert planner.describe()["version"] >= 1
    task = spec.tasks[0].task()
    truth = np.array([100.0, 100.0, 300.0, 300.0, 0.0])
    memory = planner.begin(task, 3)
    (first,) = planner.act([Observation(privileged={"pusht": truth})], [memory])
    (again,) = planner.act([Observation(privileged={"pusht": truth})], [memory])
    assert np.array_equal(first.action, again.action), "memories are values"
    assert first.memory.plan.path
    assert not memory.plan.path
    assert first.memory.step == 1


def test_a_world_without_an_expert_says_so() -> None:
    with pytest.raises(LookupError, match="no expert is called"):
        ExpertPolicy.Config().build(SPEC)
