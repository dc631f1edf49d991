from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.sandbox import search
from processor.sandbox.contacts import Mix, synthetic
from processor.sandbox.index import Index
from processor.sandbox.problems import Problem

plain = {"locationId": "here", "pageLimit": 500}
fields = (
    "dateAdded",
    "dateUpdated",
    "email",
    "firstNameLowerCase",
    "lastNameLowerCase",
    "businessName",
    "source",
    "dnd",
)


@pytest.fixture(scope="module")
def index() -> Index:
    index = Index()
    for contact in synthetic("here", 300, mix=Mix(imported=0.6, gaps=0.4)):
        index.put(contact)
    return index


def ask(index: Index, **body: Any) -> search.Page:
    return search.run(search.parse({**plain, **body}), index)


def walk(index: Index, **body: Any) -> list[str]:
    """Ids of all pages, by `searchAfter`."""
    query = search.parse({**plain, **body})
    page, ids = search.run(query, index), list[str]()
    while page.contacts:
        ids += [contact.id for contact in page.contacts]
        after = search.cursor(page.contacts[-1], query.sort)
        page = search.run(search.parse({**plain, **body, "searchAfter": after}), index)
    return ids


@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("field", fields)
def test_pages_follow_each_other_without_gap_or_repeat(index: Index, field: str, direction: str) -> None:
    """Also where many contacts share the value that they are sorted by."""
    sort = [{"field": field, "direction": direction}]
    ids = walk(index, pageLimit=7, sort=sort)

    assert sorted(index.by_id) == sorted(ids)
    assert ids == [contact.id for contact in ask(index, sort=sort).contacts]


@pytest.mark.parametrize("directions", list(product(("asc", "desc"), repeat=2)))
def test_two_fields_sort_too(index: Index, directions: tuple[str, str]) -> None:
    sort = [
        {"field": field, "direction": direction}
        for field, direction in zip(("source", "dateAdded"), directions, strict=True)
    ]
    contacts = ask(index, sort=sort).contacts
    outer = [contact.source for contact in contacts]

    assert outer == sorted(outer, key=str, reverse=directions[0] == "desc")
    assert [contact.id for contact in contacts] == walk(index, pageLimit=11, sort=sort)


def test_newest_first_where_no_order_is_asked_for(index: Index) -> None:
    added = [contact.added for contact in ask(index, pageLimit=9).contacts]

    assert max(contact.added for contact in index.by_id.values()) == added[0]
    assert added == sorted(added, reverse=True)


def test_numbered_pages_are_slices_and_total_counts_all(index: Index) -> None:
    sort = [{"field": "dateAdded", "direction": "asc"}]
    second = ask(index, pageLimit=40, page=2, sort=sort)

    assert 300 == second.total
    assert list(ask(index, sort=sort).contacts)[40:80] == list(second.contacts)
    assert [] == list(ask(index, pageLimit=40, page=9, sort=sort).contacts)


@given(data=st.data())
def test_a_cursor_outlives_its_contact(data: st.DataObject) -> None:
    """Whatever comes and goes between two pages, every contact that stays is seen once."""
    index, everyone = Index(), list(synthetic("here", 30, mix=Mix(imported=0.7)))
    for contact in everyone:
        index.put(contact)
    gone, seen, after = set[str](), list[str](), None
    while True:
        body = {**plain, "pageLimit": 4, "sort": [{"field": "dateAdded", "direction": "asc"}], "searchAfter": after}
        query = search.parse(body)
        page = search.run(query, index)
        if not page.contacts:
            break
        seen += [contact.id for contact in page.contacts]
        after = search.cursor(page.contacts[-1], query.sort)
        victim = data.draw(st.sampled_from(everyone)).id
        gone.add(victim)
        index.drop(victim)

    assert len(seen) == len(set(seen))
    assert {contact.id for contact in everyone} - gone <= set(seen)


def test_filters_are_paged_like_everything(index: Index) -> None:
    some = {"filters": [{"field": "source", "operator": "eq", "value": "website"}]}
    late = {
        "filters": [{"field": "dateAdded", "operator": "range", "value": {"gte": min(c.added for c in index.by_id.values()) + 1}}]
    }  # fmt: skip

    for body in (some, late):
        assert len(walk(index, pageLimit=5, **body)) == ask(index, pageLimit=1, **body).total > 5
        for field, direction in product(("dateAdded", "dateUpdated"), ("asc", "desc")):
            sort = [{"field": field, "direction": direction}]
            assert walk(index, pageLimit=5, sort=sort, **body) == [c.id for c in ask(index, sort=sort, **body).contacts]


def test_free_text_looks_into_names_emails_phones_and_companies(index: Index) -> None:
    some = next(contact for contact in index.by_id.values() if contact.phone)

    assert [some] == list(ask(index, query=some.phone).contacts)
    assert 0 == ask(index, query="nobody at all").total


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"locationId": None}, 422, ["locationId must be a string", "locationId should not be empty"]),
        ({"pageLimit": None}, 422, ["pageLimit must be a number conforming to the specified constraints"]),
        ({"pageLimit": "5"}, 422, ["pageLimit must be a number conforming to the specified constraints"]),
        ({"pageLimit": 501}, 422, ["pageLimit must not be greater than 500"]),
        ({"pageLimit": 0}, 422, ["pageLimit must not be less than 1"]),
        ({"limit": 5}, 422, ["property limit should not exist"]),
        ({"query": "x" * 76}, 422, ["query must be shorter than or equal to 75 characters"]),
        ({"page": 1, "searchAfter": [1, "x"]}, 422, ["page should not exist together with searchAfter"]),
        ({"page": 21}, 400, "Only the first 10000 records can be paged through, use searchAfter"),
        ({"searchAfter": ["x", 1]}, 400, "Invalid searchAfter"),
        ({"searchAfter": [1, "x", "y"]}, 400, "Invalid searchAfter"),
        ({"sort": [{"field": "city", "direction": "asc"}]}, 400, "Invalid field city"),
        (
            {"sort": [{"field": "email", "direction": "up"}]},
            422,
            ["direction must be one of the following values: asc, desc"],
        ),
        ({"sort": [{"field": "email"}]}, 422, ["each value in nested property sort must have field and direction"]),
        ({"sort": [1, 2, 3]}, 422, ["sort must contain no more than 2 elements"]),
    ],
)
def test_a_wrong_body_is_refused(body: dict[str, Any], status: int, message: object) -> None:
    with pytest.raises(Problem) as refused:
        search.parse({**plain, **body})

    assert (status, message) == (refused.value.status, refused.value.message)


def test_ten_thousand_records_can_be_paged_through() -> None:
    assert 9_500 == search.parse({**plain, "page": 20}).skip
