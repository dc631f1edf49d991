"""What was said in the demo's world: its truth agrees with what the simulator exports, by DESIGN §3 and contract.md §5."""

from collections import Counter
from random import Random
from typing import Any

import orjson
import pytest

from processor.events.outputs import LeadMessageImported
from processor.sandbox.directory import Directory
from processor.sandbox.json_values import parse_time_ms
from processor.sandbox.message_export import export_page, parse_export
from tests.lab.demo.sms import body_limit, conversation, of_a_sync
from tests.lab.demo.sms import types as family
from tests.lab.demo.truth import Case, Sms
from tests.lab.demo.world import World, lines, world

now_ms = 1_780_000_000_000
leads = 2_000


@pytest.fixture(scope="module")
def made() -> World:
    return world(now_ms, locations=4, leads=150, syncs=40, sync_all=leads)


@pytest.fixture(scope="module")
def exported(made: World) -> dict[str, dict[str, Any]]:
    """Location → what the simulator's export shows of it with `channel=SMS`, by message id."""
    directory = Directory()
    for item in map(orjson.loads, lines(made)):
        if "message" in item:
            directory.add_message(item["location_id"], item["message"])
    shown: dict[str, dict[str, Any]] = {}
    for place in made.locations:
        whole, cursor = shown.setdefault(place, {}), ""
        while cursor is not None:
            query = f"locationId={place}&limit=500&channel=SMS&sortOrder=asc{cursor and f'&cursor={cursor}'}"
            location = directory.location(place)
            page = export_page(parse_export(query), location.history, location.cursors, now_ms * 1_000, 120.0).as_json()
            whole.update((message["id"], message) for message in page["messages"])
            cursor = page["nextCursor"]
    return shown


def cases(made: World) -> list[Case]:
    return [*made.cases, *(made.sync_all.cases if made.sync_all else ())]


def synced(made: World) -> set[tuple[str, str]]:
    return {(sync.location, sync.lead) for sync in made.syncs}


def count_of(case: Case) -> Counter[str]:
    """SMS by contact."""
    return Counter(one.contact for one in case.sms if one.message)


@pytest.mark.slow
def test_the_same_seed_says_the_same(made: World) -> None:
    again = world(now_ms, locations=4, leads=150, syncs=40, sync_all=leads)
    other = world(now_ms, locations=4, leads=150, syncs=40, sync_all=leads, seed=1)

    assert list(again.sms()) == list(made.sms())
    assert list(other.sms()) != list(made.sms())


def test_ids_are_unique(made: World) -> None:
    ids = [one.shown["id"] for _, one in made.sms()]

    assert len(ids) == len(set(ids))


def test_whoever_is_synced_has_up_to_six_others_now_and_then_some(made: World) -> None:
    asked = synced(made)
    of_syncs = [count_of(case)[id] for case in made.cases if (case.location, case.lead) in asked for id in ids(case)]
    of_others = [
        count_of(case)[id] for case in cases(made) if (case.location, case.lead) not in asked for id in ids(case)
    ]

    assert set(of_syncs) == set(range(of_a_sync + 1))
    assert set(of_others) == set(range(6))
    assert 0.08 < sum(map(bool, of_others)) / len(of_others) < 0.12


def ids(case: Case) -> set[str]:
    return {contact["id"] for contact in (*case.contacts, *case.late)} | {case.data.get("contact_id") or ""} - {""}


def test_who_asks_for_no_messages_could_have_some(made: World) -> None:
    (sync,) = (sync for sync in made.syncs if not sync.messages)
    case = next(case for case in made.cases if case.lead == sync.lead)

    assert case.due_of(sync.should.contact_id) != {}


@pytest.mark.slow
def test_an_export_of_the_usual_location_is_a_handful_of_pages() -> None:
    made = world(now_ms, locations=1, leads=20, syncs=0, sync_all=20_000)

    assert made.sync_all
    assert 5 <= sum(one.message is not None for _, one in made.sync_all.sms()) / 500 <= 20


def test_what_is_sms_is_exported_and_nothing_else(made: World, exported: dict[str, dict[str, Any]]) -> None:
    right: dict[str, set[str]] = {location: set() for location in made.locations}
    for location, one in made.sms():
        right[location] |= {one.shown["id"]} if one.message else set()

    assert {location: set(shown) for location, shown in exported.items()} == right
    assert any(one.message is None for _, one in made.sms())


def test_each_message_is_as_its_export_shows_it(made: World, exported: dict[str, dict[str, Any]]) -> None:
    """Absent is null, and a type has one spelling."""
    for case in cases(made):
        for one in case.sms:
            if one.message:
                shown = exported[case.location][one.message["id"]]
                type = shown["messageType"]
                assert one.message == {
                    "id": shown["id"],
                    "direction": shown["direction"],
                    "type": "TYPE_SMS" if type == "SMS" else type,
                    "body": cut(shown.get("body")),
                    "status": shown["status"],
                    "sent_at": shown["dateAdded"],
                    "conversation_id": shown["conversationId"],
                    "attachments": list(shown["attachments"]),
                    "source": shown.get("source"),
                    "user_id": shown.get("userId"),
                }
                assert shown["contactId"] == one.contact


def cut(body: str | None) -> str | None:
    """By whole characters, as long as they fit."""
    while body and len(body.encode()) > 65_536:
        body = body[:-1]
    return body


def test_what_is_due_keeps_the_contract(made: World) -> None:
    checked = 0
    for case in cases(made):
        for contact in ids(case):
            for id, data in case.due_of(contact).items():
                said = LeadMessageImported.model_validate(data)
                assert (said.lead_id, said.contact_id, said.message.id) == (case.lead, contact, id)
                checked += 1
    assert checked > 500


def test_it_holds_its_traps() -> None:
    """Two spellings, an unknown type, no words, more than fits, the same millisecond, the last ten minutes."""
    said = conversation("location-01", "contact-1", 3_000, now_ms, Random(0))

    times = [parse_time_ms(one.shown["dateAdded"]) for one in said]
    sms = [one.message for one in said if one.message]
    assert len(sms) == 3_000
    assert {one.shown["messageType"] for one in said if one.message} == set(family)
    assert any(message["body"] is None and message["attachments"] for message in sms)
    assert any(len((message["body"] or "").encode()) > body_limit - 4 for message in sms)
    assert max(Counter(times).values()) > 1
    assert now_ms - 600_000 < max(times) < now_ms
    assert sorted(times) != times


def test_messages_of_the_dead_and_of_strangers_are_there_to_be_left_alone(made: World) -> None:
    assert made.sync_all
    dead = [one for case in cases(made) if case.kind.startswith("dead") for one in gone(case)]

    assert dead != []
    assert made.sync_all.overheard != []


def gone(case: Case) -> list[Sms]:
    there = {contact["id"] for contact in case.contacts}
    return [one for one in case.sms if one.contact not in there and one.message]
