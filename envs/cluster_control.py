"""The shared cluster for PettingZoo: `env` takes turns, `parallel_env` lets all agents act at once."""

from __future__ import annotations

from typing import Any

from pettingzoo.utils import OrderEnforcingWrapper

from clustersim.envs.aec import DecisionAECEnv
from clustersim.envs.control_game import ControlGame, Source
from clustersim.envs.parallel import DecisionParallelEnv
from clustersim.scenarios.cluster_control import ClusterControl


def _game_and_options(
    source: Source | ClusterControl | None = None,
    *,
    preset: str = "small",
    max_cycles: int | None = None,
    local_share: float = 0.5,
    flat: bool = False,
    render_mode: str | None = None,
    **more: Any,
) -> tuple[ControlGame, dict[str, Any]]:
    options = {"max_cycles": max_cycles, "local_share": local_share, "flat": flat, "render_mode": render_mode}
    return ControlGame(source, preset=preset, **more), options


def raw_env(*args: Any, **options: Any) -> DecisionAECEnv:
    """An AECEnv without wrappers. Options: those of `TeamEnv` and of `ControlGame`."""
    game, rest = _game_and_options(*args, **options)
    return DecisionAECEnv(game, **rest)


def env(*args: Any, **options: Any) -> Any:
    """An AECEnv that also complains about calls in the wrong order. Options as in `raw_env`."""
    return OrderEnforcingWrapper(raw_env(*args, **options))


def parallel_env(*args: Any, **options: Any) -> DecisionParallelEnv:
    """A ParallelEnv. Options as in `raw_env`."""
    game, rest = _game_and_options(*args, **options)
    return DecisionParallelEnv(game, **rest)
