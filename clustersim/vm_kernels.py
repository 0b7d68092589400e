"""The compiled half of `FleetState`: where there is room, which moves are legal, and what a move does to the arrays.

Arrays come in four groups, tuples in this order, shapes as `FleetState` has them:

    need    cores, memory, double                                   of the shapes
    room    active, free_cores, free_memory, fits, fitting, totals  of the machines; totals are fragments, free cores
    vms     shape, host, numa, movable
    sets    host_start, host_set, rack_start, rack_set, on_host, in_rack, rack
"""

from __future__ import annotations

from numba import njit

BY_RULE = -1
"""For the NUMA node of a move: that where the landing rule puts the VM."""
ILLEGAL = -(2**62)
"""For what a move gains, where it may not be made."""


@njit(cache=True)
def look_at(pm, need, room):  # type: ignore[no-untyped-def]
    """Bring `fits` and `fitting` of one machine up to date."""
    cores, memory, double = need
    active, free_cores, free_memory, fits, fitting, _ = room
    for s in range(len(cores)):
        bits = 0
        if active[pm]:
            for k in range(2):
                if free_cores[pm, k] >= cores[s] and free_memory[pm, k] >= memory[s]:
                    bits |= 1 << k
            if double[s] and bits != 3:
                bits = 0
        fitting[s] += int(bits > 0) - int(fits[s, pm] > 0)
        fits[s, pm] = bits


@njit(cache=True)
def look_at_all(need, room, vms, sets, flavour):  # type: ignore[no-untyped-def]
    """The same of all machines; count the totals, and the members of the sets where they are."""
    _, free_cores, _, _, _, totals = room
    for pm in range(len(free_cores)):
        look_at(pm, need, room)
        for k in range(2):
            totals[0] += free_cores[pm, k] % flavour
            totals[1] += free_cores[pm, k]
    host = vms[1]
    for vm in range(len(host)):
        if host[vm] >= 0:
            count_sets(vm, host[vm], 1, sets)


@njit(cache=True)
def take(shape, pm, numa, sign, need, room, flavour):  # type: ignore[no-untyped-def]
    """A VM of the shape takes room on a machine (sign 1) or gives it back (sign -1)."""
    cores, memory, double = need
    _, free_cores, free_memory, _, _, totals = room
    for k in range(2):
        if double[shape] or k == numa:
            left = free_cores[pm, k] - sign * cores[shape]
            totals[0] += left % flavour - free_cores[pm, k] % flavour
            totals[1] += left - free_cores[pm, k]
            free_cores[pm, k] = left
            free_memory[pm, k] -= sign * memory[shape]
    look_at(pm, need, room)


@njit(cache=True)
def count_sets(vm, pm, sign, sets):  # type: ignore[no-untyped-def]
    """A member of sets comes to a machine (sign 1) or leaves it (sign -1)."""
    host_start, host_set, rack_start, rack_set, on_host, in_rack, rack = sets
    for i in range(host_start[vm], host_start[vm + 1]):
        on_host[host_set[i], pm] += sign
    for i in range(rack_start[vm], rack_start[vm + 1]):
        in_rack[rack_set[i], rack[pm]] += sign


@njit(cache=True)
def apart(vm, pm, home, sets):  # type: ignore[no-untyped-def]
    """Whether no other member of a set of the VM is on the machine or, as the set may say, in its rack."""
    host_start, host_set, rack_start, rack_set, on_host, in_rack, rack = sets
    for i in range(host_start[vm], host_start[vm + 1]):
        if on_host[host_set[i], pm] > (1 if home == pm else 0):
            return False
    for i in range(rack_start[vm], rack_start[vm + 1]):
        own = 1 if home >= 0 and rack[home] == rack[pm] else 0
        if in_rack[rack_set[i], rack[pm]] > own:
            return False
    return True


@njit(cache=True)
def has_room(vm, pm, numa, double, fits, shape, host, movable):  # type: ignore[no-untyped-def]
    """Whether a VM that is there may be migrated now to that NUMA node of another machine, if there were no sets."""
    if not (0 <= vm < len(host) and 0 <= pm < fits.shape[1] and 0 <= numa < 2):
        return False
    if host[vm] < 0 or host[vm] == pm or not movable[vm]:
        return False
    return (fits[shape[vm], pm] >> numa) & 1 and not (numa and double[shape[vm]])


