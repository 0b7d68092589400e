"""Small instances whose schedules are known to the second: the checks of every planner."""

from __future__ import annotations

import numpy as np

from clustersim.dags import Dag, DagWorkload, Machines, batch


def topcuoglu_2002() -> DagWorkload:
    """The ten tasks on three processors of the HEFT paper; communication costs stand as bytes at 1 byte/s.

    HEFT takes 80 s, CPOP 86 s, the best schedule 73 s.
    Source: Topcuoglu, Hariri, Wu 2002, figure 2 and table 1 (doi 10.1109/71.993206).
    """
    run_time_s = (
        (14, 16, 9),
        (13, 19, 18),
        (11, 13, 19),
        (13, 8, 17),
        (12, 13, 10),
        (13, 16, 9),
        (7, 15, 11),
        (5, 11, 14),
        (18, 12, 20),
        (21, 7, 16),
    )
    edges = (
        (1, 2, 18),
        (1, 3, 12),
        (1, 4, 9),
        (1, 5, 11),
        (1, 6, 14),
        (2, 8, 19),
        (2, 9, 16),
        (3, 7, 23),
        (4, 8, 27),
        (4, 9, 23),
        (5, 9, 13),
        (6, 8, 15),
        (7, 10, 17),
        (8, 10, 11),
        (9, 10, 13),
    )
    return _instance("topcuoglu-2002", run_time_s, edges, first_task=1)


def insertion_5() -> DagWorkload:
    """Five tasks on two processors where HEFT takes 6 s, and 10 s if it never fills a gap.

    The example of the paper takes 80 s either way. Source: our own search over small instances.
    """
    run_time_s = ((3, 1), (1, 6), (4, 4), (2, 5), (1, 4))
    edges = ((0, 1, 3), (0, 2, 1), (0, 3, 1), (1, 4, 6), (3, 4, 2))
    return _instance("insertion-5", run_time_s, edges, first_task=0)


def arabnejad_2014() -> DagWorkload:
    """The ten tasks on three processors of the PEFT paper; communication costs stand as bytes at 1 byte/s.

    PEFT takes 122 s, lookahead HEFT 127 s, HEFT 133 s.
    Source: Arabnejad, Barbosa 2014 (doi 10.1109/TPDS.2013.57); costs as in the test files of mackncheesiest/peft.
    """
    run_time_s = (
        (22, 21, 36),
        (22, 18, 18),
        (32, 27, 43),
        (7, 10, 4),
        (29, 27, 35),
        (26, 17, 24),
        (14, 25, 30),
        (29, 23, 36),
        (15, 21, 8),
        (13, 16, 33),
    )
    edges = (
        (1, 2, 17),
        (1, 3, 31),
        (1, 4, 29),
        (1, 5, 13),
        (1, 6, 7),
        (2, 8, 3),
        (2, 9, 30),
        (3, 7, 16),
        (4, 8, 11),
        (4, 9, 7),
        (5, 9, 57),
        (6, 8, 5),
        (7, 10, 9),
        (8, 10, 42),
        (9, 10, 7),
    )
    return _instance("arabnejad-2014", run_time_s, edges, first_task=1)


def _instance(
    name: str, run_time_s: tuple[tuple[int, ...], ...], edges: tuple[tuple[int, int, int], ...], first_task: int
) -> DagWorkload:
    count, table = len(run_time_s[0]), np.array(edges, dtype=np.int64)
    machines = Machines(
        tuple(f"P{index + 1}" for index in range(count)),
        ("processor",) * count,
        np.zeros((count, count)),
        1.0 - np.eye(count),
        np.full(count, 100.0),
        np.full(count, 50.0),
    )
    tasks = tuple(str(first_task + index) for index in range(len(run_time_s)))
    costs = np.array(run_time_s, dtype=np.float64)
    dag = Dag(name, tasks, costs, table[:, :2] - first_task, table[:, 2].astype(np.float64))
    return batch(name, machines, [dag])
