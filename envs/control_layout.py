"""Which agents a shared cluster has, and the shapes of what each of them sees and may do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Dict, Space

from clustersim.control_workload import ControlWorkload
from clustersim.envs.control_columns import TIME
from clustersim.envs.control_columns_moves import MOVE_TABLE
from clustersim.envs.control_columns_pods import NEED, REQUEST, place_table
from clustersim.envs.control_columns_row import ROW
from clustersim.envs.control_columns_service import SERVICE
from clustersim.envs.control_columns_zone import ZONE
from clustersim.envs.encoding import TableEncoder, one_vector
from clustersim.scenarios.control_roles import (
    CAPPER,
    CAPPER_CANDIDATES,
    MIGRATOR,
    MOVES,
    PLACER,
    SCALER,
    SCALER_CANDIDATES,
)

BLOCKS = {
    SCALER: (SERVICE, ZONE, TIME),
    CAPPER: (ROW, ZONE, TIME),
    PLACER: (REQUEST, NEED, ZONE, TIME),
    MIGRATOR: (ZONE, TIME),
}
"""What the vector of a role is made of."""


@dataclass(frozen=True)
class Layout:
    """Which agents there are, and the shapes of what they see. Equal for all workloads of a source."""

    service_zone: tuple[int, ...]
    row_zone: tuple[int, ...]
    zone_nodes: tuple[int, ...]
    duration_s: float
    rows: int | None
    """Rows of the tables of nodes; None: as many as the zone has nodes."""

    @classmethod
    def of(cls, workload: ControlWorkload, rows: int | None) -> Layout:
        """The layout of a workload."""
        row_zone = [int(workload.zone[workload.row == row][0]) for row in range(workload.rows)]
        return cls(
            tuple(service.zone for service in workload.services),
            tuple(row_zone),
            tuple(np.bincount(workload.zone).tolist()),
            workload.duration_s,
            rows,
        )

    @property
    def agents(self) -> tuple[str, ...]:
        counts = {
            SCALER: len(self.service_zone),
            CAPPER: len(self.row_zone),
            MIGRATOR: len(self.zone_nodes),
            PLACER: len(self.zone_nodes),
        }
        return tuple(f"{role}_{i}" for role, count in counts.items() for i in range(count))

    def table(self, role: str, index: int) -> TableEncoder | None:
        """The table that an agent sees beside its vector."""
        if role == PLACER:
            return place_table(self.zone_nodes[index] if self.rows is None else self.rows)
        return MOVE_TABLE if role == MIGRATOR else None

    def actions(self, role: str, index: int) -> int:
        """How many actions an agent has."""
        if role == PLACER:
            return (self.zone_nodes[index] if self.rows is None else self.rows) + 1
        return {SCALER: SCALER_CANDIDATES, CAPPER: CAPPER_CANDIDATES, MIGRATOR: MOVES + 1}[role]

    def space(self, role: str, index: int) -> Space[Any]:
        """What an agent sees."""
        vector = joined(BLOCKS[role])
        table = self.table(role, index)
        return vector if table is None else Dict({"vector": vector, "table": table.space})

    @property
    def state_space(self) -> Box:
        return joined(
            [SERVICE] * len(self.service_zone) + [ROW] * len(self.row_zone) + [ZONE] * len(self.zone_nodes) + [TIME]
        )


def joined(blocks: Sequence[TableEncoder]) -> Box:
    """The space of the blocks one after the other."""
    return one_vector(block.space for block in blocks)


def role_and_index(agent: str) -> tuple[str, int]:
    """What an agent's name says."""
    role, _, index = agent.rpartition("_")
    return role, int(index)
