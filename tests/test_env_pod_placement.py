"""The pod placement environment: what is paid, what an illegal action does, padding, waiting, bad arguments."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from math import nan
from typing import Any

import gymnasium
import numpy as np
import pytest

from clustersim.baselines.kube_preemption import KubePreemption
from clustersim.cluster import GPU_SHARE, NUM_GPU
from clustersim.control import Decision
from clustersim.envs.pod_placement import PodPlacementEnv
from clustersim.errors import ClustersimError, ConfigError
from clustersim.scenarios.pod_world import REWARDS
from clustersim.traces import openb_like
from clustersim.workload import NodeTable, PodTable, PodWorkload

MODES = ("inflation", "replay")
CROWDED = {"mode": "replay", "arrival_speedup": 3000.0}
BY_MODE: dict[str, dict[str, Any]] = {"inflation": {}, "replay": CROWDED}

Pod = tuple[int, int, float, float]
"""CPU milli, GPU milli (above 1000: whole devices), arrival in seconds, duration in seconds."""


def world(gpus: list[int], pods: list[Pod], cpu_milli: int = 64_000) -> PodWorkload:
    """A cluster of nodes with that many T4 devices each, and pods."""
    nodes, count = len(gpus), len(pods)
    cpu, gpu, arrival_s, duration_s = zip(*pods, strict=True)
    whole = np.array(gpu) >= 1000
    return PodWorkload(
        "tiny",
        NodeTable(
            name=tuple(f"node-{i}" for i in range(nodes)),
            cpu_milli=np.full(nodes, cpu_milli),
            memory_mib=np.full(nodes, 65_536),
            gpu_count=np.array(gpus),
            gpu_model=tuple("T4" if n else "" for n in gpus),
        ),
        PodTable(
            name=tuple(f"pod-{i}" for i in range(count)),
            cpu_milli=np.array(cpu),
            memory_mib=np.full(count, 1024),
            num_gpu=np.where(whole, np.array(gpu) // 1000, np.array(gpu) > 0).astype(np.int64),
            gpu_milli=np.where(whole, 1000, np.array(gpu)),
            gpu_spec=((),) * count,
            qos=("LS",) * count,
            priority=np.zeros(count, dtype=np.int64),
            arrival_s=np.array(arrival_s, dtype=np.float64),
            duration_s=np.array(duration_s, dtype=np.float64),
            image=("",) * count,
            image_mib=np.zeros(count, dtype=np.int64),
        ),
    )


@cache
def small() -> PodWorkload:
    return openb_like(1, nodes=24)


def env_of(mode: str = "inflation", **options: Any) -> PodPlacementEnv:
    return PodPlacementEnv(**{"workload": small(), "nodes": 8, **BY_MODE.get(mode, {"mode": mode}), **options})


def play(env: PodPlacementEnv, seed: int, choose: Any) -> tuple[float, dict[str, Any]]:
    """The sum of rewards of an episode, and its last info."""
    _, info = env.reset(seed=seed)
    total, over = 0.0, False
    while not over:
        _, reward, over, _, info = env.step(choose(info["action_mask"]))
        total += reward
    return total, info


def at_random(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    return lambda mask: int(rng.choice(np.flatnonzero(mask)))


def first(mask: np.ndarray) -> int:
    return int(mask.argmax())


def patient(mask: np.ndarray) -> int:
    return len(mask) - 1 if mask[-1] else int(mask.argmax())


# --- rewards


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("reward", REWARDS)
def test_rewards_add_up_to_the_decrease_of_the_declared_cost(mode: str, reward: str) -> None:
    env = env_of(mode, reward=reward)
    for seed in range(3):
        env.reset(seed=seed)
        before = env.simulation.cost(reward)
        total, _ = play(env, seed, at_random(seed))
        assert total == pytest.approx(before - env.simulation.cost(reward), abs=1e-9)


@pytest.mark.parametrize("mode", MODES)
def test_every_single_reward_is_the_decrease_of_the_declared_cost(mode: str) -> None:
    env = env_of(mode, reward="shaped")
    _, info = env.reset(seed=5)
    choose, over = at_random(5), False
    while not over:
        before = env.simulation.cost("shaped")
        _, reward, over, _, info = env.step(choose(info["action_mask"]))
        assert reward == pytest.approx(before - env.simulation.cost("shaped"), abs=1e-9)


def test_allocation_rewards_of_inflation_are_the_final_allocation_in_points() -> None:
    env = env_of()
    for seed in range(3):
        total, info = play(env, seed, at_random(seed))
        assert total == pytest.approx(100 * info["allocated_gpu_milli"] / info["gpu_capacity_milli"])
        assert 50 < total <= 100


def test_fragmentation_rewards_of_inflation_are_the_fragmentation_that_was_made() -> None:
    env = env_of(reward="fragmentation")
    _, info = env.reset(seed=2)
    at_first = info["fragmented_gpu_milli"]
    total, info = play(env, 2, first)
    assert total == pytest.approx(100 * (at_first - info["fragmented_gpu_milli"]) / info["gpu_capacity_milli"])


def test_the_shaped_reward_of_inflation_charges_lost_demand_and_fragmentation() -> None:
    env = env_of(reward="shaped")
    for seed in range(3):
        _, told = env.reset(seed=seed)
        assert env.decision is not None
        offered = env.decision.subject.request
        lost_at_first = told["arrived_gpu_milli"] - int(offered[NUM_GPU] * offered[GPU_SHARE])
        total, info = play(env, seed, at_random(seed))
        lost = info["arrived_gpu_milli"] - info["allocated_gpu_milli"] - lost_at_first
        fragmented = info["fragmented_gpu_milli"] - told["fragmented_gpu_milli"]
        assert lost > 0
        assert total == pytest.approx(-100 * (lost + fragmented) / info["gpu_capacity_milli"])


def test_allocation_rewards_of_replay_charge_the_gpu_hours_that_were_pending() -> None:
    """In points of the capacity: the second pod, 1 of 2 GPUs, is left waiting for half an hour."""
    pods = [(1000, 2000 // 2, 10.0, 7200.0), (1000, 1000, 10.0, 1800.0)]
    env = PodPlacementEnv(world([2], pods), mode="replay")
    env.reset(seed=0)
    env.step(0)
    _, reward, over, _, info = env.step(1)
    assert (reward, over, info["elapsed_s"]) == (pytest.approx(-50 * 7200 / 3600), False, 7200.0)
    _, reward, over, _, info = env.step(0)
    assert (reward, over, info["elapsed_s"]) == (pytest.approx(0.0), True, 1800.0)


def test_the_allocation_and_shaped_rewards_of_replay_prefer_a_prompt_policy_to_a_lazy_one() -> None:
    prompt, lazy = ({reward: play(short_replay(reward), 1, by) for reward in REWARDS} for by in (first, patient))
    delays_s = [played["shaped"][1]["metrics"]["queueing_delay_s_mean"] for played in (prompt, lazy)]
    assert delays_s[1] > 10 * delays_s[0]
    for reward in ("allocation", "shaped"):
        assert lazy[reward][0] < 2 * prompt[reward][0] <= 0


def short_replay(reward: str) -> PodPlacementEnv:
    return PodPlacementEnv(openb_like(1, nodes=8, pods=40), reward=reward, **CROWDED)


# --- illegal actions


def illegal_actions(env: PodPlacementEnv) -> list[int]:
    infeasible = np.flatnonzero(~env.action_masks()).tolist()
    return [*infeasible, -1, -2, -len(env.action_masks()), env.rows + 1, env.rows + 2, 10**9, -(10**9)]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rows", [8, 11])
def test_an_illegal_action_is_the_declared_fallback_flagged_and_counted(mode: str, rows: int) -> None:
    env, twin = env_of(mode, rows=rows), env_of(mode, rows=rows)
    rng = np.random.default_rng(1)
    env.reset(seed=3)
    twin.reset(seed=3)
    count, over, waits = 0, False, 0
    for step in range(500):
        if over:
            break
        mask = env.action_masks()
        legal = int(rng.choice(np.flatnonzero(mask)))
        action = legal
        # Not at every step: with waiting as the fallback the episode would never get anywhere.
        if illegal := step % 3 == 0:
            options = [a for a in illegal_actions(env) if not (0 <= a < len(mask) and mask[a])]
            action = int(rng.choice(options))
            count += 1
        waiting_is_legal = mode == "replay" and bool(mask[-1])
        fallback = len(mask) - 1 if waiting_is_legal else int(mask.argmax())
        waits += illegal and waiting_is_legal
        observation, reward, over, _, info = env.step(action)
        expected, paid, ended, _, told = twin.step(fallback if illegal else legal)
        assert (info["illegal_action"], info["illegal_actions"]) == (illegal, count)
        assert (told["illegal_action"], told["illegal_actions"]) == (False, 0)
        assert (reward, over, info["time_s"]) == (paid, ended, told["time_s"])
        np.testing.assert_array_equal(observation["nodes"], expected["nodes"])
        np.testing.assert_array_equal(observation["pod"], expected["pod"])
        np.testing.assert_array_equal(info["action_mask"], told["action_mask"])
    assert count > 10
    assert (waits > 0) == (mode == "replay")
    env.reset(seed=3)
    assert env._info(False)["illegal_actions"] == 0


def test_waiting_where_nothing_could_change_is_illegal_and_places_the_pod() -> None:
    env = PodPlacementEnv(world([1, 1], [(1000, 1000, 5.0, 60.0)]), mode="replay", rows=4)
    _, info = env.reset(seed=0)
    assert info["action_mask"].tolist() == [True, True, False, False, False]
    _, _, over, _, info = env.step(4)
    assert over
    assert (info["illegal_action"], info["placed_pods"]) == (True, 1)


def test_the_row_behind_the_last_node_does_not_mean_waiting() -> None:
    """In the simulation the wait candidate comes right behind the nodes, in the environment behind the rows."""
    pods = [(1000, 500, 0.0, 60.0), (1000, 500, 30.0, 60.0)]
    env = PodPlacementEnv(world([1, 1], pods), mode="replay", rows=4)
    for action, illegal, placed in ((2, True, 1), (4, False, 1)):
        env.reset(seed=0)
        _, _, _, _, info = env.step(0)
        assert info["action_mask"].tolist() == [True, True, False, False, True]
        _, _, _, _, info = env.step(action)
        assert (info["illegal_action"], info["placed_pods"]) == (illegal, placed)


@pytest.mark.parametrize("kind", [int, np.int64, np.int32, np.uint8, np.array])
def test_an_action_may_be_any_integer(kind: Any) -> None:
    env = env_of()
    _, info = env.reset(seed=0)
    _, _, _, _, info = env.step(kind(first(info["action_mask"])))
    assert not info["illegal_action"]


# --- padding and waiting


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("flat", [False, True])
def test_rows_beyond_the_cluster_are_zero_and_masked(mode: str, flat: bool) -> None:
    padded, exact = env_of(mode, rows=13, flat=flat), env_of(mode, flat=flat)
    columns = len(padded._table.columns)
    choose = at_random(4)
    observation, info = padded.reset(seed=4)
    expected, told = exact.reset(seed=4)
    over = False
    while True:
        nodes = observation[: 13 * columns].reshape(13, -1) if flat else observation["nodes"]
        reference = expected[: 8 * columns].reshape(8, -1) if flat else expected["nodes"]
        assert not nodes[8:].any()
        np.testing.assert_array_equal(nodes[:8], reference)
        mask = info["action_mask"]
        assert mask.shape == (13 + (mode == "replay"),)
        assert not mask[8:13].any()
        np.testing.assert_array_equal(np.delete(mask, np.s_[8:13]), told["action_mask"])
        if over:
            break
        action = choose(mask)
        observation, reward, over, _, info = padded.step(action)
        expected, paid, _, _, told = exact.step(action if action < 13 else 8)
        assert reward == paid
    assert not observation.any() if flat else not observation["nodes"].any()


def test_waiting_leaves_the_pod_pending_and_it_is_offered_again() -> None:
    pods = [(1000, 1000, 0.0, 20.0), (1000, 500, 10.0, 60.0), (1000, 0, 15.0, 10.0)]
    env = PodPlacementEnv(world([2], pods), mode="replay")
    env.reset(seed=0)
    asked = []
    for action in (0, 1, 0, 1, 0):
        assert env.decision is not None
        asked.append((env.decision.time_s, str(env.decision.subject)))
        _, _, over, _, info = env.step(action)
    assert asked == [
        (0.0, "pod 'pod-0'"),
        (10.0, "pod 'pod-1'"),  # waits, also when the next pod arrives
        (15.0, "pod 'pod-2'"),
        (20.0, "pod 'pod-1'"),  # pod 0 has left; waits again
        (25.0, "pod 'pod-1'"),  # pod 2 has left
    ]
    assert over
    assert info["metrics"]["pods_pending"] == 0
    assert info["metrics"]["queueing_delay_s_mean"] == pytest.approx((0 + 15 + 0) / 3)


def test_inflation_has_no_action_for_waiting() -> None:
    assert env_of(rows=11).action_space == gymnasium.spaces.Discrete(11)
    assert env_of("replay", rows=11).action_space == gymnasium.spaces.Discrete(12)


def test_an_episode_ends_where_the_demand_does() -> None:
    _, info = play(env_of(demand_ratio=0.5), 1, first)
    assert 0.4 < info["arrived_gpu_milli"] / info["gpu_capacity_milli"] <= 0.5
    assert np.isnan(info["metrics"]["gpu_allocation_at_100"])


def test_a_world_in_which_nothing_ever_fits_is_refused_at_reset() -> None:
    env = PodPlacementEnv(world([2], [(10**6, 1000, 0.0, nan)]))
    with pytest.raises(ConfigError, match="100 episodes in a row ask nothing of role 'place'"):
        env.reset(seed=0)


def test_a_seed_whose_sample_of_nodes_asks_nothing_is_passed_over() -> None:
    env = PodPlacementEnv(world([0, 2], [(1000, 1000, 0.0, nan), (1000, 0, 0.0, nan)]), nodes=1)
    silent = [seed for seed in range(8) if env.build(seed).gpu_capacity_milli == 0]
    assert 0 < len(silent) < 8
    for seed in range(8):
        _, info = env.reset(seed=seed)
        assert info["gpu_capacity_milli"] == 2000
        assert info["action_mask"].any()


# --- the learner among other roles, and bad arguments


def test_the_question_that_waits_is_readable_and_cannot_be_tampered_with() -> None:
    env = env_of()
    env.reset(seed=0)
    decision = env.decision
    assert isinstance(decision, Decision)
    for array in (decision.mask, decision.view.cluster.cpu_free, decision.view.fragmentation.per_node):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    while decision.mask.all():
        env.step(0)
        decision = env.decision
        assert decision is not None
    blocked = int(decision.mask.argmin())
    env.action_masks()[:] = True  # the caller's copy; what is legal is the simulation's business
    assert env.step(blocked)[4]["illegal_action"]


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("render_mode", "human"),
        ("reward", "profit"),
        ("mode", "burst"),
        ("queue", "lifo"),
        ("nodes", 0),
        ("nodes", 25),
        ("nodes", -3),
        ("rows", 7),
        ("rows", 0),
        ("rows", -1),
        ("demand_ratio", 0),
        ("demand_ratio", nan),
        ("arrival_speedup", float("inf")),
        ("typical_share", 1.5),
        ("image_mib", -1),
        ("image_bandwidth_mib_s", 0.0),
        ("image_cache_mib", -1.0),
        ("demand_ratio", float("inf")),
        ("nodes", 3.5),
        ("workload", "openb-like"),
    ],
)
def test_a_bad_argument_is_named_with_its_value(argument: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=argument) as caught:
        env_of(**{argument: value})
    assert str(value) in str(caught.value)


def test_an_unknown_argument_is_named() -> None:
    with pytest.raises((TypeError, ClustersimError), match="demand_rate"):
        env_of(demand_rate=1.0)


def test_rewards_differ_between_policies_in_inflation() -> None:
    totals = [play(env_of(), 1, choose)[0] for choose in (first, at_random(1), lambda mask: int(mask.nonzero()[0][-1]))]
    assert all(abs(a - b) > 1e-6 for a, b in pairwise(totals))


def test_a_role_that_nobody_plays_is_named() -> None:
    small = openb_like(1, nodes=24)
    options = {"nodes": 4, "mode": "replay", "arrival_speedup": 30_000.0, "preemption": True}
    env = PodPlacementEnv(small, **options)
    with pytest.raises(ConfigError, match="nobody plays the role 'preempt'"):
        play_first_legal(env)
    play_first_legal(PodPlacementEnv(small, others={"preempt": KubePreemption()}, **options))


def play_first_legal(env: PodPlacementEnv) -> None:
    _, info = env.reset(seed=1)
    over = False
    while not over:
        _, _, over, _, info = env.step(int(info["action_mask"].argmax()))
    assert info["metrics"]["preemptions"] > 0
