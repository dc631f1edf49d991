"""Steering a running world under `/_sandbox/`: its record, faults, contacts, messages and settings. 400 `{"error"}` says what is wrong."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from processor.sandbox import faults, settings
from processor.sandbox.asgi import Sandbox
from processor.sandbox.messages import full as exported
from processor.sandbox.record import Record
from processor.sandbox.shapes import full

body_limit: Final = 64 * 1024 * 1024  # bytes: contacts come by the ten thousand
Endpoint = Callable[[Request], Awaitable[Any]]  # what it returns is shown as JSON


class Admin:
    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def router(self) -> Router:
        one = "/_sandbox/contacts/{location}/{id}"
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
                _route("PUT", one, self.change_contact),
                _route("DELETE", one, self.delete_contact),
                _route("PUT", "/_sandbox/settings", self.settings),
            ]
        )

    async def health(self, request: Request) -> Any:
        return {"status": "ok"}

    async def report(self, request: Request) -> Any:
        return {"now_ms": self.sandbox.now() // 1_000, **self.sandbox.gate.report()}

    async def log(self, request: Request) -> Any:
        location = request.query_params.get("location", "")
        return {"location": location, "arrivals": self.sandbox.gate.records.get(location, Record()).log()}

    async def reset(self, request: Request) -> Any:
        self.sandbox.gate.forget()
        return {}

    async def faults(self, request: Request) -> Any:
        return {"faults": self.sandbox.faults.table()}

    async def add_faults(self, request: Request) -> Any:
        given = await _json(request)
        parsed = [faults.parse(_object(item)) for item in (given if isinstance(given, list) else [given])]
        return {"ids": [self.sandbox.faults.add(fault) for fault in parsed]}

    async def clear_faults(self, request: Request) -> Any:
        id = request.query_params.get("id", "")
        if id and not (id.isascii() and id.isdigit()):
            raise ValueError("id: not a number")
        return {
            "cleared": self.sandbox.faults.clear(int(id[:20]) if id else None, request.query_params.get("location"))
        }

    async def add_contacts(self, request: Request) -> Any:
        """A list of `{"location_id", "contact"}`, or one."""
        given = await _json(request)
        now = self.sandbox.now()
        return {
            "contacts": [
                full(self.sandbox.directory.add(_text(item, "location_id"), _object(item.get("contact")), now))
                for item in map(_object, given if isinstance(given, list) else [given])
            ]
        }

    async def change_contact(self, request: Request) -> Any:
        place = request.path_params
        fields = _object(await _json(request))
        return {
            "contact": full(self.sandbox.directory.change(place["location"], place["id"], fields, self.sandbox.now()))
        }

    async def delete_contact(self, request: Request) -> Any:
        place = request.path_params
        return {"deleted": self.sandbox.directory.delete(place["location"], place["id"], self.sandbox.now())}

    async def change_contacts(self, request: Request) -> Any:
        """A list of changes, at one moment and in their order; those before a wrong one are made."""
        given, now = await _json(request), self.sandbox.now()
        if not isinstance(given, list):
            raise ValueError("body: not a list")
        return {"at_ms": now / 1_000, "contacts": [self._change(_object(item), now) for item in given]}

    def _change(self, item: dict[str, Any], now: int) -> Any:
        """The contact as it is now; None: it is gone."""
        directory, location = self.sandbox.directory, _text(item, "location_id")
        match item.get("kind"):
            case "add":
                return full(directory.add(location, _object(item.get("contact")), now))
            case "change":
                return full(directory.change(location, _text(item, "id"), _object(item.get("contact")), now))
            case "merge":
                return full(directory.merge(location, _text(item, "id"), _text(item, "into"), now))
            case "delete":
                directory.delete(location, _text(item, "id"), now)
                return None
        raise ValueError("kind: none of add, change, merge, delete")

    async def churn(self, request: Request) -> Any:
        """What the location's churn did so far."""
        location = request.query_params.get("location", "")
        churning = self.sandbox.directory.location(location).churning if location else None
        if churning is None:
            return {"location": location, "searches": 0, "changes": []}
        changes = [change.as_json() for change in churning.changes]
        return {"location": location, "searches": churning.searches, "changes": changes}

    async def add_messages(self, request: Request) -> Any:
        """A list of `{"location_id", "message"}`, or one: said at one moment; those before a wrong one are said."""
        given, now = await _json(request), self.sandbox.now()
        say = self.sandbox.directory.say
        return {
            "at_ms": now / 1_000,
            "ids": [
                say(_text(item, "location_id"), _object(item.get("message")), now).id
                for item in map(_object, given if isinstance(given, list) else [given])
            ],
        }

    async def messages(self, request: Request) -> Any:
        """All of a location's or a contact's, in no order, whether or not export shows them."""
        location, contact = (request.query_params.get(name, "") for name in ("location", "contact"))
        history = self.sandbox.directory.location(location).history if location else ()
        return {
            "location": location,
            "messages": [exported(message) for message in history if contact in ("", message.contact)],
        }

    async def chatter(self, request: Request) -> Any:
        """What the location's chatter said so far."""
        location = request.query_params.get("location", "")
        chattering = self.sandbox.directory.location(location).chattering if location else None
        pages, sayings = (chattering.pages, chattering.sayings) if chattering else (0, [])
        return {"location": location, "pages": pages, "sayings": [saying.as_json() for saying in sayings]}

    async def settings(self, request: Request) -> Any:
        settings.change(self.sandbox, _object(await _json(request)))
        return {}


def _route(method: str, path: str, handler: Endpoint) -> Route:
    async def endpoint(request: Request) -> Response:
        try:
            shown, status = await handler(request), 200
        except ValueError as wrong:
            shown, status = {"error": str(wrong)}, 400
        return Response(orjson.dumps(shown), status, media_type="application/json")

    return Route(path, endpoint, methods=[method])


async def _json(request: Request) -> Any:
    read = bytearray()
    async for piece in request.stream():
        read += piece
        if len(read) > body_limit:
            raise ValueError(f"body: over {body_limit} bytes")
    try:
        return orjson.loads(read)
    except orjson.JSONDecodeError:
        raise ValueError("body: not JSON") from None


def _object(given: Any) -> dict[str, Any]:
    match given:
        case dict():
            return given
    raise ValueError("body: not an object")


def _text(given: dict[str, Any], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name}: not a string")
    return value
