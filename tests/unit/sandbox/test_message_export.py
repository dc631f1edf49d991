"""Export messages as a client does, in the same process and on a clock that tests advance."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from processor.sandbox.directory import Directory
from processor.sandbox.server import create_app
from processor.sandbox.stored_message import is_exported
from tests.unit.sandbox.conftest import export_path

ours = {"channel": "SMS", "limit": "10", "sortBy": "createdAt", "sortOrder": "asc"}
gone = "Invalid cursor: it is unknown or has expired"
Export = Callable[..., Awaitable[Any]]


@pytest.fixture
def http(http: Any) -> Any:
    http.headers["Version"] = "2021-04-15"
    return http


@pytest.fixture
def export(http: Any) -> Export:
    """Return the response's body; None leaves a property out."""

    async def ask(**query: str | None) -> Any:
        asked = {name: value for name, value in {"locationId": "here", **query}.items() if value is not None}
        response = await http.get(export_path, params=asked)
        assert 200 == response.status_code, response.text
        return response.json()

    return ask


@pytest.fixture
def add(directory: Directory, clock: Any) -> Callable[..., None]:
    """Add messages with these ids, sent some ms after the start of 2025."""

    def add_messages(sent: int, *ids: str, contact: str = "jane", location: str = "here", **given: Any) -> None:
        at = f"2025-01-01T00:00:00.{sent:03d}Z"
        for id in ids:
            directory.add_message(location, {"id": id, "contactId": contact, "dateAdded": at, **given}, clock())

    return add_messages


def ids(page: Any) -> list[str]:
    return [message["id"] for message in page["messages"]]


async def pages(export: Export, **query: str) -> list[Any]:
    """Return all pages by their cursors."""
    found = [await export(**query)]
    while cursor := found[-1]["nextCursor"]:
        found.append(await export(**query, cursor=cursor))
    return found


async def test_all_messages_are_exported_in_pages_and_each_has_the_total(client: Any) -> None:
    directory = Directory(auto_contacts=40, messages=6)
    http = client(create_app(directory))
    messages = [message for message in directory.location("here").history if is_exported(message.type, "SMS")]
    expected = sorted(messages, key=lambda message: (message.added, message.id))
    found, cursor = [], None
    while True:
        query = {"locationId": "here", **ours, **({"cursor": cursor} if cursor else {})}
        page = (await http.get(export_path, params=query, headers={"Version": "2021-04-15"})).json()
        assert len(expected) == page["total"]
        found += page["messages"]
        if (cursor := page["nextCursor"]) is None:
            break

    assert len(expected) > 100
    assert [(message.id, message.contact, message.type) for message in expected] == [
        (message["id"], message["contactId"], message["messageType"]) for message in found
    ]


async def test_a_message_has_exports_shape(export: Export, add: Any) -> None:
    add(1, "m1", body="Hi", direction="outbound", status="sent", source="app")
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


async def test_the_default_is_the_newest_hundred_of_all_but_emails(export: Export, add: Any) -> None:
    for number in range(110):
        add(number, f"m{number}")
    add(200, "call", messageType="TYPE_CALL")
    add(300, "email", messageType="TYPE_EMAIL")
    page = await export()

    assert (111, 100, True) == (page["total"], len(page["messages"]), page["nextCursor"] is not None)
    assert ["call", "m109", "m108"] == ids(page)[:3]


async def test_an_order_is_the_same_from_both_ends(export: Export, add: Any) -> None:
    """A millisecond holds more messages than a page: the id breaks the tie, and none is lost or repeated."""
    add(5, *(f"m{number:02d}" for number in range(34)))
    add(3, "first")
    add(7, "last")
    up = [id for page in await pages(export, **ours) for id in ids(page)]
    down = [id for page in await pages(export, **{**ours, "sortOrder": "desc"}) for id in ids(page)]

    assert ["first", *(f"m{number:02d}" for number in range(34)), "last"] == up == down[::-1]


async def test_a_full_last_page_has_no_next_one(export: Export, add: Any) -> None:
    add(5, *(f"m{number:02d}" for number in range(20)))

    assert [10, 10] == [len(page["messages"]) for page in await pages(export, **ours)]


