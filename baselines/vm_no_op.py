"""No rescheduling: the lower end of every comparison in "VMR2L" (EuroSys'25, arXiv 2505.17359)."""

from __future__ import annotations

import numpy as np

from clustersim.vm_plan import MovePlan, Task


def no_op(task: Task, rng: np.random.Generator) -> MovePlan:
    """Everything stays where it is."""
    return MovePlan(())
