"""Pictures of a cluster: how full each node is, as text or as pixels. No plotting library is needed."""

from __future__ import annotations

from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray

LEVELS = "·.:-=+*#%@"
EMPTY_RGB = np.array([222, 233, 243])
FULL_RGB = np.array([8, 64, 129])
NOTHING_RGB = np.array([205, 205, 205])


def text_map(fill: NDArray[np.float64], columns: int = 64) -> str:
    """One character per node, from `·` (idle) to `@` (full); `o` for a node without GPU. `fill` is (N,) in 0..1."""
    cells = ["o" if np.isnan(f) else LEVELS[round(f * (len(LEVELS) - 1))] for f in fill]
    return "\n".join("".join(cells[start : start + columns]) for start in range(0, len(cells), columns))


def heat_map(fill: NDArray[np.float64], cell_px: int = 12) -> NDArray[np.uint8]:
    """One square per node, (height, width, 3) uint8: pale when idle, dark blue when full, grey without GPU."""
    columns = ceil(sqrt(len(fill)))
    rows = ceil(len(fill) / columns)
    cells = np.full((rows * columns, 3), 255.0)
    share = np.nan_to_num(fill)[:, None]
    cells[: len(fill)] = np.where(np.isnan(fill)[:, None], NOTHING_RGB, EMPTY_RGB + (FULL_RGB - EMPTY_RGB) * share)
    pixels = cells.reshape(rows, columns, 3).repeat(cell_px, axis=0).repeat(cell_px, axis=1).round().astype(np.uint8)
    pixels[::cell_px] = 255
    pixels[:, ::cell_px] = 255
    return pixels
