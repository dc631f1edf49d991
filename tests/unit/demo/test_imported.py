"""The judge of messages: what is right passes, each way of being wrong is a miss; and how it is shown."""

from collections.abc import Callable
from dataclasses import replace

import orjson
import pytest

from tests.lab.demo.imported import Messages, wanted
from tests.lab.demo.report import due, judge
from tests.lab.demo.seen import Imported, Result, Seen
from tests.lab.demo.spent import Spent
from tests.lab.demo.summary import Summary
from tests.lab.demo.truth import Case
from tests.lab.demo.view import View
from tests.lab.demo.world import World, world
from tests.unit.demo.test_report import published

now_ms = 1_780_000_000_000


@pytest.fixture(scope="module")
def right() -> World:
    return world(now_ms, locations=3, leads=60, syncs=30, seed=3)


def faults(world: World, seen: Seen) -> list[tuple[str, str]]:
    return [(miss.fault, miss.what) for miss in judge(world, seen).misses]


def test_what_is_right_has_no_miss(right: World) -> None:
    seen = published(right)
    verdict = judge(right, seen)

    assert verdict.misses == []
    assert verdict.messages == Messages(len(seen.messages), len(seen.messages), 0, 0)
    assert verdict.messages.due > 20


def talker(world: World, seen: Seen) -> int:
    """The place of a message whose lead has another, older one."""
    return max(
        range(1, len(seen.messages)),
        key=lambda n: (
            seen.messages[n].lead == seen.messages[n - 1].lead
            and seen.messages[n].data["message"]["sent_at"] > seen.messages[n - 1].data["message"]["sent_at"]
        ),
    )


def test_a_lost_message_is_told_of(right: World) -> None:
    seen = published(right)
    gone = seen.messages.pop(talker(right, seen))

    assert faults(right, seen) == [("lost", f"message {gone.id}: not imported")]
    counted = len(seen.messages)
    assert judge(right, seen).messages == Messages(counted + 1, counted, 1, 0)


def test_a_repeated_message_is_told_of(right: World) -> None:
    seen = published(right)
    place = talker(right, seen)
    twice = seen.messages[place]
    seen.messages.insert(place, twice)

    assert faults(right, seen) == [("repeated", f"message {twice.id}: imported 2 times")]
    counted = len(seen.messages) - 1
    assert judge(right, seen).messages == Messages(counted, counted, 0, 1)


def test_a_message_of_another_lead_is_wrong(right: World) -> None:
    seen = published(right)
    last = seen.messages[-1]
    other = next(one for one in seen.messages if one.lead != last.lead)
    seen.messages.append(replace(other, location=last.location, lead=last.lead))

    assert ("wrong", f"message {other.id}: imported, though the lead should not have it") in faults(right, seen)


def test_messages_of_a_lead_that_nobody_synced_are_wrong(right: World) -> None:
    seen = published(right)
    asked = {sync.lead for sync in right.syncs}
    case = next(
        case for case in right.cases if case.lead not in asked and case.last and case.due_of(case.last.contact_id)
    )
    assert case.last
    (first, data), *_ = case.due_of(case.last.contact_id).items()
    seen.messages.append(Imported(case.location, case.lead, first, data))

    assert faults(right, seen) == [("wrong", f"message {first}: imported, though the lead should not have it")]


def test_messages_of_a_sync_that_asked_for_none_are_wrong(right: World) -> None:
    seen = published(right)
    (sync,) = (sync for sync in right.syncs if not sync.messages)
    case = next(case for case in right.cases if case.lead == sync.lead)
    (first, data), *_ = case.due_of(sync.should.contact_id).items()
    seen.messages.append(Imported(case.location, case.lead, first, data))

    assert faults(right, seen) == [("wrong", f"message {first}: imported, though the lead should not have it")]


def test_a_sync_that_asked_for_none_is_told_of_none(right: World) -> None:
    seen = published(right)
    (sync,) = (sync for sync in right.syncs if not sync.messages)
    (place,) = (number for number, one in enumerate(seen.results) if sync.request_id in one.requests)

    told = seen.results[place]
    assert told.contact_id is not None
    assert (told.messages, told.messages_imported, told.message_calls) == ("not_asked", 0, 0)
    seen.results[place] = replace(told, messages="none")
    assert faults(right, seen) == [("wrong", "messages: is none, should be not_asked")]


