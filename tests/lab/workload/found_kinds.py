"""Kinds of leads that a search finds, or doesn't find, without further events."""

from .contact import Fields, hydratable
from .ground_truth import Answer, no_contact_found
from .kind import lead_kind
from .lead import WorkloadLead


def without(known: Fields, *names: str) -> dict[str, str]:
    return {name: value for name, value in known.items() if name not in names}


def maybe_sync(lead: WorkloadLead, share: float = 0.4, *answers: Answer) -> None:
    """Publish a Sync with probability `share`, at about the same time or later."""
    if lead.random.random() < share:
        lead.later(0, lead.random.choice([5, 200, 5_000]))
        lead.sync(f"request-{lead.number}", *answers)
        if lead.random.random() < 0.3:
            lead.later(0, 3_000)
            lead.sync(f"request-{lead.number}")  # pressed twice


# found at once


@lead_kind("unchanged")
def complete(lead: WorkloadLead) -> None:
    contact = lead.contact()
    lead.change(1, {**contact.fields, "contact_id": contact.id}, contact)
    if lead.random.random() < 0.4:
        lead.expect("unchanged")
        maybe_sync(lead, 1.0)


@lead_kind("updated")
def lacks_fields(lead: WorkloadLead) -> None:
    """It is linked and has gaps: search fills some, some need a GET, and HighLevel doesn't know the first one."""
    gaps = lead.random.sample(hydratable, lead.random.randint(2, 6))
    contact = lead.contact(lacks=gaps[:1])
    lead.change(1, {**without(contact.fields, *gaps), "contact_id": contact.id}, contact)
    lead.expect(*({"updated"} if lead.truth.revisions[1].must else {"unchanged", None}))
    if not lead.truth.revisions[1].must:  # a Sync asks for more than a change does
        return
    maybe_sync(lead)


@lead_kind("unchanged", "updated")
def lacks_time_zone(lead: WorkloadLead) -> None:
    """Only a GET knows the time zone. A Sync is worth that GET, a change isn't."""
    contact = lead.contact()
    lead.change(1, {**without(contact.fields, "timezone"), "contact_id": contact.id}, contact)
    if lead.random.random() < 0.5:
        lead.expect("updated")
        maybe_sync(lead, 1.0)


@lead_kind("updated")
def lacks_contact(lead: WorkloadLead) -> None:
    contact = lead.contact()
    known = without(contact.fields, *lead.random.sample(hydratable[1:], lead.random.choice([0, 3, 8])))
    email = lead.random.choice([contact.fields["email"], f"  {contact.fields['email'].upper()} "])
    lead.change(1, {**known, "email": email}, contact)
    lead.expect("updated")
    maybe_sync(lead)


@lead_kind("updated")
def by_phone(lead: WorkloadLead) -> None:
    contact = lead.contact()
    lead.change(1, {"phone": "+1 " + contact.fields["phone"][2:]}, contact)
    lead.expect("updated")
    maybe_sync(lead)


@lead_kind("updated")
def several_but_one_phone(lead: WorkloadLead) -> None:
    contact = lead.contact(updated="2020-01-01T00:00:00.000Z")
    lead.contact(email=contact.fields["email"])
    lead.change(1, {"email": contact.fields["email"], "phone": contact.fields["phone"]}, contact)
    lead.expect("updated")
    maybe_sync(lead)


@lead_kind("updated")
def several_of_one_person(lead: WorkloadLead) -> None:
    """No field distinguishes its contacts: the newest one is right."""
    older = lead.contact(updated="2024-01-01T00:00:00.000Z")
    contact = lead.contact(lacks=["phone"], email=older.fields["email"])
    lead.change(1, {"email": contact.fields["email"]}, contact)
    lead.expect("updated")
    maybe_sync(lead)


@lead_kind("ambiguous")
def ambiguous(lead: WorkloadLead) -> None:
    email = lead.contact().fields["email"]
    lead.contact(email=email)
    lead.change(1, {"email": email}, None)
    lead.expect("ambiguous")
    maybe_sync(lead)


# not found


@lead_kind("not_found")
def no_contact(lead: WorkloadLead) -> None:
    lead.change(1, {"email": f"nobody-{lead.number}@example.com"}, None)
    lead.expect("not_found")
    maybe_sync(lead)


@lead_kind("not_found")
def no_identity(lead: WorkloadLead) -> None:
    lead.change(1, {"first_name": "Jane"}, None)
    if lead.random.random() < 0.5:
        lead.expect("not_found")
        maybe_sync(lead, 1.0, ("not_found", "no_identity"))


@lead_kind("updated", "not_found")
def young(lead: WorkloadLead) -> None:
    """Its contact is so new that search doesn't know it yet."""
    contact = lead.contact(since=lead.at, indexed=lead.at + lead.random.choice([2_000, 9_000, 40_000]))
    lead.one_identity = False
    lead.change(1, {"email": contact.fields["email"]}, contact, old=False)
    lead.expect("updated")
    maybe_sync(lead, 0.5, ("not_found", "may_lag"), ("updated", None))


@lead_kind("not_found")
def young_without_contact(lead: WorkloadLead) -> None:
    lead.change(1, {"email": f"nobody-{lead.number}@example.com"}, None, old=False)
    lead.expect("not_found")
    maybe_sync(lead, 0.5, ("not_found", "may_lag"), no_contact_found)


@lead_kind("updated")
def loading(lead: WorkloadLead) -> None:
    """It is recorded only, until a Sync asks for it."""
    contact = lead.contact()
    known = {"email": contact.fields["email"]}
    lead.change(1, known, contact, loading=True)
    lead.truth.revisions[1].must = {}
    if lead.random.random() < 0.5:
        lead.expect("updated")
        maybe_sync(lead, 1.0)
