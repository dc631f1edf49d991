"""The location that is synced as a whole: its truth agrees with what the simulator knows, by DESIGN §3 and §7."""

import re
from collections import Counter

import orjson
import pytest

from processor.events.contract import EVENTS, LeadChanged
from processor.sandbox.directory import Directory
from processor.sandbox.stored_contact import StoredContact
from tests.lab.demo.people import fields
from tests.lab.demo.sync_all import SyncAll, usual_mix
from tests.lab.demo.truth import Case
from tests.lab.demo.world import World, lines, world

now_ms = 1_780_000_000_000
leads = 2_000


@pytest.fixture(scope="module")
def made() -> World:
    return world(now_ms, locations=1, leads=40, syncs=2, sync_all=leads)


@pytest.fixture(scope="module")
def job(made: World) -> SyncAll:
    assert made.sync_all
    return made.sync_all


@pytest.fixture(scope="module")
def contacts(made: World, job: SyncAll) -> list[StoredContact]:
    """The simulator's, of this location."""
    directory = Directory()
    for item in map(orjson.loads, lines(made)):
        if "contact" in item:
            directory.add(item["location_id"], item["contact"])
    return list(directory.search_view(job.location, 0).by_id.values())


def of_kind(job: SyncAll, kind: str) -> list[Case]:
    found = [case for case in job.cases if case.kind == kind]
    assert found
    return found


def email_of(case: Case) -> str:
    return str(case.data.get("email") or "").strip().lower()


def by_email(contacts: list[StoredContact]) -> dict[str, list[StoredContact]]:
    """By primary e-mail."""
    found: dict[str, list[StoredContact]] = {}
    for contact in contacts:
        found.setdefault((contact.email or "").lower(), []).append(contact)
    return found


def by_other_email(contacts: list[StoredContact]) -> dict[str, list[StoredContact]]:
    found: dict[str, list[StoredContact]] = {}
    for contact in contacts:
        for email in contact.additional_emails:
            found.setdefault(email.lower(), []).append(contact)
    return found


# one world


def test_the_same_seed_gives_the_same_world(made: World) -> None:
    assert world(now_ms, locations=1, leads=40, syncs=2, sync_all=leads) == made


def test_a_world_without_it_is_otherwise_the_same(made: World) -> None:
    without = world(now_ms, locations=1, leads=40, syncs=2)

    assert without.sync_all is None
    assert without.cases == made.cases
    assert without.script == made.script
    assert {**without.locations, "location-02": True} == made.locations


def test_it_is_a_location_of_its_own(made: World, job: SyncAll) -> None:
    assert job.location == "location-02"
    assert {case.location for case in job.cases} == {job.location}
    assert job.location not in {case.location for case in made.cases}


def test_it_has_its_leads_of_every_kind_and_more_contacts_than_leads(
    job: SyncAll, contacts: list[StoredContact]
) -> None:
    assert len(job.cases) == leads
    assert len({case.kind for case in job.cases}) == len(usual_mix)
    assert len(contacts) > leads


def test_nobody_shares_an_id_an_email_or_a_phone_by_chance(made: World) -> None:
    """With whom a lead shares what it is found by is its kind's to say."""
    ids = [contact["id"] for _, contact in made.contacts()]
    assert len(ids) == len(set(ids))
    strangers = made.sync_all.strangers if made.sync_all else ()
    assert len({contact["email"].lower() for contact in strangers}) == len(strangers) == leads // 20
    ours = {email_of(case) for case in made.sync_all.cases} if made.sync_all else set()
    assert not ours & {contact["email"].lower() for contact in strangers}


def test_people_are_nobody(made: World, job: SyncAll) -> None:
    """Reserved domains and the telephone area 555 only."""
    told = b" ".join([*(message.value for case in job.cases for message in case.messages), *lines(made)])

    assert set(re.findall(rb"@[\w.-]+", told.lower())) <= {b"@example.com", b"@example.org", b"@example.net"}
    assert set(re.findall(rb'"phone": ?"(\+1\D*\d{3})', told)) <= {b"+1555", b"+1 (555", b"+1 555", b"+1-555"}


@pytest.mark.slow
def test_more_than_a_page_of_contacts_may_have_come_at_once() -> None:
    """A scan is sorted by this time: of the usual size, an import fills more than a page of 500."""
    made = world(now_ms, locations=1, leads=20, syncs=0, sync_all=20_000)

    assert made.sync_all
    came = Counter(contact["dateAdded"] for _, contact in made.sync_all.contacts())
    assert came.most_common(1)[0][1] > 500
    assert len(came) > 15_000


# what is published


def test_its_leads_are_brought_in_by_loading(job: SyncAll) -> None:
    for case in job.cases:
        (message,) = case.messages
        said = orjson.loads(message.value)
        lead = LeadChanged.model_validate(said if message.headers else said["data"])
        assert (lead.loading, lead.lead_id, lead.revision) == (True, case.lead, 1)
        assert message.topic == "lead.changes"
        assert case.answers == {}


