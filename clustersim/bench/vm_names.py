"""A policy at one value of the number that is varied: "ha@20"."""

from __future__ import annotations

from typing import Any

AT = "@"


def at_value(name: str, value: float) -> str:
    return f"{name}{AT}{value:g}"


def name_of(policy: str) -> str:
    return policy.rpartition(AT)[0]


def value_of(policy: str) -> float:
    return float(policy.rpartition(AT)[2])


def names_of(summary: dict[str, Any]) -> list[str]:
    """The policies, without values, in the order given."""
    return list(dict.fromkeys(map(name_of, summary["policies"])))
