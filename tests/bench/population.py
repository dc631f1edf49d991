"""Make up a location's leads from the synthetic contacts that the sandbox holds of it, and the ground truth of each lead.

Upstream knows each lead by its contact's e-mail, some by another e-mail or by phone alone. HighLevel doesn't know a few of them.
No data is real.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from processor.sandbox.stored_contact import StoredContact
from processor.sandbox.synthetic_contacts import synthetic_contacts
from tests.bench.leads import Published, event, years_ago

given_by_search: Final = ("phone", "first_name", "last_name", "company_name", "city", "state", "postal_code")
lacking: Final = (*given_by_search, "timezone")  # but a name that HighLevel hasn't, and most phones
phoneless: Final = 3  # one lead in so many lacks its phone
aliased: Final = 2  # of contacts with a second e-mail one in so many is known to upstream by that one


@dataclass(frozen=True, slots=True)
class KnownLead:
    """Hold a lead as upstream publishes it, and the changes of its result: none if HighLevel doesn't know it."""

    lead: Mapping[str, Any]
    changes: Mapping[str, str]

    @property
    def id(self) -> str:
        return str(self.lead["lead_id"])


@dataclass(frozen=True, slots=True)
class Population:
    """Make so many leads of a location, taken evenly from all of its contacts."""

    location: str
    leads: int
    contacts: int
    by_second_email: bool = True  # a scan finds those, a search doesn't

    def __iter__(self) -> Iterator[KnownLead]:
        every = self.contacts // self.leads
        for number, contact in enumerate(islice(synthetic_contacts(self.location, self.leads * every), 0, None, every)):
            yield known_lead(self.location, number, contact, self.by_second_email)

    def newcomers(self, count: int) -> list[KnownLead]:
        """Return leads that lack their contact alone.

        Their contacts come after these: those of the next `2 * count` that have an e-mail.
        """
        everyone = synthetic_contacts(self.location, self.contacts + 2 * count)
        after = enumerate(islice(everyone, self.contacts, None), self.contacts)
        known = (newcomer(self.location, number, contact) for number, contact in after if contact.email)
        return list(islice(known, count))

    def loading(self) -> Iterator[Published]:
        for one in self:
            yield self.location, event("lead.changed", {**one.lead, "loading": True}, self.location, f"load-{one.id}")


def known_lead(location: str, number: int, contact: StoredContact, by_second_email: bool) -> KnownLead:
    email, phone, found = contact.email, contact.phone, True
    if by_second_email and contact.additional_emails and number % aliased == 0:
        email = contact.additional_emails[0]
    if email and number % phoneless == 0:
        phone = None
    if not email and not phone:
        email, found = f"unknown.{number}@example.com", False
    known = {"email": email and as_spelled(email, number), "phone": phone, "address": "1 Main St", "country": "US"}
    names = {
        "first_name": None if contact.first_name or not found else "Jane",
        "last_name": None if contact.last_name or not found else "McDoe",
    }
    return KnownLead(
        lead(location, number, {**known, **names, "website": "https://mcdoe.example.com"}),
        changes(contact, known | names) if found else {},
    )


def newcomer(location: str, number: int, contact: StoredContact) -> KnownLead:
    others = dict.fromkeys((*lacking, "address", "country", "website"), "known")
    return KnownLead(
        lead(location, number, {**others, "email": contact.email, "phone": contact.phone}), {"contact_id": contact.id}
    )


def lead(location: str, number: int, fields: Mapping[str, str | None]) -> dict[str, Any]:
    """Return the data of a `lead.changed`. Ids are shuffled, so that neighbours among contacts are far apart among leads."""
    id = f"lead-{number * 2_654_435_761 % 2**32:010d}"
    data = {"location_id": location, "lead_id": id, "revision": 1, "created_at": years_ago, "source": "website"}
    return {**data, **{name: value for name, value in fields.items() if value}}


def changes(contact: StoredContact, known: Mapping[str, str | None]) -> dict[str, str]:
    """Return the contact's fields that a search shows and the lead lacks."""
    values = {name: getattr(contact, name) for name in given_by_search}
    return {"contact_id": contact.id} | {name: value for name, value in values.items() if value and not known.get(name)}


def as_spelled(email: str, number: int) -> str:
    """Return the e-mail as upstream spells it, which now and then differs from HighLevel."""
    return (email, email.upper(), email.lower())[number % 3]