def test_the_request_keeps_the_contract(job: SyncAll) -> None:
    event = orjson.loads(job.request.value)

    assert (job.request.topic, job.request.location) == ("sync.requests", job.location)
    assert event["type"] == "sync.location.requested"
    asked = EVENTS[event["type"]].model_validate(event["data"])
    wanted = {"request_id": job.request_id, "location_id": job.location, "include_messages": True}
    assert wanted.items() <= asked.model_dump().items()


# the truth


def test_a_known_field_is_never_among_the_changes(job: SyncAll) -> None:
    for case in job.cases:
        known = {name for name in fields if case.data.get(name)}
        for should in (*case.scanned, *case.probed):
            assert not known & should.changes.keys()


def test_changes_are_what_the_contact_has(job: SyncAll, contacts: list[StoredContact]) -> None:
    """A search payload never has the time zone; only a GET does, and none is made of a contact that is there."""
    by_id = {contact.id: contact for contact in contacts}
    checked = 0
    for case in job.cases:
        for name, value in case.scanned[0].changes.items():
            if name != "contact_id":
                assert value == getattr(by_id[case.scanned[0].contact_id or ""], name)
                assert name != "timezone" or case.scanned[0].replaces
                checked += 1
    assert checked > leads


def test_who_must_be_found_is_found_by_one_primary_email(job: SyncAll, contacts: list[StoredContact]) -> None:
    found = by_email(contacts)
    for kind in ("found by e-mail", "found, lacks names", "dead link, successor", "primary before additional"):
        for case in of_kind(job, kind):
            assert [hit.id for hit in found[email_of(case)]] == [case.scanned[0].contact_id]


def test_who_must_not_be_found_is_in_no_contact(job: SyncAll, contacts: list[StoredContact]) -> None:
    found = by_email(contacts).keys() | by_other_email(contacts).keys()
    for case in (*of_kind(job, "nobody to find"), *of_kind(job, "dead link, nobody")):
        assert case.scanned[0].outcome == "not_found"
        assert not email_of(case) or email_of(case) not in found


def test_an_additional_email_is_found_by_a_scan_only(job: SyncAll, contacts: list[StoredContact]) -> None:
    primary, others = by_email(contacts), by_other_email(contacts)
    for case in of_kind(job, "only by additional e-mail"):
        (scanned,), (probed,) = case.scanned, case.probed
        assert email_of(case) not in primary
        assert [hit.id for hit in others[email_of(case)]] == [scanned.contact_id]
        assert (scanned.outcome, scanned.resolved_by, probed.outcome) == ("updated", "scan", "not_found")


def test_a_primary_email_comes_before_a_newer_additional_one(job: SyncAll, contacts: list[StoredContact]) -> None:
    others = by_other_email(contacts)
    by_id = {contact.id: contact for contact in contacts}
    for case in of_kind(job, "primary before additional"):
        (other,) = others[email_of(case)]
        right = by_id[case.scanned[0].contact_id or ""]
        assert other.id != right.id
        assert other.updated > right.updated


def test_a_phone_finds_who_has_no_usable_email(job: SyncAll, contacts: list[StoredContact]) -> None:
    phones = {contact.phone: contact.id for contact in contacts}
    for case in of_kind(job, "found by phone"):
        assert phones["+" + re.sub(r"\D", "", case.data["phone"])] == case.scanned[0].contact_id
        assert [should.resolved_by for should in (*case.scanned, *case.probed)] == ["phone", "phone"]


def test_duplicates_agree_or_not(job: SyncAll, contacts: list[StoredContact]) -> None:
    found = by_email(contacts)
    for kind, agree in (("several agree", True), ("ambiguous", False)):
        for case in of_kind(job, kind):
            phones = {re.sub(r"\D", "", hit.phone) for hit in found[email_of(case)] if hit.phone}
            assert len(found[email_of(case)]) > 1
            assert (len(phones) == 1) == agree


def test_unchanged_leads_are_linked_already_and_say_nothing(job: SyncAll) -> None:
    for case in job.cases:
        should = case.scanned[0]
        assert case.speaks_in_job == (should.outcome != "unchanged")
        if should.outcome == "unchanged":
            assert case.data["contact_id"] == should.contact_id


def test_those_that_need_no_search_are_told_apart(job: SyncAll) -> None:
    """They lack nothing, or there is nothing to search by."""
    idle = [case for case in job.cases if not case.looked_up]

    assert {case.kind for case in idle} == {"complete", "nothing to search by"}
    assert job.looked_up == leads - len(idle)
    assert all(all(case.data.get(name) for name in fields) for case in idle if case.kind == "complete")
