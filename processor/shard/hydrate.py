"""Which gaps of a lead a contact's payload fills, and whether the rest is worth a GET (DESIGN §7.5)."""

from collections.abc import Collection, Mapping
from typing import Final

from processor.highlevel.contact import Contact
from processor.shard.lead import Lead

get_only: Final = frozenset({"timezone"})  # contract.md §4.1: no search payload has it


def hydrate(lead: Lead, contact: Contact) -> Mapping[str, str]:
    """The lead's gaps that this payload gives. A known field is never overwritten."""
    return {name: contact.fields[name] for name in lead.gaps() if name in contact.fields}


def worth_a_get(gaps: Collection[str], fetch_fields: Collection[str], any_gap: bool) -> bool:
    """A plain change pays a GET only for the fields that are worth it; a Sync for any gap that is left."""
    return bool(gaps) if any_gap else not set(gaps).isdisjoint(fetch_fields)


def search_is_idle(gaps: Collection[str]) -> bool:
    """No search can fill any of these gaps."""
    return get_only.issuperset(gaps)
