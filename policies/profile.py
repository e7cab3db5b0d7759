"""How spending is meant to be spread over time: evenly, or by weights for the hours of a week. Integrates exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from policies.errors import CatalogError

HOUR = 3600.0
WEEK_HOURS = 168
WEEK = WEEK_HOURS * HOUR
# The epoch was a Thursday: three days after the Monday at which the week begins here.
EPOCH_IN_WEEK = 72 * HOUR


@dataclass(frozen=True, slots=True)
class Profile:
    """Relative spend per hour of the week.

    Attributes:
        hours: 168 weights from Monday 00:00, each >= 0 and their sum above 0; or empty for an even spread.
        utc_offset_s: what is added to UTC to read the hour, seconds.
        before: `before[i]` is the sum of the first i weights.
    """

    hours: tuple[float, ...] = ()
    utc_offset_s: float = 0.0
    before: tuple[float, ...] = ()

    def weight(self, since_s: float, until_s: float) -> float:
        """The integral of the weights between two instants (seconds since the epoch, the later one last)."""
        if not self.hours:
            return until_s - since_s
        return self._until(until_s) - self._until(since_s)

    def _until(self, at_s: float) -> float:
        weeks, rest = divmod(at_s + self.utc_offset_s + EPOCH_IN_WEEK, WEEK)
        hour = int(rest // HOUR)
        return HOUR * (weeks * self.before[-1] + self.before[hour]) + (rest - hour * HOUR) * self.hours[hour]


EVEN = Profile()


def weekly(
    by_hour: Sequence[float] = (1.0,) * 24, by_weekday: Sequence[float] = (1.0,) * 7, *, utc_offset_s: float = 0.0
) -> Profile:
    """A profile from 24 weights by hour of the day and 7 by day of the week, Monday first; they multiply.

    Raises:
        CatalogError: a wrong number of weights, a negative one, or none above 0.
    """
    if len(by_hour) != 24 or len(by_weekday) != 7:  # noqa: PLR2004 - hours of a day, days of a week
        raise CatalogError(f"A profile needs 24 hours and 7 weekdays, not {len(by_hour)} and {len(by_weekday)}.")
    if min(*by_hour, *by_weekday) < 0 or max(by_hour) <= 0 or max(by_weekday) <= 0:
        raise CatalogError(
            "A profile's weights must not be negative, and at least one hour and one day must be above 0."
        )
    hours = tuple(day * hour for day in by_weekday for hour in by_hour)
    before = [0.0]
    for weight in hours:
        before.append(before[-1] + weight)
    return Profile(hours, utc_offset_s, tuple(before))
