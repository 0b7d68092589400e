"""Workloads, real and made: the catalogue, the front function `load` and what the command line needs."""

from clustersim.traces.catalog import CATALOG, Trace, TraceFile, find
from clustersim.traces.describe import Listed, check, describe, list_traces
from clustersim.traces.fetch import fetch
from clustersim.traces.load import load
from clustersim.traces.locate import locate
from clustersim.traces.openb_like import openb_like

__all__ = [
    "CATALOG",
    "Listed",
    "Trace",
    "TraceFile",
    "check",
    "describe",
    "fetch",
    "find",
    "list_traces",
    "load",
    "locate",
    "openb_like",
]
