"""The kinds of leads. Each tells its tale, and knows how it ends."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import orjson

from .tale import Fields, Publication, Tale, hydratable, missing

unknown: Final = ("failed", "unknown_lead")
deleted: Final = ("failed", "lead_deleted")


def lacking(given: Fields, *names: str) -> dict[str, str]:
    return {name: value for name, value in given.items() if name not in names}


def outcomes(tale: Tale, *last: str | None) -> None:
    tale.truth.last = frozenset(last)


def maybe_sync(tale: Tale, share: float = 0.4, *said: tuple[str, str | None]) -> None:
    """Someone may ask about it, at about the same time or later."""
    if tale.random.random() < share:
        tale.later(0, tale.random.choice([5, 200, 5_000]))
        tale.sync(f"request-{tale.number}", *said)
        if tale.random.random() < 0.3:
            tale.later(0, 3_000)
            tale.sync(f"request-{tale.number}")  # pressed twice


# found at once


def complete(tale: Tale) -> None:
    person = tale.person()
    tale.change(1, {**person.fields, "contact_id": person.id}, person)
    if tale.random.random() < 0.4:
        outcomes(tale, "unchanged")
        maybe_sync(tale, 1.0)


def lacks_fields(tale: Tale) -> None:
    """Linked, with gaps: some that search fills, some that need a GET, some that HighLevel doesn't know either."""
    gaps = tale.random.sample(hydratable, tale.random.randint(2, 6))
    person = tale.person(lacks=gaps[:1])
    tale.change(1, {**lacking(person.fields, *gaps), "contact_id": person.id}, person)
    outcomes(tale, *({"updated"} if tale.truth.revisions[1].must else {"unchanged", None}))
    if not tale.truth.revisions[1].must:  # a Sync asks for more than a change does
        return
    maybe_sync(tale)


def lacks_time_zone(tale: Tale) -> None:
    """Only a GET knows it, and no change is worth one for it; a Sync is."""
    person = tale.person()
    tale.change(1, {**lacking(person.fields, "timezone"), "contact_id": person.id}, person)
    if tale.random.random() < 0.5:
        outcomes(tale, "updated")
        maybe_sync(tale, 1.0)


def lacks_contact(tale: Tale) -> None:
    person = tale.person()
    given = lacking(person.fields, *tale.random.sample(hydratable[1:], tale.random.choice([0, 3, 8])))
    email = tale.random.choice([person.fields["email"], f"  {person.fields['email'].upper()} "])
    tale.change(1, {**given, "email": email}, person)
    outcomes(tale, "updated")
    maybe_sync(tale)


def by_phone(tale: Tale) -> None:
    person = tale.person()
    tale.change(1, {"phone": "+1 " + person.fields["phone"][2:]}, person)
    outcomes(tale, "updated")
    maybe_sync(tale)


def several_but_one_phone(tale: Tale) -> None:
    person = tale.person(updated="2020-01-01T00:00:00.000Z")
    tale.person(email=person.fields["email"])
    tale.change(1, {"email": person.fields["email"], "phone": person.fields["phone"]}, person)
    outcomes(tale, "updated")
    maybe_sync(tale)


def several_of_one_person(tale: Tale) -> None:
    """Nothing says that they are different people: the newest is taken."""
    older = tale.person(updated="2024-01-01T00:00:00.000Z")
    person = tale.person(lacks=["phone"], email=older.fields["email"])
    tale.change(1, {"email": person.fields["email"]}, person)
    outcomes(tale, "updated")
    maybe_sync(tale)


def ambiguous(tale: Tale) -> None:
    email = tale.person().fields["email"]
    tale.person(email=email)
    tale.change(1, {"email": email}, None)
    outcomes(tale, "ambiguous")
    maybe_sync(tale)


# not found


def nobody(tale: Tale) -> None:
    tale.change(1, {"email": f"nobody-{tale.number}@example.com"}, None)
    outcomes(tale, "not_found")
    maybe_sync(tale)


def no_identity(tale: Tale) -> None:
    tale.change(1, {"first_name": "Jane"}, None)
    if tale.random.random() < 0.5:
        outcomes(tale, "not_found")
        maybe_sync(tale, 1.0, ("not_found", "no_identity"))


def young(tale: Tale) -> None:
    """Search doesn't know its contact yet."""
    person = tale.person(since=tale.at, indexed=tale.at + tale.random.choice([2_000, 9_000, 40_000]))
    tale.one_identity = False
    tale.change(1, {"email": person.fields["email"]}, person, old=False)
    outcomes(tale, "updated")
    maybe_sync(tale, 0.5, ("not_found", "may_lag"), ("updated", None))


def young_nobody(tale: Tale) -> None:
    tale.change(1, {"email": f"nobody-{tale.number}@example.com"}, None, old=False)
    outcomes(tale, "not_found")
    maybe_sync(tale, 0.5, ("not_found", "may_lag"), missing)


