"""Where arriving VMs go: hand-made machines, all places tried one by one, and what a fill leaves behind."""

from __future__ import annotations

from collections import Counter
from math import inf
from typing import Any

import numpy as np
import pytest
from vm_worlds import SHAPES, fleet

from clustersim.baselines.fits import FirstFit
from clustersim.baselines.vm_place import RandomPlace, best_fit_place, fragment_place
from clustersim.control import Decision
from clustersim.policy import Policy, ScorePolicy, run
from clustersim.scenarios.vm_rescheduling import Arrival, FleetOnly, VmRescheduling
from clustersim.vm_fleet import Machines, Snapshot
from clustersim.vm_life import FleetLife
from clustersim.vm_state import FleetState

SINGLE_2, SINGLE_4, SINGLE_8, SINGLE_16, DOUBLE_4, DOUBLE_16, DOUBLE_22 = range(len(SHAPES))


def empty_fleet(free_cores: list[tuple[int, int]]) -> Snapshot:
    """Machines without VMs, with so many cores on their NUMA nodes."""
    cores, none = np.array(free_cores), np.zeros(0, dtype=np.int64)
    memory, p = np.full_like(cores, 1 << 20), len(cores)
    machines = Machines(
        tuple(f"pm-{i}" for i in range(p)), np.zeros(p, dtype=np.int64), cores, memory, np.ones(p, dtype=bool)
    )
    return Snapshot("empty", machines, SHAPES, (), none, none, none, none.astype(bool), cores.copy(), memory.copy())


def placed(policy: Policy, state: FleetState, shape: int) -> tuple[int, int]:
    """The machine and the NUMA node that a policy picks for a VM of the shape; the landing rule has the last word."""
    decision: Any = Decision(
        "place", "placer", 0.0, Arrival(0, shape), np.asarray(state.fits[shape] > 0), FleetOnly(state)
    )
    pm = policy.act(decision)
    return pm, state.landing_of_shape(shape, pm) if decision.detail is None else decision.detail


def reset(policy: Policy) -> Policy:
    policy.reset(np.random.default_rng(0))
    return policy


def test_random_place_takes_every_machine_and_every_numa_node_with_room_equally_often() -> None:
    state = FleetState(empty_fleet([(8, 8), (1, 8), (8, 1), (1, 1)]))
    policy = reset(RandomPlace())
    count = Counter(placed(policy, state, SINGLE_8) for _ in range(3000))
    assert set(count) == {(0, 0), (0, 1), (1, 1), (2, 0)}
    assert count[1, 1] == pytest.approx(1000, abs=120)
    assert count[2, 0] == pytest.approx(1000, abs=120)
    assert count[0, 0] == pytest.approx(500, abs=100)
    assert {placed(policy, state, DOUBLE_4) for _ in range(20)} == {(0, 0)}


def test_best_fit_takes_the_machine_with_the_least_cores_free() -> None:
    state = FleetState(empty_fleet([(30, 30), (4, 9), (7, 7), (1, 1)]))
    policy = reset(ScorePolicy(best_fit_place))
    assert placed(policy, state, SINGLE_8)[0] == 1
    assert placed(policy, state, DOUBLE_4)[0] == 1
    assert placed(policy, state, SINGLE_16)[0] == 0
    assert placed(reset(FirstFit()), state, SINGLE_8)[0] == 0


def test_fragment_place_fills_what_is_left_over_before_it_breaks_a_block_of_the_flavour() -> None:
    state = FleetState(empty_fleet([(16, 16), (32, 20), (17, 16)]))
    policy = reset(ScorePolicy(fragment_place))
    assert placed(policy, state, SINGLE_4) == (1, 1)
    # Every place breaks a block: the machine with the least cores free is taken.
    assert placed(policy, state, SINGLE_8) == (0, 0)
    # Of a VM on both nodes, both count.
    assert placed(policy, FleetState(empty_fleet([(4, 16), (20, 20)])), DOUBLE_4) == (1, 0)


@pytest.mark.parametrize("seed", range(4))
def test_fragment_place_is_the_best_of_all_places_tried_one_by_one(seed: int) -> None:
    snapshot = fleet(seed, machines=12, inactive=2)
    row, policy = len(snapshot), reset(ScorePolicy(fragment_place))
    tried = 0
    for shape in range(len(SHAPES)):
        state = FleetState(snapshot, spare_rows=1)
        results = []
        for pm, bits in enumerate(state.fits[shape]):
            for numa in (0, 1):
                if (bits >> numa) & 1 and not (numa and SHAPES.double[shape]):
                    after = state.copy()
                    after.add(row, shape, pm, numa)
                    results.append((after.fragments, state.free_cores[pm].sum(), pm))
        if results:
            pm, numa = placed(policy, state, shape)
            free = state.free_cores[pm].sum()
            state.add(row, shape, pm, numa)
            assert (state.fragments, free, pm) == min(results)
            tried += 1
    assert tried > 2


@pytest.mark.parametrize("policy", [FirstFit(), ScorePolicy(best_fit_place), ScorePolicy(fragment_place)])
def test_a_fleet_that_is_filled_at_random_is_more_fragmented(policy: Policy) -> None:
    def filled(place: Policy) -> float:
        rng = np.random.default_rng(1)
        shape = rng.choice([SINGLE_2, SINGLE_4, SINGLE_8, SINGLE_16], size=250)
        life = FleetLife(empty_fleet([(44, 44)] * 30), np.zeros(0), np.arange(250.0), shape, np.full(250, inf))
        simulation = VmRescheduling(lambda _seed: life, mnl=0).build(0)
        run(simulation, {"place": place})
        assert simulation.metrics()["vms"] + simulation.metrics()["rejected"] == 250
        return simulation.state.fragment_rate

    assert filled(policy) < filled(RandomPlace()) - 0.1
