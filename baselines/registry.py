"""The built-in placement policies by name."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches

from clustersim.baselines.dot_product import dot_product
from clustersim.baselines.fgd import Fgd
from clustersim.baselines.fits import FirstFit, best_fit, worst_fit
from clustersim.baselines.gpu_clustering import gpu_clustering
from clustersim.baselines.gpu_packing import gpu_packing
from clustersim.baselines.kube import kube_default, kube_most_allocated
from clustersim.baselines.random_fit import RandomFit
from clustersim.errors import ConfigError
from clustersim.policy import Policy, ScorePolicy

POLICIES: dict[str, dict[str, Callable[[], Policy]]] = {
    "pod-placement": {
        "random": RandomFit,
        "first-fit": FirstFit,
        "best-fit": lambda: ScorePolicy(best_fit),
        "worst-fit": lambda: ScorePolicy(worst_fit),
        "dot-product": lambda: ScorePolicy(dot_product),
        "gpu-packing": lambda: ScorePolicy(gpu_packing),
        "gpu-clustering": lambda: ScorePolicy(gpu_clustering),
        "fgd": Fgd,
        "kube-default": lambda: ScorePolicy(kube_default, ties="random"),
        "kube-most-allocated": lambda: ScorePolicy(kube_most_allocated, ties="random"),
    },
}
"""Scenario -> name -> a fresh policy."""


def policy(scenario: str, name: str) -> Policy:
    """A fresh policy; an unknown name is answered with the nearest one."""
    if name not in POLICIES[scenario]:
        raise ConfigError(unknown_policy(scenario, name))
    return POLICIES[scenario][name]()


def unknown_policy(scenario: str, name: str) -> str:
    """What to say of a name that no policy has."""
    near = get_close_matches(name, POLICIES[scenario], n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{scenario} has no policy {name!r}; {hint}known are {', '.join(POLICIES[scenario])}"