async def test_a_contact_a_conversation_and_a_time_narrow_it(export: Export, add: Any) -> None:
    add(1, "a", "b")
    add(2, "c", contact="joe", conversationId="other")
    add(3, "d")
    add(3, "x", location="there")
    date = "2025-01-01T00:00:00.00{}Z".format

    assert ["a", "b", "c", "d"] == ids(await export(**ours))
    assert ["a", "b", "d"] == ids(await export(**ours, contactId="jane"))
    assert ["c"] == ids(await export(**ours, conversationId="other"))
    assert ["c", "d"] == ids(await export(**ours, startDate=date(2)))
    assert ["a", "b", "c"] == ids(await export(**ours, endDate=date(2)))
    assert ["c"] == ids(await export(**ours, startDate=date(2), endDate=date(2)))
    assert (1, ["d"]) == ((page := await export(**ours, contactId="jane", startDate=date(2)))["total"], ids(page))
    unknown = await export(**ours, contactId="unknown")
    assert ([], None, 0) == (unknown["messages"], unknown["nextCursor"], unknown["total"])


async def test_a_message_that_comes_between_pages_has_its_place_by_time(export: Export, add: Any) -> None:
    """A later page shows a new message. Only a new export shows a late one from before the cursor."""
    add(100, *(f"m{number:02d}" for number in range(15)))
    first = await export(**ours)
    add(200, "new")
    add(50, "late")
    add(100, "m05b", "m09b")
    second = await export(**ours, cursor=first["nextCursor"])

    assert [f"m{number:02d}" for number in range(10)] == ids(first)
    assert ["m09b", *(f"m{number:02d}" for number in range(10, 15)), "new"] == ids(second)
    assert (15, 19, None) == (first["total"], second["total"], second["nextCursor"])
    assert ["late", "m00"] == ids(await export(**ours))[:2]


async def test_a_status_that_changes_later_is_seen_by_the_time_of_updates(export: Export, add: Any, clock: Any) -> None:
    add(1, "a", status="sent")
    add(2, "b", status="sent")
    clock.advance(1)
    add(1, "a", status="failed")
    by_update = await export(**{**ours, "sortBy": "updatedAt"})

    assert ["a", "b"] == ids(await export(**ours))
    assert [("b", "sent"), ("a", "failed")] == [(message["id"], message["status"]) for message in by_update["messages"]]


async def test_a_cursor_lives_two_minutes_from_the_last_page(export: Export, http: Any, add: Any, clock: Any) -> None:
    """A client can use it again within them, for a lost response."""
    add(5, *(f"m{number:02d}" for number in range(40)))
    first = await export(**ours)
    clock.advance(120)
    again = [await export(**ours, cursor=first["nextCursor"]) for _ in range(2)]
    clock.advance(120)
    third = await export(**ours, cursor=again[0]["nextCursor"])
    clock.advance(120.001)
    expired = await http.get(export_path, params={"locationId": "here", **ours, "cursor": third["nextCursor"]})

    assert ids(again[0]) == ids(again[1])
    assert (400, gone) == (expired.status_code, expired.json()["message"])


async def test_a_cursors_life_is_a_setting_also_of_one_location(
    export: Export, http: Any, add: Any, clock: Any
) -> None:
    for location in ("here", "there"):
        add(5, *(f"{location}{number:02d}" for number in range(40)), location=location)

    async def outlives(seconds: float, location: str) -> bool:
        page = await export(**ours, locationId=location)
        clock.advance(seconds)
        query = {**ours, "locationId": location, "cursor": page["nextCursor"]}
        return bool((await http.get(export_path, params=query)).status_code == 200)

    await http.put("/_sandbox/settings", json={"cursor_life_s": 5})
    await http.put("/_sandbox/settings", json={"location": "here", "cursor_life_s": 1})

    assert (False, True, False) == (await outlives(2, "here"), await outlives(2, "there"), await outlives(6, "there"))
    await http.put("/_sandbox/settings", json={"location": "here", "cursor_life_s": None})
    assert await outlives(2, "here")


async def test_a_cursor_serves_its_own_query_only(export: Export, http: Any, add: Any) -> None:
    """Only the page's size may change."""
    add(5, *(f"m{number:02d}" for number in range(40)))
    cursor = (await export(**ours))["nextCursor"]
    for other in ({"contactId": "jane"}, {"sortOrder": "desc"}, {"startDate": "2025-01-01"}, {"locationId": "there"}):
        response = await http.get(export_path, params={"locationId": "here", **ours, "cursor": cursor, **other})
        assert 400 == response.status_code

    assert 20 == len(ids(await export(**{**ours, "limit": "20"}, cursor=cursor)))
