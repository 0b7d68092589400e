"""Live migrations in the shared cluster: what they hold, how long pods stand still, and when they are given up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from control_worlds import (
    at,
    call_at,
    check_everything,
    control_workload,
    events,
    fail_at,
    move,
    players,
    scenario,
    service,
    since,
    watched,
    when,
)
from worlds import Calling, node, pod

from clustersim.control import Decision
from clustersim.errors import IllegalAnswer
from clustersim.live_migration import MigrationConfig, precopy
from clustersim.policy import Policy
from clustersim.power import PowerConfig
from clustersim.power_curves import clock_speed
from clustersim.scenarios.control_roles import (
    LOW_CLOCKS,
    MIGRATOR,
    MOVES,
    SCALER_NOOP,
    Moves,
    capper_candidate,
    scaler_candidate,
)
from clustersim.scenarios.control_world import ControlSimulation

SLOW = MigrationConfig(bandwidth_mib_s=100.0, dirty_mib_s=10.0, stop_mib=64.0)
MOVE = precopy(1000.0, 10.0, 100.0, 64.0)
SWITCH_S = 10 + MOVE.duration_s - MOVE.downtime_s
"""A pod of 1000 MiB that starts to move at 10 s stands still from here: 1000 and 100 MiB are copied by then."""

assert pytest.approx(21.0) == SWITCH_S
assert pytest.approx(0.1) == MOVE.downtime_s

POD = {"memory": 1000, "duration": 100.0}


def build(pods: Any = None, nodes: Any = None, **options: Any) -> ControlSimulation:
    world = {name: options.pop(name) for name in ("services", "rows", "clock_sensitivity") if name in options}
    workload = control_workload(nodes or [node(), node()], pods or [pod(**POD)], duration_s=400.0, **world)
    return scenario(workload, migration=SLOW, **options).build(0)


def play(simulation: ControlSimulation, row: int = 0, target: int = 1, **others: Policy) -> ControlSimulation:
    """Moves a pod there once, as soon as that is on the list."""
    watched(
        simulation,
        players(**{MIGRATOR: Calling(move(row, target)), **others}),
        lambda: check_everything(simulation),
    )
    check_everything(simulation)
    return simulation


def happened(simulation: ControlSimulation) -> list[tuple[float, str, int, int]]:
    kinds = ("bind", "transfer", "move", "abort", "evict", "lost", "finish")
    return [(pytest.approx(time_s), kind, row, n) for time_s, kind, row, n, _ in events(simulation, *kinds)]


def test_a_pod_loses_nothing_but_the_time_it_stands_still() -> None:
    simulation = play(build())
    assert happened(simulation) == [
        (0.0, "bind", 0, 0),
        (10.0, "transfer", 0, 1),
        (SWITCH_S, "move", 0, 1),
        (100 + MOVE.downtime_s, "finish", 0, 1),
    ]
    assert events(simulation, "move")[0][4] == 0  # where it comes from
    assert simulation.batch.lost_work_s == 0
    figures = simulation.metrics()
    assert figures["migrations"] == 1
    assert figures["migrated_mib"] == pytest.approx(MOVE.total_mib)
    assert simulation.cost("migration") == simulation.cost("migrator_0") == 0.5


def test_a_pod_on_its_way_holds_its_part_of_both_nodes_and_then_of_the_new_one() -> None:
    simulation = build()
    seen: list[tuple[list[int], list[int], list[float]]] = []

    def look() -> None:
        view = simulation.zones[0].view
        free = view.cluster.cpu_free.tolist()
        seen.append((free, view.tenants.tolist(), view.cpu_pressure.tolist()))

    for time_s in (5.0, 15.0, SWITCH_S + 0.05, 30.0):
        call_at(simulation, time_s, look)
    play(simulation)
    busy, idle = 1000 / 8000, 0.0
    assert seen == [
        ([7000, 8000], [1, 0], [busy, idle]),
        ([7000, 7000], [1, 0], [busy, idle]),
        ([8000, 7000], [0, 0], [idle, idle]),  # it stands still
        ([8000, 7000], [0, 1], [idle, busy]),
    ]


def test_a_pod_works_at_the_speed_of_the_node_it_is_on() -> None:
    nodes = [node(gpus=1, model="A10"), node(gpus=1, model="A10")]
    power = PowerConfig(oversubscription=0.0, actuation_s=(5.0, 5.0))
    simulation = build([pod(gpus=1, **POD)], nodes, rows=[0, 1], clock_sensitivity=1.0, power=power)
    play(simulation, capper=since({10.0: capper_candidate(2, 0)}, 0, agent="capper_0"))
    done = 15 + (SWITCH_S - 15) * clock_speed(LOW_CLOCKS[2], 1.0)
    assert when(simulation, "finish") == [pytest.approx(SWITCH_S + MOVE.downtime_s + 100 - done)]


def test_a_neighbour_is_slowed_by_whoever_works_beside_it() -> None:
    pods = [pod(memory=1000, gpu_milli=500, duration=100.0), pod(memory=1000, gpu_milli=500, duration=100.0)]
    simulation = build(pods, [node(gpus=1), node(gpus=1)], interference="hinge")
    play(simulation)
    done = SWITCH_S * (1 - 0.335 * (2.0 - 0.9))
    moved, stayed = when(simulation, "finish", 0), when(simulation, "finish", 1)
    assert moved == [pytest.approx(SWITCH_S + MOVE.downtime_s + 100 - done)]
    assert stayed == [pytest.approx(SWITCH_S + 100 - done)]


@pytest.mark.parametrize("failed_s", [15.0, SWITCH_S + 0.05], ids=["while it is copied", "while it stands still"])
def test_a_pod_goes_down_with_the_node_it_is_on(failed_s: float) -> None:
    simulation = build()
    n, other = (0, 1) if failed_s < SWITCH_S else (1, 0)
    fail_at(simulation, failed_s, n)
    play(simulation)
    done = min(failed_s, SWITCH_S)
    there = [(failed_s, "abort", 0, 1)] if failed_s < SWITCH_S else []
    lost = [(failed_s, "lost", 0, n), *there, (failed_s, "bind", 0, other)]
    assert happened(simulation)[2 if there else 3 : -1] == lost
    assert when(simulation, "finish") == [pytest.approx(failed_s + 100 - done / 2)]
    assert simulation.batch.lost_work_s == pytest.approx(done / 2)
    assert simulation.metrics()["migrations"] == (0 if there else 1)
    assert simulation.cost("migration") == 0.5  # it was started


def test_a_pod_whose_target_fails_stays_where_it_is() -> None:
    simulation = build()
    fail_at(simulation, 15.0, 1)
    play(simulation)
    assert happened(simulation)[1:] == [(10.0, "transfer", 0, 1), (15.0, "abort", 0, 1), (100.0, "finish", 0, 0)]


def test_a_transfer_is_given_up_when_its_pod_is_evicted() -> None:
    # At 10 s the pod starts to move, at 20 s a replica needs all of its node.
    big = service(cpu_milli=8000, initial_replicas=0, min_replicas=0)
    simulation = build([pod(**POD), pod(cpu=7000, memory=1000)], services=[big])
    placer = Calling(lambda decision: decision.subject.row if decision.time_s < 10 else int(decision.mask.argmax()))
    play(simulation, placer=placer, scaler=at({20.0: scaler_candidate(1)}, SCALER_NOOP))
    assert happened(simulation)[2:] == [
        (10.0, "transfer", 0, 1),
        (20.0, "evict", 0, 0),
        (20.0, "abort", 0, 1),
        (20.0, "bind", 2, 0),
        (20.0, "bind", 0, 1),
        (20 + 100 - 10, "finish", 0, 1),
    ]


def test_a_pod_that_stands_still_may_be_evicted() -> None:
    big = service(cpu_milli=8000, initial_replicas=0, min_replicas=0)
    longer = MigrationConfig(bandwidth_mib_s=100.0, dirty_mib_s=10.0, stop_mib=1000.0)  # one copy, standing still
    workload = control_workload([node(), node(1000)], [pod(**POD)], [big], duration_s=400.0)
    simulation = scenario(workload, migration=longer).build(0)
    placer = Calling(lambda decision: 1 if decision.time_s < 10 else int(decision.mask.argmax()))
    play(simulation, target=0, placer=placer, scaler=at({20.0: scaler_candidate(1)}, SCALER_NOOP))
    # At 10 s it goes from node 1 to node 0, where it stands still for 10 s.
    assert happened(simulation)[:5] == [
        (0.0, "bind", 0, 1),
        (10.0, "transfer", 0, 0),
        (10.0, "move", 0, 0),
        (20.0, "evict", 0, 0),
        (20.0, "bind", 1, 0),
    ]


def test_only_one_pod_of_a_zone_moves_at_a_time() -> None:
    asked: list[float] = []

    def answer(decision: Decision) -> int:
        asked.append(decision.time_s)
        return int(decision.mask.argmax())

    simulation = build([pod(**POD) for _ in range(3)], [node() for _ in range(3)])
    play(simulation, migrator=Calling(answer))
    # A move takes 11.1 s, so that every second tick passes, until no pod works for longer than that.
    assert asked == [10.0, 30.0, 50.0, 70.0]
    assert len(when(simulation, "move")) == 4


def test_a_pod_that_ends_before_it_could_move_is_not_offered() -> None:
    simulation = build([pod(memory=1000, duration=30.0), pod(memory=1000, duration=31.5, arrival=1.0)])
    offered: list[tuple[float, set[int]]] = []

    def answer(decision: Decision) -> int:
        legal = decision.mask[:MOVES]
        offered.append((decision.time_s, set(decision.subject.pod[legal].tolist())))
        return MOVES

    play(simulation, migrator=Calling(answer))
    assert offered == [(10.0, {0, 1}), (20.0, {1})]  # left at 20 s: 10 s and 12.5 s; a move takes 11.1 s


def test_a_room_that_an_answer_of_the_same_instant_took_is_no_candidate_any_more() -> None:
    pods = [pod(cpu=5000, memory=1000, duration=100.0), pod(cpu=5000, memory=1000, duration=100.0, arrival=10.0)]
    simulation = build(pods)
    control, still = simulation.control, players()
    while (decisions := control.advance_all())[0].time_s < 10.0:
        for decision in decisions:
            control.answer(decision, still[decision.role].act(decision))
    asked = {decision.agent: decision for decision in decisions}
    migrator, placer = asked["migrator_0"], asked["placer_0"]
    k = int(migrator.mask.argmax())
    assert (migrator.subject.pod[k], migrator.subject.target[k]) == (0, 1)
    control.answer(placer, 1)
    with pytest.raises(IllegalAnswer, match=f"candidate {k} of role 'migrator' is not legal"):
        control.answer(migrator, k)
    assert migrator.mask.nonzero()[0].tolist() == [MOVES]
    control.answer(migrator, MOVES)
    check_everything(simulation)


def test_the_list_says_what_each_move_brings() -> None:
    # Node 0 has two pods on one device, node 1 one on another, node 2 is empty and in another row.
    pods = [
        pod(gpu_milli=500, memory=1000, duration=300.0),
        pod(gpu_milli=500, memory=1000, duration=300.0),
        pod(gpu_milli=300, memory=2000, duration=300.0),
    ]
    simulation = build(pods, [node(gpus=1)] * 3, rows=[0, 0, 1])
    seen: list[Moves] = []

    def answer(decision: Decision) -> int:
        if not seen:
            seen.append(decision.subject)
        return MOVES

    homes = (0, 0, 1)
    play(simulation, migrator=Calling(answer), placer=Calling(lambda decision: homes[decision.subject.row]))
    (moves,) = seen
    listed = {(int(p), int(t)): k for k, (p, t) in enumerate(zip(moves.pod, moves.target, strict=True)) if p >= 0}
    assert len(listed) == int((moves.pod >= 0).sum()) > 2  # no move stands there twice
    pressures, view = (2.0, 0.6, 0.0), simulation.zones[0].view
    for (row, target), k in listed.items():
        source = homes[row]
        assert moves.source[k] == source != target
        assert moves.relief[k] == pytest.approx(pressures[source] - pressures[target])
        assert moves.empties[k] == (row == 2)
        assert moves.fills[k] == (2, 1, 0)[target]
        assert moves.transfer_s[k] == pytest.approx(simulation.transfer(row).duration_s)
        assert moves.left_s[k] == pytest.approx(290.0)
        assert np.sign(moves.headroom[k]) == {0: 0, 1: 1}[int(view.row[target])]
    assert (2, 0) not in listed  # no room there
    assert {(0, 2), (2, 2)} <= set(listed)


def test_fragmentation_drops_by_what_the_list_says() -> None:
    pods = [pod(gpu_milli=milli, memory=1000, duration=300.0) for milli in (400, 400, 700, 300)]
    simulation = build(pods, [node(gpus=1)] * 3)
    homes = (0, 1, 2, 0)
    before: list[float] = []
    chosen: list[tuple[float, int]] = []

    def answer(decision: Decision) -> int:
        if chosen:
            return MOVES
        before.append(float(decision.view.fragmentation.per_node.sum()))
        k = int(np.argmax(np.where(decision.mask[:MOVES], decision.subject.fragmentation_drop, -np.inf)))
        chosen.append((float(decision.subject.fragmentation_drop[k]), k))
        return k

    after: list[float] = []
    call_at(simulation, 60.0, lambda: after.append(float(simulation.zones[0].fragmentation.view.per_node.sum())))
    play(simulation, migrator=Calling(answer), placer=Calling(lambda decision: homes[decision.subject.row]))
    assert chosen[0][0] != 0
    assert before[0] - after[0] == pytest.approx(chosen[0][0])