def loading(tale: Tale) -> None:
    """Recorded only, until someone asks or it changes."""
    person = tale.person()
    given = {"email": person.fields["email"]}
    tale.change(1, given, person, loading=True)
    tale.truth.revisions[1].must = {}
    if tale.random.random() < 0.5:
        outcomes(tale, "updated")
        maybe_sync(tale, 1.0)


# what changes


def changes_email(tale: Tale) -> None:
    """While HighLevel is being asked about the first one, more often than not."""
    tale.one_identity = False
    former, person = tale.person(), tale.person()
    tale.change(1, {"email": former.fields["email"]}, former)
    tale.later(0, 600)
    tale.change(2, {"email": person.fields["email"]}, person)
    outcomes(tale, "updated")
    maybe_sync(tale)


def changes_email_to_nobodys(tale: Tale) -> None:
    tale.one_identity = False
    former = tale.person()
    tale.change(1, {"email": former.fields["email"]}, former)
    tale.later(0, 600)
    tale.change(2, {"email": f"nobody-{tale.number}@example.com"}, None)
    outcomes(tale, "not_found")
    maybe_sync(tale, 0.3, missing, ("updated", None))


def out_of_order(tale: Tale) -> None:
    """The third revision overtakes the second, and comes twice."""
    tale.one_identity = False
    first, former, person = tale.person(), tale.person(), tale.person()
    if tale.random.random() < 0.5:
        tale.change(1, {"email": first.fields["email"]}, first)
        tale.later(0, 900)
    tale.change(3, {"email": person.fields["email"]}, person)
    tale.later(0, 900)
    tale.change(2, {"email": former.fields["email"]}, former)
    tale.later(0, 2_000)
    tale.again(3)
    outcomes(tale, "updated")
    maybe_sync(tale)


def edited(tale: Tale) -> None:
    """Many edits that change nothing of who it is."""
    person = tale.person()
    given = {"email": person.fields["email"]}
    for revision in range(1, 6):
        tale.change(revision, given, person)
        tale.later(0, 800)
        given = {**given, tale.random.choice(["city", "state", "sentiment"]): f"edited-{revision}"}
    outcomes(tale, "updated")
    maybe_sync(tale)


def gets_its_contact_from_upstream(tale: Tale) -> None:
    person = tale.person()
    given = lacking(person.fields, "first_name", "city")
    tale.change(1, given, person)
    tale.later(0, 1_500)
    tale.change(2, {**given, "contact_id": person.id}, person)
    outcomes(tale, "updated")
    maybe_sync(tale)


def is_deleted(tale: Tale) -> None:
    tale.one_identity = False
    person = tale.person()
    tale.change(1, {"email": person.fields["email"]}, person)
    tale.later(0, 800)
    if tale.random.random() < 0.5:
        tale.sync(f"request-{tale.number}-a", deleted, ("updated", None))
        tale.later(0, 800)
    tale.delete(2)
    tale.later(0, 500)
    tale.again(1)
    outcomes(tale, None, "updated", "failed")
    maybe_sync(tale, 0.6, deleted, ("updated", None))


def comes_back(tale: Tale) -> None:
    tale.one_identity = False
    former, person = tale.person(), tale.person()
    tale.change(1, {"email": former.fields["email"]}, former)
    tale.later(0, 800)
    tale.delete(2)
    tale.later(0, 800)
    tale.change(3, {"email": person.fields["email"]}, person)
    outcomes(tale, "updated")


def dead_link(tale: Tale) -> None:
    """Its contact is gone; by e-mail there is another one."""
    tale.one_identity = False
    gone, person = tale.person(gone=True), tale.person()
    given = lacking(person.fields, "first_name", *tale.random.sample(("city", "timezone", "website"), 1))
    tale.change(1, {**given, "contact_id": gone.id}, person)
    tale.truth.replaces = gone.id
    outcomes(tale, "updated")
    maybe_sync(tale, 0.4, ("updated", "contact_gone"))


def dead_link_nobody(tale: Tale) -> None:
    tale.one_identity = False
    gone = tale.person(gone=True)
    given = {"email": f"nobody-{tale.number}@example.com", "city": "Springfield"}
    tale.change(1, {**given, "contact_id": gone.id}, None)
    tale.truth.replaces = gone.id
    outcomes(tale, "not_found")
    maybe_sync(tale, 0.4, ("not_found", "contact_gone"))


# Syncs


def synced_unknown(tale: Tale) -> None:
    """Nobody ever told of this lead. That is known once lead.changes is read up to then, markers and all."""
    tale.sync(f"request-{tale.number}", unknown)
    outcomes(tale, "failed")
    tale.later(0, 12)
    tale.abort()


