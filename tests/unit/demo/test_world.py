"""The generator of the demo's data: deterministic, and its truth agrees with what its HighLevel knows, by DESIGN §3 and §7."""

import re
from collections import Counter

import orjson
import pytest

from processor.events.contract import EVENTS, SyncLeadRequested
from processor.sandbox.directory import Directory
from processor.sandbox.stored_contact import StoredContact
from tests.lab.demo.kinds import kinds
from tests.lab.demo.people import fields, names
from tests.lab.demo.truth import Case, Message
from tests.lab.demo.world import World, lines, usual_mix, world

now_ms = 1_780_000_000_000


@pytest.fixture(scope="module")
def made() -> World:
    return world(now_ms, locations=4, leads=150, syncs=40)


@pytest.fixture(scope="module")
def directory(made: World) -> Directory:
    """The simulator's, with all that HighLevel knows from the start."""
    loaded = Directory()
    for item in map(orjson.loads, lines(made)):
        if "contact" in item:
            loaded.add(item["location_id"], item["contact"])
    return loaded


def of_kind(world: World, kind: str) -> list[Case]:
    return [case for case in world.cases if case.kind == kind and case.messages]


def hits(directory: Directory, case: Case) -> list[StoredContact]:
    """What a search by the lead's e-mail finds."""
    email = case.data.get("email") or ""
    return list(directory.search_view(case.location, 0).by_email.find(email.strip().lower()))


def data(message: Message) -> dict[str, object]:
    read: dict[str, object] = orjson.loads(message.value)
    return read if message.headers else read["data"]  # type: ignore[return-value]  # JSON is untyped


# one world


def test_the_same_seed_gives_the_same_world(made: World) -> None:
    assert world(now_ms, locations=4, leads=150, syncs=40) == made


def test_another_seed_gives_another_world(made: World) -> None:
    assert world(now_ms, locations=4, leads=150, syncs=40, seed=1) != made


@pytest.mark.slow
def test_the_usual_size_has_its_leads_syncs_and_malformed_events() -> None:
    made = world(now_ms)

    told = [case for case in made.cases if case.messages]
    assert len(made.locations) == 20
    assert Counter(case.location for case in told).keys() == made.locations.keys()
    assert len(told) + len(made.malformed) - 1 == 20 * 500  # one of the Syncs is malformed, too
    assert len(made.syncs) == 40


def test_a_small_world_has_every_kind() -> None:
    made = world(now_ms, locations=1, leads=len(usual_mix), syncs=0)

    kinds_made = {case.kind for case in made.cases}
    assert len(kinds_made) == len(usual_mix) - 1
    assert len(made.malformed) == 1


def test_shares_are_kept() -> None:
    made = world(now_ms, locations=2, leads=100, syncs=0, mix={"complete": 3, "ambiguous": 1})

    assert Counter(case.kind for case in made.cases) == {"complete": 150, "ambiguous": 50}


def test_people_are_nobody(made: World) -> None:
    """Reserved domains and the telephone area 555 only."""
    told = b" ".join([*(message.value for step in made.script for message in step.changes), *lines(made)])

    assert set(re.findall(rb"@[\w.-]+", told.lower())) <= {b"@example.com", b"@example.org", b"@example.net"}
    assert set(re.findall(rb'"phone": ?"(\+1\D*\d{3})', told)) <= {b"+1555", b"+1 (555", b"+1 555", b"+1-555"}


def test_every_kind_is_explained() -> None:
    assert all(kind.__doc__ for kind in kinds.values())


# what is published


def test_events_keep_the_contract(made: World) -> None:
    wrong = {one.message for one in made.malformed}
    for step in made.script:
        for message in (*step.changes, *([step.sync] if step.sync else [])):
            if message not in wrong:
                said = data(message)
                kind = "sync.lead.requested" if "request_id" in said else "lead.changed"
                EVENTS["lead.deleted" if said.get("revision") == 5 else kind].model_validate(said)


