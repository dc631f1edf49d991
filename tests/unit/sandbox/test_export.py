"""Messages are exported: as a client meets it, in-process and on a clock that moves when told."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from processor.sandbox.asgi import Sandbox
from processor.sandbox.directory import Directory
from processor.sandbox.server import create_app
from processor.sandbox.stored_message import is_exported

path = "/conversations/messages/export"
ours = {"channel": "SMS", "limit": "10", "sortBy": "createdAt", "sortOrder": "asc"}
gone = "Invalid cursor: it is unknown or has expired"
Export = Callable[..., Awaitable[Any]]


@pytest.fixture
def sandbox(directory: Directory, clock: Any) -> Sandbox:
    return create_app(directory, now=clock)


@pytest.fixture
def http(sandbox: Sandbox, client: Any) -> Any:
    http = client(sandbox)
    http.headers["Version"] = "2021-04-15"
    return http


@pytest.fixture
def export(http: Any) -> Export:
    """The answer's body; None leaves a property out."""

    async def ask(**query: str | None) -> Any:
        asked = {name: value for name, value in {"locationId": "here", **query}.items() if value is not None}
        answer = await http.get(path, params=asked)
        assert 200 == answer.status_code, answer.text
        return answer.json()

    return ask


@pytest.fixture
def say(directory: Directory, clock: Any) -> Callable[..., None]:
    """Messages of so many ms after 2025, named by their ids."""

    def said(added: int, *ids: str, contact: str = "jane", location: str = "here", **given: Any) -> None:
        at = f"2025-01-01T00:00:00.{added:03d}Z"
        for id in ids:
            directory.add_message(location, {"id": id, "contactId": contact, "dateAdded": at, **given}, clock())

    return said


def ids(page: Any) -> list[str]:
    return [message["id"] for message in page["messages"]]


async def pages(export: Export, **query: str) -> list[Any]:
    """All of them, by their cursors."""
    found = [await export(**query)]
    while cursor := found[-1]["nextCursor"]:
        found.append(await export(**query, cursor=cursor))
    return found


async def test_all_messages_are_exported_in_pages_and_each_says_how_many_there_are(client: Any) -> None:
    """A location's synthetic ones, of which the judge knows every single one."""
    directory = Directory(auto_contacts=40, messages=6)
    http = client(create_app(directory))
    said = [one for one in directory.location("here").history if is_exported(one.type, "SMS")]
    expected = sorted(said, key=lambda one: (one.added, one.id))
    found, cursor = [], None
    while True:
        query = {"locationId": "here", **ours, **({"cursor": cursor} if cursor else {})}
        page = (await http.get(path, params=query, headers={"Version": "2021-04-15"})).json()
        assert len(expected) == page["total"]
        found += page["messages"]
        if (cursor := page["nextCursor"]) is None:
            break

    assert len(expected) > 100
    assert [(one.id, one.contact, one.type) for one in expected] == [
        (one["id"], one["contactId"], one["messageType"]) for one in found
    ]


async def test_a_message_has_its_one_shape(export: Export, say: Any) -> None:
    say(1, "m1", body="Hi", direction="outbound", status="sent", source="app")
    page = await export(**ours)

    assert page.pop("traceId")
    assert {"total": 1, "nextCursor": None} == {name: page[name] for name in ("total", "nextCursor")}
    [message] = page["messages"]
    assert message.pop("conversationId")
    assert {
        "id": "m1",
        "type": 2,
        "messageType": "TYPE_SMS",
        "locationId": "here",
        "contactId": "jane",
        "dateAdded": "2025-01-01T00:00:00.001Z",
        "dateUpdated": "2027-01-15T08:00:00.000Z",
        "direction": "outbound",
        "contentType": "text/plain",
        "attachments": [],
        "body": "Hi",
        "status": "sent",
        "source": "app",
    } == message


async def test_nothing_asked_for_it_is_the_newest_hundred_of_all_but_emails(export: Export, say: Any) -> None:
    for number in range(110):
        say(number, f"m{number}")
    say(200, "call", messageType="TYPE_CALL")
    say(300, "email", messageType="TYPE_EMAIL")
    page = await export()

    assert (111, 100, True) == (page["total"], len(page["messages"]), page["nextCursor"] is not None)
    assert ["call", "m109", "m108"] == ids(page)[:3]


async def test_an_order_is_the_same_from_both_ends(export: Export, say: Any) -> None:
    """More in one millisecond than a page holds: the id breaks the tie, none is lost or shown twice."""
    say(5, *(f"m{number:02d}" for number in range(34)))
    say(3, "first")
    say(7, "last")
    up = [id for page in await pages(export, **ours) for id in ids(page)]
    down = [id for page in await pages(export, **{**ours, "sortOrder": "desc"}) for id in ids(page)]

    assert ["first", *(f"m{number:02d}" for number in range(34)), "last"] == up == down[::-1]


