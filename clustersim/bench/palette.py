"""One fixed look per policy, the same in every figure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# Okabe and Ito (2008) without its yellow, which vanishes on white, then three hues of Tol's "muted" scheme.
COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
    "#882255",
    "#999933",
    "#44AA99",
)
DASHES = ("solid", "dash", "dot", "dashdot")
SYMBOLS = ("circle", "square", "diamond", "triangle-up")


@dataclass(frozen=True)
class Look:
    """Colour first; dash and symbol tell policies apart once all colours are used."""

    colour: str
    dash: str
    symbol: str

    def translucent(self, opacity: float) -> str:
        red, green, blue = (int(self.colour[at : at + 2], 16) for at in (1, 3, 5))
        return f"rgba({red},{green},{blue},{opacity})"


def looks(policies: Iterable[str]) -> dict[str, Look]:
    """By the alphabetical place of the policy, so that neither rank nor order of the command line matters."""
    return {
        policy: Look(
            COLOURS[index % len(COLOURS)],
            DASHES[index // len(COLOURS) % len(DASHES)],
            SYMBOLS[index // len(COLOURS) % len(SYMBOLS)],
        )
        for index, policy in enumerate(sorted(policies))
    }
