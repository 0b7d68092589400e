"""VM rescheduling as an environment: migrations are picked one by one, first the VM, then its machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium.spaces import Dict, Discrete
from numpy.typing import NDArray

from clustersim.baselines.vm_place import RandomPlace
from clustersim.control import Decision
from clustersim.envs.base import DecisionEnv
from clustersim.envs.encoding import one_vector
from clustersim.envs.rendering import heat_map, text_map
from clustersim.envs.vm_observer import FleetObserver
from clustersim.envs.vm_sources import Lives, Source
from clustersim.envs.vm_standard import Standardisation, plain
from clustersim.errors import ConfigError
from clustersim.policy import Policy
from clustersim.scenarios.vm_rescheduling import (
    COSTS,
    PICK_PM,
    PICK_VM,
    PLACE_VM,
    VmRescheduling,
    VmReschedulingSimulation,
)
from clustersim.traces.vm_like import VmLike
from clustersim.vm_draft import Draft
from clustersim.vm_fleet import Snapshot
from clustersim.vm_life import FleetLife
from clustersim.vm_plan import require_mnl

PENALTY = 5.0
"""What an illegal pair costs in the `penalty` variant of "VMR2L" (EuroSys'25)."""
ROOM = 1.5
"""Rows for VMs where a generator is given, as a multiple of those of seed 0: other seeds draw more."""


class VmReschedulingEnv(DecisionEnv):
    """Reduce the fragments of a fleet with `mnl` migrations, each of them two decisions: the VM, then its machine.

    Observation: `Dict(machines: (pm_rows, 8), vms: (vm_rows, 6), machine_of_vm: (vm_rows,), machine_there: (pm_rows,),
    vm_there: (vm_rows,), chosen: (vm_rows,), state: (9,))`, or with `flat=True` all in one vector. Action: a row of the
    VMs or, behind them, a row of the machines. The machine on which the VM is lets it stay there.
    """

    def __init__(
        self,
        source: Source | None = None,
        *,
        mnl: int = 10,
        vm_rows: int | None = None,
        pm_rows: int | None = None,
        standardise: Standardisation | None = None,
        reward: str = "fragments",
        illegal: Literal["fallback", "penalty"] = "fallback",
        place: Policy | None = None,
        copy: bool = True,
        flat: bool = False,
        render_mode: str | None = None,
        **scenario: Any,
    ) -> None:
        """
        source: draws a fleet, or the life of one, by a seed; or a list of them. By default `VmLike(machines=20)`.
        vm_rows, pm_rows: rows of the tables, at least as many as VMs (those that arrive included) and machines; by
            default those of the largest fleet of a list, of a generator those of seed 0 with half as many VMs again.
        standardise: constants from `standardisation(snapshots)`; by default columns are plain shares (`plain`).
        reward: the decrease of the cost of that name, as `VmReschedulingSimulation.cost` declares it.
        illegal: what is done about a machine to which the VM may not go: it is masked, and answered with staying; or,
            for "penalty", every machine is shown as legal, and one that is not costs 5 while the VM stays.
        place: who places VMs that arrive, by default at random.
        copy: whether observations are made of fresh arrays; if not, those that have not changed since the last step are
            handed out again, which is faster: write to none of them.
        scenario: further options of `VmRescheduling`: landing, flavour_cores, delay_s, every_s, ...
        """
        if reward not in COSTS:
            raise ConfigError(f"reward is {reward!r}; choose one of {', '.join(COSTS)}")
        if illegal not in ("fallback", "penalty"):
            raise ConfigError(f"illegal is {illegal!r}; choose fallback or penalty")
        if mnl < 1:
            raise ConfigError(
                f"the migration number limit (mnl) is {mnl}; without a migration there is nothing to learn"
            )
        others = {PLACE_VM: RandomPlace() if place is None else place}
        super().__init__((PICK_VM, PICK_PM), reward, others, render_mode)
        lives = Lives(VmLike(machines=20) if source is None else source)
        self.scenario = VmRescheduling(lives, mnl=mnl, **scenario)
        self.illegal = illegal
        if illegal == "penalty":
            self.penalty = PENALTY
        examples = lives.examples()
        most_vms = max(map(_vm_rows, examples))
        by_default = most_vms if isinstance(source, Sequence) else int(ROOM * most_vms)
        self.vm_rows = by_default if vm_rows is None else vm_rows
        most_pms = max(len(life.snapshot.machines) for life in examples)
        self.pm_rows = most_pms if pm_rows is None else pm_rows
        for life in examples:
            self._require_rows(life)
            require_mnl(mnl, life.snapshot)
        VmReschedulingSimulation(self.scenario, examples[0], 0)  # what it refuses is refused now, not in an episode
        self.flat = flat
        flavour_cores = self.scenario.flavour_cores
        constants = standardise or plain([life.snapshot for life in examples], flavour_cores)
        if constants.scale.flavour_cores != flavour_cores:
            raise ConfigError(
                f"fragments are measured by flavours of {flavour_cores} cores, but standardised by "
                f"{constants.scale.flavour_cores}; give flavour_cores={flavour_cores} to `standardisation`"
            )
        self._observer = FleetObserver(self.vm_rows, self.pm_rows, constants, copy)
        parts = self._observer.spaces
        space = one_vector(parts.values()) if flat else Dict(parts)  # type: ignore[arg-type]
        self.observation_space: gymnasium.Space[Any] = space
        self.action_space = Discrete(self.vm_rows + self.pm_rows)

    def build(self, seed: int) -> VmReschedulingSimulation:
        simulation = self.scenario.build(seed)
        self._require_rows(simulation.life)
        return simulation

    def wait_candidate(self) -> int | None:
        """To stay at home, where a machine is to be picked."""
        return self.home

    @property
    def home(self) -> int | None:
        """The machine of the chosen VM; None where a VM is to be picked."""
        decision = self._decision
        if decision is None or decision.role == PICK_VM:
            return None
        draft: Draft = decision.view
        return int(draft.state.host[draft.chosen])

    def pm_mask(self, vm: int) -> NDArray[np.bool_]:
        """The machines that will be shown as legal once this VM is chosen, its own among them; shape (pm_rows,).

        None is for a VM that is not legal itself.
        """
        legal = np.zeros(self.pm_rows, dtype=np.bool_)
        decision = self._decision
        if decision is None or decision.role != PICK_VM or not (0 <= vm < len(decision.mask) and decision.mask[vm]):
            return legal
        state = decision.view.state
        machines = legal[: state.machines]
        if self.illegal == "penalty":
            machines[:] = True
        else:
            state.pm_mask(vm, machines)
            machines[state.host[vm]] = True
        return legal

    def to_action(self, decision: Decision) -> NDArray[np.bool_]:
        actions = np.zeros(self._actions, dtype=np.bool_)
        mask = decision.mask
        if decision.role == PICK_VM:
            actions[: len(mask)] = mask
        else:
            actions[self.vm_rows : self.vm_rows + len(mask)] = self.illegal == "penalty" or mask
        return actions

    def to_candidate(self, action: int) -> int:
        """A row of the wrong stage is below 0 or beyond the candidates."""
        decision = self._decision
        return action if decision is None or decision.role == PICK_VM else action - self.vm_rows

    def encode(self, decision: Decision | None) -> Any:
        """Arrays that are not written to later on; of an episode that is over nothing but padding."""
        seen = self._observer.nothing() if decision is None else self._observer.look(decision.view)
        return np.concatenate([table.ravel() for table in seen.values()]) if self.flat else seen

    def render(self) -> Any:
        """`ansi`: one character per machine of the plan in the making; `rgb_array`: one square, darker the fuller."""
        simulation: Any = self.simulation
        state = simulation.draft.state
        fill = 1 - state.free_cores.sum(axis=1) / state.snapshot.machines.cores.sum(axis=1)
        if self.render_mode == "ansi":
            return text_map(fill)
        if self.render_mode == "rgb_array":
            return heat_map(fill)
        return None

    def _require_rows(self, life: FleetLife) -> None:
        fleet: Snapshot = life.snapshot
        for what, rows, count in (
            ("vm", self.vm_rows, _vm_rows(life)),
            ("pm", self.pm_rows, len(fleet.machines)),
        ):
            if rows < count:
                raise ConfigError(
                    f"{what}_rows is {rows}, but fleet {fleet.name!r} has up to {count} {what}s at once; "
                    f"set {what}_rows to at least {count}"
                )


def _vm_rows(life: FleetLife) -> int:
    """How many VMs are there at once, at most; those of the snapshot keep their rows."""
    return len(life.snapshot) + life.most_arrivals_at_once
