"""What a migrator sees beside its zone: a table of moves."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clustersim.control import Decision
from clustersim.envs.control_columns import block
from clustersim.envs.encoding import Column, TableEncoder
from clustersim.scenarios.control_roles import MOVES, Moves, ZoneView
from clustersim.workload import GPU_MILLI


class MoveFacts(NamedTuple):
    """Moves and the zone they are in; a column is a function of this."""

    moves: Moves
    zone: ZoneView


def _pays(m: MoveFacts) -> Any:
    left_s, transfer_s = np.minimum(m.moves.left_s, 1e9), m.moves.transfer_s
    return left_s / np.maximum(left_s + transfer_s, 1e-9)


_MOVES = block(
    (
        Column("is_move", "1 for a move, 0 for an empty row", 0, 1, lambda m: m.moves.pod >= 0),
        Column(
            "fragmentation_drop",
            "how much less GPU is fragmented after it, in devices",
            -2,
            2,
            lambda m: m.moves.fragmentation_drop / GPU_MILLI,
        ),
        Column("relief", "gain in the sum of the speeds on the source", -2, 2, lambda m: m.moves.relief),
        Column("empties", "1 when it leaves the source empty", 0, 1, lambda m: m.moves.empties),
        Column("fills", "pods on the target, share of 8", 0, 1, lambda m: m.moves.fills / 8),
        Column(
            "headroom", "power over budget of the source's row, minus the target's", -1, 1, lambda m: m.moves.headroom
        ),
        Column("transfer", "time that it takes, share of 2 minutes", 0, 1, lambda m: m.moves.transfer_s / 120),
        Column("left", "work that the pod has left, share of an hour", 0, 1, lambda m: m.moves.left_s / 3600),
        Column("pays", "that work over it and the transfer together", 0, 1, _pays),
        Column("source_tenants", "pods on the source, share of 8", 0, 1, lambda m: m.zone.tenants[m.moves.source] / 8),
        Column("source_gpu", "load of its fullest device", 0, 2, lambda m: m.zone.gpu_pressure[m.moves.source]),
        Column("source_cpu", "how busy its CPUs are", 0, 2, lambda m: m.zone.cpu_pressure[m.moves.source]),
        Column(
            "target_gpu", "load of the target's fullest device", 0, 2, lambda m: m.zone.gpu_pressure[m.moves.target]
        ),
        Column("target_cpu", "how busy its CPUs are", 0, 2, lambda m: m.zone.cpu_pressure[m.moves.target]),
        Column(
            "target_power",
            "power over budget of its row",
            0,
            1.5,
            lambda m: m.zone.row_power[m.zone.row[m.moves.target]],
        ),
    ),
    MOVES,
)


def _fill(decision: Decision, out: NDArray[np.float32]) -> None:
    moves: Moves = decision.subject
    _MOVES.fill(MoveFacts(moves, decision.view), out)
    out[moves.pod < 0] = 0.0


MOVE_TABLE = TableEncoder(_MOVES.columns, _fill, MOVES)
