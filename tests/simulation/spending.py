"""What must hold of the calls of any run: the budget, the permits, and how an ailing location is treated.

Judged from what left the workers, what arrived at the server, and the true time, whatever a worker's clock said.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import accumulate, pairwise
from typing import Final

from processor.engine.clock import unsettled_ms
from processor.ratelimit.budget import in_flight_limit, send_within_ms
from processor.ratelimit.circuit_breaker import opens_after
from processor.shard.documents.location import trial_for_sync_ms
from processor.telemetry.catalogue import TelemetryEvent, TurnCommitted

from .highlevel import Sent
from .loop import start_ms
from .play import Run

window_ms: Final = 10_000
never: Final = 10**15  # ms since 1970
looked_again_ms: Final = 80_000  # from the end of an outage or refusal until a location that is asked for goes on
heard_within_ms: Final = 1_000  # an answer that came is in state


def budget(run: Run) -> Iterator[str]:
    """The server never sees more than its limit in any 10 s, and no more than the rate are granted in any 10 s."""
    limit, rate = run.world.rate.ceiling, run.world.rate.per_window
    for location, times in grouped((one.location, one.at) for one in run.server.arrivals).items():
        if (most := busiest(times)) > limit:
            yield f"{location}: {most} calls arrived in 10 s, {limit} may"
    for location, times in grouped((one.location, granted(run, one)) for one in run.server.sent).items():
        if (most := busiest(times)) > rate:
            yield f"{location}: {most} calls were granted in 10 s, {rate} may be"


def permits(run: Run) -> Iterator[str]:
    """One slot, one request on the wire; and none after its send deadline, by the server's own clock."""
    for (location, slot), count in Counter((one.location, one.slot) for one in run.server.sent).items():
        if count > 1:
            yield f"{location}: slot {slot} paid for {count} requests"
    for one in run.server.sent:
        since = granted(run, one)
        if (late := one.at - since - send_within_ms - run.clocks[one.worker].set_back(since, one.at)) > 0:
            yield f"{one.location}: slot {one.slot} was sent {late} ms after its deadline"


def few_at_once(run: Run) -> Iterator[str]:
    """A location has no more requests on the wire than it may, whoever sent them."""
    most = Counter[str]()
    for location, sent in grouped_by_location(run.server.sent).items():
        moments = sorted(moment for one in sent for moment in ((one.at, 1), (one.until or one.at, -1)))
        flying = 0
        for _, step in moments:
            flying += step
            most[location] = max(most[location], flying)
    yield from (f"{one}: {count} requests at once" for one, count in most.items() if count > in_flight_limit)


def unsettled(run: Run) -> Iterator[str]:
    """A worker whose clock was set by the stepped wall clock grants nothing for a while."""
    for one in run.server.sent:
        since = granted(run, one)
        for at, _ in run.clocks[one.worker].set[1:]:
            if at < since < at + unsettled_ms:
                yield f"{one.location}: slot {one.slot} was granted {since - at} ms after its worker's clock was set"


def one_probe_at_a_time(run: Run) -> Iterator[str]:
    """Five failures in a row, and until HighLevel serves us again a location has one call at a time, ever fewer."""
    if run.kills or run.fates or run.world.faults.unknown_outcome:
        return  # what a worker heard and couldn't commit, its successor doesn't know
    for location, sent in grouped_by_location(run.server.sent).items():
        for since, until in open_circuits(sent, run.loop.ms):
            probes = sorted((one for one in sent if since < granted(run, one) < until), key=lambda one: one.at)
            for one in probes:
                flying = [
                    other.slot for other in sent if other is not one and other.at <= one.at < (other.until or one.at)
                ]
                if flying:
                    yield f"{location}: slot {one.slot} was a probe while {flying} were under way"
            if len(probes) > 8 + (until - since) // 50_000:
                yield f"{location}: {len(probes)} probes in {until - since} ms"


def open_circuits(sent: Iterable[Sent], end: int) -> Iterator[tuple[int, int]]:
    """From when to when a location's calls must be probes."""
    failures, since = 0, 0
    for one in sorted((one for one in sent if one.until is not None), key=lambda one: one.until or 0):
        until = one.until or 0
        if one.outcome in ("Lost", "Unavailable"):
            failures += 1
            since = until + heard_within_ms if failures == opens_after else since
        elif one.outcome != "Unsent":
            if failures >= opens_after and since < until:
                yield since, until
            failures = 0
    if failures >= opens_after:
        yield since, end


def few_trials(run: Run) -> Iterator[str]:
    """A location whose token is refused has at most one call a minute, until there is another token."""
    if run.kills or run.fates or run.world.faults.unknown_outcome:
        return
    for refusal in run.world.weather.refusals:
        sent = [one for one in run.server.sent if one.location == refusal.location]
        heard = [one.until or 0 for one in sent if one.outcome == "Unauthorized"]
        over = start_ms + refusal.over
        trials = sorted(
            granted(run, one) for one in sent if heard and min(heard) + heard_within_ms < granted(run, one) < over
        )
        for before, after in pairwise(trials):
            if after - before < trial_for_sync_ms:
                yield f"{refusal.location}: trials {after - before} ms apart"


