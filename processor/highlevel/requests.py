"""Requests to HighLevel as values: what a call asks, and how it is said in HTTP.

Nothing here shows an e-mail, a phone or a message of HighLevel's in a repr.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal, NamedTuple
from urllib.parse import quote

from processor.highlevel.contact import Cursor, as_time
from processor.ratelimit.budget import Permit

page_limit: Final = 500  # contacts in one answer of a search; the most HighLevel gives (contract.md §4.1)
conversations_version: Final = "2021-04-15"  # contract.md §1: of everything below /conversations
contacts_version: Final = "2021-07-28"  # contract.md §1: the Version header of everything below /contacts


class QuestionKind(StrEnum):
    """What a question is asked by; the first three are also HighLevel's names of its filter fields."""

    EMAIL = "email"
    PHONE = "phone"
    ID = "id"
    CONTACT = "contact"  # the contact itself, by a GET
    MESSAGES = "messages"  # a contact's, by an export


class Question(NamedTuple):
    kind: QuestionKind
    value: str

    def __repr__(self) -> str:
        return f"Question({self.kind})"  # the value may be personal


@dataclass(frozen=True, slots=True)
class LeadQuestion:
    """The question of one lead, so that the response to an old question is recognised."""

    lead: str
    question: Question


@dataclass(frozen=True, slots=True, repr=False)
class Search:
    """The contacts that have any of these values, newest first. One value is the plain search, none would list all."""

    location: str
    values: tuple[Question, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("a search for no value")

    def __repr__(self) -> str:
        return f"Search({self.location}, {len(self.values)} values)"


@dataclass(frozen=True, slots=True)
class GetContact:
    location: str
    contact_id: str


@dataclass(frozen=True, slots=True)
class ListContacts:
    """A page of all contacts, oldest first: nothing that happens to a contact moves it in this order."""

    location: str
    job: str  # request id of the job whose page it is
    page: int  # its number in the job: a response to an older page is not applied
    after: Cursor | None = None  # None: the first page
    updated_since: int | None = None  # ms; only contacts that were changed since


@dataclass(frozen=True, slots=True)
class ExportMessages:
    """A page of SMS messages, oldest first: of one contact, or of the whole location."""

    location: str
    contact: str | None = None
    since: int | None = None  # ms; None: from the start
    cursor: str | None = None  # None: the first page
    job: str | None = None  # request id of the job that reads the whole location
    page: int = 0  # its number in the job: a response to an older page is not applied

    def __repr__(self) -> str:
        return f"ExportMessages({self.location}, {self.contact or self.job})"


CallRequest = Search | GetContact | ListContacts | ExportMessages


class CallKind(StrEnum):
    """The kinds of call that results, logs and metrics tell apart."""

    SEARCH = "search"
    CONTACT = "contact"
    MESSAGES = "messages"


@dataclass(frozen=True, slots=True)
class Call:
    """One request that may go on the wire, by the permit that pays for it."""

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
    """A call as HTTP says it."""

    method: Literal["GET", "POST"]
    path: str
    version: str
    body: Mapping[str, object] | None
    query: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"HttpRequest({self.method} {self.path})"


def http_request(request: CallRequest) -> HttpRequest:
    """Return the request in HTTP's terms. Raises ValueError for an id that no URL can name."""
    match request:
        case Search(location, values):
            body = {
                "locationId": location,
                "pageLimit": page_limit,
                "filters": any_of([{"field": kind.value, "operator": "eq", "value": value} for kind, value in values]),
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
            return HttpRequest("GET", f"/contacts/{segment(contact_id)}", contacts_version, None)
        case ExportMessages(location, contact, since, after):
            query = {"locationId": location, "channel": "SMS", "limit": str(page_limit)}
            query |= {"sortBy": "createdAt", "sortOrder": "asc"}
            more = {"contactId": contact, "startDate": None if since is None else as_time(since), "cursor": after}
            query |= {name: value for name, value in more.items() if value is not None}
            return HttpRequest("GET", "/conversations/messages/export", conversations_version, None, query)


def any_of(filters: Sequence[Mapping[str, object]]) -> Sequence[Mapping[str, object]]:
    """[?] contract.md §4.1 has OR groups, but shows none of e-mails live. Only here is it known how "or" is said."""
    return filters if len(filters) == 1 else [{"group": "OR", "filters": filters}]


def segment(text: str) -> str:
    """One segment of a path, whatever the id is made of."""
    if text in ("", ".", ".."):
        raise ValueError("no segment of a path")  # every URL library resolves dots, encoded or not
    return quote(text, safe="")
