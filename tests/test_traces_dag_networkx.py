"""Jobs to and from networkx."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from clustersim.dags import Dag
from clustersim.errors import ConfigError
from clustersim.golden_dags import insertion_5, topcuoglu_2002
from clustersim.traces.dag_load import dag_source
from clustersim.traces.dag_networkx import from_networkx, to_networkx

JOBS = [
    topcuoglu_2002().jobs[0],
    insertion_5().jobs[0],
    dag_source("layered", tasks=30)(1).jobs[0],
    dag_source("topcuoglu", tasks=25)(2).jobs[0],
]


def edges_of(job: Dag) -> list[tuple[tuple[int, ...], float]]:
    return sorted(zip(map(tuple, job.edges.tolist()), job.data_bytes.tolist(), strict=True))


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_a_job_comes_back_the_same_from_networkx(job: Dag) -> None:
    graph = to_networkx(job)
    assert nx.is_directed_acyclic_graph(graph)
    back = from_networkx(graph, machines=job.run_time_s.shape[1])
    assert (back.name, back.tasks) == (job.name, job.tasks)
    for name in ("run_time_s", "instances", "warm_up_s"):
        np.testing.assert_array_equal(getattr(back, name), getattr(job, name))
    assert edges_of(back) == edges_of(job)


def test_a_plain_number_is_the_run_time_on_every_machine_and_inf_rules_one_out() -> None:
    graph = nx.DiGraph()
    graph.add_node(1, run_time_s=2)
    graph.add_node("b", run_time_s=(np.inf, 3.0), instances=4, warm_up_s=0.5)
    graph.add_edge(1, "b", data_bytes=10)
    job = from_networkx(graph, machines=2)
    assert (job.name, job.tasks) == ("graph", ("1", "b"))
    assert job.run_time_s.tolist() == [[2, 2], [np.inf, 3]]
    assert job.instances.tolist() == [1, 4]
    assert job.warm_up_s.tolist() == [0, 0.5]
    assert job.data_bytes.tolist() == [10]


def chain(**attributes: object) -> nx.DiGraph:
    graph = nx.DiGraph()
    graph.add_node("a", run_time_s=1)
    graph.add_node("b", **attributes)
    graph.add_edge("a", "b")
    return graph


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (chain(), "node 'b' has no run_time_s"),
        (chain(run_time_s=(1,)), "node 'b' has 1 run times for 2 machines"),
        (chain(run_time_s="soon"), "run_time_s of 'b' is 'soon'; a number is expected"),
        (chain(run_time_s=-1), "task 'b' has a run time that is negative"),
        (chain(run_time_s=np.inf), "task 'b' has no machine that can run it"),
        (chain(run_time_s=1, instances=1.5), "instances of 'b' is 1.5; a whole number is expected"),
        (nx.DiGraph(), "it has no tasks"),
        (nx.Graph([(1, 2)]), "the graph has to be a DiGraph"),
        (nx.MultiDiGraph([(1, 2), (1, 2)]), "the graph has to be a DiGraph"),
    ],
)
def test_a_graph_that_is_no_job_is_refused(graph: nx.Graph, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_networkx(graph, machines=2)


def test_a_cycle_is_named() -> None:
    graph = chain(run_time_s=1)
    graph.add_edge("b", "a")
    with pytest.raises(ConfigError, match="in a cycle: a -> b -> a"):
        from_networkx(graph, machines=1)
    with pytest.raises(ConfigError, match="machines is 0"):
        from_networkx(graph, machines=0)
