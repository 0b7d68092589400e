"""Any ready task with the same probability: what every order has to beat.

As in DS3 (arXiv 2003.09016) and DeepSoCS (arXiv 2005.07666), whose tables have a random scheduler too.
"""

from __future__ import annotations

import numpy as np

from clustersim.control import Decision
from clustersim.policy import random_legal


class RandomOrder:
    """Plays `order`; it never waits."""

    def reset(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def act(self, decision: Decision) -> int:
        return int(random_legal(decision.mask[:-1], self._rng.random()))
