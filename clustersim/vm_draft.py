"""A plan in the making: migrations are picked one by one, and tried at once on a copy of the fleet."""

from __future__ import annotations

from clustersim.vm_fleet import Ints
from clustersim.vm_plan import Move, Task
from clustersim.vm_state import FleetState

NOBODY = -1


class Draft:
    """What both roles are asked about. Read it; only the scenario picks.

    `state` is the fleet as it will be after the moves so far. `steps` counts what was picked, staying at home too;
    there are `mnl` of them. `chosen` is the VM that looks for a machine, NOBODY while a VM is to be picked.
    """

    def __init__(self, state: FleetState, mnl: int) -> None:
        self.mnl = mnl
        self.restart(state, mnl)

    def restart(self, state: FleetState, mnl: int) -> None:
        """Begin a plan for a fleet; the state is the draft's own from now on."""
        self.state = state
        self.steps_allowed = min(mnl, self.mnl)
        self.steps = 0
        self.chosen = NOBODY
        self.moves: list[Move] = []
        self.gained = 0
        """Fragment cores by which the last pick reduced the fragments; negative where it made more."""

    @property
    def over(self) -> bool:
        return self.steps >= self.steps_allowed

    def task(self) -> tuple[Task, Ints]:
        """The task for a planner, with the moves that are left, and the row of each VM of its snapshot."""
        snapshot, rows = self.state.freeze()
        left = min(self.steps_allowed - self.steps, len(snapshot))
        return Task(snapshot, left, self.state.flavour_cores), rows

    def choose(self, vm: int) -> None:
        self.chosen = vm

    def send(self, pm: int, numa: int | None) -> None:
        """The chosen VM goes to a machine: to a NUMA node, or where the landing rule says. At home it stays."""
        vm, state = self.chosen, self.state
        self.chosen = NOBODY
        self.steps += 1
        self.gained = 0
        home = int(state.host[vm])
        if pm == home:
            return
        self.gained = state.move(vm, pm, numa)
        self.moves.append(Move(vm, pm, int(state.numa[vm])))
