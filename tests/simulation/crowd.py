"""Leads that wait for a job, and what happens to their contacts while it runs. Each kind tells its tale, and knows which
outcomes it may have in a job; `in_jobs` says so of the kinds that don't need one."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from .leads import lacking, outcomes
from .tale import Edit, Person, Tale, hydratable, iso, never, time

found: Final = frozenset({"updated"})
missing: Final = frozenset({"not_found"})
either: Final = found | missing
nothing_new: Final = frozenset({"unchanged"})

in_jobs: Final[Mapping[str, frozenset[str]]] = {  # the kinds of `leads.py`
    "complete": nothing_new,
    "lacks_fields": found,
    "lacks_time_zone": nothing_new | found,
    "lacks_contact": found,
    "by_phone": found,
    "several_but_one_phone": found,
    "several_of_one_person": found,
    "ambiguous": frozenset({"ambiguous"}),
    "nobody": missing,
    "no_identity": missing,
    "young": either,
    "young_nobody": missing,
    "loading": found,
    "changes_email": found,
    "changes_email_to_nobodys": either,
    "out_of_order": found,
    "edited": found,
    "gets_its_contact_from_upstream": found,
    "is_deleted": found,
    "comes_back": found,
    "dead_link": found,
    "dead_link_nobody": missing,
    "synced_before_it_came": found,
    "synced_with_snapshot": found,
    "synced_too_late": found,
    "sent_home": found,
}


def loads(tale: Tale, given: Mapping[str, str], person: Person | None, *said: str) -> None:
    """Recorded only; a job gives it one of these outcomes."""
    tale.change(1, given, person, loading=True)
    tale.truth.revisions[1].must = {}
    tale.truth.job = frozenset(said)
    outcomes(tale, None, *(one for one in said if one != "unchanged"))


def waits(tale: Tale) -> None:
    person = tale.person()
    given = lacking(person.fields, *tale.random.sample(hydratable[1:], tale.random.choice([0, 2, 8])))
    loads(tale, {**given, "email": person.fields["email"]}, person, "updated")


def waits_by_phone(tale: Tale) -> None:
    person = tale.person()
    loads(tale, {"phone": person.fields["phone"]}, person, "updated")


def waits_linked(tale: Tale) -> None:
    """Its contact is known, and can fill what it lacks."""
    person = tale.person()
    loads(tale, {"contact_id": person.id, "first_name": "Jane", "last_name": "McDoe"}, person, "updated")


def waits_for_nobody(tale: Tale) -> None:
    loads(tale, {"email": f"nobody-{tale.number}@example.com"}, None, "not_found")


def waits_nameless(tale: Tale) -> None:
    loads(tale, {"first_name": "Jane"}, None, "not_found")


def waits_in_doubt(tale: Tale) -> None:
    email = tale.person().fields["email"]
    tale.person(email=email)
    loads(tale, {"email": email}, None, "ambiguous")


def waits_complete(tale: Tale) -> None:
    person = tale.person()
    loads(tale, {**person.fields, "contact_id": person.id}, person, "unchanged")


def shares_its_contact(tale: Tale) -> None:
    """Many leads have the same placeholder for an e-mail, and so has a contact, or have several that differ."""
    shared = tale.random.choice(["none", "info"])
    fields = {"email": f"{shared}@example.com", "phone": "+15559999998", "first_name": "No", "last_name": "Body"}
    person = Person(f"contact-{shared}-{tale.location}", tale.location, fields)
    tale.people.append(person)
    if shared == "none":
        loads(tale, {"email": "none@example.com"}, person, "updated")
        return
    other = replace(person, id=f"contact-other-{tale.location}", fields={**fields, "phone": "+15559999999"})
    tale.people.append(other)
    loads(tale, {"email": "info@example.com"}, None, "ambiguous")


def has_an_additional_email(tale: Tale) -> None:
    """Only a scan can find it."""
    email = f"second-{tale.number}@example.com"
    person = tale.person(others=(email,))
    loads(tale, {"email": email}, person, "updated", "not_found")


def is_edited(tale: Tale) -> None:
    """Its contact is, while it is looked for; and stays the same person."""
    person = tale.person()
    fields = {**person.fields, "city": "Shelbyville", "website": f"https://example.com/new/{tale.number}"}
    person = changes(tale, person, edits=(Edit(moment(tale), fields),))
    loads(tale, {"email": person.fields["email"]}, person, "updated")
    tale.truth.revisions[1].also = frozenset(fields.items())


def loses_its_contact(tale: Tale) -> None:
    """Another e-mail is entered for the contact."""
    person = tale.person()
    edit = Edit(moment(tale), {**person.fields, "email": f"elsewhere-{tale.number}@example.com"})
    person = changes(tale, person, edits=(edit,))
    loads(tale, {"email": person.fields["email"]}, person, "updated", "not_found")
    tale.truth.findable = (0, edit.at + person.lag)


def gains_its_contact(tale: Tale) -> None:
    """Its e-mail is entered for a contact that was there before."""
    person = tale.person()
    email = f"gained-{tale.number}@example.com"
    edit = Edit(moment(tale), {**person.fields, "email": email})
    person = changes(tale, person, edits=(edit,))
    loads(tale, {"email": email}, replace(person, fields=edit.fields), "updated", "not_found")
    tale.truth.findable = (edit.at + person.lag, never)


def gets_its_contact(tale: Tale) -> None:
    """The contact is added, and search hears of it a little later."""
    person = tale.person()
    since = moment(tale)
    person = changes(tale, person, since=since, updated_at=since)
    loads(tale, {"email": person.fields["email"]}, person, "updated", "not_found")
    tale.truth.findable = (person.indexed, never)


def has_its_contact_deleted(tale: Tale) -> None:
    person = changes(tale, tale.person(), until=moment(tale))
    loads(tale, {"email": person.fields["email"]}, person, "updated", "not_found")
    tale.truth.findable, tale.truth.vanishes = (0, person.until), person.until + person.lag


def has_its_contact_merged(tale: Tale) -> None:
    """Into another one, which has its e-mail from then on."""
    former, other = tale.person(), tale.person(lacks=["phone"])
    at = moment(tale)
    merged = Edit(at, {**other.fields, "email": former.fields["email"]})
    former = changes(tale, former, until=at)
    other = changes(tale, other, edits=(merged,), lag=former.lag)
    loads(tale, {"email": former.fields["email"]}, former, "updated", "not_found")
    revision = tale.truth.revisions[1]
    revision.contacts |= {other.id}
    revision.also = frozenset({*merged.fields.items(), ("contact_id", other.id)})


def is_changed_meanwhile(tale: Tale) -> None:
    """Upstream tells more of it while the job looks for it: work of its own."""
    tale.one_identity = False
    person = tale.person()
    loads(tale, {"email": person.fields["email"]}, person, "updated")
    tale.at = moment(tale)
    tale.change(2, {"email": person.fields["email"], "city": "Springfield"}, person)
    outcomes(tale, "updated")


def is_another_meanwhile(tale: Tale) -> None:
    """Its e-mail becomes another one's while the job looks for it."""
    tale.one_identity = False
    former, person = tale.person(), tale.person()
    loads(tale, {"email": former.fields["email"]}, former, "updated")
    tale.at = moment(tale)
    tale.change(2, {"email": person.fields["email"]}, person)
    outcomes(tale, "updated")