def test_messages_of_a_dead_contact_are_wrong(right: World) -> None:
    """It is gone, and what was said to it isn't the lead's any more."""
    seen = published(right)
    asked = {sync.lead for sync in right.syncs}
    case = next(
        case
        for case in right.cases
        if case.kind.startswith("dead link") and case.lead in asked and case.due_of(case.data["contact_id"])
    )
    (first, data), *_ = case.due_of(case.data["contact_id"]).items()
    seen.messages.append(Imported(case.location, case.lead, first, data))

    assert ("wrong", f"message {first}: imported, though the lead should not have it") in faults(right, seen)


def test_a_message_of_nobody_is_wrong(right: World) -> None:
    seen = published(right)
    seen.messages.append(replace(seen.messages[0], lead="lead-99-0001"))

    assert faults(right, seen) == [("wrong", "nobody told of this lead")]


def alter(one: Imported, name: str, value: object) -> Imported:
    return replace(one, data={**one.data, "message": {**one.data["message"], name: value}})


@pytest.mark.parametrize(
    "name",
    [
        "direction",
        "type",
        "body",
        "status",
        "sent_at",
        "conversation_id",
        "attachments",
        "source",
        "user_id",
    ],
)
def test_every_field_of_a_message_is_looked_at(right: World, name: str) -> None:
    seen = published(right)
    seen.messages[-1] = alter(seen.messages[-1], name, "2099-01-01T00:00:00.000Z")

    assert faults(right, seen) == [("wrong", f"message {seen.messages[-1].id}: {name} has another value")]


def test_a_missing_field_and_one_too_many_are_told_of(right: World) -> None:
    seen = published(right)
    one = seen.messages[-1]
    fewer = {name: value for name, value in one.data.items() if name != "contact_id"}
    seen.messages[-1] = replace(one, data=fewer | {"note": "x"})

    assert faults(right, seen) == [
        ("wrong", f"message {one.id}: contact_id is missing"),
        ("wrong", f"message {one.id}: note is too many"),
    ]


def test_a_lead_hears_its_messages_in_the_order_they_were_sent(right: World) -> None:
    seen = published(right)
    place = talker(right, seen)
    seen.messages[place - 1 : place + 1] = reversed(seen.messages[place - 1 : place + 1])

    assert faults(right, seen) == [("wrong", f"message {seen.messages[place].id}: comes after a later one")]


def test_misses_tell_no_value(right: World) -> None:
    """Ids and fields only: what somebody wrote isn't for a terminal."""
    seen = published(right)
    seen.messages = [alter(one, "body", "canary") for one in seen.messages]

    told = " ".join(" ".join(miss) for miss in judge(right, seen).misses)
    assert "body has another value" in told
    assert "canary" not in told


# what results and answers say


def place_of(seen: Seen, found: Callable[[Result], bool]) -> int:
    return next(number for number, one in enumerate(seen.results) if found(one))


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"messages": "failed"}, "messages: is failed, should be imported"),
        ({"messages_imported": 99}, "messages_imported: is 99, should be "),
        ({"message_calls": 2}, "calls: messages: is 2, should be 1"),
        ({"message_calls": 0}, "calls: messages: is 0, should be 1"),
    ],
    ids=["outcome", "count", "two calls", "no call"],
)
def test_a_syncs_result_tells_of_its_messages(right: World, changes: dict[str, object], what: str) -> None:
    seen = published(right)
    place = place_of(seen, lambda one: one.messages == "imported")
    seen.results[place] = replace(seen.results[place], **changes)  # type: ignore[arg-type]  # fields of several types

    ((fault, told),) = faults(right, seen)
    assert (fault, told.startswith(what)) == ("wrong", True)


