"""Energy, carbon, water and cost of a site: exact integrals of power and of hourly conditions."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from clustersim.errors import ConfigError

Floats = NDArray[np.float64]

HOUR_S = 3600.0
J_PER_KWH = 3.6e6
WUE_FLOOR_L_KWH = 0.05
"""Below about 27 F of wet-bulb temperature the formula turns negative; a tower goes on losing a little."""


def cooling_water_l_kwh(wet_bulb_c: Floats, cycles: float = 6.0) -> Floats:
    """Water that cooling towers evaporate and blow down per kWh of IT energy, at a wet-bulb temperature.

    `cycles`: of concentration, how often water goes round before it is replaced. It is a worst case: operators report
    .2 to 1.9 l/kWh [R], so scale it. Source: Ren et al., "Making AI Less Thirsty" (arXiv 2304.03271), its code [V].
    """
    if not cycles > 1:
        raise ConfigError(f"cycles of concentration is {cycles}; it has to be above 1")
    f = np.asarray(wet_bulb_c, dtype=np.float64) * 1.8 + 32
    litres = cycles / (cycles - 1) * (6e-5 * f**3 - 0.01 * f**2 + 0.61 * f - 10.4)
    return np.maximum(litres, WUE_FLOOR_L_KWH)


@dataclass(frozen=True, slots=True, eq=False)
class SiteSeries:
    """Conditions at a site, each constant over steps of `step_s`, (K,) each; after the last step they start over.

    `carbon_g_kwh`: of the grid. `price_usd_mwh`: may be negative. `wet_bulb_c`: of the air outside. `ewif_l_kwh`: water
    that power stations use per kWh.
    """

    step_s: float
    carbon_g_kwh: Floats
    price_usd_mwh: Floats
    wet_bulb_c: Floats
    ewif_l_kwh: Floats

    def __post_init__(self) -> None:
        if not 0 < self.step_s < inf:
            raise ConfigError(f"step_s is {self.step_s}; it has to be positive and finite")
        steps = {name: len(getattr(self, name)) for name in _CONDITIONS}
        if min(steps.values()) < 1 or len(set(steps.values())) > 1:
            counts = ", ".join(f"{name} {count}" for name, count in steps.items())
            raise ConfigError(f"every condition of a site has as many steps; got {counts}")
        for name in _CONDITIONS:
            values = getattr(self, name)
            bad = np.flatnonzero(~np.isfinite(values) | ((values < 0) if name in _NOT_NEGATIVE else False))
            if len(bad):
                rule = "finite and at least 0" if name in _NOT_NEGATIVE else "finite"
                raise ConfigError(f"{name} of step {bad[0]} is {values[bad[0]]}; it has to be {rule}")

    def __len__(self) -> int:
        return len(self.carbon_g_kwh)


_CONDITIONS = ("carbon_g_kwh", "price_usd_mwh", "wet_bulb_c", "ewif_l_kwh")
_NOT_NEGATIVE = ("carbon_g_kwh", "ewif_l_kwh")


def constant_site(
    carbon_g_kwh: float = 475.0, price_usd_mwh: float = 0.0, wet_bulb_c: float = 15.0, ewif_l_kwh: float = 0.0
) -> SiteSeries:
    """A site where nothing changes. 475 g/kWh is the global mean that CodeCarbon uses [V]."""
    return SiteSeries(HOUR_S, *(np.array([x]) for x in (carbon_g_kwh, price_usd_mwh, wet_bulb_c, ewif_l_kwh)))


@dataclass(frozen=True, slots=True)
class SiteConfig:
    """What a site adds to what its servers draw."""

    pue: float = 1.12
    """Energy of the facility over that of its servers; 1.09 to 1.12 in the largest ones [V mlco2/impact]."""
    cycles: float = 6.0
    """Cycles of concentration of the cooling towers."""
    water_scale: float = 1.0
    """On the water of the cooling towers; .1 to .4 is what operators report against the formula [R]."""
    fixed_water_l_kwh: float | None = None
    """Instead of the formula."""
    start_s: float = 0.0
    """Where in the series the simulation starts."""

    def __post_init__(self) -> None:
        if not 1 <= self.pue < inf:
            raise ConfigError(f"pue is {self.pue}; it has to be at least 1")
        if not 0 <= self.water_scale < inf:
            raise ConfigError(f"water_scale is {self.water_scale}; it has to be at least 0")
        if self.fixed_water_l_kwh is not None and not 0 <= self.fixed_water_l_kwh < inf:
            raise ConfigError(f"fixed_water_l_kwh is {self.fixed_water_l_kwh}; it has to be at least 0")
        if not 0 <= self.start_s < inf:
            raise ConfigError(f"start_s is {self.start_s}; it has to be at least 0")


class Meter:
    """What power draws, emits, evaporates and costs, exactly: power is constant between calls, conditions by step.

    With P the power of the servers: carbon = PUE P CI, water = P (WUE + PUE EWIF), cost = PUE P price, all integrated.
    Every amount is that up to the last `set_power` or `advance`.
    """

    __slots__ = (
        "_j_in_step",
        "_origin_s",
        "_per_j",
        "_since_s",
        "_step",
        "_step_end_s",
        "_step_s",
        "_totals",
        "_watts",
    )

    def __init__(self, now_s: float, series: SiteSeries, config: SiteConfig = SiteConfig()) -> None:
        pue = config.pue
        if config.fixed_water_l_kwh is None:
            on_site_l_kwh = config.water_scale * cooling_water_l_kwh(series.wet_bulb_c, config.cycles)
        else:
            on_site_l_kwh = np.full(len(series), config.fixed_water_l_kwh)
        per_kwh = (
            np.ones(len(series)),
            pue * series.carbon_g_kwh,
            on_site_l_kwh + pue * series.ewif_l_kwh,
            pue * series.price_usd_mwh / 1000,
        )
        self._per_j = np.column_stack(per_kwh) / J_PER_KWH  # (K, 4): kWh, g, l, USD
        self._totals = np.zeros(4)
        self._step_s = series.step_s
        self._origin_s = now_s - config.start_s
        self._step = int(config.start_s // series.step_s)
        self._step_end_s = self._origin_s + (self._step + 1) * series.step_s
        self._j_in_step = 0.0
        self._watts = 0.0
        self._since_s = now_s

    def set_power(self, now_s: float, watts: float) -> None:
        """The servers draw `watts` from now on."""
        if not 0 <= watts < inf:
            raise ConfigError(f"a meter was told {watts} W; power is at least 0 and finite")
        self.advance(now_s)
        self._watts = watts

    def advance(self, now_s: float) -> None:
        """Count what was drawn until now."""
        if now_s < self._since_s:
            raise ConfigError(f"a meter was read at {self._since_s} s and cannot go back to {now_s} s")
        while now_s >= self._step_end_s:
            self._j_in_step += self._watts * (self._step_end_s - self._since_s)
            self._totals = self._so_far()
            self._j_in_step = 0.0
            self._since_s = self._step_end_s
            self._step += 1
            self._step_end_s = self._origin_s + (self._step + 1) * self._step_s
        self._j_in_step += self._watts * (now_s - self._since_s)
        self._since_s = now_s

    @property
    def energy_kwh(self) -> float:
        """Of the servers; the facility draws PUE times as much."""
        return float(self._so_far()[0])

    @property
    def carbon_g(self) -> float:
        return float(self._so_far()[1])

    @property
    def water_l(self) -> float:
        return float(self._so_far()[2])

    @property
    def cost_usd(self) -> float:
        return float(self._so_far()[3])

    def _so_far(self) -> Floats:
        totals: Floats = self._totals + self._j_in_step * self._per_j[self._step % len(self._per_j)]
        return totals
