"""Node failures and repairs: every node fails and comes back by itself, whatever else happens in the cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, gamma, inf, log

import numpy as np
import simpy

from clustersim.errors import ConfigError

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class FailureConfig:
    """How often nodes fail and how long they stay away. The default rate is that of Meta's RSC-1, 8-GPU nodes (V)."""

    per_1000_node_days: float = 6.5
    """Failures per 1000 days of a node that is up; 0: none. RSC-2 has 2.34 (V; HPCA 2025, arXiv 2410.21680)."""
    multiplier: float = 1.0
    """Of the rate: 3.7 explains the job failures of RSC-1 that its node failures do not (C); more tests a policy."""
    weibull_shape: float = 1.0
    """Of the time to failure at the same mean: 1 has no memory, 0.7 fails early after a repair (R)."""
    repair_mean_s: float = 4 * 3600.0
    """D. Availability of 99.3 - 99.4 % (V) at the default rate would take a day, planned work included (C)."""
    repair_sigma: float = 1.0
    """Of the logarithm of the time to repair (D)."""

    def __post_init__(self) -> None:
        for name in ("per_1000_node_days", "multiplier", "repair_sigma"):
            if not 0 <= getattr(self, name) < inf:
                raise ConfigError(f"{name} is {getattr(self, name)}; it has to be finite and at least 0")
        for name in ("weibull_shape", "repair_mean_s"):
            if not 0 < getattr(self, name) < inf:
                raise ConfigError(f"{name} is {getattr(self, name)}; it has to be finite and positive")

    @property
    def mean_up_s(self) -> float:
        """Mean time to failure; inf when nodes do not fail."""
        rate = self.per_1000_node_days * self.multiplier
        return 1000 * DAY_S / rate if rate else inf


class Failures:
    """Calls `failed(node)` and `repaired(node)` in turn, for every node, as long as the simulation runs.

    Every node has a generator of its own, so that neither the order of calls nor another node shifts what it draws.
    At the start every node is up and has been for some time: the first failure comes at the rate of all later ones,
    whatever the shape. After a repair a node is as new.
    """

    def __init__(
        self,
        env: simpy.Environment,
        rng: np.random.Generator,
        nodes: int,
        config: FailureConfig,
        failed: Callable[[int], None],
        repaired: Callable[[int], None],
    ) -> None:
        self._env = env
        self._config = config
        self._failed = failed
        self._repaired = repaired
        self._scale_s = config.mean_up_s / gamma(1 + 1 / config.weibull_shape)
        self._repair_mu = log(config.repair_mean_s) - config.repair_sigma**2 / 2
        self.failures = 0
        if config.mean_up_s < inf:
            self._rngs = rng.spawn(nodes)
            for node in range(nodes):
                self._after(self._first_up_s(node), self._fail, node)

    def _fail(self, node: int) -> None:
        self.failures += 1
        repair_s = exp(self._repair_mu + self._config.repair_sigma * self._rngs[node].standard_normal())
        self._after(repair_s, self._repair, node)
        self._failed(node)

    def _repair(self, node: int) -> None:
        self._after(self._scale_s * self._rngs[node].weibull(self._config.weibull_shape), self._fail, node)
        self._repaired(node)

    def _first_up_s(self, node: int) -> float:
        """What is left of a time to failure at a random moment of it.

        Such a moment meets a time in proportion to its length, whose power `shape` is then gamma-distributed.
        """
        shape = self._config.weibull_shape
        rng = self._rngs[node]
        return self._scale_s * float(rng.standard_gamma(1 + 1 / shape) ** (1 / shape) * rng.random())

    def _after(self, delay_s: float, then: Callable[[int], None], node: int) -> None:
        self._env.timeout(delay_s).callbacks.append(lambda _event: then(node))
