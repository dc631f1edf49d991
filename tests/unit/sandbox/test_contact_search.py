"""Search sorts, filters and pages contacts, and refuses a wrong body."""

from itertools import product
from typing import Any

import pytest
from hypothesis import given, strategies

from processor.sandbox.contact_index import ContactIndex, sort_contacts, sort_values
from processor.sandbox.contact_search import SearchPage, parse_search, search_cursor, search_page
from processor.sandbox.json_values import iso_time
from processor.sandbox.problems import Problem
from processor.sandbox.stored_contact import StoredContact
from processor.sandbox.synthetic_contacts import ContactMix, synthetic_contacts

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
def index() -> ContactIndex:
    index = ContactIndex()
    for contact in synthetic_contacts("here", 300, mix=ContactMix(imported=0.6, gaps=0.4)):
        index.put(contact)
    return index


def ask(index: ContactIndex, **body: Any) -> SearchPage:
    return search_page(parse_search({**plain, **body}), index)


def walk(index: ContactIndex, **body: Any) -> list[str]:
    """Return the ids of all pages, by `searchAfter`."""
    query = parse_search({**plain, **body})
    page, ids = search_page(query, index), list[str]()
    while page.contacts:
        ids += [contact.id for contact in page.contacts]
        after = search_cursor(page.contacts[-1], query.sort)
        page = search_page(parse_search({**plain, **body, "searchAfter": after}), index)
    return ids


@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("field", fields)
def test_pages_follow_each_other_without_gap_or_repeat(index: ContactIndex, field: str, direction: str) -> None:
    """Many contacts share a sort value."""
    sort = [{"field": field, "direction": direction}]
    ids = walk(index, pageLimit=7, sort=sort)

    assert sorted(index.by_id) == sorted(ids)
    assert ids == [contact.id for contact in ask(index, sort=sort).contacts]


@pytest.mark.parametrize("directions", list(product(("asc", "desc"), repeat=2)))
def test_two_fields_sort_too(index: ContactIndex, directions: tuple[str, str]) -> None:
    sort = [
        {"field": field, "direction": direction}
        for field, direction in zip(("source", "dateAdded"), directions, strict=True)
    ]
    contacts = ask(index, sort=sort).contacts
    outer = [contact.source for contact in contacts]

    assert outer == sorted(outer, key=str, reverse=directions[0] == "desc")
    assert [contact.id for contact in contacts] == walk(index, pageLimit=11, sort=sort)


def test_newest_first_where_no_order_is_asked_for(index: ContactIndex) -> None:
    added = [contact.added for contact in ask(index, pageLimit=9).contacts]

    assert max(contact.added for contact in index.by_id.values()) == added[0]
    assert added == sorted(added, reverse=True)


def test_numbered_pages_are_slices_and_total_counts_all(index: ContactIndex) -> None:
    sort = [{"field": "dateAdded", "direction": "asc"}]
    second = ask(index, pageLimit=40, page=2, sort=sort)

    assert 300 == second.total
    assert list(ask(index, sort=sort).contacts)[40:80] == list(second.contacts)
    assert [] == list(ask(index, pageLimit=40, page=9, sort=sort).contacts)


@given(data=strategies.data())
def test_a_cursor_outlives_its_contact(data: strategies.DataObject) -> None:
    """Deletions between two pages leave none out: each contact that stays is found once."""
    index, stored = ContactIndex(), list(synthetic_contacts("here", 30, mix=ContactMix(imported=0.7)))
    for contact in stored:
        index.put(contact)
    gone, found_ids, after = set[str](), list[str](), None
    while True:
        body = {**plain, "pageLimit": 4, "sort": [{"field": "dateAdded", "direction": "asc"}], "searchAfter": after}
        query = parse_search(body)
        page = search_page(query, index)
        if not page.contacts:
            break
        found_ids += [contact.id for contact in page.contacts]
        after = search_cursor(page.contacts[-1], query.sort)
        victim = data.draw(strategies.sampled_from(stored)).id
        gone.add(victim)
        index.drop(victim)

    assert len(found_ids) == len(set(found_ids))
    assert {contact.id for contact in stored} - gone <= set(found_ids)


