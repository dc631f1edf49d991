"""SMS messages: each test is a sentence of DESIGN §3 and §7.6."""

from typing import Any

import pytest

from processor.highlevel.message import SmsMessage
from processor.highlevel.requests import CallKind, ExportMessages
from processor.highlevel.responses import Lost, Refused, Unauthorized

from .bench import Bench, answered, contact, lacking, setup, whole
from .test_jobs import known, load, outcomes, people, progress, summary

then = 1_600_000_000_000
minute = 60_000


def message(name: str, of: str = "contact-1", at: int = then, **changes: Any) -> SmsMessage:
    given: dict[str, Any] = {
        "direction": "inbound",
        "type": "TYPE_SMS",
        "body": f"text of {name}",
        "status": "delivered",
    }
    given |= {"conversation": "conversation-1", "attachments": (), "source": None, "user": None}
    return SmsMessage(name, of, at, **given | changes)


def imported(bench: Bench) -> list[tuple[str, str]]:
    return [(data["lead_id"], data["message"]["id"]) for data in bench.take("lead.messages")]


def talk(count: int, of: str = "contact-1", start: int = then) -> list[SmsMessage]:
    return [message(f"{of}-m{number:03}", of, start + number * minute) for number in range(count)]


def linked(bench: Bench, lead: str = "lead-1", number: int = 1) -> None:
    bench.changed(lead, loading=True, **whole | {"contact_id": f"contact-{number}"})


def test_a_sync_imports_the_contacts_messages_after_it_is_resolved() -> None:
    bench = Bench(contacts=[contact()], raw_names=True, messages=talk(3))
    bench.changed(loading=True, **lacking("city"))
    bench.sync(include_messages=True)
    bench.later(2_000)

    assert [call.kind for call in bench.made] == ["search", "messages"]
    (result,) = bench.take()
    assert (result["outcome"], result["messages"], result["messages_imported"]) == ("updated", "imported", 3)
    assert result["calls"] == {"search": 1, "messages": 1}
    assert imported(bench) == [("lead-1", f"contact-1-m{number:03}") for number in range(3)]


def test_a_message_has_one_shape() -> None:
    bench = Bench(messages=[message("m-1", attachments=None, body=None)])
    linked(bench)
    bench.sync(include_messages=True)
    bench.later(2_000)

    (data,) = bench.take("lead.messages")
    assert data == {
        "location_id": "location-1",
        "lead_id": "lead-1",
        "contact_id": "contact-1",
        "message": {
            "id": "m-1",
            "direction": "inbound",
            "type": "TYPE_SMS",
            "body": None,
            "status": "delivered",
            "sent_at": "2020-09-13T12:26:40.000Z",
            "conversation_id": "conversation-1",
            "attachments": None,
            "source": None,
            "user_id": None,
        },
    }


def test_messages_alone_leave_the_lead_unchanged() -> None:
    bench = Bench(messages=talk(2))
    linked(bench)
    bench.sync(include_messages=True)
    bench.later(2_000)

    (result,) = bench.take()
    (answer,) = bench.take("sync.progress")
    assert (result["outcome"], result["lead_updated"], result["messages"]) == ("unchanged", False, "imported")
    assert (answer["messages_imported"], answer["lead_updated"]) == (2, False)


def test_the_next_sync_begins_ten_minutes_before_the_last_message_and_repeats_none() -> None:
    bench = Bench(messages=talk(30))
    linked(bench)
    bench.sync(include_messages=True)
    bench.later(2_000)
    assert len(imported(bench)) == 30

    late = message("late", at=then + 25 * minute + 1)  # it shows up late, among the last ten minutes
    bench.messages += [late, message("new", at=then + 40 * minute)]
    bench.sync(request="request-2", include_messages=True)
    bench.later(2_000)

    assert [asked.since for asked in bench.exports] == [None, then + 19 * minute]
    assert imported(bench) == [("lead-1", "late"), ("lead-1", "new")]
    assert bench.take()[-1]["messages_imported"] == 2


def test_pages_follow_each_other() -> None:
    bench = Bench(messages=talk(25), page=10)
    linked(bench)
    bench.sync(include_messages=True)
    bench.later(2_000)

    assert len(bench.exports) == 3
    assert len(set(imported(bench))) == 25
    assert bench.take()[-1]["messages_imported"] == 25


def test_an_expired_cursor_begins_again_from_the_last_message() -> None:
    bench = Bench(messages=talk(25), page=20)
    linked(bench)
    bench.sync(include_messages=True)
    while len(bench.exports) < 1:
        bench.later(50)
    bench.answer(Refused(400))
    bench.later(2_000)

    assert [(asked.since, asked.cursor) for asked in bench.exports] == [(None, None), (then + 9 * minute, None)]
    published = imported(bench)
    assert len(published) == len(set(published)) == 25


