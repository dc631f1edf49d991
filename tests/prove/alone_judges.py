"""Judge the calls of one location: a log counts the granted ones, and six servers those that arrive.

What is promised (DESIGN §6.1): no 10 s hold more than `rate` grants or 100 arrivals. So a sliding log never refuses, nor
do the windows, which are such 10 s, nor a bucket or GCRA, which forgive more. The approximate counter takes the last window
for even. Of calls that a network holds back and lets go together it may count as many too many as may be in flight; where
calls arrive that had been reported as lost, that is no bound either, and what it counts is only shown.
"""

from collections.abc import Callable
from random import Random
from typing import Final

from tests.unit.ratelimit.servers import FirstHit, FixedWindow, Gcra, Server, SlidingCounter, SlidingLog, TokenBucket

from .adversities import Adversities

limit: Final = 100
bunch: Final = 20  # DESIGN §6.7: calls in flight at a time
any_load: Final = 1 << 62
phases: Final = 3  # of the windows that no call begins
few: Final = 5  # refusals until headers have shown the others
unseen, bunched = "sliding counter, unseen", "sliding counter, bunched"
bounds: Final = {unseen: any_load, bunched: limit + bunch}  # of those that may see more than the limit
sliding: Final = ("sliding log", "token bucket", "gcra")  # these forget call by call

Judge = tuple[str, Callable[[int], int], int]  # its name, how it counts, the highest load that is no violation


class Judges:
    """Servers that judge every call.

    Other programs' calls count as ours where our rate leaves room for them. Where it doesn't ("beside"), the six see
    only our own, which keep every promise. A seventh one sees both and shows its load in headers. The headers lower the
    limit, but a response shows the past, so this server may refuse a few calls. It refuses at most 1 call in 100 where
    it forgets call by call and so always shows the others, else 1 in 50. Without the headers it refuses up to 7 in 100.
    Each time we stop.
    """

    def __init__(self, random: Random, drawn: Adversities) -> None:
        self.violations: dict[str, tuple[int, str]] = {}  # the first of each kind: when, and what
        self.granted = SlidingLog(drawn.rate)
        counter = unseen if drawn.unseen else bunched if drawn.bunched else "sliding counter"
        self.servers: list[tuple[str, Server]] = [
            ("sliding log", SlidingLog()),
            ("first hit", FirstHit()),
            ("token bucket", TokenBucket()),
            ("gcra", Gcra()),
            *(("fixed window", FixedWindow(phase_ms=random.randrange(10_000))) for _ in range(phases)),
            *((counter, SlidingCounter(phase_ms=random.randrange(10_000))) for _ in range(phases)),
        ]
        judges: list[Judge] = [(name, one.arrive, bounds.get(name, limit)) for name, one in self.servers]
        shown = next(one for name, one in self.servers if name.startswith(drawn.headers))
        self.shared = None if drawn.lowered else type(shown)()
        self.arrived = self.refused = 0  # at the shared one
        self.one_refused_in = 100 if drawn.headers in sliding else 50
        if self.shared:
            self.of_others: list[Judge] = [("beside others", self.shared.arrive, any_load)]
            self.of_ours = judges + self.of_others
        else:  # the one whose load the headers show comes last
            self.of_ours = self.of_others = sorted(judges, key=lambda judge: judge[1] == shown.arrive)

    @property
    def worst(self) -> dict[str, int]:
        worst = {"granted": self.granted.worst}
        for name, server in self.servers:
            worst[name] = max(worst.get(name, 0), server.worst)
        return worst

    def grant(self, at: int) -> None:
        if (load := self.granted.arrive(at)) > self.granted.limit:
            self.violated(at, "granted", f"{load} calls")

    def arrive(self, at: int, ours: bool = True) -> int:
        """Count a call and return the load that headers show; beyond the limit the call is refused."""
        load = 0
        for name, arrive, most in self.of_ours if ours else self.of_others:
            if (load := arrive(at)) > most:
                self.violated(at, name, f"{load} calls")
        if self.shared:
            self.arrived += ours
            if load > limit:
                self.shared.refuse()
                self.refused += ours
                if self.refused > few + self.arrived // self.one_refused_in:
                    self.violated(at, "beside others", f"{self.refused} of {self.arrived} calls refused")
        return load

    def violated(self, at: int, kind: str, what: str = "") -> None:
        self.violations.setdefault(kind, (at, what))
