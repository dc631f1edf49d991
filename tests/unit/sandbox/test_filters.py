"""Search filters find contacts by test and by index, and wrong filters are refused."""

from typing import Any

import pytest

from processor.sandbox.contact_index import ContactIndex
from processor.sandbox.filters import candidate_contacts, filter_test, parse_filters
from processor.sandbox.problems import Problem
from processor.sandbox.stored_contact import parse_stored_contact

world: dict[str, dict[str, Any]] = {
    "ann": {"email": "Ann@Example.com", "phone": "+15550000001", "firstName": "Ann", "city": "Denver", "tags": ["VIP"]},
    "bob": {"email": "bob@example.com", "firstName": "Bob", "lastName": "O'Brien", "dnd": True, "source": "website"},
    "cyd": {"phone": "+15550000003", "dateAdded": "2024-01-01T00:00:00Z", "dateUpdated": "2024-02-01T00:00:00Z"},
    "dee": {
        "email": "ann@example.com",
        "dndSettings": {"SMS": {"status": "active"}},
        "customFields": [{"id": "f1", "value": "Gold"}, {"id": "f2", "value": 7}],
        "businessName": "Acme",
    },
}


@pytest.fixture
def index() -> ContactIndex:
    index = ContactIndex()
    for id, shown in world.items():
        index.put(parse_stored_contact("here", shown, 1_600_000_000_000, id))
    return index


def leaf(field: str, operator: str, *value: Any) -> dict[str, Any]:
    return {"field": field, "operator": operator} | ({"value": value[0]} if value else {})


def either(*members: dict[str, Any]) -> dict[str, Any]:
    return {"group": "OR", "filters": list(members)}


def both(*members: dict[str, Any]) -> dict[str, Any]:
    return {"group": "AND", "filters": list(members)}


cases = [
    ([], "ann bob cyd dee"),
    ([leaf("email", "eq", "ann@example.com")], "ann dee"),
    ([leaf("email", "eq", "Ann@Example.com")], ""),
    ([leaf("email", "not_eq", "ann@example.com")], "bob cyd"),
    ([leaf("email", "exists")], "ann bob dee"),
    ([leaf("email", "not_exists")], "cyd"),
    ([leaf("id", "eq", "cyd")], "cyd"),
    ([leaf("phone", "eq", "+15550000001")], "ann"),
    ([leaf("phone", "eq", "5550000001")], ""),
    ([leaf("phone", "contains", "000003")], "cyd"),
    ([leaf("firstNameLowerCase", "eq", "ann")], "ann"),
    ([leaf("firstNameLowerCase", "contains", "bo")], "bob"),
    ([leaf("city", "eq", "denver")], "ann"),
    ([leaf("city", "not_contains", "denv")], "bob cyd dee"),
    ([leaf("tags", "eq", "vip")], "ann"),
    ([leaf("dnd", "eq", True)], "bob"),
    ([leaf("dndSettings.SMS.status", "eq", "active")], "dee"),
    ([leaf("customFields.f1", "eq", "gold")], "dee"),
    ([leaf("customFields.f2", "range", {"gte": 5, "lte": 7})], "dee"),
    ([leaf("businessName", "exists")], "dee"),
    ([leaf("dateAdded", "range", {"gte": "2023-01-01", "lte": "2024-01-01T00:00:00Z"})], "cyd"),
    ([leaf("dateUpdated", "range", {"lte": 1_600_000_000_000})], "ann bob dee"),
    ([either(leaf("email", "eq", "bob@example.com"), leaf("id", "eq", "cyd"))], "bob cyd"),
    ([either(leaf("email", "eq", "ann@example.com"), leaf("id", "eq", "ann"))], "ann dee"),
    ([either(leaf("email", "eq", "bob@example.com"), leaf("city", "eq", "denver"))], "ann bob"),
    ([both(leaf("email", "eq", "ann@example.com"), leaf("city", "exists"))], "ann"),
    ([leaf("email", "eq", "ann@example.com"), leaf("phone", "exists")], "ann"),
    ([either(both(leaf("email", "eq", "ann@example.com"), leaf("phone", "exists")), leaf("id", "eq", "bob"))], "ann bob"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "expected"), cases)
def test_a_filter_finds(index: ContactIndex, given: list[Any], expected: str) -> None:
    """The test alone and the index look-up find the same contacts."""
    where = parse_filters(given)
    passes = filter_test(where)
    scanned = [contact.id for contact in index.by_id.values() if passes(contact)]
    found = candidate_contacts(where, index)

    assert expected.split() == scanned
    if found is not None:
        contacts, exact = found
        assert expected.split() == sorted(contact.id for contact in contacts if exact or passes(contact))


def test_a_probe_is_looked_up_and_never_scanned(index: ContactIndex) -> None:
    probe = parse_filters([either(*(leaf("email", "eq", f"{name}@example.com") for name in ("ann", "bob", "unknown")))])
    found = candidate_contacts(probe, index)

    assert found is not None
    assert (["ann", "bob", "dee"], True) == (sorted(contact.id for contact in found[0]), found[1])


@pytest.mark.parametrize(
    ("given", "status", "message"),
    [
        ("email", 422, ["filters must be an array"]),
        (["email"], 422, ["each value in nested property filters must be an object"]),
        ([leaf("contact_name", "eq", "x")], 400, "Invalid field contact_name"),
        ([leaf("additionalEmails", "eq", "x@example.com")], 400, "Invalid field additionalEmails"),
        ([leaf("email", "contains", "x")], 400, "Invalid operator contains for field email"),
        ([leaf("email", "like", "x")], 400, "Invalid operator like for field email"),
        ([leaf("dateAdded", "eq", "2024-01-01")], 400, "Invalid operator eq for field dateAdded"),
        ([leaf("dateAdded", "range", "2024-01-01")], 422, ["Invalid Operator"]),
        ([leaf("dateAdded", "range", {"gte": "soon"})], 422, ["Invalid value"]),
        ([leaf("email", "eq", "x" * 76)], 422, ["value must be shorter than or equal to 75 characters"]),
        ([leaf("email", "eq", ["x@example.com"])], 422, ["Invalid value"]),
        ([leaf("city", "contains", 3)], 422, ["Invalid value"]),
        ([{**leaf("email", "eq", "x"), "negate": True}], 422, ["property negate should not exist"]),
        ([{"group": "XOR", "filters": []}], 422, ["group must be one of the following values: AND, OR"]),
        ([{"group": "OR", "filters": []}], 422, ["filters should not be empty"]),
        ([either(leaf("nickname", "eq", "x"))], 400, "Invalid field nickname"),
    ],
)
def test_a_wrong_filter_is_refused(given: Any, status: int, message: object) -> None:
    with pytest.raises(Problem) as refused:
        parse_filters(given)

    assert (status, message) == (refused.value.status, refused.value.message)