def goes_on_by_itself(run: Run) -> Iterator[str]:
    """Once there is another token, what the old one could not ask is asked before long."""
    if run.kills or run.fates:
        return
    for refusal in run.world.weather.refusals:
        renewed = start_ms + refusal.renewed
        sent = [one for one in run.server.sent if one.location == refusal.location]
        refused = {ask for one in sent if one.outcome == "Unauthorized" and one.at < renewed for ask in one.asks}
        later = [one.at for one in sent if one.at > renewed and one.asks & refused]
        if later and min(later) > renewed + looked_again_ms:
            yield f"{refusal.location}: it went on {min(later) - renewed} ms after its new token had come"


def journalled(run: Run) -> Iterator[str]:
    """Write-ahead: no call leaves before a transaction that holds its location's ledger, as of the grant or later, is
    committed."""
    ledgers: dict[str, list[tuple[int, int]]] = defaultdict(list)  # produced, committed
    for partition in run.scenario.owned:
        for _, entry in run.kafka.committed("processor.changelog", partition):
            kind, _, location = (entry.key or b"").decode().partition(" ")
            if kind == "budget" and entry.transaction:
                ledgers[location].append((entry.timestamp_ms, entry.transaction.ended))
    for location, sent in grouped_by_location(run.server.sent).items():
        ordered = sorted(ledgers[location])
        soonest = [*accumulate((committed for _, committed in reversed(ordered)), min)][::-1]  # of all from there on
        for one in sent:
            first = bisect_left(ordered, (granted(run, one), 0))
            if first == len(ordered) or soonest[first] > one.at:
                yield f"{location}: the call in slot {one.slot} left before its slot was journalled"


def patient(run: Run) -> Iterator[str]:
    """Told to wait by a 429, a worker gives the location's calls no more, not even those already granted; nor does who
    succeeds it, once that is journalled."""
    sent = grouped_by_location(run.server.sent)
    for since, until, location, worker in run.server.told_to_wait:
        for one in sent[location]:
            if one.at >= until or one.taken <= since:
                continue
            if one.worker == worker or handed_over(run, worker, since) < granted(run, one):
                yield f"{location}: slot {one.slot} was sent {one.at - since} ms after a 429 that said {until - since}"


def handed_over(run: Run, worker: str, since: int) -> int:
    """When a successor must know what this worker heard: once that one has turned since, and the turn was committed."""
    if run.fates or run.world.steps or run.world.faults.unknown_outcome or not run.kills:
        return never
    return next(
        (at for one in run.workers if one.name == worker for at, event in one.events if heard_after(at, event, since)),
        never,
    )


def heard_after(at: int, event: TelemetryEvent, since: int) -> bool:
    return at > since + heard_within_ms and isinstance(event, TurnCommitted) and bool(event.rows)


def thrifty(run: Run) -> Iterator[str]:
    """No worker asks the same for a lead a second time while it is being asked."""
    if run.world.faults.unknown_outcome or run.fates:
        return  # a shard that was reopened knows nothing of the calls in flight
    flying: dict[tuple[str, str, str, str], Sent] = {}
    for one in run.server.sent:
        for ask in one.asks:
            before = flying.get((one.worker, one.location, one.kind, ask))
            again = before is not None and before.until is not None and one.taken < before.until
            if before is not None and again and not left_by_its_job(run, one):
                yield f"{one.location}: {ask.split()[0]} was asked about in slots {before.slot} and {one.slot} at once"
            flying[one.worker, one.location, one.kind, ask] = one


def left_by_its_job(run: Run, one: Sent) -> bool:
    """A job has ended meanwhile: nobody waited for its calls any more, and who asks now is new."""
    ended = [at for order in run.scenario.orders if order.covers(one.location) for at in order.cancels]
    return any(start_ms + at < one.taken for at in ended) or one.location in run.world.weather.cursors_refused


def busiest(times: Iterable[int]) -> int:
    """The most of these in any window (t − 10 s, t]."""
    ordered = sorted(times)
    return max((i + 1 - bisect_left(ordered, at - window_ms + 1) for i, at in enumerate(ordered)), default=0)


def grouped(pairs: Iterable[tuple[str, int]]) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = defaultdict(list)
    for name, value in pairs:
        groups[name].append(value)
    return groups


def granted(run: Run, one: Sent) -> int:
    """The true time of it, whatever its worker's clock said."""
    return run.clocks[one.worker].true(one.granted)


def grouped_by_location(sent: Iterable[Sent]) -> dict[str, list[Sent]]:
    groups: dict[str, list[Sent]] = defaultdict(list)
    for one in sent:
        groups[one.location].append(one)
    return groups
