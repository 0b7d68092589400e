"""Calls per minute: the reader keeps what is in the files, names what is wrong, and groups functions into services."""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from clustersim.errors import ConfigError, TraceError
from clustersim.traces import check
from clustersim.traces.catalog import AZURE2019
from clustersim.traces.faas import read_faas

INVOCATIONS = """HashOwner,HashApp,HashFunction,Trigger,480,481,482,483
o1,a1,steady,http,5,5,5,5
o1,a1,bursty,http,0,9,0,3
o2,a2,clock,timer,0,60,0,60
o2,a3,queue,queue,2,0,8,2
o3,a4,rare,http,0,0,0,2
o3,a5,event,event,1,4,1,0
"""
DURATIONS = (
    "HashOwner,HashApp,HashFunction,Average,Count\n"
    + "".join(f"o,a,{name},{ms},3\n" for name, ms in (("event", 250), ("steady", 1), ("bursty", 20), ("clock", 0)))
    + "o,a,queue,1500,3\no,a,rare,7,1\no,a,elsewhere,8,1\n"
)
MEMORY = (
    "HashFunction,HashOwner,HashApp,SampleCount,AverageAllocatedMb\n"
    + "".join(f"{name},o,a,9,{mb}\n" for name, mb in (("steady", 30.5), ("bursty", 40), ("clock", 50), ("queue", 60)))
    + "rare,o,a,9,70\nevent,o,a,9,80\n"
)


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., Path]:
    def write(**changed: str | None) -> Path:
        folder = tmp_path / "trace"
        folder.mkdir()
        texts = {"invocations": INVOCATIONS, "durations": DURATIONS, "memory": MEMORY} | changed
        for name, text in texts.items():
            if text is not None:
                (folder / f"{name}.csv").write_text(text)
        return folder

    return write


def test_functions_keep_the_order_of_the_calls_whatever_that_of_the_other_files(put: Callable[..., Path]) -> None:
    trace = read_faas(put())
    assert (trace.name, trace.first_minute, trace.minutes) == ("trace", 480, 4)
    assert trace.function == ("steady", "bursty", "clock", "queue", "rare", "event")
    assert trace.trigger == ("http", "http", "timer", "queue", "http", "event")
    assert trace.counts.tolist()[1] == [0, 9, 0, 3]
    assert trace.duration_s.tolist() == [0.001, 0.02, 0.0, 1.5, 0.007, 0.25]
    assert trace.memory_mib.tolist() == [30.5, 40.0, 50.0, 60.0, 70.0, 80.0]


def test_gzipped_files_and_minutes_in_any_order_are_read_alike(put: Callable[..., Path]) -> None:
    shuffled = [line.split(",") for line in INVOCATIONS.splitlines()]
    folder = put(invocations="\n".join(",".join([*row[:4], *row[:3:-1]]) for row in shuffled))
    file = folder / "durations.csv"
    (folder / "durations.csv.gz").write_bytes(gzip.compress(file.read_bytes()))
    file.unlink()
    trace = read_faas(folder)
    assert trace.counts.tolist()[1] == [0, 9, 0, 3]
    assert trace.duration_s[3] == 1.5


def test_services_are_the_functions_that_vary_dealt_out_by_how_busy_they_are(put: Callable[..., Path]) -> None:
    trace = read_faas(put())
    # bursty (12 calls), queue (12, later in the file), event (6); not: steady, the timer, and rare with .5 a minute.
    assert trace.services(3).tolist() == [[0, 9, 0, 3], [2, 0, 8, 2], [1, 4, 1, 0]]
    assert trace.services(2).tolist() == [[1, 13, 1, 3], [2, 0, 8, 2]]
    assert trace.services(1).tolist() == [[3, 13, 9, 5]]


