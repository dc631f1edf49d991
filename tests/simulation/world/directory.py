"""The contacts of the simulated HighLevel: search by OR of e-mail, phone and id, pages of all contacts, and GET."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from tests.lab.workload.contact import Contact, Fields
from tests.lab.workload.times import iso

Found = tuple[int, Mapping[str, object]]  # status, body
by_added: Final = [{"field": "dateAdded", "direction": "asc"}]


@dataclass
class Directory:
    """It serves contacts as they are at `now`, in ms after the workload's start."""

    contacts: Mapping[str, Contact]
    raw_names: frozenset[str]  # locations whose searches show names as entered

    def __post_init__(self) -> None:
        self._index: dict[tuple[str, str, str], list[Contact]] = {}
        self._all: dict[str, list[Contact]] = {}  # by location, in the order in which they were added
        for contact in sorted(self.contacts.values(), key=lambda contact: (contact.added, contact.id)):
            self._all.setdefault(contact.location, []).append(contact)
            names = dict.fromkeys(name for fields in contact.versions() for name in search_keys(contact.id, fields))
            for by, value in names:
                self._index.setdefault((contact.location, by, value), []).append(contact)

    def search(self, location: str, body: Mapping[str, object], now: int) -> Found:
        limit = body.get("pageLimit")
        if body.get("locationId") != location or not isinstance(limit, int) or not 0 < limit <= 500:
            return invalid("unreadable")
        if body.get("sort") == by_added:
            return self._page(location, body, limit, now)
        filters = body.get("filters")
        if not isinstance(filters, list) or len(filters) != 1:
            return invalid("unreadable")
        (group,) = filters
        values = group["filters"] if group.get("group") == "OR" else filters
        found: dict[str, Contact] = {}
        for value in values:
            if set(value) != {"field", "operator", "value"} or value["operator"] != "eq" or len(value["value"]) > 75:
                return invalid("Invalid Operator")
            name = (value["field"], value["value"])
            hits = [contact.found(now) for contact in self._index.get((location, *name), [])]
            found.update((one.id, one) for one in hits if one and name in search_keys(one.id, one.fields))
        newest = sorted(found.values(), key=lambda contact: (contact.updated, contact.id), reverse=True)
        return self._shown(location, newest[:limit], len(newest))

    def get(self, contact_id: str, now: int) -> Found:
        contact = self.contacts.get(contact_id)
        shown = contact.shown(now) if contact else None
        if shown is None:
            message = f"Contact not found for id:{contact_id}"
            return 400, {"message": message, "error": "Bad Request", "statusCode": 400}
        return 200, {"contact": shown_by_get(shown), "traceId": "trace-2"}

    def _page(self, location: str, body: Mapping[str, object], limit: int, now: int) -> Found:
        """Return contacts in the order in which they were added: all, or those that changed since a time."""
        since, after = "", body.get("searchAfter")
        if body.keys() - {"locationId", "pageLimit", "sort", "searchAfter", "filters"}:
            return invalid("unreadable")
        if "filters" in body:
            match body["filters"]:
                case [{"field": "dateUpdated", "operator": "range", "value": {"gte": str(since)}, **more}] if not more:
                    pass
                case _:
                    return invalid("Invalid Operator")
        found = [contact.found(now) for contact in self._all.get(location, ())]
        there = [one for one in found if one and one.updated >= since]
        rest = there if after is None else [one for one in there if [*cursor(one)] > [*after]]  # type: ignore[misc]  # JSON
        return self._shown(location, rest[:limit], len(there))

    def _shown(self, location: str, contacts: Iterable[Contact], total: int) -> Found:
        shown = [shown_by_search(contact, location in self.raw_names) for contact in contacts]
        return 200, {"contacts": shown, "total": total, "traceId": "trace-1"}


def invalid(why: str) -> Found:
    return 422, {"statusCode": 422, "message": [why], "error": "Unprocessable Entity"}


def search_keys(contact_id: str, fields: Fields) -> tuple[tuple[str, str], ...]:
    """Return the fields and values by which a search finds it."""
    return ("id", contact_id), ("email", fields.get("email", "").lower()), ("phone", fields.get("phone", ""))


def cursor(contact: Contact) -> tuple[int, str]:
    """Return its place among all contacts."""
    return contact.added, contact.id


def shown_by_both(contact: Contact) -> dict[str, object]:
    """Return the part in which both payloads are alike (contract.md §4.1)."""
    fields = contact.fields
    shown: dict[str, object] = {"id": contact.id, "locationId": contact.location, "dateUpdated": contact.updated}
    shown["dateAdded"] = iso(contact.added)
    theirs = {"postal_code": "postalCode", "company_name": "companyName"}
    alike = ("email", "phone", "company_name", "website", "city", "state", "postal_code", "country")
    return shown | {theirs.get(name, name): fields.get(name) for name in alike}


def shown_by_search(contact: Contact, raw_names: bool) -> dict[str, object]:
    """Return a contact as a search shows it: names in lower case, no time zone, the street under another name."""
    first, last = contact.fields.get("first_name", ""), contact.fields.get("last_name", "")
    names = {"firstName": first.lower(), "lastName": last.lower(), "firstNameLowerCase": first.lower()}
    raw = {"firstNameRaw": first, "lastNameRaw": last} if raw_names else {}
    more = {"address": contact.fields.get("address"), "additionalEmails": [*contact.others]}
    return shown_by_both(contact) | names | raw | more | {"searchAfter": [*cursor(contact)]}


def shown_by_get(contact: Contact) -> dict[str, object]:
    fields = contact.fields
    names = {"firstName": fields.get("first_name"), "lastName": fields.get("last_name")}
    more = {"address1": fields.get("address"), "timezone": fields.get("timezone"), "emailLowerCase": ""}
    return shown_by_both(contact) | names | more
