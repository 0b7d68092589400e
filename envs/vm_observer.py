"""The tables that a learner sees of a fleet: written once per draft, then only the rows that a move touches."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from clustersim.envs.encoding import TableEncoder
from clustersim.envs.vm_columns import (
    MACHINES,
    STATE,
    VMS,
    Game,
    fill_machines,
    fill_state,
    fill_two_machines,
    fill_vms,
    place_vms,
)
from clustersim.envs.vm_standard import Standardisation, standardised, taken
from clustersim.vm_draft import NOBODY, Draft
from clustersim.vm_fleet import NUMA_NODES, Shapes
from clustersim.vm_state import NOWHERE, FleetState

Rows = NDArray[np.float32]

_NO_VM = np.zeros(len(VMS), dtype=np.float32)


class FleetObserver:
    """Follows the draft of an episode.

    What it has handed out it never writes to. Without `copy` a table that has not changed is handed out again: of the
    seven only two change when a VM is chosen, and three more when it moves.
    """

    def __init__(self, vm_rows: int, pm_rows: int, constants: Standardisation, copy: bool = True) -> None:
        self._copy = copy
        self._vm_rows = vm_rows
        self._of_machines = (tuple(constants.scale), *constants.machines)
        machines, vms = standardised(MACHINES, constants.machines), standardised(VMS, constants.vms)
        game, of_chosen = STATE[: -len(VMS)], standardised(STATE[-len(VMS) :], constants.vms)
        self.machines = TableEncoder(machines, partial(fill_machines, *self._of_machines), pm_rows)
        self.vms = TableEncoder(vms, partial(fill_vms, tuple(constants.scale), *constants.vms), vm_rows)
        self.state = TableEncoder((*game, *of_chosen), fill_state)
        self.spaces = {
            "machines": self.machines.space,
            "vms": self.vms.space,
            "machine_of_vm": Box(NOWHERE, pm_rows - 1, (vm_rows,), dtype=np.float32),
            "machine_there": Box(0, 1, (pm_rows,), dtype=np.float32),
            "vm_there": Box(0, 1, (vm_rows,), dtype=np.float32),
            "chosen": Box(0, 1, (vm_rows,), dtype=np.float32),
            "state": self.state.space,
        }
        self._fleet: FleetState | None = None
        self._shapes: Shapes | None = None

    def __getstate__(self) -> dict[str, Any]:
        """A copy begins anew."""
        return {**self.__dict__, "_fleet": None}

    def look(self, draft: Draft) -> dict[str, Rows]:
        """What is seen when the next question is asked."""
        if draft.state is not self._fleet:
            self._begin(draft)
        elif len(draft.moves) > self._moves:
            self._follow(draft)
        lasting = self._lasting
        seen = {name: table.copy() for name, table in lasting.items()} if self._copy else lasting.copy()
        chosen = seen["chosen"] = np.zeros(self._vm_rows, dtype=np.float32)
        row, vm = _NO_VM, draft.chosen
        if vm != NOBODY:
            chosen[vm] = 1.0
            row = lasting["vms"][vm]
        state = seen["state"] = np.empty(len(STATE), dtype=np.float32)
        fill_state(Game(draft.steps / draft.steps_allowed, self._vm_share, float(vm != NOBODY), row), state)
        return seen

    def nothing(self) -> dict[str, Rows]:
        """What is seen when the episode is over: only padding, which is 0, and -1 for the machine of a VM."""
        seen = {name: np.zeros(space.shape, dtype=np.float32) for name, space in self.spaces.items()}
        seen["machine_of_vm"].fill(NOWHERE)
        return seen

    def _begin(self, draft: Draft) -> None:
        fleet, seen = draft.state, self.nothing()
        del seen["chosen"], seen["state"]
        self._fleet, self._lasting, self._moves = fleet, seen, len(draft.moves)
        shapes = fleet.snapshot.shapes
        if shapes is not self._shapes:
            # The row of a VM depends on nothing but its shape and its NUMA node.
            self._shapes = shapes
            self._row_of_shape = np.zeros((NUMA_NODES * len(shapes), len(VMS)), dtype=np.float32)
            self.vms.fill(taken(shapes), self._row_of_shape)
        self.machines.fill((fleet.free_cores, fleet.free_memory_mib), seen["machines"])
        seen["machine_there"][: fleet.machines] = 1.0
        tables = seen["vms"], seen["machine_of_vm"], seen["vm_there"]
        place_vms(self._row_of_shape, fleet.shape, fleet.host, fleet.numa, *tables)
        self._vm_share = float(seen["vm_there"].sum()) / self._vm_rows

    def _follow(self, draft: Draft) -> None:
        """Write the rows of the two machines that each move since has touched, and of the VM."""
        state, seen = draft.state, self._lasting
        free = state.free_cores, state.free_memory_mib
        if not self._copy:
            seen.update({name: seen[name].copy() for name in ("machines", "vms", "machine_of_vm")})
        machines, vms, machine_of_vm = seen["machines"], seen["vms"], seen["machine_of_vm"]
        for vm, pm, numa in draft.moves[self._moves :]:
            fill_two_machines(*self._of_machines, *free, int(machine_of_vm[vm]), pm, machines)
            vms[vm] = self._row_of_shape[NUMA_NODES * state.shape[vm] + numa]
            machine_of_vm[vm] = pm
        self._moves = len(draft.moves)
