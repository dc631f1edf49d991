"""Kinds of leads that wait for a job, and what happens to their contacts while it runs."""

from collections.abc import Mapping
from dataclasses import replace

from .contact import Contact, ContactEdit, hydratable
from .found_kinds import without
from .kind import waiting_kind
from .lead import WorkloadLead
from .times import iso, never, since_1970


def loads(lead: WorkloadLead, known: Mapping[str, str], contact: Contact | None, *outcomes: str) -> None:
    """Publish it as an initial load. Only a job gives it one of these outcomes."""
    lead.change(1, known, contact, loading=True)
    lead.truth.revisions[1].must = {}
    lead.truth.job = frozenset(outcomes)
    lead.expect(None, *(outcome for outcome in outcomes if outcome != "unchanged"))


@waiting_kind
def waits(lead: WorkloadLead) -> None:
    contact = lead.contact()
    known = without(contact.fields, *lead.random.sample(hydratable[1:], lead.random.choice([0, 2, 8])))
    loads(lead, {**known, "email": contact.fields["email"]}, contact, "updated")


@waiting_kind
def waits_by_phone(lead: WorkloadLead) -> None:
    contact = lead.contact()
    loads(lead, {"phone": contact.fields["phone"]}, contact, "updated")


@waiting_kind
def waits_linked(lead: WorkloadLead) -> None:
    """Its contact is known and fills its gaps."""
    contact = lead.contact()
    loads(lead, {"contact_id": contact.id, "first_name": "Jane", "last_name": "McDoe"}, contact, "updated")


@waiting_kind
def waits_without_contact(lead: WorkloadLead) -> None:
    loads(lead, {"email": f"nobody-{lead.number}@example.com"}, None, "not_found")


@waiting_kind
def waits_nameless(lead: WorkloadLead) -> None:
    loads(lead, {"first_name": "Jane"}, None, "not_found")


@waiting_kind
def waits_in_doubt(lead: WorkloadLead) -> None:
    email = lead.contact().fields["email"]
    lead.contact(email=email)
    loads(lead, {"email": email}, None, "ambiguous")


@waiting_kind
def waits_complete(lead: WorkloadLead) -> None:
    contact = lead.contact()
    loads(lead, {**contact.fields, "contact_id": contact.id}, contact, "unchanged")


@waiting_kind
def shares_its_contact(lead: WorkloadLead) -> None:
    """Many leads have the same placeholder as e-mail, and so has one contact, or have two with different phones."""
    shared = lead.random.choice(["none", "info"])
    fields = {"email": f"{shared}@example.com", "phone": "+15559999998", "first_name": "No", "last_name": "Body"}
    contact = Contact(f"contact-{shared}-{lead.location}", lead.location, fields)
    lead.contacts.append(contact)
    if shared == "none":
        loads(lead, {"email": "none@example.com"}, contact, "updated")
        return
    other = replace(contact, id=f"contact-other-{lead.location}", fields={**fields, "phone": "+15559999999"})
    lead.contacts.append(other)
    loads(lead, {"email": "info@example.com"}, None, "ambiguous")


@waiting_kind
def has_an_additional_email(lead: WorkloadLead) -> None:
    """Only a scan finds its contact."""
    email = f"second-{lead.number}@example.com"
    contact = lead.contact(others=(email,))
    loads(lead, {"email": email}, contact, "updated", "not_found")


@waiting_kind
def is_edited(lead: WorkloadLead) -> None:
    """Its contact is edited while the job runs, and keeps its e-mail."""
    contact = lead.contact()
    fields = {**contact.fields, "city": "Shelbyville", "website": f"https://example.com/new/{lead.number}"}
    contact = change_contact(lead, contact, edits=(ContactEdit(moment(lead), fields),))
    loads(lead, {"email": contact.fields["email"]}, contact, "updated")
    lead.truth.revisions[1].also = frozenset(fields.items())


@waiting_kind
def loses_its_contact(lead: WorkloadLead) -> None:
    """The e-mail of its contact changes, so that it can't be found any more."""
    contact = lead.contact()
    edit = ContactEdit(moment(lead), {**contact.fields, "email": f"elsewhere-{lead.number}@example.com"})
    contact = change_contact(lead, contact, edits=(edit,))
    loads(lead, {"email": contact.fields["email"]}, contact, "updated", "not_found")
    lead.truth.findable = (0, edit.at + contact.lag)


