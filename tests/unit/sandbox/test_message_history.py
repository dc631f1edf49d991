"""The orders in which export sees messages, and the lag of its index."""

from typing import Any

import pytest

from processor.sandbox.directory import Directory
from processor.sandbox.message_history import MessageHistory, SortField, time_range
from processor.sandbox.stored_message import MessageChannel, StoredMessage, parse_stored_message

second = 1_000_000  # µs
start = 1_800_000_000 * second


def message(id: str, added: int, contact: str = "jane", **given: Any) -> StoredMessage:
    return parse_stored_message("here", {"contactId": contact, **given}, added, id)


def ids(
    history: MessageHistory, field: SortField = "createdAt", channel: MessageChannel | None = "SMS", **of: str
) -> str:
    return " ".join(item.id for item in history.order(field, channel, **of))


@pytest.mark.parametrize("asked_before", [True, False])
def test_every_order_is_by_time_and_then_by_id(asked_before: bool) -> None:
    """The order also holds for late messages and for several in one millisecond, added after its first use."""
    history = MessageHistory()
    if asked_before:
        assert "" == ids(history) == ids(history, "updatedAt")
    for item in (message("b", 5), message("d", 7), message("a", 5, "joe"), message("c", 5), message("late", 1, "joe")):
        history.put(item)

    assert "late a b c d" == ids(history) == ids(history, "updatedAt")
    assert "b c d" == ids(history, contact="jane")
    assert "late a" == ids(history, contact="joe")
    assert "" == ids(history, contact="unknown")


def test_a_conversation_belongs_to_one_contact() -> None:
    history = MessageHistory()
    for item in (message("a", 1), message("b", 2, conversationId="other"), message("c", 3, "joe")):
        history.put(item)

    assert "b" == ids(history, conversation="other") == ids(history, conversation="other", contact="jane")
    assert "" == ids(history, conversation="other", contact="joe") == ids(history, conversation="none")


def test_each_channel_has_its_own() -> None:
    history = MessageHistory()
    for id, kind in (("a", "SMS"), ("b", "TYPE_CALL"), ("c", "TYPE_EMAIL"), ("d", "TYPE_SMS_REVIEW_REQUEST")):
        history.put(message(id, 1, messageType=kind))

    assert ["a", "b", "c", "a b"] == [ids(history, channel=channel) for channel in ("SMS", "Call", "Email", None)]
    assert ["a", "b", "c", "a b"] == [
        ids(history, channel=channel, contact="jane") for channel in ("SMS", "Call", "Email", None)
    ]


def test_a_message_replaces_the_one_with_its_id() -> None:
    """A later status keeps the time and moves in the order of updates."""
    history = MessageHistory()
    first, other = message("a", 1), message("b", 2)
    history.put(first)
    history.put(other)
    assert "a b" == ids(history) == ids(history, "updatedAt")

    changed = first._replace(status="delivered", updated=3)
    history.put(changed)

    assert "a b" == ids(history) == ids(history, contact="jane")
    assert "b a" == ids(history, "updatedAt") == ids(history, "updatedAt", contact="jane")
    assert {changed, other} == set(history)


def test_messages_are_loaded_before_or_after_others() -> None:
    history = MessageHistory()
    history.load("jane", [message("a", 1), message("c", 3)])
    assert "a c" == ids(history) == ids(history, contact="jane")

    history.load("jane", [message("b", 2)])
    history.load("joe", [message("d", 4, "joe")])

    assert "a b c d" == ids(history)
    assert "a b c" == ids(history, contact="jane")


def test_a_time_range_includes_both_ends() -> None:
    order = [message("a", 1), message("b", 2), message("c", 2), message("d", 4)]

    asked = ((None, None), (2, None), (None, 2), (2, 2), (3, 3), (3, 2), (5, None))
    assert [(0, 4), (1, 4), (0, 3), (1, 3), (3, 3), (3, 3), (4, 4)] == [
        time_range(order, "createdAt", first, last) for first, last in asked
    ]


def test_export_lags_as_search_does() -> None:
    directory = Directory(index_lag_s=7)
    directory.add_message("here", {"id": "always", "contactId": "jane"})
    directory.add_message("here", {"id": "new", "contactId": "jane"}, start)
    history = directory.location("here").history

    assert "always" == ids(history.apply_due(start + 7 * second - 1))
    assert {"always", "new"} == {item.id for item in history}
    assert "always new" == ids(history.apply_due(start + 7 * second))


def test_the_index_takes_messages_in_their_order_also_when_its_lag_shrinks() -> None:
    directory = Directory(index_lag_s=7)
    directory.add_message("here", {"id": "a", "contactId": "jane", "status": "sent"}, start)
    directory.index_lag_s = 0
    directory.add_message("here", {"id": "a", "contactId": "jane", "status": "read"}, start + second)
    history = directory.location("here").history

    assert "" == ids(history.apply_due(start + 6 * second))
    assert ["read"] == [item.status for item in history.apply_due(start + 7 * second)]


def test_messages_without_an_id_get_different_ones() -> None:
    directory = Directory()

    assert 3 == len({directory.add_message("here", {"contactId": "jane"}).id for _ in range(3)})


def test_only_loaded_contacts_have_synthetic_messages(jane: dict[str, Any]) -> None:
    directory = Directory(messages=1_000)
    directory.add("here", jane)
    directory.add("here", {"id": "new"}, start)

    assert {jane["id"]} == {item.contact for item in directory.location("here").history}


def test_a_contact_that_is_added_again_keeps_its_messages(jane: dict[str, Any]) -> None:
    directory = Directory(messages=1_000)
    directory.add("here", jane)
    history = directory.location("here").history
    changed = next(iter(history))._replace(body="changed")
    directory.add_message("here", changed)
    before = sorted(history)
    directory.add("here", jane)

    assert changed in before
    assert before == sorted(history)
