"""Each checker of the lab objects to a history that is spoiled in one way, and to no clean one."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any, Final

import orjson
import pytest

from processor.events.cloudevents import Record
from tests.lab.checkers import flaws_by_checker
from tests.lab.checkers.privacy import no_leak
from tests.lab.checkers.unfinished import unfinished
from tests.lab.history import CallArrival, CommittedRecord, History, of_topics
from tests.lab.workload.message_workload import read_by_location
from tests.lab.workload.times import start_ms
from tests.lab.workload.workload import of_kinds
from tests.simulation.runs.message_worlds import paged_world
from tests.simulation.runs.play import play

Spoil = Callable[[list[CommittedRecord]], list[CommittedRecord]]


@cache
def leads() -> History:
    """Leads and Syncs of the kinds that matter most, and malformed records."""
    return play(of_kinds(0)).history


@cache
def jobs() -> History:
    """A Sync All with messages."""
    return play(read_by_location(0), world=paged_world).history


def spoiled(history: History, topic: str, spoil: Spoil) -> History:
    """Return the same history, with other records of a topic."""
    (partition,) = history.workload.owned
    records = spoil([*history.in_partition(topic, partition)])
    return replace(history, records={**history.records, (topic, partition): records})


def objecting(history: History) -> set[str]:
    return {name for name, found in flaws_by_checker(history).items() if found}


def position(records: list[CommittedRecord], kind: str) -> int:
    """Return the position of the last event of this type."""
    kinds = [orjson.loads(record.value or b"{}").get("type") for record in records]
    return max(number for number, one in enumerate(kinds) if one == kind)


def without(kind: str) -> Spoil:
    def spoil(records: list[CommittedRecord]) -> list[CommittedRecord]:
        del records[position(records, kind)]
        return records

    return spoil


def twice(kind: str) -> Spoil:
    return lambda records: [*records, records[position(records, kind)]]


def changed(kind: str, **data: Any) -> Spoil:
    """Return a spoil that gives the last event of a type other data."""

    def spoil(records: list[CommittedRecord]) -> list[CommittedRecord]:
        number = position(records, kind)
        event = orjson.loads(records[number].value or b"")
        records[number] = replace(records[number], value=orjson.dumps({**event, "data": {**event["data"], **data}}))
        return records

    return spoil


def emptied(_: list[CommittedRecord]) -> list[CommittedRecord]:
    return []


def doubled(records: list[CommittedRecord]) -> list[CommittedRecord]:
    return [*records, *records]


def other_letter(records: list[CommittedRecord]) -> list[CommittedRecord]:
    return [*records[1:], replace(records[0], value=b"other")]


cases: Final[tuple[tuple[Callable[[], History], str, Spoil, str], ...]] = (
    (leads, "lead.updates", without("lead.synced"), "nothing_lost"),
    (leads, "lead.updates", changed("lead.synced", outcome="failed"), "nothing_lost"),
    (leads, "lead.updates", changed("lead.synced", changes={}), "nothing_lost"),
    (leads, "lead.updates", changed("lead.synced", contact_id="other"), "no_stale_responses"),
    (leads, "lead.updates", changed("lead.synced", revision=99), "no_stale_responses"),
    (leads, "lead.updates", changed("lead.synced", calls={"search": 1_000}), "calls_reported"),
    (leads, "lead.updates", changed("lead.synced", timings_ms="none"), "contract"),
    (leads, "lead.updates", twice("lead.synced"), "once"),
    (leads, "lead.updates", twice("lead.synced"), "order"),
    (leads, "sync.progress", without("sync.answered"), "once"),
    (leads, "sync.progress", twice("sync.answered"), "once"),
    (leads, "sync.progress", changed("sync.answered", request_id="other"), "once"),
    (leads, "dead.letters", emptied, "dead_lettered"),
    (leads, "dead.letters", doubled, "dead_lettered"),
    (leads, "dead.letters", other_letter, "dead_lettered"),
    (leads, "processor.changelog", emptied, "journalled"),
    (leads, "processor.changelog", emptied, "nothing_lost"),
    (leads, "processor.changelog", emptied, "all_done"),
    (jobs, "lead.updates", without("lead.synced"), "no_lead_skipped"),
    (jobs, "lead.updates", without("lead.synced"), "adds_up"),
    (jobs, "sync.progress", without("sync.completed"), "ends_once"),
    (jobs, "sync.progress", twice("sync.started"), "ends_once"),
    (jobs, "sync.progress", twice("sync.completed"), "ends_once"),
    (jobs, "sync.progress", changed("sync.completed", request_id="other"), "ends_once"),
    (jobs, "sync.progress", changed("sync.completed", updated=1), "counts_grow"),
    (jobs, "sync.progress", changed("sync.completed", filled={}), "adds_up"),
    (jobs, "sync.progress", changed("sync.completed", calls_spent=0), "spent_calls_reported"),
    (jobs, "sync.progress", changed("sync.completed", messages_imported=1_000), "message_counts"),
    (jobs, "lead.messages", emptied, "none_missing"),
    (jobs, "lead.messages", twice("lead.message.imported"), "each_message_once"),
    (jobs, "lead.messages", changed("lead.message.imported", contact_id="other"), "no_foreign_messages"),
    (jobs, "lead.messages", changed("lead.message.imported", message={"id": "other"}), "no_foreign_messages"),
)


@pytest.mark.parametrize("history", [leads, jobs])
def test_a_clean_history_has_no_flaw(history: Callable[[], History]) -> None:
    assert objecting(history()) == set()
    assert [*unfinished(history())] == []


@pytest.mark.parametrize(
    ("history", "topic", "spoil", "checker"),
    cases,
    ids=[f"{number}-{topic}-{checker}" for number, (_, topic, _, checker) in enumerate(cases)],
)
def test_a_spoiled_history_is_objected_to(
    history: Callable[[], History], topic: str, spoil: Spoil, checker: str
) -> None:
    assert checker in objecting(spoiled(history(), topic, spoil))


@pytest.mark.parametrize("history", [leads, jobs])
def test_a_history_of_real_topics_is_judged_alike(history: Callable[[], History]) -> None:
    """A consumer returns no aborted records; apart from those, each publication is found again."""
    played = history()
    records = [
        Record(one.topic, one.partition, one.offset, one.timestamp_ms, one.key, one.value, one.headers)
        for place in played.records.values()
        for one in place
    ]
    read = of_topics(played.workload, records, played.arrivals, faults=played.faults, rate=played.rate)

    visible = {place: one for place, one in played.publications.items() if one.transaction != "aborted"}

    assert read.publications == visible
    assert objecting(read) == set()


@pytest.mark.parametrize("topic", ["lead.updates", "sync.progress", "dead.letters"])
def test_missing_output_is_unfinished(topic: str) -> None:
    assert [*unfinished(spoiled(leads(), topic, emptied))]


@pytest.mark.parametrize(
    ("arrivals", "checker"),
    [
        ([CallArrival(start_ms + 99 * each, "location-1", "GET", 200) for each in range(102)], "budget"),
        ([CallArrival(start_ms, "location-1", "POST /contacts/", 201)], "no_contact_made"),
    ],
)
def test_calls_that_may_not_be_are_objected_to(arrivals: list[CallArrival], checker: str) -> None:
    assert checker in objecting(replace(leads(), arrivals=arrivals))


def test_a_lead_with_open_work_is_objected_to() -> None:
    """The stored work of a lead is in its document as the changelog has it while the lead is being worked on."""
    history = leads()
    under_way = next(
        one
        for one in history.of_topic("processor.changelog")
        if (one.key or b"").startswith(b"lead ") and b'"work":{' in (one.value or b"")
    )
    waited_for = replace(
        under_way, value=(under_way.value or b"").replace(b'"work":{', b'"work":{"jobs":["job-0"],', 1)
    )

    found = objecting(spoiled(history, "processor.changelog", lambda records: [*records, waited_for]))

    assert found >= {"all_done", "no_work_left"}


@pytest.mark.parametrize(("since", "objected"), [(-50, False), (50, True)])
def test_a_question_is_repeated_while_it_is_asked_only_for_a_newer_sync(since: int, objected: bool) -> None:
    """The first call leaves so many ms after its lead's Sync; the second leaves while the first is in flight."""
    history = leads()
    lead = next(one for one in history.workload.leads if one.truth.requested_at)
    (synced, *_) = lead.truth.requested_at.values()
    taken = start_ms + synced + since
    asked = replace(
        history.calls[0],
        location=lead.location,
        asks=frozenset({f"{lead.id} email jane@example.com"}),
        taken=taken,
        until=taken + 200,
    )
    repeated = replace(asked, slot=asked.slot + 1, taken=taken + 100)

    assert objected == ("thrifty" in objecting(replace(history, calls=(asked, repeated))))


@pytest.mark.parametrize(
    ("headers", "logs"), [((("hydrant-detail", b"Jane0.0"),), {}), ((), {"worker": "JANE0.0 not found"})]
)
def test_personal_data_outside_of_payloads_is_objected_to(
    headers: tuple[tuple[str, bytes], ...], logs: Mapping[str, str]
) -> None:
    history = spoiled(leads(), "dead.letters", lambda records: [replace(records[0], headers=headers)])

    assert [*no_leak(history, logs, ("jane0.0",))]
    assert [*no_leak(leads(), {}, ("jane0.0",))] == []
