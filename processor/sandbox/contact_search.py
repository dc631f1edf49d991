"""Serve `POST /contacts/search`: check the body, find and sort the matches, and cut a page (contract.md §4.1). Does no I/O."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cmp_to_key
from typing import Any, Final

from processor.sandbox.contact_index import ContactIndex, compare_cursors, contact_key, sort_contacts, sort_values
from processor.sandbox.filters import (
    FilterGroup,
    FilterLeaf,
    FilterNode,
    candidate_contacts,
    filter_test,
    no_filter,
    parse_filters,
)
from processor.sandbox.problems import Problem, unprocessable
from processor.sandbox.stored_contact import StoredContact

max_page_size: Final = 500
max_paged_records: Final = 10_000  # records that `page` reaches; beyond only `searchAfter`
max_query_length: Final = 75
search_parameters: Final = frozenset(("locationId", "pageLimit", "page", "searchAfter", "filters", "sort", "query"))
sort_below: Final = 8  # fewer matches than 1/8 of the contacts are sorted, more are picked from the index's order
default_sort: Final = (("dateAdded", True),)  # not documented; newest first is the order on HighLevel's screens

SortOrder = tuple[tuple[str, bool], ...]  # (field, descending)


@dataclass(frozen=True, slots=True)
class SearchQuery:
    location: str
    limit: int
    skip: int
    after: list[Any] | None
    where: FilterNode
    sort: SortOrder
    text: str


@dataclass(frozen=True, slots=True)
class SearchPage:
    total: int
    contacts: Sequence[StoredContact]


def parse_search(body: Any) -> SearchQuery:  # any JSON
    """Return the query. Raise Problem where HighLevel would refuse."""
    if not isinstance(body, dict):
        raise unprocessable("locationId must be a string", "pageLimit must be a number")
    complaints = [f"property {name} should not exist" for name in sorted(body.keys() - search_parameters)]
    location: Any = body.get("locationId")
    limit: Any = body.get("pageLimit")
    page: Any = body.get("page")
    text: Any = body.get("query")
    if not isinstance(location, str) or not location:
        complaints += ["locationId must be a string", "locationId should not be empty"]
    complaints += _number("pageLimit", limit, max_page_size)
    complaints += _number("page", page, None) if page is not None else ()
    if text is not None and (not isinstance(text, str) or len(text) > max_query_length):
        complaints.append(f"query must be shorter than or equal to {max_query_length} characters")
    if page is not None and body.get("searchAfter") is not None:
        complaints.append("page should not exist together with searchAfter")
    if complaints:
        raise unprocessable(*complaints)
    if (page or 1) * limit > max_paged_records:
        raise Problem(400, f"Only the first {max_paged_records} records can be paged through, use searchAfter")
    sort = _sort(body.get("sort"))
    where = parse_filters(body["filters"]) if body.get("filters") is not None else no_filter
    after = _after(body.get("searchAfter"), sort)
    return SearchQuery(location, limit, ((page or 1) - 1) * limit, after, where, sort, (text or "").lower())


def _number(name: str, value: Any, most: int | None) -> list[str]:
    if not isinstance(value, int) or isinstance(value, bool):
        return [f"{name} must be a number conforming to the specified constraints"]
    if value < 1:
        return [f"{name} must not be less than 1"]
    return [f"{name} must not be greater than {most}"] if most and value > most else []


def _sort(given: Any) -> SortOrder:
    if given is None or given == []:
        return default_sort
    if not isinstance(given, list) or len(given) > 2:
        raise unprocessable("sort must contain no more than 2 elements")
    sort = []
    for item in given:
        if not isinstance(item, dict) or item.keys() != {"field", "direction"}:
            raise unprocessable("each value in nested property sort must have field and direction")
        if item["field"] not in sort_values:
            raise Problem(400, f"Invalid field {item['field']}")
        if item["direction"] not in ("asc", "desc"):
            raise unprocessable("direction must be one of the following values: asc, desc")
        sort.append((item["field"], item["direction"] == "desc"))
    return tuple(sort)


def _after(given: Any, sort: SortOrder) -> list[Any] | None:
    if given is None or given == []:
        return None
    types = [int if field.startswith("date") else bool if field == "dnd" else str for field, _ in sort] + [str]
    if not isinstance(given, list) or list(map(type, given)) != types:
        raise Problem(400, "Invalid searchAfter")
    return given


def search_cursor(contact: StoredContact, sort: SortOrder) -> list[Any]:
    """Return a contact's `searchAfter`: its sort values and its id."""
    return [*(sort_values[field](contact) for field, _ in sort), contact.id]


def search_page(query: SearchQuery, index: ContactIndex) -> SearchPage:
    if (found := _scan_range(query, index)) is not None:
        return _cut(query, index, *found)
    matches = index.matches((query.where, query.sort, query.text), lambda: _sorted_matches(query, index))
    start = query.skip
    if query.after is not None:

        def compare(left: list[Any], right: list[Any]) -> int:
            return compare_cursors(left, right, query.sort)

        place = cmp_to_key(compare)
        start = bisect_right(matches, place(query.after), key=lambda contact: place(search_cursor(contact, query.sort)))
    return SearchPage(len(matches), matches[start : start + query.limit])


def _scan_range(query: SearchQuery, index: ContactIndex) -> tuple[int, int] | None:
    """Return begin and end of a scan's matches in the index's order, None if the search isn't a scan of all or of a time range."""
    [(field, _), *more] = query.sort
    if more or query.text:
        return None
    match query.where:
        case FilterGroup(members=()):
            return 0, len(index)
        case FilterGroup(members=(FilterLeaf(name=name, operator="range", value=(first, last)),)) if name == field:
            return index.range_of(field, first, last)
    return None


def _cut(query: SearchQuery, index: ContactIndex, first: int, last: int) -> SearchPage:
    """Return the page of a range of the index's order. The cost doesn't depend on the matches: none is sorted or copied."""
    [(field, descending)] = query.sort
    order, key, total = index.ordered(field), contact_key(field), last - first
    after = None if query.after is None else tuple(query.after)
    if descending:
        last = (last if after is None else bisect_left(order, after, first, last, key=key)) - query.skip
        return SearchPage(total, order[max(first, last - query.limit) : max(first, last)][::-1])
    first = (first if after is None else bisect_right(order, after, first, last, key=key)) + query.skip
    return SearchPage(total, order[first : min(last, first + query.limit)])


def _sorted_matches(query: SearchQuery, index: ContactIndex) -> Sequence[StoredContact]:
    """Return all matches, in order."""
    found, exact = candidate_contacts(query.where, index) or (index.by_id.values(), False)
    passes = filter_test(query.where)
    if len(query.sort) == 1 and len(found) * sort_below > len(index):
        [(field, descending)] = query.sort
        order = index.ordered(field)  # testing all contacts is cheaper than sorting so many
        matches = [contact for contact in order if passes(contact) and _has_text(contact, query.text)]
        return matches[::-1] if descending else matches
    if not exact or query.text:
        found = [contact for contact in found if passes(contact) and _has_text(contact, query.text)]
    return sort_contacts(found, query.sort)


def _has_text(contact: StoredContact, text: str) -> bool:
    parts = contact.name, contact.email, contact.phone, contact.company_name
    return not text or text in " ".join(filter(None, parts)).lower()
