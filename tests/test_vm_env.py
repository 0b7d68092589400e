"""VM rescheduling as an environment: its two stages, masks by plain rules, rewards, tables that follow the moves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from vm_worlds import fleet

from clustersim.control import Decision
from clustersim.envs.encoding import table as described
from clustersim.envs.vm_columns import MACHINES, STATE, VMS, Game, Moments, Pair, Scale
from clustersim.envs.vm_rescheduling import VmReschedulingEnv
from clustersim.envs.vm_standard import Standardisation, plain, standardisation
from clustersim.errors import ConfigError
from clustersim.traces.vm_like import VmLike
from clustersim.vm_fleet import Snapshot
from clustersim.vm_life import FleetLife, still

WORLDS: dict[str, dict[str, Any]] = {
    "free": {"machines": 5},
    "host-sets": {"machines": 5, "sets": 6},
    "rack-sets": {"machines": 8, "sets": 4, "level": "rack"},
    "immovable": {"machines": 5, "immovable": 0.4, "inactive": 1},
    "all": {"machines": 6, "sets": 8, "immovable": 0.2, "inactive": 1},
}
every_world = pytest.mark.parametrize("world", WORLDS)


def fleets(world: str, count: int = 8) -> list[Snapshot]:
    return [fleet(seed, **WORLDS[world]) for seed in range(count)]


def living(seed: int) -> FleetLife:
    """Half of the VMs exit within 100 s, and as many arrive, of which a third exits again."""
    rng = np.random.default_rng(seed)
    snapshot = fleet(seed, machines=6, sets=4)
    exit_s = np.where(rng.random(len(snapshot)) < 0.5, rng.uniform(0, 100, len(snapshot)), np.inf)
    arrivals = len(snapshot) // 2
    lifetime_s = np.where(rng.random(arrivals) < 0.3, rng.uniform(1, 50, arrivals), np.inf)
    return FleetLife(snapshot, exit_s, np.sort(rng.uniform(0, 100, arrivals)), rng.integers(0, 4, arrivals), lifetime_s)


def played(env: VmReschedulingEnv, seeds: int, **options: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Observation, reward and info of every step at random, the reset included."""
    rng = np.random.default_rng(0)
    for seed in range(seeds):
        observation, info = env.reset(seed=seed, **options)
        reward = 0.0
        while True:
            yield observation, reward, info
            if env.decision is None:
                break
            action = int(rng.choice(np.flatnonzero(info["action_mask"])))
            observation, reward, _, _, info = env.step(action)


# --- the two stages


@every_world
def test_an_episode_is_exactly_twice_mnl_steps_first_a_vm_then_its_machine(world: str) -> None:
    env = VmReschedulingEnv(fleets(world), mnl=7, vm_rows=60, pm_rows=9)
    for seed in range(4):
        _, info = env.reset(seed=seed)
        rng = np.random.default_rng(seed)
        for step in range(14):
            shown = np.flatnonzero(info["action_mask"])
            assert (shown >= 60).all() == (step % 2 == 1)
            _, _, over, _, info = env.step(int(rng.choice(shown)))
            assert over == (step == 13)
        assert info["steps"] == 7
        assert info["moves"] <= 7


def test_an_episode_ends_early_only_where_nothing_can_be_moved_any_more() -> None:
    whole = fleet(0, machines=4)
    only = np.zeros(len(whole), dtype=bool)
    nobody = VmReschedulingEnv([replace(whole, movable=only)], mnl=3)
    with pytest.raises(ConfigError, match="100 episodes in a row ask nothing of role 'vm' or 'pm'"):
        nobody.reset(seed=0)


