"""HEFT-RT: at every event the ready tasks by their upward rank, each where it ends first by what is known then.

What remains of HEFT once tasks are placed when they are ready instead of beforehand. Sources, both recalled: DS3
(arXiv 2003.09016), which plays it with firm queues, and Mack, Arda, Ogras, Akoglu 2022 (doi 10.1109/TPDS.2021.3135876).
The rank is HEFT's own (doi 10.1109/71.993206): a task is one node however many instances it has.
"""

from __future__ import annotations

from clustersim.baselines.heft import upward_rank
from clustersim.baselines.ready_order import ReadyOrder


def heft_rt() -> ReadyOrder:
    """Ranks do not change while a job runs, so they are computed once; ties go to the lowest node."""
    return ReadyOrder(upward_rank)
