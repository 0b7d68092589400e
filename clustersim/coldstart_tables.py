"""How long the parts of a cold start take: Huawei's serverless platform, Region 2, by runtime, in seconds.

Read off the figures of the paper (Vf: error 1 % at the median and at 90 %, up to 7 % at 99 %; EuroSys 2025, doi
10.1145/3689031.3696073, arXiv 2410.06145). The data set behind it is CC BY 4.0.
"""

from __future__ import annotations

from bisect import bisect_right
from statistics import NormalDist

from clustersim.errors import ConfigError

PROBABILITIES = (0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95, 0.99)
"""Of the quantiles below. A row of seven ends at 95 %: the figure shows no more."""

CODE_S = {
    "C#": (0.00102, 0.00102, 0.00102, 0.00509, 0.00611, 0.00814, 0.0133, 0.266),
    "Custom": (0.00102, 0.00102, 0.00102, 0.00203, 0.00203, 0.00305, 0.00305, 0.0491),
    "Go1.x": (0.457, 0.495, 0.615, 0.615, 0.651, 0.787, 0.868, 1.16),
    "Java": (0.0225, 0.0316, 0.0511, 0.125, 0.322, 0.539, 0.758, 1.63),
    "Node.js": (0.00203, 0.0235, 0.045, 0.094, 0.243, 0.728, 2.12, 2.53),
    "PHP7.3": (0.00102, 0.00203, 0.0316, 0.0501, 0.094, 0.199, 0.283, 0.666),
    "Python2": (0.00102, 0.00203, 0.00407, 0.0326, 0.0593, 0.136, 0.215, 0.472),
    "Python3": (0.00203, 0.0214, 0.0337, 0.0511, 0.104, 0.208, 0.296, 0.607),
    "all": (0.00203, 0.0101, 0.0337, 0.0562, 0.135, 0.308, 0.54, 2.11),
    "http": (0.00102, 0.00102, 0.00203, 0.00203, 0.00305, 0.603, 0.926, 1.4),
}
"""Fetching and unpacking the code."""

DEPENDENCY_S = {
    "Java": (0.303, 0.331, 0.373, 0.466, 0.579, 0.718, 0.851, 1.79),
    "Node.js": (0.0344, 0.0396, 0.0741, 0.136, 0.177, 0.21, 0.278, 0.436),
    "Python2": (0.0132, 0.0142, 0.0162, 0.0213, 0.0396, 0.0934, 0.153, 0.511),
    "Python3": (0.0568, 0.123, 0.336, 1.14, 1.26, 1.44, 1.92, 2.81),
    "all": (0.0426, 0.102, 0.326, 0.918, 1.22, 1.39, 1.88, 3.05),
    "http": (0.104, 0.107, 0.13, 0.171, 0.721, 0.957, 1.05, 1.18),
}
"""Fetching what the code depends on, of starts that do; runtimes without a row have no such part."""

SCHEDULING_S = {
    "C#": (0.563, 0.586, 0.637, 0.737, 0.823, 0.879, 1.38, 3.19),
    "Custom": (0.136, 0.145, 0.718, 0.783, 0.873, 4.58, 5.42),
    "Go1.x": (0.0242, 0.0263, 0.0408, 0.0471, 0.065, 0.0977, 0.114, 0.894),
    "Java": (0.0785, 0.0842, 0.101, 0.139, 0.199, 0.439, 0.832, 3.44),
    "Node.js": (0.0724, 0.094, 0.143, 1.02, 1.21, 1.33, 1.49),
    "PHP7.3": (0.259, 0.301, 0.317, 0.344, 0.374, 0.428, 0.494, 0.871),
    "Python2": (0.208, 0.263, 0.341, 0.488, 0.653, 0.762, 0.861, 1.26),
    "Python3": (0.0668, 0.0945, 0.226, 0.452, 0.757, 1.04, 1.34, 7.3),
    "all": (0.0674, 0.106, 0.177, 0.475, 0.816, 1.18, 1.38, 8.21),
    "http": (0.2, 0.264, 0.489, 0.569, 0.598, 1.07, 1.17, 1.52),
}
"""What remains: scheduling and the rest of the control plane."""

RUNTIMES = tuple(sorted(SCHEDULING_S))
"""With "all", the mixture of the region, and "http", custom servers that speak HTTP."""

_NORMAL = NormalDist()
_SCORES = tuple(_NORMAL.inv_cdf(probability) for probability in PROBABILITIES)


def quantile_s(quantiles_s: tuple[float, ...], uniform: float) -> float:
    """The duration at a probability in (0, 1): the logarithm is interpolated over the normal score.

    That is exact for a log-normal part. Beyond the ends of a row nothing is known and the outermost value holds: at
    "all" the mean of scheduling becomes 0.677 s so, and the paper's is 0.678 s.
    """
    last = len(quantiles_s) - 1
    if uniform <= PROBABILITIES[0]:
        return quantiles_s[0]
    if uniform >= PROBABILITIES[last]:
        return quantiles_s[last]
    above = bisect_right(PROBABILITIES, uniform)
    low, high = _SCORES[above - 1], _SCORES[above]
    share = (_NORMAL.inv_cdf(uniform) - low) / (high - low)
    shorter_s, longer_s = quantiles_s[above - 1], quantiles_s[above]
    return float(shorter_s * (longer_s / shorter_s) ** share)


def known_runtime(runtime: str) -> str:
    """The runtime itself; ConfigError when the tables have no row for it."""
    if runtime not in SCHEDULING_S:
        raise ConfigError(f"the cold-start tables have no runtime {runtime!r}; use one of {', '.join(RUNTIMES)}")
    return runtime
