"""The files of a whole benchmark, above all the page."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import clustersim
from clustersim.bench import Experiment, MetricInfo, Progress, RunResult, Series, run_benchmark
from clustersim.bench.charts import quartiles_on_common_grid
from clustersim.bench.palette import COLOURS, looks
from clustersim.errors import ConfigError

SCORE = MetricInfo("score", "GPU allocation", "", "higher", main=True, percent=True)
JCT = MetricInfo("jct_s", "mean JCT", "s", "lower", main=True)
NASTY = "runs/<b>&</script><script>alert(1)"
POLICIES = ("first-fit", "best-fit", "runs/ppo-3", NASTY)


def play(policy: str, seed: int) -> RunResult:
    rng = np.random.default_rng([seed, len(policy)])
    line = Series(np.arange(5.0) + seed, rng.random(5), "time [s]", "pods <waiting>")
    metrics = {"score": 0.9 + 0.01 * rng.random(), "jct_s": 100.0 + rng.random(), "p99_s": float("nan")}
    if policy == "first-fit":
        del metrics["jct_s"]
    return RunResult(metrics, {"pods_waiting": line}, decisions=3, wall_s=0.1)


def benchmark(
    out: Path, policies: tuple[str, ...] = POLICIES, seeds: tuple[int, ...] = (0, 1, 2)
) -> tuple[dict[str, Any], str]:
    """The summary and what was printed."""
    experiment = Experiment("pod-placement", "openb", {"gpu_share": 0.5}, policies, seeds, play)
    stream = io.StringIO()
    command = "clustersim bench pod-placement --note '<i>'"
    result = run_benchmark(experiment, out, 1, policies[0], [SCORE, JCT], command, Console(file=stream), Progress())
    return result, stream.getvalue()


class Page(HTMLParser):
    """The tags, attributes and visible text of a page."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._inside: str | None = None
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._inside = None

    def handle_data(self, data: str) -> None:
        if self._inside is None:
            self.text += data


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench") / "results"
    benchmark(folder)
    return folder


@pytest.fixture(scope="module")
def source(out: Path) -> str:
    return (out / "report.html").read_text(encoding="utf-8")


def test_a_benchmark_leaves_exactly_the_promised_files(out: Path) -> None:
    names = [".runs", "experiment.json", "report.html", "runs.parquet", "series.parquet", "summary.json"]
    assert sorted(path.name for path in out.iterdir()) == names
    assert len(list((out / ".runs").iterdir())) == 4 * 3


def test_the_summary_file_is_strict_json_and_what_is_returned(tmp_path: Path) -> None:
    result, _ = benchmark(tmp_path / "out", seeds=(0,))

    def refuse(token: str) -> None:
        pytest.fail(f"{token} is no JSON")

    assert json.loads((tmp_path / "out" / "summary.json").read_text(), parse_constant=refuse) == result
    assert result["policies"]["best-fit"]["score"]["ci95"] == [None, None]
    assert "p99_s" not in result["policies"]["best-fit"]


def test_the_output_ends_with_where_the_report_is(tmp_path: Path) -> None:
    _, text = benchmark(tmp_path / ("a-folder-with-a-long-name-" * 5) / "out")
    assert text.splitlines()[-1].endswith("-/out/report.html")


def test_the_page_loads_nothing_from_anywhere(source: str) -> None:
    page = Page(source)
    loading = [(tag, attributes) for tag, attributes in page.tags if {"src", "href"} & set(attributes)]
    assert loading == []
    assert "@import" not in source[: source.index("</style>")]
    assert "url(" not in source[: source.index("</style>")]


def test_the_page_holds_the_plotting_code_once(source: str) -> None:
    assert source.count("plotly.js v") == 1
    assert len(source) < 8_000_000
    assert len(re.findall(r"Plotly\.newPlot\(", source)) >= 3


def test_names_cannot_break_out_of_the_page(source: str) -> None:
    assert "<script>alert(1)" not in source
    assert "<b>" not in source[: source.index("<script")]


def test_the_page_says_what_was_run(source: str) -> None:
    text = Page(source).text
    for part in (
        *POLICIES,
        "pod-placement on openb",
        "gpu_share = 0.5",
        "3: 0, 1, 2",
        "--note '<i>'",
        clustersim.__version__,
    ):
        assert part in text
    assert re.search(r"written\d{4}-\d\d-\d\d \d\d:\d\d", text)


def test_the_page_shows_means_and_paired_differences_with_intervals(source: str) -> None:
    text = Page(source).text
    assert re.search(r"9\d\.\d+ ± 0\.\d+", text)
    assert re.search(r"[+-]\d\.\d+ \[[+-]\d\.\d+, [+-]\d\.\d+\]", text)
    assert "minus first-fit [points]" in text


def test_there_is_a_chart_per_main_metric_and_per_series_with_units(source: str) -> None:
    assert re.findall(r'<div id="(figure-\d)"', source) == ["figure-0", "figure-1", "figure-2"]
    for label in ("GPU allocation [%], higher is better", "mean JCT [s], lower is better", "time [s]", "(n=3)"):
        assert label in source


def test_a_single_policy_with_a_single_seed_makes_a_page_too(tmp_path: Path) -> None:
    benchmark(tmp_path, policies=("best-fit",), seeds=(0,))
    assert "One seed gives no confidence intervals" in (tmp_path / "report.html").read_text()


def test_an_unknown_reference_is_refused_before_anything_is_run(tmp_path: Path) -> None:
    experiment = Experiment("pod-placement", "openb", {}, ("a",), (0,), play)
    with pytest.raises(ConfigError, match="reference policy 'b'"):
        run_benchmark(experiment, tmp_path / "out", 1, "b", [SCORE], "", Console(file=io.StringIO()), Progress())
    assert not (tmp_path / "out").exists()


def test_a_policy_keeps_its_look_whatever_the_order() -> None:
    assert looks(["b", "a", "c"]) == looks(["c", "b", "a"])
    assert looks(["b", "a"])["a"].colour == COLOURS[0]


def test_forty_policies_look_different() -> None:
    assert len(set(looks(str(index) for index in range(40)).values())) == 40


def test_quartiles_are_taken_where_all_lines_are_defined() -> None:
    lines = [(np.array([0.0, 4.0]), np.array([0.0, 4.0]) + shift) for shift in (0.0, 1.0, 2.0)]
    lines.append((np.array([1.0, 3.0]), np.array([4.0, 6.0])))
    grid, quartiles = quartiles_on_common_grid(lines)
    assert (grid[0], grid[-1]) == (1.0, 3.0)
    np.testing.assert_allclose(quartiles[:, 0], np.percentile([1.0, 2.0, 3.0, 4.0], [25, 50, 75]))
    np.testing.assert_allclose(quartiles[1] - grid, 1.5)


def test_lines_without_a_common_x_have_no_median() -> None:
    grid, quartiles = quartiles_on_common_grid([(np.zeros(1), np.zeros(1)), (np.ones(1), np.ones(1))])
    assert len(grid) == 0
    assert quartiles.shape == (3, 0)
