"""What the agents of a shared cluster see: vectors put together from blocks, and tables of nodes and moves.

scaler: its service, its zone, the time. capper: its row, its zone, the time. placer: the pod, its zone, the time, and a
table of the zone's nodes. migrator: its zone, the time, and a table of moves. The state for a central critic is all
services, all rows, all zones and the time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from clustersim.control import Decision
from clustersim.envs.control_columns import TIME, TimeFacts
from clustersim.envs.control_columns_pods import NEED, REQUEST, pod_facts
from clustersim.envs.control_columns_row import ROW, row_facts
from clustersim.envs.control_columns_service import SERVICE, ServiceFacts, room, service_facts
from clustersim.envs.control_columns_zone import ZONE, ZoneFacts, zone_facts, zone_size
from clustersim.envs.control_layout import Layout, role_and_index
from clustersim.envs.encoding import TableEncoder
from clustersim.envs.multi_agent import TeamSimulation
from clustersim.scenarios.control_roles import (
    CAPPER,
    PLACER,
    SCALER,
    SCALER_NOOP,
    RowState,
    ServiceState,
    ZoneView,
    capper_candidate,
)

Vector = NDArray[np.float32]


class Zone(Protocol):
    """What has a view for policies."""

    @property
    def view(self) -> ZoneView: ...


class ControlSimulation(TeamSimulation, Protocol):
    """What is looked at: services, power rows and zones, in the order of their numbers."""

    @property
    def services(self) -> Sequence[ServiceState]: ...
    @property
    def zones(self) -> Sequence[Zone]: ...
    def row(self, row: int) -> RowState: ...


class ControlObserver:
    """Encodes what each agent of an episode sees; what several of them see is computed once until something happens."""

    def __init__(self, layout: Layout, simulation: ControlSimulation) -> None:
        self._layout = layout
        self._simulation = simulation
        self._places = {agent: role_and_index(agent) for agent in layout.agents}
        self._tables = {agent: layout.table(*place) for agent, place in self._places.items()}
        self._sizes = [zone_size(zone.view) for zone in simulation.zones]
        self._service_named = {state.service.name: i for i, state in enumerate(simulation.services)}
        self._services_in = [
            [i for i, at in enumerate(layout.service_zone) if at == zone] for zone in range(len(layout.zone_nodes))
        ]
        self._seen_at = (-1.0, -1)
        self._facts: dict[int, ServiceFacts] = {}
        self._vectors: dict[tuple[str, int], Vector] = {}

    def observe(self, agent: str, decision: Decision | None) -> Any:
        self._forget()
        role, index = self._places[agent]
        vector = np.concatenate(self._parts(role, index, decision))
        table = self._tables[agent]
        if table is None:
            return vector
        rows = table.buffer()
        if decision is not None:
            table.fill(decision, rows)
        return {"vector": vector, "table": rows}

    def noop(self, agent: str) -> int:
        role, index = self._places[agent]
        if role == SCALER:
            return SCALER_NOOP
        if role == CAPPER:
            row = self._simulation.row(index)
            return capper_candidate(row.low, row.high)
        return self._layout.actions(role, index) - 1

    def state(self) -> Vector:
        self._forget()
        layout = self._layout
        services = [self._service(i) for i in range(len(layout.service_zone))]
        rows = [self._row(i) for i in range(len(layout.row_zone))]
        zones = [self._zone(i) for i in range(len(layout.zone_nodes))]
        return np.concatenate([*services, *rows, *zones, self._time()])

    def _parts(self, role: str, index: int, decision: Decision | None) -> list[Vector]:
        """The blocks of a role, as `BLOCKS` has them."""
        layout = self._layout
        if role == SCALER:
            return [self._service(index), self._zone(layout.service_zone[index]), self._time()]
        if role == CAPPER:
            return [self._row(index), self._zone(layout.row_zone[index]), self._time()]
        of_zone = [self._zone(index), self._time()]
        return [*self._pod(decision), *of_zone] if role == PLACER else of_zone

    def _pod(self, decision: Decision | None) -> list[Vector]:
        request, need = REQUEST.buffer(), NEED.buffer()
        if decision is not None:
            REQUEST.fill(decision, request)
            NEED.fill(pod_facts(decision, self._replica_of(decision.subject.name)), need)
        return [request, need]

    def _replica_of(self, pod: str) -> ServiceFacts | None:
        """The service of a pod that is called service/SERVICE/NUMBER."""
        kind, _, rest = pod.partition("/")
        return self._service_facts(self._service_named[rest.rpartition("/")[0]]) if kind == "service" else None

    # --- what is computed once until something happens

    def _forget(self) -> None:
        control = self._simulation.control
        seen_at = (control.env.now, control.answers)
        if seen_at != self._seen_at:
            self._seen_at = seen_at
            self._facts.clear()
            self._vectors.clear()

    def _service_facts(self, index: int) -> ServiceFacts:
        facts = self._facts.get(index)
        if facts is None:
            state = self._simulation.services[index]
            cluster = self._simulation.zones[state.service.zone].view.cluster
            facts = self._facts[index] = service_facts(state, room(state.service, cluster))
        return facts

    def _once(self, kind: str, index: int, block: TableEncoder, facts: Callable[[], Any]) -> Vector:
        vector = self._vectors.get((kind, index))
        if vector is None:
            vector = self._vectors[kind, index] = block.buffer()
            block.fill(facts(), vector)
        return vector

    def _service(self, index: int) -> Vector:
        return self._once("service", index, SERVICE, lambda: self._service_facts(index))

    def _row(self, index: int) -> Vector:
        return self._once("row", index, ROW, lambda: row_facts(self._simulation.row(index)))

    def _zone(self, index: int) -> Vector:
        return self._once("zone", index, ZONE, lambda: self._zone_facts(index))

    def _zone_facts(self, index: int) -> ZoneFacts:
        services = [self._service_facts(i) for i in self._services_in[index]]
        return zone_facts(self._simulation.zones[index].view, self._sizes[index], services)

    def _time(self) -> Vector:
        return self._once("time", 0, TIME, lambda: TimeFacts(self._seen_at[0], self._layout.duration_s))
