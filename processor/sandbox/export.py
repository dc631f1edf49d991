"""`GET /conversations/messages/export`: the query is checked, and its page cut out of the history (contract.md §5.1). Pure."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast, get_args
from urllib.parse import parse_qsl

from processor.sandbox.cursors import Chains, cursor
from processor.sandbox.history import Field, History, keys, stretch
from processor.sandbox.messages import Channel, Message, full
from processor.sandbox.problems import unprocessable
from processor.sandbox.shapes import milliseconds

_names = "locationId limit cursor sortBy sortOrder conversationId contactId channel startDate endDate"
known: Final = frozenset(_names.split())
fewest: Final = 10
most: Final = 500
usual: Final = 100


@dataclass(frozen=True, slots=True)
class Question:
    """What a cursor's pages have in common. Which date `first` and `last` mean isn't documented: here the one sorted by."""

    location: str
    contact: str | None
    conversation: str | None
    channel: Channel | None
    first: int | None  # ms since 1970, both included
    last: int | None
    field: Field
    descending: bool


@dataclass(frozen=True, slots=True)
class Query:
    what: Question
    limit: int
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Page:
    total: int  # of all pages
    messages: Sequence[Message]
    following: str | None  # the next one's cursor

    def as_json(self) -> dict[str, Any]:  # a JSON object
        return {"messages": list(map(full, self.messages)), "nextCursor": self.following, "total": self.total}


def named(query: str) -> dict[str, list[str]]:
    """A query string's properties, each with all its values."""
    found: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        found.setdefault(name, []).append(value)
    return found


def parse(given: str) -> Query:
    """Problem: what HighLevel would refuse."""
    found = named(given)
    complaints = [f"property {name} should not exist" for name in sorted(found.keys() - known)]
    complaints += [f"{name} must be a string" for name, values in found.items() if len(values) > 1]
    one = {name: values[0] for name, values in found.items()}
    if not one.get("locationId"):
        complaints += ["locationId must be a string", "locationId should not be empty"]
    if "limit" in one:
        complaints += _limit(one["limit"])
    for name, allowed in (
        ("sortBy", get_args(Field)),
        ("sortOrder", ("asc", "desc")),
        ("channel", get_args(Channel)),
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
    what = Question(
        one["locationId"],
        one.get("contactId"),
        one.get("conversationId"),
        cast(Channel | None, one.get("channel")),
        dates.get("startDate"),
        dates.get("endDate"),
        cast(Field, one.get("sortBy", "createdAt")),
        one.get("sortOrder", "desc") == "desc",
    )
    return Query(what, int(one.get("limit", usual)), one.get("cursor"))


def run(query: Query, history: History, chains: Chains, now: int, life_s: float) -> Page:
    """Problem: its cursor serves no more. A message that comes meanwhile is where its time puts it: shown if that is still ahead."""
    what, chain, after = query.what, None, None
    if query.cursor is not None:
        chain, after = chains.follow(query.cursor, what, now, life_s)
    order, key = history.order(what.field, what.channel, what.contact, what.conversation), keys[what.field]
    first, last = stretch(order, what.field, what.first, what.last)
    total = last - first
    if what.descending:
        last = last if after is None else max(first, bisect_left(order, after, first, last, key=key))
        cut = max(first, last - query.limit)
        shown, more = order[cut:last][::-1], cut > first
    else:
        first = first if after is None else bisect_right(order, after, first, last, key=key)
        shown, more = order[first : min(last, first + query.limit)], first + query.limit < last
    following = cursor(chain or chains.begin(what, now, life_s), key(shown[-1])) if more else None
    return Page(total, shown, following)


def _limit(given: str) -> list[str]:
    if not (given.isascii() and given.isdigit() and len(given) < 10):
        return ["limit must be a number conforming to the specified constraints"]
    if int(given) < fewest:
        return [f"limit must not be less than {fewest}"]
    return [f"limit must not be greater than {most}"] if int(given) > most else []


def _date(given: str) -> int | None:
    try:
        return milliseconds(given)
    except (ValueError, OverflowError):
        return None
