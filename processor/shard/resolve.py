"""Which contact is this lead? Hits of a search, folded one by one into the best of them and what makes it doubtful
(DESIGN §7, points 2 and 3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from processor.highlevel.contact import Contact, Origin, digits

primary, additional = 2, 1  # a hit by primary e-mail or phone outranks one by an additional one
distinct_phones: Final = 2  # two are enough to disagree; never a list of hits


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the hits so far say. `best` None: there was none."""

    best: Contact | None = None
    rank: int = 0
    agrees: bool = False  # the best hit has the lead's phone
    phones: tuple[str, ...] = ()  # different phones of the hits of this rank, by their digits
    several: bool = False  # there was more than one hit, of whatever rank

    def encode(self) -> Sequence[Any]:
        """For state: of the best hit, what linking and hydrating take from it."""
        best = self.best
        seen = [best.id, best.updated, best.origin, best.fields] if best else None
        return [seen, self.rank, self.agrees, self.phones, self.several]

    @classmethod
    def decode(cls, stored: Sequence[Any]) -> Self:  # JSON is untyped
        seen, matched, agrees, phones, several = stored
        return cls(shown(*seen) if seen else None, matched, agrees, tuple(phones), several)


def shown(contact_id: str, updated: int | None, origin: Origin, fields: Mapping[str, str]) -> Contact:
    """A contact as a state remembers it."""
    email, phone = fields.get("email", "").lower() or None, fields.get("phone")
    return Contact(contact_id, None, email, (), phone, (), updated, None, fields, origin, None)


@dataclass(frozen=True, slots=True)
class Linked:
    contact: Contact


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """Hits that disagree on who they are; none of them has the lead's phone."""


@dataclass(frozen=True, slots=True)
class NotFound:
    pass


def rank(contact: Contact, by: str, value: str) -> int:
    """How well a hit matches the e-mail or phone that was asked for, checked on our side; 0: not at all."""
    if by == "email":
        return primary if contact.email == value else additional * (value in contact.other_emails)
    wanted = digits(value)
    if contact.phone and digits(contact.phone) == wanted:
        return primary
    return additional * any(digits(phone) == wanted for phone in contact.other_phones)


def fold(evidence: Evidence, contact: Contact, by: str, value: str, phone: str | None) -> Evidence:
    """Add one hit. The order in which hits come changes nothing."""
    matched = rank(contact, by, value)
    if not matched:
        return evidence
    several = evidence.several or (evidence.best is not None and evidence.best.id != contact.id)
    if matched < evidence.rank:
        return replace(evidence, several=several)
    if matched > evidence.rank:
        evidence = Evidence(rank=matched)
    theirs = digits(contact.phone) if contact.phone else ""
    agrees = bool(phone) and theirs == digits(phone or "")
    phones = evidence.phones
    if theirs and theirs not in phones and len(phones) < distinct_phones:
        phones = (*phones, theirs)
    if evidence.best is None or order(contact, agrees) < order(evidence.best, evidence.agrees):
        evidence = replace(evidence, best=contact, agrees=agrees)
    return replace(evidence, phones=phones, several=several)


def order(contact: Contact, agrees: bool) -> tuple[bool, int, str]:
    """Same phone first, then newest `dateUpdated`, then smallest id."""
    return not agrees, -(contact.updated or 0), contact.id


def resolve(evidence: Evidence) -> Linked | Ambiguous | NotFound:
    if evidence.best is None:
        return NotFound()
    if not evidence.agrees and len(evidence.phones) >= distinct_phones:
        return Ambiguous()
    return Linked(evidence.best)
