"""Responses of HighLevel as values: the outcome that a call had.

`parse` never raises, whatever the response holds. Nothing here shows an e-mail, a phone or a message of HighLevel's in a repr.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import orjson

from processor.highlevel.contact import Contact, Cursor, Origin, from_contact, from_search, search_cursor
from processor.highlevel.message import Message, from_export
from processor.highlevel.requests import (
    Call,
    CallKind,
    CallRequest,
    ExportMessages,
    GetContact,
    ListContacts,
    Search,
    page_limit,
)
from processor.ratelimit.headers import RateHeaders, rate_headers, retry_after

AuthProblem = Literal["expired", "scope", "revoked", "version", "location", "missing", "unknown"]

total_at_most: Final = 10**12  # a larger number is nonsense
export_cursor_limit: Final = 4_096  # characters of an export's cursor

auth_problems: Final[tuple[tuple[str, AuthProblem], ...]] = (  # the first text that a message contains decides
    # [?] contract.md §1, §3: texts as users saw them
    ("version header", "version"),
    ("scope", "scope"),
    ("private integration", "revoked"),
    ("access to this location", "location"),
    ("expired", "expired"),
    ("jwt", "expired"),
    ("access token is invalid", "expired"),
)
no_such_route: Final = "cannot get "  # contract.md §1: a 404 of the router is about our URL, not about the contact
trace_form: Final = re.compile(r"[0-9A-Za-z_.:-]{1,128}")  # no text that could be an e-mail may reach a log


@dataclass(frozen=True, slots=True, repr=False)
class Found:
    """The contacts found in the call's own location. `total` also counts matches that didn't come with this response."""

    contacts: tuple[Contact, ...]
    total: int

    def __repr__(self) -> str:
        return f"Found({len(self.contacts)} of {self.total})"


@dataclass(frozen=True, slots=True, repr=False)
class Page:
    """A page of contacts. `total` counts all contacts of the listing."""

    contacts: tuple[Contact, ...]
    total: int
    full: bool  # a further page may follow
    after: Cursor | None  # continues the listing after this page; None: HighLevel gave none

    def __repr__(self) -> str:
        return f"Page({len(self.contacts)} of {self.total})"


@dataclass(frozen=True, slots=True, repr=False)
class Exported:
    """A page of messages. `total` counts all messages of the export."""

    messages: tuple[Message, ...]
    total: int
    cursor: str | None  # continues the export; None: this was the last page

    def __repr__(self) -> str:
        return f"Exported({len(self.messages)} of {self.total})"


@dataclass(frozen=True, slots=True)
class Gone:
    """The contact does not exist. Only a GET shows that."""


@dataclass(frozen=True, slots=True)
class Throttled:
    """A 429: the location must wait."""

    retry_after_ms: int | None  # None: HighLevel didn't say how long


@dataclass(frozen=True, slots=True)
class Unauthorized:
    """HighLevel refused our token. `missing`: we have no token for the location, and nothing was sent."""

    why: AuthProblem


@dataclass(frozen=True, slots=True)
class Refused:
    """This very request is wrong, and will be again. Status 0: it has no form in HTTP, and nothing was sent."""

    status: int
    why: str = "refused"


@dataclass(frozen=True, slots=True)
class Unavailable:
    """HighLevel, or a gateway before it, can't serve us now."""

    why: str


@dataclass(frozen=True, slots=True)
class Lost:
    """No whole response came, so the request may have taken effect. After `dns`, `tls` and `connect` it has not: there
    was no connection to send it on."""

    why: str


@dataclass(frozen=True, slots=True)
class Unsent:
    """No byte left, because the send deadline had passed: `late` before connecting, `connect` while connecting."""

    why: str


ResponseOutcome = Found | Page | Exported | Gone | Throttled | Unauthorized | Refused | Unavailable | Lost | Unsent


@dataclass(frozen=True, slots=True)
class Response:
    """The response to a call; every call has exactly one."""

    call: Call
    outcome: ResponseOutcome
    status: int | None  # None: no whole response came
    headers: RateHeaders | None
    trace_id: str | None
    token: str | None = None  # fingerprint of the refused token; None: there was none, or it wasn't refused
    ingested: int = 0  # contacts or messages of a page that earlier turns have ingested: a turn takes a slice


def parse(call: Call, status: int, headers: Mapping[str, str], body: bytes, now_ms: int) -> Response:
    """Return a whole response as a value. `now_ms` (since 1970) is used only where the response has no Date."""
    lower = {name.lower(): value for name, value in headers.items()}
    reply = _json(body)
    return Response(call, _outcome(call, status, lower, reply, now_ms), status, rate_headers(lower), _trace_id(reply))


