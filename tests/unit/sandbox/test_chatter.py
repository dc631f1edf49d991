"""Messages come while a client exports, and each is recorded."""

from typing import Any

import pytest

from processor.sandbox.chatter import AddedMessage, Chatter, set_chatter
from processor.sandbox.directory import Directory
from processor.sandbox.json_values import parse_options
from processor.sandbox.server import create_app
from tests.unit.sandbox.conftest import export_path

start = 1_800_000_000_000_000


@pytest.fixture
def directory() -> Directory:
    return Directory(auto_contacts=20, messages=2)


def run_pages(directory: Directory, pages: int, **given: int) -> list[AddedMessage]:
    set_chatter(directory, "here", Chatter(**given))
    active = directory.location("here").chatter
    assert active is not None
    for page in range(pages):
        active.after_export(start + page * 1_000_000)
    return active.added


def test_each_page_brings_the_given_number_of_each_kind(directory: Directory) -> None:
    added = run_pages(directory, 3, new=2, late=1, tied=1, status=1)

    kinds = ["new", "new", "late", "tied", "status"]
    assert [(page, kind) for page in (1, 2, 3) for kind in kinds] == [(message.page, message.kind) for message in added]
    changed = {message.message.id for message in added if message.kind == "status"}
    assert changed <= {message.message.id for message in added if message.kind != "status"}
    history = directory.location("here").history.apply_due(start + 3_000_000)
    last = {message.message.id: message.message for message in added}
    assert last == {message.id: message for message in history if message.id in last}
    assert 12 == len(last)


def test_each_kind_has_its_time(directory: Directory) -> None:
    """New messages are of now, late ones within their limit, tied ones share the newest exported time with another contact."""
    newest = directory.location("here").history.order("createdAt", "SMS")[-1]
    added = run_pages(directory, 1, new=3, late=50, late_by_s=60, tied=1)

    assert {start // 1_000} == {message.message.added for message in added if message.kind == "new"}
    late = [start // 1_000 - message.message.added for message in added if message.kind == "late"]
    assert 0 <= min(late) < 30_000 < max(late) <= 60_000
    [tied] = [message.message for message in added if message.kind == "tied"]
    assert newest.added == tied.added
    assert newest.contact != tied.contact


def test_the_same_seed_adds_the_same_messages(directory: Directory) -> None:
    other = Directory(auto_contacts=20, messages=2)

    assert run_pages(directory, 3, new=2, status=1) == run_pages(other, 3, new=2, status=1)


def test_a_location_without_contacts_has_no_chatter() -> None:
    assert [] == run_pages(Directory(), 2, new=1, late=1, tied=1, status=1)


async def test_chatter_is_set_and_shown_over_http(directory: Directory, client: Any, clock: Any) -> None:
    http = client(create_app(directory, now=clock))

    async def total() -> int:
        response = await http.get(export_path, params={"locationId": "here"}, headers={"Version": "2021-04-15"})
        return int(response.json()["total"])

    before = await total()
    await http.put("/_sandbox/settings", json={"location": "here", "chatter": {"new": 2}})
    totals = [await total() for _ in range(2)]
    await http.put("/_sandbox/settings", json={"location": "here", "chatter": None})
    totals += [await total() for _ in range(2)]
    shown = (await http.get("/_sandbox/chatter", params={"location": "here"})).json()
    silent = (await http.get("/_sandbox/chatter", params={"location": "there"})).json()

    assert [before, before + 2, before + 4, before + 4] == totals
    assert (4, [1, 1, 2, 2]) == (shown["pages"], [message["page"] for message in shown["sayings"]])
    assert ("new", 1_800_000_000_000.0) == (shown["sayings"][0]["kind"], shown["sayings"][0]["at_ms"])
    assert {"location": "there", "pages": 0, "sayings": []} == silent


@pytest.mark.parametrize("given", [5, {"loud": 1}, {"new": -1}, {"new": True}, {"late": 1_001}, {"late_by_s": 86_401}])
def test_wrong_chatter_is_refused(given: Any) -> None:
    with pytest.raises(ValueError, match=r"^chatter: "):
        parse_options(Chatter, "chatter", given)
