"""Messages come while they are exported, and the record says which."""

from typing import Any

import pytest

from processor.sandbox.chatter import AddedMessage, Chatter, chatter_after_export, set_chatter
from processor.sandbox.directory import Directory
from processor.sandbox.json_values import parse_options
from processor.sandbox.server import create_app

start = 1_800_000_000_000_000
path = "/conversations/messages/export"


@pytest.fixture
def directory() -> Directory:
    return Directory(auto_contacts=20, messages=2)


def talk(directory: Directory, pages: int, **given: int) -> list[AddedMessage]:
    set_chatter(directory, "here", Chatter(**given))
    for page in range(pages):
        chatter_after_export(directory, "here", start + page * 1_000_000)
    active = directory.location("here").chatter
    assert active is not None
    return active.added


def test_after_each_page_so_many_of_each_kind_come(directory: Directory) -> None:
    said = talk(directory, 3, new=2, late=1, tied=1, status=1)

    kinds = ["new", "new", "late", "tied", "status"]
    assert [(page, kind) for page in (1, 2, 3) for kind in kinds] == [(one.page, one.kind) for one in said]
    changed = {one.message.id for one in said if one.kind == "status"}
    assert changed <= {one.message.id for one in said if one.kind != "status"}
    history = directory.location("here").history.apply_due(start + 3_000_000)
    last = {one.message.id: one.message for one in said}
    assert last == {one.id: one for one in history if one.id in last}
    assert 12 == len(last)


def test_each_kind_comes_when_it_should(directory: Directory) -> None:
    """New ones now, late ones within their time, tied ones with the newest that export showed, by somebody else."""
    newest = directory.location("here").history.order("createdAt", "SMS")[-1]
    said = talk(directory, 1, new=3, late=50, late_by_s=60, tied=1)

    assert {start // 1_000} == {one.message.added for one in said if one.kind == "new"}
    late = [start // 1_000 - one.message.added for one in said if one.kind == "late"]
    assert 0 <= min(late) < 30_000 < max(late) <= 60_000
    [tied] = [one.message for one in said if one.kind == "tied"]
    assert newest.added == tied.added
    assert newest.contact != tied.contact


def test_the_same_seed_says_the_same(directory: Directory) -> None:
    other = Directory(auto_contacts=20, messages=2)

    assert talk(directory, 3, new=2, status=1) == talk(other, 3, new=2, status=1)


def test_nobody_says_nothing() -> None:
    assert [] == talk(Directory(), 2, new=1, late=1, tied=1, status=1)


async def test_it_is_steered_and_told_over_http(directory: Directory, client: Any, clock: Any) -> None:
    http = client(create_app(directory, now=clock))

    async def total() -> int:
        answer = await http.get(path, params={"locationId": "here"}, headers={"Version": "2021-04-15"})
        return int(answer.json()["total"])

    before = await total()
    await http.put("/_sandbox/settings", json={"location": "here", "chatter": {"new": 2}})
    totals = [await total() for _ in range(2)]
    await http.put("/_sandbox/settings", json={"location": "here", "chatter": None})
    totals += [await total() for _ in range(2)]
    told = (await http.get("/_sandbox/chatter", params={"location": "here"})).json()
    silent = (await http.get("/_sandbox/chatter", params={"location": "there"})).json()

    assert [before, before + 2, before + 4, before + 4] == totals
    assert (4, [1, 1, 2, 2]) == (told["pages"], [one["page"] for one in told["sayings"]])
    assert ("new", 1_800_000_000_000.0) == (told["sayings"][0]["kind"], told["sayings"][0]["at_ms"])
    assert {"location": "there", "pages": 0, "sayings": []} == silent


@pytest.mark.parametrize("given", [5, {"loud": 1}, {"new": -1}, {"new": True}, {"late": 1_001}, {"late_by_s": 86_401}])
def test_what_is_wrong_is_refused(given: Any) -> None:
    with pytest.raises(ValueError, match=r"^chatter: "):
        parse_options(Chatter, "chatter", given)
