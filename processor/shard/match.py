"""Find the lead's contact among the hits of a search: a lead is linked, ambiguous or not found (DESIGN §7, points 2, 3).

Hits are added one by one to the best match, with the phones that make it ambiguous.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from processor.highlevel.contact import Contact, Origin, digits
from processor.highlevel.requests import Question, QuestionKind

primary, additional = 2, 1  # a hit by primary e-mail or phone outranks one by an additional one
distinct_phones: Final = 2  # two are enough to disagree; never a list of hits


@dataclass(frozen=True, slots=True)
class BestMatch:
    """The best hit so far. `contact` None: there was none."""

    contact: Contact | None = None
    rank: int = 0
    agrees: bool = False  # the contact has the lead's phone
    phones: tuple[str, ...] = ()  # different phones of the hits of this rank, by their digits
    several: bool = False  # there was more than one hit, of any rank

    def encode(self) -> Sequence[Any]:
        """Return what a state keeps; of the contact, what linking and hydrating take from it."""
        best = self.contact
        shown = [best.id, best.updated, best.origin, best.fields] if best else None
        return [shown, self.rank, self.agrees, self.phones, self.several]

    @classmethod
    def decode(cls, stored: Sequence[Any]) -> Self:  # JSON is untyped
        shown, rank, agrees, phones, several = stored
        return cls(remembered_contact(*shown) if shown else None, rank, agrees, tuple(phones), several)


def remembered_contact(contact_id: str, updated: int | None, origin: Origin, fields: Mapping[str, str]) -> Contact:
    """Return a contact as a state keeps it."""
    email, phone = fields.get("email", "").lower() or None, fields.get("phone")
    return Contact(contact_id, None, email, (), phone, (), updated, fields, origin)


@dataclass(frozen=True, slots=True)
class Linked:
    contact: Contact


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """The hits of the best rank have different phones, and none of these is the lead's."""


@dataclass(frozen=True, slots=True)
class NotFound:
    """There was no hit."""


def rank_of(contact: Contact, question: Question) -> int:
    """Return how well a hit matches the e-mail or phone that was asked for, checked on our side; 0: not at all."""
    kind, value = question
    if kind is QuestionKind.EMAIL:
        return primary if contact.email == value else additional * (value in contact.other_emails)
    wanted = digits(value)
    if contact.phone and digits(contact.phone) == wanted:
        return primary
    return additional * any(digits(phone) == wanted for phone in contact.other_phones)


def add_hit(match: BestMatch, contact: Contact, question: Question, phone: str | None) -> BestMatch:
    """Return the match with one more hit. `phone` is the lead's. The order in which hits come changes nothing."""
    rank = rank_of(contact, question)
    if not rank:
        return match
    several = match.several or (match.contact is not None and match.contact.id != contact.id)
    if rank < match.rank:
        return replace(match, several=several)
    if rank > match.rank:
        match = BestMatch(rank=rank)
    theirs = digits(contact.phone) if contact.phone else ""
    agrees = bool(phone) and theirs == digits(phone or "")
    phones = match.phones
    if theirs and theirs not in phones and len(phones) < distinct_phones:
        phones = (*phones, theirs)
    if match.contact is None or preference(contact, agrees) < preference(match.contact, match.agrees):
        match = replace(match, contact=contact, agrees=agrees)
    return replace(match, phones=phones, several=several)


def preference(contact: Contact, agrees: bool) -> tuple[bool, int, str]:
    """Order hits: the lead's phone first, then the newest `dateUpdated`, then the smallest id."""
    return not agrees, -(contact.updated or 0), contact.id


def resolve_match(match: BestMatch) -> Linked | Ambiguous | NotFound:
    """Draw the conclusion from a whole search."""
    if match.contact is None:
        return NotFound()
    if not match.agrees and len(match.phones) >= distinct_phones:
        return Ambiguous()
    return Linked(match.contact)