@waiting_kind
def gains_its_contact(lead: WorkloadLead) -> None:
    """An older contact gets its e-mail."""
    contact = lead.contact()
    email = f"gained-{lead.number}@example.com"
    edit = ContactEdit(moment(lead), {**contact.fields, "email": email})
    contact = change_contact(lead, contact, edits=(edit,))
    loads(lead, {"email": email}, replace(contact, fields=edit.fields), "updated", "not_found")
    lead.truth.findable = (edit.at + contact.lag, never)


@waiting_kind
def gets_its_contact(lead: WorkloadLead) -> None:
    """Its contact is added while the job runs; search knows it a little later."""
    contact = lead.contact()
    since = moment(lead)
    contact = change_contact(lead, contact, since=since, updated_at=since)
    loads(lead, {"email": contact.fields["email"]}, contact, "updated", "not_found")
    lead.truth.findable = (contact.indexed, never)


@waiting_kind
def has_its_contact_deleted(lead: WorkloadLead) -> None:
    contact = change_contact(lead, lead.contact(), until=moment(lead))
    loads(lead, {"email": contact.fields["email"]}, contact, "updated", "not_found")
    lead.truth.findable, lead.truth.vanishes = (0, contact.until), contact.until + contact.lag


@waiting_kind
def has_its_contact_merged(lead: WorkloadLead) -> None:
    """Its contact is merged into another one, which has its e-mail from then on."""
    former, other = lead.contact(), lead.contact(lacks=["phone"])
    at = moment(lead)
    merged = ContactEdit(at, {**other.fields, "email": former.fields["email"]})
    former = change_contact(lead, former, until=at)
    other = change_contact(lead, other, edits=(merged,), lag=former.lag)
    loads(lead, {"email": former.fields["email"]}, former, "updated", "not_found")
    revision = lead.truth.revisions[1]
    revision.contacts |= {other.id}
    revision.also = frozenset({*merged.fields.items(), ("contact_id", other.id)})


@waiting_kind
def is_changed_meanwhile(lead: WorkloadLead) -> None:
    """Upstream changes it while the job runs."""
    lead.one_identity = False
    contact = lead.contact()
    loads(lead, {"email": contact.fields["email"]}, contact, "updated")
    lead.at = moment(lead)
    lead.change(2, {"email": contact.fields["email"], "city": "Springfield"}, contact)
    lead.expect("updated")


@waiting_kind
def is_another_meanwhile(lead: WorkloadLead) -> None:
    """Its e-mail changes to another contact's while the job runs."""
    lead.one_identity = False
    former, contact = lead.contact(), lead.contact()
    loads(lead, {"email": former.fields["email"]}, former, "updated")
    lead.at = moment(lead)
    lead.change(2, {"email": contact.fields["email"]}, contact)
    lead.expect("updated")


@waiting_kind
def is_deleted_meanwhile(lead: WorkloadLead) -> None:
    contact = lead.contact()
    loads(lead, {"email": contact.fields["email"]}, contact, "updated")
    lead.at = moment(lead)
    lead.delete(2)
    lead.expect(None, "updated")


@waiting_kind
def is_synced_meanwhile(lead: WorkloadLead) -> None:
    contact = lead.contact()
    loads(lead, {"email": contact.fields["email"]}, contact, "updated")
    lead.expect("updated")
    lead.at = moment(lead)
    lead.sync(f"request-{lead.number}", include_messages=True)


def moment(lead: WorkloadLead) -> int:
    """Draw a time at which jobs most likely run."""
    return lead.random.randint(2_000, lead.random.choice([8_000, 15_000, lead.lasts]))


def change_contact(lead: WorkloadLead, contact: Contact, updated_at: int | None = None, **more: object) -> Contact:
    """Replace a contact by one with these changes; search lags behind."""
    lag = lead.random.choice([0, 300, 2_000])
    more.setdefault("lag", lag)
    if updated_at is not None:
        more |= {"updated": iso(since_1970(updated_at)), "indexed": updated_at + lag}
        if lead.random.random() < 0.7:  # else it is imported, with the date of long ago
            more["added"] = since_1970(updated_at)
    changed = replace(contact, **more)  # type: ignore[arg-type]  # by name
    lead.contacts[lead.contacts.index(contact)] = changed
    return changed
