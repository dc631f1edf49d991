"""The directory adds, changes, merges and deletes contacts; search sees it after the index's lag."""

from typing import Any

import pytest

from processor.sandbox.directory import Directory
from processor.sandbox.synthetic_contacts import synthetic_contacts

second = 1_000_000  # µs
start = 1_800_000_000 * second


def visible(directory: Directory, now: int, location: str = "here") -> dict[str, str | None]:
    return {id: contact.city for id, contact in directory.search_view(location, now).by_id.items()}


def test_search_lags_and_get_does_not(jane: dict[str, Any]) -> None:
    directory = Directory(index_lag_s=7)
    id = directory.add("here", jane, start).id
    directory.change("here", id, {"city": "Austin"}, start + second)

    assert "Austin" == directory.contacts[id].city
    assert {} == visible(directory, start + 7 * second - 1)
    assert {id: "Denver"} == visible(directory, start + 7 * second)
    assert {id: "Austin"} == visible(directory, start + 8 * second)

    directory.delete("here", id, start + 9 * second)

    assert id not in directory.contacts
    assert {id: "Austin"} == visible(directory, start + 15 * second)
    assert {} == visible(directory, start + 16 * second)


def test_a_location_may_lag_more_than_the_others(jane: dict[str, Any]) -> None:
    directory = Directory()
    directory.location("slow").index_lag_s = 60
    here, slow = directory.add("here", {}, start).id, directory.add("slow", {}, start).id

    assert {here: None} == visible(directory, start)
    assert {} == visible(directory, start, "slow")
    assert {slow: None} == visible(directory, start + 60 * second, "slow")


def test_a_loaded_contact_is_visible_at_once(jane: dict[str, Any]) -> None:
    directory = Directory(index_lag_s=7)

    assert {directory.add("here", jane).id: "Denver"} == visible(directory, 0)


def test_a_change_keeps_what_it_does_not_name(jane: dict[str, Any]) -> None:
    directory = Directory()
    before = directory.add("here", {**jane, "followers": ["u"], "additionalPhones": ["+15550000009"]})
    after = directory.change("here", before.id, {"city": None, "email": "new@example.com"}, start)

    assert before._replace(city=None, email="new@example.com", updated=start // 1_000) == after
    assert [after] == list(directory.search_view("here", start).by_email.find("new@example.com"))
    assert [] == list(directory.search_view("here", start).by_email.find("jane@example.com"))


def test_a_merge_fills_the_gaps_of_the_contact_that_stays(jane: dict[str, Any]) -> None:
    """Its own fields stay. The e-mails and phones of the merged contact become additional ones."""
    directory = Directory()
    gone = directory.add("here", jane)
    kept = directory.add("here", {"id": "kept", "email": "kept@example.com", "city": "Reno"})
    merged = directory.merge("here", gone.id, kept.id, start)

    assert merged == gone._replace(
        id="kept",
        added=kept.added,
        updated=start // 1_000,
        email="kept@example.com",
        city="Reno",
        additional_emails=("Jane@Example.com", "j@example.org"),
    )
    assert {"kept": merged} == dict(directory.search_view("here", start).by_id) == directory.contacts
    assert "here" == directory.location_of(gone.id)


def test_a_change_of_an_unknown_id_adds_a_contact() -> None:
    directory = Directory()

    assert (
        {"new": "Reno"}
        == {directory.change("here", "new", {"city": "Reno"}, start).id: "Reno"}
        == visible(directory, start)
    )


def test_a_deleted_contact_keeps_its_location(directory: Directory, jane: dict[str, Any]) -> None:
    id = str(jane["id"])

    assert ("here", None) == (directory.location_of(id), directory.location_of("unknown"))
    assert directory.delete("here", id, start)
    assert ("here", False) == (directory.location_of(id), directory.delete("here", id, start))


def test_an_id_belongs_to_one_location(directory: Directory, jane: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="belongs to another location"):
        directory.add("there", jane)
    with pytest.raises(ValueError, match="belongs to another location"):
        directory.change("there", str(jane["id"]), {}, start)
    assert not directory.delete("there", str(jane["id"]), start)


def test_a_location_has_contacts_once_it_is_named() -> None:
    directory = Directory(seed=3, auto_contacts=20)

    assert {contact.id for contact in synthetic_contacts("here", 20, 3)} == visible(directory, start).keys()
    assert 20 == len(directory.contacts)


def test_contacts_without_an_id_get_different_ones() -> None:
    directory = Directory()

    assert 3 == len({directory.add("here", {}).id for _ in range(3)})
