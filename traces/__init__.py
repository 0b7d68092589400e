"""Workloads, real and made: the catalogue, `load` for pods, `dag_source` for jobs, and what the command line needs."""

from clustersim.traces.catalog import CATALOG, Trace, TraceFile, find
from clustersim.traces.dag_load import DagOptions, dag_source
from clustersim.traces.dag_sources import DagSource
from clustersim.traces.describe import Listed, check, describe, list_traces
from clustersim.traces.fetch import fetch
from clustersim.traces.load import load
from clustersim.traces.locate import locate
from clustersim.traces.openb_like import openb_like

__all__ = [
    "CATALOG",
    "DagOptions",
    "DagSource",
    "Listed",
    "Trace",
    "TraceFile",
    "check",
    "dag_source",
    "describe",
    "fetch",
    "find",
    "list_traces",
    "load",
    "locate",
    "openb_like",
]
