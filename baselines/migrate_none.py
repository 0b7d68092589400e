"""Nothing is migrated: what a cluster does without a descheduler.

Source: kubernetes/kubernetes, whose scheduler never looks again at a pod that it has bound.
"""

from __future__ import annotations

import numpy as np

from clustersim.control import Decision


class MigrateNone:
    """The last candidate of a migrator moves nothing."""

    def reset(self, rng: np.random.Generator) -> None:
        """Nothing to forget and nothing left to chance."""

    def act(self, decision: Decision) -> int:
        return len(decision.mask) - 1
