"""Requests to HighLevel as values: what a call asks, and how it is said in HTTP.

Nothing here shows an e-mail, a phone or a message of HighLevel's in a repr.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import quote

from processor.highlevel.contact import Cursor, as_time
from processor.ratelimit.budget import Permit

By = Literal["email", "phone", "id"]  # HighLevel's filter fields have the same names

page_limit: Final = 500  # contacts in one answer of a search; the most HighLevel gives (contract.md §4.1)
conversations_version: Final = "2021-04-15"  # contract.md §1: of everything below /conversations
contacts_version: Final = "2021-07-28"  # contract.md §1: the Version header of everything below /contacts


@dataclass(frozen=True, slots=True, repr=False)
class Ask:
    """What a call wants to know for one lead, so that the answer to an old question is recognised."""

    lead: str
    by: By
    value: str

    def __repr__(self) -> str:
        return f"Ask({self.lead}, by {self.by})"


@dataclass(frozen=True, slots=True, repr=False)
class Search:
    """The contacts that have any of these values, newest first. One value is the plain search, none would list all."""

    location: str
    wanted: tuple[tuple[By, str], ...]

    def __post_init__(self) -> None:
        if not self.wanted:
            raise ValueError("a search of nothing")

    def __repr__(self) -> str:
        return f"Search({self.location}, {len(self.wanted)} values)"


@dataclass(frozen=True, slots=True)
class GetContact:
    location: str
    contact_id: str


@dataclass(frozen=True, slots=True)
class Scan:
    """A page of all contacts, oldest first: nothing that happens to a contact moves it in this order."""

    location: str
    job: str  # request id of the job whose page it is
    number: int  # of the page in its job: an answer to an old one is not applied
    after: Cursor | None = None  # None: the first page
    updated_since: int | None = None  # ms; only contacts that were changed since


@dataclass(frozen=True, slots=True)
class Export:
    """A page of SMS messages, oldest first: of one contact, or of the whole location."""

    location: str
    contact: str | None = None
    since: int | None = None  # ms; None: from the start
    cursor: str | None = None  # None: the first page
    job: str | None = None  # request id of the job that reads the whole location
    number: int = 0  # of the page in its job: an answer to an old one is not applied

    def __repr__(self) -> str:
        return f"Export({self.location}, {self.contact or self.job})"


What = Search | GetContact | Scan | Export
Kind = Literal["search", "contact", "messages"]


@dataclass(frozen=True, slots=True, repr=False)
class Call:
    """One request that may go on the wire, by the permit that pays for it."""

    permit: Permit
    what: What
    asks: tuple[Ask, ...]

    @property
    def kind(self) -> Kind:
        if isinstance(self.what, Export):
            return "messages"
        return "contact" if isinstance(self.what, GetContact) else "search"

    def __repr__(self) -> str:
        return f"Call({self.permit}, {self.what}, {len(self.asks)} asks)"


@dataclass(frozen=True, slots=True, repr=False)
class Request:
    """A call as HTTP says it."""

    method: Literal["GET", "POST"]
    path: str
    version: str
    body: Mapping[str, object] | None
    query: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Request({self.method} {self.path})"


def request(what: What) -> Request:
    """Raises ValueError for an id that no URL can name."""
    match what:
        case Search(location, wanted):
            body = {
                "locationId": location,
                "pageLimit": page_limit,
                "filters": any_of([{"field": by, "operator": "eq", "value": value} for by, value in wanted]),
                "sort": [{"field": "dateUpdated", "direction": "desc"}],
            }
            return Request("POST", "/contacts/search", contacts_version, body)
        case Scan(location, _, _, after, since):
            page: dict[str, object] = {
                "locationId": location,
                "pageLimit": page_limit,
                "sort": [{"field": "dateAdded", "direction": "asc"}],
            }
            if since is not None:
                changed = {"field": "dateUpdated", "operator": "range", "value": {"gte": as_time(since)}}
                page["filters"] = [changed]
            if after is not None:
                page["searchAfter"] = after
            return Request("POST", "/contacts/search", contacts_version, page)
        case GetContact(_, contact_id):
            return Request("GET", f"/contacts/{segment(contact_id)}", contacts_version, None)
        case Export(location, contact, since, after):
            query = {"locationId": location, "channel": "SMS", "limit": str(page_limit)}
            query |= {"sortBy": "createdAt", "sortOrder": "asc"}
            more = {"contactId": contact, "startDate": None if since is None else as_time(since), "cursor": after}
            query |= {name: value for name, value in more.items() if value is not None}
            return Request("GET", "/conversations/messages/export", conversations_version, None, query)


def any_of(filters: Sequence[Mapping[str, object]]) -> Sequence[Mapping[str, object]]:
    """[?] contract.md §4.1 has OR groups, but shows none of e-mails live. Only here is it known how "or" is said."""
    return filters if len(filters) == 1 else [{"group": "OR", "filters": filters}]


def segment(text: str) -> str:
    """One segment of a path, whatever the id is made of."""
    if text in ("", ".", ".."):
        raise ValueError("no segment of a path")  # every URL library resolves dots, encoded or not
    return quote(text, safe="")
