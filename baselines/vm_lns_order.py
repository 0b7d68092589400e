"""An order in which a set of migrations can be carried out one at a time, as a numba kernel.

What has room goes, over and over; what is stuck in a circle then is tried again in another order, and given up at last.
The need for an order is left open by the MIP of "VMR2L" (EuroSys'25, arXiv 2505.17359).
"""

from __future__ import annotations

from numba import njit

from clustersim.baselines.vm_lns_chain import below
from clustersim.baselines.vm_lns_walk import HOME, HOME_NUMA, HOST, NUMA, may_go, send

TRIES = 4
"""Orders, the first as the VMs come, the others at random."""


@njit(cache=True)
def ordered(w, rehearsal, stream, moves):  # type: ignore[no-untyped-def]
    """Whether the VMs that are away in the walk can go there one by one; write how, moves (at least as many, 3).

    `rehearsal` is another walk in which everybody is at home, and is again in the end.
    """
    number = w.counts[0]
    waiting = w.away[:number].copy()
    vms = rehearsal.vms
    for attempt in range(TRIES):
        if attempt:
            _shuffle(waiting, stream)
        gone = _rehearse(w.vms, rehearsal, waiting.copy(), moves)
        for i in range(gone):
            vm = moves[i, 0]
            send(rehearsal, vm, vms[vm, HOME], vms[vm, HOME_NUMA])
        if gone == number:
            return True
    return False


@njit(cache=True)
def _rehearse(goal, rehearsal, waiting, moves):  # type: ignore[no-untyped-def]
    """Carry out what is possible, moves first come, first served; return how many."""
    gone, left = 0, len(waiting)
    while True:
        stuck = 0
        for i in range(left):
            vm = waiting[i]
            pm, numa = goal[vm, HOST], goal[vm, NUMA]
            if may_go(rehearsal, vm, pm, numa):
                send(rehearsal, vm, pm, numa)
                moves[gone, 0], moves[gone, 1], moves[gone, 2] = vm, pm, numa
                gone += 1
            else:
                waiting[stuck] = vm
                stuck += 1
        if stuck == 0 or stuck == left:
            return gone
        left = stuck


@njit(cache=True)
def _shuffle(values, stream):  # type: ignore[no-untyped-def]
    for i in range(len(values) - 1, 0, -1):
        j = below(stream, i + 1)
        values[i], values[j] = values[j], values[i]
