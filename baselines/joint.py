"""Joint policies: who plays which role of a shared cluster, as one text.

Such as "placer=fgd,scaler=kpa,capper=polca,migrator=none". Side by side without a common plan is how such controllers
run in practice: the scheduler, the autoscalers and the descheduler of kubernetes/kubernetes, and the power manager of a
row (arXiv 2308.12908) beneath them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches

from clustersim.baselines.registry import CONTROL_POLICIES
from clustersim.errors import ConfigError
from clustersim.policy import Policy
from clustersim.scenarios.control_roles import ROLES

EXAMPLE = "placer=fgd,scaler=kpa,capper=polca,migrator=none"


def joint_policies(text: str) -> dict[str, Callable[[], Policy]]:
    """A fresh policy per role, for every role. Raises ConfigError for what `parse_joint` and `role_policy` refuse."""
    return {role: role_policy(role, name) for role, name in parse_joint(text).items()}


def parse_joint(text: str) -> dict[str, str]:
    """The name of every role's policy, in the order of ROLES; names are not looked up.

    Raises ConfigError for a part that is no `role=policy`, an unknown role, a role twice and a role left out.
    """
    found: dict[str, str] = {}
    for part in text.split(","):
        role, equals, name = (piece.strip() for piece in part.partition("="))
        if not (equals and name):
            raise ConfigError(f"joint policy {text!r} holds {part.strip()!r}, which is no role=policy; {_usage()}")
        if role not in ROLES:
            raise ConfigError(f"joint policy {text!r}: there is no role {role!r};{_hint(role, ROLES)} {_usage()}")
        if role in found:
            raise ConfigError(
                f"joint policy {text!r} gives the role {role!r} twice, to {found[role]!r} and {name!r}; give it once"
            )
        found[role] = name
    missing = [role for role in ROLES if role not in found]
    if missing:
        options = "; ".join(f"{role} is one of {', '.join(CONTROL_POLICIES[role])}" for role in missing)
        raise ConfigError(f"joint policy {text!r} leaves nobody for {', '.join(missing)}: {options}")
    return {role: found[role] for role in ROLES}


def joint_name(names: Mapping[str, str]) -> str:
    """The text of a joint policy, with the roles in the order of ROLES."""
    return ",".join(f"{role}={names[role]}" for role in ROLES)


def role_policy(role: str, name: str) -> Callable[[], Policy]:
    """What makes a fresh built-in policy of a role; an unknown name is answered with the nearest one."""
    known = CONTROL_POLICIES[role]
    if name not in known:
        raise ConfigError(unknown_role_policy(role, name))
    return known[name]


def unknown_role_policy(role: str, name: str) -> str:
    """What to say of a name that no policy of a role has."""
    known = tuple(CONTROL_POLICIES[role])
    elsewhere = [other for other in ROLES if name in CONTROL_POLICIES[other]]
    hint = f" it is one of the {elsewhere[0]}'s;" if elsewhere else _hint(name, known)
    return f"{role} has no policy {name!r};{hint} known are {', '.join(known)}"


def _hint(name: str, known: tuple[str, ...]) -> str:
    near = get_close_matches(name, known, n=1)
    return f" did you mean {near[0]!r}?" if near else ""


def _usage() -> str:
    return f"roles are {', '.join(ROLES)}, as in {EXAMPLE!r}"
