"""What the event log of a shared cluster holds."""

from __future__ import annotations

EVENTS = (
    "arrive",
    "bind",
    "finish",
    "evict",
    "lost",
    "transfer",
    "move",
    "abort",
    "starting",
    "pooled",
    "ready",
    "remove",
    "withdraw",
    "fail",
    "repair",
    "cap",
    "cap-acts",
    "brake",
    "release",
    "power",
)
"""The subject is a pod's row, the place a node; of `fail` and `repair` both are the node. `cap`, `cap-acts`, `brake`
and `release` are about a power row, which is the subject. The value is the bit set of GPU devices for `bind`, the stage
of the search for `starting`, the node that a pod comes from for `move`, the candidate of the capper for `cap`, and the
node's power in milliwatt for `power` (logged on request)."""

(
    ARRIVE,
    BIND,
    FINISH,
    EVICT,
    LOST,
    TRANSFER,
    MOVE,
    ABORT,
    STARTING,
    POOLED,
    READY,
    REMOVE,
    WITHDRAW,
    FAIL,
    REPAIR,
    CAP,
    CAP_ACTS,
    BRAKE,
    RELEASE,
    POWER,
) = range(len(EVENTS))
