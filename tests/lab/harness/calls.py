"""Sum up the calls of a run and judge them against the rate budget, by the simulator's own record of arrivals. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

window_ms: Final = 10_000
server_limit: Final = 100  # calls in any 10 s (contract.md §2)
planned: Final = 90  # calls in 10 s: GHL_REQUESTS_PER_10S
idle_ms: Final = 500  # at full pace a call leaves each 111 ms; so long a gap means that no call was due
long_enough: Final = 30  # calls of a stretch that shows the pace


class Arrival(NamedTuple):
    at: float  # ms since 1970
    kind: str
    status: int  # 0: the response wasn't whole


@dataclass(frozen=True, slots=True)
class BusyStretch:
    """Describe the longest stretch in which a location always had a call due."""

    location: str
    calls: int
    seconds: float

    @property
    def per_window(self) -> float:
        return (self.calls - 1) * window_ms / 1_000 / self.seconds

    @property
    def use(self) -> float:
        """Return the share of the planned rate."""
        return self.per_window / planned


@dataclass(slots=True)
class CallSummary:
    worst_window: int = 0
    worst_location: str = ""
    refused: int = 0  # 429s
    incomplete: int = 0  # without a whole response
    calls: Counter[str] = field(default_factory=Counter)  # by kind
    busiest: list[BusyStretch] = field(default_factory=list)


def summarize_calls(arrivals: Mapping[str, Sequence[Arrival]]) -> CallSummary:
    """Sum up the arrivals of each location, which are in order."""
    summary = CallSummary()
    for location, calls in arrivals.items():
        times = [call.at for call in calls]
        worst = worst_window(times)
        if worst > summary.worst_window:
            summary.worst_window, summary.worst_location = worst, location
        summary.refused += sum(call.status == 429 for call in calls)
        summary.incomplete += sum(call.status == 0 for call in calls)
        summary.calls.update(call.kind for call in calls)
        if stretch := busiest_stretch(location, times):
            summary.busiest.append(stretch)
    summary.busiest.sort(key=lambda stretch: -stretch.calls)
    return summary


def budget_flaws(summary: CallSummary, unattributed: int) -> Iterator[str]:
    """Yield what a client that keeps its budget never does. `unattributed` calls named no location."""
    if summary.worst_window > server_limit:
        yield f"{summary.worst_location} made {summary.worst_window} calls in 10 s; HighLevel allows {server_limit}."
    if summary.refused:
        yield f"{summary.refused} calls were refused (429)."
    if unattributed:
        yield f"{unattributed} calls named no location, so no budget paid for them."


def worst_window(times: Sequence[float]) -> int:
    """Return the most arrivals in any half-open 10 s."""
    worst = first = 0
    for last, at in enumerate(times):
        while times[first] <= at - window_ms:
            first += 1
        worst = max(worst, last + 1 - first)
    return worst


def busiest_stretch(location: str, times: Sequence[float]) -> BusyStretch | None:
    """Return None if the location was never busy for long enough."""
    best = (0, 0)
    begin = 0
    for last, at in enumerate(times):
        if last and at - times[last - 1] > idle_ms:
            begin = last
        if last + 1 - begin > best[1] - best[0]:
            best = begin, last + 1
    first, end = best
    if end - first < long_enough or times[end - 1] == times[first]:
        return None
    return BusyStretch(location, end - first, (times[end - 1] - times[first]) / 1_000)
