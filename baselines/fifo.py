"""First in, first out: the job that came first takes all machines that it can use.

Spark's default between jobs, as Decima describes it (arXiv 1810.01963, section 7).
"""

from __future__ import annotations

import numpy as np

from clustersim.control import Decision


class Fifo:
    """Plays `order`: the lowest legal node, which belongs to the earliest job."""

    def reset(self, rng: np.random.Generator) -> None:
        """Nothing to forget and nothing left to chance."""

    def act(self, decision: Decision) -> int:
        return int(decision.mask.argmax())
