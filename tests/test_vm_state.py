"""Where every VM stands, what is free, and who may go where."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from vm_worlds import SHAPES, fleet, free_on, may_move

from clustersim.errors import ConfigError, DoesNotFit
from clustersim.vm_fleet import AntiAffinity, Snapshot, fragment_rate
from clustersim.vm_plan import Move, Task, carried_out
from clustersim.vm_state import NOWHERE, FleetState

WORLDS: list[dict[str, Any]] = [
    {},
    {"sets": 8},
    {"sets": 8, "level": "rack", "machines": 8},
    {"immovable": 0.4, "inactive": 2},
    {"sets": 12, "immovable": 0.2, "inactive": 1, "machines": 9},
]


def random_move(state: FleetState, rng: np.random.Generator) -> Move | None:
    """A legal one, drawn from the masks."""
    vms, machines = np.zeros(state.rows, dtype=bool), np.zeros(state.machines, dtype=bool)
    if not state.vm_mask(vms):
        return None
    vm = int(rng.choice(np.flatnonzero(vms)))
    state.pm_mask(vm, machines)
    pm = int(rng.choice(np.flatnonzero(machines)))
    return Move(vm, pm, state.landing(vm, pm))


@pytest.mark.parametrize("world", WORLDS)
def test_masks_say_what_plain_rules_say_along_random_moves(world: dict[str, Any]) -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        snapshot = fleet(seed, **world)
        state = FleetState(snapshot)
        vms, machines = np.zeros(state.rows, dtype=bool), np.zeros(state.machines, dtype=bool)
        for _ in range(8):
            state.vm_mask(vms)
            for vm in range(state.rows):
                state.pm_mask(vm, machines)
                legal = [[may_move(snapshot, state, vm, pm, numa) for numa in (0, 1)] for pm in range(state.machines)]
                assert [any(nodes) and bool(snapshot.movable[vm]) for nodes in legal] == [
                    bool(there) and bool(snapshot.movable[vm]) for there in machines
                ]
                assert vms[vm] == any(map(any, legal))
                assert legal == [[state.may_move(vm, pm, numa) for numa in (0, 1)] for pm in range(state.machines)]
            move = random_move(state, rng)
            if move is None:
                break
            state.move(*move)


@pytest.mark.parametrize("world", WORLDS)
def test_free_cores_and_memory_follow_from_where_the_vms_are_and_their_sum_never_changes(world: dict[str, Any]) -> None:
    rng = np.random.default_rng(3)
    snapshot = fleet(3, **world)
    state = FleetState(snapshot)
    for _ in range(30):
        move = random_move(state, rng)
        if move is None:
            break
        state.move(*move)
        assert state.free_cores.sum() == snapshot.free_cores.sum()
    for pm in range(state.machines):
        for node in (0, 1):
            assert (state.free_cores[pm, node], state.free_memory_mib[pm, node]) == free_on(snapshot, state, pm, node)


def test_a_move_back_restores_everything() -> None:
    snapshot = fleet(4, sets=6)
    state, before = FleetState(snapshot), FleetState(snapshot)
    move = random_move(state, np.random.default_rng(0))
    assert move is not None
    home, numa = int(state.host[move.vm]), int(state.numa[move.vm])
    state.move(*move)
    assert state.host[move.vm] == move.pm
    state.move(move.vm, home, numa)
    for name, value in vars(before).items():
        if isinstance(value, np.ndarray):
            assert np.array_equal(getattr(state, name), value), name


def test_copies_go_their_own_ways() -> None:
    state = FleetState(fleet(2))
    other = state.copy()
    move = random_move(state, np.random.default_rng(0))
    assert move is not None
    state.move(*move)
    assert other.host[move.vm] != move.pm
    assert other.may_move(*move)


@pytest.mark.parametrize(
    ("free", "source", "lands_on"),
    [((20, 16), 1, {"first": 0, "same": 1, "best": 0}), ((32, 36), 0, {"first": 0, "same": 0, "best": 1})],
)
def test_the_landing_rule_chooses_between_two_numa_nodes_that_have_room(
    free: tuple[int, int], source: int, lands_on: dict[Any, int]
) -> None:
    machines = fleet(0, machines=2).machines
    other = (40, 44) if source == 0 else (44, 40)
    machines = replace(machines, cores=np.array([(44, 44), free]))
    four_cores = Snapshot(
        "two machines", machines, SHAPES, ("mover",), np.array([1]), np.array([0]), np.array([source]),
        np.ones(1, dtype=bool), np.array([other, free]), np.full((2, 2), 8192),
    )  # fmt: skip
    assert {rule: FleetState(four_cores, landing=rule).landing(0, 1) for rule in lands_on} == lands_on


def test_the_best_landing_is_the_one_with_fewer_fragments() -> None:
    for seed in range(30):
        state = FleetState(fleet(seed))
        rng = np.random.default_rng(seed)
        move = random_move(state, rng)
        if move is None or state.snapshot.shapes.double[state.shape[move.vm]]:
            continue
        other = Move(move.vm, move.pm, 1 - move.numa)
        if state.may_move(*other):
            tried = state.copy()
            state.move(*move)
            tried.move(*other)
            assert state.fragments <= tried.fragments


def test_a_migration_takes_room_on_both_machines_until_it_ends() -> None:
    snapshot = fleet(4, sets=6)
    state = FleetState(snapshot)
    move = random_move(state, np.random.default_rng(1))
    assert move is not None
    cores = int(SHAPES.total_cores[state.shape[move.vm]])
    landed, broken = state.copy(), state.copy()
    for tried, lands in ((landed, True), (broken, False)):
        source = tried.begin(*move)
        assert tried.free_cores.sum() == snapshot.free_cores.sum() - cores
        assert not tried.movable[move.vm]
        tried.end(move.vm, source, lands)
        assert tried.movable[move.vm]
    state.move(*move)
    for name in ("free_cores", "free_memory_mib", "host", "numa", "fits", "fitting"):
        assert np.array_equal(getattr(landed, name), getattr(state, name))
        assert np.array_equal(getattr(broken, name), getattr(FleetState(snapshot), name))


def test_vms_that_arrive_use_spare_rows_and_leave_nothing_behind() -> None:
    snapshot = fleet(5)
    state = FleetState(snapshot, spare_rows=2)
    row, shape = len(snapshot), 0
    pm = int(np.flatnonzero(state.fits[shape] > 0)[0])
    numa = state.landing_of_shape(shape, pm)
    state.add(row, shape, pm, numa)
    assert state.free_cores[pm, numa] == snapshot.free_cores[pm, numa] - SHAPES.cores[shape]
    frozen, rows = state.freeze()
    assert len(frozen) == len(snapshot) + 1
    assert rows[-1] == row
    with pytest.raises(DoesNotFit, match=f"row {row} is taken"):
        state.add(row, shape, pm, state.landing_of_shape(shape, pm))
    state.remove(row)
    assert np.array_equal(state.free_cores, snapshot.free_cores)
    assert state.host[row] == NOWHERE


def test_illegal_moves_say_what_forbids_them() -> None:
    snapshot = fleet(6, machines=8, sets=6, immovable=0.2, inactive=1)
    state = FleetState(snapshot)
    reasons = {
        reason
        for vm in range(state.rows)
        for pm in range(state.machines)
        for numa in (0, 1)
        if not state.may_move(vm, pm, numa)
        for reason in [state.why_not(vm, pm, numa)]
    }
    for part in ("is on machine", "may not be migrated", "is not active", "anti-affinity", "has no room on NUMA node"):
        assert any(part in reason for reason in reasons), part
    with pytest.raises(DoesNotFit, match="is on machine 'pm-"):
        state.move(0, int(state.host[0]), 0)


def test_a_plan_is_refused_at_its_first_illegal_move_or_when_it_is_too_long() -> None:
    snapshot = fleet(7)
    state = FleetState(snapshot)
    move = random_move(state, np.random.default_rng(2))
    assert move is not None
    assert carried_out(Task(snapshot, 1), [move]).host[move.vm] == move.pm
    with pytest.raises(DoesNotFit):
        carried_out(Task(snapshot, 2), [move, move])
    with pytest.raises(ConfigError, match="plan has 1 moves; the migration number limit is 0"):
        carried_out(Task(snapshot, 0), [move])


def test_the_fragment_rate_is_the_share_of_free_cores_that_the_flavour_cannot_use() -> None:
    assert fragment_rate(np.array([[17, 3], [16, 44]])) == pytest.approx((1 + 3 + 0 + 12) / 80)
    assert fragment_rate(np.array([[17, 3], [16, 44]]), 8) == pytest.approx((1 + 3 + 0 + 4) / 80)


def broken(change: str) -> Snapshot:
    snapshot = fleet(8)
    free = snapshot.free_cores.copy()
    if change == "free cores":
        free[2, 1] += 1
        return replace(snapshot, free_cores=free)
    if change == "host":
        return replace(snapshot, host=np.where(np.arange(len(snapshot)) == 3, 99, snapshot.host))
    if change == "numa":
        double = int(np.flatnonzero(SHAPES.double[snapshot.shape])[0])
        return replace(snapshot, numa=np.where(np.arange(len(snapshot)) == double, 1, snapshot.numa))
    if change == "memory":
        memory = snapshot.free_memory_mib.copy()
        memory[1, 0] = -5
        return replace(snapshot, free_memory_mib=memory)
    if change == "set":
        return replace(snapshot, anti_affinity=(AntiAffinity("host", (4, 4)),))
    if change == "member":
        return replace(snapshot, anti_affinity=(AntiAffinity("host", (4, 4000)),))
    together = np.flatnonzero(snapshot.host == snapshot.host[0])[:2]
    return replace(snapshot, anti_affinity=(AntiAffinity("host", tuple(int(vm) for vm in together)),))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("free cores", r"machine 'pm-2' .* cores free on NUMA node 1, but its VMs take \d+, which leaves \d+; 1 NUMA"),
        ("host", "VM 'vm-3' of fleet 'fleet-8' has host 99, but there are 6"),
        ("numa", "is on NUMA node 1; it has to be 0, as it uses both NUMA nodes"),
        ("memory", "machine 'pm-1' .* has -5 MiB of memory free on NUMA node 0"),
        ("set", "set 0 of fleet 'fleet-8' holds .4, 4.; it needs at least two VMs, each once"),
        ("member", "holds VM 4000, but there are"),
        ("overlap", "keeps VMs on different hosts, but 'vm-0', 'vm-.*' are together in machine 'pm-"),
    ],
)
def test_a_snapshot_that_contradicts_itself_is_refused(change: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        broken(change)


def test_sets_that_overlap_can_be_let_be_and_their_vms_may_part() -> None:
    snapshot = fleet(8, machines=8)
    first, second = (int(vm) for vm in np.flatnonzero(snapshot.host == snapshot.host[0])[:2])
    kept = replace(snapshot, anti_affinity=(AntiAffinity("host", (first, second)),), overlaps="keep")
    state = FleetState(kept)
    machines = np.zeros(state.machines, dtype=bool)
    assert state.pm_mask(first, machines) == any(
        may_move(kept, state, first, pm, numa) for pm in range(8) for numa in (0, 1)
    )


def test_a_fleet_without_a_free_core_has_no_fragments_to_measure() -> None:
    snapshot = fleet(9)
    smaller = replace(snapshot.machines, cores=snapshot.machines.cores - snapshot.free_cores)
    with pytest.raises(ConfigError, match="has not a single free core"):
        replace(snapshot, machines=smaller, free_cores=np.zeros_like(snapshot.free_cores))


@pytest.mark.parametrize("mnl", [-1, 10_000])
def test_a_limit_below_zero_or_above_the_vms_is_refused(mnl: int) -> None:
    with pytest.raises(ConfigError, match=f"mnl\\) is {mnl}; for fleet 'fleet-1' it has to be from 0 to"):
        Task(fleet(1), mnl)
