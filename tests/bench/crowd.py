"""A location's leads, made from the synthetic contacts that the sandbox holds of it, and what must become of each of them.

Upstream knows each lead by its contact's e-mail, some by another e-mail or by phone alone, few of them as nobody HighLevel
knows. Nobody's data.
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
class Told:
    """A lead as upstream tells of it, and its fields that must be found; none: HighLevel doesn't know it."""

    lead: Mapping[str, Any]
    changes: Mapping[str, str]

    @property
    def id(self) -> str:
        return str(self.lead["lead_id"])


@dataclass(frozen=True, slots=True)
class Crowd:
    """`leads` of a location of so many `contacts`, evenly from all of them."""

    location: str
    leads: int
    contacts: int
    by_second_email: bool = True  # a scan finds those, a search doesn't

    def __iter__(self) -> Iterator[Told]:
        every = self.contacts // self.leads
        for number, contact in enumerate(islice(synthetic_contacts(self.location, self.leads * every), 0, None, every)):
            yield told(self.location, number, contact, self.by_second_email)

    def newcomers(self, count: int) -> list[Told]:
        """Leads that lack nothing but their contact, of contacts that come after these: of the next `2 * count` such as have
        an e-mail."""
        everyone = synthetic_contacts(self.location, self.contacts + 2 * count)
        after = enumerate(islice(everyone, self.contacts, None), self.contacts)
        known = (fresh(self.location, number, contact) for number, contact in after if contact.email)
        return list(islice(known, count))

    def loading(self) -> Iterator[Published]:
        for one in self:
            yield self.location, event("lead.changed", {**one.lead, "loading": True}, self.location, f"load-{one.id}")


def told(location: str, number: int, contact: StoredContact, by_second_email: bool) -> Told:
    email, phone, found = contact.email, contact.phone, True
    if by_second_email and contact.additional_emails and number % aliased == 0:
        email = contact.additional_emails[0]
    if email and number % phoneless == 0:
        phone = None
    if not email and not phone:
        email, found = f"nobody.{number}@example.com", False
    known = {"email": email and written(email, number), "phone": phone, "address": "1 Main St", "country": "US"}
    names = {
        "first_name": None if contact.first_name or not found else "Jane",
        "last_name": None if contact.last_name or not found else "McDoe",
    }
    return Told(
        lead(location, number, {**known, **names, "website": "https://mcdoe.example.com"}),
        changes(contact, known | names) if found else {},
    )


def fresh(location: str, number: int, contact: StoredContact) -> Told:
    others = dict.fromkeys((*lacking, "address", "country", "website"), "known")
    return Told(
        lead(location, number, {**others, "email": contact.email, "phone": contact.phone}), {"contact_id": contact.id}
    )


def lead(location: str, number: int, fields: Mapping[str, str | None]) -> dict[str, Any]:
    """The data of a `lead.changed`. Ids are in no order: neighbours among the contacts are none among the leads."""
    id = f"lead-{number * 2_654_435_761 % 2**32:010d}"
    data = {"location_id": location, "lead_id": id, "revision": 1, "created_at": years_ago, "source": "website"}
    return {**data, **{name: value for name, value in fields.items() if value}}


def changes(contact: StoredContact, known: Mapping[str, str | None]) -> dict[str, str]:
    """What of the contact a search shows and the lead lacks."""
    values = {name: getattr(contact, name) for name in given_by_search}
    return {"contact_id": contact.id} | {name: value for name, value in values.items() if value and not known.get(name)}


def written(email: str, number: int) -> str:
    """As upstream has it: now and then otherwise than HighLevel."""
    return (email, email.upper(), email.lower())[number % 3]
