"""Who reschedules and who places in the VM benchmarks: a name in, a player out."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path

from clustersim.agents import shipped
from clustersim.agents.folder import fingerprint
from clustersim.baselines.vm_planned import PlannedMoves
from clustersim.baselines.vm_planners import VM_PLACERS, VM_PLANNERS
from clustersim.errors import ConfigError
from clustersim.policy import Policy, run
from clustersim.scenarios.vm_rescheduling import PICK_PM, PICK_VM, VmRescheduling
from clustersim.traces.vm_like import VmLike

SCENARIO = "vm-rescheduling"
SHIPPED_AGENT = "ppo-vm"


def rescheduler(name: str, budget_s: float | None, samples: int = 1) -> PlannedMoves:
    """A fresh player of both roles of a call; a trained agent plays `samples` games, of which the best counts.

    Raises ConfigError for a name that nobody has, with the nearest one.
    """
    if name in VM_PLANNERS:
        return PlannedMoves(VM_PLANNERS[name](budget_s))
    folder = agent_folder(name)
    if folder is not None:
        from clustersim.agents.vm_player import LearnedMoves

        return PlannedMoves(LearnedMoves(folder, samples, budget_s))
    known = (*VM_PLANNERS, SHIPPED_AGENT)
    raise ConfigError(f"{SCENARIO} has no policy {name!r}; {_known(name, known)}, or the folder of a trained agent")


def placer(name: str) -> Policy:
    """A fresh player of the role `place`."""
    if name not in VM_PLACERS:
        raise ConfigError(f"there is no placement policy {name!r}; {_known(name, tuple(VM_PLACERS))}")
    return VM_PLACERS[name]()


@lru_cache(maxsize=64)
def warm_up(name: str) -> None:
    """Let a policy play a tiny fleet once in this process, so that no compilation or import counts as its thinking."""
    player = rescheduler(name, budget_s=0.1)
    scenario = VmRescheduling(VmLike(machines=4).life, mnl=2)
    run(scenario.build(0), {PICK_VM: player, PICK_PM: player})


def fingerprints(names: Sequence[str]) -> dict[str, str]:
    """Of the trained agents among the names."""
    return {name: fingerprint(folder) for name in names if (folder := agent_folder(name)) is not None}


def agent_folder(name: str) -> Path | None:
    """The folder of a trained agent, or None when the name is none."""
    folder = Path(shipped.__path__[0]) / name if name == SHIPPED_AGENT else Path(name)
    return folder if name not in VM_PLANNERS and folder.is_dir() else None


def _known(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}known are {', '.join(known)}"
