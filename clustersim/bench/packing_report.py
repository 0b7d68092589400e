"""The packing benchmark as a page: the paper's table with ours beside it, and the outcomes as stacked shares."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from clustersim.bench.outcome_charts import outcome_figure
from clustersim.bench.packing_table import cell_columns, notes, outcome_columns, player_columns, window_heading
from clustersim.bench.page import facts, html_table, note, page, plot


def packing_html(summary: dict[str, Any], command_line: str, written: datetime) -> str:
    """The page of a summary."""
    config = summary["config"]
    texts = {
        "scenario": summary["scenario"],
        "instances": f"{summary['trace']}: {len(summary['seeds'])}, of {summary['seeds_per_cell']} seeds per cell",
        "policies": ", ".join(summary["policies"]),
        "reference": summary["reference"],
        "clustersim": summary["clustersim"],
        "written": written.strftime("%Y-%m-%d %H:%M %Z").strip(),
    }
    body = [
        facts(texts, command_line, [f"{key} = {json.dumps(value)}" for key, value in config.items()]),
        "<h2>Outcomes</h2>",
        plot(outcome_figure(summary["totals"]), 0),
    ]
    for block in summary["totals"]:
        body += [f"<h3>{window_heading(block['window_s'])}</h3>", html_table(outcome_columns(block))]
    for name, heading in (("improved", "Improved"), ("certified", "Certified")):
        columns = cell_columns(summary, name)
        if columns:
            body += [f"<h3>{heading}, per cell that the paper tells</h3>", html_table(columns)]
    body += ["<h2>Players</h2>", html_table(player_columns(summary)), *map(note, notes(summary))]
    return page(f"{summary['scenario']} on {summary['trace']}", body)
