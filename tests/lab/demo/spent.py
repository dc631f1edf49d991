"""What the calls of a run say about the rate budget, by the sandbox's own log of arrivals. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

window_ms: Final = 10_000
server_limit: Final = 100  # calls in any 10 s (contract.md §2)
planned: Final = 90  # calls in 10 s: GHL_REQUESTS_PER_10S
idle_ms: Final = 500  # at full pace a call leaves each 111 ms: so long a gap means that nothing was waiting
long_enough: Final = 30  # calls of a stretch that tells something about the pace


class Arrival(NamedTuple):
    at: float  # ms since 1970
    kind: str
    status: int  # 0: no whole answer


@dataclass(frozen=True, slots=True)
class Busy:
    """The longest stretch in which a location always had something to ask."""

    location: str
    calls: int
    seconds: float

    @property
    def per_window(self) -> float:
        return (self.calls - 1) * window_ms / 1_000 / self.seconds

    @property
    def use(self) -> float:
        return self.per_window / planned


@dataclass(slots=True)
class Spent:
    worst_window: int = 0
    worst_location: str = ""
    refused: int = 0  # 429s
    unanswered: int = 0
    calls: Counter[str] = field(default_factory=Counter)  # by kind
    busiest: list[Busy] = field(default_factory=list)


def spent(log: Mapping[str, Sequence[Arrival]]) -> Spent:
    """Location → its arrivals in order."""
    total = Spent()
    for location, arrivals in log.items():
        times = [arrival.at for arrival in arrivals]
        worst = worst_window(times)
        if worst > total.worst_window:
            total.worst_window, total.worst_location = worst, location
        total.refused += sum(arrival.status == 429 for arrival in arrivals)
        total.unanswered += sum(arrival.status == 0 for arrival in arrivals)
        total.calls.update(arrival.kind for arrival in arrivals)
        if busy := busiest(location, times):
            total.busiest.append(busy)
    total.busiest.sort(key=lambda busy: -busy.calls)
    return total


def over_budget(spent: Spent, strays: int) -> Iterator[str]:
    """What a client that keeps to its budget never does; `strays`: calls that told no location."""
    if spent.worst_window > server_limit:
        yield f"{spent.worst_location} made {spent.worst_window} calls in 10 s; HighLevel allows {server_limit}."
    if spent.refused:
        yield f"{spent.refused} calls were refused (429)."
    if strays:
        yield f"{strays} calls told no location, so nobody's budget paid for them."


def worst_window(times: Sequence[float]) -> int:
    """Most arrivals in any half-open 10 s."""
    worst = first = 0
    for last, at in enumerate(times):
        while times[first] <= at - window_ms:
            first += 1
        worst = max(worst, last + 1 - first)
    return worst


def busiest(location: str, times: Sequence[float]) -> Busy | None:
    """None: it was never busy for long enough to say."""
    best = (0, 0)
    begun = 0
    for last, at in enumerate(times):
        if last and at - times[last - 1] > idle_ms:
            begun = last
        if last + 1 - begun > best[1] - best[0]:
            best = begun, last + 1
    first, end = best
    if end - first < long_enough or times[end - 1] == times[first]:
        return None
    return Busy(location, end - first, (times[end - 1] - times[first]) / 1_000)
