"""The shared cluster as a game of several agents: scalers, cappers, migrators and placers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from clustersim.control_workload import ControlWorkload
from clustersim.envs.control_layout import Layout, role_and_index
from clustersim.envs.control_observer import ControlObserver
from clustersim.envs.control_render import draw
from clustersim.envs.multi_agent import Game
from clustersim.errors import ConfigError
from clustersim.scenarios.cluster_control import ClusterControl

Source = Callable[[int], ControlWorkload]


class ControlGame(Game):
    """Spaces are those of the source's workload of seed 0; all have to have the same zones, rows and services."""

    name = "cluster_control_v0"

    def __init__(
        self,
        source: Source | ClusterControl | None = None,
        *,
        preset: str = "small",
        rows: int | None = None,
        **scenario: Any,
    ) -> None:
        """
        source: a scenario, or what draws its workloads by a seed; by default the scenario of `preset`: small, medium
            or large.
        rows: rows of the placers' tables, at least as many as any zone has nodes; by default exactly as many.
        scenario: fields of `clustersim.scenarios.cluster_control.ClusterControl`; with a preset also options of
            `clustersim.traces.control_scenario.control_scenario`.
        """
        if source is None:
            from clustersim.traces.control_scenario import control_scenario  # only for presets: reading needs pandas

            self.scenario = control_scenario(preset, **scenario)
        elif isinstance(source, ClusterControl):
            self.scenario = replace(source, **scenario)
        else:
            self.scenario = ClusterControl(source, **scenario)
        self.rows = rows
        self.layout = Layout.of(self.scenario.source(0), rows)
        most = max(self.layout.zone_nodes)
        if rows is not None and rows < most:
            raise ConfigError(f"rows is {rows}, but the largest zone has {most} nodes; use at least {most}")
        self.agents = self.layout.agents
        places = {agent: role_and_index(agent) for agent in self.agents}
        self.observations = {agent: self.layout.space(*place) for agent, place in places.items()}
        self.actions = {agent: self.layout.actions(*place) for agent, place in places.items()}
        self.state_space = self.layout.state_space

    def build(self, seed: int) -> Any:
        simulation = self.scenario.build(seed)
        layout = Layout.of(simulation.workload, self.rows)
        if layout != self.layout:
            raise ConfigError(
                f"seed {seed} draws {layout}, but this environment was made for {self.layout}; "
                "use a source whose workloads all have the same zones, rows, services and length"
            )
        return simulation

    def watch(self, simulation: Any) -> ControlObserver:
        return ControlObserver(self.layout, simulation)

    def draw(self, simulation: Any, mode: str) -> Any:
        return draw(simulation, mode)
