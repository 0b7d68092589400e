"""One step per migration: the VM and its machine in one action, for libraries that want it so."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import MultiDiscrete
from numpy.typing import NDArray

from clustersim.envs.vm_rescheduling import VmReschedulingEnv
from clustersim.errors import ConfigError


class JointAction(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Plays a `VmReschedulingEnv` with actions (row of a VM, row of a machine); rewards of the two steps are added.

    An illegal VM is answered with the first legal one, which stays at home, an illegal machine with staying at home;
    either counts once. With `illegal="penalty"` either costs 5 as well.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        inner = env.unwrapped
        if not isinstance(inner, VmReschedulingEnv):
            raise ConfigError(f"JointAction plays a VmReschedulingEnv, got a {type(inner).__name__}")
        self._inner = inner
        self.action_space = MultiDiscrete([inner.vm_rows, inner.pm_rows])

    def vm_mask(self) -> NDArray[np.bool_]:
        """Which VMs may be picked, shape (vm_rows,)."""
        return self._inner.action_masks()[: self._inner.vm_rows]

    def pm_mask(self, vm: int) -> NDArray[np.bool_]:
        """On which machines that VM may be afterwards, its own among them, shape (pm_rows,); no step is taken."""
        return self._inner.pm_mask(vm)

    def action_masks(self) -> NDArray[np.bool_]:
        """The two masks one behind the other, as sb3-contrib has it, shape (vm_rows + pm_rows,).

        Which machines are legal depends on the VM, which this convention cannot say: all are shown; see `pm_mask`.
        """
        vms = self.vm_mask()
        simulation: Any = self._inner.simulation
        there = np.arange(self._inner.pm_rows) < simulation.state.machines
        return np.concatenate([vms, there & vms.any()])

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        return observation, self._told(info)

    def step(self, action: NDArray[np.int64] | tuple[int, int]) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        vm, pm = (int(part) for part in action)
        _, first, _, _, picked = self.env.step(np.int64(vm))
        if picked["illegal_action"]:
            home = self._inner.home
            assert home is not None
            pm = home
        observation, second, over, truncated, info = self.env.step(np.int64(self._inner.vm_rows + pm))
        info["illegal_action"] |= picked["illegal_action"]
        info["elapsed_s"] += picked["elapsed_s"]
        return observation, float(first) + float(second), over, truncated, self._told(info)

    def _told(self, info: dict[str, Any]) -> dict[str, Any]:
        info["action_mask"] = self.action_masks()
        return info
