"""The variables and rules of priority packing in CP-SAT, over classes of interchangeable pods.

A class holds the pods with one request, one priority and the same anti-affinity sets. Its variables count how many of
those that run somewhere stay there (per home and devices held), and how many arrive at a node (at a device of it, for
pods that share one). A device that arriving whole-GPU pods take is a Boolean. Everything is integer. The rules are
those of "Priority Matters" (arXiv 2511.08373), which has one Boolean per pod and node.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from ortools.sat.python import cp_model

from clustersim.cluster import CPU, GPU_SHARE, MEMORY, NUM_GPU
from clustersim.packing import NOWHERE, RESTART, Packing, Plan, device_of, moved
from clustersim.workload import GPU_MILLI

Disruption = Literal["paper", "later-script", "earlier-script"]
"""What a running pod costs when it is moved / evicted: 1 / 2, 2 / 1 or 1 / 0. The authors' text and two versions of
their script differ; only the text prefers a move to an eviction."""

COST: dict[Disruption, tuple[int, int]] = {"paper": (1, 2), "later-script": (2, 1), "earlier-script": (1, 0)}
"""Of a move, of an eviction."""

NO_DEVICE = -1
"""In place of a device: the pod takes whole ones, or none."""

Values = list[int]
"""One integer per variable of the model, in its order."""


@dataclass(frozen=True, slots=True, eq=False)
class PodClass:
    """Interchangeable pods. `stays`: (home, bit set of devices) -> the pods that run there, protected ones first."""

    request: tuple[int, ...]
    priority: int
    pods: tuple[int, ...]
    stays: dict[tuple[int, int], tuple[int, ...]]

    @property
    def running(self) -> int:
        return sum(map(len, self.stays.values()))

    @property
    def shares(self) -> bool:
        return 0 < self.request[GPU_SHARE] < GPU_MILLI

    @property
    def whole_gpus(self) -> int:
        return self.request[NUM_GPU] if self.request[GPU_SHARE] == GPU_MILLI else 0


@dataclass(frozen=True, slots=True, eq=False)
class Objective:
    """A sum of variables (by index) with coefficients, and a constant."""

    terms: dict[int, int]
    constant: int = 0

    def value(self, values: Values) -> int:
        return self.constant + sum(coefficient * values[v] for v, coefficient in self.terms.items())


class PackingModel:
    """The model of one snapshot. The stages of the lexicographic search add what they have found to `model`."""

    def __init__(self, packing: Packing, disruption: Disruption, never_fewer: bool) -> None:
        self.packing = packing
        self.model = cp_model.CpModel()
        self.variables: list[cp_model.IntVar] = []
        self._disruption = disruption
        self._classes = _classes(packing)
        self._stay: dict[tuple[int, int, int], int] = {}  # class, home, devices -> variable
        self._arrive: dict[tuple[int, int, int], int] = {}  # class, node, device -> variable
        self._take: dict[tuple[int, int], int] = {}  # node, device -> variable
        self._displaced: dict[int, int] = {}  # class -> variable: how many are evicted, or moved in the other forms
        self._placed: list[list[int]] = []  # class -> its variables that count placed pods
        self._add_classes()
        self._add_capacities()
        self._add_devices()
        self._keep_apart()
        self._order_identical_nodes()
        self._add_displaced()
        if never_fewer:
            for tier in packing.tiers:
                running = int(((packing.priority >= tier) & (packing.home != NOWHERE)).sum())
                self.model.add(self._expression(self.placed(tier)) >= running)

    # --- what the stages ask for

    def placed(self, tier: int) -> Objective:
        """How many pods of this priority or above run."""
        return Objective({v: 1 for c in self._of_tier(tier) for v in self._placed[c]})

    def gpu_milli(self) -> Objective:
        """GPU milli that all pods hold together."""
        demand = [of_class.request[NUM_GPU] * of_class.request[GPU_SHARE] for of_class in self._classes]
        return Objective({v: demand[c] for c, placed in enumerate(self._placed) for v in placed if demand[c]})

    def disruption(self, tier: int) -> Objective:
        """What the moves and evictions among pods of this priority or above cost."""
        terms, constant = {}, 0
        for c in self._of_tier(tier):
            if c not in self._displaced:
                continue
            terms[self._displaced[c]] = 1
            if self._disruption != "earlier-script":
                constant += self._classes[c].running
                terms |= {self._stay[c, home, devices]: -1 for home, devices in self._classes[c].stays}
        return Objective(terms, constant)

    def aim(self, objective: Objective, upwards: bool, hint: Values) -> None:
        """Search for the largest (or least) value of an objective, starting from a complete hint."""
        (self.model.maximize if upwards else self.model.minimize)(self._expression(objective))
        self.model.clear_hints()  # type: ignore[no-untyped-call]
        for variable, value in zip(self.variables, hint, strict=True):
            self.model.add_hint(variable, value)

    def freeze(self, objective: Objective, upwards: bool, value: int, proved: bool) -> None:
        """From now on the objective keeps this value, or a better one where none is proved to be impossible."""
        expression = self._expression(objective)
        if proved:
            self.model.add(expression == value)
        else:
            self.model.add(expression >= value if upwards else expression <= value)

    def values_of(self, plan: Plan) -> Values:
        """The value of every variable under a plan."""
        packing = self.packing
        stays = (plan.node != NOWHERE) & (plan.node == packing.home) & ~moved(packing, plan)
        device_of_plan = np.maximum(plan.device, NO_DEVICE)
        node, device, devices = (array.tolist() for array in (plan.node, device_of_plan, packing.home_devices))
        values = [0] * len(self.variables)
        for c, of_class in enumerate(self._classes):
            for pod in of_class.pods:
                if stays[pod]:
                    values[self._stay[c, node[pod], devices[pod]]] += 1
                elif node[pod] != NOWHERE:
                    values[self._arrive[c, node[pod], device[pod]]] += 1
        self._take_free_devices(values)
        for c, variable in self._displaced.items():
            values[variable] = self._count_displaced(c, values)
        return values

    def plan_of(self, values: Values) -> Plan:
        """The plan that the values mean."""
        packing = self.packing
        node = np.full(len(packing.pod_names), NOWHERE, dtype=np.int64)
        device = node.copy()
        own_device = device_of(packing.home_devices, packing.shares)
        arrivals: list[list[tuple[int, int]]] = [[] for _ in self._classes]
        for (c, n, d), variable in self._arrive.items():
            arrivals[c] += [(n, d)] * values[variable]
        for c, of_class in enumerate(self._classes):
            loose: list[int] = []
            for (home, devices), pods in of_class.stays.items():
                staying = values[self._stay[c, home, devices]]
                node[list(pods[:staying])] = home
                device[list(pods[:staying])] = own_device[list(pods[:staying])]
                loose += pods[staying:]
            for pod, (n, d) in self._assigned(of_class, loose, arrivals[c]):
                node[pod] = n
                device[pod] = RESTART if of_class.whole_gpus and n == packing.home[pod] else d
        return Plan(node, device)

    def _assigned(
        self, of_class: PodClass, loose: list[int], places: list[tuple[int, int]]
    ) -> Iterator[tuple[int, tuple[int, int]]]:
        """Which of the interchangeable pods goes where: one that is there already stays, as far as possible."""
        packing = self.packing
        waiting = [pod for pod in of_class.pods if packing.home[pod] == NOWHERE]
        # The scripts' forms do not mind evictions: there a waiting pod takes a running one's place at no cost.
        candidates = loose + waiting if self._disruption == "paper" else waiting + loose
        elsewhere = []
        for n, d in places:
            there = (
                []
                if of_class.whole_gpus
                else [
                    pod
                    for pod in candidates
                    if packing.home[pod] == n and (d == NO_DEVICE or packing.home_devices[pod] == 1 << d)
                ]
            )
            if there:
                candidates.remove(there[0])
                yield there[0], (n, d)
            else:
                elsewhere.append((n, d))
        for n, d in elsewhere:
            # The order of the candidates decides, even if one only changes its device: both cost one move.
            yield candidates.pop(0), (n, d)

    # --- how the model is made

    def _of_tier(self, tier: int) -> list[int]:
        return [c for c, of_class in enumerate(self._classes) if of_class.priority >= tier]

    def _new(self, low: int, high: int) -> int:
        self.variables.append(self.model.new_int_var(low, high, ""))
        return len(self.variables) - 1

    def _expression(self, objective: Objective) -> cp_model.LinearExprT:
        return self._sum(objective.terms) + objective.constant

    def _sum(self, terms: dict[int, int]) -> cp_model.LinearExprT:
        # Variables and coefficients apart: adding term by term takes ten times as long.
        return cp_model.LinearExpr.weighted_sum([self.variables[v] for v in terms], list(terms.values()))

    def _add_classes(self) -> None:
        packing = self.packing
        for c, of_class in enumerate(self._classes):
            placed: list[int] = []
            for (home, devices), pods in of_class.stays.items():
                protected = int(packing.protected[list(pods)].sum())
                self._stay[c, home, devices] = self._new(protected, len(pods))
                placed.append(self._stay[c, home, devices])
            for n in np.flatnonzero(packing.accepts(of_class.pods[0])).tolist():
                most = min(len(of_class.pods), _room(packing, of_class, n))
                for d in range(int(packing.gpu_count[n])) if of_class.shares else (NO_DEVICE,):
                    self._arrive[c, n, d] = self._new(0, most)
                    placed.append(self._arrive[c, n, d])
            self._placed.append(placed)
            if placed:
                self.model.add(self._sum(dict.fromkeys(placed, 1)) <= len(of_class.pods))

    def _add_capacities(self) -> None:
        on_node: list[dict[int, int]] = [{} for _ in self.packing.node_names]  # variable -> class
        for key, variable in (*self._stay.items(), *self._arrive.items()):
            on_node[key[1]][variable] = key[0]
        for n, variables in enumerate(on_node):
            for column, capacity in ((CPU, self.packing.cpu_milli), (MEMORY, self.packing.memory_mib)):
                terms = {v: self._classes[c].request[column] for v, c in variables.items()}
                if terms:
                    self.model.add(self._sum(terms) <= int(capacity[n]))

    def _add_devices(self) -> None:
        on_device: dict[tuple[int, int], dict[int, int]] = defaultdict(dict)
        wanted: dict[int, dict[int, int]] = defaultdict(dict)
        for (c, home, devices), variable in self._stay.items():
            for d in _bits(devices):
                on_device[home, d][variable] = self._classes[c].request[GPU_SHARE]
        for (c, n, d), variable in self._arrive.items():
            if d != NO_DEVICE:
                on_device[n, d][variable] = self._classes[c].request[GPU_SHARE]
            elif self._classes[c].whole_gpus:
                wanted[n][variable] = self._classes[c].whole_gpus
        for n, terms in wanted.items():
            for d in range(int(self.packing.gpu_count[n])):
                self._take[n, d] = self._new(0, 1)
                on_device[n, d][self._take[n, d]] = GPU_MILLI
            taken = {self._take[n, d]: -1 for d in range(int(self.packing.gpu_count[n]))}
            self.model.add(self._sum(terms | taken) == 0)
        for terms in on_device.values():
            self.model.add(self._sum(terms) <= GPU_MILLI)

    def _keep_apart(self) -> None:
        for together in self.packing.apart:
            members = set(together)
            classes = {c for c, of_class in enumerate(self._classes) if members & set(of_class.pods)}
            on_node: dict[int, dict[int, int]] = defaultdict(dict)
            for key, variable in (*self._stay.items(), *self._arrive.items()):
                if key[0] in classes:
                    on_node[key[1]][variable] = 1
            for terms in on_node.values():
                self.model.add(self._sum(terms) <= 1)

    def _order_identical_nodes(self) -> None:
        """Empty nodes of one shape are filled in order of falling CPU, so that no search tries their permutations."""
        for group in self._identical_empty_nodes():
            loads: dict[int, dict[int, int]] = {n: {} for n in group}
            for (c, n, _), variable in self._arrive.items():
                if n in loads:
                    loads[n][variable] = self._classes[c].request[CPU]
            for fuller, emptier in pairwise(loads.values()):
                if fuller:
                    self.model.add(self._sum(fuller) >= self._sum(emptier))

    def _identical_empty_nodes(self) -> list[list[int]]:
        packing = self.packing
        empty = np.setdiff1d(np.arange(len(packing.node_names)), packing.home)
        shapes: dict[tuple[int, ...], list[int]] = defaultdict(list)
        columns = (packing.cpu_milli, packing.memory_mib, packing.gpu_count, packing.model_bit)
        for n in empty.tolist():
            shapes[tuple(int(column[n]) for column in columns)].append(n)
        return [group for group in shapes.values() if len(group) > 1]

    def _add_displaced(self) -> None:
        for c, of_class in enumerate(self._classes):
            if not of_class.running:
                continue
            variable = self._displaced[c] = self._new(0, of_class.running)
            placed = dict.fromkeys(self._placed[c], 1)
            if self._disruption == "paper":  # evicted: as many as run now and have no place in the plan
                self.model.add(self._sum(placed | {variable: 1}) >= of_class.running)
            else:  # moved: the places that neither those who stay nor those who wait can fill
                waiting = len(of_class.pods) - of_class.running
                stays = {self._stay[c, home, devices] for home, devices in of_class.stays}
                arrivals = {v: -1 for v in self._placed[c] if v not in stays}
                self.model.add(self._sum(arrivals | {variable: 1}) >= -waiting)

    def _count_displaced(self, c: int, values: Values) -> int:
        of_class = self._classes[c]
        placed = sum(values[v] for v in self._placed[c])
        if self._disruption == "paper":
            return max(0, of_class.running - placed)
        stays = sum(values[self._stay[c, home, devices]] for home, devices in of_class.stays)
        return max(0, placed - stays - (len(of_class.pods) - of_class.running))

    def _take_free_devices(self, values: Values) -> None:
        """Which devices arriving whole-GPU pods take: the first that nobody shares and no staying pod holds."""
        wanted: dict[int, int] = defaultdict(int)
        busy: set[tuple[int, int]] = set()
        for (c, n, d), variable in self._arrive.items():
            if values[variable] and d != NO_DEVICE:
                busy.add((n, d))
            elif values[variable]:
                wanted[n] += values[variable] * self._classes[c].whole_gpus
        for (_, home, devices), variable in self._stay.items():
            if values[variable]:
                busy.update((home, d) for d in _bits(devices))
        for (n, d), variable in self._take.items():
            if wanted[n] > 0 and (n, d) not in busy:
                values[variable] = 1
                wanted[n] -= 1


def variables_per_node(packing: Packing) -> NDArray[np.int64]:
    """(N,) how many ways of arriving at each node the model of a snapshot has."""
    keys = np.column_stack([packing.request, packing.priority])
    _, first = np.unique(keys, axis=0, return_index=True)
    count = np.zeros(len(packing.node_names), dtype=np.int64)
    for pod in first.tolist():
        count += np.where(packing.accepts(pod), packing.gpu_count if packing.shares[pod] else 1, 0)
    return count


def _classes(packing: Packing) -> list[PodClass]:
    """In the order of their first pods, so that no hash order gets into the model."""
    sets_of: dict[int, tuple[int, ...]] = defaultdict(tuple)
    for number, together in enumerate(packing.apart):
        for pod in together:
            sets_of[pod] += (number,)
    members: dict[tuple[tuple[int, ...], int, tuple[int, ...]], list[int]] = defaultdict(list)
    requests, priorities = packing.request.tolist(), packing.priority.tolist()
    for pod, (request, priority) in enumerate(zip(requests, priorities, strict=True)):
        members[tuple(request), priority, sets_of[pod]].append(pod)
    classes = []
    for (request, priority, _), pods in members.items():
        stays: dict[tuple[int, int], list[int]] = defaultdict(list)
        for pod in sorted(pods, key=lambda pod: not packing.protected[pod]):
            if packing.home[pod] != NOWHERE:
                stays[int(packing.home[pod]), int(packing.home_devices[pod])].append(pod)
        classes.append(PodClass(request, priority, tuple(pods), {where: tuple(held) for where, held in stays.items()}))
    return classes


def _room(packing: Packing, of_class: PodClass, node: int) -> int:
    """How many pods of a class an empty node holds (of those that share a device: the device)."""
    limits = [
        int(capacity[node]) // of_class.request[column]
        for column, capacity in ((CPU, packing.cpu_milli), (MEMORY, packing.memory_mib))
        if of_class.request[column]
    ]
    if of_class.shares:
        limits.append(GPU_MILLI // of_class.request[GPU_SHARE])
    elif of_class.whole_gpus:
        limits.append(int(packing.gpu_count[node]) // of_class.whole_gpus)
    return min(limits, default=len(of_class.pods))


def _bits(devices: int) -> list[int]:
    return [d for d in range(devices.bit_length()) if devices >> d & 1]
