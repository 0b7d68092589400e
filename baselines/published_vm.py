"""What "VMR2L" reports on VM rescheduling, to stand beside ours: fragment rates by number of migrations and by delay.

Source: Ding et al., EuroSys'25, arXiv 2505.17359. All values are read off figures (error .002 for migrations, .005 for
delays) and belong to data sets that are not public, so that only shapes and differences can be compared.
"""

from __future__ import annotations

FRAGMENT_RATE_BY_MNL: dict[str, tuple[tuple[int, float], ...]] = {
    "MIP": ((20, 0.417), (25, 0.387), (30, 0.361), (35, 0.339), (40, 0.322), (45, 0.304), (50, 0.287)),
    "VMR2L": ((20, 0.421), (25, 0.393), (30, 0.370), (35, 0.350), (40, 0.330), (45, 0.314), (50, 0.295)),
    "GA": ((20, 0.420), (25, 0.399), (30, 0.391), (35, 0.388), (40, 0.387), (45, 0.387), (50, 0.387)),
    "MCTS": ((30, 0.389), (35, 0.381), (40, 0.378), (45, 0.378), (50, 0.378)),
    "NeuPlan": ((25, 0.408), (30, 0.397), (35, 0.385), (40, 0.372), (45, 0.365), (50, 0.359)),
    "alpha-VBPP": ((20, 0.469), (25, 0.455), (30, 0.423), (35, 0.414), (40, 0.395), (45, 0.392), (50, 0.388)),
    "POP": ((20, 0.468), (25, 0.468), (30, 0.468), (35, 0.399), (40, 0.399), (45, 0.399), (50, 0.345)),
    "Decima": ((20, 0.488), (25, 0.480), (30, 0.470), (35, 0.465), (40, 0.457), (45, 0.453), (50, 0.449)),
}
"""Method -> (migration number limit, fragment rate), 280 machines under high load, from .555. GA is our `ha`."""

FRAGMENT_RATE_BY_DELAY = (
    (0.0, 0.316),
    (1.0, 0.316),
    (2.0, 0.316),
    (5.0, 0.316),
    (7.0, 0.324),
    (20.0, 0.330),
    (60.0, 0.363),
    (300.0, 0.475),
    (600.0, 0.520),
)
"""(seconds that the solver takes, fragment rate) when the plan is carried out on a fleet that has lived on, from .522.

.316 holds for every delay up to 5 s, about .52 from 600 s on.
"""
