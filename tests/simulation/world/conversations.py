"""HighLevel's export of messages, with cursors that expire."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from tests.lab.workload.message import Message
from tests.lab.workload.times import iso, parse_ms, start_ms

cursor_lives_ms: Final = 120_000  # since its last use
Row = tuple[int, str]  # the place of a message among all: a cursor holds one
Response = tuple[int, Mapping[str, object]]  # status, body


@dataclass(slots=True)
class OpenExport:
    """An export with further pages, found by its cursor."""

    contact: str | None
    since: int
    after: Row
    used: int  # ms since 1970


@dataclass
class Conversations:
    messages: Iterable[Message] = ()
    _rows: dict[str, list[Message]] = field(default_factory=dict)  # by location
    _cursors: dict[str, OpenExport] = field(default_factory=dict)
    expired: int = 0  # cursors that were refused

    def __post_init__(self) -> None:
        for message in sorted(self.messages, key=lambda message: message.row):
            self._rows.setdefault(message.location, []).append(message)

    def export(self, location: str, query: Mapping[str, str], now: int) -> Response:
        """Return the status and body of one page. `now` is in ms since 1970."""
        allowed = {"locationId", "channel", "limit", "sortBy", "sortOrder", "contactId", "startDate", "cursor"}
        limit = query.get("limit", "")
        fixed = (query.get("locationId"), query.get("channel"), query.get("sortBy"), query.get("sortOrder"))
        if query.keys() - allowed or fixed != (location, "SMS", "createdAt", "asc"):
            return 422, {"statusCode": 422, "message": ["unreadable"]}
        if not limit.isdecimal() or not 0 < int(limit) <= 500:  # small worlds have smaller pages than HighLevel
            return 422, {"statusCode": 422, "message": ["limit"]}
        contact, since, after = query.get("contactId"), parse_ms(query.get("startDate")) or 0, (-1, "")
        if (cursor := query.get("cursor")) is not None:
            export = self._cursors.get(cursor)
            if export is None or export.contact != contact or now - export.used > cursor_lives_ms:
                self.expired += 1
                return 400, {"statusCode": 400, "message": "Cursor is invalid or expired", "traceId": "trace-4"}
            export.used, since, after = now, export.since, export.after
        here = [
            one
            for one in self._rows.get(location, ())
            if contact in (None, one.contact) and one.sent >= since and start_ms + one.appears <= now
        ]
        first = bisect_right(here, after, key=lambda one: one.row)
        page, following = here[first : first + int(limit)], None
        if first + len(page) < len(here):
            following = f"cursor-{len(self._cursors)}"
            self._cursors[following] = OpenExport(contact, since, page[-1].row, now)
        shown = [payload(one) for one in page]
        return 200, {"messages": shown, "nextCursor": following, "total": len(here), "traceId": "trace-5"}


def payload(message: Message) -> dict[str, object]:
    """Return a message as an export shows it."""
    own = {"id": message.id, "contactId": message.contact, "locationId": message.location, "messageType": message.kind}
    more = {"conversationId": f"conversation of {message.contact}", "direction": "inbound", "status": "delivered"}
    return {**own, **more, "dateAdded": iso(message.sent), "body": message.text}