@pytest.mark.parametrize("groups", [0, 4])
def test_more_services_than_functions_that_vary_are_refused(put: Callable[..., Path], groups: int) -> None:
    with pytest.raises(ConfigError, match=rf"{groups} services .* 'trace' has 3 functions .* 1 to 3 services"):
        read_faas(put()).services(groups)


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("invocations", "481,482,483", "481,483,484", "line 1: minute 482 is missing; there are minutes 480 to 484"),
        ("invocations", "480,481,482,483", "a,b,c,d", "line 1: there is no column of a minute, such as '480'"),
        ("invocations", "480,481,482", "480,481,481", "column '481' appears twice"),
        ("invocations", "Trigger", "Trogger", "column 'Trigger' is missing"),
        ("invocations", "bursty,http,0,9", "bursty,http,0,-9", "line 3, column '481': '-9' must be a whole number"),
        ("invocations", "bursty,http,0,9", "bursty,http,0,9.5", "line 3, column '481': '9.5' must be a whole number"),
        ("invocations", "bursty,http,0,9", "bursty,http,0,", "line 3, column '481': '' must be a whole number"),
        ("invocations", "bursty,http,0,9", "bursty,http,0,1" + 12 * "0", "line 3, column '481'"),
        ("invocations", "bursty", "steady", "line 3, column 'HashFunction': repeats an earlier line"),
        ("invocations", "timer,0,60,0,60", "timer,0,60,0", "line 4: 7 fields, but the header has 8"),
        ("durations", "queue,1500", "quack,1500", "function 'queue' of invocations.csv is not in this file"),
        ("durations", "queue,1500", "queue,soon", "line 6, column 'Average': 'soon' must be a finite number"),
        ("durations", "queue,1500", "queue,-1", "line 6, column 'Average': '-1' must be a finite number"),
        ("durations", "Average", "Mean", "column 'Average' is missing"),
        ("memory", "9,30.5", "9,inf", "line 2, column 'AverageAllocatedMb': 'inf' must be a finite number"),
        ("memory", "steady", "bursty", "line 3, column 'HashFunction': repeats an earlier line"),
    ],
)
def test_what_breaks_the_format_is_named_with_its_place(
    put: Callable[..., Path], file: str, old: str, new: str, said: str
) -> None:
    texts = {"invocations": INVOCATIONS, "durations": DURATIONS, "memory": MEMORY}
    assert old in texts[file]
    folder = put(**{file: texts[file].replace(old, new, 1)})
    with pytest.raises(TraceError) as error:
        read_faas(folder)
    assert str(error.value).startswith(str(folder / f"{file}.csv"))
    assert said in str(error.value)


def test_a_file_or_folder_that_is_not_there_is_named(put: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"nowhere: no such folder; .* invocations.csv, durations.csv, memory.csv"):
        read_faas(tmp_path / "nowhere")
    with pytest.raises(TraceError, match=r"there is no memory.csv or memory.csv.gz"):
        read_faas(put(memory=None))


def test_a_check_reports_what_is_in_the_folder_and_in_those_below(put: Callable[..., Path], tmp_path: Path) -> None:
    idle = INVOCATIONS.replace("rare,http,0,0,0,2", "rare,http,0,0,0,0").replace("0,60,0,60", "0,600,0,60")
    folder = put(invocations=idle)
    report = check(folder)
    assert report.splitlines() == [
        f"{folder}: keeps the rules of the format",
        "  6 functions, minutes 480 to 483: 710 calls",
        "  triggers: 3 http, 1 timer, 1 queue, 1 event",
        "  defects: functions without a call: 1; one function makes 93% of the calls",
    ]
    assert check(tmp_path) == report


@pytest.fixture(scope="module")
def azure() -> Path:
    root = Path(os.environ.get("CLUSTERSIM_TRACES") or Path(__file__).parents[2] / "shared" / "traces")
    folder = root / AZURE2019.folder
    if not folder.is_dir():
        pytest.skip(f"there are no recorded functions: {folder} is no folder; name its root in CLUSTERSIM_TRACES")
    return folder


def test_the_real_samples_have_the_published_numbers_of_functions_and_calls(azure: Path) -> None:
    for name, calls in (("100", 339_657), ("500", 3_037_902)):
        trace = read_faas(azure / name)
        assert (len(trace.function), trace.first_minute, trace.minutes) == (int(name), 480, 480)
        assert trace.counts.sum() == calls
        assert (trace.duration_s >= 0).all()
        assert (trace.memory_mib > 0).all()


def test_the_real_files_have_the_checksums_and_the_defects_of_the_catalogue(azure: Path) -> None:
    for file in AZURE2019.files:
        content = gzip.decompress((azure / f"{file.name}.gz").read_bytes())
        assert hashlib.sha256(content).hexdigest() == file.sha256, file.name
    defects = " ".join(AZURE2019.defects)
    for name, most in (("100", 0.80), ("500", 0.63)):
        trace = read_faas(azure / name)
        assert trace.counts.sum(axis=1).max() / trace.counts.sum() == pytest.approx(most, abs=0.005)
        assert f"{most:.0%}".replace("%", " %") in defects
        assert 0.4 < np.mean([trigger == "timer" for trigger in trace.trigger]) < 0.5


def test_the_real_functions_make_services_that_vary(azure: Path) -> None:
    services = read_faas(azure / "500").services(8)
    assert services.shape == (8, 480)
    assert (services.std(axis=1) > 0.2 * services.mean(axis=1)).all()
