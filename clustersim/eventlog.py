"""What happened, in order: append-only columns that become a DataFrame on demand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd


class EventLog:
    """When, what, to which subject, where, and one number that the kind explains.

    Kinds are interned by the scenario that writes them: it passes the tuple of names once and logs indices.
    """

    def __init__(self, kinds: tuple[str, ...]) -> None:
        self.kinds = kinds
        # One flat list, five numbers an event: extending it costs 0.1 us, appending to five columns 0.4 us.
        self._flat: list[float] = []
        self._parts: list[list[float] | NDArray[np.float64]] = []

    def __len__(self) -> int:
        return (sum(map(np.size, self._parts)) + len(self._flat)) // 5

    def add(self, time_s: float, kind: int, subject: int, place: int = -1, value: int = 0) -> None:
        self._flat += (time_s, kind, subject, place, value)

    def extend(self, rows: NDArray[np.float64]) -> None:
        """Many events at once, shape (E, 5): time_s, kind, subject, place, value; the array may be used again."""
        self._parts += (self._flat, rows.ravel().copy())
        self._flat = []

    def columns(self) -> tuple[NDArray[np.float64], ...]:
        """time_s, kind (index), subject, place (-1: nowhere) and value, as floats of equal length."""
        parts = [np.array(part, dtype=np.float64) for part in (*self._parts, self._flat)]
        return tuple(np.concatenate(parts).reshape(-1, 5).T)

    def to_frame(self) -> pd.DataFrame:
        """Columns time_s, kind (categorical), subject, place (-1: nowhere), value."""
        import pandas as pd  # only here: a simulation must not need pandas

        time_s, kind, subject, place, value = self.columns()
        return pd.DataFrame(
            {
                "time_s": time_s,
                "kind": pd.Categorical.from_codes(kind.astype(np.int8), categories=pd.Index(self.kinds)),
                "subject": subject.astype(np.int64),
                "place": place.astype(np.int64),
                "value": value.astype(np.int64),
            }
        )

    def lines(self) -> list[str]:
        """One readable line per event, for golden transcripts."""
        return [
            f"t={t:.3f} {self.kinds[int(k)]} subject={s:.0f} place={p:.0f} value={v:.0f}"
            for t, k, s, p, v in zip(*self.columns(), strict=True)
        ]
