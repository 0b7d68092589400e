"""Fetching against a real web server on the loopback: whole files with the right checksum, or nothing."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from trace_server import serving

from clustersim.errors import TraceError
from clustersim.traces import catalog, fetch
from clustersim.traces.catalog import OPENB, Trace, TraceFile
from clustersim.traces.dag_catalog import TPCH

FILES = {"nodes.csv": b"sn,gpu\n" + b"n,8\n" * 5_000, "pods.csv": b"name\n" + b"p\n" * 20_000}


@pytest.fixture(autouse=True)
def trace(monkeypatch: pytest.MonkeyPatch) -> Trace:
    """`openb` with two small files; no proxy stands between the tests and the loopback."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    files = tuple(TraceFile(name, hashlib.sha256(content).hexdigest()) for name, content in FILES.items())
    small = replace(OPENB, files=files)
    monkeypatch.setattr(catalog, "CATALOG", (small,))
    return small


def test_a_fetch_brings_every_file(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    with serving(FILES) as server:
        paths = fetch("openb", folder=folder, base_url=server.url)
    assert paths == [folder / "nodes.csv", folder / "pods.csv"]
    assert [path.read_bytes() for path in paths] == list(FILES.values())
    assert sorted(folder.iterdir()) == paths


def test_a_file_of_a_second_repository_comes_from_its_own_url(
    tmp_path: Path, trace: Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(FILES) as server:
        files = (trace.files[0], replace(trace.files[1], name="below/p.csv", url=f"{server.url}/pods.csv"))
        both = replace(trace, files=files, base_url=f"{server.url}/")
        monkeypatch.setattr(catalog, "CATALOG", (both,))
        paths = fetch("openb", folder=tmp_path)
    assert paths == [tmp_path / "nodes.csv", tmp_path / "below" / "p.csv"]
    assert [path.read_bytes() for path in paths] == list(FILES.values())


def test_a_trace_that_was_converted_says_where_to_put_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "CATALOG", (TPCH,))
    with pytest.raises(TraceError, match=r"'tpch' cannot be downloaded: .* copy of json/tpch_.* dag_tpch_decima/"):
        fetch("tpch", folder=tmp_path)


def test_what_is_there_is_not_downloaded_again(tmp_path: Path) -> None:
    (tmp_path / "nodes.csv").write_bytes(FILES["nodes.csv"])
    with serving(FILES) as server:
        fetch("openb", folder=tmp_path, base_url=server.url)
        fetch("openb", folder=tmp_path, base_url=server.url)
    assert server.requests == {"pods.csv": 1}


def test_a_damaged_local_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "nodes.csv").write_bytes(FILES["nodes.csv"][:100])
    with serving(FILES) as server:
        fetch("openb", folder=tmp_path, base_url=server.url)
    assert (tmp_path / "nodes.csv").read_bytes() == FILES["nodes.csv"]


def test_a_transfer_that_is_cut_once_is_started_again(tmp_path: Path) -> None:
    with serving(FILES, cuts=1) as server:
        paths = fetch("openb", folder=tmp_path, base_url=server.url, attempts=2)
    assert server.requests == {"nodes.csv": 2, "pods.csv": 2}
    assert [path.read_bytes() for path in paths] == list(FILES.values())
    assert sorted(tmp_path.iterdir()) == paths


def test_a_transfer_that_is_always_cut_ends_in_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    with (
        serving(FILES, cuts=99) as server,
        pytest.raises(TraceError, match=r"could not fetch nodes\.csv of trace 'openb' from .* \(up to 2 attempts\)"),
    ):
        fetch("openb", folder=tmp_path, base_url=server.url, attempts=2)
    assert server.requests == {"nodes.csv": 2}
    assert list(tmp_path.iterdir()) == []


def test_wrong_bytes_are_refused_with_both_checksums_and_leave_nothing(tmp_path: Path, trace: Trace) -> None:
    wrong = b"<html>log in first</html>"
    with serving({"nodes.csv": wrong}) as server, pytest.raises(TraceError) as caught:
        fetch("openb", folder=tmp_path, base_url=server.url, attempts=1)
    message = str(caught.value)
    assert "could not fetch nodes.csv of trace 'openb'" in message
    assert f"expected sha256:{trace.files[0].sha256} but got {hashlib.sha256(wrong).hexdigest()}" in message
    assert "run `clustersim traces fetch openb` again" in message
    assert list(tmp_path.iterdir()) == []


def test_wrong_bytes_do_not_replace_the_file_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "nodes.csv").write_bytes(b"edited by hand")
    with serving({"nodes.csv": b"wrong"}) as server, pytest.raises(TraceError):
        fetch("openb", folder=tmp_path, base_url=server.url, attempts=1)
    assert (tmp_path / "nodes.csv").read_bytes() == b"edited by hand"


def test_a_file_that_the_server_lacks_is_named(tmp_path: Path) -> None:
    with serving({}) as server, pytest.raises(TraceError, match=r"nodes\.csv.*404"):
        fetch("openb", folder=tmp_path, base_url=server.url, attempts=1)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_does_not_answer_is_an_error(tmp_path: Path) -> None:
    with serving({}) as server:
        pass
    with pytest.raises(TraceError, match=r"could not fetch nodes\.csv.*Check the connection"):
        fetch("openb", folder=tmp_path, base_url=server.url, attempts=1)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with serving(FILES) as server, pytest.raises(TraceError, match=r"could not fetch nodes\.csv"):
        fetch("openb", folder=tmp_path / "file", base_url=server.url, attempts=1)


def test_a_fetch_needs_at_least_one_attempt(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="attempts is 0"):
        fetch("openb", folder=tmp_path, attempts=0)


def test_a_generated_trace_has_nothing_to_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with pytest.raises(TraceError, match="'openb-like' is generated, there is nothing to fetch"):
        fetch("openb-like")


def test_an_unknown_trace_is_not_fetched() -> None:
    with pytest.raises(TraceError, match=r"unknown trace 'opnb'; did you mean 'openb'\?"):
        fetch("opnb")
