"""Spend: while a location has a free slot, the best call for what is pending now. No call ever queues."""

from collections.abc import Iterable, Sequence
from typing import Final

from processor.highlevel.budget import Budget, Lane, Permit, backfill, interactive, lane_names
from processor.highlevel.calls import Ask, By, Call, GetContact, Search
from processor.shard.ledger import Ledger
from processor.shard.location import Location
from processor.shard.notes import Note
from processor.shard.setup import Setup
from processor.shard.state import Changes, Pending

leads_per_value: Final = 4  # leads that ask the same share a value; more than that wait for the next call
nobody: Final[tuple[tuple[By, str], ...]] = (("id", "none"),)  # a contact that there isn't
look_again_ms: Final = 1_000  # while nothing is granted at all


def spend(changes: Changes, setup: Setup, now: int, granting: bool) -> list[Call]:
    """Calls to make for every location that may have a use for a slot now, and when to look at each again."""
    calls = []
    for name in changes.busy:
        location, ledger = Location.of(changes, name), Ledger.of(changes, setup, name, now)
        calls += spend_one(changes, setup, location, ledger.budget, now, granting)
    return calls


def spend_one(
    changes: Changes, setup: Setup, location: Location, budget: Budget, now: int, granting: bool
) -> list[Call]:
    calls: list[Call] = []
    while True:
        if calls and (paced_until := budget.free_at(now)) > now:  # most often; whatever waits is looked for then
            changes.remind(location.key, paced_until)
            return calls
        first = changes.first_pending(location.id)
        if not first and (location.pause or location.breaker.open):
            first = {backfill: now}  # nothing is asked, but whether it is cured is
        held_until = location.free_at(budget, now, asked=interactive in first) if granting else now + look_again_ms
        ready = {lane: max(at, held_until, budget.free_at(now, lane)) for lane, at in first.items()}
        waiting = [lane for lane, at in ready.items() if at <= now]
        if not waiting:
            changes.remind(location.key, min(ready.values(), default=None))
            return calls
        # a probe comes from whatever has waited longest, else one urgent lead could keep the circuit open
        lane = min(waiting, key=lambda lane: first[lane]) if location.breaker.open else budget.choose(waiting)
        lanes = () if location.breaker.asks_nobodys else sorted(waiting, key=lambda one: (one != lane, one))
        questions = compose(changes, setup, location, lanes, now)
        permit = budget.grant(now, lane, waiting)
        if location.pause:
            location.pause.tried = now  # this call is the trial
        calls.append(call(permit, questions))
        changes.in_flight(location.id, [lead for lead, _ in questions], permit.slot)
        note(changes, calls[-1], lane, now - first[lane])


def compose(
    changes: Changes, setup: Setup, location: Location, waiting: Iterable[Lane], now: int
) -> list[tuple[str, Pending]]:
    """The first lane's first question and all that can ride along with it. A probe of the breaker asks one."""
    chosen: list[tuple[str, Pending]] = []
    values: set[tuple[str, str]] = set()
    size = 1 if location.breaker.open else setup.probe_size
    for lane in waiting:
        for lead, question in changes.pending(location.id, lane, now, setup.probe_size * leads_per_value):
            asked = (question.by, question.value)
            alone = question.by == "get" or (bool(values) and chosen[0][1].by == "get")
            if asked not in values and values and (alone or len(values) >= min(size, question.width)):
                continue
            size = min(size, question.width)
            values.add(asked)
            chosen.append((lead, question))
    return chosen


def call(permit: Permit, questions: Sequence[tuple[str, Pending]]) -> Call:
    """The call that asks all this at once; without any question one that asks after nobody."""
    if not questions:
        return Call(permit, Search(permit.location, nobody), ())
    first = questions[0][1]
    if first.by == "get":
        asks = tuple(Ask(lead, "id", question.value) for lead, question in questions)
        return Call(permit, GetContact(permit.location, first.value), asks)
    asks = tuple(Ask(lead, question.by, question.value) for lead, question in questions)  # type: ignore[arg-type]  # a get is no ask of a search
    wanted = tuple(dict.fromkeys((ask.by, ask.value) for ask in asks))
    return Call(permit, Search(permit.location, wanted), asks)


def note(changes: Changes, made: Call, lane: Lane, wait_ms: int) -> None:
    fields = {
        "location": made.permit.location,
        "kind": made.kind,
        "lane": lane_names[lane],
        "wait_ms": wait_ms,
        "values": len(made.what.wanted) if isinstance(made.what, Search) else 1,
        "leads": len(made.asks),
    }
    changes.notes.append(Note("granted", fields))
