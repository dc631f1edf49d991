"""Steer a running sandbox under `/_sandbox/`: its arrival logs, faults, contacts, messages and settings.

A wrong request gets a 400 with the reason as `{"error"}`.
"""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from processor.sandbox.arrival_log import ArrivalLog
from processor.sandbox.asgi import Sandbox
from processor.sandbox.faults import parse_fault
from processor.sandbox.settings import apply_settings
from processor.sandbox.stored_contact import contact_json
from processor.sandbox.stored_message import message_json

max_admin_body: Final = 64 * 1024 * 1024  # bytes: contacts come by the ten thousand
AdminHandler = Callable[[Request], Awaitable[Any]]  # its result becomes the response, as JSON


class AdminApi:
    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def router(self) -> Router:
        contact = "/_sandbox/contacts/{location}/{id}"
        return Router(
            [
                _route("GET", "/healthz", self.health),
                _route("GET", "/_sandbox/report", self.report),
                _route("GET", "/_sandbox/log", self.log),
                _route("POST", "/_sandbox/reset", self.reset),
                _route("GET", "/_sandbox/faults", self.faults),
                _route("POST", "/_sandbox/faults", self.add_faults),
                _route("DELETE", "/_sandbox/faults", self.clear_faults),
                _route("POST", "/_sandbox/contacts", self.add_contacts),
                _route("POST", "/_sandbox/changes", self.change_contacts),
                _route("GET", "/_sandbox/churn", self.churn),
                _route("GET", "/_sandbox/messages", self.messages),
                _route("POST", "/_sandbox/messages", self.add_messages),
                _route("GET", "/_sandbox/chatter", self.chatter),
                _route("PUT", contact, self.change_contact),
                _route("DELETE", contact, self.delete_contact),
                _route("PUT", "/_sandbox/settings", self.settings),
            ]
        )

    async def health(self, request: Request) -> Any:
        return {"status": "ok"}

    async def report(self, request: Request) -> Any:
        return {"now_ms": self.sandbox.now() // 1_000, **self.sandbox.gate.report()}

    async def log(self, request: Request) -> Any:
        location = request.query_params.get("location", "")
        return {"location": location, "arrivals": self.sandbox.gate.logs.get(location, ArrivalLog()).entries()}

    async def reset(self, request: Request) -> Any:
        self.sandbox.gate.reset_logs()
        return {}

    async def faults(self, request: Request) -> Any:
        return {"faults": self.sandbox.faults.table()}

    async def add_faults(self, request: Request) -> Any:
        parsed = [parse_fault(item) for item in await _json_objects(request)]
        return {"ids": [self.sandbox.faults.add(fault) for fault in parsed]}

    async def clear_faults(self, request: Request) -> Any:
        id, location = request.query_params.get("id", ""), request.query_params.get("location")
        if id and not (id.isascii() and id.isdigit()):
            raise ValueError("id: not a number")
        return {"cleared": self.sandbox.faults.clear(int(id[:20]) if id else None, location)}

    async def add_contacts(self, request: Request) -> Any:
        """Add a list of `{"location_id", "contact"}`, or a single one."""
        items, now = await _json_objects(request), self.sandbox.now()
        return {"contacts": [self._change({**item, "kind": "add"}, now) for item in items]}

    async def change_contact(self, request: Request) -> Any:
        place, fields = request.path_params, _object(await _json(request))
        changed = self.sandbox.directory.change(place["location"], place["id"], fields, self.sandbox.now())
        return {"contact": contact_json(changed)}

    async def delete_contact(self, request: Request) -> Any:
        place = request.path_params
        return {"deleted": self.sandbox.directory.delete(place["location"], place["id"], self.sandbox.now())}

    async def change_contacts(self, request: Request) -> Any:
        """Apply a list of changes at one moment and in their order. Changes before a wrong one stay applied."""
        given, now = await _json(request), self.sandbox.now()
        if not isinstance(given, list):
            raise ValueError("body: not a list")
        return {"at_ms": now / 1_000, "contacts": [self._change(_object(item), now) for item in given]}

    def _change(self, item: dict[str, Any], now: int) -> Any:
        """Apply one change and return the contact as it is now, None if it was deleted."""
        directory, location = self.sandbox.directory, _text(item, "location_id")
        match item.get("kind"):
            case "add":
                return contact_json(directory.add(location, _object(item.get("contact")), now))
            case "change":
                return contact_json(directory.change(location, _text(item, "id"), _object(item.get("contact")), now))
            case "merge":
                return contact_json(directory.merge(location, _text(item, "id"), _text(item, "into"), now))
            case "delete":
                directory.delete(location, _text(item, "id"), now)
                return None
        raise ValueError("kind: none of add, change, merge, delete")

    async def churn(self, request: Request) -> Any:
        """Show the changes that the location's churn has made so far."""
        location = request.query_params.get("location", "")
        active = self.sandbox.directory.location(location).churn if location else None
        searches, changes = (active.searches, active.changes) if active else (0, [])
        return {"location": location, "searches": searches, "changes": [change.as_json() for change in changes]}

    async def add_messages(self, request: Request) -> Any:
        """Add a list of `{"location_id", "message"}`, or a single one, at one moment. Messages before a wrong one stay."""
        items, now = await _json_objects(request), self.sandbox.now()
        add = self.sandbox.directory.add_message
        ids = [add(_text(item, "location_id"), _object(item.get("message")), now).id for item in items]
        return {"at_ms": now / 1_000, "ids": ids}

    async def messages(self, request: Request) -> Any:
        """Show all messages of a location or a contact, in no order, also those that no export shows."""
        location, contact = (request.query_params.get(name, "") for name in ("location", "contact"))
        history = self.sandbox.directory.location(location).history if location else ()
        shown = [message_json(message) for message in history if contact in ("", message.contact)]
        return {"location": location, "messages": shown}

    async def chatter(self, request: Request) -> Any:
        """Show the messages that the location's chatter has added so far."""
        location = request.query_params.get("location", "")
        active = self.sandbox.directory.location(location).chatter if location else None
        pages, added = (active.pages, active.added) if active else (0, [])
        return {"location": location, "pages": pages, "sayings": [message.as_json() for message in added]}

    async def settings(self, request: Request) -> Any:
        apply_settings(self.sandbox, _object(await _json(request)))
        return {}


def _route(method: str, path: str, handler: AdminHandler) -> Route:
    async def endpoint(request: Request) -> Response:
        try:
            shown, status = await handler(request), 200
        except ValueError as error:
            shown, status = {"error": str(error)}, 400
        return Response(orjson.dumps(shown), status, media_type="application/json")

    return Route(path, endpoint, methods=[method])


async def _json(request: Request) -> Any:
    read = bytearray()
    async for piece in request.stream():
        read += piece
        if len(read) > max_admin_body:
            raise ValueError(f"body: over {max_admin_body} bytes")
    try:
        return orjson.loads(read)
    except orjson.JSONDecodeError:
        raise ValueError("body: not JSON") from None


async def _json_objects(request: Request) -> Iterator[dict[str, Any]]:
    """Return the objects of the body's list, or the body's single object. The iterator raises ValueError at a wrong item."""
    given = await _json(request)
    return map(_object, given if isinstance(given, list) else [given])


def _object(given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise ValueError("body: not an object")
    return given


def _text(given: dict[str, Any], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name}: not a string")
    return value
