"""Serve `GET /conversations/messages/export`: check the query, and cut its page out of the history (contract.md §5.1)."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast, get_args
from urllib.parse import parse_qsl

from processor.sandbox.cursors import CursorChains, encode_cursor
from processor.sandbox.json_values import parse_time_ms
from processor.sandbox.message_history import MessageHistory, SortField, message_keys, time_range
from processor.sandbox.problems import unprocessable
from processor.sandbox.stored_message import MessageChannel, StoredMessage, message_json

_names = "locationId limit cursor sortBy sortOrder conversationId contactId channel startDate endDate"
export_parameters: Final = frozenset(_names.split())
min_export_limit: Final = 10
max_export_limit: Final = 500
default_export_limit: Final = 100


@dataclass(frozen=True, slots=True)
class ExportSelection:
    """Hold the query that all pages share. The docs don't say which date `first` and `last` limit: here the date sorted by."""

    location: str
    contact: str | None
    conversation: str | None
    channel: MessageChannel | None
    first: int | None  # ms since 1970, both included
    last: int | None
    field: SortField
    descending: bool


@dataclass(frozen=True, slots=True)
class ExportQuery:
    selection: ExportSelection
    limit: int
    cursor: str | None


@dataclass(frozen=True, slots=True)
class ExportPage:
    total: int  # messages of all pages
    messages: Sequence[StoredMessage]
    next_cursor: str | None

    def as_json(self) -> dict[str, Any]:  # a JSON object
        return {"messages": list(map(message_json, self.messages)), "nextCursor": self.next_cursor, "total": self.total}


def query_values(query: str) -> dict[str, list[str]]:
    """Return a query string's properties, each with all its values."""
    found: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        found.setdefault(name, []).append(value)
    return found


def parse_export(given: str) -> ExportQuery:
    """Return the query. Raise Problem where HighLevel would refuse."""
    found = query_values(given)
    complaints = [f"property {name} should not exist" for name in sorted(found.keys() - export_parameters)]
    complaints += [f"{name} must be a string" for name, values in found.items() if len(values) > 1]
    one = {name: values[0] for name, values in found.items()}
    if not one.get("locationId"):
        complaints += ["locationId must be a string", "locationId should not be empty"]
    if "limit" in one:
        complaints += _limit(one["limit"])
    for name, allowed in (
        ("sortBy", get_args(SortField)),
        ("sortOrder", ("asc", "desc")),
        ("channel", get_args(MessageChannel)),
    ):
        if name in one and one[name] not in allowed:
            complaints.append(f"{name} must be one of the following values: {', '.join(allowed)}")
    dates = {name: _date(one[name]) for name in ("startDate", "endDate") if name in one}
    complaints += [f"{name} must be a valid ISO 8601 date string" for name, date in dates.items() if date is None]
    complaints += [
        f"{name} should not be empty"
        for name in ("contactId", "conversationId", "cursor")
        if name in one and not one[name]
    ]
    if complaints:
        raise unprocessable(*complaints)
    selection = ExportSelection(
        one["locationId"],
        one.get("contactId"),
        one.get("conversationId"),
        cast(MessageChannel | None, one.get("channel")),
        dates.get("startDate"),
        dates.get("endDate"),
        cast(SortField, one.get("sortBy", "createdAt")),
        one.get("sortOrder", "desc") == "desc",
    )
    return ExportQuery(selection, int(one.get("limit", default_export_limit)), one.get("cursor"))


def export_page(
    query: ExportQuery, history: MessageHistory, cursors: CursorChains, now: int, life_s: float
) -> ExportPage:
    """Return a page. Raise Problem if the query's cursor is invalid.

    A message that comes between two pages takes its place by time. A later page shows it only if that place is still ahead.
    """
    selection, chain, after = query.selection, None, None
    if query.cursor is not None:
        chain, after = cursors.follow(query.cursor, selection, now, life_s)
    order, key = (
        history.order(selection.field, selection.channel, selection.contact, selection.conversation),
        message_keys[selection.field],
    )
    first, last = time_range(order, selection.field, selection.first, selection.last)
    total = last - first
    if selection.descending:
        last = last if after is None else max(first, bisect_left(order, after, first, last, key=key))
        cut = max(first, last - query.limit)
        shown, more = order[cut:last][::-1], cut > first
    else:
        first = first if after is None else bisect_right(order, after, first, last, key=key)
        shown, more = order[first : min(last, first + query.limit)], first + query.limit < last
    next_cursor = encode_cursor(chain or cursors.begin(selection, now, life_s), key(shown[-1])) if more else None
    return ExportPage(total, shown, next_cursor)


def _limit(given: str) -> list[str]:
    if not (given.isascii() and given.isdigit() and len(given) < 10):
        return ["limit must be a number conforming to the specified constraints"]
    if int(given) < min_export_limit:
        return [f"limit must not be less than {min_export_limit}"]
    return [f"limit must not be greater than {max_export_limit}"] if int(given) > max_export_limit else []


def _date(given: str) -> int | None:
    try:
        return parse_time_ms(given)
    except (ValueError, OverflowError):
        return None
