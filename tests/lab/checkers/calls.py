"""Check calls and arrivals: the budget, the ledger, and how calls treat a location that fails."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Final

from processor.ratelimit.budget import in_flight_limit
from processor.ratelimit.circuit_breaker import opens_after
from processor.shard.documents.location import trial_for_sync_ms
from tests.lab.history import History, SentCall
from tests.lab.workload.times import start_ms

from .results import looked_again_ms

budget_window_ms: Final = 10_000
committed_within_ms: Final = 1_000  # from a response until it is in state


def budget(history: History) -> Iterator[str]:
    """In any 10 s, at most the server's limit arrive and at most the rate are granted."""
    limit, rate = history.rate.ceiling, history.rate.per_window
    for location, times in grouped((one.location, one.at) for one in history.arrivals).items():
        if (most := busiest(times)) > limit:
            yield f"{location}: {most} calls arrived in 10 s, {limit} may"
    for location, times in grouped((one.location, float(one.granted)) for one in history.calls).items():
        if (most := busiest(times)) > rate:
            yield f"{location}: {most} calls were granted in 10 s, {rate} may be"


def few_at_once(history: History) -> Iterator[str]:
    """A location has no more requests in flight than allowed, whichever workers sent them."""
    for location, calls in history.calls_by_location.items():
        moments = sorted(moment for one in calls for moment in ((one.at, 1), (one.until or one.at, -1)))
        most = max(accumulate(step for _, step in moments), default=0)
        if most > in_flight_limit:
            yield f"{location}: {most} requests at once"


def one_probe_at_a_time(history: History) -> Iterator[str]:
    """After five failures in a row, and until HighLevel responds again, a location has one call at a time."""
    if not history.undisturbed:
        return  # the next owner doesn't know responses that weren't committed
    for location, calls in history.calls_by_location.items():
        for since, until in open_circuits(calls, history.end_ms):
            probes = sorted((one for one in calls if since < one.granted < until), key=lambda one: one.at)
            for probe in probes:
                others = [one for one in calls if one is not probe]
                in_flight = [one.slot for one in others if one.at <= probe.at < (one.until or one.at)]
                if in_flight:
                    yield f"{location}: slot {probe.slot} was a probe while {in_flight} were in flight"
            if len(probes) > 8 + (until - since) // 50_000:
                yield f"{location}: {len(probes)} probes in {until - since} ms"


def open_circuits(calls: Iterable[SentCall], end: int) -> Iterator[tuple[int, int]]:
    """Return the spans in which a location's calls must be probes."""
    failures, since = 0, 0
    for one in sorted((one for one in calls if one.until is not None), key=lambda one: one.until or 0):
        until = one.until or 0
        if one.outcome in ("Lost", "Unavailable"):
            failures += 1
            since = until + committed_within_ms if failures == opens_after else since
        elif one.outcome != "Unsent":
            if failures >= opens_after and since < until:
                yield since, until
            failures = 0
    if failures >= opens_after:
        yield since, end


def few_trials(history: History) -> Iterator[str]:
    """A location whose token is refused has at most one call a minute, until there is another token."""
    if not history.undisturbed:
        return
    for refusal in history.faults.refusals:
        calls = history.calls_by_location.get(refusal.location, ())
        refused = [one.until or 0 for one in calls if one.outcome == "Unauthorized"]
        over = start_ms + refusal.over
        trials = sorted(
            one.granted for one in calls if refused and min(refused) + committed_within_ms < one.granted < over
        )
        for before, after in pairwise(trials):
            if after - before < trial_for_sync_ms:
                yield f"{refusal.location}: trials {after - before} ms apart"


def goes_on_by_itself(history: History) -> Iterator[str]:
    """Once there is another token, refused questions are asked again before long."""
    if history.kills or history.rebalances:
        return
    for refusal in history.faults.refusals:
        renewed = start_ms + refusal.renewed
        calls = history.calls_by_location.get(refusal.location, ())
        refused = {ask for one in calls if one.outcome == "Unauthorized" and one.at < renewed for ask in one.asks}
        later = [one.at for one in calls if one.at > renewed and one.asks & refused]
        if later and min(later) > renewed + looked_again_ms:
            yield f"{refusal.location}: it went on {min(later) - renewed} ms after its new token had come"


def journalled(history: History) -> Iterator[str]:
    """Before a call leaves, a transaction with its location's ledger as of the grant, or later, has committed."""
    ledgers: dict[str, list[tuple[int, int]]] = defaultdict(list)  # produced, committed
    for record in history.of_topic("processor.changelog"):
        kind, _, location = (record.key or b"").decode().partition(" ")
        if kind == "budget":
            ledgers[location].append((record.timestamp_ms, record.committed_ms))
    for location, calls in history.calls_by_location.items():
        ordered = sorted(ledgers[location])
        soonest = [*accumulate((committed for _, committed in reversed(ordered)), min)][::-1]  # of all from there on
        for one in calls:
            first = bisect_left(ordered, (one.granted, 0))
            if first == len(ordered) or soonest[first] > one.at:
                yield f"{location}: the call in slot {one.slot} left before its slot was journalled"


def thrifty(history: History) -> Iterator[str]:
    """No worker asks the same about a lead a second time while it is being asked, unless for a Sync that came since.

    A Sync wants what HighLevel holds after it was pressed: an answer to a question from before is too old for it.
    """
    if history.unknown_commits or history.rebalances:
        return  # a reopened shard doesn't know the calls in flight
    in_flight: dict[tuple[str, str, str, str], SentCall] = {}
    for one in history.calls:
        for ask in one.asks:
            before = in_flight.get((one.worker, one.location, one.kind, ask))
            again = before is not None and before.until is not None and one.taken < before.until
            lead = ask.split()[0]
            if before is not None and again and not (job_ended(history, one) or synced_since(history, lead, before)):
                yield f"{one.location}: {lead} was asked about in slots {before.slot} and {one.slot} at once"
            in_flight[one.worker, one.location, one.kind, ask] = one


def synced_since(history: History, lead: str, call: SentCall) -> bool:
    """True if a Sync of the lead was published while the call was in flight."""
    known = history.workload.lead_by_id.get((call.location, lead))
    requested = known.truth.requested_at.values() if known is not None else ()
    return call.until is not None and any(call.taken < start_ms + at < call.until for at in requested)


def job_ended(history: History, call: SentCall) -> bool:
    """True if a job may have ended before the call: nothing waits for the job's calls any more."""
    ended = [at for job in history.workload.jobs if job.covers(call.location) for at in job.cancels]
    return any(start_ms + at < call.taken for at in ended) or call.location in history.faults.cursors_refused


def busiest(times: Iterable[float]) -> int:
    """Return the most of these times in any window (t - 10 s, t]."""
    ordered = sorted(times)
    return max((i + 1 - bisect_right(ordered, at - budget_window_ms) for i, at in enumerate(ordered)), default=0)


def grouped(pairs: Iterable[tuple[str, float]]) -> dict[str, Sequence[float]]:
    groups: dict[str, list[float]] = defaultdict(list)
    for name, value in pairs:
        groups[name].append(value)
    return dict(groups)
