"""The service classes of openb and the priority we give them; the trace itself has no priorities."""

from __future__ import annotations

PRIORITY = {"LS": 2, "Guaranteed": 2, "Burstable": 1, "BE": 0}