def test_filtered_contacts_are_paged(index: ContactIndex) -> None:
    some = {"filters": [{"field": "source", "operator": "eq", "value": "website"}]}
    late = {
        "filters": [{"field": "dateAdded", "operator": "range", "value": {"gte": min(c.added for c in index.by_id.values()) + 1}}]
    }  # fmt: skip

    for body in (some, late):
        assert len(walk(index, pageLimit=5, **body)) == ask(index, pageLimit=1, **body).total > 5
        for field, direction in product(("dateAdded", "dateUpdated"), ("asc", "desc")):
            sort = [{"field": field, "direction": direction}]
            assert walk(index, pageLimit=5, sort=sort, **body) == [c.id for c in ask(index, sort=sort, **body).contacts]


@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_recent_changes_are_paged_in_the_order_added(index: ContactIndex, direction: str) -> None:
    """Each contact is found once, and each page has the total of all matches."""
    updated = sorted(contact.updated for contact in index.by_id.values())
    for since in (updated[5], updated[-20]):
        late = {contact.id for contact in index.by_id.values() if contact.updated >= since}
        body = {
            "filters": [{"field": "dateUpdated", "operator": "range", "value": {"gte": iso_time(since)}}],
            "sort": [{"field": "dateAdded", "direction": direction}],
        }
        ids = walk(index, pageLimit=7, **body)

        assert [
            one.id
            for one in sort_contacts(index.by_id.values(), [("dateAdded", direction == "desc")])
            if one.id in late
        ] == ids
        assert len(late) == ask(index, pageLimit=1, **body).total


def test_pages_follow_a_change_that_comes_between_them() -> None:
    """Remembered matches go with the first change."""
    index, stored = ContactIndex(), list(synthetic_contacts("here", 20))
    for contact in stored:
        index.put(contact)
    body = {
        "filters": [{"field": "source", "operator": "exists"}],
        "sort": [{"field": "dateAdded", "direction": "asc"}],
    }
    before = ask(index, **body)
    index.put(stored[3]._replace(source=None))
    changed = ask(index, **body)
    index.drop(stored[5].id)
    dropped = ask(index, **body)

    assert [20, 19, 18] == [before.total, changed.total, dropped.total]
    assert {*stored} - {stored[3], stored[5]} == {*dropped.contacts}


@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_a_page_costs_the_same_however_deep_it_lies(direction: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer than 50 of 5,000 contacts are read to find the begin of a page."""
    index = ContactIndex()
    for contact in synthetic_contacts("here", 5_000):
        index.put(contact)
    order, looks = index.ordered("dateAdded"), list[str]()

    def added(contact: StoredContact) -> int:
        looks.append(contact.id)
        return contact.added

    monkeypatch.setitem(sort_values, "dateAdded", added)
    sort = [{"field": "dateAdded", "direction": direction}]
    costs = set[bool]()
    for place in (10, 2_500, 4_900):
        looks.clear()
        page = ask(index, pageLimit=5, sort=sort, searchAfter=[order[place].added, order[place].id])
        costs.add(len(looks) < 50)
        here = order[place + 1 : place + 6] if direction == "asc" else order[place - 5 : place][::-1]
        assert (5_000, here) == (page.total, page.contacts)

    assert {True} == costs


def test_fifty_emails_are_found_in_one_group_and_counted(index: ContactIndex) -> None:
    """A contact counts once, also if its e-mail is named twice. Contacts that share an e-mail are all found."""
    known = [contact for contact in index.by_id.values() if contact.email][:40]
    twin = known[0]._replace(id="twin")
    emails = [*((contact.email or "").lower() for contact in known), *(f"unknown{n}@example.com" for n in range(9))]
    leaves = [{"field": "email", "operator": "eq", "value": email} for email in [*emails, emails[0]]]
    body = {"filters": [{"group": "OR", "filters": leaves}], "pageLimit": 30}
    alone = ask(index, **body)
    index.put(twin)
    together = ask(index, **body)
    ids = walk(index, **body)
    index.drop("twin")

    assert (40, 30) == (alone.total, len(alone.contacts))
    assert (41, 30) == (together.total, len(together.contacts))
    assert sorted([*(contact.id for contact in known), "twin"]) == sorted(ids)


def test_free_text_looks_into_names_emails_phones_and_companies(index: ContactIndex) -> None:
    some = next(contact for contact in index.by_id.values() if contact.phone)

    assert [some] == list(ask(index, query=some.phone).contacts)
    assert 0 == ask(index, query="unknown at all").total


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
        parse_search({**plain, **body})

    assert (status, message) == (refused.value.status, refused.value.message)


def test_ten_thousand_records_can_be_paged_through() -> None:
    assert 9_500 == parse_search({**plain, "page": 20}).skip