def test_a_sync_asks_for_messages_unless_it_says_otherwise(made: World) -> None:
    asked = [
        SyncLeadRequested.model_validate(data(sync.message))
        for sync in made.syncs
        if not made_wrong(made, sync.message)
    ]

    assert [one.include_messages for one in asked] == [
        sync.messages for sync in made.syncs if not made_wrong(made, sync.message)
    ]


def test_ids_are_unique(made: World) -> None:
    contacts = [contact["id"] for _, contact in made.contacts()]
    assert len(contacts) == len(set(contacts))
    assert len({(case.location, case.lead) for case in made.cases}) == len(made.cases)
    assert len({one.digest for one in made.malformed}) == len(made.malformed)


def test_a_sync_comes_after_its_lead_was_told_of(made: World) -> None:
    told: set[str] = set()
    asked = {sync.message: sync for sync in made.syncs}
    known = {case.lead for case in made.cases if case.messages}
    for step in made.script:
        told |= {str(data(message).get("lead_id")) for message in step.changes if not made_wrong(made, message)}
        if step.sync and asked[step.sync].lead in known:
            assert asked[step.sync].lead in told


def made_wrong(made: World, message: Message) -> bool:
    return any(one.message == message for one in made.malformed)


def test_a_lead_is_told_of_in_the_order_of_its_revisions(made: World) -> None:
    order = [message for step in made.script for message in step.changes]
    for case in of_kind(made, "edited"):
        first, then = case.messages
        assert order.index(first) < order.index(then)


def test_a_late_contact_comes_with_its_lead(made: World) -> None:
    late = {contact["id"]: number for number, step in enumerate(made.script) for _, contact in step.late}
    steps = {message: number for number, step in enumerate(made.script) for message in (*step.changes, step.sync)}
    asked = {(sync.location, sync.lead): sync.message for sync in made.syncs}
    young = [case for case in made.cases if case.late]
    assert young
    for case in young:
        message = case.messages[0] if case.messages else asked[case.location, case.lead]
        assert late[case.late[0]["id"]] == steps[message]


def test_some_events_stray_some_come_twice_and_some_are_binary(made: World) -> None:
    published = [message for step in made.script for message in step.changes]
    counts = Counter(published)

    assert any(message.astray and not message.headers for message in published)
    assert any(times > 1 for times in counts.values())
    assert any(name == "ce_type" for message in published for name, _ in message.headers)


# the truth


def test_a_known_field_is_never_among_the_changes(made: World) -> None:
    for case in made.cases:
        for should in (*case.answers.values(), *([case.synced] if case.synced else [])):
            known = {name for name in fields if case.data.get(name)}
            assert not known & should.changes.keys()


def test_changes_are_what_the_contact_has(made: World) -> None:
    contacts = {contact["id"]: contact for _, contact in made.contacts()}
    theirs = {"first_name": "firstName", "company_name": "companyName", "address": "address1", "timezone": "timezone"}
    checked = 0
    for case in made.cases:
        for should in case.answers.values():
            contact = contacts.get(should.contact_id or "")
            for ours in should.changes.keys() & theirs.keys() if contact else ():
                assert contact is not None
                assert should.changes[ours] == contact[theirs[ours]]
                checked += 1
    assert checked > 100


def test_contacts_that_must_be_found_are_found(made: World, directory: Directory) -> None:
    for case in (*of_kind(made, "found by e-mail"), *of_kind(made, "found, lacks names")):
        assert [hit.id for hit in hits(directory, case)] == [case.answers[1].contact_id]
    for case in of_kind(made, "dead link, successor"):
        should = case.answers[1]
        assert [hit.id for hit in hits(directory, case)] == [should.contact_id]
        assert should.replaces == case.data["contact_id"]
        assert should.replaces not in directory.contacts


def test_contacts_that_must_not_be_found_are_not(made: World, directory: Directory) -> None:
    for kind in ("no such contact", "young, nobody", "young, indexed late", "dead link, nobody"):
        for case in of_kind(made, kind):
            assert hits(directory, case) == []


