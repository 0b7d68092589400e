"""How a metric is named, measured and judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class MetricInfo:
    """Tells tables and charts how to show the metric `name` of a run.

    `main` metrics get a paired comparison and a chart; the first of them ranks the policies. `percent` metrics are
    shares from 0 to 1 that are shown times 100.
    """

    name: str
    label: str
    unit: str
    better: Literal["higher", "lower"]
    main: bool = False
    percent: bool = False

    @property
    def factor(self) -> float:
        """From the stored value to the shown one."""
        return 100.0 if self.percent else 1.0

    @property
    def shown_unit(self) -> str:
        return "%" if self.percent else self.unit

    @property
    def axis_label(self) -> str:
        return f"{self.label} [{self.shown_unit}]" if self.shown_unit else self.label


DECISIONS_PER_S = MetricInfo("decisions_per_s", "decisions/s", "", better="higher")
