"""The hardware catalogue, how power and speed follow clock and limit, and the servers that nodes become."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from importlib.resources import files

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import MANY, node, node_table

from clustersim.errors import ConfigError
from clustersim.hardware import (
    clock_power,
    clock_speed,
    cpu_power_w,
    gpu,
    gpu_power_w,
    server,
    servers_of,
)
from clustersim.hardware_catalogue import CONFIDENCE, GPU_FIGURES, GPU_OPTIONAL, catalogue, read_catalogue
from clustersim.power_curves import PowerCapCurve

TEXT = files("clustersim").joinpath("hardware.toml").read_text(encoding="utf-8")

SECTION_10 = {
    *("T4", "V100", "A10", "A10G", "A30", "A40", "A100-40", "A100-80", "A100-80-PCIe", "L4", "L40S", "H100-PCIe"),
    *("H100", "H200", "B200", "B300", "GB200", "MI250X", "MI300X", "Gaudi3", "910C"),
}
"""Every GPU of the reference's table."""

CLOCKS = st.floats(0.1, 1.0)


def test_the_catalogue_has_every_gpu_of_the_reference_and_those_of_openb_and_zeus() -> None:
    assert set(catalogue().gpus) == SECTION_10 | {"P100", "RTX6000", "V100-32"}


def test_every_number_has_a_source_and_a_confidence() -> None:
    for kind in catalogue().gpus.values():
        given_figures = {name for name in GPU_FIGURES if getattr(kind, name) is not None}
        assert set(kind.origin) == given_figures
        assert given_figures >= set(GPU_FIGURES) - set(GPU_OPTIONAL)
        assert all(origin.source and origin.confidence in CONFIDENCE for origin in kind.origin.values())


def test_numbers_of_the_reference_are_in_the_catalogue() -> None:
    h100, a100 = gpu("H100"), gpu("A100-80")
    assert (h100.tflops_dense, h100.memory_gib, h100.bandwidth_tb_s, h100.tdp_w, h100.idle_w) == (
        989,
        80,
        3.35,
        700,
        75,
    )
    assert (a100.tflops_dense, a100.tdp_w, a100.idle_w, a100.min_clock_mhz, a100.max_clock_mhz) == (
        *(312, 400, 63),
        *(210, 1410),
    )
    assert (h100.origin["idle_w"].confidence, a100.origin["min_clock_mhz"].confidence) == ("V", "R")
    assert (server("DGX-A100").idle_w, server("DGX-H100").idle_w) == (1500, 2800)


def test_peaks_are_what_the_units_can_do_in_a_clock() -> None:
    for kind in catalogue().gpus.values():
        peak = kind.units * kind.flop_per_clock * kind.max_clock_mhz / 1e6
        assert 0.9 < kind.tflops_dense / peak < 1.02, kind.name


