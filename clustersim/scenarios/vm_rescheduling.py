"""VM rescheduling: a fleet is defragmented by live migrations that a policy plans while VMs go on coming and going.

A call freezes a copy of the fleet and asks for at most `mnl` migrations on it, each in two questions: `vm` (which VM)
and `pm` (to which machine; its own means that it stays). The plan is ready `delay_s` after the call and is then carried
out on the fleet as it is by that time: a move whose VM is gone or whose target is full is dropped and counted.
A third role, `place`, is asked for every VM that arrives.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from heapq import heapify, heappop, heappush
from math import inf
from typing import Any, Literal

import numpy as np
import simpy

from clustersim.control import NO_CANDIDATE, ControlPlane, Role
from clustersim.errors import ConfigError
from clustersim.eventlog import EventLog
from clustersim.live_migration import Migration, MigrationConfig
from clustersim.metrics import TimeIntegral, share
from clustersim.scenarios.vm_carry_out import (
    CALL,
    EVENTS,
    EXITED,
    PLACED,
    READY,
    REJECTED,
    CarryOut,
    Tenant,
)
from clustersim.streams import Streams
from clustersim.vm_draft import Draft
from clustersim.vm_fleet import FLAVOUR_CORES, Bools, Snapshot
from clustersim.vm_life import FleetLife
from clustersim.vm_plan import require_mnl
from clustersim.vm_state import FleetState, Landing

PICK_VM, PICK_PM, PLACE_VM = "vm", "pm", "place"

COSTS = ("fragments", "fragment_rate")


@dataclass(frozen=True)
class VmRescheduling:
    """The scenario: a source of fleets and their lives, one per seed, and how plans are made and carried out.

    `delay_s` from the call to the plan; "measured" takes the seconds that the policy really needs, which no seed
    repeats. `every_s`: a call at every multiple, one that finds another plan under way is skipped; None for one call
    at the start. `takes_time`: whether a migration lasts as long as its pre-copy; its bytes and downtime always count.
    `at_once`: migrations under way at a time.
    """

    source: Callable[[int], FleetLife]
    mnl: int = 50
    flavour_cores: int = FLAVOUR_CORES
    landing: Landing = "best"
    delay_s: float | Literal["measured"] = 0.0
    every_s: float | None = None
    horizon_s: float = inf
    takes_time: bool = False
    at_once: int = 1
    migration: MigrationConfig = field(default_factory=MigrationConfig)

    def __post_init__(self) -> None:
        if self.mnl < 0:
            raise ConfigError(f"the migration number limit (mnl) is {self.mnl}; it has to be at least 0")
        if self.delay_s != "measured" and not 0 <= self.delay_s < inf:
            raise ConfigError(f"delay_s is {self.delay_s}; it has to be at least 0 and finite, or 'measured'")
        if self.every_s is not None and not 0 < self.every_s < inf:
            raise ConfigError(f"every_s is {self.every_s}; it has to be positive and finite, or None for one call")
        if self.every_s is not None and self.horizon_s == inf:
            raise ConfigError(f"calls every {self.every_s} s never end; set horizon_s")
        if not self.horizon_s > 0:
            raise ConfigError(f"horizon_s is {self.horizon_s}; it has to be positive")
        if self.at_once < 1:
            raise ConfigError(f"at_once is {self.at_once}; at least one migration is under way at a time")

    def build(self, seed: int) -> VmReschedulingSimulation:
        """A simulation at time 0; the same seed builds the same one."""
        return VmReschedulingSimulation(self, self.source(seed), seed)


@dataclass(frozen=True, slots=True, eq=False)
class FleetOnly:
    """What the placement of arriving VMs may read."""

    state: FleetState


@dataclass(frozen=True, slots=True)
class Arrival:
    """A VM that looks for its first machine."""

    number: int
    shape: int


class VmReschedulingSimulation:
    """One episode. `control` is driven from outside; everything else is to be read.

    `state` is the fleet; `draft` the plan in the making, on a copy of it.
    """

    def __init__(self, scenario: VmRescheduling, life: FleetLife, seed: int) -> None:
        require_mnl(scenario.mnl, life.snapshot)
        self.scenario = scenario
        self.life = life
        self.streams = Streams(seed)
        self.env = simpy.Environment()
        self.control = ControlPlane(self.env, scenario.horizon_s)
        self.log = EventLog(EVENTS)
        self.state = _begun(life, scenario.flavour_cores, scenario.landing).copy()
        snapshot, state = life.snapshot, self.state
        self._serial = [0] * state.rows
        self._empty_rows = list(range(len(snapshot), state.rows))
        heapify(self._empty_rows)
        self.draft = Draft(state, scenario.mnl)  # of its own from the first call on
        self._pick_vm = Role(PICK_VM, "rescheduler", state.rows, self.draft, self._legal_vms)
        self._pick_pm = Role(PICK_PM, "rescheduler", state.machines, self.draft, self._legal_machines)
        self._place = Role(PLACE_VM, "placer", state.machines, FleetOnly(state), self._legal_places)
        self._carry_out = CarryOut(
            self.env, state, _transfers(snapshot, scenario.migration), self.log, self._serial, scenario.at_once,
            scenario.takes_time, self._changed, self._carried_out,
        )  # fmt: skip
        self._busy = False
        self._called_at = 0.0
        self.calls = 0
        self.skipped_calls = 0
        self.planned_moves = 0
        self.arrivals = 0
        self.rejected = 0
        self.exits = 0
        self.initial_fragment_rate = state.fragment_rate
        self.planned_fragment_rate = self.initial_fragment_rate
        self._unit_cores = 8.0 * scenario.flavour_cores
        self._fragments_cost = state.fragments / self._unit_cores
        self._rate = TimeIntegral(0.0, self.initial_fragment_rate)
        self.history: list[tuple[float, float]] = [(0.0, self.initial_fragment_rate)]
        self._schedule_life()
        self._call()

    # --- a call: a plan is made

    def _call(self) -> None:
        every_s = self.scenario.every_s
        if every_s is not None:
            self._after(every_s, self._call)
        if self._busy:
            self.skipped_calls += 1
            return
        self._busy = True
        self.calls += 1
        self.log.add(self.env.now, CALL, self.calls - 1)
        self.control.settle(self._begin_draft)

    def _begin_draft(self) -> None:
        state = self.state
        self.draft.restart(state.copy(), min(self.scenario.mnl, int((state.host >= 0).sum())))
        self._serial_at_call = self._serial.copy()
        self._called_at = time.perf_counter()
        self._ask_for_vm()

    def _ask_for_vm(self) -> None:
        if self.draft.over:
            self._plan_is_made()
        else:
            self.control.ask(self._pick_vm, self.draft, self._vm_picked)

    def _legal_vms(self, draft: Draft, out: Bools) -> bool:
        return draft.state.vm_mask(out)

    def _vm_picked(self, vm: int, _detail: Any) -> None:
        if vm == NO_CANDIDATE:
            self._plan_is_made()
            return
        self.draft.choose(vm)
        self.control.ask(self._pick_pm, self.draft, self._pm_picked)

    def _legal_machines(self, draft: Draft, out: Bools) -> bool:
        draft.state.pm_mask(draft.chosen, out)
        out[draft.state.host[draft.chosen]] = True
        return True

    def _pm_picked(self, pm: int, numa: int | None) -> None:
        self.draft.send(pm, numa)
        self._fragments_cost -= self.draft.gained / self._unit_cores
        self._ask_for_vm()

    def _plan_is_made(self) -> None:
        self.planned_moves += len(self.draft.moves)
        self.planned_fragment_rate = self.draft.state.fragment_rate
        delay_s = self.scenario.delay_s
        if delay_s == "measured":
            delay_s = time.perf_counter() - self._called_at
        if delay_s > 0:
            self._after(delay_s, self._plan_is_ready)
        else:
            self._plan_is_ready()

    def _plan_is_ready(self) -> None:
        moves = self.draft.moves
        self.log.add(self.env.now, READY, self.calls - 1, -1, len(moves))
        self._carry_out.start(moves, self._serial_at_call)

    def _carried_out(self) -> None:
        self._busy = False

    # --- life

    def _schedule_life(self) -> None:
        life = self.life
        for vm in np.flatnonzero(life.exit_s < inf):
            self._after(float(life.exit_s[vm]), self._exit_of(Tenant(int(vm), 0)))
        self._expect_arrival()

    def _expect_arrival(self) -> None:
        if self.arrivals < len(self.life.arrival_s):
            self._after(float(self.life.arrival_s[self.arrivals]) - self.env.now, self._arrive)

    def _arrive(self) -> None:
        arrival = Arrival(self.arrivals, int(self.life.arrival_shape[self.arrivals]))
        self.arrivals += 1
        self.control.ask(self._place, arrival, lambda pm, numa: self._placed(arrival, pm, numa))
        self._expect_arrival()

    def _legal_places(self, arrival: Arrival, out: Bools) -> bool:
        np.greater(self.state.fits[arrival.shape], 0, out=out)
        return bool(self.state.fitting[arrival.shape] > 0)

    def _placed(self, arrival: Arrival, pm: int, numa: int | None) -> None:
        if pm == NO_CANDIDATE:
            self.rejected += 1
            self.log.add(self.env.now, REJECTED, arrival.number)
            return
        row = heappop(self._empty_rows)
        self._serial[row] += 1
        numa = self.state.landing_of_shape(arrival.shape, pm) if numa is None else numa
        self.state.add(row, arrival.shape, pm, numa)
        self.log.add(self.env.now, PLACED, row, pm, numa)
        self._changed()
        lifetime_s = float(self.life.lifetime_s[arrival.number])
        if lifetime_s < inf:
            self._after(lifetime_s, self._exit_of(Tenant(row, self._serial[row])))

    def _exit_of(self, tenant: Tenant) -> Callable[[], None]:
        def leave() -> None:
            self.exits += 1
            self.log.add(self.env.now, EXITED, tenant.row, int(self.state.host[tenant.row]))
            self._carry_out.gone(tenant.row)
            self.state.remove(tenant.row)
            # A row of the snapshot may be in a set: it stays empty.
            if tenant.row >= len(self.life.snapshot):
                heappush(self._empty_rows, tenant.row)
            self._changed()
            self._carry_out.settled()

        return leave

    def _after(self, delay_s: float, callback: Callable[[], None]) -> None:
        self.env.timeout(delay_s).callbacks.append(lambda _event: callback())

    # --- costs and metrics

    def _changed(self) -> None:
        rate = self.state.fragment_rate
        self._rate.add(self.env.now, rate - self._rate.value)
        self.history.append((self.env.now, rate))

    def cost(self, name: str) -> float:
        """A declared cost as it is now.

        "fragments": fragments in units of 8 flavours (128 cores), less with every pick, so that its decrease is the
        reward of "VMR2L" (EuroSys'25). "fragment_rate": that of the fleet, which changes when a plan is carried out.
        """
        if name == "fragments":
            return self._fragments_cost
        if name == "fragment_rate":
            return self.state.fragment_rate
        raise ConfigError(f"there is no cost {name!r}; choose one of {', '.join(COSTS)}")

    def raw(self) -> dict[str, Any]:
        """The quantities as they are now."""
        draft = self.draft
        return {
            "time_s": self.env.now,
            "fragment_rate": draft.state.fragment_rate,
            "steps": draft.steps,
            "moves": len(draft.moves),
        }

    def metrics(self) -> dict[str, float]:
        """Figures of merit, of the whole episode so far."""
        now_s, totals, state = self.env.now, self._carry_out.totals, self.state
        planned = self.planned_moves
        return {
            "fragment_rate": state.fragment_rate,
            "initial_fragment_rate": self.initial_fragment_rate,
            "planned_fragment_rate": self.planned_fragment_rate,
            "fragment_rate_mean": self._rate.mean(now_s),
            "moves": float(totals.moves),
            "planned_moves": float(planned),
            "dropped_gone": float(totals.dropped_gone),
            "dropped_full": float(totals.dropped_full),
            "dropped_share": share(totals.dropped_gone + totals.dropped_full, planned),
            "migrated_mib": totals.migrated_mib,
            "downtime_s": totals.downtime_s,
            "transfer_s": totals.transfer_s,
            "calls": float(self.calls),
            "skipped_calls": float(self.skipped_calls),
            "arrivals": float(self.arrivals),
            "rejected": float(self.rejected),
            "exits": float(self.exits),
            "vms": float((state.host >= 0).sum()),
            "makespan_s": now_s,
        }


@lru_cache(maxsize=8)
def _begun(life: FleetLife, flavour_cores: int, landing: Landing) -> FleetState:
    """The state of a fleet at its beginning, to be copied: an episode of 50 moves lasts no longer than building it."""
    return FleetState(life.snapshot, flavour_cores, landing, life.most_arrivals_at_once)


@lru_cache(maxsize=8)
def _transfers(snapshot: Snapshot, network: MigrationConfig) -> list[Migration]:
    """What a migration takes, by shape."""
    return [network.of(float(memory_mib)) for memory_mib in snapshot.shapes.total_memory_mib]
