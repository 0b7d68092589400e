"""The short list of live migrations that a migrator chooses from."""

from __future__ import annotations

from bisect import bisect_right
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clustersim.scenarios.control_roles import MOVES, Moves

if TYPE_CHECKING:
    from clustersim.scenarios.control_world import ControlSimulation
    from clustersim.scenarios.control_zone import Zone

LOOKED_AT = 16
"""Pods that are looked at each time, in turn: one look takes about 6 us, and a zone may have hundreds of pods."""

_PER_CRITERION = (3, 2, 2, 1)
"""By fragmentation, by relief, by emptying a node, by headroom."""
assert sum(_PER_CRITERION) == MOVES


class MoveFinder:
    """Looks at some batch pods of a zone and every node that has room for them.

    The list holds the best three by fragmentation, two by relief from neighbours, two that empty a node onto the
    fullest other one, and one by headroom of the power rows; a move that is best twice stands in it once.
    """

    def __init__(self, world: ControlSimulation, zone: Zone) -> None:
        self._world = world
        self._zone = zone
        self._last = -1
        nodes = len(zone.nodes)
        self._feasible = np.zeros((LOOKED_AT, nodes), dtype=np.bool_)
        self._drop = np.zeros((LOOKED_AT, nodes))

    def find(self) -> Moves | None:
        """The list now; None when nothing can be moved."""
        world, zone = self._world, self._zone
        rows = self._in_turn()
        fragmentation, cluster = zone.fragmentation, zone.cluster
        now = fragmentation.view.per_node
        found = False
        for i, row in enumerate(rows):
            binding, mask = zone.bindings[row], self._feasible[i]
            found |= cluster.feasible(binding.request, mask)
            mask[binding.node] = False
            after, _ = fragmentation.after(world.shape(row), mask)
            gain = now[binding.node] - fragmentation.without(binding)
            self._drop[i] = gain + now - after
        if not found:
            return None
        source = np.array([zone.bindings[row].node for row in rows], dtype=np.int64)
        view = zone.view
        chosen = _shortlist(
            self._feasible[: len(rows)],
            self._drop,
            source,
            np.array([world.pressure_of(row) for row in rows]),
            np.maximum(view.cpu_pressure, view.gpu_pressure),
            view.tenants,
            view.row_power[view.row],
            np.array(_PER_CRITERION),
        )
        return self._moves(rows, source, chosen) if len(chosen) else None

    def _in_turn(self) -> list[int]:
        """The movable pods behind the last one that was looked at."""
        there = sorted(self._zone.bindings)
        start = bisect_right(there, self._last)
        rows = list(islice(filter(self._world.movable, there[start:] + there[:start]), LOOKED_AT))
        if rows:
            self._last = rows[-1]
        return rows

    def _moves(self, rows: list[int], source: NDArray[np.int64], chosen: NDArray[np.int64]) -> Moves:
        world, view = self._world, self._zone.view
        i, target = chosen[:, 0], chosen[:, 1]
        pods = np.array(rows, dtype=np.int64)[i]
        from_node = source[i]
        pressure = np.maximum(view.cpu_pressure, view.gpu_pressure)
        row_power = view.row_power[view.row]
        own = np.array([world.pressure_of(row) for row in pods.tolist()])

        def padded(values: NDArray[Any], empty: float = 0.0) -> NDArray[Any]:
            out = np.full(MOVES, empty, dtype=values.dtype)
            out[: len(values)] = values
            return out

        return Moves(
            pod=padded(pods, -1),
            source=padded(from_node, -1),
            target=padded(target, -1),
            fragmentation_drop=padded(self._drop[i, target]),
            relief=padded(own - pressure[target]),
            empties=padded((view.tenants[from_node] == 1).astype(np.float64)),
            fills=padded(view.tenants[target].astype(np.float64)),
            headroom=padded(row_power[from_node] - row_power[target]),
            transfer_s=padded(np.array([world.transfer(row).duration_s for row in pods.tolist()])),
            left_s=padded(np.array([world.batch.left_s(row) for row in pods.tolist()])),
        )


@njit(cache=True)
def _shortlist(feasible, drop, source, own_pressure, pressure, tenants, row_power, per_criterion):  # type: ignore[no-untyped-def]
    """(k, 2) pod index and target of the chosen moves, without repetition."""
    pods, nodes = feasible.shape
    chosen = np.empty((MOVES, 2), dtype=np.int64)
    count = 0
    best_target = np.empty(pods, dtype=np.int64)
    best = np.empty(pods)
    for criterion in range(len(per_criterion)):
        for i in range(pods):
            best_target[i] = -1
            for n in range(nodes):
                if not feasible[i, n]:
                    continue
                if criterion == 0:
                    value = drop[i, n]
                elif criterion == 1:
                    value = own_pressure[i] - pressure[n]
                elif criterion == 2:
                    value = tenants[n] - 1000.0 * tenants[source[i]]
                    if tenants[n] == 0:
                        continue
                else:
                    value = row_power[source[i]] - row_power[n]
                if best_target[i] < 0 or value > best[i]:
                    best_target[i] = n
                    best[i] = value
        for _ in range(per_criterion[criterion]):
            top = -1
            for i in range(pods):
                if best_target[i] >= 0 and (top < 0 or best[i] > best[top]):
                    top = i
            if top < 0:
                break
            known = False
            for k in range(count):
                known |= chosen[k, 0] == top and chosen[k, 1] == best_target[top]
            if not known:
                chosen[count, 0] = top
                chosen[count, 1] = best_target[top]
                count += 1
            best_target[top] = -1
    return chosen[:count]