async def test_a_full_last_page_has_no_next_one(export: Export, say: Any) -> None:
    say(5, *(f"m{number:02d}" for number in range(20)))

    assert [10, 10] == [len(page["messages"]) for page in await pages(export, **ours)]


async def test_a_contact_a_conversation_and_a_time_narrow_it(export: Export, say: Any) -> None:
    say(1, "a", "b")
    say(2, "c", contact="joe", conversationId="talk")
    say(3, "d")
    say(3, "x", location="there")
    date = "2025-01-01T00:00:00.00{}Z".format

    assert ["a", "b", "c", "d"] == ids(await export(**ours))
    assert ["a", "b", "d"] == ids(await export(**ours, contactId="jane"))
    assert ["c"] == ids(await export(**ours, conversationId="talk"))
    assert ["c", "d"] == ids(await export(**ours, startDate=date(2)))
    assert ["a", "b", "c"] == ids(await export(**ours, endDate=date(2)))
    assert ["c"] == ids(await export(**ours, startDate=date(2), endDate=date(2)))
    assert (1, ["d"]) == ((page := await export(**ours, contactId="jane", startDate=date(2)))["total"], ids(page))
    nobody = await export(**ours, contactId="nobody")
    assert ([], None, 0) == (nobody["messages"], nobody["nextCursor"], nobody["total"])


async def test_what_comes_while_it_is_exported_is_where_its_time_puts_it(export: Export, say: Any) -> None:
    """A new one is shown by a later page; a late one before the cursor isn't, and only a new export shows it."""
    say(100, *(f"m{number:02d}" for number in range(15)))
    first = await export(**ours)
    say(200, "new")
    say(50, "late")
    say(100, "m05b", "m09b")
    second = await export(**ours, cursor=first["nextCursor"])

    assert [f"m{number:02d}" for number in range(10)] == ids(first)
    assert ["m09b", *(f"m{number:02d}" for number in range(10, 15)), "new"] == ids(second)
    assert (15, 19, None) == (first["total"], second["total"], second["nextCursor"])
    assert ["late", "m00"] == ids(await export(**ours))[:2]


async def test_a_status_that_changes_later_is_seen_by_the_time_of_updates(export: Export, say: Any, clock: Any) -> None:
    say(1, "a", status="sent")
    say(2, "b", status="sent")
    clock.advance(1)
    say(1, "a", status="failed")
    by_update = await export(**{**ours, "sortBy": "updatedAt"})

    assert ["a", "b"] == ids(await export(**ours))
    assert [("b", "sent"), ("a", "failed")] == [(one["id"], one["status"]) for one in by_update["messages"]]


async def test_a_cursor_lives_two_minutes_from_the_last_page(export: Export, http: Any, say: Any, clock: Any) -> None:
    """And can be used again within them: an answer may have got lost."""
    say(5, *(f"m{number:02d}" for number in range(40)))
    first = await export(**ours)
    clock.advance(120)
    again = [await export(**ours, cursor=first["nextCursor"]) for _ in range(2)]
    clock.advance(120)
    third = await export(**ours, cursor=again[0]["nextCursor"])
    clock.advance(120.001)
    expired = await http.get(path, params={"locationId": "here", **ours, "cursor": third["nextCursor"]})

    assert ids(again[0]) == ids(again[1])
    assert (400, gone) == (expired.status_code, expired.json()["message"])


async def test_a_cursors_life_is_a_setting_also_of_one_location(
    export: Export, http: Any, say: Any, clock: Any
) -> None:
    for location in ("here", "there"):
        say(5, *(f"{location}{number:02d}" for number in range(40)), location=location)

    async def outlives(seconds: float, location: str) -> bool:
        page = await export(**ours, locationId=location)
        clock.advance(seconds)
        query = {**ours, "locationId": location, "cursor": page["nextCursor"]}
        return bool((await http.get(path, params=query)).status_code == 200)

    await http.put("/_sandbox/settings", json={"cursor_life_s": 5})
    await http.put("/_sandbox/settings", json={"location": "here", "cursor_life_s": 1})

    assert (False, True, False) == (await outlives(2, "here"), await outlives(2, "there"), await outlives(6, "there"))
    await http.put("/_sandbox/settings", json={"location": "here", "cursor_life_s": None})
    assert await outlives(2, "here")


async def test_a_cursor_serves_its_own_query_only(export: Export, http: Any, say: Any) -> None:
    """Only the page's size may change."""
    say(5, *(f"m{number:02d}" for number in range(40)))
    cursor = (await export(**ours))["nextCursor"]
    for other in ({"contactId": "jane"}, {"sortOrder": "desc"}, {"startDate": "2025-01-01"}, {"locationId": "there"}):
        answer = await http.get(path, params={"locationId": "here", **ours, "cursor": cursor, **other})
        assert 400 == answer.status_code

    assert 20 == len(ids(await export(**{**ours, "limit": "20"}, cursor=cursor)))
