"""Units and number formats: the few formulas that every table and figure shares."""

from __future__ import annotations

import math

SECONDS_PER_DAY = 86_400.0
MINUTES_PER_TWO_DAYS = 2 * 24 * 60


def core_days(cores: float, seconds: float) -> float:
    """Cores x wall time in days, the paper's unit of pre-training cost.

    >>> round(core_days(128, (2 * 60 + 11) * 60), 1)   # Mixer-B/16 on 128 TPUv3 cores
    11.6
    """
    return cores * seconds / SECONDS_PER_DAY


def img_per_sec_per_core(images: float, seconds: float, cores: float) -> float:
    """Images per second per core.

    >>> img_per_sec_per_core(images=640, seconds=2.0, cores=2)
    160.0
    """
    return images / seconds / cores


def core_days_at(images: float, img_per_sec_core: float) -> float:
    """Core-days that training on so many images costs at a rate.

    >>> round(core_days_at(7 * 303e6, 307))   # Mixer-B/16 on JFT-300M, TPUv3: 80
    80
    """
    return images / img_per_sec_core / SECONDS_PER_DAY


def implied_rate(images: float, core_days: float) -> float:
    """Training images per second per core behind a printed cost.

    >>> round(implied_rate(14 * 303e6, 2300), 1)   # ViT-H/14 on JFT-300M
    21.3
    """
    return images / core_days / SECONDS_PER_DAY


def training_flop(macs: float, images: float) -> float:
    """FLOP of training: two for each MAC, and the backward pass costs twice a forward.

    >>> round(training_flop(17.564e9, 7 * 303e6) / 1e18, 1)   # ViT-B/16, exaFLOP
    223.5
    """
    return 3 * 2 * macs * images


def significant(value: float, digits: int = 3) -> str:
    """`value` with at least `digits` significant digits, whole numbers left whole.

    >>> significant(1384.2), significant(0.012345), significant(12.0, 2)
    ('1,384', '0.0123', '12')
    """
    if not math.isfinite(value):
        return "—"
    if value == 0:
        return "0"
    exponent = int(f"{value:.{digits - 1}e}".partition("e")[2])  # after rounding
    return f"{value:,.{max(digits - 1 - exponent, 0)}f}"


def decimals_for(halfwidth: float) -> int:
    """Decimals that show an uncertainty with two digits, and no more than that.

    >>> decimals_for(2.2), decimals_for(0.034), decimals_for(220.0)
    (1, 3, 0)
    """
    if not halfwidth > 0:
        return 0
    return max(0, 1 - math.floor(math.log10(halfwidth)))


def within(value: float, halfwidth: float) -> str:
    """`value` to the second digit of its uncertainty, before the point or after it.

    >>> within(43_954.0, 3_455.0), within(12.345, 0.034), within(7.0, 0.0)
    ('44,000', '12.345', '7.00')
    >>> within(3.0, 300.0), within(600.0, 300.0)
    ('3', '600')
    """
    if not halfwidth > 0:
        return significant(value)
    digits = 1 - math.floor(math.log10(halfwidth))
    if value:  # its own first digit stays, however wide the interval
        digits = max(digits, -math.floor(math.log10(abs(value))))
    return f"{round(value, digits):,.{max(0, digits)}f}"


def half_unit(printed: str) -> float:
    """Half a unit of the last printed digit: what rounding may have taken away.

    >>> half_unit("84.15"), half_unit("1384")
    (0.005, 0.5)
    """
    return 0.5 * 10.0 ** -len(printed.partition(".")[2])


def percent(fraction: float, decimals: int = 1) -> str:
    """A fraction as a percentage without its sign.

    >>> percent(0.8432)
    '84.3'
    """
    return "—" if not math.isfinite(fraction) else f"{100 * fraction:.{decimals}f}"


def duration(seconds: float) -> str:
    """Seconds as a person would say them.

    >>> duration(0.0042), duration(0.113), duration(95), duration(7_500)
    ('4.2 ms', '113 ms', '1 min 35 s', '2 h 5 min')
    >>> duration(59.7), duration(3 * 86_400), duration(3231.07 * 86_400)
    ('1 min', '3 days', '3,231 days')
    """
    if seconds < 1:
        return f"{significant(1000 * seconds, 2)} ms"
    if seconds < 59.5:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    if minutes >= MINUTES_PER_TWO_DAYS:
        days = minutes / 1440
        return f"{days:.2g} days" if days < 10 else f"{days:,.0f} days"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