def synced_before_it_came(tale: Tale) -> None:
    """Waited for up to 10 s."""
    person = tale.person()
    tale.truth.excused = frozenset({unknown})
    outcomes(tale, "updated")
    tale.sync(f"request-{tale.number}")
    tale.later(0, 4_000)
    tale.change(1, {"email": person.fields["email"]}, person)


def synced_with_snapshot(tale: Tale) -> None:
    person = tale.person()
    tale.is_so(2, {"email": person.fields["email"]}, person)
    outcomes(tale, "updated")
    tale.sync(f"request-{tale.number}", lead=tale.snapshot(2))


def synced_too_late(tale: Tale) -> None:
    """Past its deadline on arrival: answered at once, and its snapshot counts as a change."""
    tale.one_identity = False
    person = tale.person()
    tale.is_so(2, {"email": person.fields["email"]}, person)
    outcomes(tale, "updated")
    tale.sync(f"request-{tale.number}", ("failed", "deadline"), late=True, lead=tale.snapshot(2))


def malformed(tale: Tale) -> None:
    reason, topic, value = tale.random.choice(broken)
    value = value.replace(b"HERE", tale.location.encode()).replace(b"NUMBER", str(tale.number).encode())
    tale.publications.append(Publication(tale.at, topic, tale.location, value, buried=reason))


def tombstone(tale: Tale) -> None:
    """A value of null is skipped."""
    tale.publications.append(Publication(tale.at, "lead.changes", tale.location, None))


def sent_home(tale: Tale) -> None:
    """A record that another shard re-homed: an event like any other."""
    lacks_contact(tale)
    tale.publications[0] = replace(
        tale.publications[0], headers=(*tale.publications[0].headers, ("hydrant-rehomed", b"1"))
    )


def malformed_request(tale: Tale) -> None:
    """Buried, and answered all the same."""
    request = f"request-{tale.number}"
    tale.truth.requests[request] = frozenset({("failed", "invalid")})
    outcomes(tale, "failed")
    data = {"location_id": tale.location, "lead_id": tale.lead, "request_id": request, "deadline_s": 0}
    envelope = {
        "specversion": "1.0",
        "id": f"bad-{tale.number}",
        "source": "upstream",
        "type": "sync.lead.requested",
        "data": data,
    }
    value = orjson.dumps(envelope)
    tale.publications.append(Publication(tale.at, "sync.requests", tale.location, value, buried="invalid_field"))


broken: Final = (
    ("not_json", "lead.changes", b"lead NUMBER"),
    ("not_json", "sync.requests", b'{"id": NUMBER, "id": 1}'),
    ("not_cloudevent", "lead.changes", b'["NUMBER"]'),
    ("not_cloudevent", "lead.changes", b'{"id": "x-NUMBER", "source": "upstream", "type": "lead.changed", "data": {}}'),
    (
        "unknown_type",
        "lead.changes",
        b'{"specversion": "1.0", "id": "x-NUMBER", "source": "u", "type": "lead.lost", "data": {}}',
    ),
    (
        "invalid_field",
        "lead.changes",
        b'{"specversion": "1.0", "id": "x-NUMBER", "source": "u", "type": "lead.changed",'
        b' "data": {"location_id": "HERE", "lead_id": "lead-NUMBER", "revision": "first"}}',
    ),
    (
        "invalid_field",
        "lead.changes",
        b'{"specversion": "1.0", "id": "x-NUMBER", "source": "u", "type": "lead.deleted"}',
    ),
)


def poisoned(tale: Tale) -> None:
    """HighLevel stumbles on its e-mail, alone or among others. It comes early: what is found meanwhile tells it from an
    outage."""
    tale.at = tale.begins // 5
    person = tale.person()
    tale.one_identity = False
    tale.poison.add(person.fields["email"].lower())
    tale.change(1, {"email": person.fields["email"]}, person)
    tale.truth.revisions[1].must = {}
    outcomes(tale, "failed")
    maybe_sync(tale, 0.3, ("failed", "unavailable"))


kinds: Final[Mapping[str, Callable[[Tale], None]]] = {
    kind.__name__: kind
    for kind in (
        complete,
        lacks_fields,
        lacks_time_zone,
        lacks_contact,
        by_phone,
        several_but_one_phone,
        several_of_one_person,
        ambiguous,
        nobody,
        no_identity,
        young,
        young_nobody,
        loading,
        changes_email,
        changes_email_to_nobodys,
        out_of_order,
        edited,
        gets_its_contact_from_upstream,
        is_deleted,
        comes_back,
        dead_link,
        dead_link_nobody,
        synced_unknown,
        synced_before_it_came,
        synced_with_snapshot,
        synced_too_late,
        malformed,
        malformed_request,
        tombstone,
        sent_home,
    )
}
odd: Final = {"poisoned": poisoned}  # only where they are asked for