def test_a_vm_that_stays_at_home_earns_nothing_and_moves_nothing_but_uses_up_a_step() -> None:
    env = VmReschedulingEnv(mnl=3)
    first, info = env.reset(seed=2)
    for _ in range(3):
        env.step(int(info["action_mask"].argmax()))
        assert env.home is not None
        observation, reward, over, _, info = env.step(env.vm_rows + env.home)
        assert reward == 0.0
        if not over:
            for table in ("machines", "vms", "machine_of_vm"):
                np.testing.assert_array_equal(observation[table], first[table])
    assert over
    assert info["metrics"]["moves"] == 0
    assert info["steps"] == 3


def plain_rules(snapshot: Snapshot) -> Any:
    """A function that tells, in plain Python, to which other machines each VM may go, from where all VMs are."""
    cores, memory = snapshot.shapes.cores.tolist(), snapshot.shapes.memory_mib.tolist()
    double, shape = snapshot.shapes.double.tolist(), snapshot.shape.tolist()
    machines, rack = range(len(snapshot.machines)), snapshot.machines.rack.tolist()
    movable, active = snapshot.movable.tolist(), snapshot.machines.active.tolist()

    def nodes(vm: int, numa: list[int]) -> tuple[int, ...]:
        return (0, 1) if double[shape[vm]] else (numa[vm],)

    all_cores = snapshot.machines.cores.tolist()
    all_memory = snapshot.free_memory_mib.tolist()
    first_numa = snapshot.numa.tolist()
    for vm, pm in enumerate(snapshot.host.tolist()):
        for node in nodes(vm, first_numa):
            all_memory[pm][node] += memory[shape[vm]]

    def reachable(host: list[int], numa: list[int]) -> list[set[int]]:
        free = [list(each) for each in all_cores]
        free_memory = [list(each) for each in all_memory]
        for vm, pm in enumerate(host):
            for node in nodes(vm, numa):
                free[pm][node] -= cores[shape[vm]]
                free_memory[pm][node] -= memory[shape[vm]]
        found: list[set[int]] = [set() for _ in host]
        for vm, home in enumerate(host):
            if not movable[vm]:
                continue
            need, need_mib = cores[shape[vm]], memory[shape[vm]]
            for pm in machines:
                room = [free[pm][node] >= need and free_memory[pm][node] >= need_mib for node in (0, 1)]
                if active[pm] and pm != home and (all(room) if double[shape[vm]] else any(room)):
                    found[vm].add(pm)
        for group in snapshot.anti_affinity:
            for vm in group.vms:
                for other in group.vms:
                    if other != vm and group.level == "host":
                        found[vm].discard(host[other])
                    elif other != vm:
                        found[vm] -= {pm for pm in machines if rack[pm] == rack[host[other]]}
        return found

    return reachable


def test_masks_are_what_plain_rules_say_in_ten_thousand_states() -> None:
    states = 0
    rng = np.random.default_rng(1)
    for world in WORLDS:
        known = fleets(world, 40)
        rules = [plain_rules(snapshot) for snapshot in known]
        env = VmReschedulingEnv(known, mnl=10, pm_rows=9)
        for seed in range(len(known) * 5):
            _, info = env.reset(seed=seed)
            snapshot, vms = known[seed % len(known)], env.vm_rows
            while env.decision is not None:
                state = env.decision.view.state
                expected = rules[seed % len(known)](state.host.tolist(), state.numa.tolist())
                mask = info["action_mask"]
                assert not mask[vms:].any()
                assert mask[: len(snapshot)].tolist() == [bool(machines) for machines in expected]
                assert not mask[len(snapshot) : vms].any()
                vm = int(rng.choice(np.flatnonzero(mask)))
                ahead = env.pm_mask(vm)
                _, _, _, _, info = env.step(vm)
                mask = info["action_mask"]
                assert not mask[:vms].any()
                assert set(np.flatnonzero(mask[vms:]).tolist()) == expected[vm] | {int(state.host[vm])}
                np.testing.assert_array_equal(mask[vms:], ahead)
                _, _, _, _, info = env.step(int(rng.choice(np.flatnonzero(mask))))
                states += 1
    assert states >= 10_000


