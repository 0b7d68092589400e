"""How tenants slow each other: the speed of each, from how busy they are together or from measured pairs."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numba import njit

from clustersim.readonly import read_only

Interference = Literal["off", "hinge", "pairs"]
"""No interference, the hinge on how busy the device is, or the table of pairs."""

SLOWEST = 0.2
"""No tenant gets slower than this share of its speed alone (D)."""

KINDS = ("A3C", "CycleGAN", "LM", "Recommendation", "ResNet-18", "ResNet-50", "Transformer")
"""Kinds of training jobs, in the order of PAIRS."""

PAIRS = read_only(
    np.array(
        [
            [0.51, 0.64, 0.48, 0.60, 0.69, 0.20, 0.77],
            [0.71, 0.62, 0.65, 0.60, 0.55, 0.24, 0.76],
            [0.64, 0.59, 0.64, 0.80, 0.67, 0.42, 0.72],
            [0.77, 0.42, 0.68, 0.33, 0.73, 0.21, 0.66],
            [0.99, 0.81, 0.98, 0.96, 0.91, 0.63, 0.81],
            [0.50, 0.46, 0.49, 0.51, 0.76, 0.38, 0.48],
            [0.78, 0.68, 0.75, 0.73, 0.58, 0.26, 0.75],
        ]
    )
)
"""Own speed (row) with a neighbour (column) as a share of the speed alone, on a V100 (C: means over batch sizes).

Computed from Gavel's measured throughputs (MIT), OSDI 2020, arXiv 2008.09213.
"""


@njit(cache=True)
def slowdown(pressure: float) -> float:
    """Speed of every tenant of a device, as a share of its speed alone; `pressure` is the sum of their loads.

    Fitted to Lucid's 1388 pairs on an RTX 3090 (C: mean absolute error .069; ASPLOS 2023, doi 10.1145/3575693.3575705);
    the sum over more than two tenants and the floor are ours (D).
    """
    return max(SLOWEST, 1.0 - 0.335 * max(0.0, pressure - 0.9))