def test_hits_of_an_ambiguous_lead_disagree_and_none_has_its_phone(made: World, directory: Directory) -> None:
    for case in of_kind(made, "ambiguous"):
        phones = {hit.phone for hit in hits(directory, case)}
        assert len(phones) >= 2
        assert case.data.get("phone") not in phones


def test_the_hit_with_our_phone_is_the_oldest(made: World, directory: Directory) -> None:
    for case in of_kind(made, "one has our phone"):
        oldest = min(hits(directory, case), key=lambda hit: hit.updated)
        assert oldest.id == case.answers[1].contact_id
        assert oldest.phone == "+" + re.sub(r"\D", "", case.data["phone"])


def test_of_hits_that_agree_the_newest_is_right_then_the_smallest_id(made: World, directory: Directory) -> None:
    for case in of_kind(made, "several agree"):
        found = hits(directory, case)
        best = min(found, key=lambda hit: (-hit.updated, hit.id))
        assert len(found) > 1
        assert best.id == case.answers[1].contact_id
        assert len({re.sub(r"\D", "", hit.phone) for hit in found if hit.phone}) == 1


def test_a_phone_finds_who_has_no_usable_email(made: World, directory: Directory) -> None:
    for case in of_kind(made, "found by phone"):
        phone = "+" + re.sub(r"\D", "", case.data["phone"])
        found = directory.search_view(case.location, 0).by_phone.find(phone)
        assert [hit.id for hit in found] == [case.answers[1].contact_id]
        assert hits(directory, case) == []


def test_names_bring_the_time_zone_only_where_a_get_is_needed(made: World) -> None:
    """Search shows names as entered, or they cost a GET, which shows the time zone as well."""
    for case in of_kind(made, "missing names"):
        should = case.answers[1]
        assert set(names) <= should.changes.keys()
        if made.locations[case.location]:
            assert "timezone" not in should.changes
        elif not case.data.get("timezone") and case.contacts[0].get("timezone"):
            assert "timezone" in should.changes


def test_a_sync_fills_whatever_gap_the_contact_can(made: World) -> None:
    for sync in made.syncs:
        case = next(case for case in made.cases if case.lead == sync.lead)
        if sync.kind in ("missing fields", "found by e-mail", "only the time zone") and not case.data.get("timezone"):
            assert ("timezone" in sync.should.changes) == bool(case.contacts[0].get("timezone"))


def test_syncs_are_about_many_kinds(made: World) -> None:
    about = Counter(sync.kind for sync in made.syncs)

    assert about["unknown lead"] == about["malformed Sync"] == 1
    assert sum(not sync.messages for sync in made.syncs) == 1
    assert len(about) > 15
    assert sum(sync.repeat is not None for sync in made.syncs) == 1
    assert len({sync.request_id for sync in made.syncs}) == len(made.syncs)


def test_one_lead_is_synced_once_more_at_the_end(made: World) -> None:
    """By another request: what was imported must not be imported again."""
    (last,) = (sync for sync in made.syncs if sync.last)
    first, then = (sync for sync in made.syncs if sync.lead == last.lead)
    order = [step.sync for step in made.script if step.sync]

    assert then == last
    assert (first.should, first.messages, last.messages) == (last.should, True, True)
    assert order.index(last.message) > order.index(first.message)
    assert max(map(order.index, order)) - order.index(last.message) <= 1


def test_a_sync_of_a_young_lead_is_pressed_long_before_a_worker_is_killed(made: World) -> None:
    """Halfway: then its answer would come so late that search knows the contact."""
    asked = {sync.message: sync for sync in made.syncs}
    steps = [asked[step.sync].kind for step in made.script if step.sync and step.sync in asked]
    published = [sum(len(step.changes) for step in made.script[: number + 1]) for number in range(len(steps))]

    young = [at for at, kind in zip(published, steps, strict=True) if kind.startswith("young")]
    assert young
    assert max(young) < published[-1] / 5


def test_more_syncs_than_leads_are_refused() -> None:
    with pytest.raises(ValueError, match="too many"):
        world(now_ms, locations=1, leads=1, syncs=40)


def test_nothing_wanted_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing is wanted"):
        world(now_ms, mix={})
