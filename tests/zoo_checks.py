"""PettingZoo's own tests; importing them imports games of its own, which warn of their old constructors."""

from __future__ import annotations

import warnings
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from pettingzoo.test import api_test, max_cycles_test, parallel_api_test, parallel_seed_test, seed_test
    from pettingzoo.test.state_test import state_test

__all__ = ["api_warnings", "max_cycles_test", "parallel_api_test", "parallel_seed_test", "seed_test", "state_test"]

ALLOWED = {
    "Agents have different observation space sizes",  # roles differ
    "Observations are different shapes",
    "Observation space for each agent probably should be gymnasium.spaces.box or gymnasium.spaces.discrete",
    "Observation is not a NumPy array",  # a dictionary of observation and mask, as PettingZoo's board games have it
}


def api_warnings(env: Any, cycles: int) -> set[str]:
    """What `api_test` warns of beyond what our agents do on purpose; it raises for everything worse."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        api_test(env, num_cycles=cycles)
    return {str(each.message) for each in caught} - ALLOWED
