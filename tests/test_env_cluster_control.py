"""The shared cluster as an environment: what its agents see, for PettingZoo and, role by role, for Gymnasium."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from functools import cache
from itertools import pairwise
from math import inf
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest

pytest.importorskip("pettingzoo", reason="the extra `agents` is not installed")

from test_env_multi_agent import COPIES, digest, legal, transcript, turn_transcript
from zoo_checks import api_warnings, max_cycles_test, parallel_api_test, parallel_seed_test, seed_test, state_test

from clustersim.control_workload import ControlWorkload
from clustersim.envs import cluster_control
from clustersim.envs.control_columns import TIME
from clustersim.envs.control_columns_moves import MOVE_TABLE
from clustersim.envs.control_columns_pods import NEED, NODE_COLUMNS, REQUEST
from clustersim.envs.control_columns_row import ROW, row_facts
from clustersim.envs.control_columns_service import SERVICE, service_facts
from clustersim.envs.control_columns_zone import ZONE, zone_facts, zone_size
from clustersim.envs.control_layout import BLOCKS, role_and_index
from clustersim.envs.control_render import chart
from clustersim.envs.control_role import OTHERS, ClusterControlEnv
from clustersim.errors import ConfigError
from clustersim.failures import FailureConfig
from clustersim.power import PowerConfig
from clustersim.scenarios.control_roles import CAPPER, MIGRATOR, MOVES, PLACER, ROLES, SCALER, SCALER_NOOP
from clustersim.traces.control_load import control_source

AGENTS = ("scaler_0", "scaler_1", "capper_0", "capper_1", "migrator_0", "placer_0")


@cache
def whole(seed: int) -> ControlWorkload:
    return control_source("small")(seed)


class Short:
    """The preset `small`, for some minutes only; a class, because copies and other processes unpickle it."""

    def __init__(self, duration_s: float = 300.0) -> None:
        self.duration_s = duration_s

    def __call__(self, seed: int) -> ControlWorkload:
        return replace(whole(seed), duration_s=self.duration_s)


class Uneven:
    """The preset `medium` with its first two zones put together, so that zones differ."""

    def __call__(self, seed: int) -> ControlWorkload:
        workload = control_source("medium")(seed)
        merged = np.array([0, 0, 1, 2])
        return replace(
            workload,
            zone=merged[workload.zone],
            traits=replace(workload.traits, zone=merged[workload.traits.zone]),
            services=tuple(replace(each, zone=int(merged[each.zone])) for each in workload.services),
        )


WORLD: dict[str, Any] = {"power": PowerConfig(oversubscription=0.2)}
ROUGH: dict[str, Any] = {**WORLD, "failures": FailureConfig(multiplier=20_000.0)}
"""Where nodes fail."""


def parallel(source: Any = None, **options: Any) -> Any:
    return cluster_control.parallel_env(source or Short(), **{**WORLD, **options})


def turns(source: Any = None, **options: Any) -> Any:
    return cluster_control.raw_env(source or Short(), **{**WORLD, **options})


def wrapped(**options: Any) -> Any:
    return cluster_control.env(Short(), **WORLD, **options)


def whole_transcripts() -> str:
    lines = [*transcript(parallel(), 7), *turn_transcript(turns(Short(60.0)), 7)]
    return digest("\n".join(lines))


# --- the checkers of PettingZoo


@pytest.mark.parametrize("flat", [False, True], ids=["dict", "flat"])
def test_pettingzoo_accepts_the_cluster(flat: bool) -> None:
    # A placer that never has a question is told about its zone, and zeros about the pod and the nodes.
    assert api_warnings(wrapped(flat=flat), 20) == set()
    parallel_api_test(parallel(flat=flat), num_cycles=100)
    seed_test(lambda: wrapped(flat=flat), 10)
    parallel_seed_test(lambda: parallel(flat=flat), 10)


def test_pettingzoo_accepts_the_cycles_and_the_state() -> None:
    max_cycles_test(SimpleNamespace(env=wrapped, parallel_env=parallel))
    state_test(wrapped(), parallel(), num_cycles=5)


# --- what agents see


def test_agents_are_those_of_the_simulation() -> None:
    env = parallel()
    assert tuple(env.possible_agents) == AGENTS
    env.reset(seed=1)
    assert env.simulation.agents == AGENTS


def test_every_observation_is_in_its_space_to_the_end() -> None:
    env, rng = parallel(Short(900.0), **ROUGH), np.random.default_rng(3)
    observations, infos = env.reset(seed=2)
    kept = []
    while True:
        for agent, observation in observations.items():
            assert observation in env.observation_space(agent)
            np.testing.assert_array_equal(observation["action_mask"], infos[agent]["action_mask"])
            assert infos[agent]["asked"] or observation["action_mask"].sum() == 1
        state = env.state()
        assert state in env.state_space
        assert state.dtype == np.float32
        kept.append((observations, digest(observations)))
        if not env.agents:
            break
        observations, _, _, _, infos = env.step({agent: legal(infos[agent], rng) for agent in env.agents})
    assert all(digest(seen) == before for seen, before in kept)
    assert infos["capper_0"]["metrics"]["failures"] > 0


def seen_in(env: Any, seed: int, names: dict[str, list[str]]) -> dict[str, list[np.ndarray]]:
    """What the agents of each role saw when they were asked: vectors, and rows of tables under role + "_table"."""
    rng = np.random.default_rng(seed)
    observations, infos = env.reset(seed=seed)
    found: dict[str, list[np.ndarray]] = {name: [] for name in names}
    while env.agents:
        for agent in env.agents:
            role, seen = role_and_index(agent)[0], observations[agent]["observation"]
            if infos[agent]["asked"]:
                found[role].append(seen["vector"])
                if "table" in seen:
                    found[f"{role}_table"] += [row for row in seen["table"] if row.any()]
        observations, _, _, _, infos = env.step({agent: legal(infos[agent], rng) for agent in env.agents})
    return found


def test_no_column_stands_still() -> None:
    names = {role: [column.name for block in blocks for column in block.columns] for role, blocks in BLOCKS.items()}
    names[f"{PLACER}_table"] = [column.name for column in NODE_COLUMNS]
    names[f"{MIGRATOR}_table"] = [column.name for column in MOVE_TABLE.columns]
    env = parallel(Short(1800.0), **ROUGH)
    found = [seen_in(env, seed, names) for seed in (1, 2)]
    still = {}
    for role, columns in names.items():
        seen = np.array([row for each in found for row in each[role]])
        assert seen.shape[1] == len(columns)
        still[role] = [
            name for name, least, most in zip(columns, seen.min(0), seen.max(0), strict=True) if least == most
        ]
    assert still == {
        SCALER: [],
        CAPPER: ["braked", "brakes", "nameplate"],  # both rows are oversubscribed alike, and nobody has to brake
        PLACER: ["is_choosy"],  # the pods of this source take any GPU model
        MIGRATOR: [],
        "placer_table": [],
        "migrator_table": ["is_move"],  # empty rows were left out
    }


def by_name(block: Any, facts: Any) -> dict[str, float]:
    out = block.buffer()
    block.fill(facts, out)
    assert np.isfinite(out).all()
    assert out in block.space
    return dict(zip((column.name for column in block.columns), out.tolist(), strict=True))


def test_a_row_is_seen_against_its_budget() -> None:
    row = SimpleNamespace(
        budget_w=1000.0, nameplate_w=1200.0, power_w=900.0, samples_w=np.array([500.0, 600, 650, 700, 750, 800, 850]),
        low=2, high=0, low_acting=1, high_acting=1, settled_s=inf, now_s=100.0, braked=True, brakes=2,
        low_busy=0.25, high_busy=0.5,
    )  # fmt: skip
    seen = by_name(ROW, row_facts(row))
    expected = {"power": 0.9, "sample": 0.85, "mean_40s": 0.6929, "highest_40s": 0.85}
    expected |= {"rise_2s": 0.05, "rise_10s": 0.25, "rise_40s": 0.35, "nameplate": 1.2}
    expected |= {"low": 1, "high": 0, "low_acting": 0.5, "high_acting": 1, "on_its_way": 1, "settled": 0}
    expected |= {"braked": 1, "brakes": 0.4, "low_busy": 0.25, "high_busy": 0.5}
    assert seen == pytest.approx(expected, abs=1e-4)
    row.samples_w, row.settled_s, row.power_w = np.zeros(0), 40.0, 9000.0
    seen = by_name(ROW, row_facts(row))
    assert (seen["sample"], seen["rise_40s"], seen["settled"]) == pytest.approx((1.5, 0, 0.5))  # clipped, and no past


def test_a_service_without_capacity_is_seen_in_numbers() -> None:
    service = whole(0).services[0]
    state = SimpleNamespace(
        service=service, ready=0, starting=1, pending=2, wanted=3, pool_ready=1, pool_wanted=2, now_s=5.0,
        arrival_rps=30.0, capacity_rps=0.0, backlog=10.0, in_flight=10.0, latency_s=inf,
        arrivals_mean_rps=lambda window_s: {10.0: 30.0, 60.0: 15.0, 300.0: 7.5}[window_s],
        missed_share=lambda window_s: {10.0: 1.0, 60.0: 0.5, 300.0: 0.25}[window_s],
        in_flight_mean=lambda window_s: {10.0: 8.0, 60.0: 4.0}[window_s],
        utilization_mean=lambda window_s: 0.75,
    )  # fmt: skip
    seen = by_name(SERVICE, service_facts(state, 0.5))
    of_three, most = 3 * service.replica_rps, service.max_replicas
    expected = {"load": 30 / of_three, "load_10s": 30 / of_three, "load_60s": 15 / of_three}
    expected |= {"load_300s": 7.5 / of_three, "rise": 15 / of_three, "rise_60s": 15 / of_three}
    expected |= {"rise_300s": 7.5 / of_three, "load_one_less": 45 / of_three, "load_one_more": 22.5 / of_three}
    expected |= {"overload": 4, "speed": 1, "wanted": 3 / most, "ready": 0, "starting": 1 / most, "pending": 2 / most}
    expected |= {"one_replica": 1 / 3, "pool_ready": 0.25, "pool_wanted": 0.5, "backlog": 4, "latency": 4}
    expected |= {"missed_10s": 1, "missed_60s": 0.5, "missed_300s": 0.25, "utilization_60s": 0.75, "room": 0.5}
    expected |= {"in_flight_10s": 8 / service.concurrency, "in_flight_60s": 4 / service.concurrency}
    expected |= {"work_of_slo": service.service_time_s / service.slo_s, "replica_gpu": service.gpu_milli / 1000}
    expected |= {"replica_cpu": service.cpu_milli / 16_000, "sensitivity": service.clock_sensitivity}
    clipped = {name: float(np.clip(value, -1 if "rise" in name else 0, 4)) for name, value in expected.items()}
    clipped |= {name: min(1.0, clipped[name]) for name in ("rise", "rise_60s", "rise_300s")}
    assert seen == pytest.approx(clipped, rel=1e-5)
    state.backlog = state.arrival_rps = 0.0
    seen = by_name(SERVICE, service_facts(state, 0.5))
    assert (seen["overload"], seen["backlog"]) == (0, 0)


def test_a_zone_adds_its_nodes_up() -> None:
    env, rng = parallel(**ROUGH), np.random.default_rng(0)
    _, infos = env.reset(seed=3)
    for _ in range(80):
        infos = env.step({agent: legal(infos[agent], rng) for agent in env.agents})[-1]
    view = env.simulation.zones[0].view
    size = zone_size(view)
    seen = by_name(ZONE, zone_facts(view, size, []))
    cluster, pressure = view.cluster, np.maximum(view.cpu_pressure, view.gpu_pressure)
    gpu_milli = 1000 * cluster.gpu_count.sum()
    expected = {
        "waiting": view.waiting[0] / 16,
        "cpu_free": cluster.cpu_free.sum() / cluster.cpu_capacity.sum(),
        "memory_free": cluster.memory_free.sum() / cluster.memory_capacity.sum(),
        "gpu_free": cluster.gpu_free.sum() / gpu_milli,
        "whole_free": (cluster.gpu_free == 1000).sum() / cluster.gpu_count.sum(),
        "fragmented": view.fragmentation.per_node.sum() / gpu_milli,
        "empty": (view.tenants == 0).mean(),
        "up": view.up.mean(),
        "cpu_pressure": view.cpu_pressure.mean(),
        "gpu_pressure": view.gpu_pressure.mean(),
        "crowded": (pressure > 0.9).mean(),
        "clock": view.clock.mean(),
        "hottest_row": view.row_power.max(),
        "coolest_row": view.row_power.min(),
    }
    assert {name: seen[name] for name in expected} == pytest.approx(expected, rel=1e-5, abs=1e-7)
    assert 0 < expected["gpu_free"] < 1


@pytest.mark.parametrize("block", [SERVICE, ROW, ZONE, TIME, NEED, REQUEST])
def test_columns_of_a_block_have_names_of_their_own_and_a_range(block: Any) -> None:
    names = [column.name for column in block.columns]
    assert len(set(names)) == len(names)
    assert all(column.low < column.high for column in block.columns)


def test_a_vector_is_made_of_the_blocks_of_its_agent() -> None:
    env, rng = parallel(), np.random.default_rng(0)
    observations, infos = env.reset(seed=3)
    for _ in range(60):
        observations, _, _, _, infos = env.step({agent: legal(infos[agent], rng) for agent in env.agents})
    state = env.state()
    widths = [len(block.columns) for block in (SERVICE, SERVICE, ROW, ROW, ZONE, TIME)]
    cuts = np.cumsum([0, *widths])
    search, vision, row_0, row_1, zone, time = (state[a:b] for a, b in pairwise(cuts))
    for agent, blocks in {
        "scaler_0": (search, zone, time),
        "scaler_1": (vision, zone, time),
        "capper_0": (row_0, zone, time),
        "capper_1": (row_1, zone, time),
    }.items():
        np.testing.assert_array_equal(observations[agent]["observation"]["vector"], np.concatenate(blocks))
    np.testing.assert_array_equal(observations["migrator_0"]["observation"]["vector"], np.concatenate([zone, time]))
    placer = observations["placer_0"]["observation"]["vector"]
    np.testing.assert_array_equal(placer[-len(zone) - len(time) :], np.concatenate([zone, time]))
    assert env.simulation.row(0).power_w / env.simulation.row(0).budget_w == pytest.approx(float(row_0[0]), rel=1e-6)
    service = env.simulation.services[1]
    column = [each.name for each in SERVICE.columns].index("wanted")
    assert vision[column] == pytest.approx(service.wanted / service.service.max_replicas)


def test_everybody_sees_the_zone_it_is_in() -> None:
    env = parallel(Uneven())
    _, infos = env.reset(seed=3)
    for _ in range(30):
        actions = {agent: int(info["action_mask"].argmax()) for agent, info in infos.items()}
        observations, _, _, _, infos = env.step(actions)
    state, width = env.state()[: -len(TIME.columns)], len(ZONE.columns)
    zones = state[-3 * width :].reshape(3, width)
    assert len({zone.tobytes() for zone in zones}) == 3
    workload = env.simulation.workload
    homes = {f"{SCALER}_{i}": service.zone for i, service in enumerate(workload.services)}
    homes |= {f"{CAPPER}_{row}": int(workload.zone[workload.row == row][0]) for row in range(workload.rows)}
    homes |= {f"{role}_{zone}": zone for role in (MIGRATOR, PLACER) for zone in range(3)}
    assert set(homes) == set(env.possible_agents)
    for agent, zone in homes.items():
        vector = observations[agent]["observation"]["vector"][: -len(TIME.columns)]
        np.testing.assert_array_equal(vector[-width:], zones[zone])


def test_what_an_agent_sees_of_a_replica_is_the_state_of_its_service() -> None:
    env, rng = parallel(Short(900.0)), np.random.default_rng(0)
    observations, infos = env.reset(seed=3)
    names = [column.name for column in (*REQUEST.columns, *NEED.columns)]
    replicas = 0
    while env.agents:
        question = env.episode.question("placer_0")
        if question is not None:
            seen = dict(zip(names, observations["placer_0"]["observation"]["vector"], strict=False))
            kind, *rest = question.subject.name.split("/")
            assert seen["is_replica"] == (kind == "service")
            if kind == "service":
                state = next(each for each in env.simulation.services if each.service.name == rest[0])
                assert seen["latency"] == pytest.approx(min(4.0, state.latency_s / state.service.slo_s), rel=1e-5)
                assert seen["age"] == 0
                replicas += 1
        observations, _, _, _, infos = env.step({agent: legal(infos[agent], rng) for agent in env.agents})
    assert replicas > 5


def test_rows_beyond_the_zone_are_zero_and_illegal_and_change_nothing() -> None:
    tight, wide = parallel(), parallel(rows=21)
    seen, infos = tight.reset(seed=5)
    also_seen, also_infos = wide.reset(seed=5)
    nodes = len(seen["placer_0"]["observation"]["table"])
    assert nodes == 16
    rng = np.random.default_rng(0)
    waits = 0
    while tight.agents:
        table, mask = also_seen["placer_0"]["observation"]["table"], also_infos["placer_0"]["action_mask"]
        assert not table[nodes:].any()
        assert not mask[nodes:21].any()
        np.testing.assert_array_equal(table[:nodes], seen["placer_0"]["observation"]["table"])
        np.testing.assert_array_equal(np.delete(mask, range(nodes, 21)), infos["placer_0"]["action_mask"])
        actions = {agent: legal(infos[agent], rng) for agent in tight.agents}
        same = dict(actions)
        if actions["placer_0"] == nodes:
            same["placer_0"] = 21
            waits += infos["placer_0"]["asked"]
        seen, rewards, _, _, infos = tight.step(actions)
        also_seen, also_rewards, _, _, also_infos = wide.step(same)
        assert rewards == also_rewards
    assert waits > 0
    # A padded row is no node and not the wait candidate either.
    _, infos = wide.reset(seed=5)
    while not infos["placer_0"]["asked"]:
        infos = wide.step({agent: int(info["action_mask"].argmax()) for agent, info in infos.items()})[-1]
    for padding in (nodes, nodes + 2):
        actions = {agent: int(info["action_mask"].argmax()) for agent, info in infos.items()}
        infos = wide.step({**actions, "placer_0": padding})[-1]
        assert infos["placer_0"]["illegal_action"]


def test_vectors_have_the_same_shape_on_every_cluster() -> None:
    small, medium = parallel(), cluster_control.parallel_env(preset="medium", **WORLD)
    assert len(medium.possible_agents) > len(small.possible_agents)
    for role in (SCALER, CAPPER, MIGRATOR):
        assert small.observation_space(f"{role}_0") == medium.observation_space(f"{role}_1")
    one, other = (env.observation_space("placer_0")["observation"] for env in (small, medium))
    assert one["vector"] == other["vector"]
    assert one["table"].shape[1] == other["table"].shape[1]


def test_looking_changes_nothing() -> None:
    """What is observed may split sums, which then differ in the last bits, but decides nothing."""
    env = parallel(**ROUGH)
    _, infos = env.reset(seed=4)
    while env.agents:
        env.state()
        infos = env.step({agent: int(infos[agent]["action_mask"].argmax()) for agent in env.agents})[-1]
    blind = env.game.build(4)
    while decisions := blind.control.advance_all():
        for decision in decisions:
            blind.control.still_legal(decision)
            blind.control.answer(decision, int(decision.mask.argmax()))
    assert env.simulation.log.lines() == blind.log.lines()
    assert env.simulation.metrics() == pytest.approx(blind.metrics(), rel=1e-9, nan_ok=True)


# --- what agents do


def test_the_noop_of_an_agent_without_a_question_says_what_is_so_already() -> None:
    env, rng = parallel(Short(600.0)), np.random.default_rng(0)
    _, infos = env.reset(seed=1)
    caps = set()
    while env.agents:
        for agent, info in infos.items():
            if not info["asked"]:
                (noop,) = np.flatnonzero(info["action_mask"]).tolist()
                role, index = role_and_index(agent)
                if role == CAPPER:
                    row = env.simulation.row(index)
                    assert noop == 2 * row.low + row.high
                    caps.add(noop)
                else:
                    assert noop == {SCALER: SCALER_NOOP, MIGRATOR: MOVES, PLACER: 16}[role]
        _, _, _, _, infos = env.step({agent: legal(infos[agent], rng) for agent in env.agents})
    assert len(caps) == 6


@pytest.mark.parametrize("local_share", [0.0, 0.5, 1.0])
def test_rewards_are_what_the_team_and_the_agent_are_charged(local_share: float) -> None:
    env, rng = parallel(local_share=local_share), np.random.default_rng(0)
    _, infos = env.reset(seed=4)
    start = {name: env.simulation.cost(name) for name in ("team", *AGENTS)}
    paid = dict.fromkeys(AGENTS, 0.0)
    while env.agents:
        _, rewards, _, _, infos = env.step({agent: legal(infos[agent], rng) for agent in env.agents})
        for agent, reward in rewards.items():
            paid[agent] += reward
    end = {name: env.simulation.cost(name) for name in ("team", *AGENTS)}
    for agent in AGENTS:
        charged = (1 - local_share) * (end["team"] - start["team"]) + local_share * (end[agent] - start[agent])
        assert -paid[agent] == pytest.approx(charged, rel=1e-6)
    assert sum(end[agent] for agent in AGENTS) == pytest.approx(end["team"])
    assert infos["placer_0"]["metrics"]["team_cost"] == pytest.approx(end["team"])


def test_turns_and_the_parallel_form_give_the_same_trajectory_for_the_same_actions() -> None:
    for seed in (1, 2):
        env, rng = turns(), np.random.default_rng(seed)
        env.reset(seed=seed)
        other = parallel()
        infos = other.reset(seed=seed)[1]
        while not any(env.terminations.values()):
            actions: dict[str, int] = {}
            cycle = env.episode.cycles
            while env.episode.cycles == cycle:
                agent = env.agent_selection
                actions[agent] = legal(env.infos[agent], rng)
                env.step(actions[agent])
            _, rewards, _, _, infos = other.step(actions)
            assert rewards == pytest.approx(env.rewards, abs=1e-9)
        assert not other.agents
        assert other.simulation.log.lines() == env.simulation.log.lines()
        assert infos["scaler_0"]["metrics"] == pytest.approx(env.simulation.metrics(), nan_ok=True)


# --- determinism and copies


def test_the_same_seed_plays_the_same_episode_to_its_end() -> None:
    first, second = parallel(), parallel()
    expected = list(transcript(first, 7))
    assert len(expected) > 30
    list(transcript(second, 8, most=5))
    assert list(transcript(second, 7)) == expected


@pytest.mark.long
def test_hash_seeds_and_processes_make_no_difference() -> None:
    script = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_env_cluster_control as t; "
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script + "print(t.whole_transcripts())"],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for hash_seed in ("0", "1")
    ]
    here = whole_transcripts()
    assert [process.communicate(timeout=100)[0].strip() for process in processes] == [here, here]


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_a_copy_leaves_the_running_episode_behind(copied: Any) -> None:
    env = parallel(Short(60.0))
    expected = list(transcript(env, 7))
    env.reset(seed=7)
    twin = copied(env)
    with pytest.raises(gymnasium.error.ResetNeeded):
        twin.state()
    assert list(transcript(twin, 7)) == expected


# --- misuse


def test_a_source_whose_clusters_differ_is_refused() -> None:
    class Moody(Short):
        def __call__(self, seed: int) -> ControlWorkload:
            workload = super().__call__(seed)
            return replace(workload, services=workload.services[: 1 + seed % 2])

    env = parallel(Moody())
    env.reset(seed=2)
    with pytest.raises(ConfigError, match=r"seed 3 draws .* but this environment was made for"):
        env.reset(seed=3)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"preset": "tiny"}, "tiny.*small, medium, large"),
        ({"rows": 3}, "rows is 3, but the largest zone has 16 nodes; use at least 16"),
        ({"tick_s": 0}, "tick_s is 0"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        cluster_control.parallel_env(**options)


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        cluster_control.env(colour="red")


# --- pictures


def test_the_cluster_is_drawn_as_text_and_as_pixels() -> None:
    env, rng = parallel(Short(120.0), render_mode="ansi"), np.random.default_rng(0)
    picture = parallel(Short(120.0), render_mode="rgb_array")
    _, infos = env.reset(seed=1)
    picture.reset(seed=1)
    first = picture.render()
    assert env.render().splitlines()[0] == "t = 0 s, team cost 0.0"
    while env.agents:
        actions = {agent: legal(infos[agent], rng) for agent in env.agents}
        infos = env.step(actions)[-1]
        picture.step(actions)
    text = env.render()
    assert text.startswith(f"t = {env.simulation.env.now:.0f} s, team cost")
    for line in ("zone 0, ", "row 0 [", "row 1 [", "search-0: ", "requests/s"):
        assert line in text
    last = picture.render()
    assert last.shape == first.shape
    assert last.dtype == np.uint8
    assert (last != first).any()


def test_a_chart_shows_the_highest_value_of_a_column_and_why_it_is_bad() -> None:
    no = np.zeros(3, dtype=np.bool_)
    columns = np.array([0, 0, 2])
    drawn = chart(np.array([0.5, 1.5, 0.25]), columns, 1.0, no, no)
    height = drawn.shape[0]
    red, blue, blank = drawn[-1, 0].tolist(), drawn[-1, 2].tolist(), drawn[-1, 3].tolist()
    assert len({tuple(colour) for colour in (red, blue, blank)}) == 3
    assert (drawn[:, 0] == red).all(axis=1).sum() == round(0.75 * height) - 1  # less the line of the limit
    assert (drawn[:, 1] == drawn[:, 0]).all()
    assert (drawn[:, 2] == blue).all(axis=1).sum() == round(0.125 * height)
    capped = chart(np.array([0.25]), columns[:1], 1.0, np.ones(1, np.bool_), no[:1])[-1, 0].tolist()
    assert capped not in (red, blue, blank)


# --- one role


def single(learner: str = SCALER, source: Any = None, **options: Any) -> ClusterControlEnv:
    return ClusterControlEnv(source or Short(), learner=learner, **{**WORLD, **options})


def played(env: ClusterControlEnv, seed: int) -> tuple[list[str], float, dict[str, Any]]:
    """Who was asked, the sum of the rewards, and the last info."""
    rng = np.random.default_rng(0)
    observation, info = env.reset(seed=seed)
    asked, total, over = [], 0.0, False
    while not over:
        assert observation in env.observation_space
        asked.append(info["agent"])
        observation, reward, over, _, info = env.step(legal(info, rng))
        total += reward
    assert observation in env.observation_space
    return asked, total, info


@pytest.mark.parametrize("flat", [False, True], ids=["dict", "flat"])
@pytest.mark.parametrize("learner", ROLES)
def test_a_role_plays_all_its_agents_one_after_the_other(learner: str, flat: bool) -> None:
    env = single(learner, flat=flat)
    asked, total, info = played(env, 3)
    assert set(asked) == {agent for agent in AGENTS if agent.startswith(learner)}
    assert total < 0
    assert info["agent"] == ""
    assert total == pytest.approx(
        -info["metrics"]["team_cost"], rel=0.05
    )  # all but what the first question comes after


def test_an_agent_plays_alone_while_policies_play_the_rest_of_its_role() -> None:
    env = single("capper_1")
    assert set(played(env, 3)[0]) == {"capper_1"}
    assert set(env.others) == set(ROLES)
    assert set(single(CAPPER).others) == {PLACER, SCALER, MIGRATOR}


def test_others_play_as_they_are_told() -> None:
    def policies(env: ClusterControlEnv) -> dict[str, str]:
        return {role: type(policy).__name__ for role, policy in env.others.items()}

    standard = policies(single(CAPPER))
    told = policies(single(CAPPER, others="scaler=hpa, migrator=ha"))
    assert told == {**standard, SCALER: "Hpa", MIGRATOR: "MigrateHa"}
    mine = single(CAPPER).others[PLACER]
    env = single(CAPPER, others={PLACER: mine})
    assert env.others[PLACER] is mine
    assert policies(env) == standard
    assert set(OTHERS) == set(ROLES)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"learner": "boss"}, "learner is 'boss'; choose one of placer, scaler, capper, migrator, scaler_0"),
        ({"learner": "capper_7"}, "capper_7"),
        ({"reward": "fame"}, "reward is 'fame'; choose one of team, slo_miss"),
        ({"others": "scaler=kpa", "learner": "scaler"}, "'scaler', which is the learner"),
        ({"others": "boss=fgd"}, "no role 'boss'"),
        ({"others": "placer=chance"}, "placer has no policy 'chance'"),
        ({"others": {"boss": None}}, "others names boss; the roles are"),
        ({"render_mode": "human"}, "render_mode is 'human'"),
    ],
)
def test_bad_options_of_a_role_are_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        ClusterControlEnv(Short(), **{**WORLD, **options})


@pytest.mark.parametrize("reward", ["slo_miss", "energy"])
def test_a_component_can_be_the_reward(reward: str) -> None:
    env = single(reward=reward)
    env.reset(seed=3)
    before = env.simulation.cost(reward)
    _, total, info = played(env, 3)
    assert -total == pytest.approx(info["metrics"][f"{reward}_cost"] - before)


def test_placers_of_zones_of_different_size_share_a_space() -> None:
    env = single(PLACER, source=Uneven())
    assert env.game.layout.zone_nodes == (50, 25, 25)
    assert env.action_space.n == 51
    asked = set()
    observation, info = env.reset(seed=1)
    for _ in range(120):
        asked.add(info["agent"])
        assert observation in env.observation_space
        assert len(info["action_mask"]) == env.action_space.n
        observation, _, _, _, info = env.step(int(info["action_mask"].argmax()))
        assert not info["illegal_action"]
    assert len(asked) == 3


def test_a_role_is_drawn_as_the_cluster_is() -> None:
    env = single(render_mode="ansi")
    env.reset(seed=1)
    assert env.render().startswith("t = 10 s")
