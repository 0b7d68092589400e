"""The shared cluster as a simulation: its parts put together, the ticks, the costs and the figures."""

from __future__ import annotations

from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import simpy
from numpy.typing import NDArray

from clustersim.cluster import Binding
from clustersim.coldstart import ColdStarts
from clustersim.control import NO_CANDIDATE, ControlPlane, Role
from clustersim.control_workload import ControlWorkload
from clustersim.errors import ConfigError
from clustersim.eventlog import EventLog
from clustersim.failures import Failures
from clustersim.hardware import servers_of
from clustersim.live_migration import Migration
from clustersim.meters import Meter
from clustersim.metrics import mean_and_percentiles, share
from clustersim.pods import Pod, compile_pods
from clustersim.power import PowerRows
from clustersim.power_domains import Domain, budgets
from clustersim.scenarios.control_batch import BatchPods
from clustersim.scenarios.control_history import ControlHistory
from clustersim.scenarios.control_log import (
    BRAKE,
    CAP,
    CAP_ACTS,
    EVENTS,
    FAIL,
    LOST,
    POWER,
    RELEASE,
    REPAIR,
    WITHDRAW,
)
from clustersim.scenarios.control_migration import Migrations
from clustersim.scenarios.control_pods import with_replicas
from clustersim.scenarios.control_roles import (
    CAPPER,
    CAPPER_CANDIDATES,
    SCALER,
    SCALER_CANDIDATES,
    capper_candidate,
    capper_choice,
    scaler_choice,
)
from clustersim.scenarios.control_service import SAMPLE_S, ServiceGroup
from clustersim.scenarios.control_zone import Zone
from clustersim.streams import Streams
from clustersim.tenancy import Tenancy
from clustersim.warm_pools import WarmPools
from clustersim.work import Work

if TYPE_CHECKING:
    from clustersim.scenarios.cluster_control import ClusterControl

JOULE_PER_KWH = 3.6e6

_LOGGED = {"low_clock": CAP_ACTS, "high_clock": CAP_ACTS, "brake": BRAKE, "release": RELEASE}