@njit(cache=True)
def landing(shape, pm, numa, need, room, rule, flavour):  # type: ignore[no-untyped-def]
    """Where the rule puts a VM of the shape, from NUMA node `numa` of another machine, on one with room for it."""
    cores, double, free, bits = need[0][shape], need[2][shape], room[1][pm], room[3][shape, pm]
    if double or bits == 1:
        return 0
    if bits == 2:
        return 1
    if rule == 1:
        return numa
    if rule == 2:
        return 0
    # What taking the cores adds to the fragments of a node; on equal terms the one that the VM comes from.
    first = (free[0] - cores) % flavour - free[0] % flavour
    second = (free[1] - cores) % flavour - free[1] % flavour
    if first == second:
        return numa
    return 0 if first < second else 1


@njit(cache=True)
def move(vm, pm, numa, need, room, vms, sets, rule, flavour):  # type: ignore[no-untyped-def]
    """Migrate a VM, in one call, because each call costs 1 us; by how much the fragments fall, or ILLEGAL."""
    shape, host, numa_of, movable = vms
    if numa == BY_RULE and 0 <= vm < len(host) and 0 <= pm < len(room[0]):
        numa = landing(shape[vm], pm, numa_of[vm], need, room, rule, flavour)
    if not has_room(vm, pm, numa, need[2], room[3], shape, host, movable) or not apart(vm, pm, host[vm], sets):
        return ILLEGAL
    totals = room[5]
    before = totals[0]
    count_sets(vm, host[vm], -1, sets)
    take(shape[vm], host[vm], numa_of[vm], -1, need, room, flavour)
    host[vm], numa_of[vm] = pm, numa
    take(shape[vm], pm, numa, 1, need, room, flavour)
    count_sets(vm, pm, 1, sets)
    return before - totals[0]


@njit(cache=True)
def move_all(moves, wanted, need, room, vms, sets, rule, flavour, made):  # type: ignore[no-untyped-def]
    """Migrate VMs one after the other, (M, 3) rows of VM, machine and NUMA node, and write which could be."""
    for i in range(len(moves)):
        if wanted[i]:
            gained = move(moves[i, 0], moves[i, 1], moves[i, 2], need, room, vms, sets, rule, flavour)
            made[i] = gained != ILLEGAL


# The masks are asked for at every step, and every array that is passed costs 0.05 us: those without sets take few.


@njit(cache=True)
def vm_mask(fits, fitting, shape, host, movable, out):  # type: ignore[no-untyped-def]
    """Which VMs may leave, if there were no sets: those with room on a machine other than theirs. Are there any?"""
    any_legal = False
    for vm in range(len(out)):
        s = shape[vm]
        # Where it fits on two machines, one of them is another; a row that is movable has a host.
        legal = movable[vm] and (fitting[s] > 1 or (fitting[s] == 1 and fits[s, host[vm]] == 0))
        out[vm] = legal
        any_legal |= legal
    return any_legal


@njit(cache=True)
def leave_out_bound(members, fits, shape, host, sets, out):  # type: ignore[no-untyped-def]
    """Take those members of sets from the mask that are kept apart from every machine with room; is any VM left?"""
    for vm in members:
        if out[vm]:
            out[vm] = False
            for pm in range(fits.shape[1]):
                if pm != host[vm] and fits[shape[vm], pm] > 0 and apart(vm, pm, host[vm], sets):
                    out[vm] = True
                    break
    return out.any()


@njit(cache=True)
def pm_mask(vm, fits, shape, host, out):  # type: ignore[no-untyped-def]
    """To which other machines a VM may go, if there were no sets; are there any?"""
    any_legal = False
    for pm in range(len(out)):
        legal = fits[shape[vm], pm] > 0 and pm != host[vm]
        out[pm] = legal
        any_legal |= legal
    return any_legal


@njit(cache=True)
def leave_out_kept_apart(vm, host, sets, out):  # type: ignore[no-untyped-def]
    """Take those machines from the mask that a set keeps the VM apart from; is any left?"""
    for pm in range(len(out)):
        out[pm] = out[pm] and apart(vm, pm, host[vm], sets)
    return out.any()
