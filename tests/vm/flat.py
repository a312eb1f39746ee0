# SPDX-License-Identifier: BSD-3-Clause
"""
Whether what was sampled over a long time stays as it is.

A series is cut into thirds. The first is for warming up; the median of the last is compared with
that of the second, so that single samples do not matter, and a leak shows that adds up to more than
the bound within a third of the time.
"""

from dataclasses import dataclass
from statistics import median

LEAST = 9  # samples; with fewer a third is no more than a moment


@dataclass
class Bound:
    """What the last third may have more than the second: by itself, and in parts of the second."""
    more: float
    part: float = 0.0

    def over(self, before):
        return before + self.more + self.part * before


@dataclass
class Seen:
    """Of one series: the medians of the second and of the last third, and what the last may be."""
    name: str
    before: float
    after: float
    limit: float

    @property
    def flat(self):
        return self.after <= self.limit

    def __str__(self):
        return f"{self.name}: {self.before:g}, then {self.after:g} (at most {self.limit:g})"


def thirds(series):
    if len(series) < LEAST:
        raise ValueError(f"expected {LEAST} samples or more, saw {len(series)}")
    third = len(series) // 3
    return series[:-2 * third], series[-2 * third:-third], series[-third:]


def judge(name, series, bound):
    _, second, last = thirds(series)
    before = median(second)
    return Seen(name, before, median(last), bound.over(before))


class Table:
    """Series by name, each with its bound; a row of samples at a time."""

    def __init__(self):
        self.series, self.bounds, self.rows = {}, {}, 0

    def add(self, bound, values):
        """Of the row that is being taken: {name: value}."""
        for name, value in values.items():
            self.bounds[name] = bound
            self.series.setdefault(name, []).append(value)

    def end_row(self):
        """All that was ever sampled was sampled again, and nothing came later."""
        self.rows += 1
        odd = sorted(name for name, values in self.series.items() if len(values) != self.rows)
        if odd:
            raise ValueError(f"row {self.rows} of samples: gone, or new: {', '.join(odd)}")

    def judge(self):
        return [judge(name, values, self.bounds[name])
                for name, values in sorted(self.series.items())]


def percentile(times, part):
    """The value that so large a part of them does not exceed."""
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]
