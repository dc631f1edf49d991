"""Responses of HighLevel as values: what a whole response means.

`parse` never raises, whatever comes. Nothing here shows an e-mail, a phone or a message of HighLevel's in a repr.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import orjson

from processor.highlevel.contact import Contact, Cursor, Origin, cursor, from_contact, from_search
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

total_at_most: Final = 10**12  # beyond it a number is nonsense
cursor_at_most: Final = 4_096  # characters of an export's

whys: Final[
    tuple[tuple[str, AuthProblem], ...]
] = (  # [?] contract.md §1, §3: texts as users saw them, the first that is found
    ("version header", "version"),
    ("scope", "scope"),
    ("private integration", "revoked"),
    ("access to this location", "location"),
    ("expired", "expired"),
    ("jwt", "expired"),
    ("access token is invalid", "expired"),
)
no_such_route: Final = "cannot get "  # contract.md §1: a 404 of the router speaks of our URL, not of the contact
trace_form: Final = re.compile(r"[0-9A-Za-z_.:-]{1,128}")  # no text that could be an e-mail may reach a log


@dataclass(frozen=True, slots=True, repr=False)
class Found:
    """Contacts of the call's own location. `total` also counts those that matched but didn't come with this answer."""

    contacts: tuple[Contact, ...]
    total: int

    def __repr__(self) -> str:
        return f"Found({len(self.contacts)} of {self.total})"


@dataclass(frozen=True, slots=True, repr=False)
class Page:
    """The contacts of a scan's page. `total` counts all that the scan passes."""

    contacts: tuple[Contact, ...]
    total: int
    full: bool  # there may be more behind it
    after: Cursor | None  # what continues after it; None: HighLevel didn't say

    def __repr__(self) -> str:
        return f"Page({len(self.contacts)} of {self.total})"


@dataclass(frozen=True, slots=True, repr=False)
class Exported:
    """A page of messages. `total` counts all that the export passes."""

    messages: tuple[Message, ...]
    total: int
    cursor: str | None  # what continues it; None: this was the last page

    def __repr__(self) -> str:
        return f"Exported({len(self.messages)} of {self.total})"


@dataclass(frozen=True, slots=True)
class Gone:
    """There is no such contact. Only a GET says so."""


@dataclass(frozen=True, slots=True)
class Throttled:
    """A 429: the location must wait, so long if it said how long."""

    retry_after_ms: int | None


@dataclass(frozen=True, slots=True)
class Unauthorized:
    """HighLevel refused our token; `missing`: we have none for the location, and nothing was sent."""

    why: AuthProblem


@dataclass(frozen=True, slots=True)
class Refused:
    """This very request is wrong, and will be again. Status 0: it can't even be put into HTTP, and nothing was sent."""

    status: int
    why: str = "refused"


@dataclass(frozen=True, slots=True)
class Unavailable:
    """HighLevel, or what stands before it, can't serve us now."""

    why: str


@dataclass(frozen=True, slots=True)
class Lost:
    """No whole response came, so it is unknown whether the request took effect. Not so after `dns`, `tls`, `connect`:
    there was no connection to send it on."""

    why: str


@dataclass(frozen=True, slots=True)
class Unsent:
    """No byte left, as its send deadline had passed: `late` by itself, `connect` while connecting."""

    why: str


ResponseOutcome = Found | Page | Exported | Gone | Throttled | Unauthorized | Refused | Unavailable | Lost | Unsent


@dataclass(frozen=True, slots=True)
class Response:
    """CallRequest came of a call; exactly one each. `status` None: no whole response."""

    call: Call
    outcome: ResponseOutcome
    status: int | None
    headers: RateHeaders | None
    trace_id: str | None
    token: str | None = None  # fingerprint of the token that spoke for us; None: there was none
    ingested: int = 0  # contacts or messages of a page that earlier turns have ingested: it is too much for one


def parse(call: Call, status: int, headers: Mapping[str, str], body: bytes, now_ms: int) -> Response:
    """CallRequest a whole response means. `now_ms` since 1970; used only where the response has no Date of its own."""
    said = {name.lower(): value for name, value in headers.items()}
    reply = _json(body)
    return Response(call, _outcome(call, status, said, reply, now_ms), status, rate_headers(said), _trace_id(reply))