@pytest.mark.parametrize("trouble", [Refused(422), Unauthorized("scope")])
def test_messages_that_are_not_to_be_had_leave_the_outcome_as_it_is(trouble: Any) -> None:
    bench = Bench(contacts=[contact()], raw_names=True, messages=talk(3))
    bench.changed(loading=True, **lacking("city"))
    bench.sync(include_messages=True)
    bench.later(60)
    bench.answer(trouble)
    bench.later(2_000)

    (result,) = bench.take()
    assert (result["outcome"], result["messages"], result["messages_imported"]) == ("updated", "failed", 0)
    assert imported(bench) == []


def test_a_missing_scope_pauses_messages_alone() -> None:
    bench = Bench(contacts=people(3), raw_names=True, messages=talk(3))
    linked(bench)
    bench.sync(include_messages=True)
    bench.answer(Unauthorized("scope"))
    bench.sync(request="request-2", include_messages=True)
    bench.changed("lead-2", email="jane2@example.com")
    bench.later(5_000)

    results = [(one["lead_id"], one["outcome"], one["messages"]) for one in bench.take()]
    assert results == [
        ("lead-1", "unchanged", "failed"),
        ("lead-1", "unchanged", "failed"),
        ("lead-2", "updated", "not_asked"),
    ]
    assert [call.kind for call in bench.made].count(CallKind.MESSAGES) == 1

    bench.later(60_000)
    bench.sync(request="request-3", include_messages=True)
    bench.later(2_000)
    assert bench.take()[-1]["messages"] == "imported"


@pytest.mark.slow
def test_an_export_that_is_lost_eight_times_has_failed() -> None:
    """Others are answered meanwhile: the location is healthy."""
    bench = Bench(contacts=[contact()], messages=talk(3))
    linked(bench)
    bench.sync(include_messages=True, deadline_s=3_600)
    for number in range(20):
        lost = [call for call in bench.calls if isinstance(call.request, ExportMessages)]
        bench.calls = [call for call in bench.calls if call not in lost]
        bench.turn(*(answered(call, Lost("reset")) for call in lost))
        bench.changed(f"other-{number}", email=f"other{number}@example.com")
        while (
            not any(isinstance(call.request, ExportMessages) for call in bench.calls) and number < 8 and bench.wake_at
        ):
            bench.now = max(bench.now, min(bench.wake_at, bench.now + 1_000))
            searches, bench.calls = bench.calls, []
            bench.turn(*(answered(call, bench.lookup(call)) for call in searches))

    assert [(one["outcome"], one["messages"]) for one in bench.take() if one["lead_id"] == "lead-1"] == [
        ("unchanged", "failed")
    ]


def test_a_job_exports_the_whole_location_where_that_is_cheaper() -> None:
    bench = Bench(setup(probe_size=2), people(30), raw_names=True, page=12)
    load(bench, 30)
    bench.messages = [one for number in range(1, 31) for one in talk(2, f"contact-{number}")]
    bench.sync_all(include_messages=True)
    bench.later(60_000)

    data = summary(bench)
    assert (outcomes(data), data["messages_imported"]) == ({"updated": 30}, 60)
    published = imported(bench)
    assert sorted(published) == sorted((f"lead-{one.contact[8:]}", one.id) for one in bench.messages)
    assert {(asked.contact, asked.job) for asked in bench.exports} == {(None, "job-1")}
    assert {one["messages_imported"] for one in bench.take()} == {2}


def test_a_job_exports_contact_by_contact_where_that_is_cheaper() -> None:
    bench = Bench(contacts=people(5), raw_names=True, page=2)
    for number in range(1, 5):
        linked(bench, f"lead-{number}", number)
    bench.messages = [one for number in range(1, 41) for one in talk(3, f"contact-{number}")]
    bench.page = 500
    bench.messages += talk(4_000, "contact-99")
    bench.sync_all(include_messages=True)
    bench.later(60_000)

    data = summary(bench)
    assert (outcomes(data), data["messages_imported"]) == ({"unchanged": 4}, 12)
    assert [asked.contact for asked in bench.exports] == [None, "contact-1", "contact-2", "contact-3", "contact-4"]
    assert bench.take() == []


def test_a_successor_goes_on_with_the_export_and_repeats_nothing() -> None:
    bench = Bench(setup(probe_size=2), people(20), raw_names=True, page=7)
    load(bench, 20)
    bench.messages = [one for number in range(1, 21) for one in talk(3, f"contact-{number}")]
    bench.sync_all(include_messages=True)
    while len(bench.exports) < 4:
        bench.later(50)
    published = imported(bench)
    other = bench.reopened()
    other.setup, other.page, other.messages = bench.setup, 7, bench.messages
    other.later(60_000)

    assert outcomes(summary(other)) == {"updated": 20}
    published += imported(other)
    assert sorted(published) == sorted((f"lead-{one.contact[8:]}", one.id) for one in bench.messages)


def test_an_export_that_breaks_off_has_failed_despite_its_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader of `imported` couldn't know that messages are missing; the next Sync imports the rest."""
    bench = Bench(setup(probe_size=2), people(20), raw_names=True, page=7)
    load(bench, 20)
    bench.messages = [one for number in range(1, 21) for one in talk(3, f"contact-{number}")]
    export = bench.export
    monkeypatch.setattr(bench, "export", lambda asked: export(asked) if asked.cursor is None else Unauthorized("scope"))
    bench.sync_all(include_messages=True)
    bench.later(5_000)

    results = bench.take()
    assert {"failed"} == {one["messages"] for one in results}
    assert {0, 1} == {one["messages_imported"] for one in results}