class ControlSimulation:
    """One episode. `control` is driven from outside; everything else is to be read.

    `agents` are named `scaler_0` (by service), `capper_0` (by power row), `migrator_0` and `placer_0` (by zone). Pods
    have rows: batch pods first, then room for the pods of every service. Nodes are numbered as in the workload.
    """

    def __init__(self, scenario: ClusterControl, workload: ControlWorkload, seed: int) -> None:
        self.scenario = scenario
        self.workload = workload
        self.streams = Streams(seed)
        self.env = simpy.Environment()
        self.control = ControlPlane(self.env, horizon_s=workload.duration_s)
        self.log = EventLog(EVENTS)
        self._batch_rows = len(workload.pods)
        pods, rows_of = with_replicas(workload, scenario.pool_most)
        self._list = compile_pods(pods, scenario.typical_share, 0)
        self._pods = self._list.pods

        servers = servers_of(workload.nodes, workload.gpu_type, scenario.power.brake_clock)
        self._row_of: list[int] = workload.row.tolist()
        self._zone_of: list[int] = workload.zone.tolist()
        self._nodes_of_row = [np.flatnonzero(workload.row == row) for row in range(workload.rows)]
        self._devices_of_row = [max(1, int(servers.gpu_count[nodes].sum())) for nodes in self._nodes_of_row]
        nameplate_w = np.bincount(workload.row, weights=servers.nameplate_w).astype(np.float64)
        self.budget_w = budgets(nameplate_w, scenario.power.oversubscription)
        self.power_tree = _tree(workload, self.budget_w)
        self.rows = PowerRows(
            self.env,
            self.streams["actuation"],
            scenario.power,
            self.budget_w,
            nameplate_w,
            np.bincount(workload.row, weights=servers.braked_w).astype(np.float64),
            self._clocks_changed,
            lambda kind, row, value: self.log.add(self.env.now, _LOGGED[kind], row, -1, round(1000 * value)),
        )
        self.meter = Meter(self.env.now, scenario.site, scenario.site_config)
        self._power_w = 0.0
        self.row_power = np.zeros(workload.rows)
        """Power over budget, by row."""
        self.zones: list[Zone] = []
        self.tenancy = Tenancy(
            len(self._pods),
            workload.nodes.cpu_milli,
            servers,
            scenario.interference,
            self._speed_changed,
            self._drew,
        )
        for z in range(workload.zones):
            nodes = np.flatnonzero(workload.zone == z)
            self.zones.append(Zone(self, z, nodes, self._list))
        self.pools: list[WarmPools[tuple[ServiceGroup, int]]] = [WarmPools() for _ in self.zones]
        self.cold = ColdStarts(self.env, self.streams["cold-starts"], scenario.cold_starts, len(workload.nodes))
        self.migrations = [Migrations(self, zone) for zone in self.zones]
        self._standing: dict[int, Work] = {}  # pods in the last copy of a migration
        self._transfers: dict[int, Migration] = {}
        self._disturbed: dict[int, None] = {}
        self._settling = False
        self.batch = BatchPods(self, self._pods[: self._batch_rows])
        self.services: list[ServiceGroup] = []
        self._service_of: dict[int, int] = {}
        for s, service in enumerate(workload.services):
            self._service_of |= dict.fromkeys(rows_of[s], s)
            self.services.append(ServiceGroup(self, s, service, rows_of[s]))
        self.failures = Failures(
            self.env, self.streams["failures"], len(workload.nodes), scenario.failures, self._fail, self._repair
        )
        self._scalers = [Role(SCALER, group.agent, SCALER_CANDIDATES, self, _legal_change) for group in self.services]
        self._cappers = [
            Role(CAPPER, f"{CAPPER}_{row}", CAPPER_CANDIDATES, self, _everything) for row in range(workload.rows)
        ]
        self.agents = (
            *(role.agent for role in self._scalers),
            *(role.agent for role in self._cappers),
            *(migrations.agent for migrations in self.migrations),
            *(zone.agent for zone in self.zones),
        )
        self.history = ControlHistory(self)
        self._tick_number = 0
        self._next_tick()
        self.env.timeout(SAMPLE_S).callbacks.append(self._sample)

    @staticmethod
    def role_of(agent: str) -> str:
        """The role that an agent has."""
        return agent.rpartition("_")[0]

    # --- ticks

    def _next_tick(self) -> None:
        """By number, so that the sum of many ticks does not drift."""
        self._tick_number += 1
        at_s = self._tick_number * self.scenario.tick_s
        if at_s < self.workload.duration_s:
            self.env.timeout(max(0.0, at_s - self.env.now)).callbacks.append(self._tick)

    def _tick(self, _event: simpy.Event) -> None:
        self.control.settle(self._ask_everybody)
        self._next_tick()

    def _ask_everybody(self) -> None:
        self.history.remember()
        ask = self.control.ask
        for role, group in zip(self._scalers, self.services, strict=True):
            ask(role, group, partial(self._change, group))
        for row, role in enumerate(self._cappers):
            ask(role, self.row(row), partial(self._cap, row))
        for migrations in self.migrations:
            migrations.ask()

    def _change(self, group: ServiceGroup, k: int, _detail: object) -> None:
        if k != NO_CANDIDATE:
            group.change(*scaler_choice(k))

    def _cap(self, row: int, k: int, _detail: object) -> None:
        state = self.rows.state(row)
        if k != capper_candidate(state.low, state.high):
            self.log.add(self.env.now, CAP, row, -1, k)
            self.rows.command(row, *capper_choice(k))

    def row(self, row: int) -> Any:
        """The state of a power row (`control_roles.RowState`), with its loads up to date."""
        state, nodes = self.rows.state(row), self._nodes_of_row[row]
        state.low_busy = float(self.tenancy.low_busy[nodes].sum()) / self._devices_of_row[row]
        state.high_busy = float(self.tenancy.high_busy[nodes].sum()) / self._devices_of_row[row]
        return state

    def _sample(self, _event: simpy.Event) -> None:
        for group in self.services:
            group.sample()
        self.env.timeout(SAMPLE_S).callbacks.append(self._sample)

    # --- where pods are

    def _zone(self, node: int) -> Zone:
        return self.zones[self._zone_of[node]]

    def _zone_of_pod(self, row: int) -> Zone:
        if row < self._batch_rows:
            return self.zones[int(self.workload.traits.zone[row])]
        return self.zones[self.workload.services[self._service_of[row]].zone]

    def node_of(self, row: int) -> int:
        """The node of a pod that has one."""
        zone = self._zone_of_pod(row)
        return int(zone.nodes[zone.bindings[row].node])

    def shape(self, row: int) -> int:
        """The number of a pod's request among the distinct ones."""
        return self._pods[row].shape

    def pressure_of(self, row: int) -> float:
        """How busy the busiest thing is that a pod shares on its node."""
        zone = self._zone_of_pod(row)
        local = zone.bindings[row].node
        return float(max(zone.view.cpu_pressure[local], zone.view.gpu_pressure[local]))

    # --- the queue

    def enqueue(self, row: int, weighty: bool = True) -> None:
        """A pod waits for a node; pods of a warm pool cost nothing while they wait."""
        self._zone_of_pod(row).enqueue(row, 1.0 + self._pods[row].priority if weighty else 0.0)

    def withdraw(self, row: int) -> None:
        """A pod of a service that waits is not wanted any more."""
        self.log.add(self.env.now, WITHDRAW, row)
        self._zone_of_pod(row).withdraw(row)

    def may_preempt(self, pod: Pod) -> bool:
        """Whether a pod that fits nowhere may take the place of others."""
        return self.scenario.preemption and pod.row >= self._batch_rows

    def placed(self, pod: Pod, binding: Binding) -> None:
        """A pod got its node."""
        if pod.row < self._batch_rows:
            self.batch.placed(pod.row, binding)
        else:
            self.services[self._service_of[pod.row]].placed(pod.row, binding)

    def leave(self, row: int) -> int:
        """A pod leaves its node for good, or for now; return that node."""
        zone = self._zone_of_pod(row)
        node = self.node_of(row)
        migrations = self.migrations[zone.index]
        if migrations.concerns(row):
            migrations.give_up()
        if row in self._standing:
            self._standing.pop(row).stop()
        else:
            self.tenancy.leave(row, node)
        zone.release(zone.let_go(row))
        return node

    def displace(self, row: int) -> None:
        """A pod loses its node before its end, and waits for another one."""
        node = self.leave(row)
        if row < self._batch_rows:
            self.batch.stop(row)
            self.enqueue(row)
        else:
            self.services[self._service_of[row]].lost(row, node)

    def rename(self, row: int, to: int) -> None:
        """A pod of a warm pool becomes one of another service, where it is."""
        zone, node = self._zone_of_pod(row), self.node_of(row)
        self.tenancy.leave(row, node)
        binding = zone.rename(row, to)
        group = self.services[self._service_of[to]]
        high = group.service.priority >= self.scenario.high_priority
        self.tenancy.enter(to, node, binding, group.service.clock_sensitivity, high)
        self.tenancy.refresh(node)

    # --- migration

    def movable(self, row: int) -> bool:
        """Whether a pod may be migrated: a batch pod that works, and will for longer than the transfer takes."""
        return (
            row < self._batch_rows
            and row in self._zone_of_pod(row).bindings
            and row not in self._standing
            and self.batch.left_s(row) > self.transfer(row).duration_s
        )

    def transfer(self, row: int) -> Migration:
        """What moving a pod takes."""
        found = self._transfers.get(row)
        if found is None:
            found = self.scenario.migration.of(float(self.workload.pods.memory_mib[row]))
            self._transfers[row] = found
        return found

    def relocate(self, row: int, reserved: Binding, downtime_s: float) -> None:
        """A pod stands still, leaves its old node, and works on the new one after the downtime."""
        zone, old = self._zone_of_pod(row), self.node_of(row)
        self.batch.suspend(row)
        self.tenancy.leave(row, old)
        released = zone.let_go(row)
        zone.hold(row, reserved)
        zone.release(released)
        self._standing[row] = Work(self.env, downtime_s, lambda: self._go_on(row))

    def _go_on(self, row: int) -> None:
        del self._standing[row]
        self.batch.resume(row, self._zone_of_pod(row).bindings[row])

    # --- failures

    def _fail(self, node: int) -> None:
        zone = self._zone(node)
        local = zone.local(node)
        self.log.add(self.env.now, FAIL, node, node)
        migrations = self.migrations[zone.index]
        if migrations.target() == local:
            migrations.give_up()
        for row in sorted(row for row, binding in zone.bindings.items() if binding.node == local):
            self.log.add(self.env.now, LOST, row, node)
            self.displace(row)
        zone.close(local)
        self.tenancy.set_up(node, False)

    def _repair(self, node: int) -> None:
        self.log.add(self.env.now, REPAIR, node, node)
        self.tenancy.set_up(node, True)
        zone = self._zone(node)
        zone.open(zone.local(node))

    # --- what a change on one machine sets off

    def _clocks_changed(self, row: int) -> None:
        low, high = self.rows.low_clock(row), self.rows.high_clock(row)
        for node in self._nodes_of_row[row].tolist():
            self.tenancy.set_clocks(node, low, high)

    def _drew(self, node: int, before_w: float, after_w: float) -> None:
        row = self._row_of[node]
        self.rows.add(row, after_w - before_w)
        self._power_w += after_w - before_w
        self.meter.set_power(self.env.now, max(0.0, self._power_w))
        self.row_power[row] = self.rows.power_w[row] / self.budget_w[row]
        if self.scenario.log_power:
            self.log.add(self.env.now, POWER, node, node, round(1000 * after_w))

    def _speed_changed(self, row: int, speed: float) -> None:
        if row < self._batch_rows:
            self.batch.set_rate(row, speed)
        else:
            self.disturbed(self.services[self._service_of[row]])

    def disturbed(self, group: ServiceGroup) -> None:
        """A service can do more or less than before, or has to: look at it before anybody is asked anything."""
        self._disturbed[group.index] = None
        if not self._settling:
            self._settling = True
            self.control.settle(self._rebalance)

    def _rebalance(self) -> None:
        while self._disturbed:
            index = min(self._disturbed)
            again = self.services[index].rebalance()
            if not again:
                self._disturbed.pop(index, None)  # its own replicas have disturbed it while their load was set
        self._settling = False

    # --- costs and figures

    def cost(self, name: str) -> float:
        """A declared cost so far, in points: `team`, one of its components, or what one agent answers for.

        The costs of all agents add up to the team's, and so do the components.
        """
        components = self.components()
        if name == "team":
            return sum(components.values())
        if name in components:
            return components[name]
        if name in self.agents:
            return float(self.agent_costs()[self.agents.index(name)])
        known = ("team", *components, *self.agents)
        raise ConfigError(f"there is no cost {name!r}; choose one of {', '.join(known)}")

    def components(self) -> dict[str, float]:
        """The team cost, part by part."""
        rows, zones, groups = range(self.workload.rows), self.zones, self.services
        return {
            "slo_miss": sum(self._slo_miss(group) for group in groups),
            "queueing": sum(self._queueing(zone) for zone in zones),
            "energy": sum(self._energy(row) for row in rows),
            "brake": sum(self._brake(row) for row in rows),
            "cold_start": sum(self._cold_start(group) for group in groups),
            "migration": sum(self._migration(migrations) for migrations in self.migrations),
        }

    def agent_costs(self) -> NDArray[np.float64]:
        """What each agent answers for, in the order of `agents`; the sum is the team cost."""
        return np.array(
            [
                *(self._slo_miss(group) + self._cold_start(group) for group in self.services),
                *(self._energy(row) + self._brake(row) for row in range(self.workload.rows)),
                *(self._migration(migrations) for migrations in self.migrations),
                *(self._queueing(zone) for zone in self.zones),
            ]
        )

    def _slo_miss(self, group: ServiceGroup) -> float:
        return self.scenario.weights.slo_miss * group.missed

    def _cold_start(self, group: ServiceGroup) -> float:
        return self.scenario.weights.cold_start * group.starting_pods.integral(self.env.now)

    def _queueing(self, zone: Zone) -> float:
        return self.scenario.weights.queueing * zone.queueing.integral(self.env.now)

    def _energy(self, row: int) -> float:
        return self.scenario.weights.energy * self.rows.energy_j(row) / JOULE_PER_KWH

    def _brake(self, row: int) -> float:
        return self.scenario.weights.brake * self.rows.state(row).brakes

    def _migration(self, migrations: Migrations) -> float:
        return self.scenario.weights.migration * migrations.started

    def raw(self) -> dict[str, Any]:
        """The plain quantities now, from which any other reward can be computed."""
        now_s = self.env.now
        missed = sum(group.missed for group in self.services)
        return {
            "time_s": now_s,
            **{f"{name}_cost": value for name, value in self.components().items()},
            "requests_arrived": sum(group.arrived for group in self.services),
            "requests_missed": missed,
            "pods_arrived": self.batch.arrived,
            "pods_finished": len(self.batch.finished),
            "pods_waiting": sum(len(zone.pending) for zone in self.zones),
            "energy_kwh": sum(self.rows.energy_j(row) for row in range(self.workload.rows)) / JOULE_PER_KWH,
            "brakes": sum(self.rows.state(row).brakes for row in range(self.workload.rows)),
        }

    def metrics(self) -> dict[str, float]:
        """The figures of the episode so far; shares are fractions of 1."""
        now_s = self.env.now
        components = self.components()
        figures = {"team_cost": sum(components.values())}
        figures |= {f"{name}_cost": value for name, value in components.items()}
        queues = [group.queue.peek(now_s) for group in self.services]
        arrived = sum(queue.arrived for queue in queues)
        figures["requests_arrived"] = arrived
        figures["slo_miss_share"] = share(sum(queue.missed for queue in queues), arrived)
        for name, quantile in (("p50", 0.5), ("p99", 0.99)):
            worst = max((queue.latency_quantile_s(quantile) for queue in queues if queue.arrived), default=np.nan)
            figures[f"latency_s_{name}"] = worst if worst < np.inf else np.nan
        finished = self.batch.finished
        arrivals = {row: self._pods[row].arrival_s for row in finished}
        jct_s = {row: end_s - arrivals[row] for row, end_s in finished.items()}
        waited = [s for zone in self.zones for row, s in zone.queueing_s.items() if row < self._batch_rows]
        figures |= mean_and_percentiles("jct_s", list(jct_s.values()))
        slowdown = [jct / max(1.0, self._pods[row].duration_s) for row, jct in jct_s.items()]
        figures["slowdown_mean"] = float(np.mean(slowdown)) if slowdown else float("nan")
        figures |= mean_and_percentiles("queueing_delay_s", waited)
        figures["pods_arrived"] = float(self.batch.arrived)
        figures["pods_finished"] = float(len(finished))
        figures["pods_waiting"] = float(sum(len(zone.pending) for zone in self.zones))
        states = [self.rows.state(row) for row in range(self.workload.rows)]
        figures["energy_kwh"] = sum(self.rows.energy_j(row) for row in range(len(states))) / JOULE_PER_KWH
        meter = copy(self.meter)  # whoever looks changes nothing, not even the last bit
        meter.advance(now_s)
        figures["carbon_g"] = meter.carbon_g
        figures["water_l"] = meter.water_l
        figures["energy_usd"] = meter.cost_usd
        figures["brakes"] = float(sum(state.brakes for state in states))
        figures["over_budget_s"] = float(sum(self.rows.over_budget_s(row) for row in range(len(states))))
        figures["power_share_mean"] = share(figures["energy_kwh"] * JOULE_PER_KWH, now_s * float(self.budget_w.sum()))
        starts = [seconds for group in self.services for seconds in group.cold_start_s]
        figures["cold_starts"] = float(sum(sum(group.cold_starts.values()) for group in self.services))
        for stage in ("POOL", "WIDER", "SCRATCH"):
            figures[f"cold_starts_{stage.lower()}"] = float(
                sum(count for group in self.services for kind, count in group.cold_starts.items() if kind.name == stage)
            )
        figures["cold_start_s_mean"] = float(np.mean(starts)) if starts else float("nan")
        figures["migrations"] = float(sum(migrations.done for migrations in self.migrations))
        figures["migrated_mib"] = sum(migrations.moved_mib for migrations in self.migrations)
        figures["evictions"] = float(sum(zone.evictions for zone in self.zones))
        figures["failures"] = float(self.failures.failures)
        figures["lost_work_s"] = self.batch.lost_work_s
        figures |= self.history.means()
        return figures


def _tree(workload: ControlWorkload, budget_w: NDArray[np.float64]) -> Domain:
    """The cluster, its zones and their rows."""
    zones = []
    for zone in range(workload.zones):
        rows = sorted(set(workload.row[workload.zone == zone].tolist()))
        domains = tuple(Domain(f"row-{row}", float(budget_w[row])) for row in rows)
        zones.append(Domain(f"zone-{zone}", sum(domain.budget_w for domain in domains), domains))
    return Domain("cluster", sum(domain.budget_w for domain in zones), tuple(zones))


def _legal_change(group: ServiceGroup, out: NDArray[np.bool_]) -> bool:
    for k in range(SCALER_CANDIDATES):
        out[k] = group.can_change(*scaler_choice(k))
    return True


def _everything(_row: object, out: NDArray[np.bool_]) -> bool:
    out[:] = True
    return True
