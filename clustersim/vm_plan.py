"""A plan is a list of migrations to carry out one at a time; what a planner is told, and whether its plan is legal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np

from clustersim.errors import ConfigError
from clustersim.vm_fleet import FLAVOUR_CORES, Snapshot
from clustersim.vm_state import FleetState


class Move(NamedTuple):
    """A VM goes to a NUMA node of another machine; a double-NUMA VM to node 0, which stands for both."""

    vm: int
    pm: int
    numa: int


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Reduce the fragment rate of a fleet with at most `mnl` migrations (the migration number limit).

    Raises ConfigError for a limit below 0 or above the number of VMs.
    """

    snapshot: Snapshot
    mnl: int
    flavour_cores: int = FLAVOUR_CORES

    def __post_init__(self) -> None:
        require_mnl(self.mnl, self.snapshot)

    def state(self) -> FleetState:
        """A state to try moves on."""
        return FleetState(self.snapshot, self.flavour_cores)


@dataclass(frozen=True, slots=True, eq=False)
class MovePlan:
    """Moves in the order in which they are to be carried out, each legal when its turn comes.

    `bound`: no plan reaches a lower fragment rate, NaN where nothing is proven. `figures`: what else the planner says
    of its search, by name (`unordered`: the fragment rate that it could reach if order did not matter).
    """

    moves: tuple[Move, ...]
    bound: float = float("nan")
    figures: Mapping[str, float] = field(default_factory=dict)


class Planner(Protocol):
    """Optimizers and heuristics that see the whole task at once."""

    def __call__(self, task: Task, rng: np.random.Generator) -> MovePlan: ...


def require_mnl(mnl: int, snapshot: Snapshot) -> None:
    if not 0 <= mnl <= len(snapshot):
        raise ConfigError(
            f"the migration number limit (mnl) is {mnl}; for fleet {snapshot.name!r} it has to be from 0 to "
            f"{len(snapshot)}, the number of VMs"
        )


def carried_out(task: Task, moves: Sequence[Move]) -> FleetState:
    """The state after all moves. Raises DoesNotFit at the first illegal one, ConfigError where there are too many."""
    if len(moves) > task.mnl:
        raise ConfigError(f"the plan has {len(moves)} moves; the migration number limit is {task.mnl}")
    state = task.state()
    for move in moves:
        state.move(*move)
    return state