def test_pm_mask_shows_nothing_for_a_vm_that_may_not_be_picked() -> None:
    snapshot = fleets("immovable")[0]
    env = VmReschedulingEnv([snapshot], mnl=2)
    assert not env.pm_mask(0).any()
    env.reset(seed=0)
    for vm in (-1, int(snapshot.movable.argmin()), len(snapshot), 10**6):
        assert not env.pm_mask(vm).any()


# --- rewards


@pytest.mark.parametrize("flavour_cores", [16, 8])
@every_world
def test_rewards_are_exactly_the_fragments_removed_in_units_of_eight_flavours(world: str, flavour_cores: int) -> None:
    env = VmReschedulingEnv(fleets(world), mnl=9, flavour_cores=flavour_cores)
    moved = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        _, info = env.reset(seed=seed)
        simulation: Any = env.simulation
        free = int(simulation.state.free_cores.sum())
        rates = [Fraction(int((simulation.state.free_cores % flavour_cores).sum()), free)]
        rewards = []
        while env.decision is not None:
            _, reward, _, _, info = env.step(int(rng.choice(np.flatnonzero(info["action_mask"]))))
            rewards.append(reward)
        rates.append(Fraction(int((simulation.state.free_cores % flavour_cores).sum()), free))
        assert not any(rewards[::2])
        assert rates[1] == rates[0] - 8 * flavour_cores * sum(map(Fraction, rewards)) / free
        metrics = info["metrics"]
        assert (metrics["initial_fragment_rate"], metrics["fragment_rate"]) == tuple(map(float, rates))
        moved += rates[0] != rates[1]
    assert moved > 2


def test_the_fragment_rate_of_the_fleet_can_be_paid_instead() -> None:
    env = VmReschedulingEnv(fleets("free"), mnl=6, reward="fragment_rate")
    changed = 0
    for _, reward, info in played(env, 8):
        if "metrics" in info:  # the fleet changes when the plan is carried out
            metrics = info["metrics"]
            assert reward == pytest.approx(metrics["initial_fragment_rate"] - metrics["fragment_rate"])
            changed += reward != 0
        else:
            assert reward == 0
    assert changed > 0


# --- illegal actions


def test_illegal_actions_are_answered_with_the_first_vm_or_with_staying_and_counted() -> None:
    env = VmReschedulingEnv(fleets("all"), mnl=5, pm_rows=9)
    _, info = env.reset(seed=0)
    first = int(info["action_mask"].argmax())
    for count, nonsense in enumerate((-1, env.vm_rows, env.vm_rows + env.pm_rows, 10**6), start=1):
        _, _, _, _, info = env.step(nonsense)
        assert (info["illegal_action"], info["illegal_actions"]) == (True, 2 * count - 1)
        assert env.decision is not None
        assert env.decision.view.chosen == first
        closed = int(np.flatnonzero(~info["action_mask"][env.vm_rows :])[-1])
        _, reward, _, _, info = env.step((0, env.vm_rows + closed)[count % 2])
        assert (info["illegal_action"], info["illegal_actions"], reward) == (True, 2 * count, 0.0)
        assert info["moves"] == 0


def test_the_penalty_variant_shows_every_machine_and_charges_five_for_an_illegal_one() -> None:
    known = fleets("all")
    env, masked = (VmReschedulingEnv(known, mnl=12, pm_rows=9, illegal=how) for how in ("penalty", "fallback"))
    rng = np.random.default_rng(0)
    seen = {"legal": 0, "illegal": 0}
    for seed in range(6):
        (_, info), (_, told) = env.reset(seed=seed), masked.reset(seed=seed)
        while env.decision is not None:
            np.testing.assert_array_equal(info["action_mask"], told["action_mask"])
            vm = int(rng.choice(np.flatnonzero(info["action_mask"])))
            np.testing.assert_array_equal(env.pm_mask(vm), np.arange(9) < 6)
            _, _, _, _, info = env.step(vm)
            _, _, _, _, told = masked.step(vm)
            assert np.flatnonzero(info["action_mask"]).tolist() == list(range(env.vm_rows, env.vm_rows + 6))
            action = int(rng.choice(np.flatnonzero(info["action_mask"])))
            observation, reward, _, _, info = env.step(action)
            expected, paid, _, _, told = masked.step(action)
            assert info["illegal_action"] == told["illegal_action"]
            assert reward == (-5.0 if info["illegal_action"] else paid)
            for name, table in expected.items():
                np.testing.assert_array_equal(observation[name], table)
            seen["illegal" if info["illegal_action"] else "legal"] += 1
    assert min(seen.values()) > 10


