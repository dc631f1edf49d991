"""HighLevel's own face: a request becomes a call of a location, and a call an answer. Pure but for the directory; time is an argument.

Another operation is another row of `operations`. Whatever it does has happened once `answer` returns, even if the answer gets lost.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from processor.sandbox import chatter, churn, export, search
from processor.sandbox.directory import Directory
from processor.sandbox.problems import Problem, refusal
from processor.sandbox.shapes import full, hit

version: Final = "2021-07-28"  # of the contacts family, contract.md §1
message_version: Final = "2021-04-15"  # of the conversations family


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes = b""
    query: str = ""  # as it came, escaped


@dataclass(frozen=True, slots=True)
class Call:
    """What a request asks, before anyone checked that it may. `location` is "" where nothing tells it."""

    kind: str
    location: str
    request: Request
    body: Any  # the JSON of the request; None: there is none
    contact_id: str = ""


def recognise(directory: Directory, request: Request) -> Call:
    """Whose budget the call spends: its token's location, else the one it names, else the one its contact is in."""
    kind, named, contact_id, body = "other", "", "", None
    if request.method == "POST" and request.path == "/contacts/search":
        kind, body = "search", _json(request.body)
    elif request.method == "GET" and request.path == "/conversations/messages/export":
        kind = "messages"
        [named, *_] = export.named(request.query).get("locationId", [""])
    elif request.method == "GET" and request.path.startswith("/contacts/"):
        contact_id = request.path.removeprefix("/contacts/")
        kind = "contact" if contact_id and "/" not in contact_id else "other"
    location = directory.tokens.get(_token(request) or "")
    if isinstance(body, dict) and isinstance(body.get("locationId"), str):
        named = body["locationId"]
    location = location or named or directory.whose(contact_id) or ""
    return Call(kind, location, request, body, contact_id)


def answer(directory: Directory, call: Call, now: int) -> dict[str, Any]:
    """The body of a 200; Problem: any other answer. `now` in µs since 1970."""
    operation = operations.get(call.kind)
    if operation is None:
        raise Problem(404, f"Cannot {call.request.method} {call.request.path}")
    return operation(directory, call, _authorised(directory, call), now)


def _search(directory: Directory, call: Call, own: str | None, now: int) -> dict[str, Any]:
    if call.body is None:
        raise Problem(400, "Unexpected end of JSON input" if not call.request.body else "Unexpected token in JSON")
    query = search.parse(call.body)
    if own not in (None, query.location):
        raise Problem(403)
    page = search.run(query, directory.search_view(query.location, now))
    raw_names = directory.shows_raw_names(query.location)
    hits = [hit(contact, raw_names, search.cursor(contact, query.sort)) for contact in page.contacts]
    churn.after_search(directory, query.location, now)
    return {"contacts": hits, "total": page.total}


def _contact(directory: Directory, call: Call, own: str | None, now: int) -> dict[str, Any]:
    if own is not None:
        directory.location(own)  # a location exists once it is named, also by its token
    contact = directory.contacts.get(call.contact_id)
    if contact is None:
        raise Problem(400, f"Contact with id {call.contact_id} not found")
    if own not in (None, contact.location):
        raise Problem(403)
    return {"contact": full(contact)}


def _messages(directory: Directory, call: Call, own: str | None, now: int) -> dict[str, Any]:
    if call.location and not directory.grants_messages(call.location):
        raise refusal("scope")
    query = export.parse(call.request.query)
    location = query.what.location
    if own not in (None, location):
        raise Problem(403)
    place, life_s = directory.location(location), directory.cursor_life_of(location)
    page = export.run(query, place.history.settle(now), place.chains, now, life_s).as_json()
    chatter.after_export(directory, location, now)
    return page


Operation = Callable[[Directory, Call, str | None, int], dict[str, Any]]
operations: Final[dict[str, Operation]] = {"search": _search, "contact": _contact, "messages": _messages}


def _authorised(directory: Directory, call: Call) -> str | None:
    """The location that the token is for; None: all of them."""
    given = call.request.headers.get("version")
    if not given:
        raise Problem(401, "version header was not found.")
    if given != (message_version if call.kind == "messages" else version):
        raise Problem(401, "version header is invalid")
    token = _token(call.request)
    if token is None:
        raise Problem(401, "Invalid token: access token is invalid")
    if access := directory.access_to(call.location):
        if token not in access.tokens:
            raise refusal(access.refusal)
        return call.location or None
    if token not in directory.tokens:
        raise Problem(401, "Invalid Private Integration token")
    return directory.tokens[token]


def _token(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" and token else None


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
