"""The catalogue of GPUs and servers: `hardware.toml`, read and checked."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import inf
from types import MappingProxyType
from typing import Any

from clustersim.errors import ConfigError
from clustersim.power_curves import PowerCapCurve

CONFIDENCE = {
    "V": "read in a file or page of the named source",
    "C": "computed from such a file",
    "R": "recalled from memory, not checked",
    "D": "chosen here",
}

SPARSE_AT = 1.5
"""A figure this many times the dense peak counts two zeros out of four as work done: vendors print twice the peak."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a number comes from, and how far to trust it: a key of CONFIDENCE."""

    source: str
    confidence: str


@dataclass(frozen=True, slots=True)
class GpuType:
    """A GPU model; None where a number is not established. Peaks are dense, of 16-bit matrix products.

    `link_gb_s` is one way, between GPUs of a server. `gemm_share` is the share of the peak that large matrix products
    reach. `units`, `flop_per_clock` (per unit) and the clock make the dense peak. `origin` says where each comes from.
    """

    name: str
    tflops_dense: float
    memory_gib: float
    bandwidth_tb_s: float
    tdp_w: float
    idle_w: float
    max_clock_mhz: float
    units: int
    flop_per_clock: int
    min_clock_mhz: float | None
    link_gb_s: float | None
    gemm_share: float | None
    price_usd_h: float | None
    cap_curve: PowerCapCurve | None
    origin: Mapping[str, Origin]

    def __post_init__(self) -> None:
        peak = self.units * self.flop_per_clock * self.max_clock_mhz / 1e6
        if self.tflops_dense > SPARSE_AT * peak:
            raise ConfigError(
                f"GPU {self.name!r}: tflops_dense {self.tflops_dense:g} is {self.tflops_dense / peak:.2f} times what "
                f"{self.units} units x {self.flop_per_clock} FLOP x {self.max_clock_mhz:g} MHz can do densely "
                f"({peak:.0f}); it looks like the figure with sparsity: halve it"
            )
        if not self.idle_w < self.tdp_w:
            raise ConfigError(f"GPU {self.name!r}: idle_w {self.idle_w:g} is not below tdp_w {self.tdp_w:g}")
        if self.min_clock_mhz is not None and not self.min_clock_mhz < self.max_clock_mhz:
            raise ConfigError(
                f"GPU {self.name!r}: min_clock_mhz {self.min_clock_mhz:g} is not below max_clock_mhz "
                f"{self.max_clock_mhz:g}"
            )


@dataclass(frozen=True, slots=True)
class ServerType:
    """A server as it is sold: `gpu_count` GPUs of one model, CPU threads, and the power of the whole."""

    name: str
    gpu: str
    gpu_count: int
    cpu_threads: int
    nameplate_w: float
    idle_w: float
    busy_other_w: float | None
    """Of all but the GPUs, under load."""
    origin: Mapping[str, Origin]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every GPU and server by name."""

    gpus: Mapping[str, GpuType]
    servers: Mapping[str, ServerType]


GPU_FIGURES = (
    *("tflops_dense", "memory_gib", "bandwidth_tb_s", "tdp_w", "idle_w", "max_clock_mhz", "units", "flop_per_clock"),
    *("min_clock_mhz", "link_gb_s", "gemm_share", "price_usd_h"),
)
GPU_OPTIONAL = ("min_clock_mhz", "link_gb_s", "gemm_share", "price_usd_h")
SERVER_FIGURES = ("gpu_count", "cpu_threads", "nameplate_w", "idle_w", "busy_other_w")
SERVER_OPTIONAL = ("busy_other_w",)


def read_catalogue(text: str) -> Catalogue:
    """The catalogue in a TOML text; raises ConfigError naming the entry and the number.

    A number is written `[value, confidence, source]`, where the source is a key of the table `sources`.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the hardware catalogue is not TOML: {error}") from None
    sources = tables.get("sources", {})
    curves = {name: _curve(name, entry, sources) for name, entry in tables.get("cap_curve", {}).items()}
    gpus = {name: _gpu(name, entry, sources, curves) for name, entry in tables.get("gpu", {}).items()}
    servers = {}
    for name, entry in tables.get("server", {}).items():
        what = f"server {name!r}"
        model = entry.get("gpu")
        if model not in gpus:
            raise ConfigError(f"{what}: {_unknown('GPU', str(model), gpus)}")
        rest = {key: value for key, value in entry.items() if key != "gpu"}
        values, origin = _figures(what, rest, SERVER_FIGURES, SERVER_OPTIONAL, sources)
        servers[name] = ServerType(name=name, gpu=model, origin=origin, **values)
    return Catalogue(MappingProxyType(gpus), MappingProxyType(servers))


