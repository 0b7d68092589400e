"""What a learner sees of a repair: columns of pods, of nodes and of the state, and the kernels that fill them.

Much is told with respect to one pod, the focus: the chosen pod where a node is to be chosen, else the most important
pod that is blocked (pending, and fits nowhere), of those the one that lacks least; if none is, there is no focus.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clustersim.envs.encoding import Column, TableEncoder
from clustersim.packing import NOWHERE
from clustersim.repair import Choice, RepairView

ROWS_TOLD = 1024
"""A row is told as (row + 1) / 1024, which is exact in float32; so there may be at most 1,023 nodes."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Facts(NamedTuple):
    """What the columns are made of: P pods, N nodes. CPU and memory are shares of the largest node."""

    cpu: Floats  # (P,) asked for
    memory: Floats  # (P,)
    importance: Floats  # (P,) 1 for the highest priority, falling evenly to 1 / T for the lowest of T
    node: Ints  # (P,)
    home: Ints  # (P,)
    settled: NDArray[np.bool_]  # (P,)
    fits_on: Floats  # (P,) share of the nodes, other than its own, with room
    slack: Floats  # (P,) mean share left on the tightest of them; 1 for none
    lack: Floats  # (P,) of a pending pod: the least that is missing on any node, the scarcer resource; 0 if it fits
    unlocks: Floats  # (P,) share of the blocked pods that would fit on this pod's node if it left
    unlocked: Floats  # (P,) importance of the most important of them, 0 for none
    cpu_free: Floats  # (N,)
    memory_free: Floats  # (N,)
    cpu_movable: Floats  # (N,) held by pods that are not settled
    memory_movable: Floats  # (N,)
    cpu_lower: Floats  # (N,) the same of pods that are less important than the focus
    memory_lower: Floats  # (N,)
    has_room: Floats  # (N,) share of the pending pods that fit
    spoils: Floats  # (N,) share of the pending pods that would no longer fit once the focus were there
    focus: int
    chosen: int
    pending: float
    blocked: float
    moves_left: float
    improved: float
    degraded: float


def look(view: RepairView, choice: Choice) -> Facts:
    """The facts of a choice."""
    chosen = NOWHERE if choice.pod is None else choice.pod
    facts: Facts = _look(
        view.cpu_milli,
        view.memory_mib,
        view.cpu_free,
        view.memory_free,
        view.cpu,
        view.memory,
        view.tier,
        view.node,
        view.home,
        view.settled,
        view.counts,
        view.counts_at_start,
        chosen,
        choice.moves_left,
    )
    return facts