# --- observations


def pairs(env: VmReschedulingEnv) -> tuple[list[tuple[int, ...]], list[tuple[int, ...] | None]]:
    """Cores and memory that are free on the two nodes of each machine, and that each VM takes there."""
    assert env.decision is not None
    state = env.decision.view.state
    shapes = state.snapshot.shapes
    free = [(*cores, *memory) for cores, memory in zip(state.free_cores, state.free_memory_mib, strict=True)]
    taken: list[tuple[int, ...] | None] = []
    for shape, host, numa in zip(state.shape, state.host, state.numa, strict=True):
        on = [bool(shapes.double[shape]) or numa == node for node in (0, 1)]
        row = (shapes.cores[shape] * on[0], shapes.cores[shape] * on[1])
        row += (shapes.memory_mib[shape] * on[0], shapes.memory_mib[shape] * on[1])
        taken.append(None if host < 0 else row)
    return free, taken


def expected_observation(env: VmReschedulingEnv, constants: Standardisation) -> dict[str, np.ndarray]:
    """Everything anew, by the meaning of the columns, from the draft of the episode."""
    assert env.decision is not None
    draft = env.decision.view
    cores, memory_mib, flavour = constants.scale
    free, taken = pairs(env)

    def standard(row: list[float], moments: Moments) -> list[float]:
        return [(value - mean) / sd for value, mean, sd in zip(row, *moments, strict=True)]

    def machine(c: tuple[int, ...]) -> list[float]:
        left = [(n % flavour / n if n else 0.0, n % flavour / flavour) for n in c[:2]]
        return [c[0] / cores, c[1] / cores, c[2] / memory_mib, c[3] / memory_mib, *left[0], *left[1]]

    def vm(c: tuple[int, ...]) -> list[float]:
        beyond = [n % flavour / flavour for n in c[:2]]
        return [c[0] / cores, c[1] / cores, c[2] / memory_mib, c[3] / memory_mib, *beyond]

    rows = {
        "machines": [standard(machine(c), constants.machines) for c in free],
        "vms": [[0.0] * 6 if c is None else standard(vm(c), constants.vms) for c in taken],
        "machine_of_vm": draft.state.host.tolist(),
        "machine_there": [1.0] * len(free),
        "vm_there": [float(c is not None) for c in taken],
        "chosen": [float(row == draft.chosen) for row in range(len(taken))],
    }
    seen = {}
    for name, values in rows.items():
        seen[name] = np.full(env.observation_space[name].shape, -1.0 if name == "machine_of_vm" else 0.0)
        seen[name][: len(values)] = values
    there = sum(c is not None for c in taken)
    chosen = [0.0] * 6 if draft.chosen < 0 else rows["vms"][draft.chosen]
    seen["state"] = np.array(
        [draft.steps / draft.steps_allowed, there / env.vm_rows, float(draft.chosen >= 0), *chosen]
    )
    return {name: table.astype(np.float32) for name, table in seen.items()}


