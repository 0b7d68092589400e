"""A toy simulation with three agents of two roles, whose answers may make each other's questions illegal."""

from __future__ import annotations

from typing import Any

import numpy as np
import simpy
from gymnasium.spaces import Box, Dict
from numpy.typing import NDArray

from clustersim.control import NO_CANDIDATE, ControlPlane, Decision, Role
from clustersim.envs.multi_agent import Game
from clustersim.metrics import TimeIntegral
from clustersim.streams import Streams

TICK_S = 10.0
SLOTS = 3
LEVELS = 4
KEEP = 1
"""The level of the dial that is its no-op."""


class ToySimulation:
    """Two pickers put jobs, which come to both at the same instants, on the slots of one shelf; a dial sets the pace.

    A picker takes a free slot or waits (the last candidate), but may not wait with an urgent job: when the other one
    has just taken the last slot that job is lost. The dial is asked every tick.
    """

    agents = ("picker_0", "picker_1", "dial_0")

    def __init__(self, seed: int, horizon_s: float) -> None:
        self.streams = Streams(seed)
        self.env = simpy.Environment()
        self.control = ControlPlane(self.env, horizon_s)
        self.free = np.ones(SLOTS, dtype=np.bool_)
        self.level = KEEP
        self.lost = [0, 0]
        self.waiting = [TimeIntegral(0.0), TimeIntegral(0.0)]
        self.energy = TimeIntegral(0.0, float(self.level))
        self.history: list[tuple[float, str, int]] = []
        self.pickers = [Role("picker", f"picker_{i}", SLOTS + 1, None, self._slots) for i in range(2)]
        self.dial = Role("dial", "dial_0", LEVELS, None, self._levels)
        rng = self.streams["arrivals"]
        time_s = 0.0
        while True:
            time_s += float(np.ceil(rng.exponential(7.0)))
            if time_s >= horizon_s:
                break
            urgent = rng.random(2) < 0.4
            for i in range(2):
                self._at(time_s, lambda i=i, urgent=bool(urgent[i]): self._ask(i, urgent))
        if horizon_s > 0:
            self._at(0.0, self._tick)

    def _at(self, time_s: float, call: Any) -> None:
        self.env.timeout(time_s - self.env.now).callbacks.append(lambda _event: call())

    def _slots(self, urgent: bool, out: NDArray[np.bool_]) -> bool:
        out[:SLOTS] = self.free
        out[SLOTS] = not urgent
        return bool(out.any())

    def _levels(self, _subject: None, out: NDArray[np.bool_]) -> bool:
        out[:] = True
        out[LEVELS - 1] = bool(self.free.any())
        return True

    def _ask(self, i: int, urgent: bool) -> None:
        self.control.ask(self.pickers[i], urgent, lambda k, _detail: self._picked(i, urgent, k))

    def _picked(self, i: int, urgent: bool, k: int) -> None:
        self.history.append((self.env.now, f"picker_{i}", k))
        if k == NO_CANDIDATE:
            self.lost[i] += 1
        elif k == SLOTS:
            self.waiting[i].add(self.env.now, 1.0)
            self._at(self.env.now + TICK_S, lambda: self._again(i, urgent))
        else:
            self.free[k] = False
            self._at(self.env.now + 40.0 / (1 + self.level), lambda: self._leave(k))

    def _again(self, i: int, urgent: bool) -> None:
        self.waiting[i].add(self.env.now, -1.0)
        self._ask(i, urgent)

    def _leave(self, k: int) -> None:
        self.free[k] = True

    def _tick(self) -> None:
        self.control.ask(self.dial, None, self._dialled)
        self._at(self.env.now + TICK_S, self._tick)

    def _dialled(self, k: int, _detail: Any) -> None:
        self.history.append((self.env.now, "dial_0", k))
        self.energy.add(self.env.now, k - self.level)
        self.level = k

    def components(self) -> dict[str, float]:
        now_s = self.env.now
        return {
            "waiting": sum(each.integral(now_s) for each in self.waiting),
            "lost": 20.0 * sum(self.lost),
            "energy": self.energy.integral(now_s) / 2,
        }

    def cost(self, name: str) -> float:
        if name.startswith("picker"):
            i = int(name[-1])
            return self.waiting[i].integral(self.env.now) + 20.0 * self.lost[i]
        return {"dial_0": self.components()["energy"], "team": sum(self.components().values())}[name]

    def agent_costs(self) -> NDArray[np.float64]:
        return np.array([self.cost(agent) for agent in self.agents])

    def raw(self) -> dict[str, Any]:
        return {"time_s": self.env.now, "free": int(self.free.sum()), "level": self.level}

    def metrics(self) -> dict[str, float]:
        return {"team_cost": self.cost("team"), "lost": float(sum(self.lost))}


class ToyObserver:
    def __init__(self, simulation: ToySimulation) -> None:
        self._simulation = simulation

    def observe(self, agent: str, decision: Decision | None) -> Any:
        simulation = self._simulation
        vector = self.state()
        if agent == "dial_0":
            return vector
        table = np.zeros((SLOTS, 2), dtype=np.float32)
        if decision is not None:
            table[:, 0] = simulation.free
            table[:, 1] = decision.subject
        return {"vector": vector, "table": table}

    def noop(self, agent: str) -> int:
        return KEEP if agent == "dial_0" else SLOTS

    def state(self) -> NDArray[np.float32]:
        simulation = self._simulation
        pending = [each.value / 20 for each in simulation.waiting]
        numbers = [simulation.env.now / 1000, simulation.free.mean(), simulation.level / LEVELS, *pending]
        return np.clip(np.array(numbers, dtype=np.float32), 0, 1)


class ToyGame(Game):
    name = "toy_v0"
    agents = ToySimulation.agents
    state_space = Box(0, 1, (5,), dtype=np.float32)

    def __init__(self, horizon_s: float = 300.0) -> None:
        self.horizon_s = horizon_s
        table = Dict({"vector": self.state_space, "table": Box(0, 1, (SLOTS, 2), dtype=np.float32)})
        self.observations = {"picker_0": table, "picker_1": table, "dial_0": self.state_space}
        self.actions = {"picker_0": SLOTS + 1, "picker_1": SLOTS + 1, "dial_0": LEVELS}

    def build(self, seed: int) -> ToySimulation:
        return ToySimulation(seed, self.horizon_s)

    def watch(self, simulation: ToySimulation) -> ToyObserver:
        return ToyObserver(simulation)

    def draw(self, simulation: ToySimulation, mode: str) -> Any:
        if mode == "ansi":
            return f"free {simulation.free.sum()}, level {simulation.level}"
        return np.full((4, 4, 3), simulation.level, dtype=np.uint8)