@njit(cache=True)
def _look(  # type: ignore[no-untyped-def]
    cpu_milli,
    memory_mib,
    cpu_free_milli,
    memory_free_mib,
    cpu_asked,
    memory_asked,
    tier,
    node,
    home,
    settled,
    counts,
    counts_at_start,
    chosen,
    moves_left,
):
    P, N, T = len(cpu_asked), len(cpu_milli), len(counts)  # noqa: N806
    largest_cpu, largest_memory = max(1, cpu_milli.max()), max(1, memory_mib.max())
    cpu, memory = cpu_asked / largest_cpu, memory_asked / largest_memory
    cpu_free, memory_free = cpu_free_milli / largest_cpu, memory_free_mib / largest_memory
    importance = (T - tier) / T

    fits_on, slack, lack = np.zeros(P), np.ones(P), np.zeros(P)
    pending = np.zeros(P, dtype=np.int64)
    blocked = np.zeros(P, dtype=np.int64)
    pending_count, blocked_count, focus = 0, 0, chosen
    for p in range(P):
        runs = node[p] != NOWHERE
        if runs and settled[p]:
            continue
        least = np.inf
        for n in range(N):
            if cpu_asked[p] <= cpu_free_milli[n] and memory_asked[p] <= memory_free_mib[n]:
                least = 0.0
                if n != node[p]:
                    fits_on[p] += 1 / N
                    slack[p] = min(slack[p], (cpu_free[n] - cpu[p] + memory_free[n] - memory[p]) / 2)
            elif not runs:
                least = min(least, max(cpu[p] - cpu_free[n], memory[p] - memory_free[n]))
        if runs:
            continue
        lack[p] = least
        pending[pending_count] = p
        pending_count += 1
        if least > 0.0:
            blocked[blocked_count] = p
            blocked_count += 1
            if chosen == NOWHERE and (
                focus == NOWHERE or tier[p] < tier[focus] or (tier[p] == tier[focus] and lack[p] < lack[focus])
            ):
                focus = p

    unlocks, unlocked = np.zeros(P), np.zeros(P)
    cpu_movable, memory_movable = np.zeros(N), np.zeros(N)
    cpu_lower, memory_lower = np.zeros(N), np.zeros(N)
    for p in range(P):
        n = node[p]
        if n == NOWHERE or settled[p]:
            continue
        cpu_movable[n] += cpu[p]
        memory_movable[n] += memory[p]
        if focus != NOWHERE and tier[p] > tier[focus]:
            cpu_lower[n] += cpu[p]
            memory_lower[n] += memory[p]
        for b in blocked[:blocked_count]:
            if (
                cpu_asked[b] <= cpu_free_milli[n] + cpu_asked[p]
                and memory_asked[b] <= memory_free_mib[n] + memory_asked[p]
            ):
                unlocks[p] += 1 / blocked_count
                unlocked[p] = max(unlocked[p], importance[b])

    has_room, spoils = np.zeros(N), np.zeros(N)
    for n in range(N):
        for p in pending[:pending_count]:
            if cpu_asked[p] <= cpu_free_milli[n] and memory_asked[p] <= memory_free_mib[n]:
                has_room[n] += 1 / pending_count
                if (
                    focus != NOWHERE
                    and p != focus
                    and (
                        cpu_asked[p] > cpu_free_milli[n] - cpu_asked[focus]
                        or memory_asked[p] > memory_free_mib[n] - memory_asked[focus]
                    )
                ):
                    spoils[n] += 1 / pending_count

    improved, degraded = 0.0, 0.0
    for t in range(T):
        if counts[t] != counts_at_start[t] and improved == 0.0:
            improved = 1.0 if counts[t] > counts_at_start[t] else -1.0
        if counts[t] < counts_at_start[t]:
            degraded = 1.0
    return Facts(
        cpu, memory, importance, node, home, settled, fits_on, slack, lack, unlocks, unlocked,
        cpu_free, memory_free, cpu_movable, memory_movable, cpu_lower, memory_lower, has_room, spoils,
        focus, chosen, pending_count / P, blocked_count / P, moves_left / P, improved, degraded,
    )  # fmt: skip


# One function per column, of the facts and a row. They are inlined into the kernels below.


@njit(cache=True)
def _cpu(facts, p):  # type: ignore[no-untyped-def]
    return min(1.0, facts.cpu[p])


@njit(cache=True)
def _memory(facts, p):  # type: ignore[no-untyped-def]
    return min(1.0, facts.memory[p])


@njit(cache=True)
def _importance(facts, p):  # type: ignore[no-untyped-def]
    return facts.importance[p]


@njit(cache=True)
def _runs(facts, p):  # type: ignore[no-untyped-def]
    return 1.0 if facts.node[p] != NOWHERE else 0.0


@njit(cache=True)
def _settled(facts, p):  # type: ignore[no-untyped-def]
    return 1.0 if facts.settled[p] else 0.0


@njit(cache=True)
def _evicted(facts, p):  # type: ignore[no-untyped-def]
    return 1.0 if facts.node[p] == NOWHERE and facts.home[p] != NOWHERE else 0.0


@njit(cache=True)
def _chosen(facts, p):  # type: ignore[no-untyped-def]
    return 1.0 if p == facts.chosen else 0.0


@njit(cache=True)
def _focus(facts, p):  # type: ignore[no-untyped-def]
    return 1.0 if p == facts.focus else 0.0


@njit(cache=True)
def _fits_on(facts, p):  # type: ignore[no-untyped-def]
    return min(1.0, facts.fits_on[p])


@njit(cache=True)
def _slack(facts, p):  # type: ignore[no-untyped-def]
    return facts.slack[p]


@njit(cache=True)
def _lack(facts, p):  # type: ignore[no-untyped-def]
    return min(1.0, facts.lack[p])


@njit(cache=True)
def _unlocks(facts, p):  # type: ignore[no-untyped-def]
    return min(1.0, facts.unlocks[p])


@njit(cache=True)
def _unlocked(facts, p):  # type: ignore[no-untyped-def]
    return facts.unlocked[p]