@pytest.mark.parametrize("flavour_cores", [16, 8])
@pytest.mark.parametrize("alive", [False, True], ids=["still", "alive"])
def test_the_tables_equal_those_made_anew_after_every_step(alive: bool, flavour_cores: int) -> None:
    options: dict[str, Any] = {"mnl": 6, "vm_rows": 90, "pm_rows": 9, "flavour_cores": flavour_cores}
    if alive:
        options |= {"every_s": 20.0, "horizon_s": 100.0, "delay_s": 5.0}
    source: Any = living if alive else fleets("all")
    constants = standardisation(fleets("all"), flavour_cores)
    env = VmReschedulingEnv(source, standardise=constants, **options)
    steps = 0
    for observation, _, _ in played(env, 4):
        assert observation in env.observation_space
        if env.decision is not None:
            expected = expected_observation(env, constants)
            assert observation.keys() == expected.keys()
            for name, table in expected.items():
                np.testing.assert_array_equal(observation[name], table, err_msg=name)
            steps += 1
        else:
            assert not any(table.any() for name, table in observation.items() if name != "machine_of_vm")
            assert (observation["machine_of_vm"] == -1).all()
    assert steps >= (4 * 12 if not alive else 4 * 40)


def test_without_copies_what_has_not_changed_is_handed_out_again_and_never_written_to() -> None:
    fresh, shared = (VmReschedulingEnv(fleets("all"), mnl=6, copy=copy) for copy in (True, False))
    kept, again = [], 0
    for (expected, _, _), (observation, _, _) in zip(played(fresh, 3), played(shared, 3), strict=True):
        assert not kept or not any(np.shares_memory(table, kept[-1][0][name]) for name, table in expected.items())
        again += bool(kept) and observation["vms"] is kept[-1][1]["vms"]
        kept.append((expected, observation))
    for expected, observation in kept:
        for name, table in expected.items():
            np.testing.assert_array_equal(observation[name], table)
    assert again >= 3 * 6


def test_fleets_of_different_shapes_take_turns() -> None:
    known = [fleet(0, machines=5), VmLike(machines=5)(0), fleet(1, machines=5)]
    env = VmReschedulingEnv(known, mnl=2)
    constants = plain(known)
    for observation, _, _ in played(env, 6):
        if env.decision is not None:
            for name, table in expected_observation(env, constants).items():
                np.testing.assert_array_equal(observation[name], table, err_msg=name)


def test_one_vector_holds_the_same_tables_one_behind_the_other() -> None:
    tables, flat = VmReschedulingEnv(mnl=4), VmReschedulingEnv(mnl=4, flat=True)
    for (parts, _, _), (vector, _, _) in zip(played(tables, 2), played(flat, 2), strict=True):
        np.testing.assert_array_equal(vector, np.concatenate([part.ravel() for part in parts.values()]))
        assert vector in flat.observation_space


def test_rows_beyond_the_fleet_are_zero_and_never_legal() -> None:
    snapshot = fleet(3, machines=4)
    vms = len(snapshot)
    env = VmReschedulingEnv([snapshot], mnl=5, vm_rows=vms + 11, pm_rows=7)
    for observation, _, info in played(env, 3):
        mask = info["action_mask"]
        assert not mask[vms : vms + 11].any()
        assert not mask[vms + 11 + 4 :].any()
        assert not observation["machines"][4:].any()
        assert not observation["vms"][vms:].any()
        assert (observation["machine_of_vm"][vms:] == -1).all()
        if env.decision is not None:
            assert observation["machine_there"].tolist() == [1.0] * 4 + [0.0] * 3
            assert observation["vm_there"].tolist() == [1.0] * vms + [0.0] * 11


def test_a_machine_without_free_cores_has_no_share_of_fragments() -> None:
    whole = fleet(1, machines=4)
    full = np.flatnonzero(whole.free_cores.sum(axis=1) < 44)[0]
    machines, used = whole.machines, whole.machines.cores - whole.free_cores
    cores = machines.cores.copy()
    cores[full] = used[full]
    free = whole.free_cores.copy()
    free[full] = 0
    env = VmReschedulingEnv([replace(whole, machines=replace(machines, cores=cores), free_cores=free)], mnl=2)
    observation, _ = env.reset(seed=0)
    assert not observation["machines"][full, [0, 1, 4, 5, 6, 7]].any()
    assert np.isfinite(observation["machines"]).all()