def _outcome(call: Call, status: int, headers: Mapping[str, str], reply: object, now_ms: int) -> ResponseOutcome:
    message = _message(reply)
    match status:
        case _ if 200 <= status < 300:
            return _reply(call.request, reply)
        case 429:
            return Throttled(retry_after(headers, now_ms))
        case 401:
            return Unauthorized(_why(message))
        case 403:
            return Unauthorized(_why(message)) if _is_highlevels(reply) else Unavailable("status 403")
        case 404 if call.kind is CallKind.CONTACT and not message.startswith(no_such_route):
            return Gone()
        case 400 if (
            call.kind is CallKind.CONTACT and "not found" in message
        ):  # contract.md §3: what a missing contact gets
            return Gone()
        case _ if 300 <= status < 500:
            return Refused(status)
    return Unavailable(f"status {status}")


def _reply(what: CallRequest, reply: object) -> ResponseOutcome:
    match what:
        case GetContact():
            return _contact(what, reply)
        case ExportMessages():
            return _messages(what, reply)
    return _hits(what, reply)


def _messages(what: ExportMessages, reply: object) -> ResponseOutcome:
    given = reply.get("messages") if isinstance(reply, dict) else None
    if not isinstance(reply, dict) or not isinstance(given, list):
        return Unavailable("not an export's reply")
    found = (from_export(one, what.location) for one in given if isinstance(one, dict))
    messages = tuple(one for one in found if one and what.contact in (None, one.contact))
    total, after = _total(reply), reply.get("nextCursor")
    usable = isinstance(after, str) and 0 < len(after) <= cursor_at_most
    return Exported(messages, max(total or 0, len(given)), after if usable else None)


def _total(reply: Mapping[str, object]) -> int | None:
    said = reply.get("total")
    return int(said) if isinstance(said, int | float) and abs(said) <= total_at_most else None


def _hits(what: Search | ListContacts, reply: object) -> ResponseOutcome:
    hits = reply.get("contacts") if isinstance(reply, dict) else None
    if not isinstance(reply, dict) or not isinstance(hits, list):
        return Unavailable("not a search's reply")
    origin: Origin = "scan" if isinstance(what, ListContacts) else "search"
    contacts = _ours(what, (from_search(hit, origin) for hit in hits if isinstance(hit, dict)))
    total, full = _total(reply), len(hits) >= page_limit
    if isinstance(what, ListContacts):
        after = cursor(hits[-1]) if hits and isinstance(hits[-1], dict) else None
        return Page(contacts, max(total or 0, len(hits)), full, after)
    # [?] contract.md §4.1: no field is promised; a full page may not be all
    more = int(full) if total is None else max(0, total - len(hits))
    return Found(contacts, len(contacts) + more)


def _contact(what: GetContact, reply: object) -> ResponseOutcome:
    payload = reply.get("contact", reply) if isinstance(reply, dict) else None  # wrapped (contract.md §4.3), or not
    contacts = _ours(what, [from_contact(payload)] if isinstance(payload, dict) else [])
    if [contact.id for contact in contacts] != [what.contact_id]:
        return Unavailable("not the contact asked for")
    return Found(contacts, 1)


def _ours(what: CallRequest, contacts: Iterable[Contact | None]) -> tuple[Contact, ...]:
    return tuple(contact for contact in contacts if contact and contact.location in (None, what.location))


def _json(body: bytes) -> object:
    try:
        reply: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return reply


def _message(reply: object) -> str:
    """HighLevel's message in lower case, a string or an array of them (contract.md §3); v3 has it in `error` (§1)."""
    if not isinstance(reply, dict):
        return ""
    error = reply.get("error")
    said = reply.get("message") or (error.get("message") if isinstance(error, dict) else None)
    parts = said if isinstance(said, list) else [said]
    return " ".join(part for part in parts if isinstance(part, str)).strip().lower()


def _is_highlevels(reply: object) -> bool:
    """Gateways before it have JSON errors too, with a message at most; HighLevel's also hold a status or trace id."""
    own = isinstance(reply, dict) and any(name in reply for name in ("statusCode", "traceId"))
    return own and bool(_message(reply))


def _why(message: str) -> AuthProblem:
    return next((why for text, why in whys if text in message), "unknown")


def _trace_id(reply: object) -> str | None:
    said = reply.get("traceId") if isinstance(reply, dict) else None
    return said if isinstance(said, str) and trace_form.fullmatch(said) else None