@njit(cache=True)
def _gain(facts, p):  # type: ignore[no-untyped-def]
    return facts.unlocked[p] - facts.importance[p] if facts.unlocked[p] > 0.0 else 0.0


@njit(cache=True)
def _still_lacks(facts, p):  # type: ignore[no-untyped-def]
    n, focus = facts.node[p], facts.focus
    if n == NOWHERE or focus == NOWHERE:
        return 0.0
    cpu = facts.cpu[focus] - facts.cpu_free[n] - facts.cpu[p]
    memory = facts.memory[focus] - facts.memory_free[n] - facts.memory[p]
    return min(1.0, max(-1.0, max(cpu, memory)))


@njit(cache=True)
def _node(facts, p):  # type: ignore[no-untyped-def]
    return (facts.node[p] + 1) / ROWS_TOLD


@njit(cache=True)
def _home(facts, p):  # type: ignore[no-untyped-def]
    return (facts.home[p] + 1) / ROWS_TOLD


POD_COLUMNS = (
    Column("cpu", "CPU asked for, share of the largest node", 0, 1, _cpu),
    Column("memory", "memory asked for, share of the largest node", 0, 1, _memory),
    Column("importance", "1 for the highest priority, falling evenly to 1 / T for the lowest of T", 0, 1, _importance),
    Column("runs", "1 when it runs now", 0, 1, _runs),
    Column("settled", "1 when it may not be touched (any more)", 0, 1, _settled),
    Column("evicted", "1 when the game has evicted it", 0, 1, _evicted),
    Column("chosen", "1 for the pod that a node is to be chosen for", 0, 1, _chosen),
    Column("focus", "1 for the focus", 0, 1, _focus),
    Column("fits_on", "share of the nodes, other than its own, that have room", 0, 1, _fits_on),
    Column("slack", "what the tightest of them would have left, mean share; 1 for none", 0, 1, _slack),
    Column("lack", "pending: least that is missing on any node, share of the largest node", 0, 1, _lack),
    Column("unlocks", "share of the blocked pods that would fit on its node if it left", 0, 1, _unlocks),
    Column("unlocked", "importance of the most important of them, 0 for none", 0, 1, _unlocked),
    Column("gain", "the same minus its own importance, 0 for none", -1, 1, _gain),
    Column("still_lacks", "what the focus would lack on its node if it left; negative: to spare", -1, 1, _still_lacks),
    Column("node", "(row of its node + 1) / 1024, 0 for none", 0, 1, _node),
    Column("home", "the same of its node at the start", 0, 1, _home),
)


@njit(cache=True)
def _fill_pods(facts, out):  # type: ignore[no-untyped-def]
    for p in range(len(facts.cpu)):
        out[p, 0] = _cpu(facts, p)
        out[p, 1] = _memory(facts, p)
        out[p, 2] = _importance(facts, p)
        out[p, 3] = _runs(facts, p)
        out[p, 4] = _settled(facts, p)
        out[p, 5] = _evicted(facts, p)
        out[p, 6] = _chosen(facts, p)
        out[p, 7] = _focus(facts, p)
        out[p, 8] = _fits_on(facts, p)
        out[p, 9] = _slack(facts, p)
        out[p, 10] = _lack(facts, p)
        out[p, 11] = _unlocks(facts, p)
        out[p, 12] = _unlocked(facts, p)
        out[p, 13] = _gain(facts, p)
        out[p, 14] = _still_lacks(facts, p)
        out[p, 15] = _node(facts, p)
        out[p, 16] = _home(facts, p)


@njit(cache=True)
def _fits(facts, n):  # type: ignore[no-untyped-def]
    p = facts.focus
    if p == NOWHERE:
        return 0.0
    return 1.0 if facts.cpu[p] <= facts.cpu_free[n] and facts.memory[p] <= facts.memory_free[n] else 0.0


@njit(cache=True)
def _cpu_free(facts, n):  # type: ignore[no-untyped-def]
    return facts.cpu_free[n]


@njit(cache=True)
def _memory_free(facts, n):  # type: ignore[no-untyped-def]
    return facts.memory_free[n]


@njit(cache=True)
def _cpu_after(facts, n):  # type: ignore[no-untyped-def]
    return max(-1.0, facts.cpu_free[n] - (facts.cpu[facts.focus] if facts.focus != NOWHERE else 0.0))