def _outcome(call: Call, status: int, headers: Mapping[str, str], reply: object, now_ms: int) -> ResponseOutcome:
    message = _message(reply)
    match status:
        case _ if 200 <= status < 300:
            return _success(call.request, reply)
        case 429:
            return Throttled(retry_after(headers, now_ms))
        case 401:
            return Unauthorized(_auth_problem(message))
        case 403:
            return Unauthorized(_auth_problem(message)) if _is_highlevels(reply) else Unavailable("status 403")
        case 404 if call.kind is CallKind.CONTACT and not message.startswith(no_such_route):
            return Gone()
        case 400 if call.kind is CallKind.CONTACT and "not found" in message:  # contract.md §3: a missing contact
            return Gone()
        case _ if 300 <= status < 500:
            return Refused(status)
    return Unavailable(f"status {status}")


def _success(request: CallRequest, reply: object) -> ResponseOutcome:
    match request:
        case GetContact():
            return _contact(request, reply)
        case ExportMessages():
            return _messages(request, reply)
    return _hits(request, reply)


def _messages(request: ExportMessages, reply: object) -> ResponseOutcome:
    given = reply.get("messages") if isinstance(reply, dict) else None
    if not isinstance(reply, dict) or not isinstance(given, list):
        return Unavailable("not an export's reply")
    read = (from_export(payload, request.location) for payload in given if isinstance(payload, dict))
    messages = tuple(message for message in read if message and request.contact in (None, message.contact))
    total, after = _total(reply), reply.get("nextCursor")
    usable = isinstance(after, str) and 0 < len(after) <= export_cursor_limit
    return Exported(messages, max(total or 0, len(given)), after if usable else None)


def _total(reply: Mapping[str, object]) -> int | None:
    total = reply.get("total")
    return int(total) if isinstance(total, int | float) and abs(total) <= total_at_most else None


def _hits(request: Search | ListContacts, reply: object) -> ResponseOutcome:
    hits = reply.get("contacts") if isinstance(reply, dict) else None
    if not isinstance(reply, dict) or not isinstance(hits, list):
        return Unavailable("not a search's reply")
    origin: Origin = "scan" if isinstance(request, ListContacts) else "search"
    contacts = _of_location(request, (from_search(hit, origin) for hit in hits if isinstance(hit, dict)))
    total, full = _total(reply), len(hits) >= page_limit
    if isinstance(request, ListContacts):
        after = search_cursor(hits[-1]) if hits and isinstance(hits[-1], dict) else None
        return Page(contacts, max(total or 0, len(hits)), full, after)
    # [?] contract.md §4.1: no field is promised; a full page may not be all
    more = int(full) if total is None else max(0, total - len(hits))
    return Found(contacts, len(contacts) + more)


def _contact(request: GetContact, reply: object) -> ResponseOutcome:
    payload = reply.get("contact", reply) if isinstance(reply, dict) else None  # wrapped (contract.md §4.3), or not
    contacts = _of_location(request, [from_contact(payload)] if isinstance(payload, dict) else [])
    if [contact.id for contact in contacts] != [request.contact_id]:
        return Unavailable("not the contact asked for")
    return Found(contacts, 1)


def _of_location(request: CallRequest, contacts: Iterable[Contact | None]) -> tuple[Contact, ...]:
    return tuple(contact for contact in contacts if contact and contact.location in (None, request.location))


def _json(body: bytes) -> object:
    try:
        reply: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return reply


def _message(reply: object) -> str:
    """Return HighLevel's message in lower case: a string or an array (contract.md §3); v3 has it in `error` (§1)."""
    if not isinstance(reply, dict):
        return ""
    error = reply.get("error")
    message = reply.get("message") or (error.get("message") if isinstance(error, dict) else None)
    parts = message if isinstance(message, list) else [message]
    return " ".join(part for part in parts if isinstance(part, str)).strip().lower()


def _is_highlevels(reply: object) -> bool:
    """True if the error is HighLevel's own: a gateway's JSON error has a message at most, never a status or trace id."""
    own = isinstance(reply, dict) and any(name in reply for name in ("statusCode", "traceId"))
    return own and bool(_message(reply))


def _auth_problem(message: str) -> AuthProblem:
    return next((problem for text, problem in auth_problems if text in message), "unknown")


def _trace_id(reply: object) -> str | None:
    trace_id = reply.get("traceId") if isinstance(reply, dict) else None
    return trace_id if isinstance(trace_id, str) and trace_form.fullmatch(trace_id) else None
