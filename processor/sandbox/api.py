"""HighLevel's own API: read a request as a call of a location, and respond to it. Time is an argument.

Another operation is another row of `api_operations`. Its effect has happened once `respond` returns, even if the response gets lost.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from processor.sandbox.contact_search import parse_search, search_cursor, search_page
from processor.sandbox.directory import Directory
from processor.sandbox.message_export import export_page, parse_export, query_values
from processor.sandbox.problems import Problem, token_problem
from processor.sandbox.stored_contact import contact_json, search_result_json

contacts_api_version: Final = "2021-07-28"  # contract.md §1
conversations_api_version: Final = "2021-04-15"


@dataclass(frozen=True, slots=True)
class ApiRequest:
    method: str
    path: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes = b""
    query: str = ""  # still escaped


@dataclass(frozen=True, slots=True)
class ApiCall:
    """Hold a request and its meaning, before any check. `location` is "" where nothing names it."""

    kind: str
    location: str
    request: ApiRequest
    body: Any  # the request's JSON; None: there is none
    contact_id: str = ""


def recognise(directory: Directory, request: ApiRequest) -> ApiCall:
    """Return the call and the location whose budget it spends: its token's, else the one it names, else its contact's."""
    kind, named, contact_id, body = "other", "", "", None
    if request.method == "POST" and request.path == "/contacts/search":
        kind, body = "search", _json(request.body)
    elif request.method == "GET" and request.path == "/conversations/messages/export":
        kind = "messages"
        [named, *_] = query_values(request.query).get("locationId", [""])
    elif request.method == "GET" and request.path.startswith("/contacts/"):
        contact_id = request.path.removeprefix("/contacts/")
        kind = "contact" if contact_id and "/" not in contact_id else "other"
    location = directory.tokens.get(_token(request) or "")
    if isinstance(body, dict) and isinstance(body.get("locationId"), str):
        named = body["locationId"]
    location = location or named or directory.location_of(contact_id) or ""
    return ApiCall(kind, location, request, body, contact_id)


def respond(directory: Directory, call: ApiCall, now: int) -> dict[str, Any]:
    """Return the body of a 200. Raise Problem for any other response. `now` is in µs since 1970."""
    operation = api_operations.get(call.kind)
    if operation is None:
        raise Problem(404, f"Cannot {call.request.method} {call.request.path}")
    return operation(directory, call, _authorise(directory, call), now)


def _search(directory: Directory, call: ApiCall, own: str | None, now: int) -> dict[str, Any]:
    if call.body is None:
        raise Problem(400, "Unexpected end of JSON input" if not call.request.body else "Unexpected token in JSON")
    query = parse_search(call.body)
    if own not in (None, query.location):
        raise Problem(403)
    page = search_page(query, directory.search_view(query.location, now))
    raw_names = directory.shows_raw_names(query.location)
    shown = [search_result_json(contact, raw_names, search_cursor(contact, query.sort)) for contact in page.contacts]
    if churn := directory.location(query.location).churn:
        churn.after_search(now)
    return {"contacts": shown, "total": page.total}


def _contact(directory: Directory, call: ApiCall, own: str | None, now: int) -> dict[str, Any]:
    if own is not None:
        directory.location(own)  # a location exists once it is named, also by its token
    contact = directory.contacts.get(call.contact_id)
    if contact is None:
        raise Problem(400, f"Contact with id {call.contact_id} not found")
    if own not in (None, contact.location):
        raise Problem(403)
    return {"contact": contact_json(contact)}


def _messages(directory: Directory, call: ApiCall, own: str | None, now: int) -> dict[str, Any]:
    if call.location and not directory.grants_messages(call.location):
        raise token_problem("scope")
    query = parse_export(call.request.query)
    location = query.selection.location
    if own not in (None, location):
        raise Problem(403)
    place, life_s = directory.location(location), directory.cursor_life_of(location)
    page = export_page(query, place.history.apply_due(now), place.cursors, now, life_s).as_json()
    if place.chatter:
        place.chatter.after_export(now)
    return page


ApiOperation = Callable[[Directory, ApiCall, str | None, int], dict[str, Any]]
api_operations: Final[dict[str, ApiOperation]] = {"search": _search, "contact": _contact, "messages": _messages}


def _authorise(directory: Directory, call: ApiCall) -> str | None:
    """Return the location that the token is for, None if it serves all. Raise Problem if the token or version is wrong."""
    given = call.request.headers.get("version")
    if not given:
        raise Problem(401, "version header was not found.")
    if given != (conversations_api_version if call.kind == "messages" else contacts_api_version):
        raise Problem(401, "version header is invalid")
    token = _token(call.request)
    if token is None:
        raise Problem(401, "Invalid token: access token is invalid")
    if access := directory.access_to(call.location):
        if token not in access.tokens:
            raise token_problem(access.refusal)
        return call.location or None
    if token not in directory.tokens:
        raise token_problem("revoked")
    return directory.tokens[token]


def _token(request: ApiRequest) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" and token else None


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
