"""What a learner of DAG scheduling sees, may do and is paid."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from stage_jobs import stages

from clustersim.control import Decision
from clustersim.dag_state import expected_s
from clustersim.dags import Dag, DagWorkload, batch, uniform_machines
from clustersim.envs.dag_columns import PAIR_COLUMNS, STATE_COLUMNS, TASK_COLUMNS, Known, Pair, State, Task, known
from clustersim.envs.dag_observer import DagObserver
from clustersim.envs.dag_scheduling import DagDispatchEnv, DagSchedulingEnv, default_instances
from clustersim.errors import ConfigError

ENVIRONMENTS = {
    "order": lambda: DagSchedulingEnv(noise=0.2),
    "order-stages": lambda: DagSchedulingEnv(stages, node_rows=30, edge_rows=60),
    "order-firm": lambda: DagSchedulingEnv(stages, node_rows=30, edge_rows=60, binding="firm", max_jobs=2),
    "dispatch": lambda: DagDispatchEnv(noise=0.2),
    "dispatch-late": lambda: DagDispatchEnv(stages, node_rows=30, edge_rows=60, binding="late"),
}
every_environment = pytest.mark.parametrize("make", ENVIRONMENTS.values(), ids=ENVIRONMENTS)


def played(env: Any, seed: int, most: int) -> Iterator[tuple[Decision, dict[str, np.ndarray], np.ndarray]]:
    """Decisions, observations and masks of an episode that is played at random."""
    rng = np.random.default_rng(seed)
    seen, info = env.reset(seed=seed)
    for _ in range(most):
        yield env.decision, seen, info["action_mask"]
        seen, _, over, _, info = env.step(int(rng.choice(np.flatnonzero(info["action_mask"]))))
        if over:
            return


# --- columns


@every_environment
def test_the_kernel_and_the_columns_say_the_same_of_tasks(make: Any) -> None:
    env = make()
    for decision, seen, _ in played(env, 3, 40):
        facts = known(decision.view.problem)
        nodes = env._observer.node_of_row
        for row in np.flatnonzero(nodes >= 0):
            task = Task(decision.view, facts, decision.time_s, int(nodes[row]))
            expected = [column.function(task) for column in TASK_COLUMNS]
            np.testing.assert_allclose(seen["tasks"][row], expected, atol=1e-5)
        assert not seen["tasks"][nodes < 0].any()
        np.testing.assert_array_equal(seen["task_mask"], nodes >= 0)


def pair_of(decision: Decision, facts: Known, node: int, machine: int) -> Pair | None:
    view, now_s = decision.view, decision.time_s
    problem = view.problem

    def run_s(at: int) -> float:
        tails = (view.switch_s, view.tail_node, view.tail_job)
        return float(expected_s(node, at, problem.run_time_s, problem.warm_up_s, problem.job_of, *tails))

    def finish_s(at: int) -> float:
        return max(now_s, view.free_at_s[at], view.data_at_s[node, at]) - now_s + run_s(at)

    able = [at for at in range(problem.machines) if view.up[at] and np.isfinite(problem.run_time_s[node, at])]
    if machine not in able:
        return None
    return Pair(
        facts.scale_s,
        run_s(machine),
        min(map(run_s, able)),
        max(0.0, view.data_at_s[node, machine] - now_s),
        max(0.0, view.free_at_s[machine] - now_s),
        finish_s(machine),
        min(map(finish_s, able)),
        max(0.0, float(view.free_at_s.max()) - now_s),
        bool(view.open[machine]),
    )


@pytest.mark.parametrize("name", ["dispatch", "dispatch-late"])
def test_the_kernel_and_the_columns_say_the_same_of_pairs(name: str) -> None:
    env: Any = ENVIRONMENTS[name]()
    impossible = 0
    for decision, seen, mask in played(env, 5, 40):
        facts = known(decision.view.problem)
        pairs = seen["pairs"].reshape(env._observer.slots, env.machines, -1)
        for slot, node in enumerate(env._observer.slot_node):
            assert env._observer.node_of_row[int(seen["slot_row"][slot]) - 1] == node
            for machine in range(env.machines):
                pair = pair_of(decision, facts, int(node), machine)
                assert mask[slot * env.machines + machine] == (pair is not None)
                expected = [0.0] * len(PAIR_COLUMNS)
                if pair is None:
                    impossible += 1
                else:
                    expected = [column.function(pair) for column in PAIR_COLUMNS]
                np.testing.assert_allclose(pairs[slot, machine], expected, atol=1e-5)
        assert not seen["slot_row"][len(env._observer.slot_node) :].any()
    assert (impossible > 0) == (name == "dispatch-late")


@every_environment
def test_the_kernel_and_the_columns_say_the_same_of_the_state(make: Any) -> None:
    for decision, seen, _ in played(make(), 4, 40):
        view, facts = decision.view, known(decision.view.problem)
        jobs = Task(view, facts, decision.time_s, 0).active_jobs
        firsts = view.problem.first_node[jobs]
        work_s = sum(Task(view, facts, decision.time_s, int(node)).work_s() for node in firsts)
        wait_s = np.maximum(0, view.free_at_s - decision.time_s).mean()
        machines = len(view.up)
        state = State(len(jobs), view.open.mean(), work_s / machines, len(view.ready), float(wait_s), facts.scale_s)
        np.testing.assert_allclose(seen["state"], [column.function(state) for column in STATE_COLUMNS], atol=1e-5)


@every_environment
def test_edges_lead_from_the_row_of_a_task_to_those_of_its_successors(make: Any) -> None:
    env = make()
    some = 0
    for decision, seen, _ in played(env, 6, 20):
        problem, nodes = decision.view.problem, env._observer.node_of_row
        rows = {int(node): row for row, node in enumerate(nodes) if node >= 0}
        expected = [
            (row, rows[int(successor)])
            for node, row in rows.items()
            for successor in problem.succ[problem.succ_start[node] : problem.succ_start[node + 1]]
            if int(successor) in rows
        ]
        used = int(seen["edge_mask"].sum())
        assert seen["edge_mask"][:used].all()
        assert [tuple(edge) for edge in seen["edges"][:used].astype(int).tolist()] == expected
        some += used
    assert some


# --- rows


def test_with_too_few_rows_the_ready_tasks_come_first_and_some_action_is_always_legal() -> None:
    env = DagSchedulingEnv(stages, node_rows=4, edge_rows=3)
    overflown = 0
    for decision, seen, mask in played(env, 1, 200):
        ready = decision.view.ready
        nodes = env._observer.node_of_row
        shown = nodes[nodes >= 0]
        unfinished = int((~decision.view.finished).sum())
        overflown += unfinished > 4
        assert len(shown) == min(4, unfinished)
        assert np.isin(ready[:4], shown).all()
        assert mask.any()
        assert seen["edge_mask"].sum() <= 3
    assert overflown


@every_environment
def test_actions_and_candidates_mean_the_same(make: Any) -> None:
    env = make()
    for _, _, mask in played(env, 2, 30):
        for action in np.flatnonzero(mask):
            assert env.from_candidate(env.to_candidate(int(action))) == action
        assert env.to_candidate(-1) == env.to_candidate(10**6) == -1


def test_waiting_is_the_last_action_and_only_there_when_asked_for() -> None:
    with_wait, without = DagSchedulingEnv(wait=True), DagSchedulingEnv()
    assert with_wait.action_space.n == without.action_space.n + 1  # type: ignore[attr-defined]
    _, info = with_wait.reset(seed=1)
    # More jobs will arrive, so waiting is possible.
    assert info["action_mask"][-1]
    before_s = info["time_s"]
    _, _, _, _, info = with_wait.step(int(with_wait.action_space.n) - 1)  # type: ignore[attr-defined]
    assert info["time_s"] > before_s


# --- reward


@pytest.mark.parametrize("make", [DagSchedulingEnv, DagDispatchEnv])
@pytest.mark.parametrize("reward", ["job_time", "makespan", "energy"])
def test_rewards_add_up_to_the_declared_cost(make: Any, reward: str) -> None:
    env = make(noise=0.3, reward=reward)
    rng = np.random.default_rng(0)
    _, info = env.reset(seed=5)
    total, over = env.simulation.cost(reward), False
    while not over:
        _, paid, over, _, info = env.step(int(rng.choice(np.flatnonzero(info["action_mask"]))))
        assert paid <= 1e-9
        total -= paid
    metrics = info["metrics"]
    jobs = metrics["jobs_done"]
    expected = {
        "job_time": metrics["jct_s_mean"] * jobs,
        "makespan": metrics["makespan"],
        "energy": metrics["energy_j"],
    }[reward]
    assert total == pytest.approx(expected)


# --- misuse


def test_an_environment_says_what_is_wrong_with_its_arguments() -> None:
    for arguments, what in (
        ({"reward": "speed"}, "reward"),
        ({"node_rows": 0}, "node_rows"),
        ({"binding": "loose"}, "binding"),
        ({"noise": -1.0}, "noise"),
        ({"max_jobs": 0}, "max_jobs"),
    ):
        with pytest.raises(ConfigError, match=what):
            DagSchedulingEnv(**arguments)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="slots"):
        DagDispatchEnv(slots=0)


def test_instances_with_another_number_of_machines_are_refused() -> None:
    def growing(seed: int) -> DagWorkload:
        machines = uniform_machines(2 + seed)
        return batch(
            "growing", machines, [Dag("a", ("x",), np.ones((1, 2 + seed)), np.zeros((0, 2), int), np.zeros(0))]
        )

    env = DagSchedulingEnv(growing)
    env.reset(seed=0)
    with pytest.raises(ConfigError, match="3 machines"):
        env.reset(seed=1)


def test_an_observer_forgets_the_episode_before() -> None:
    observer = DagObserver(200, 400, 0, 4)
    env = DagSchedulingEnv(default_instances(), node_rows=200, edge_rows=400)
    for seed in (1, 2, 1):
        env.reset(seed=seed)
        decision = env.decision
        assert decision is not None
        seen = observer.look(decision)
        fresh = DagObserver(200, 400, 0, 4).look(decision)
        for name, part in fresh.items():
            np.testing.assert_array_equal(seen[name], part)
