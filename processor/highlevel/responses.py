"""Responses of HighLevel as values. A *reply* is the JSON in a response's body.

`parse_response` never raises, whatever comes. Nothing here shows an e-mail, a phone or a message of HighLevel's in a repr.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import orjson

from processor.highlevel.contact import Contact, Cursor, Origin, cursor_after, from_contact, from_search
from processor.highlevel.message import SmsMessage, from_export
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
no_such_route: Final = "cannot get "  # contract.md §1: the router's 404 is about our URL, not about the contact
trace_form: Final = re.compile(r"[0-9A-Za-z_.:-]{1,128}")  # no text that could be an e-mail may reach a log


@dataclass(frozen=True, slots=True, repr=False)
class Found:
    """A search or GET found these contacts. `total` also counts matches that didn't come with this response."""

    contacts: tuple[Contact, ...]
    total: int

    def __repr__(self) -> str:
        return f"Found({len(self.contacts)} of {self.total})"


@dataclass(frozen=True, slots=True, repr=False)
class Page:
    """A page of contacts came. `total` counts all contacts of the listing."""

    contacts: tuple[Contact, ...]
    total: int
    full: bool  # a further page may follow
    after: Cursor | None  # continues the listing; None: HighLevel gave none

    def __repr__(self) -> str:
        return f"Page({len(self.contacts)} of {self.total})"


@dataclass(frozen=True, slots=True, repr=False)
class Exported:
    """A page of messages came. `total` counts all messages of the export."""

    messages: tuple[SmsMessage, ...]
    total: int
    cursor: str | None  # continues the export; None: this was the last page

    def __repr__(self) -> str:
        return f"Exported({len(self.messages)} of {self.total})"


@dataclass(frozen=True, slots=True)
class Gone:
    """The contact does not exist. Only a GET shows that."""


@dataclass(frozen=True, slots=True)
class Throttled:
    """HighLevel sent a 429: the location must wait."""

    retry_after_ms: int | None  # None: HighLevel names no time


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
    """No whole response came, so the request may have taken effect.

    After `dns`, `tls` and `connect` it has not: there was no connection to send it on.
    """

    why: str


@dataclass(frozen=True, slots=True)
class Unsent:
    """No byte left, because the send deadline had passed: `late` before connecting, `connect` while connecting."""

    why: str


ResponseOutcome = Found | Page | Exported | Gone | Throttled | Unauthorized | Refused | Unavailable | Lost | Unsent


@dataclass(frozen=True, slots=True)
class Response:
    """A response carries its call. Every call gets exactly one, unless the process dies."""

    call: Call
    outcome: ResponseOutcome
    status: int | None  # None: no whole response came
    headers: RateHeaders | None
    trace_id: str | None
    token: str | None = None  # fingerprint of the token that the call was sent with; None: there was none
    ingested: int = 0  # contacts or messages of a page that earlier turns have ingested: a turn takes a slice


def parse_response(call: Call, status: int, headers: Mapping[str, str], body: bytes, now_ms: int) -> Response:
    """Return a whole response as a value. `now_ms` (since 1970) is used only where the response has no Date."""
    lower = {name.lower(): value for name, value in headers.items()}
    reply = _json(body)
    return Response(call, _outcome(call, status, lower, reply, now_ms), status, rate_headers(lower), _trace_id(reply))


def _outcome(call: Call, status: int, headers: Mapping[str, str], reply: object, now_ms: int) -> ResponseOutcome:
    if 200 <= status < 300:
        return _success(call.request, reply)
    if status == 429:
        return Throttled(retry_after(headers, now_ms))
    if status in (401, 403):
        return _unauthorized(status, reply)
    if 300 <= status < 500:
        return _refused(call, status, reply)
    return Unavailable(f"status {status}")


def _success(request: CallRequest, reply: object) -> ResponseOutcome:
    """Return the outcome of a 2xx."""
    match request:
        case GetContact():
            return _contact(request, reply)
        case ExportMessages():
            return _messages(request, reply)
    return _contacts(request, reply)


def _unauthorized(status: int, reply: object) -> ResponseOutcome:
    """Return the outcome of a 401 or 403. A gateway's 403 isn't about our token."""
    if status == 403 and not _is_highlevels(reply):
        return Unavailable("status 403")
    message = _message(reply)
    return Unauthorized(next((problem for text, problem in auth_problems if text in message), "unknown"))


def _refused(call: Call, status: int, reply: object) -> ResponseOutcome:
    """Return the outcome of any other 3xx or 4xx. That of a GET may mean that its contact is gone (contract.md §3)."""
    message = _message(reply)
    missing = "not found" in message if status == 400 else status == 404 and not message.startswith(no_such_route)
    return Gone() if missing and call.kind is CallKind.CONTACT else Refused(status)


def _contact(request: GetContact, reply: object) -> ResponseOutcome:
    payload = reply.get("contact", reply) if isinstance(reply, dict) else None  # wrapped (contract.md §4.3), or not
    contacts = _in_location(request, [from_contact(payload)] if isinstance(payload, dict) else [])
    if [contact.id for contact in contacts] != [request.contact_id]:
        return Unavailable("not the contact asked for")
    return Found(contacts, 1)


def _contacts(request: Search | ListContacts, reply: object) -> ResponseOutcome:
    payloads = reply.get("contacts") if isinstance(reply, dict) else None
    if not isinstance(reply, dict) or not isinstance(payloads, list):
        return Unavailable("not a search's reply")
    origin: Origin = "scan" if isinstance(request, ListContacts) else "search"
    contacts = _in_location(
        request, (from_search(payload, origin) for payload in payloads if isinstance(payload, dict))
    )
    total, full = _total(reply), len(payloads) >= page_limit
    if isinstance(request, ListContacts):
        after = cursor_after(payloads[-1]) if payloads and isinstance(payloads[-1], dict) else None
        return Page(contacts, max(total or 0, len(payloads)), full, after)
    # [?] contract.md §4.1: no field is promised; a full page may not be all
    more = int(full) if total is None else max(0, total - len(payloads))
    return Found(contacts, len(contacts) + more)


def _messages(request: ExportMessages, reply: object) -> ResponseOutcome:
    payloads = reply.get("messages") if isinstance(reply, dict) else None
    if not isinstance(reply, dict) or not isinstance(payloads, list):
        return Unavailable("not an export's reply")
    read = (from_export(payload, request.location) for payload in payloads if isinstance(payload, dict))
    messages = tuple(message for message in read if message and request.contact in (None, message.contact))
    total, cursor = _total(reply), reply.get("nextCursor")
    usable = isinstance(cursor, str) and 0 < len(cursor) <= export_cursor_limit
    return Exported(messages, max(total or 0, len(payloads)), cursor if usable else None)


def _in_location(request: CallRequest, contacts: Iterable[Contact | None]) -> tuple[Contact, ...]:
    """Return the contacts of the request's own location."""
    return tuple(contact for contact in contacts if contact and contact.location in (None, request.location))


def _total(reply: Mapping[str, object]) -> int | None:
    total = reply.get("total")
    return int(total) if isinstance(total, int | float) and abs(total) <= total_at_most else None


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
    """True if an error is HighLevel's own. A gateway's JSON has a message at most, never a status or trace id."""
    own = isinstance(reply, dict) and any(name in reply for name in ("statusCode", "traceId"))
    return own and bool(_message(reply))


def _trace_id(reply: object) -> str | None:
    trace_id = reply.get("traceId") if isinstance(reply, dict) else None
    return trace_id if isinstance(trace_id, str) and trace_form.fullmatch(trace_id) else None