@cache
def catalogue() -> Catalogue:
    """The catalogue that comes with clustersim."""
    return read_catalogue(files("clustersim").joinpath("hardware.toml").read_text(encoding="utf-8"))


def gpu(name: str) -> GpuType:
    """The GPU of that name; raises ConfigError with the nearest name."""
    if name not in catalogue().gpus:
        raise ConfigError(_unknown("GPU", name, catalogue().gpus))
    return catalogue().gpus[name]


def server(name: str) -> ServerType:
    """The server of that name; raises ConfigError with the nearest name."""
    if name not in catalogue().servers:
        raise ConfigError(_unknown("server", name, catalogue().servers))
    return catalogue().servers[name]


def _gpu(name: str, entry: dict[str, Any], sources: Mapping[str, str], curves: Mapping[str, PowerCapCurve]) -> GpuType:
    what = f"GPU {name!r}"
    curve = entry.get("cap_curve")
    if curve is not None and curve not in curves:
        raise ConfigError(f"{what}: {_unknown('cap curve', curve, curves)}")
    rest = {key: value for key, value in entry.items() if key != "cap_curve"}
    values, origin = _figures(what, rest, GPU_FIGURES, GPU_OPTIONAL, sources)
    return GpuType(name=name, cap_curve=curves[curve] if curve else None, origin=origin, **values)


def _curve(name: str, entry: dict[str, Any], sources: Mapping[str, str]) -> PowerCapCurve:
    what = f"cap curve {name!r}"
    if set(entry) != {"share", "speed", "energy", "origin"}:
        raise ConfigError(f"{what} has {', '.join(entry)}; it has to have share, speed, energy and origin")
    _origin(what, entry["origin"], sources)
    return PowerCapCurve(name, tuple(entry["share"]), tuple(entry["speed"]), tuple(entry["energy"]))


def _figures(
    what: str, entry: dict[str, Any], names: tuple[str, ...], optional: tuple[str, ...], sources: Mapping[str, str]
) -> tuple[dict[str, Any], Mapping[str, Origin]]:
    """Each number of an entry and its origin; None for an optional one that is not there."""
    unknown = [name for name in entry if name not in names]
    missing = [name for name in names if name not in entry and name not in optional]
    if unknown or missing:
        raise ConfigError(
            f"{what}: unknown {', '.join(unknown) or 'none'}, missing {', '.join(missing) or 'none'}; "
            f"numbers are {', '.join(names)}"
        )
    values: dict[str, Any] = dict.fromkeys(names)
    origin = {}
    for name, figure in entry.items():
        if not isinstance(figure, list) or len(figure) != 3:
            raise ConfigError(f"{what}: {name} is {figure!r}; write [value, confidence, source]")
        value, *rest = figure
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < inf:
            raise ConfigError(f"{what}: {name} is {value!r}; it has to be a positive number")
        values[name] = value
        origin[name] = _origin(f"{what}: {name}", rest, sources)
    return values, MappingProxyType(origin)


def _origin(what: str, origin: list[str], sources: Mapping[str, str]) -> Origin:
    confidence, source = origin
    if confidence not in CONFIDENCE:
        raise ConfigError(f"{what} has confidence {confidence!r}; there is {', '.join(CONFIDENCE)}")
    if source not in sources:
        raise ConfigError(f"{what}: {_unknown('source', source, sources)}")
    return Origin(sources[source], confidence)


def _unknown(kind: str, name: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"unknown {kind} {name!r}; {hint}There is {', '.join(known) or 'none'}"
