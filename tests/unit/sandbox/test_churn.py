"""Contacts change while a client scans: the pages that it gets, and the record of the changes."""

from typing import Any

import orjson
import pytest

from processor.sandbox import churn
from processor.sandbox.api import ApiRequest, recognise, respond
from processor.sandbox.asgi import Sandbox
from processor.sandbox.churn import Churn, set_churn
from processor.sandbox.directory import Directory
from processor.sandbox.json_values import parse_options
from processor.sandbox.server import create_app
from processor.sandbox.stored_contact import contact_json
from tests.unit.sandbox.conftest import headers

second = 1_000_000  # µs
start = 1_800_000_000 * second
lively = {"edit": 2, "rename": 2, "add": 1, "twin": 1, "merge": 1, "delete": 2}
sent = {name.lower(): value for name, value in headers.items()}


@pytest.fixture
def world() -> Directory:
    world = Directory(auto_contacts=300)
    world.location("here")
    return world


def scan(world: Directory, now: int = start, pages: int = 100) -> list[str]:
    """Return the ids of all pages of 10, a second apart."""
    found_ids, after = list[str](), None
    for _ in range(pages):
        sort = [{"field": "dateAdded", "direction": "asc"}]
        body = {"locationId": "here", "pageLimit": 10, "sort": sort, "searchAfter": after}
        request = ApiRequest("POST", "/contacts/search", sent, orjson.dumps(body))
        results = respond(world, recognise(world, request), now)["contacts"]
        if not results:
            break
        found_ids += [result["id"] for result in results]
        now, after = now + second, results[-1]["searchAfter"]
    return found_ids


def test_each_search_changes_the_given_number_of_each_kind(world: Directory) -> None:
    set_churn(world, "here", Churn(**lively))
    scan(world, pages=3)
    active = world.location("here").churn
    assert active
    kinds = [change.kind for change in active.changes if change.search == 2]

    assert 3 == active.searches
    assert {name: 2 * n if name == "merge" else n for name, n in lively.items()} == {
        name: kinds.count(name) for name in lively
    }


def test_the_record_explains_the_contacts_at_the_end(world: Directory) -> None:
    expected = dict(world.contacts)
    set_churn(world, "here", Churn(**lively))
    scan(world)
    active = world.location("here").churn
    assert active
    for change in active.changes:
        if change.before:
            assert expected.pop(change.before.id) == change.before
        if change.after:
            expected[change.after.id] = change.after

    assert world.contacts == expected


def test_a_scan_finds_each_staying_contact_once(world: Directory) -> None:
    """Edits, merges, additions and deletions between pages make it skip or repeat none."""
    at_first = set(world.contacts)
    set_churn(world, "here", Churn(**lively))
    found_ids = scan(world)

    assert len(set(found_ids)) == len(found_ids)
    assert at_first & set(world.contacts) - set(found_ids) == set()
    assert len(at_first & set(world.contacts)) > 50


def test_a_seed_always_gives_the_same_churn() -> None:
    records = []
    for _ in range(2):
        world = Directory(auto_contacts=50)
        set_churn(world, "here", Churn(**lively))
        scan(world)
        active = world.location("here").churn
        records.append(active and active.changes)

    assert records[0] == records[1]


def test_a_merge_leaves_one_with_both_addresses(world: Directory) -> None:
    set_churn(world, "here", Churn(merge=1))
    scan(world, pages=1)
    active = world.location("here").churn
    assert active
    kept, gone = active.changes

    assert (True, None) == (kept.after is not None, gone.after)
    assert kept.before
    assert kept.after
    assert gone.before
    assert {kept.before.email, gone.before.email} == {kept.after.email, *kept.after.additional_emails}
    assert start // 1_000 == kept.after.updated


def test_churn_of_an_empty_world_changes_nothing() -> None:
    world = Directory(auto_contacts=3)
    set_churn(world, "here", Churn(edit=1, rename=1, merge=1, delete=5))
    scan(world, pages=1)
    scan(world, pages=1)

    assert {} == world.contacts


def test_the_record_is_bounded(world: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(churn, "max_churn_changes", 5)
    set_churn(world, "here", Churn(edit=2))
    scan(world, pages=9)
    active = world.location("here").churn
    assert active

    assert 5 == len(active.changes)


async def test_churn_is_set_and_shown_over_http(clock: Any, client: Any, jane: Any) -> None:
    world = Directory()
    before = world.add("here", jane)
    sandbox: Sandbox = create_app(world, now=clock)
    http = client(sandbox)
    await http.put("/_sandbox/settings", json={"location": "here", "churn": {"edit": 1}})
    await http.post("/contacts/search", json={"locationId": "here", "pageLimit": 5})
    await http.put("/_sandbox/settings", json={"location": "here", "churn": None})
    await http.post("/contacts/search", json={"locationId": "here", "pageLimit": 5})
    shown_churn = (await http.get("/_sandbox/churn?location=here")).json()
    none = (await http.get("/_sandbox/churn?location=there")).json()

    after = before._replace(city="Movedville 0", updated=clock() // 1_000)
    change = {"at_ms": clock() / 1_000, "search": 1, "kind": "edit", "before": shown(before), "after": shown(after)}
    assert {"location": "here", "searches": 2, "changes": [change]} == shown_churn
    assert {"location": "there", "searches": 0, "changes": []} == none


def shown(contact: Any) -> dict[str, Any]:
    return {**contact_json(contact), "tags": list(contact.tags)}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (5, "churn: not an object"),
        ({"explode": 1}, "churn: explode: unknown"),
        ({"edit": -1}, "churn: edit: not a whole number from 0 to 1000"),
        ({"edit": True}, "churn: edit: not a whole number from 0 to 1000"),
    ],
)
def test_a_wrong_churn_is_refused(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        parse_options(Churn, "churn", given)