def is_deleted_meanwhile(tale: Tale) -> None:
    person = tale.person()
    loads(tale, {"email": person.fields["email"]}, person, "updated")
    tale.at = moment(tale)
    tale.delete(2)
    outcomes(tale, None, "updated")


def is_synced_meanwhile(tale: Tale) -> None:
    person = tale.person()
    loads(tale, {"email": person.fields["email"]}, person, "updated")
    outcomes(tale, "updated")
    tale.at = moment(tale)
    tale.sync(f"request-{tale.number}", include_messages=True)


def moment(tale: Tale) -> int:
    """While jobs run, most likely."""
    return tale.random.randint(2_000, tale.random.choice([8_000, 15_000, tale.lasts]))


def changes(tale: Tale, person: Person, updated_at: int | None = None, **more: object) -> Person:
    """What happens to a contact that was told of before; search lags behind."""
    lag = tale.random.choice([0, 300, 2_000])
    more.setdefault("lag", lag)
    if updated_at is not None:
        more |= {"updated": iso(time(updated_at)), "indexed": updated_at + lag}
        if tale.random.random() < 0.7:  # else it is imported, with the date of long ago
            more["added"] = time(updated_at)
    changed = replace(person, **more)  # type: ignore[arg-type]  # by name
    tale.people[tale.people.index(person)] = changed
    return changed


crowd: Final[Mapping[str, Callable[[Tale], None]]] = {
    kind.__name__: kind
    for kind in (
        waits,
        waits_by_phone,
        waits_linked,
        waits_for_nobody,
        waits_nameless,
        waits_in_doubt,
        waits_complete,
        shares_its_contact,
        has_an_additional_email,
        is_edited,
        loses_its_contact,
        gains_its_contact,
        gets_its_contact,
        has_its_contact_deleted,
        has_its_contact_merged,
        is_changed_meanwhile,
        is_another_meanwhile,
        is_deleted_meanwhile,
        is_synced_meanwhile,
    )
}
