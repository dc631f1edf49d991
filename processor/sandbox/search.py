"""`POST /contacts/search`: the body is checked, matches are found, sorted, and cut into a page (contract.md §4.1). Pure."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cmp_to_key
from typing import Any, Final

from processor.sandbox import filters
from processor.sandbox.filters import Filter, Group, Leaf
from processor.sandbox.index import Index, before, key_of, ranked, sortable
from processor.sandbox.problems import Problem, unprocessable
from processor.sandbox.shapes import Contact

page_limit: Final = 500
paged_limit: Final = 10_000  # records that `page` reaches; beyond only `searchAfter`
query_limit: Final = 75
known: Final = frozenset(("locationId", "pageLimit", "page", "searchAfter", "filters", "sort", "query"))
few: Final = 8  # of that many contacts one: fewer matches are sorted, more are picked out of the index's order
usual_sort: Final = (("dateAdded", True),)  # not documented; newest first is what HighLevel's screens show

Sort = tuple[tuple[str, bool], ...]  # (field, descending)


@dataclass(frozen=True, slots=True)
class Query:
    location: str
    limit: int
    skip: int
    after: list[Any] | None
    where: Filter
    sort: Sort
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    total: int
    contacts: Sequence[Contact]


def parse(body: Any) -> Query:  # any JSON
    """Problem: what HighLevel would refuse."""
    if not isinstance(body, dict):
        raise unprocessable("locationId must be a string", "pageLimit must be a number")
    complaints = [f"property {name} should not exist" for name in sorted(body.keys() - known)]
    location: Any = body.get("locationId")
    limit: Any = body.get("pageLimit")
    page: Any = body.get("page")
    text: Any = body.get("query")
    if not isinstance(location, str) or not location:
        complaints += ["locationId must be a string", "locationId should not be empty"]
    complaints += _number("pageLimit", limit, page_limit)
    complaints += _number("page", page, None) if page is not None else ()
    if text is not None and (not isinstance(text, str) or len(text) > query_limit):
        complaints.append(f"query must be shorter than or equal to {query_limit} characters")
    if page is not None and body.get("searchAfter") is not None:
        complaints.append("page should not exist together with searchAfter")
    if complaints:
        raise unprocessable(*complaints)
    if (page or 1) * limit > paged_limit:
        raise Problem(400, f"Only the first {paged_limit} records can be paged through, use searchAfter")
    sort = _sort(body.get("sort"))
    where = filters.parse(body["filters"]) if body.get("filters") is not None else filters.everything
    after = _after(body.get("searchAfter"), sort)
    return Query(location, limit, ((page or 1) - 1) * limit, after, where, sort, (text or "").lower())


def _number(name: str, value: Any, most: int | None) -> list[str]:
    if not isinstance(value, int) or isinstance(value, bool):
        return [f"{name} must be a number conforming to the specified constraints"]
    if value < 1:
        return [f"{name} must not be less than 1"]
    return [f"{name} must not be greater than {most}"] if most and value > most else []


def _sort(given: Any) -> Sort:
    if given is None or given == []:
        return usual_sort
    if not isinstance(given, list) or len(given) > 2:
        raise unprocessable("sort must contain no more than 2 elements")
    sort = []
    for item in given:
        if not isinstance(item, dict) or item.keys() != {"field", "direction"}:
            raise unprocessable("each value in nested property sort must have field and direction")
        if item["field"] not in sortable:
            raise Problem(400, f"Invalid field {item['field']}")
        if item["direction"] not in ("asc", "desc"):
            raise unprocessable("direction must be one of the following values: asc, desc")
        sort.append((item["field"], item["direction"] == "desc"))
    return tuple(sort)


def _after(given: Any, sort: Sort) -> list[Any] | None:
    if given is None or given == []:
        return None
    types = [int if field.startswith("date") else bool if field == "dnd" else str for field, _ in sort] + [str]
    if not isinstance(given, list) or list(map(type, given)) != types:
        raise Problem(400, "Invalid searchAfter")
    return given


def cursor(contact: Contact, sort: Sort) -> list[Any]:
    """A hit's `searchAfter`: its sort values and its id."""
    return [*(sortable[field](contact) for field, _ in sort), contact.id]


def run(query: Query, index: Index) -> Page:
    if (stretch := _stretch(query, index)) is not None:
        return _cut(query, index, *stretch)
    matches = index.matches((query.where, query.sort, query.text), lambda: _ranked(query, index))
    start = query.skip
    if query.after is not None:

        def compare(left: list[Any], right: list[Any]) -> int:
            return before(left, right, query.sort)

        place = cmp_to_key(compare)
        start = bisect_right(matches, place(query.after), key=lambda contact: place(cursor(contact, query.sort)))
    return Page(len(matches), matches[start : start + query.limit])


def _stretch(query: Query, index: Index) -> tuple[int, int] | None:
    """A whole scan, or one of a stretch of time: where its matches lie in the index's order. None: this is no such search."""
    [(field, _), *more] = query.sort
    if more or query.text:
        return None
    match query.where:
        case Group(members=()):
            return 0, len(index)
        case Group(members=(Leaf(name=name, operator="range", value=(first, last)),)) if name == field:
            return index.stretch(field, first, last)
    return None


def _cut(query: Query, index: Index, first: int, last: int) -> Page:
    """The page of a stretch of the index's order. Nothing is sorted or copied: it costs the same however many match."""
    [(field, descending)] = query.sort
    order, key, total = index.ordered(field), key_of(field), last - first
    after = None if query.after is None else tuple(query.after)
    if descending:
        last = (last if after is None else bisect_left(order, after, first, last, key=key)) - query.skip
        return Page(total, order[max(first, last - query.limit) : max(first, last)][::-1])
    first = (first if after is None else bisect_right(order, after, first, last, key=key)) + query.skip
    return Page(total, order[first : min(last, first + query.limit)])


def _ranked(query: Query, index: Index) -> Sequence[Contact]:
    """All matches, in order."""
    found, exact = filters.candidates(query.where, index) or (index.by_id.values(), False)
    passes = filters.test(query.where)
    if len(query.sort) == 1 and len(found) * few > len(index):
        [(field, descending)] = query.sort
        order = index.ordered(field)  # to look at all of them is cheaper than to sort so many
        matches = [contact for contact in order if passes(contact) and _says(contact, query.text)]
        return matches[::-1] if descending else matches
    if not exact or query.text:
        found = [contact for contact in found if passes(contact) and _says(contact, query.text)]
    return ranked(found, query.sort)


def _says(contact: Contact, text: str) -> bool:
    return not text or text in _searched(contact)


def _searched(contact: Contact) -> str:
    return " ".join(filter(None, (contact.name, contact.email, contact.phone, contact.company_name))).lower()
