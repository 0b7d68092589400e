"""STF, shortest task first: the ready task with the shortest run time on its fastest machine.

One of the schedulers that DS3 comes with (arXiv 2003.09016). For one machine it ends tasks soonest on average (Smith
1956, doi 10.1002/nav.3800030106).
"""

from __future__ import annotations

from clustersim.baselines.ready_order import ReadyOrder


def stf() -> ReadyOrder:
    """Run times as expected; ties go to the lowest node."""
    return ReadyOrder(lambda problem: -problem.run_time_s.min(axis=1))
