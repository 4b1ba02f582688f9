"""Times as apps write them: numbers in any unit, dates with and without a zone, wall clock times, and Excel's days."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

import numpy as np

TIME_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "days": 86400.0}
SLOWEST_HZ, FASTEST_HZ = 4.0, 2000.0  # of any sensor that is worn; between them lies less than the factor between two units
EXCEL_DAYS = (20_000.0, 80_000.0)  # days since 1900 from 1954 to 2119
DAY_S = 86400.0

DATE = re.compile(
    r"(?:(?:(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})|(?P<a>\d{1,2})[-/.](?P<b>\d{1,2})[-/.](?P<y>\d{4}))[T ,;]+)?"
    r"(?P<hour>\d{1,2})(?P<between>[:-])(?P<minute>\d{2})(?P=between)(?P<second>\d{2})(?:[.,:_](?P<fraction>\d{1,9}))?"
    r"\s*(?P<half>[AaPp]\.?[Mm]\.?)?\s*(?P<zone>Z|UTC|GMT|[+-]\d{2}:?\d{2})?(?:\s*\[[\w/+-]+\])?"
)


class DateReader:
    """Seconds of dates and times that are written in one way.

    Args:
        day_first: whether 3/4/2020 is the third of April; None: told from the first day above 12, or from the second date, which is
            the day after the first or as near to it as one order allows.
    """

    def __init__(self, day_first: bool | None = None) -> None:
        self.day_first = day_first
        self._days: dict[tuple[str | None, ...], float] = {}
        self._form: tuple[bool, ...] | None = None  # of the first text: whether it has a date, AM or PM, and a zone
        self._undecided: tuple[float, float] | None = None  # the first date in both orders
        self._last_s: float | None = None  # time of the day without a date; the next one is the nearest to it, so that midnight is no step

    def seconds(self, texts: Sequence[str]) -> np.ndarray:
        """(time,) s since 1970, in UTC where a zone is named; NaN where a text is no time, or is written in another way than the first."""
        return np.array([self._second(text) for text in texts])

    def _second(self, text: str) -> float:
        found = DATE.fullmatch(text.strip().strip('"'))
        if found is None:
            return np.nan
        form = bool(found["year"] or found["y"]), bool(found["half"]), bool(found["zone"])
        self._form = self._form or form
        if form != self._form:
            return np.nan
        hour, minute, second = int(found["hour"]), int(found["minute"]), int(found["second"])
        if found["half"]:
            hour = hour % 12 + 12 * found["half"].lower().startswith("p")
        if hour > 23 or minute > 59 or second > 60:
            return np.nan
        date = found["year"], found["month"], found["day"], found["a"], found["b"], found["y"], found["zone"]
        if date not in self._days:
            self._days[date] = self._day(*date)
        fraction = float(f"0.{found['fraction']}") if found["fraction"] else 0.0
        time_s = self._days[date] + 3600.0 * hour + 60.0 * minute + second + fraction
        if form[0]:
            return time_s
        days = 0 if self._last_s is None else round((self._last_s - time_s) / DAY_S)
        self._last_s = time_s + days * DAY_S
        return self._last_s

    def _day(self, *date: str | None) -> float:
        year, month, day, first, second, last, zone = date
        if last is None:
            return 0.0 if year is None else _timestamp(year, month, day, zone)
        month_first, day_first = _timestamp(last, first, second, zone), _timestamp(last, second, first, zone)
        if self.day_first is None and not (np.isfinite(month_first) and np.isfinite(day_first)):
            self.day_first = not np.isfinite(month_first)
        if self.day_first is None and self._undecided is not None and month_first != day_first:
            self.day_first = abs(day_first - self._undecided[1]) < abs(month_first - self._undecided[0])
        if self._undecided is None:
            self._undecided = month_first, day_first
        start = self._undecided[0] - self._undecided[1] if self.day_first and np.isfinite(self._undecided[0]) else 0.0
        return day_first + start if self.day_first else month_first  # from where the first date was taken to be


def _timestamp(year: str | None, month: str | None, day: str | None, zone: str | None) -> float:
    """Seconds from 1970 to the begin of a day; NaN where there is no such day or zone."""
    offset = UTC
    try:
        if zone and zone[0] in "+-":
            shift = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
            offset = timezone(-shift if zone[0] == "-" else shift)
        return datetime(int(year or 0), int(month or 0), int(day or 0), tzinfo=offset).timestamp()
    except (ValueError, OverflowError):
        return np.nan


def tell_unit(numbers: np.ndarray) -> str | None:
    """The unit of (time,) times that are some milliseconds apart; None where no unit gives a rate of a worn sensor, or they count rows."""
    step = np.diff(numbers[np.isfinite(numbers)])
    step = step[step > 0]
    if not len(step) or (np.abs(step - 1.0) < 1e-9).all():
        return None
    mean = float(np.median(step)) if np.median(step) > 0.2 * step.mean() else float(step.mean())
    if EXCEL_DAYS[0] <= float(np.nanmedian(numbers)) <= EXCEL_DAYS[1] and 1 / FASTEST_HZ <= mean * DAY_S <= 1 / SLOWEST_HZ:
        return "days"
    fitting = [unit for unit in ("s", "ms", "us", "ns") if 1 / FASTEST_HZ <= mean * TIME_UNITS[unit] <= 1 / SLOWEST_HZ]
    return fitting[0] if len(fitting) == 1 else None