def test_a_change_asks_for_no_messages(right: World) -> None:
    seen = published(right)
    place = place_of(seen, lambda one: bool(one.causes) and one.contact_id is not None)
    seen.results[place] = replace(seen.results[place], messages="none", message_calls=1)

    assert faults(right, seen) == [
        ("wrong", "messages: is none, should be not_asked"),
        ("wrong", "calls: messages: is 1, should be 0"),
    ]


def test_what_is_found_after_an_answer_brings_its_messages(right: World) -> None:
    """A young lead: the Sync's answer knows no contact yet."""
    case = young(right)
    (sync,) = (sync for sync in right.syncs if sync.lead == case.lead)
    seen = published(right)
    first, then = (one for one in seen.results if one.lead == case.lead)

    assert case.again
    assert (first.messages, then.messages_imported) == ("not_asked", len(case.due_of(case.again.contact_id)))
    assert wanted(case, [sync]) == case.due_of(case.again.contact_id) != {}


def young(world: World) -> Case:
    asked = {sync.lead for sync in world.syncs}
    return next(case for case in world.cases if case.kind == "young, indexed late" and case.lead in asked)


def test_an_answer_counts_its_messages(right: World) -> None:
    seen = published(right)
    place = next(number for number, one in enumerate(seen.answers) if one.messages_imported)
    answer = seen.answers[place]
    seen.answers[place] = replace(answer, messages_imported=0)

    assert faults(right, seen) == [
        (
            "wrong",
            f"answer {answer.request_id}: messages_imported: is 0, should be {answer.messages_imported}",
        )
    ]


def test_who_presses_sync_once_more_hears_of_no_message_twice(right: World) -> None:
    seen = published(right)
    place = next(number for number, one in enumerate(seen.results) if again(right) in one.requests)
    assert seen.results[place].messages == "none"
    seen.results[place] = replace(seen.results[place], messages="imported", messages_imported=3)

    assert faults(right, seen) == [
        ("wrong", "messages: is imported, should be none"),
        ("wrong", "messages_imported: is 3, should be 0"),
    ]


def test_two_syncs_may_be_answered_by_one_result(right: World) -> None:
    """When both waited for a worker: then both answers tell of the messages."""
    seen = published(right)
    (later,) = (one for one in seen.results if again(right) in one.requests)
    before = next(number for number, one in enumerate(seen.results) if one.lead == later.lead and one.requests)
    seen.results.remove(later)
    both = replace(seen.results[before], requests=(*seen.results[before].requests, *later.requests))
    seen.results[before] = both
    told = next(number for number, one in enumerate(seen.answers) if one.request_id == again(right))
    seen.answers[told] = replace(seen.answers[told], sequence=both.sequence, messages_imported=both.messages_imported)

    assert both.messages == "imported"
    assert faults(right, seen) == []


def again(world: World) -> str:
    (request_id,) = (sync.request_id for sync in world.syncs if sync.last)
    return request_id


# what is waited for, heard and shown


def test_all_that_is_wanted_is_waited_for(right: World) -> None:
    names = {name for name in due(right) if name.startswith("message ")}

    assert names == {f"message {one.id} of {one.lead}" for one in published(right).messages}


class Record:
    topic = "lead.messages"
    headers = ()

    def __init__(self, data: object) -> None:
        self.value = orjson.dumps({"type": "lead.message.imported", "time": "2026-05-28T20:26:40.250Z", "data": data})


def test_a_message_is_heard_whole(right: World) -> None:
    one, seen = published(right).messages[0], Seen()
    seen.hear(Record(one.data), now=1.0)

    assert seen.messages == [one]
    assert seen.met == {f"message {one.id} of {one.lead}"}


def test_the_summary_has_a_line_for_them(right: World, capsys: pytest.CaptureFixture[str]) -> None:
    seen = published(right)
    count = len(seen.messages)
    seen.messages.append(seen.messages[-1])
    del seen.messages[0]
    View().summary(Summary(judge(right, seen), Spent(), 1, 0, 0, 0, [], [], "none yet", 1.0, []))

    assert f"messages        imported {count - 1} of {count}, lost 1, repeated 1" in capsys.readouterr().out