@pytest.mark.parametrize("name", sorted(SECTION_10))
def test_twice_the_dense_peak_is_rejected_for_every_gpu(name: str) -> None:
    dense = gpu(name).tflops_dense
    head, tail = TEXT.split(f"[gpu.{name}]\n")
    text = f"{head}[gpu.{name}]\n" + tail.replace(f"tflops_dense = [{dense}", f"tflops_dense = [{2 * dense}", 1)
    with pytest.raises(ConfigError, match=rf"GPU '{name}': tflops_dense .* looks like the figure with sparsity"):
        read_catalogue(text)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("speed = [0.7764, 0.8663", "speed = [0.8764, 0.8663", "'V100' is not monotone: speed 0.8764 at limit 0.4"),
        ("energy = [1.3246, 1.1097", "energy = [1.0246, 1.1097", "'A40' is not monotone: energies"),
        ("energy = [0.8919, 0.9279, 0.9705", "energy = [0.8919, 0.9279, 0.9205", "'P100' is not monotone: energies"),
        ("share = [0.4, 0.5", "share = [0.5, 0.4", "limit 0.4 comes after 0.5"),
        ("share = [0.4, 0.5", "share = [0.5", "has 6 limits, 7 speeds and 7 energies"),
        ("0.9958, 1.0]", "0.9958, 1.01]", "has to end at the TDP"),
        ('cap_curve = "A40"', 'cap_curve = "A41"', "GPU 'A40': unknown cap curve 'A41'; did you mean 'A40'"),
        ('[63, "V", "splitwise"]', '[463, "V", "splitwise"]', "GPU 'A100-80': idle_w 463 is not below tdp_w 400"),
        ('[63, "V", "splitwise"]', '[63, "X", "splitwise"]', "GPU 'A100-80': idle_w has confidence 'X'; there is V, C"),
        ('[63, "V", "splitwise"]', '[63, "V", "splitwize"]', "unknown source 'splitwize'; did you mean 'splitwise'"),
        ('[63, "V", "splitwise"]', "63", r"idle_w is 63; write \[value, confidence, source\]"),
        ('[63, "V", "splitwise"]', '[true, "V", "splitwise"]', "idle_w is True; it has to be a positive number"),
        ('[63, "V", "splitwise"]', '[0, "V", "splitwise"]', "idle_w is 0; it has to be a positive number"),
        ("idle_w = [63", "idle = [63", "GPU 'A100-80': unknown idle, missing idle_w"),
        ("min_clock_mhz = [210", "min_clock_mhz = [2100", "min_clock_mhz 2100 is not below max_clock_mhz 1410"),
        ('gpu = "A100-80"', 'gpu = "A100"', "server 'DGX-A100': unknown GPU 'A100'; did you mean 'A10'"),
        ("[sources]", "[sources", "is not TOML"),
    ],
)
def test_a_bad_catalogue_is_rejected_with_the_entry_and_the_number(old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises(ConfigError, match=message):
        read_catalogue(TEXT.replace(old, new, 1))


def test_an_unknown_gpu_gets_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="unknown GPU 'A100-8O'; did you mean 'A100-80'"):
        gpu("A100-8O")
    with pytest.raises(ConfigError, match="unknown server 'DGX-A10'; did you mean 'DGX-A100'"):
        server("DGX-A10")


def test_clocks_of_polca_save_what_the_paper_says() -> None:
    saved = [1 - clock_power(mhz / 1410) for mhz in (1410, 1305, 1275, 1110, 288)]
    assert saved == pytest.approx([0.0, 0.08, 0.10, 0.20, 0.45], abs=0.005)


def test_a_prompt_slows_with_the_clock_and_tokens_hardly() -> None:
    assert 1 / clock_speed(1110 / 1410, 1.0) - 1 == pytest.approx(0.27, abs=0.001)
    assert 1 / clock_speed(1110 / 1410, 0.15) - 1 == pytest.approx(0.04, abs=0.001)
    # The reference's check: .54 s of prompt and 25.3 s of tokens take 4.5 % longer.
    longer = 0.54 / clock_speed(1110 / 1410, 1.0) + 25.3 / clock_speed(1110 / 1410, 0.15)
    assert longer / (0.54 + 25.3) - 1 == pytest.approx(0.045, abs=0.001)


@MANY
@given(CLOCKS, CLOCKS, st.floats(0, 1), st.floats(0, 1))
def test_a_lower_clock_never_draws_more_nor_works_faster(a: float, b: float, load: float, sensitivity: float) -> None:
    low, high = min(a, b), max(a, b)
    assert gpu_power_w(63.0, 400.0, load, low) <= gpu_power_w(63.0, 400.0, load, high)
    assert clock_speed(low, sensitivity) <= clock_speed(high, sensitivity) <= 1.0
    assert clock_speed(low, sensitivity) >= low * (1 - 1e-12)


def test_power_is_idle_without_load_and_all_of_it_when_busy_at_full_clock() -> None:
    assert (gpu_power_w(63.0, 400.0, 0.0, 0.3), gpu_power_w(63.0, 400.0, 1.0, 1.0)) == (63.0, 400.0)
    assert (cpu_power_w(100.0, 50.0, 0.0), cpu_power_w(100.0, 50.0, 0.5)) == (100.0, 125.0)


