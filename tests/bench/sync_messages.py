"""Measure a lone Sync that also imports its contact's SMS, from its CreateTime until a reader has its result."""

import asyncio
from collections.abc import Iterator
from typing import Final

from processor.sandbox.json_values import iso_time
from processor.sandbox.stored_message import StoredMessage, message_json, parse_stored_message
from tests.bench import message_checks
from tests.bench.figures import Report, at_most
from tests.bench.latency import TimedResult, figures, latency_ms, one_by_one, one_gap, warm_up, where
from tests.bench.leads import Json, contact_id, contacts, lead_id, sync
from tests.bench.testbed import BenchFailed, Testbed

of_each: Final = 20  # messages
then_ms: Final = 1_750_000_000_000
apart_ms: Final = 3_600_000
bar_ms: Final = 300


def sync_messages(testbed: Testbed, quick: bool) -> Report:
    count = 100 if quick else 200
    conditions = [
        f"a Sync of a fresh lead each, lane interactive, one at a time, n = {count} after {warm_up} to warm up",
        f"its contact has {of_each} SMS, in one page; {len(where)} locations; the sandbox answers after {latency_ms:.0f} ms",
        "from the request record's CreateTime until a read_committed reader has the result",
        "each message is compared, whole, with the sandbox's",
    ]
    report = Report("sync_messages", testbed.conditions() + conditions)
    each = warm_up + count
    everyone = range(2 * each)
    messages = [message for number in everyone for message in messages_to(number)]
    world: Iterator[Json] = (one for part in (contacts(where, everyone), map(in_world, messages)) for one in part)
    with testbed.sandbox(world, latency_ms) as sandbox, testbed.worker(sandbox):
        for what, lacking, calls, numbers in (
            ("contact missing, search + export", one_gap, {"search": 1, "messages": 1}, everyone[:each]),
            ("contact known, export alone", (), {"messages": 1}, everyone[each:]),
        ):
            events = [sync(where[number % len(where)], number, lacking, messages=True) for number in numbers]
            results = asyncio.run(one_by_one(testbed.config, "sync.requests", events, 1))
            for one in results:
                check(one, ("updated" if lacking else "unchanged", "imported", of_each, calls))
            report.figures += figures(what, results, at_most(bar_ms))
    lead_of = {contact_id(number): lead_id(number) for number in everyone}
    expected = (
        message_checks.imported_message(message.location, lead_of[message.contact], message) for message in messages
    )
    message_checks.check_messages(testbed.records("lead.messages"), expected)
    return report


def check(results: TimedResult, expected: tuple[str, str, int, Json]) -> None:
    """Raise BenchFailed if a result isn't as it should be: its time would mean nothing."""
    found = tuple(results.result[name] for name in ("outcome", "messages", "messages_imported", "calls"))
    if found != expected:
        raise BenchFailed(f"a result is {found} instead of {expected}")


def messages_to(number: int) -> Iterator[StoredMessage]:
    location, contact = where[number % len(where)], contact_id(number)
    for each in range(of_each):
        shown = {
            "contactId": contact,
            "dateAdded": iso_time(then_ms + each * apart_ms),
            "direction": ("inbound", "outbound")[each % 2],
            "body": f"Message {each} of {number}, about as long as such a message is.",
            "status": "delivered",
        }
        yield parse_stored_message(location, shown, then_ms, f"BenchMessage{number:08d}{each:04d}")


def in_world(message: StoredMessage) -> Json:
    return {"location_id": message.location, "message": message_json(message)}
