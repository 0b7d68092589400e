"""What a learner sees of a fleet: columns of machines, of VMs and of the state, and the kernels that fill them.

Features as in "VMR2L" (EuroSys'25, arXiv 2505.17359). A machine is told by what is free on its two NUMA nodes, a VM by
what it takes there.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clustersim.envs.encoding import Column

Floats = NDArray[np.float64]


class Scale(NamedTuple):
    """What counts as 1: the cores and the memory of a NUMA node, and the flavour that fragments are measured by."""

    cores: int
    memory_mib: int
    flavour_cores: int


class Pair(NamedTuple):
    """Cores and memory on the two NUMA nodes."""

    cores_0: int
    cores_1: int
    memory_0: int
    memory_1: int
    scale: Scale


class Moments(NamedTuple):
    """What is subtracted from every column, and what the rest is divided by."""

    mean: Floats
    sd: Floats


class Game(NamedTuple):
    """Where the episode stands, and the row of the chosen VM (of zeros while there is none)."""

    step_share: float
    vm_share: float
    stage: float
    chosen: NDArray[np.float32]  # (6,)


# One function per column, of a pair or the game. Those of a pair are inlined into the kernels below.


@njit(cache=True)
def _cores_0(pair):  # type: ignore[no-untyped-def]
    return min(1.0, pair.cores_0 / pair.scale.cores)


@njit(cache=True)
def _cores_1(pair):  # type: ignore[no-untyped-def]
    return min(1.0, pair.cores_1 / pair.scale.cores)


@njit(cache=True)
def _memory_0(pair):  # type: ignore[no-untyped-def]
    return min(1.0, pair.memory_0 / pair.scale.memory_mib)


@njit(cache=True)
def _memory_1(pair):  # type: ignore[no-untyped-def]
    return min(1.0, pair.memory_1 / pair.scale.memory_mib)


@njit(cache=True)
def _left_0(pair):  # type: ignore[no-untyped-def]
    return pair.cores_0 % pair.scale.flavour_cores / pair.scale.flavour_cores


@njit(cache=True)
def _left_1(pair):  # type: ignore[no-untyped-def]
    return pair.cores_1 % pair.scale.flavour_cores / pair.scale.flavour_cores


@njit(cache=True)
def _left_share_0(pair):  # type: ignore[no-untyped-def]
    return pair.cores_0 % pair.scale.flavour_cores / pair.cores_0 if pair.cores_0 else 0.0


@njit(cache=True)
def _left_share_1(pair):  # type: ignore[no-untyped-def]
    return pair.cores_1 % pair.scale.flavour_cores / pair.cores_1 if pair.cores_1 else 0.0


def _step_share(game: Game) -> float:
    return game.step_share


def _vm_share(game: Game) -> float:
    return game.vm_share


def _stage(game: Game) -> float:
    return game.stage


def _of_chosen(place: int, game: Game) -> float:
    return float(game.chosen[place])


MACHINES = (
    Column("free_cores_0", "free cores of NUMA node 0 as a share of the largest node", 0, 1, _cores_0),
    Column("free_cores_1", "free cores of NUMA node 1", 0, 1, _cores_1),
    Column("free_memory_0", "free memory of NUMA node 0 as a share of the largest node", 0, 1, _memory_0),
    Column("free_memory_1", "free memory of NUMA node 1", 0, 1, _memory_1),
    Column("fragment_share_0", "fragments of node 0 as a share of its free cores, 0 if none", 0, 1, _left_share_0),
    Column("fragments_0", "fragments of node 0 as a share of the flavour", 0, 1, _left_0),
    Column("fragment_share_1", "fragments of node 1 as a share of its free cores, 0 if none", 0, 1, _left_share_1),
    Column("fragments_1", "fragments of node 1 as a share of the flavour", 0, 1, _left_1),
)  # fmt: skip

VMS = (
    Column("cores_0", "cores that it takes on NUMA node 0 as a share of the largest node", 0, 1, _cores_0),
    Column("cores_1", "cores that it takes on NUMA node 1", 0, 1, _cores_1),
    Column("memory_0", "memory that it takes on NUMA node 0 as a share of the largest node", 0, 1, _memory_0),
    Column("memory_1", "memory that it takes on NUMA node 1", 0, 1, _memory_1),
    Column("beyond_0", "its cores on node 0 beyond whole flavours, as a share of the flavour", 0, 1, _left_0),
    Column("beyond_1", "its cores on node 1 beyond whole flavours, as a share of the flavour", 0, 1, _left_1),
)

STATE = (
    Column("step_share", "picks so far as a share of those allowed", 0, 1, _step_share),
    Column("vm_share", "VMs that are there as a share of the rows for VMs", 0, 1, _vm_share),
    Column("stage", "0 where a VM is to be picked, 1 where its machine is", 0, 1, _stage),
    *(
        Column(f"chosen_{column.name}", f"of the chosen VM: {column.meaning}", 0, 1, partial(_of_chosen, place))
        for place, column in enumerate(VMS)
    ),
)


@njit(cache=True)
def _pair(scale, cores, memory, row):  # type: ignore[no-untyped-def]
    # The kernels take the scale as a plain tuple: a named one costs 0.5 us more with every call.
    return Pair(cores[row, 0], cores[row, 1], memory[row, 0], memory[row, 1], Scale(scale[0], scale[1], scale[2]))


@njit(cache=True)
def _machine_row(scale, mean, sd, cores, memory, pm, out):  # type: ignore[no-untyped-def]
    pair = _pair(scale, cores, memory, pm)
    out[pm, 0] = (_cores_0(pair) - mean[0]) / sd[0]
    out[pm, 1] = (_cores_1(pair) - mean[1]) / sd[1]
    out[pm, 2] = (_memory_0(pair) - mean[2]) / sd[2]
    out[pm, 3] = (_memory_1(pair) - mean[3]) / sd[3]
    out[pm, 4] = (_left_share_0(pair) - mean[4]) / sd[4]
    out[pm, 5] = (_left_0(pair) - mean[5]) / sd[5]
    out[pm, 6] = (_left_share_1(pair) - mean[6]) / sd[6]
    out[pm, 7] = (_left_1(pair) - mean[7]) / sd[7]


@njit(cache=True)
def fill_machines(scale, mean, sd, free, out):  # type: ignore[no-untyped-def]
    """Write the row of every machine; `free` are cores and memory (P, 2)."""
    cores, memory = free
    for pm in range(len(cores)):
        _machine_row(scale, mean, sd, cores, memory, pm, out)


@njit(cache=True)
def fill_two_machines(scale, mean, sd, cores, memory, first, second, out):  # type: ignore[no-untyped-def]
    """Write the rows of the two machines that a migration touches."""
    _machine_row(scale, mean, sd, cores, memory, first, out)
    _machine_row(scale, mean, sd, cores, memory, second, out)


@njit(cache=True)
def fill_vms(scale, mean, sd, taken, out):  # type: ignore[no-untyped-def]
    """Write the rows of VMs; `taken` are cores and memory (V, 2)."""
    cores, memory = taken
    for vm in range(len(cores)):
        pair = _pair(scale, cores, memory, vm)
        out[vm, 0] = (_cores_0(pair) - mean[0]) / sd[0]
        out[vm, 1] = (_cores_1(pair) - mean[1]) / sd[1]
        out[vm, 2] = (_memory_0(pair) - mean[2]) / sd[2]
        out[vm, 3] = (_memory_1(pair) - mean[3]) / sd[3]
        out[vm, 4] = (_left_0(pair) - mean[4]) / sd[4]
        out[vm, 5] = (_left_1(pair) - mean[5]) / sd[5]


@njit(cache=True)
def place_vms(row_of_shape, shape, host, numa, vms, machine_of_vm, vm_there):  # type: ignore[no-untyped-def]
    """Write what is seen of every VM that is there; row 2 s + n of `row_of_shape` is for shape s on NUMA node n."""
    for vm in range(len(host)):
        if host[vm] >= 0:
            vms[vm] = row_of_shape[2 * shape[vm] + numa[vm]]
            machine_of_vm[vm] = host[vm]
            vm_there[vm] = 1.0


def fill_state(game: Game, out: NDArray[np.float32]) -> None:
    """Write the columns of the state."""
    out[0], out[1], out[2] = game.step_share, game.vm_share, game.stage
    out[3:] = game.chosen