def test_a_power_limit_between_two_measured_ones_is_interpolated() -> None:
    curve = gpu("V100").cap_curve
    assert curve is not None
    assert curve.at(0.5) == (0.8663, 0.8184)
    assert curve.at(0.45) == pytest.approx(((0.7764 + 0.8663) / 2, (0.8203 + 0.8184) / 2))
    assert curve.at(1.0) == (1.0, 1.0)
    for share in (0.39, 1.01):
        with pytest.raises(ConfigError, match=r"was measured from 0\.4 to 1 of the TDP, not at"):
            curve.at(share)


def test_a_curve_with_a_value_that_is_no_number_is_rejected() -> None:
    with pytest.raises(ConfigError, match="not positive and finite"):
        PowerCapCurve("made", (0.5, 1.0), (float("nan"), 1.0), (1.0, 1.0))


def test_a_node_like_a_dgx_draws_what_a_dgx_draws() -> None:
    servers = servers_of(node_table([node(cpu=256_000, gpus=8, model="X")]), {"X": "A100-80"})
    idle_w = servers.other_idle_w[0] + 8 * servers.gpu_idle_w[0]
    busy_other_w = servers.other_idle_w[0] + servers.other_range_w[0]
    assert (idle_w, busy_other_w, servers.nameplate_w[0]) == pytest.approx((1500, 3000, 6500))
    assert servers.braked_w[0] == pytest.approx(3000 + 8 * (63 + 337 * clock_power(288 / 1410)))
    assert servers.min_clock[0] == 210 / 1410


def test_half_of_the_rest_goes_with_threads_and_half_with_the_gpus() -> None:
    nodes = node_table([node(cpu=128_000), node(cpu=256_000, gpus=4, model="X"), node(cpu=96_000, gpus=2, model="T4")])
    servers = servers_of(nodes, {"X": "A100-80", "T4": "T4"})
    assert servers.other_idle_w == pytest.approx([996 / 4, 996 * 0.75, 996 * (96 / 256 + 140 / 3200) / 2])
    assert servers.gpu_tdp_w.tolist() == [0, 400, 70]
    assert servers.gpu_count.tolist() == [0, 4, 2]
    assert servers.min_clock[0] == 0
    assert servers.braked_w[0] == pytest.approx(servers.other_idle_w[0] + servers.other_range_w[0])


@MANY
@given(
    st.sampled_from(sorted(catalogue().gpus)),
    st.integers(0, 8),
    st.integers(1, 256),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0.21, 1),
)
def test_no_load_draws_more_than_the_nameplate_nor_braked_more_than_said(
    name: str, gpus: int, cores: int, cpu_load: float, gpu_load: float, clock: float
) -> None:
    servers = servers_of(node_table([node(cpu=1000 * cores, gpus=gpus, model="X")]), {"X": name})

    def power_w(at: float) -> float:
        of_gpu = gpu_power_w(servers.gpu_idle_w[0], servers.gpu_tdp_w[0], gpu_load, at)
        return cpu_power_w(servers.other_idle_w[0], servers.other_range_w[0], cpu_load) + gpus * of_gpu

    assert power_w(clock) <= servers.nameplate_w[0]
    assert power_w(288 / 1410) <= servers.braked_w[0] * (1 + 1e-12)


def test_server_tables_are_read_only() -> None:
    servers = servers_of(node_table([node(gpus=1, model="T4")]), {"T4": "T4"})
    assert len(servers) == 1
    for column in fields(servers):
        with pytest.raises(ValueError, match="read-only"):
            getattr(servers, column.name)[0] = 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda nodes: servers_of(nodes, {}), "gpu_type does not say what GPU model T4 is"),
        (lambda nodes: servers_of(nodes, {"T4": "T5"}), "unknown GPU 'T5'; There is P100, T4"),
        (
            lambda nodes: servers_of(nodes, {"T4": "A100-40"}, 0.1),
            r"brake at 0.100 .* of GPU model 'T4' \(A100-40\), 0.149",
        ),
    ],
)
def test_servers_that_cannot_be_are_rejected(call: Callable[[object], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        call(node_table([node(gpus=1, model="T4")]))


def test_the_catalogue_is_read_once() -> None:
    assert catalogue() is catalogue()
    assert np.isclose(gpu("T4").tdp_w, 70)
