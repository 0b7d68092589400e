"""Jobs to and from networkx: any graph of that library can be scheduled, and any job analysed with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import networkx as nx
import numpy as np

from clustersim.dags import Dag
from clustersim.errors import ConfigError


def from_networkx(graph: nx.DiGraph, machines: int, name: str | None = None) -> Dag:
    """The job whose tasks are the nodes, called by their text, in the order of the graph.

    Node attribute `run_time_s`: seconds on every machine, or a sequence with one number per machine (inf: cannot run
    it). Node attributes `instances` and `warm_up_s`, and edge attribute `data_bytes`, are 1, 0 and 0 where they are
    missing. The job is called `name`, or like the graph. Raises ConfigError for whatever a `Dag` may not be.
    """
    if not graph.is_directed() or graph.is_multigraph():
        raise ConfigError("the graph has to be a DiGraph: directed, and with at most one edge between two nodes")
    if machines < 1:
        raise ConfigError(f"machines is {machines}; at least one is needed")
    nodes = list(graph.nodes)
    index = {node: task for task, node in enumerate(nodes)}
    edges = list(graph.edges)
    return Dag(
        name or graph.name or "graph",
        tuple(str(node) for node in nodes),
        np.array([_run_time_s(graph, node, machines) for node in nodes], dtype=np.float64).reshape(-1, machines),
        np.array([(index[source], index[target]) for source, target in edges], dtype=np.int64).reshape(-1, 2),
        np.array([_number(graph.edges[edge], "data_bytes", 0.0, edge) for edge in edges], dtype=np.float64),
        np.array([_number(graph.nodes[node], "instances", 1.0, node) for node in nodes], dtype=np.int64),
        np.array([_number(graph.nodes[node], "warm_up_s", 0.0, node) for node in nodes], dtype=np.float64),
    )


def to_networkx(dag: Dag) -> nx.DiGraph:
    """The graph that `from_networkx` makes the same job of; run times are tuples, one number per machine."""
    graph = nx.DiGraph(name=dag.name)
    for task, run_time_s, instances, warm_up_s in zip(
        dag.tasks, dag.run_time_s.tolist(), dag.instances.tolist(), dag.warm_up_s.tolist(), strict=True
    ):
        graph.add_node(task, run_time_s=tuple(run_time_s), instances=instances, warm_up_s=warm_up_s)
    for (source, target), data_bytes in zip(dag.edges.tolist(), dag.data_bytes.tolist(), strict=True):
        graph.add_edge(dag.tasks[source], dag.tasks[target], data_bytes=data_bytes)
    return graph


def _run_time_s(graph: nx.DiGraph, node: Any, machines: int) -> list[float]:
    value = graph.nodes[node].get("run_time_s")
    if value is None:
        raise ConfigError(f"node {node!r} has no run_time_s; give seconds, or one number per machine")
    if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str):
        if len(value) != machines:
            raise ConfigError(f"node {node!r} has {len(value)} run times for {machines} machines")
        return [_converted(each, "run_time_s", node) for each in value]
    return [_converted(value, "run_time_s", node)] * machines


def _number(attributes: dict[str, Any], key: str, default: float, where: object) -> float:
    value = _converted(attributes.get(key, default), key, where)
    if key == "instances" and value != int(value):
        raise ConfigError(f"{key} of {where!r} is {value}; a whole number is expected")
    return value


def _converted(value: object, key: str, where: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ConfigError(f"{key} of {where!r} is {value!r}; a number is expected") from None