@njit(cache=True)
def _memory_after(facts, n):  # type: ignore[no-untyped-def]
    return max(-1.0, facts.memory_free[n] - (facts.memory[facts.focus] if facts.focus != NOWHERE else 0.0))


@njit(cache=True)
def _is_home(facts, n):  # type: ignore[no-untyped-def]
    return 1.0 if facts.focus != NOWHERE and facts.home[facts.focus] == n else 0.0


@njit(cache=True)
def _cpu_movable(facts, n):  # type: ignore[no-untyped-def]
    return min(1.0, facts.cpu_movable[n])


@njit(cache=True)
def _memory_movable(facts, n):  # type: ignore[no-untyped-def]
    return min(1.0, facts.memory_movable[n])


@njit(cache=True)
def _cpu_lower(facts, n):  # type: ignore[no-untyped-def]
    return min(1.0, facts.cpu_lower[n])


@njit(cache=True)
def _memory_lower(facts, n):  # type: ignore[no-untyped-def]
    return min(1.0, facts.memory_lower[n])


@njit(cache=True)
def _has_room(facts, n):  # type: ignore[no-untyped-def]
    return min(1.0, facts.has_room[n])


@njit(cache=True)
def _spoils(facts, n):  # type: ignore[no-untyped-def]
    return min(1.0, facts.spoils[n])


NODE_COLUMNS = (
    Column("fits", "1 when the focus fits", 0, 1, _fits),
    Column("cpu_free", "free CPU, share of the largest node", 0, 1, _cpu_free),
    Column("memory_free", "free memory, share of the largest node", 0, 1, _memory_free),
    Column("cpu_after", "free CPU minus what the focus asks for", -1, 1, _cpu_after),
    Column("memory_after", "free memory minus what the focus asks for", -1, 1, _memory_after),
    Column("is_home", "1 for the node where the focus ran at the start", 0, 1, _is_home),
    Column("cpu_movable", "CPU of the pods on it that are not settled", 0, 1, _cpu_movable),
    Column("memory_movable", "their memory", 0, 1, _memory_movable),
    Column("cpu_lower", "CPU of those that are less important than the focus", 0, 1, _cpu_lower),
    Column("memory_lower", "their memory", 0, 1, _memory_lower),
    Column("has_room", "share of the pending pods that fit", 0, 1, _has_room),
    Column("spoils", "share of the pending pods that would no longer fit beside the focus", 0, 1, _spoils),
)


@njit(cache=True)
def _fill_nodes(facts, out):  # type: ignore[no-untyped-def]
    for n in range(len(facts.cpu_free)):
        out[n, 0] = _fits(facts, n)
        out[n, 1] = _cpu_free(facts, n)
        out[n, 2] = _memory_free(facts, n)
        out[n, 3] = _cpu_after(facts, n)
        out[n, 4] = _memory_after(facts, n)
        out[n, 5] = _is_home(facts, n)
        out[n, 6] = _cpu_movable(facts, n)
        out[n, 7] = _memory_movable(facts, n)
        out[n, 8] = _cpu_lower(facts, n)
        out[n, 9] = _memory_lower(facts, n)
        out[n, 10] = _has_room(facts, n)
        out[n, 11] = _spoils(facts, n)


STATE_COLUMNS = (
    Column("stage", "0: choose a pod, 1: choose its node", 0, 1, lambda f: float(f.chosen != NOWHERE)),
    Column("moves_left", "moves that are left, share of the pods", 0, 1, lambda f: f.moves_left),
    Column("pending", "share of the pods that run nowhere", 0, 1, lambda f: f.pending),
    Column("blocked", "share of the pods that run nowhere and fit nowhere", 0, 1, lambda f: f.blocked),
    Column("improved", "1, 0 or -1: placed by tier, compared with the start", -1, 1, lambda f: f.improved),
    Column("degraded", "1 when in a tier or above fewer run than at the start", 0, 1, lambda f: f.degraded),
)


def _fill_state(facts: Facts, out: NDArray[np.float32]) -> None:
    out[:] = [column.function(facts) for column in STATE_COLUMNS]


PODS = TableEncoder(POD_COLUMNS, _fill_pods)
NODES = TableEncoder(NODE_COLUMNS, _fill_nodes)
STATE = TableEncoder(STATE_COLUMNS, _fill_state)
TABLES: dict[str, Any] = {"pods": PODS, "nodes": NODES, "state": STATE}
