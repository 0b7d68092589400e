"""Results that others have published, to compare ours with: so far those of FGD (Weng et al., USENIX ATC 2023)."""

from __future__ import annotations

FGD_POLICIES = ("random", "dot-product", "gpu-clustering", "gpu-packing", "best-fit", "fgd")

FGD_ALLOCATION_AT_100 = {
    "default": ((86.30, 0.31), (90.62, 0.18), (91.65, 0.58), (91.78, 0.50), (92.86, 0.14), (95.23, 0.10)),
    "cpu250": ((80.00, 0.31), (83.57, 0.43), (87.75, 0.58), (88.05, 0.64), (91.21, 0.24), (93.20, 0.27)),
    "gpushare100": ((78.90, 0.15), (81.98, 0.28), (82.22, 0.48), (82.13, 0.48), (84.62, 0.21), (86.64, 0.15)),
    "multigpu50": ((81.28, 0.79), (94.73, 0.19), (95.69, 0.27), (96.06, 0.29), (95.62, 0.17), (97.09, 0.10)),
    "gpuspec33": ((83.87, 0.25), (79.82, 0.24), (81.09, 0.21), (82.22, 0.37), (80.39, 0.26), (87.84, 0.17)),
}
"""Percent of the GPUs allocated at 100 % arrived demand: mean and population sd over seeds 42-51, per openb pod list.

Computed from the expected results that the authors keep with their simulator.
"""

FGD_ALLOCATION_AT_130 = ((87.47, 0.30), (90.85, 0.19), (91.88, 0.59), (92.00, 0.52), (93.08, 0.13), (95.39, 0.08))
"""The same at 130 %, default list."""

FGD_FRAGMENTATION_AT_100 = ((13.49, 0.30), (9.30, 0.19), (8.21, 0.58), (8.13, 0.51), (7.05, 0.14), (4.73, 0.11))
"""Fragmented GPUs in percent of all GPUs at 100 % arrived demand, default list."""
