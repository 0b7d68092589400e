"""Pod packing as an environment: what its columns say, its two stages, padded rows, rewards, illegal actions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clustersim.control import Decision
from clustersim.envs.packing_columns import NODES, PODS, STATE, look
from clustersim.envs.pod_packing import PodPackingEnv
from clustersim.errors import ConfigError
from clustersim.packing import NOWHERE
from clustersim.replica_sets import ReplicaSets
from clustersim.traces import openb_like

WORLDS = {
    "defaults": ReplicaSets(),
    "one-priority": ReplicaSets(4, 8, 1, 1.05),
    "overfull": ReplicaSets(3, 6, 3, 1.6),
    "one-node": ReplicaSets(1, 6, 2, 1.2),
}
every_world = pytest.mark.parametrize("name", WORLDS)


def decisions(name: str, seeds: int = 3) -> Iterator[tuple[PodPackingEnv, Decision, Any]]:
    """The environment at its decisions, with the observation, played at random to the end of its moves."""
    env = PodPackingEnv(WORLDS[name])
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        observation, _ = env.reset(seed=seed)
        while env.decision is not None:
            yield env, env.decision, observation
            legal = np.flatnonzero(env.action_masks())
            go_on = legal[legal != env.pod_rows]
            observation = env.step(int(rng.choice(go_on if len(go_on) else legal)))[0]


# --- columns


@every_world
def test_the_kernels_compute_every_column_in_the_declared_order(name: str) -> None:
    for _, decision, observation in decisions(name):
        facts = look(decision.view, decision.subject)
        for table, encoder in (("pods", PODS), ("nodes", NODES)):
            found = observation[table]
            assert found.shape[1] == len(encoder.columns)
            for column, values in zip(encoder.columns, found.T, strict=True):
                expected = [column.function(facts, row) for row in range(len(values))]
                np.testing.assert_array_equal(values, np.array(expected, dtype=np.float32), err_msg=column.name)


def plain(decision: Decision) -> dict[str, dict[str, Any]]:
    """The columns as their meanings say, in plain Python, before they are clipped to their range."""
    view, chosen = decision.view, decision.subject.pod
    pods, nodes = range(len(view.cpu)), range(len(view.cpu_free))
    cpu = [int(c) / int(view.cpu_milli.max()) for c in view.cpu]
    memory = [int(m) / int(view.memory_mib.max()) for m in view.memory]
    cpu_free = [int(c) / int(view.cpu_milli.max()) for c in view.cpu_free]
    memory_free = [int(m) / int(view.memory_mib.max()) for m in view.memory_free]
    tiers = len(view.counts)
    importance = [(tiers - int(t)) / tiers for t in view.tier]

    def fits(p: int, n: int, without: int | None = None, beside: int | None = None) -> bool:
        room = [int(view.cpu_free[n]), int(view.memory_free[n])]
        for other, sign in ((without, 1), (beside, -1)):
            if other is not None:
                room = [room[0] + sign * int(view.cpu[other]), room[1] + sign * int(view.memory[other])]
        return bool(view.cpu[p] <= room[0] and view.memory[p] <= room[1])

    pending = [p for p in pods if view.node[p] == NOWHERE]
    blocked = [p for p in pending if not any(fits(p, n) for n in nodes)]
    lack = {p: min(max(cpu[p] - cpu_free[n], memory[p] - memory_free[n]) for n in nodes) for p in blocked}
    focus = min(blocked, key=lambda p: (view.tier[p], lack[p]), default=None) if chosen is None else chosen
    movable = [p for p in pods if view.node[p] != NOWHERE and not view.settled[p]]
    unlocks = {p: [b for b in blocked if fits(b, int(view.node[p]), without=p)] for p in movable}
    unlocked = {p: max((importance[b] for b in unlocks[p]), default=0.0) for p in movable}
    touchable = [p for p in pods if p in pending or p in movable]
    others = {p: [n for n in nodes if n != view.node[p] and fits(p, n)] for p in touchable}
    lower = [p for p in movable if focus is not None and importance[p] < importance[focus]]

    def still_lacks(p: int) -> float:
        n = int(view.node[p])
        if focus is None or n == NOWHERE:
            return 0.0
        return max(cpu[focus] - cpu_free[n] - cpu[p], memory[focus] - memory_free[n] - memory[p])

    def on(n: int, which: list[int], amount: list[float]) -> float:
        return sum(amount[p] for p in which if view.node[p] == n)

    return {
        "pods": {
            "cpu": cpu,
            "memory": memory,
            "importance": importance,
            "runs": [view.node[p] != NOWHERE for p in pods],
            "settled": [view.settled[p] for p in pods],
            "evicted": [p in pending and view.home[p] != NOWHERE for p in pods],
            "chosen": [p == chosen for p in pods],
            "focus": [p == focus for p in pods],
            "fits_on": [len(others.get(p, [])) / len(nodes) for p in pods],
            "slack": [
                min(((cpu_free[n] + memory_free[n] - cpu[p] - memory[p]) / 2 for n in others.get(p, [])), default=1.0)
                for p in pods
            ],
            "lack": [lack.get(p, 0.0) for p in pods],
            "unlocks": [len(unlocks.get(p, [])) / max(1, len(blocked)) for p in pods],
            "unlocked": [unlocked.get(p, 0.0) for p in pods],
            "gain": [unlocked[p] - importance[p] if unlocks.get(p) else 0.0 for p in pods],
            "still_lacks": [still_lacks(p) for p in pods],
            "node": [(view.node[p] + 1) / 1024 for p in pods],
            "home": [(view.home[p] + 1) / 1024 for p in pods],
        },
        "nodes": {
            "fits": [focus is not None and fits(focus, n) for n in nodes],
            "cpu_free": cpu_free,
            "memory_free": memory_free,
            "cpu_after": [cpu_free[n] - (0 if focus is None else cpu[focus]) for n in nodes],
            "memory_after": [memory_free[n] - (0 if focus is None else memory[focus]) for n in nodes],
            "is_home": [focus is not None and view.home[focus] == n for n in nodes],
            "cpu_movable": [on(n, movable, cpu) for n in nodes],
            "memory_movable": [on(n, movable, memory) for n in nodes],
            "cpu_lower": [on(n, lower, cpu) for n in nodes],
            "memory_lower": [on(n, lower, memory) for n in nodes],
            "has_room": [sum(fits(p, n) for p in pending) / max(1, len(pending)) for n in nodes],
            "spoils": [
                sum(fits(p, n) and p != focus and not fits(p, n, beside=focus) for p in pending) / max(1, len(pending))
                for n in nodes
            ],
        },
        "state": {
            "stage": chosen is not None,
            "moves_left": decision.subject.moves_left / len(pods),
            "pending": len(pending) / len(pods),
            "blocked": len(blocked) / len(pods),
            "improved": int(tuple(view.counts) > tuple(view.counts_at_start))
            - int(tuple(view.counts) < tuple(view.counts_at_start)),
            "degraded": any(view.counts < view.counts_at_start),
        },
    }


@every_world
def test_the_columns_are_what_their_meanings_say(name: str) -> None:
    seen = {table: dict.fromkeys((c.name for c in encoder.columns), 0.0) for table, encoder in ENCODERS}
    for _, decision, observation in decisions(name):
        expected = plain(decision)
        for table, encoder in ENCODERS:
            assert list(expected[table]) == [column.name for column in encoder.columns]
            for k, column in enumerate(encoder.columns):
                values = np.clip(np.array(expected[table][column.name], dtype=float), column.low, column.high)
                found = observation[table][..., k]
                np.testing.assert_allclose(found, values, atol=1e-6, err_msg=f"{table} {column.name}")
                seen[table][column.name] = max(seen[table][column.name], float(np.ptp(np.append(found, 0))))
    if name == "overfull":
        assert [f"{t} {c}" for t, columns in seen.items() for c, spread in columns.items() if spread == 0] == []


ENCODERS = (("pods", PODS), ("nodes", NODES), ("state", STATE))


def test_flat_is_the_same_in_one_vector() -> None:
    tables, flat = (PodPackingEnv(ReplicaSets(4, 4), pod_rows=20, node_rows=5, flat=f) for f in (False, True))
    observation, vector = tables.reset(seed=3)[0], flat.reset(seed=3)[0]
    np.testing.assert_array_equal(vector, np.concatenate([part.ravel() for part in observation.values()]))
    assert flat.observation_space.shape == vector.shape


def test_rows_beyond_the_cluster_are_zero_and_masked_and_mean_nothing() -> None:
    small, padded = PodPackingEnv(ReplicaSets(4, 4)), PodPackingEnv(ReplicaSets(4, 4), pod_rows=19, node_rows=7)
    rng = np.random.default_rng(0)
    observation, info = small.reset(seed=1)
    wide, wide_info = padded.reset(seed=1)
    over = False
    while not over:
        np.testing.assert_array_equal(wide["pods"][:16], observation["pods"])
        np.testing.assert_array_equal(wide["nodes"][:4], observation["nodes"])
        assert not wide["pods"][16:].any()
        assert not wide["nodes"][4:].any()
        mask, wide_mask = info["action_mask"], wide_info["action_mask"]
        rows = np.r_[0:16, 19, 20:24, 27]
        np.testing.assert_array_equal(wide_mask[rows], mask)
        assert wide_mask.sum() == mask.sum()
        assert [padded.to_candidate(a) for a in rows] == list(range(22))
        assert {padded.to_candidate(a) for a in (-1, 16, 18, 24, 26, 28)} == {-1}
        k = int(rng.choice(np.flatnonzero(mask)))
        observation, reward, over, _, info = small.step(k)
        wide, wide_reward, _, _, wide_info = padded.step(int(rows[k]))
        assert reward == wide_reward


# --- stages, rewards, illegal actions


def test_choosing_a_pod_changes_nothing_yet_and_its_node_does() -> None:
    env = PodPackingEnv()
    _, info = env.reset(seed=42)
    mask = info["action_mask"]
    assert mask[env.pod_rows]  # to be done
    assert not mask[env.pod_rows + 1 :].any()
    pod = int(np.flatnonzero(mask)[0])
    before = env.decision.view.node.copy()  # type: ignore[union-attr]
    observation, reward, over, _, info = env.step(pod)
    assert (reward, over, observation["state"][0]) == (0.0, False, 1.0)
    np.testing.assert_array_equal(env.decision.view.node, before)  # type: ignore[union-attr]
    assert not info["action_mask"][: env.pod_rows + 1].any()
    evict = env.pod_rows + env.node_rows + 1
    assert info["action_mask"][evict]
    _, reward, _, _, info = env.step(evict)
    assert reward < 0
    assert env.decision.view.node[pod] == NOWHERE  # type: ignore[union-attr]
    assert info["pending_pods"] == (before == NOWHERE).sum() + 1


@pytest.mark.parametrize("reward", ["lexicographic", "shaped"])
def test_rewards_add_up_to_the_decrease_of_the_cost(reward: Any) -> None:
    env = PodPackingEnv(reward=reward)
    rng = np.random.default_rng(5)
    _, info = env.reset(seed=42)
    start, total, over = env.simulation.cost(reward), 0.0, False
    while not over:
        _, gained, over, _, info = env.step(int(rng.choice(np.flatnonzero(info["action_mask"]))))
        total += gained
    assert total == pytest.approx(start - env.simulation.cost(reward))
    assert info["metrics"]["repair_decisions"] > 2


def test_an_illegal_action_ends_the_repair_where_a_pod_is_to_be_chosen_and_else_takes_the_first_legal_node() -> None:
    env = PodPackingEnv()
    env.reset(seed=42)
    _, reward, over, _, info = env.step(env.pod_rows + 1)
    assert (reward, over, info["illegal_action"], info["illegal_actions"]) == (0.0, True, True, 1)
    _, info = env.reset(seed=42)
    pod = int(np.flatnonzero(info["action_mask"])[0])
    _, _, _, _, info = env.step(pod)
    first = int(info["action_mask"].argmax())
    _, _, over, _, info = env.step(pod)
    assert (over, info["illegal_action"]) == (False, True)
    expected = NOWHERE if first == env.pod_rows + env.node_rows + 1 else first - env.pod_rows - 1
    assert env.decision.view.node[pod] == expected  # type: ignore[union-attr]


def test_episodes_without_a_pending_pod_are_passed_over() -> None:
    env = PodPackingEnv(ReplicaSets(4, 4, usage=0.6))
    with pytest.raises(ConfigError, match="100 episodes in a row ask nothing of role 'repair'"):
        env.reset(seed=0)


def test_a_picture_shows_how_full_the_nodes_are() -> None:
    env = PodPackingEnv(render_mode="ansi")
    env.reset(seed=42)
    assert len(env.render()) == 8
    full = env.render()
    while env.decision is not None:  # evict everything that can be
        legal = np.flatnonzero(env.action_masks())
        running = [p for p in legal if p < env.pod_rows and env.decision.view.node[p] != NOWHERE]
        env.step(legal[-1] if env.decision.subject.pod is not None else (running or [env.pod_rows])[0])
    assert env.render() == "·" * 8 != full


def test_what_cannot_be_shown_is_refused() -> None:
    with pytest.raises(ConfigError, match="pod_rows is 20, but workload 'replica-sets-0' has 32 pods; set pod_rows to"):
        PodPackingEnv(pod_rows=20)
    with pytest.raises(ConfigError, match="node_rows is 7, but workload 'replica-sets-0' has 8 nodes"):
        PodPackingEnv(node_rows=7)
    with pytest.raises(ConfigError, match="at most 1023 can be told apart"):
        PodPackingEnv(node_rows=1024)
    with pytest.raises(ConfigError, match="reward is 'joy'; choose one of lexicographic, shaped"):
        PodPackingEnv(reward="joy")  # type: ignore[arg-type]

    def growing(seed: int) -> Any:
        return ReplicaSets(2 if seed == 0 else 5, 4, usage=1.3)(seed)

    with pytest.raises(ConfigError, match="set pod_rows to at least 20"):
        PodPackingEnv(growing).reset(seed=3)
    with pytest.raises(ConfigError, match=r"pods of workload .* ask for GPUs"):
        PodPackingEnv(lambda seed: openb_like(1, nodes=10, days=1)).reset(seed=0)


def test_the_page_of_environments_lists_every_column() -> None:
    page = (Path(__file__).parents[1] / "docs" / "environments.md").read_text()
    for _, encoder in ENCODERS:
        assert encoder.describe() in page
