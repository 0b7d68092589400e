"""The Azure 2017 arrivals: both files of a split read as one, thinned to a fleet, and warmed up."""

from __future__ import annotations

import gzip
import os
import pickle
import re
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clustersim.errors import ConfigError, TraceError
from clustersim.traces import check
from clustersim.traces.azure_vm_files import BIN_S, AzureArrivals, read_azure_arrivals
from clustersim.traces.azure_vms import AzureFleet
from clustersim.traces.vm_catalog import AZURE2017
from clustersim.vm_life import FleetLife

HOURS = 48


def write(folder: Path, first: str, second: str) -> Path:
    """A trace of the split "dev" with two flavours and lifetimes up to an hour."""
    (folder / "maps").mkdir(exist_ok=True)
    (folder / "traces").mkdir(exist_ok=True)
    (folder / "maps/flav_map.txt").write_text("1,0.75 a\n16,28 d\n")
    (folder / "maps/v1.interval_map.txt").write_text("0 0\n300 1\n600 2\n900 2\n1200 2\n")
    (folder / "traces/v1.dev.txt").write_text(first)
    (folder / "traces/v1.dev.c2100000.txt.gz").write_bytes(gzip.compress(second.encode()))
    return folder


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days in which every 300 s ten tenants ask for two small VMs or one large one, and one VM never exits."""
    bins = range(0, HOURS * 3600, BIN_S)
    tenants = ["a,a", "d"] * 5
    first = "".join(f"{bin_s} {',|,'.join(tenants)}\n" for bin_s in bins)
    stays = ",|,".join(["U1,U2", "U2"] * 5)
    second = "".join(f"{bin_s} {stays.replace('U1', 'C2', 1) if bin_s == 600 else stays}\n" for bin_s in bins)
    return write(tmp_path_factory.mktemp("steady"), first, second)


def fleet(folder: Path, **options: Any) -> AzureFleet:
    chosen = {"split": "dev", "machines": 2, "load_share": 0.6, "start_s": 3600.0, "horizon_s": 36_000.0}
    return AzureFleet(str(folder), **{**chosen, **options})


# --- the files


def test_the_nth_entry_of_both_files_is_the_same_vm(tmp_path: Path) -> None:
    trace = read_azure_arrivals(write(tmp_path, "600 a,d,|,a\n1200 d\n", "600 U0,U1,|,C2\n1200 U2\n"), "dev")
    assert trace.flavour_name == ("a", "d")
    assert trace.cores.tolist() == [1, 16]
    assert trace.memory_mib.tolist() == [768, 28 * 1024]
    assert trace.bin_s.tolist() == [600, 600, 600, 1200]
    assert trace.batch.tolist() == [0, 0, 1, 2]
    assert trace.flavour.tolist() == [0, 1, 0, 1]
    assert trace.lifetime.tolist() == [0, 1, 2, 2]
    assert trace.censored.tolist() == [False, False, True, False]
    assert trace.lifetime_s.tolist() == [[0, 300], [300, 600], [600, 1500]]


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ("600 a,a\n", "600 U0\n", "line 1 of {} and of {}: 2 entries at 600 s and 1 at 600 s"),
        ("600 a\n", "900 U0\n", "line 1 of {} and of {}: 1 entries at 600 s and 1 at 900 s"),
        ("600 a,|,a\n", "600 U0,U1,U1\n", "line 1 of {} and of {}: '|' against 'U1'"),
        ("600 a\n900 b\n", "600 U0\n900 U0\n", "line 2 of {} and of {}: 'b' with 'U0'; a flavour of a, d and U or C"),
        ("600 a\n", "600 X1\n", "line 1 of {} and of {}: 'a' with 'X1'"),
        ("600 a\n", "600 U3\n", "line 1 of {} and of {}: 'a' with 'U3'; .* a bin from 0 to 2"),
        ("600 a\n900 a\n", "600 U0\n", "{} has 2 lines and {} 1"),
        ("600 a\n600 a\n", "600 U0\n600 U0\n", "{}: line 2 is not later than the one before it"),
        ("600 a\nlater a\n", "600 U0\n", "{}: line 2 is 'later a'; '<seconds> <entry>,<entry>,...' is expected"),
        ("", "", "{}: the file is empty"),
    ],
)
def test_files_that_contradict_each_other_are_refused(tmp_path: Path, first: str, second: str, message: str) -> None:
    with pytest.raises(TraceError, match="^" + message.replace("{}", ".*") + ""):
        read_azure_arrivals(write(tmp_path, first, second), "dev")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("flav_map.txt", "1 a\n", "flav_map.txt: line 1 is '1 a'; '<cores>,<GB> <flavour>' is expected"),
        ("v1.interval_map.txt", "0 0\nlong 1\n", "line 2 is 'long 1'; '<seconds> <bin>' is expected"),
        ("v1.interval_map.txt", "0 0\n600 1\n", "line 2 is '600 1'; seconds go up by 300"),
        ("v1.interval_map.txt", "0 0\n300 2\n", "line 2 is '300 2'; seconds go up by 300 and bins by 0 or 1"),
    ],
)
def test_a_broken_map_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    folder = write(tmp_path, "600 a\n", "600 U0\n")
    (folder / "maps" / name).write_text(text)
    with pytest.raises(TraceError, match=re.escape(message)):
        read_azure_arrivals(folder, "dev")


def test_a_split_without_lifetimes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="there is no split 'train' with lifetimes; choose one of dev, test"):
        read_azure_arrivals(tmp_path, "train")


def test_the_check_reports_the_splits_that_are_there(steady: Path) -> None:
    report = check(steady)
    assert f"{steady}, split dev: keeps the rules of the format" in report
    assert f"{HOURS * 12 * 15:,} VMs in {HOURS * 12 * 10:,} batches" in report
    assert "1 VMs outlive the split" in report
    assert "test" not in report.replace(str(steady), "")


# --- the life


def test_vms_stay_for_a_time_of_their_bin(steady: Path) -> None:
    life = fleet(steady)(1)
    large = life.arrival_shape == 1
    assert 200 < large.sum() < len(large)
    # Those in pairs are in the bins 1 and 2, from above 300 and 600 s; single ones in bin 2.
    assert ((life.lifetime_s > 300) & (life.lifetime_s <= 1500)).all()
    assert (life.lifetime_s[large] > 600).all()
    assert life.lifetime_s[large].mean() == pytest.approx(1050, rel=0.05)


def test_a_tenant_arrives_at_once_and_is_kept_or_left_out_as_a_whole(steady: Path) -> None:
    life = fleet(steady)(1)
    times, counts = np.unique(life.arrival_s[life.arrival_shape == 0], return_counts=True)
    assert len(times) > 50
    assert (counts == 2).all()
    assert len(np.unique(times % BIN_S)) > 50


def core_seconds(life: FleetLife, horizon_s: float) -> float:
    """What would be asked for from 0 to the horizon if everything were placed."""
    cores = life.snapshot.shapes.cores
    there = np.minimum(life.exit_s, horizon_s) @ cores[life.snapshot.shape]
    stay_s = np.minimum(life.arrival_s + life.lifetime_s, horizon_s) - life.arrival_s
    return float(there + stay_s @ cores[life.arrival_shape])


@pytest.mark.parametrize("seed", range(3))
def test_what_is_kept_asks_for_the_load_on_average(steady: Path, seed: int) -> None:
    life = fleet(steady)(seed)
    assert core_seconds(life, 36_000.0) / 36_000.0 == pytest.approx(0.6 * 2 * 88, rel=0.02)


def test_time_zero_finds_the_vms_of_before_with_the_rest_of_their_lifetimes(steady: Path) -> None:
    fleets = [fleet(steady, machines=4, load_share=0.4)(seed) for seed in range(10)]
    cores = [int(life.snapshot.shapes.total_cores[life.snapshot.shape].sum()) for life in fleets]
    assert np.mean(cores) == pytest.approx(0.4 * 4 * 88, rel=0.1)
    assert all((life.exit_s >= 0).all() and (life.exit_s[life.exit_s < inf] < 1500).all() for life in fleets)
    assert all((life.arrival_s >= 0).all() and (life.arrival_s < 36_000).all() for life in fleets)


def test_a_vm_whose_end_was_not_seen_stays_for_ever(steady: Path) -> None:
    lives = [fleet(steady)(seed) for seed in range(12)]
    never = [int((life.exit_s == inf).sum()) for life in lives]
    assert set(never) == {0, 1}


def test_a_tenant_that_is_too_large_for_the_fleet_is_left_out(tmp_path: Path) -> None:
    """A tenth of the 88 cores of a machine is less than 16."""
    bins = range(0, 3600 * 10, BIN_S)
    first = "".join(f"{bin_s} {',|,'.join(['a,a', 'd'] * 40)}\n" for bin_s in bins)
    second = "".join(f"{bin_s} {',|,'.join(['U2,U2', 'U2'] * 40)}\n" for bin_s in bins)
    folder = write(tmp_path, first, second)
    one, two = (fleet(folder, machines=machines, load_share=0.3, horizon_s=7200.0)(0) for machines in (1, 2))
    assert not one.arrival_shape.any()
    assert two.arrival_shape.any()


def test_best_fit_leaves_fewer_machines_in_use(steady: Path) -> None:
    lives = [fleet(steady, machines=4, load_share=0.3, placement=name)(2) for name in ("random", "best-fit")]
    used = [len(np.unique(life.snapshot.host * 2 + life.snapshot.numa)) for life in lives]
    assert used[1] < used[0]
    assert lives[0].arrival_s.tolist() == lives[1].arrival_s.tolist()


def test_a_seed_repeats_its_life_and_another_gives_another(steady: Path) -> None:
    source = pickle.loads(pickle.dumps(fleet(steady)))
    assert source == fleet(steady)
    assert hash(source) == hash(fleet(steady))
    first, again, other = source(1), fleet(steady)(1), source(2)
    assert first.exit_s.tolist() == again.exit_s.tolist()
    assert first.arrival_s.tolist() == again.arrival_s.tolist()
    assert first.snapshot.host.tolist() == again.snapshot.host.tolist()
    assert first.arrival_s.tolist() != other.arrival_s.tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"machines": 0}, "machines is 0; a fleet has at least 1"),
        ({"load_share": 0.0}, "load_share is 0.0; it has to be above 0 and at most 1"),
        ({"horizon_s": inf}, "start_s is 3600.0 and horizon_s inf; they have to be finite"),
        ({"placement": "worst-fit"}, "placement is 'worst-fit'; choose random or best-fit"),
        ({"horizon_s": 1e6}, r"start_s \+ horizon_s is 3600 \+ 1e\+06 s, but split 'dev' has only 172800 s"),
        ({"machines": 100}, "the VMs of split 'dev' ask for .* cores on average, 100 machines at load 0.6 for 5,280"),
    ],
)
def test_what_the_trace_cannot_give_is_refused(steady: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fleet(steady, **options)(0)


def test_a_trace_that_is_nowhere_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTERSIM_TRACES", str(tmp_path))
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / project)
    with pytest.raises(TraceError, match="trace 'azure2017' is not on this machine; run `clustersim traces fetch"):
        AzureFleet()(0)


# --- the real one


@pytest.fixture(scope="module")
def real() -> Path:
    root = Path(os.environ.get("CLUSTERSIM_TRACES") or Path(__file__).parents[2] / "shared" / "traces")
    for folder in (root / AZURE2017.folder, root):
        if any((folder / "traces").glob("v1.test.txt*")):
            return folder
    pytest.skip(f"the azure2017 trace is not in {root}; name its folder in CLUSTERSIM_TRACES")


@pytest.mark.parametrize(
    ("split", "vms", "batches", "censored"), [("dev", 259_159, 54_108, 14_317), ("test", 410_276, 84_583, 23_311)]
)
def test_the_real_splits_have_the_known_figures(real: Path, split: str, vms: int, batches: int, censored: int) -> None:
    trace: AzureArrivals = read_azure_arrivals(real, split)
    assert (len(trace), int(trace.batch[-1]) + 1, int(trace.censored.sum())) == (vms, batches, censored)
    assert (trace.cores.max(), trace.memory_mib.max()) == (16, 112 * 1024)
    assert len(trace.lifetime_s) == 46
    assert trace.lifetime_s[13].tolist() == [3900, 7500]


def test_a_real_life_fills_a_fleet_to_the_load(real: Path) -> None:
    source = AzureFleet(str(real), machines=40)
    life = source(0)
    assert core_seconds(life, source.horizon_s) / source.horizon_s == pytest.approx(0.85 * 40 * 88, rel=0.05)
    taken = 1 - life.snapshot.free_cores.sum() / life.snapshot.machines.cores.sum()
    assert 0.4 < taken < 0.95
    assert replace(source, start_s=0.0)(0).snapshot.vm_name == ()