def test_leads_that_share_a_contact_have_its_messages_each() -> None:
    bench = Bench(setup(probe_size=2), [known(1)], raw_names=True)
    for number in range(1, 9):
        linked(bench, f"lead-{number}", 1)
    bench.messages = talk(3)
    bench.sync_all(include_messages=True)
    bench.later(60_000)

    assert sorted(imported(bench)) == [(f"lead-{n}", f"contact-1-m{m:03}") for n in range(1, 9) for m in range(3)]
    assert summary(bench)["messages_imported"] == 24


def test_an_export_is_asked_for_alone() -> None:
    bench = Bench(messages=[*talk(1), *talk(1, "contact-2")])
    linked(bench)
    linked(bench, "lead-2", 2)
    bench.sync(include_messages=True)
    bench.sync("lead-2", "request-2", include_messages=True)
    bench.later(2_000)

    assert [call.request.contact for call in bench.made if isinstance(call.request, ExportMessages)] == [
        "contact-1",
        "contact-2",
    ]


@pytest.mark.parametrize("raw_names", [True, False])
@pytest.mark.parametrize("size", [1, 2, 50])
def test_a_job_with_a_last_response_for_one_lead_goes_on_with_its_messages(raw_names: bool, size: int) -> None:
    bench = Bench(setup(probe_size=size), people(30), raw_names=raw_names, page=12)
    load(bench, 29)
    gone = lacking("email", "phone", "last_name") | {"email": "jane30@example.com", "contact_id": "contact-gone"}
    bench.changed("lead-30", loading=True, **gone)
    bench.messages = [one for number in range(1, 31) for one in talk(2, f"contact-{number}")]
    bench.sync_all(include_messages=True)
    bench.later(600_000)

    assert (summary(bench)["messages_imported"], len(imported(bench))) == (60, 60)


def test_pages_of_one_export_ask_for_the_same() -> None:
    """HighLevel may take a cursor with another start for another query's."""
    bench = Bench(messages=talk(5), page=10)
    linked(bench)
    bench.sync(include_messages=True)
    bench.later(2_000)
    bench.messages += talk(25, start=then + 60 * minute)
    for number, one in enumerate(bench.messages[5:]):
        bench.messages[5 + number] = message(f"later-{number}", at=one.sent)
    bench.sync(request="request-2", include_messages=True)
    bench.later(2_000)

    assert [asked.since for asked in bench.exports] == [None] + [then - 6 * minute] * 3
    assert len(imported(bench)) == 30


def test_a_lead_that_joins_the_locations_export_midway_is_read_on_its_own() -> None:
    """The pages that went by weren't for it."""
    bench = Bench(contacts=people(20), raw_names=True, page=7)
    for number in range(1, 21):
        linked(bench, f"lead-{number}", number)
    bench.messages = [one for number in range(1, 22) for one in talk(3, f"contact-{number}")]
    bench.sync_all(include_messages=True)
    while len(bench.exports) < 5:
        bench.later(50)
    bench.changed("lead-1", 2, loading=True, **whole | {"contact_id": "contact-21"})
    bench.later(60_000)

    published = {name for lead, name in imported(bench) if lead == "lead-1"}
    assert {one.id for one in bench.messages if one.contact == "contact-21"} <= published
    assert outcomes(summary(bench)) == {"unchanged": 20}


def test_a_cursor_may_be_refused_often_if_the_export_goes_on() -> None:
    bench = Bench(contacts=people(20), raw_names=True, page=50)
    for number in range(1, 21):
        linked(bench, f"lead-{number}", number)
    hours = [(hour, number) for hour in range(30) for number in range(1, 21)]
    bench.messages = [
        message(f"m-{hour}-{number}", f"contact-{number}", then + hour * 60 * minute + number * 1_000)
        for hour, number in hours
    ]
    bench.sync_all(include_messages=True)
    refused = 0
    while not any(kind == "sync.completed" for kind, _ in progress(bench)):
        bench.now = max(bench.now + 50, bench.wake_at or 0) if not bench.calls else bench.now + 50
        calls, bench.calls = bench.calls, []
        expired = [call for call in calls if isinstance(call.request, ExportMessages) and call.request.cursor]
        refused += len(expired)
        bench.turn(*(answered(call, Refused(400) if call in expired else bench.lookup(call)) for call in calls))

    assert (refused > 8, len(set(imported(bench))), summary(bench)["messages_imported"]) == (True, 600, 600)


def test_a_message_that_a_page_shows_twice_is_published_once() -> None:
    bench = Bench(messages=[message("m-1"), message("m-1")])
    linked(bench)
    bench.sync(include_messages=True)
    bench.later(2_000)

    assert imported(bench) == [("lead-1", "m-1")]
    assert bench.take()[-1]["messages_imported"] == 1
