"""Who plays cluster control: joint policies by name, trained teams, and mixtures of both.

The tutors of trained teams have names as well, so that a team can be compared with what it has imitated. They are no
published policies, and no part of a grid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from clustersim.agents import shipped
from clustersim.agents.control_policy import LearnedControlPolicy
from clustersim.agents.control_tutors import TUTORS
from clustersim.agents.folder import fingerprint
from clustersim.baselines.joint import EXAMPLE, joint_name, parse_joint, role_policy, unknown_role_policy
from clustersim.baselines.registry import CONTROL_POLICIES
from clustersim.errors import ConfigError
from clustersim.policy import Policy
from clustersim.scenarios.control_roles import ROLES

SCENARIO = "cluster-control"
SHIPPED_TEAMS = ("mappo-cluster",)
TEAM = "team"

REFERENCE = "placer=kube-default,scaler=hpa,capper=no-cap,migrator=none"
"""What a Kubernetes cluster does by itself."""

DEFAULT_TEAMS = (
    REFERENCE,
    "placer=kube-default,scaler=kpa,capper=no-cap,migrator=none",
    "placer=fgd,scaler=hpa,capper=polca,migrator=ha",
    "placer=fgd,scaler=kpa,capper=polca,migrator=none",
    "placer=best-fit,scaler=histogram,capper=1-threshold-all,migrator=consolidate",
    "placer=random,scaler=random,capper=random,migrator=random",
)


@dataclass(frozen=True)
class ControlTeam:
    """A policy per role, and the folders of those that are trained."""

    players: dict[str, Callable[[], Policy]]
    folders: tuple[Path, ...] = ()

    @property
    def fingerprint(self) -> str | None:
        """Changes when any of the weights do; None when there are none."""
        return "+".join(map(fingerprint, self.folders)) or None


def canonical(name: str) -> str:
    """One name per team: `team=FOLDER` is the folder, and the roles of a joint policy are in their order."""
    role, _, folder = name.partition("=")
    if role.strip() == TEAM:
        return folder.strip()
    return joint_name(parse_joint(name)) if "=" in name else name.strip()


def make_team(name: str) -> ControlTeam:
    """The team of a name; its weights are loaded once, to see whether they can be.

    Raises ConfigError for what is neither a joint policy nor a trained team.
    """
    name = canonical(name)
    if "=" not in name:
        return _trained(name)
    players, folders = {}, []
    for role, chosen in parse_joint(name).items():
        if chosen in CONTROL_POLICIES[role]:
            players[role] = role_policy(role, chosen)
        elif chosen in TUTORS.get(role, {}):
            players[role] = TUTORS[role][chosen]
        elif (folder := agent_folder(chosen)) is not None:
            players[role] = _learned(folder, role)
            folders.append(folder)
        else:
            names = ", ".join((*TUTORS.get(role, {}), _trained_names()))
            raise ConfigError(f"{unknown_role_policy(role, chosen)}, {names}")
    return ControlTeam(players, tuple(dict.fromkeys(folders)))


def agent_folder(name: str) -> Path | None:
    """The folder of a trained team, or None when the name is none."""
    folder = Path(shipped.__path__[0]) / name if name in SHIPPED_TEAMS else Path(name)
    return folder if name and folder.is_dir() else None


def _trained(name: str) -> ControlTeam:
    folder = agent_folder(name)
    if folder is None:
        raise ConfigError(
            f"{SCENARIO} has no team {name!r}; a team is a joint policy such as {EXAMPLE!r}, {_trained_names()}"
        )
    return ControlTeam({role: _learned(folder, role) for role in ROLES}, (folder,))


def _learned(folder: Path, role: str) -> Callable[[], Policy]:
    LearnedControlPolicy(folder, role)  # raises for what is no team, before anything runs
    return lambda: LearnedControlPolicy(folder, role)


def _trained_names() -> str:
    return f"{', '.join(SHIPPED_TEAMS)}, or the folder of a trained team"
