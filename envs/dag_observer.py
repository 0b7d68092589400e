"""From a decision about dependent tasks to padded arrays: tasks, their edges, the state, and pairs for dispatching."""

from __future__ import annotations

import numpy as np
from gymnasium.spaces import Box, Dict
from numpy.typing import NDArray

from clustersim.control import Decision
from clustersim.dag_problem import DagProblem
from clustersim.dag_state import DagView
from clustersim.envs.dag_columns import (
    PAIR_COLUMNS,
    STATE_COLUMNS,
    TASK_COLUMNS,
    Known,
    choose_rows,
    fill_pairs,
    fill_tasks,
    known,
)
from clustersim.envs.encoding import Column

Arrays = dict[str, NDArray[np.float32]]


class DagObserver:
    """Sees at most `rows` tasks, `edge_rows` edges and `slots` ready tasks; with `slots` 0 no pairs are told.

    Tasks are the unfinished ones of admitted jobs, ascending; if there are more than rows, the ready ones come first.
    Slots hold the ready tasks in the order of their rows. Edges beyond their rows are left out.
    """

    def __init__(self, rows: int, edge_rows: int, slots: int, machines: int) -> None:
        self.rows, self.edge_rows, self.slots, self.machines = rows, edge_rows, slots, machines
        self.node_of_row = np.full(rows, -1, dtype=np.int64)
        self.slot_node = np.zeros(0, dtype=np.int64)
        self._row_of_node = np.zeros(0, dtype=np.int64)
        self._problem: DagProblem | None = None
        self._known: Known

    @property
    def space(self) -> Dict:
        """float32, whatever the instance: everything is padded with zeros."""
        parts = {
            "tasks": _table(TASK_COLUMNS, self.rows),
            "task_mask": Box(0, 1, (self.rows,), dtype=np.float32),
            "edges": Box(0, self.rows - 1, (self.edge_rows, 2), dtype=np.float32),
            "edge_mask": Box(0, 1, (self.edge_rows,), dtype=np.float32),
            "state": _table(STATE_COLUMNS),
        }
        if self.slots:
            parts["slot_row"] = Box(0, self.rows, (self.slots,), dtype=np.float32)
            parts["pairs"] = _table(PAIR_COLUMNS, self.slots * self.machines)
        return Dict(parts)  # type: ignore[arg-type]

    def nothing(self) -> Arrays:
        """Zeros, as when the episode is over."""
        arrays = {
            "tasks": np.zeros((self.rows, len(TASK_COLUMNS)), dtype=np.float32),
            "task_mask": np.zeros(self.rows, dtype=np.float32),
            "edges": np.zeros((self.edge_rows, 2), dtype=np.float32),
            "edge_mask": np.zeros(self.edge_rows, dtype=np.float32),
            "state": np.zeros(len(STATE_COLUMNS), dtype=np.float32),
        }
        if self.slots:
            arrays["slot_row"] = np.zeros(self.slots, dtype=np.float32)
            arrays["pairs"] = np.zeros((self.slots * self.machines, len(PAIR_COLUMNS)), dtype=np.float32)
        return arrays

    def look(self, decision: Decision) -> Arrays:
        """Fresh arrays. `slot_row` is 1 + the row of the task in each slot, 0 for an empty one.

        Afterwards `node_of_row` (-1: unused) and `slot_node` say what rows and slots stand for.
        """
        view: DagView = decision.view
        problem = view.problem
        if problem is not self._problem:
            self._problem = problem
            self._known = known(problem)
            self._row_of_node = np.full(len(problem), -1, dtype=np.int64)
            self.node_of_row[:] = -1
        facts, arrays, ready = self._known, self.nothing(), view.ready
        used = choose_rows(
            problem.job_of,
            problem.first_node,
            view.admitted,
            view.unfinished,
            view.finished,
            ready,
            self.node_of_row,
            self._row_of_node,
        )
        fill_tasks(
            decision.time_s,
            facts.scale_s,
            used,
            self.node_of_row,
            self._row_of_node,
            facts.constant,
            facts.tail_s,
            problem.mean_run_time_s,
            problem.instances,
            problem.job_of,
            problem.first_node,
            view.arrival_s,
            view.admitted,
            view.unfinished,
            view.unstarted,
            view.running,
            view.waiting_for,
            view.finished,
            problem.pred_start,
            problem.succ_start,
            problem.succ,
            ready,
            view.tail_job,
            view.free_at_s,
            view.up,
            view.open,
            arrays["tasks"],
            arrays["task_mask"],
            arrays["edges"],
            arrays["edge_mask"],
            arrays["state"],
        )
        if self.slots:
            rows = self._row_of_node[ready]
            self.slot_node = ready[rows >= 0][: self.slots]
            arrays["slot_row"][: len(self.slot_node)] = self._row_of_node[self.slot_node] + 1
            fill_pairs(
                decision.time_s,
                facts.scale_s,
                self.slot_node,
                problem.run_time_s,
                problem.warm_up_s,
                problem.job_of,
                view.switch_s,
                view.data_at_s,
                view.free_at_s,
                view.tail_node,
                view.tail_job,
                view.up,
                view.open,
                arrays["pairs"],
            )
        return arrays


def _table(columns: tuple[Column, ...], rows: int | None = None) -> Box:
    low = np.array([column.low for column in columns], dtype=np.float32)
    high = np.array([column.high for column in columns], dtype=np.float32)
    return Box(low, high) if rows is None else Box(np.tile(low, (rows, 1)), np.tile(high, (rows, 1)))
