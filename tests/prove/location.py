"""Drive Budget for one location at saturation on virtual time, as a shard does.

It meets the adversities of its seed, and six servers judge every call that arrives. Times are integer ms; each worker has a
clock of its own.
"""

from collections import Counter, deque
from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from typing import Final

from processor.ratelimit.budget import Budget, Lane, Permit, Rate
from processor.ratelimit.headers import RateHeaders

from .adversities import Adversities
from .alone_judges import Judges, limit

warm_ms: Final = 10_000  # a window must fill before its use can be measured
answer_within: Final = 8_000  # DESIGN §6.1: a call arrives, and is answered, so long after its send deadline or never
whole_second: Final = 1_000  # waits beyond one are counted to 100 ms
never: Final = 1 << 62
arrival, answer, demand, other, crash, opening, healing = range(7)
kinds: Final = ("killed", "fenced", "reopened")
lost, answered, refused = range(3)
no_slot: Final = -1  # the slot of a call that was reported as lost
shown: Final = [RateHeaders(limit=limit, remaining=remaining, interval_ms=10_000) for remaining in range(limit + 1)]


class Location:
    """`run` once. One worker after another owns it; `self.skew` is how far the owner's clock is ahead."""

    def __init__(self, seed: int, drawn: Adversities) -> None:
        self.seed, self.drawn, self.random = seed, drawn, Random(f"location {seed}")
        self.began = 1_700_000_000_000 + self.random.randrange(86_400_000)
        self.draw, self.faults, self.waits = self.random.random, Counter[str](), Counter[int]()
        self.judges = Judges(self.random, drawn)
        self.rate = Rate(drawn.rate, per_day=10_000_000)  # a day's end is another proof
        self.calls = self.steady = self.refused = self.order = 0
        self.events: list[tuple[int, ...]] = []
        self.waiting = deque[int]()
        self.answers = list[tuple[int, int, int, int]]()  # slot, how, headers, Retry-After
        self.worker, self.skew, self.ended = 0, self._skew(), dict[int, tuple[int, str]]()
        self.budget: Budget | None = Budget("location-1", self.rate, "worker 0")
        self.ledger: bytes | None = None  # as the log has it, where the budget differs
        self.turn_at, self.free_from = self.began, self.began
        self.quiet_until = self.throttled_until = self.retry_after = 0
        self.demanded = self.spent_by_others = 0
        self.crash_at, self.armed_at, self.crash_kind = never, never, ""
        self.pause_at = self.pause_end = self.cut_at = self.cut_end = never

    def run(self, ms: int) -> None:
        end, events = self.began + ms, self.events
        self._look_ahead(self.began)
        if self.drawn.cut_every:
            self._next_cut(self.began)
        if self.drawn.interactive:
            self._demand()
        if self.drawn.others:
            self._other()
        act: tuple[Callable[..., None], ...] = (
            self._arrive,
            self._answer,
            self._ask,
            self._others_call,
            self._crash,
            self._open,
            self._next_cut,
        )
        while True:
            at = events[0][0] if events else never
            if at <= self.turn_at:
                if at > end:
                    break
                event = heappop(events)
                act[event[2]](at, *event[3:])
            elif self.turn_at > end:
                break
            else:
                self._turn(self.turn_at)
        for asked in self.waiting:  # those that waited in vain have waited, too
            self._waited(end - asked)

    # the worker

    def _turn(self, at: int) -> None:
        """Ingest responses, grant slots, commit; only then do calls leave."""
        budget, draw, drawn = self.budget, self.draw, self.drawn
        if budget is None:
            self.turn_at = never
            return
        if at >= self.pause_at:
            self.turn_at = max(at, self.pause_end)
            self._next_pause(self.pause_end)
            return
        now, committed = at + self.skew, at + 1 + int(draw() * drawn.commit)
        if committed >= self.pause_at:
            committed = max(committed, self.pause_end)
        if at >= self.armed_at:
            self.armed_at, self.crash_at = never, at + int(draw() * (committed - at))
            self._later(self.crash_at, crash)
        doubtful = committed > self.crash_at
        before = budget.encode() if doubtful else b""
        quiet, answers = 0, self.answers
        for slot, how, remaining, retry_after in answers:
            if budget.complete(slot, now, responded=how != lost) and how != lost:
                budget.observe_headers(slot, shown[remaining], now)
                if how == refused:
                    wait = retry_after or 10_000
                    budget.freeze(now + wait + int(draw() * wait) // 4)
                    quiet = max(quiet, at + wait)
        permits: list[tuple[Permit, int | None]] = []
        wake = budget.free_at(now)
        while wake <= now:
            lanes = (Lane.INTERACTIVE, *drawn.backlog) if self.waiting else drawn.backlog
            lane = budget.choose(lanes)
            permit = budget.grant(now, lane, lanes)
            permits.append((permit, self.waiting.popleft() if lane == Lane.INTERACTIVE else None))
            wake = budget.free_at(now)
        self.free_from = committed
        if not doubtful or draw() < 0.5:
            self.quiet_until = max(self.quiet_until, quiet)
            if permits and at < self.quiet_until:
                self.judges.violated(at, "granted in spite of a 429")
            if doubtful:
                self.ledger = budget.encode()
            if not doubtful or self.crash_kind == "fenced":
                for permit, asked in permits:
                    self._grant(permit, asked, at, committed)
        else:
            self.ledger = before
            self.faults["turn not committed"] += 1
            self.waiting.extendleft(asked for _, asked in reversed(permits) if asked is not None)
        if not doubtful:
            answers.clear()
        self.turn_at = max(committed, wake - self.skew + int(draw() * drawn.late))

    def _grant(self, permit: Permit, asked: int | None, at: int, committed: int) -> None:
        """Send the call by its deadline, if at all, and draw its way, apart from later faults."""
        draw, drawn = self.draw, self.drawn
        self.calls += 1
        self.judges.grant(at)
        if at >= self.began + warm_ms:
            self.steady += 1
        if asked is not None:
            self._waited(at - asked)
        leaves = committed + int(draw() * drawn.connect)
        if self.pause_at <= leaves < self.pause_end:
            leaves = self.pause_end + int(draw() * 20)
        send_by = permit.send_by - self.skew
        held = self.cut_at <= leaves < self.cut_end
        if held and draw() >= drawn.held:
            held, leaves = False, self.cut_end + int(draw() * 20)
        if leaves > send_by:
            self.faults["not sent in time"] += 1
            self._later(send_by + 1, answer, permit.slot, self.worker, lost, 0, 0)
            return
        end = send_by + answer_within
        arrives = self._through(leaves + drawn.travel + int(draw() ** drawn.tail * drawn.jitter))
        if held and arrives <= end:  # the network breaks off with us, and delivers nevertheless
            self.faults["lost, but arrived"] += 1
            self._later(leaves + int(draw() * 500), answer, permit.slot, self.worker, lost, 0, 0)
            self._later(arrives, arrival, no_slot, self.worker, leaves, send_by)
        elif draw() < drawn.requests_lost or arrives > end:
            self._lose(permit.slot, leaves, end, send_by)
        else:
            self._later(arrives, arrival, permit.slot, self.worker, leaves, send_by)

    def _waited(self, ms: int) -> None:
        self.waits[ms if ms < whole_second else ms // 100 * 100] += 1

    def _lose(self, slot: int, leaves: int, end: int, send_by: int) -> None:
        """Lose the call by a reset or a time-out; it may arrive nevertheless, if it isn't too late."""
        draw, reset = self.draw, self.draw() < 0.5
        self._later(leaves + int(draw() * (end - leaves)) if reset else end, answer, slot, self.worker, lost, 0, 0)
        if draw() < 0.5:
            self._later(leaves + int(draw() * (end - leaves)), arrival, no_slot, self.worker, leaves, send_by)
            self.faults["lost, but arrived"] += 1
        else:
            self.faults["request lost"] += 1

    def _crash(self, at: int) -> None:
        """Killed: what has not left never does. Fenced: the old worker lives on for what it was granted, perhaps paused
        a while. Reopened: the same worker, which still gets its responses, goes back to the state of the log."""
        budget, kind = self.budget, self.crash_kind
        assert budget is not None
        self.ledger = self.ledger or budget.encode()
        self.faults[kind] += 1
        if kind != "reopened":
            self.ended[self.worker] = (at, kind)
            self.worker += 1
            self.answers.clear()
            self.skew = self._skew()
        self.budget, self.crash_at = None, never
        self._later(at + 1 + int(self.draw() * self.drawn.down), opening)

    def _open(self, at: int) -> None:
        self.budget = Budget.decode(self.ledger, "location-1", self.rate, f"worker {self.worker}", at + self.skew)
        self.ledger, self.turn_at, self.free_from = None, at, at
        self._look_ahead(at)

    # the network, and HighLevel

    def _arrive(self, at: int, slot: int, worker: int, leaves: int, send_by: int) -> None:
        draw, drawn = self.draw, self.drawn
        if worker != self.worker and (ended := self.ended[worker])[0] < leaves:
            if ended[1] == "killed":
                return
            self.faults["sent by a fenced worker"] += 1
            arrives = at + int(draw() * (send_by - leaves + 1))
            if arrives <= send_by + answer_within:  # marked as sent when it was fenced, so that it is delayed once
                self._later(arrives, arrival, slot, worker, ended[0], send_by)
            return
        load = self.judges.arrive(at)
        if slot == no_slot:
            return
        how, retry_after = answered, 0
        if drawn.throttled:
            if at >= self.throttled_until and draw() < drawn.throttled:
                self.retry_after = int(draw() * 30) * 1_000  # 0: without Retry-After
                self.throttled_until = at + self.retry_after
                self.faults["throttled"] += 1
                how, retry_after = refused, self.retry_after
            elif at < self.throttled_until:
                how, retry_after = refused, -(-(self.throttled_until - at) // 1_000) * 1_000
        if load > limit:
            how = refused
            self.refused += 1
        back = self._through(at + drawn.travel + int(draw() ** drawn.tail * drawn.jitter))
        if draw() < drawn.answers_lost or back > send_by + answer_within:
            self.faults["answer lost"] += 1
            how, back = lost, at + int(draw() * (send_by + answer_within - at))
        self._later(back, answer, slot, worker, how, limit - min(load, limit), retry_after)

    def _answer(self, at: int, slot: int, worker: int, how: int, remaining: int, retry_after: int) -> None:
        if worker == self.worker:
            self.answers.append((slot, how, remaining, retry_after))
            self._wake(at)

    def _through(self, at: int) -> int:
        """When what would be there at `at` is, with the network cut now and then."""
        return self.cut_end + int(self.draw() * 50) if self.cut_at <= at < self.cut_end else at

    # people, and other programs

    def _demand(self) -> None:
        gap = 10_000 / (self.drawn.rate * self.drawn.interactive)
        self._later(self.began + int((self.demanded + self.draw()) * gap), demand)
        self.demanded += 1

    def _ask(self, at: int) -> None:
        self.waiting.append(at)
        self._wake(at)
        self._demand()

    def _other(self) -> None:
        gap = 10_000 / self.drawn.others
        self._later(self.began + int((self.spent_by_others + self.draw()) * gap), other)
        self.spent_by_others += 1

    def _others_call(self, at: int) -> None:
        self.judges.arrive(at, ours=False)
        self._other()

    # time

    def _wake(self, at: int) -> None:
        self.turn_at = min(self.turn_at, max(self.free_from, at))

    def _later(self, at: int, *event: int) -> None:
        self.order += 1
        heappush(self.events, (at, self.order, *event))

    def _skew(self) -> int:
        return self.random.choice((-500, 500, self.random.randint(-500, 500)))

    def _look_ahead(self, at: int) -> None:
        """Draw the faults of the worker that opens now."""
        if self.drawn.pause_every:
            self._next_pause(at)
        if self.drawn.crash_every:
            self.crash_kind = self.random.choice(kinds)
            crashes = self._after(at, self.drawn.crash_every)
            if self.draw() < 0.5:
                self.armed_at = crashes  # while the first turn from then on commits
            else:
                self.crash_at = crashes
                self._later(crashes, crash)

    def _next_pause(self, at: int) -> None:
        self.faults["paused"] += self.pause_end == at
        self.pause_at = self._after(at, self.drawn.pause_every)
        self.pause_end = self._after(self.pause_at, self.drawn.pause // 2)

    def _next_cut(self, at: int) -> None:
        self.faults["network cut"] += self.cut_end == at
        self.cut_at = self._after(at, self.drawn.cut_every)
        self.cut_end = self._after(self.cut_at, self.drawn.cut // 2)
        self._later(self.cut_end, healing)

    def _after(self, at: int, every: int) -> int:
        """Some time from now, `every` ms on average."""
        return at + 1 + int(self.draw() * 2 * every)
