"""A Gymnasium environment over any scenario: the learner plays one role or several, policies play the others."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Protocol

import gymnasium
import numpy as np
from numpy.typing import NDArray

from clustersim.control import Decision
from clustersim.errors import ConfigError
from clustersim.policy import Policy, Simulation

_TRIES = 100
"""Episodes to look through for one that asks something."""


class CostedSimulation(Simulation, Protocol):
    """A simulation that declares costs, raw quantities (`time_s` among them) and metrics."""

    def cost(self, name: str) -> float: ...
    def raw(self) -> dict[str, Any]: ...
    def metrics(self) -> dict[str, float]: ...


class DecisionEnv(gymnasium.Env[Any, np.int64]):
    """One step is one decision of the learner's role, or of one of its roles.

    The reward is the decrease of the declared cost since the decision before, however much time has passed.
    `reset(seed=s)` plays the episode that a benchmark plays with seed s; later resets draw their seeds from it, and so
    does a reset whose episode would ask the learner nothing.
    An illegal action never raises: it is answered with the wait candidate when that is legal, else with the first
    legal candidate, flagged in `info["illegal_action"]` and counted in `info["illegal_actions"]`; it costs `penalty`.

    `info` holds the mask (`action_mask`), the seconds since the decision before (`elapsed_s`), the scenario's raw
    quantities (so that another reward can be computed), and at the end of an episode its `metrics`.
    """

    # RUF012 off: Gymnasium declares metadata as an instance variable, so ClassVar would be an error of its own.
    metadata: dict[str, Any] = {"render_modes": ["ansi", "rgb_array"], "render_fps": 4}  # noqa: RUF012

    penalty = 0.0

    def __init__(
        self,
        role: str | tuple[str, ...],
        reward: str,
        others: Mapping[str, Policy] | None = None,
        render_mode: str | None = None,
    ) -> None:
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise ConfigError(f"render_mode is {render_mode!r}; choose one of {self.metadata['render_modes']} or None")
        self.render_mode = render_mode
        self.roles = (role,) if isinstance(role, str) else role
        self.reward = reward
        self.others = dict(others or {})
        self._simulation: CostedSimulation | None = None
        self._decision: Decision | None = None
        self._mask: NDArray[np.bool_] = np.zeros(0, dtype=np.bool_)
        self._actions = 0
        self._illegal_actions = 0

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles leave the running episode behind and ask for a reset.

        A copied simulation would play on wrongly: views of its arrays become arrays of their own.
        """
        nothing = np.zeros(0, dtype=np.bool_)
        return {**self.__dict__, "_simulation": None, "_decision": None, "_mask": nothing}

    # --- what a scenario's environment provides

    @abstractmethod
    def build(self, seed: int) -> CostedSimulation:
        """A fresh simulation of the scenario."""

    @abstractmethod
    def encode(self, decision: Decision | None) -> Any:
        """The observation; for None (the episode is over) all zeros."""

    @abstractmethod
    def wait_candidate(self) -> int | None:
        """The candidate that means waiting, if the role that is asked has one."""

    def to_action(self, decision: Decision) -> NDArray[np.bool_]:
        """The decision's mask as a new mask over actions: callers keep masks past the next step."""
        return decision.mask.copy()

    def to_candidate(self, action: int) -> int:
        """The candidate that an action means."""
        return action

    # --- Gymnasium

    @property
    def simulation(self) -> CostedSimulation:
        """The running simulation."""
        if self._simulation is None:
            raise gymnasium.error.ResetNeeded("there is no episode yet; call reset() first")
        return self._simulation

    @property
    def decision(self) -> Decision | None:
        """The question that waits for an action; None when the episode is over."""
        return self._decision

    def action_masks(self) -> NDArray[np.bool_]:
        """The legal actions, shape (actions,): the convention of sb3-contrib."""
        return self._mask

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._actions = int(self.action_space.n)  # type: ignore[attr-defined]
        self._illegal_actions = 0
        self._time_s = 0.0
        self._begin(seed)
        for _ in range(_TRIES):
            if self._decision is not None:
                break
            self._begin(None)
        else:
            raise ConfigError(
                f"{_TRIES} episodes in a row ask nothing of role {' or '.join(map(repr, self.roles))}; "
                "play another configuration"
            )
        self._cost = self.simulation.cost(self.reward)
        return self.encode(self._decision), self._info(False)

    def step(self, action: np.int64 | int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        decision, simulation = self._decision, self.simulation
        if decision is None:
            raise gymnasium.error.ResetNeeded("the episode is over; call reset() first")
        k = self.to_candidate(int(action))
        illegal = not (0 <= k < len(decision.mask) and decision.mask[k])
        if illegal:
            self._illegal_actions += 1
            k = self._fallback(decision)
        simulation.control.answer(decision, k)
        self._decision = self._advance()
        cost = simulation.cost(self.reward)
        reward = self._cost - cost
        if illegal:
            reward -= self.penalty
        self._cost = cost
        observation = self.encode(self._decision)
        return observation, reward, self._decision is None, False, self._info(illegal)

    def _begin(self, seed: int | None) -> None:
        self._simulation = self.build(int(self.np_random.integers(2**31)) if seed is None else seed)
        for role, policy in self.others.items():
            policy.reset(self._simulation.streams[f"policy/{role}"])
        self._decision = self._advance()

    def _advance(self) -> Decision | None:
        control = self.simulation.control
        while (decision := control.advance()) is not None and decision.role not in self.roles:
            player = self.others.get(decision.role)
            if player is None:
                raise ConfigError(
                    f"nobody plays the role {decision.role!r}; "
                    f"give a policy for it in others={{{decision.role!r}: ...}}"
                )
            control.answer(decision, player.act(decision))
        self._mask = np.zeros(self._actions, dtype=np.bool_) if decision is None else self.to_action(decision)
        return decision

    def _fallback(self, decision: Decision) -> int:
        wait = self.wait_candidate()
        return wait if wait is not None and decision.mask[wait] else int(decision.mask.argmax())

    def _info(self, illegal: bool) -> dict[str, Any]:
        info: dict[str, Any] = self.simulation.raw()
        now_s = info["time_s"]
        info["action_mask"] = self._mask
        info["elapsed_s"] = now_s - self._time_s
        info["illegal_action"] = illegal
        info["illegal_actions"] = self._illegal_actions
        self._time_s = now_s
        if self._decision is None:
            info["metrics"] = self.simulation.metrics()
        return info