# --- columns and constants


def test_the_column_functions_are_what_the_tables_hold() -> None:
    env = VmReschedulingEnv(fleets("all"), mnl=3)
    constants = plain(fleets("all"))
    for observation, _, _ in played(env, 2):
        if env.decision is None:
            continue
        free, taken = pairs(env)
        for columns, name, rows in ((MACHINES, "machines", free), (VMS, "vms", taken)):
            for row, numbers in enumerate(rows):
                assert numbers is not None
                pair = Pair(*map(int, numbers), Scale(*constants.scale))
                expected = np.array([column.function(pair) for column in columns], dtype=np.float32)
                np.testing.assert_array_equal(observation[name][row], expected)
        draft = env.decision.view
        chosen = observation["vms"][draft.chosen] if draft.chosen >= 0 else np.zeros(6)
        game = Game(draft.steps / 3, observation["vm_there"].mean(), float(draft.chosen >= 0), chosen)
        expected = np.array([column.function(game) for column in STATE], dtype=np.float32)
        np.testing.assert_allclose(observation["state"], expected, rtol=1e-6)


def test_standardised_columns_have_mean_zero_and_deviation_one_on_the_data_they_were_computed_from() -> None:
    known = [VmLike(machines=20)(seed) for seed in range(4)]
    env = VmReschedulingEnv(known, mnl=2, standardise=standardisation(known))
    seen = [env.reset(seed=seed)[0] for seed in range(4)]
    for name, there in (("machines", "machine_there"), ("vms", "vm_there")):
        rows = np.concatenate([each[name][each[there] == 1] for each in seen])
        np.testing.assert_allclose(rows.mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(rows.std(axis=0), 1, atol=1e-5)


def test_a_column_that_never_varies_is_only_centred() -> None:
    one = fleet(0, machines=4)
    same = replace(one, free_memory_mib=np.full_like(one.free_memory_mib, 50 * 1024))
    constants = standardisation([same])
    assert constants.machines.sd[2] == 1.0
    observation, _ = VmReschedulingEnv([same], mnl=2, standardise=constants).reset(seed=0)
    assert not observation["machines"][:, 2].any()


def test_the_documentation_holds_the_tables() -> None:
    page = (Path(__file__).parents[1] / "docs" / "environments.md").read_text()
    for columns in (MACHINES, VMS, STATE):
        assert described(columns) in page


# --- lives


def test_vms_that_arrive_are_placed_by_the_policy_that_is_given() -> None:
    class First:
        asked = 0

        def reset(self, rng: np.random.Generator) -> None:
            self.asked = 0

        def act(self, decision: Decision) -> int:
            self.asked += 1
            return int(decision.mask.argmax())

    options: dict[str, Any] = {"mnl": 3, "every_s": 10.0, "horizon_s": 100.0}
    placed = {}
    for name, player in (("first", First()), ("random", None)):
        env = VmReschedulingEnv(living, place=player, **options)
        *_, (_, _, info) = played(env, 1)
        placed[name] = info["metrics"]
        assert info["metrics"]["arrivals"] > 10
        if player is not None:
            assert player.asked == info["metrics"]["arrivals"] - info["metrics"]["rejected"]
    assert placed["first"] != placed["random"]


def test_a_list_of_fleets_is_counted_round_by_the_seed() -> None:
    known = fleets("free", 3)
    env = VmReschedulingEnv(known, mnl=2)
    for seed in range(7):
        env.reset(seed=seed)
        simulation: Any = env.simulation
        assert simulation.life.snapshot is known[seed % 3]


# --- bad input


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"mnl": 0}, r"\(mnl\) is 0; without a migration"),
        ({"mnl": -3}, r"\(mnl\) is -3"),
        ({"mnl": 1000}, r"\(mnl\) is 1000; for fleet 'fleet-0' it has to be from 0 to 19"),
        ({"vm_rows": 5}, r"vm_rows is 5, but fleet 'fleet-0' has up to 19 vms at once; set vm_rows to at least 19"),
        ({"pm_rows": 3}, "pm_rows is 3, but fleet 'fleet-0' has up to 4 pms at once"),
        ({"reward": "profit"}, "reward is 'profit'; choose one of fragments, fragment_rate"),
        ({"illegal": "ignore"}, "illegal is 'ignore'; choose fallback or penalty"),
        ({"landing": "worst"}, "landing is 'worst'; choose one of best, same, first"),
        ({"flavour_cores": 0}, "flavour_cores is 0"),
        ({"render_mode": "human"}, "render_mode is 'human'"),
        ({"source": []}, "the list of snapshots is empty"),
        ({"standardise": plain([fleet(0)], 8)}, "flavours of 16 cores, but standardised by 8"),
    ],
)
def test_bad_options_are_refused_with_the_reason(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        VmReschedulingEnv(**{"source": [fleet(0, machines=4)], "mnl": 3, **options})


def test_unknown_options_are_refused() -> None:
    with pytest.raises(TypeError, match="mln"):
        VmReschedulingEnv(mln=3)


def test_a_fleet_that_is_too_large_for_the_rows_is_refused_when_it_is_drawn() -> None:
    env = VmReschedulingEnv(lambda seed: fleet(seed, machines=4 if seed == 0 else 9), mnl=2, vm_rows=99)
    env.reset(seed=0)
    with pytest.raises(ConfigError, match="pm_rows is 4, but fleet 'fleet-1' has up to 9"):
        env.reset(seed=1)


@pytest.mark.parametrize(
    ("what", "mean", "sd", "said"),
    [
        ("machines", 2.0, 1.0, "column 'free_cores_0' of machines has mean 2.0"),
        ("vms", 0.5, 0.0, "column 'cores_0' of vms has mean 0.5 and standard deviation 0.0"),
        ("vms", 0.5, float("nan"), "deviation positive and finite"),
    ],
)
def test_constants_that_cannot_standardise_are_refused(what: str, mean: float, sd: float, said: str) -> None:
    good = plain([fleet(0)])
    moments = getattr(good, what)
    with pytest.raises(ConfigError, match=said):
        replace(good, **{what: Moments(np.full(len(moments.mean), mean), np.full(len(moments.sd), sd))})


def test_constants_have_a_number_for_every_column_and_something_to_be_computed_from() -> None:
    good = plain([fleet(0)])
    with pytest.raises(ConfigError, match="machines have 8 columns, got 6 means"):
        replace(good, machines=good.vms)
    with pytest.raises(ConfigError, match="at least 1"):
        replace(good, scale=Scale(0, 1, 16))
    with pytest.raises(ConfigError, match="at least one snapshot"):
        standardisation([])


# --- other libraries


def test_gymnasium_flattens_it_as_the_space_says() -> None:
    env = gymnasium.wrappers.FlattenObservation(gymnasium.make("clustersim/VmRescheduling-v0", mnl=2))
    observation, _ = env.reset(seed=0)
    assert observation in env.observation_space


@pytest.mark.long
def test_maskable_ppo_of_sb3_contrib_plays_and_learns_a_few_steps() -> None:
    pytest.importorskip("sb3_contrib", reason="the extra `agents` is not installed")
    from sb3_contrib import MaskablePPO

    env = VmReschedulingEnv([still(fleet(0, machines=4))], mnl=4)
    model = MaskablePPO("MultiInputPolicy", env, n_steps=32, batch_size=16, n_epochs=1, seed=0, device="cpu")
    model.learn(64)
    observation, info = env.reset(seed=0)
    while env.decision is not None:
        action, _ = model.predict(observation, action_masks=env.action_masks())
        observation, _, _, _, info = env.step(int(action))
    assert info["illegal_actions"] == 0
