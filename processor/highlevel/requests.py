"""Requests to HighLevel as values, and their form in HTTP.

Nothing here shows an e-mail, a phone or a message of HighLevel's in a repr.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal, NamedTuple
from urllib.parse import quote

from processor.highlevel.contact import Cursor, as_time
from processor.ratelimit.budget import Permit

page_limit: Final = 500  # contacts in one response of a search; the most HighLevel gives (contract.md §4.1)
conversations_version: Final = "2021-04-15"  # contract.md §1: the Version header of everything below /conversations
contacts_version: Final = "2021-07-28"  # contract.md §1: the Version header of everything below /contacts


class QuestionKind(StrEnum):
    """Questions are of these kinds. A search asks by e-mail, phone or id."""

    EMAIL = "email"  # the values of these three are the names of HighLevel's filter fields
    PHONE = "phone"
    ID = "id"
    CONTACT = "contact"  # the contact of this id, by a GET
    MESSAGES = "messages"  # the messages of the contact of this id


class Question(NamedTuple):
    """A question asks HighLevel about one value."""

    kind: QuestionKind
    value: str

    def __repr__(self) -> str:
        return f"Question({self.kind})"  # the value may be personal


@dataclass(frozen=True, slots=True)
class LeadQuestion:
    """A call carries each lead's question, so that a response to an old question is recognised."""

    lead: str
    question: Question


@dataclass(frozen=True, slots=True, repr=False)
class Search:
    """Search the contacts that have any of these values, newest first. Without a value it would list all contacts."""

    location: str
    values: tuple[Question, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("a search without values")

    def __repr__(self) -> str:
        return f"Search({self.location}, {len(self.values)} values)"


@dataclass(frozen=True, slots=True)
class GetContact:
    """Get one contact by its id."""

    location: str
    contact_id: str


@dataclass(frozen=True, slots=True)
class ListContacts:
    """List a page of all contacts, oldest first: no change of a contact moves it in this order."""

    location: str
    job: str  # request id of the job that scans
    page: int  # number of the page in its job: a response to an old page is not applied
    after: Cursor | None = None  # None: the first page
    updated_since: int | None = None  # ms; only contacts that changed since


@dataclass(frozen=True, slots=True)
class ExportMessages:
    """Export a page of SMS messages, oldest first: of one contact, or of the whole location."""

    location: str
    contact: str | None = None
    since: int | None = None  # ms; None: from the start
    cursor: str | None = None  # None: the first page
    job: str | None = None  # request id of the job that reads the whole location
    page: int = 0  # number of the page in its job: a response to an old page is not applied

    def __repr__(self) -> str:
        return f"ExportMessages({self.location}, {self.contact or self.job})"


CallRequest = Search | GetContact | ListContacts | ExportMessages


class CallKind(StrEnum):
    """Results, logs and metrics count calls by these kinds."""

    SEARCH = "search"
    CONTACT = "contact"
    MESSAGES = "messages"


@dataclass(frozen=True, slots=True, repr=False)
class Call:
    """A call is a request that may leave, the permit that pays for it, and the leads' questions that it carries."""

    permit: Permit
    request: CallRequest
    questions: tuple[LeadQuestion, ...]

    @property
    def kind(self) -> CallKind:
        if isinstance(self.request, ExportMessages):
            return CallKind.MESSAGES
        return CallKind.CONTACT if isinstance(self.request, GetContact) else CallKind.SEARCH

    def __repr__(self) -> str:
        return f"Call({self.permit}, {self.request}, {len(self.questions)} questions)"


@dataclass(frozen=True, slots=True, repr=False)
class HttpRequest:
    """This is a request in HTTP, without origin and token."""

    method: Literal["GET", "POST"]
    path: str
    version: str
    body: Mapping[str, object] | None
    query: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"HttpRequest({self.method} {self.path})"


def http_request(request: CallRequest) -> HttpRequest:
    """Return the request in HTTP. Raise ValueError for an id that no URL can name."""
    match request:
        case Search(location, values):
            body = {
                "locationId": location,
                "pageLimit": page_limit,
                "filters": _any_of([{"field": kind.value, "operator": "eq", "value": value} for kind, value in values]),
                "sort": [{"field": "dateUpdated", "direction": "desc"}],
            }
            return HttpRequest("POST", "/contacts/search", contacts_version, body)
        case ListContacts(location, _, _, after, since):
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
            return HttpRequest("POST", "/contacts/search", contacts_version, page)
        case GetContact(_, contact_id):
            return HttpRequest("GET", f"/contacts/{_segment(contact_id)}", contacts_version, None)
        case ExportMessages(location, contact, since, cursor):
            query = {"locationId": location, "channel": "SMS", "limit": str(page_limit)}
            query |= {"sortBy": "createdAt", "sortOrder": "asc"}
            more = {"contactId": contact, "startDate": None if since is None else as_time(since), "cursor": cursor}
            query |= {name: value for name, value in more.items() if value is not None}
            return HttpRequest("GET", "/conversations/messages/export", conversations_version, None, query)


def _any_of(filters: Sequence[Mapping[str, object]]) -> Sequence[Mapping[str, object]]:
    """Return a filter that matches any of these. Only this function knows HighLevel's form of "or".

    [?] contract.md §4.1 has OR groups, but no live example with e-mails.
    """
    return filters if len(filters) == 1 else [{"group": "OR", "filters": filters}]


def _segment(text: str) -> str:
    """Return the id as one segment of a path. Raise ValueError if it cannot be one."""
    if text in ("", ".", ".."):
        raise ValueError("no segment of a path")  # every URL library resolves dots, encoded or not
    return quote(text, safe="")
