"""The numbers that VM benchmarks vary, how they are told, and what others report over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clustersim.baselines.published_vm import FRAGMENT_RATE_BY_DELAY, FRAGMENT_RATE_BY_MNL

Curve = Sequence[tuple[float, float]]
"""(value, fragment rate)"""


@dataclass(frozen=True)
class Axis:
    """A number that is varied."""

    label: str
    short: str
    """The label where there is less room."""
    unit: str
    even: bool
    """Whether a chart puts the values at equal distances, because they span decades and 0."""
    published: Mapping[str, Curve]
    """By what it is called."""
    about_published: str

    @property
    def title(self) -> str:
        return f"{self.label} [{self.unit}]" if self.unit else self.label

    def at(self, value: float) -> str:
        return f"{self.short} {value:g} {self.unit}".strip()

    def places(self, values: Sequence[float]) -> dict[float, float]:
        """Where a chart puts these values."""
        return {value: float(place) if self.even else value for place, value in enumerate(values)}

    def curves(self, values: Sequence[float]) -> dict[str, list[tuple[float, float]]]:
        """The published curves as (place, fragment rate), the one that ends lowest first; empty ones are left away."""
        place = self.places(values)
        found = {
            called: [(place.get(x, x), rate) for x, rate in curve if x in place or not self.even]
            for called, curve in self.published.items()
        }
        return dict(sorted(((c, points) for c, points in found.items() if points), key=lambda each: each[1][-1][1]))


AXES = {
    "mnl": Axis(
        "migration number limit",
        "MNL",
        "",
        even=False,
        published=FRAGMENT_RATE_BY_MNL,
        about_published="Dotted: what VMR2L (arXiv 2505.17359) reports, read off its figure (± .2 points), of other "
        "fleets, which are not public and begin at 55.5 %; GA is called ha here.",
    ),
    "delay_s": Axis(
        "delay from call to plan",
        "delay",
        "s",
        even=True,
        published={"VMR2L": FRAGMENT_RATE_BY_DELAY},
        about_published="What no-op has at a delay is the rate without a plan at the same moment. Dotted: what VMR2L "
        "(arXiv 2505.17359) reports, read off its figure (± .5 points), of another fleet, which is not public and "
        "begins at 52.2 %.",
    ),
}
"""By the name that it has in summary.json."""
