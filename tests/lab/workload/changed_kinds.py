"""Kinds of leads that upstream changes or deletes, and leads whose contact is gone."""

from .found_kinds import maybe_sync, without
from .ground_truth import lead_deleted, no_contact_found
from .kind import lead_kind
from .lead import WorkloadLead


@lead_kind("updated")
def changes_email(lead: WorkloadLead) -> None:
    """Its e-mail changes, most often while HighLevel is being asked about the first one."""
    lead.one_identity = False
    former, contact = lead.contact(), lead.contact()
    lead.change(1, {"email": former.fields["email"]}, former)
    lead.later(0, 600)
    lead.change(2, {"email": contact.fields["email"]}, contact)
    lead.expect("updated")
    maybe_sync(lead)


@lead_kind("updated", "not_found")
def changes_email_to_unknown(lead: WorkloadLead) -> None:
    lead.one_identity = False
    former = lead.contact()
    lead.change(1, {"email": former.fields["email"]}, former)
    lead.later(0, 600)
    lead.change(2, {"email": f"nobody-{lead.number}@example.com"}, None)
    lead.expect("not_found")
    maybe_sync(lead, 0.3, no_contact_found, ("updated", None))


@lead_kind("updated")
def out_of_order(lead: WorkloadLead) -> None:
    """The third revision overtakes the second, and comes twice."""
    lead.one_identity = False
    first, former, contact = lead.contact(), lead.contact(), lead.contact()
    if lead.random.random() < 0.5:
        lead.change(1, {"email": first.fields["email"]}, first)
        lead.later(0, 900)
    lead.change(3, {"email": contact.fields["email"]}, contact)
    lead.later(0, 900)
    lead.change(2, {"email": former.fields["email"]}, former)
    lead.later(0, 2_000)
    lead.republish(3)
    lead.expect("updated")
    maybe_sync(lead)


@lead_kind("updated")
def edited(lead: WorkloadLead) -> None:
    """Its identity stays the same through many edits."""
    contact = lead.contact()
    known = {"email": contact.fields["email"]}
    for revision in range(1, 6):
        lead.change(revision, known, contact)
        lead.later(0, 800)
        known = {**known, lead.random.choice(["city", "state", "sentiment"]): f"edited-{revision}"}
    lead.expect("updated")
    maybe_sync(lead)


@lead_kind("updated")
def gets_its_contact_from_upstream(lead: WorkloadLead) -> None:
    contact = lead.contact()
    known = without(contact.fields, "first_name", "city")
    lead.change(1, known, contact)
    lead.later(0, 1_500)
    lead.change(2, {**known, "contact_id": contact.id}, contact)
    lead.expect("updated")
    maybe_sync(lead)


@lead_kind("updated")
def is_deleted(lead: WorkloadLead) -> None:
    lead.one_identity = False
    contact = lead.contact()
    lead.change(1, {"email": contact.fields["email"]}, contact)
    lead.later(0, 800)
    if lead.random.random() < 0.5:
        lead.sync(f"request-{lead.number}-a", lead_deleted, ("updated", None))
        lead.later(0, 800)
    lead.delete(2)
    lead.later(0, 500)
    lead.republish(1)
    lead.expect(None, "updated", "failed")
    maybe_sync(lead, 0.6, lead_deleted, ("updated", None))


@lead_kind("updated")
def comes_back(lead: WorkloadLead) -> None:
    lead.one_identity = False
    former, contact = lead.contact(), lead.contact()
    lead.change(1, {"email": former.fields["email"]}, former)
    lead.later(0, 800)
    lead.delete(2)
    lead.later(0, 800)
    lead.change(3, {"email": contact.fields["email"]}, contact)
    lead.expect("updated")


@lead_kind("updated")
def dead_link(lead: WorkloadLead) -> None:
    """Its contact is gone; its e-mail finds another one."""
    lead.one_identity = False
    gone, contact = lead.contact(gone=True), lead.contact()
    known = without(contact.fields, "first_name", *lead.random.sample(("city", "timezone", "website"), 1))
    lead.change(1, {**known, "contact_id": gone.id}, contact)
    lead.truth.replaces = gone.id
    lead.expect("updated")
    maybe_sync(lead, 0.4, ("updated", "contact_gone"))


@lead_kind("not_found")
def dead_link_without_contact(lead: WorkloadLead) -> None:
    lead.one_identity = False
    gone = lead.contact(gone=True)
    known = {"email": f"nobody-{lead.number}@example.com", "city": "Springfield"}
    lead.change(1, {**known, "contact_id": gone.id}, None)
    lead.truth.replaces = gone.id
    lead.expect("not_found")
    maybe_sync(lead, 0.4, ("not_found", "contact_gone"))
