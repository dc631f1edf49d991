"""Test the effects of events and responses on a shard: each test is one sentence of DESIGN §3 and §7."""

from dataclasses import replace
from typing import Any

import pytest

from processor.events.cloudevents import Event
from processor.highlevel.responses import Found, Gone, Refused, Throttled, Unauthorized, Unavailable, Unsent
from processor.ratelimit.budget import Rate

from .bench import Bench, InputPosition, answered, contact, kinds, lacking, setup, start, wanted, whole


def picked(result: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: result[name] for name in names}


# what needs nothing


def test_a_lead_that_lacks_nothing_publishes_nothing() -> None:
    bench = Bench()
    bench.changed(contact_id="contact-1", **whole)

    assert (bench.take(), bench.made) == ([], [])


def test_a_change_without_anything_to_search_by_publishes_nothing() -> None:
    bench = Bench()
    bench.changed(first_name="Jane")

    assert (bench.take(), bench.made) == ([], [])


def test_a_loading_lead_is_recorded_only() -> None:
    bench = Bench(contacts=[contact()])
    bench.changed(email="jane1@example.com", loading=True)
    assert (bench.take(), bench.made) == ([], [])

    bench.changed(revision=2, email="jane1@example.com")
    assert kinds(bench.made) == ["search"]


# resolve


def test_a_missing_contact_is_found_by_e_mail_and_linked() -> None:
    bench = Bench(contacts=[contact()])
    bench.changed(**lacking("email") | {"email": " JANE1@Example.com "})
    bench.answer()

    (result,) = bench.take()
    assert picked(
        result, "outcome", "lead_updated", "contact_id", "changes", "resolved_by", "hydrated_from", "calls", "revision"
    ) == {
        "outcome": "updated",
        "lead_updated": True,
        "contact_id": "contact-1",
        "changes": {"contact_id": "contact-1"},
        "resolved_by": "search",
        "hydrated_from": None,
        "calls": {"search": 1},
        "revision": 1,
    }


def test_an_unusable_e_mail_falls_back_to_the_phone() -> None:
    bench = Bench(contacts=[contact()])
    bench.changed(**lacking("email"))
    bench.answer()

    (result,) = bench.take()
    assert wanted(bench.made[0]) == (("phone", "+15550000001"),)
    assert picked(result, "outcome", "resolved_by") == {"outcome": "updated", "resolved_by": "phone"}
    assert result["changes"] == {"contact_id": "contact-1", "email": "Jane1@example.com"}


def test_hits_that_disagree_on_who_they_are_link_nothing() -> None:
    bench = Bench(contacts=[contact(1), contact(2, email="jane1@example.com")])
    bench.changed(email="jane1@example.com")
    bench.answer()

    (result,) = bench.take()
    assert picked(result, "outcome", "contact_id", "changes", "reason", "lead_updated") == {
        "outcome": "ambiguous",
        "contact_id": None,
        "changes": {},
        "reason": "different_phones",
        "lead_updated": False,
    }


def test_the_hit_with_the_leads_phone_is_taken() -> None:
    bench = Bench(contacts=[contact(1), contact(2, email="jane1@example.com", dateUpdated="2020-01-01T00:00:00.000Z")])
    bench.changed(email="jane1@example.com", phone="+1 555 000 0002")
    bench.answer()

    assert bench.take()[-1]["contact_id"] == "contact-2"


def test_an_old_lead_without_a_contact_is_not_found_at_once() -> None:
    bench = Bench()
    bench.changed(email="jane1@example.com")
    bench.answer()

    (result,) = bench.take()
    assert picked(result, "outcome", "reason", "contact_id", "resolved_by") == {
        "outcome": "not_found",
        "reason": "no_contact",
        "contact_id": None,
        "resolved_by": None,
    }


def test_a_young_lead_is_looked_for_again_after_15_and_60_seconds() -> None:
    bench = Bench()
    bench.changed(email="jane1@example.com", created_at="2023-11-14T22:13:00Z")
    bench.later(70_000)

    asked = [(call.permit.granted - start) // 1000 for call in bench.made]
    assert asked == [0, 15, 60]
    assert [result["outcome"] for result in bench.take()] == ["not_found"]


def test_a_young_lead_is_linked_once_search_knows_its_contact() -> None:
    bench = Bench()
    bench.changed(email="jane1@example.com", created_at="2023-11-14T22:13:00Z")
    bench.later(5_000)
    bench.contacts.append(contact())
    bench.later(20_000)

    assert [result["outcome"] for result in bench.take()] == ["updated"]


def test_a_changed_e_mail_of_a_young_lead_is_looked_for_as_long_as_the_first() -> None:
    bench = Bench()
    bench.changed(email="jane1@example.com", created_at="2023-11-14T22:13:00Z")
    bench.later(50_000)
    bench.changed(revision=2, email="jane2@example.com")
    bench.later(70_000)

    asked = [(call.permit.granted - start) // 1000 for call in bench.made if "jane2" in str(wanted(call))]
    assert asked == [50, 65, 110]


def test_a_sync_of_a_young_lead_is_answered_at_once_and_what_is_found_later_names_no_request() -> None:
    bench = Bench()
    bench.sync(lead={"location_id": "location-1", "lead_id": "lead-1", "revision": 1, "email": "jane1@example.com"})
    bench.answer()
    (result,) = bench.take()
    assert picked(result, "outcome", "reason") == {"outcome": "not_found", "reason": "may_lag"}
    assert [cause["request_id"] for cause in result["causes"]] == ["request-1"]

    bench.contacts.append(contact())
    bench.later(20_000)
    (found,) = bench.take()
    assert (found["outcome"], found["causes"]) == ("updated", [])


def test_not_found_is_remembered_and_a_later_change_asks_again_only_after_ten_minutes() -> None:
    bench = Bench()
    bench.changed(email="jane1@example.com")
    bench.answer()
    bench.changed(revision=2, email="jane1@example.com", city="Springfield")
    bench.later(600_000)
    assert len(bench.made) == 1

    bench.changed(revision=3, email="jane1@example.com")
    bench.answer()
    assert len(bench.made) == 2
    bench.later(900_000)
    bench.changed(revision=4, email="jane1@example.com")
    assert len(bench.made) == 2


def test_a_changed_e_mail_and_a_sync_ask_in_spite_of_the_memory() -> None:
    bench = Bench()
    bench.changed(email="jane1@example.com")
    bench.answer()
    bench.changed(revision=2, email="jane2@example.com")
    bench.answer()
    bench.sync()
    bench.answer()

    assert [wanted(call)[0][1] for call in bench.made[:2]] == ["jane1@example.com", "jane2@example.com"]
    assert bench.made[2].kind == "search"


def test_an_answer_to_an_old_question_is_not_applied() -> None:
    """The e-mail changed while the search was under way."""
    bench = Bench(contacts=[contact()])
    bench.changed(email="jane1@example.com")
    (old,) = bench.calls
    bench.calls.clear()
    bench.changed(revision=2, email="jane2@example.com")
    bench.turn(answered(old, bench.lookup(old)))

    assert bench.take() == []
    bench.answer()
    assert [result["outcome"] for result in bench.take()] == ["not_found"]


# hydrate


def test_gaps_are_filled_from_the_search_payload_without_another_call() -> None:
    bench = Bench(contacts=[contact()], raw_names=True)
    bench.changed(email="jane1@example.com", phone="+15550000001")
    bench.answer()

    (result,) = bench.take()
    assert result["changes"] == {"contact_id": "contact-1"} | lacking("email", "phone", "timezone")
    assert picked(result, "hydrated_from", "calls") == {"hydrated_from": "search", "calls": {"search": 1}}


def test_names_that_search_lower_cases_are_fetched() -> None:
    bench = Bench(contacts=[contact()])
    bench.changed(email="jane1@example.com")
    bench.answer()

    (result,) = bench.take()
    assert result["changes"] == {"contact_id": "contact-1"} | lacking("email")
    assert picked(result, "hydrated_from", "calls") == {
        "hydrated_from": "contact",
        "calls": {"search": 1, "contact": 1},
    }


def test_a_linked_lead_with_gaps_is_asked_about_by_id() -> None:
    bench = Bench(contacts=[contact()])
    bench.changed(contact_id="contact-1", **lacking("city"))
    bench.answer()

    (result,) = bench.take()
    assert wanted(bench.made[0]) == (("id", "contact-1"),)
    assert picked(result, "outcome", "changes", "resolved_by") == {
        "outcome": "updated",
        "changes": {"city": "Springfield"},
        "resolved_by": "lead",
    }


def test_the_time_zone_alone_is_worth_a_get_only_to_a_sync() -> None:
    bench = Bench(contacts=[contact()])
    bench.changed(contact_id="contact-1", **lacking("timezone"))
    assert bench.take() == []
    assert kinds(bench.made) == []

    bench.sync()
    bench.answer()
    (result,) = bench.take()
    assert kinds(bench.made) == ["contact"]
    assert result["changes"] == {"timezone": "America/Chicago"}


def test_a_contact_is_not_fetched_again_while_it_is_unchanged() -> None:
    bench = Bench(contacts=[contact(firstName="")])
    bench.changed(email="jane1@example.com")
    bench.answer()
    assert kinds(bench.made) == ["search", "contact"]
    bench.sync()
    bench.answer()

    assert kinds(bench.made) == ["search", "contact", "search"]


def test_a_known_field_is_never_overwritten() -> None:
    bench = Bench(contacts=[contact()])
    bench.changed(email="jane1@example.com", first_name="Janet", city="Chicago")
    bench.answer()

    (result,) = bench.take()
    assert {"first_name", "city"}.isdisjoint(result["changes"])


def test_what_was_learned_is_published_again_without_a_call_while_a_snapshot_lacks_it() -> None:
    bench = Bench(contacts=[contact()])
    bench.changed(email="jane1@example.com")
    bench.answer()
    first = bench.take()[0]
    calls = len(bench.made)
    bench.changed(revision=2, email="jane1@example.com")

    (again,) = bench.take()
    assert len(bench.made) == calls
    assert (again["outcome"], again["changes"], again["calls"]) == ("updated", first["changes"], {})
    assert again["sequence"] > first["sequence"]


def test_once_upstream_has_applied_everything_a_change_publishes_nothing() -> None:
    bench = Bench(contacts=[contact()])
    bench.changed(email="jane1@example.com")
    bench.answer()
    changes = bench.take()[0]["changes"]
    bench.changed(revision=2, email="jane1@example.com", **changes)

    assert bench.take() == []


def test_a_lead_that_cost_a_call_and_gained_nothing_is_unchanged() -> None:
    bench = Bench(contacts=[contact(city="")])
    bench.changed(contact_id="contact-1", **lacking("city"))
    bench.answer()

    assert [picked(result, "outcome", "lead_updated", "changes") for result in bench.take()] == [
        {"outcome": "unchanged", "lead_updated": False, "changes": {}}
    ]


def test_a_contact_that_is_gone_is_replaced_by_its_successor() -> None:
    bench = Bench(contacts=[contact(2, email="jane1@example.com")])
    bench.changed(contact_id="contact-1", **lacking("first_name", "phone"))
    bench.answer()

    (result,) = bench.take()
    assert picked(result, "outcome", "contact_id", "replaces", "reason") == {
        "outcome": "updated",
        "contact_id": "contact-2",
        "replaces": {"contact_id": "contact-1"},
        "reason": "contact_gone",
    }
    assert result["changes"]["contact_id"] == "contact-2"


def test_a_contact_that_is_gone_without_a_successor_is_reported() -> None:
    bench = Bench()
    bench.changed(contact_id="contact-1", **lacking("first_name"))
    bench.answer()

    (result,) = bench.take()
    assert picked(result, "outcome", "contact_id", "changes", "replaces", "reason", "lead_updated") == {
        "outcome": "not_found",
        "contact_id": None,
        "changes": {"contact_id": None},
        "replaces": {"contact_id": "contact-1"},
        "reason": "contact_gone",
        "lead_updated": True,
    }


# Sync


def test_a_sync_is_answered_by_one_result_and_one_answer_for_the_screen() -> None:
    bench = Bench(contacts=[contact()])
    bench.changed(contact_id="contact-1", **whole)
    bench.sync()

    (result,), (screen,) = bench.take(), bench.take("sync.progress")
    assert picked(result, "outcome", "messages", "causes") == {
        "outcome": "unchanged",
        "messages": "not_asked",
        "causes": [{"id": "event-1", "type": "sync.lead.requested", "request_id": "request-1"}],
    }
    assert picked(screen, "request_id", "sequence", "outcome", "filled") == {
        "request_id": "request-1",
        "sequence": result["sequence"],
        "outcome": "unchanged",
        "filled": [],
    }


def test_a_repeated_request_is_not_run_again() -> None:
    bench = Bench(contacts=[contact()])
    bench.changed(contact_id="contact-1", **whole)
    bench.sync()
    bench.sync()

    assert len(bench.take("sync.progress")) == 1


def test_requests_and_changes_of_a_lead_are_answered_together() -> None:
    bench = Bench(contacts=[contact()])
    bench.changed(email="jane1@example.com")
    bench.sync(request="a")
    bench.sync(request="b")
    bench.answer()

    (result,) = bench.take()
    assert [cause.get("request_id") for cause in result["causes"]] == ["a", "b", None]
    assert [answer["request_id"] for answer in bench.take("sync.progress")] == ["a", "b"]


def test_a_sync_of_an_unknown_lead_fails_after_ten_seconds() -> None:
    bench = Bench()
    bench.sync()
    bench.later(9_000)
    assert bench.take() == []
    bench.later(1_500)

    (result,) = bench.take()
    assert picked(result, "outcome", "reason", "revision") == {
        "outcome": "failed",
        "reason": "unknown_lead",
        "revision": None,
    }


def test_a_lead_is_unknown_only_once_lead_changes_is_read_up_to_the_requests_arrival() -> None:
    bench = Bench()
    event = bench.event("sync.lead.requested", "sync.requests", lead_id="lead-1", request_id="request-1")
    assert isinstance(event, Event)
    bench.turn(replace(event, changes_end=100), InputPosition("lead.changes", 99))
    bench.later(30_000)
    assert bench.take() == []
    bench.turn(InputPosition("lead.changes", 100))
    bench.later(1_000)

    assert [result["reason"] for result in bench.take()] == ["unknown_lead"]


def test_a_lead_that_comes_in_time_is_synced() -> None:
    bench = Bench(contacts=[contact()])
    bench.sync()
    bench.later(3_000)
    bench.changed(email="jane1@example.com")
    bench.answer()

    assert [result["outcome"] for result in bench.take()] == ["updated"]


def test_a_deleted_lead_answers_who_waits_for_it_and_is_forgotten() -> None:
    bench = Bench()
    bench.changed(email="jane1@example.com")
    bench.sync()
    bench.turn(bench.event("lead.deleted", lead_id="lead-1", revision=2))
    bench.sync(request="request-2")

    assert [picked(result, "outcome", "reason", "revision") for result in bench.take()] == [
        {"outcome": "failed", "reason": "lead_deleted", "revision": 2}
    ] * 2
    bench.changed(revision=2, email="jane1@example.com")
    assert b"jane1" not in (bench.rows["lead location-1 lead-1"] or b"")
    bench.later(8 * 24 * 3_600_000)
    assert bench.rows["lead location-1 lead-1"] is None


def test_a_sync_past_its_deadline_fails_at_once_and_its_lead_counts_as_a_change() -> None:
    bench = Bench(contacts=[contact()])
    event = bench.event(
        "sync.lead.requested",
        "sync.requests",
        lead_id="lead-1",
        request_id="request-1",
        deadline_s=1,
        lead={
            "location_id": "location-1",
            "lead_id": "lead-1",
            "revision": 1,
            "email": "jane1@example.com",
            "created_at": "2020-01-01T00:00:00Z",
        },
    )
    bench.now += 2_000
    bench.turn(event)
    (late,) = bench.take()
    assert picked(late, "outcome", "reason", "calls") == {"outcome": "failed", "reason": "deadline", "calls": {}}

    bench.answer()
    assert [result["outcome"] for result in bench.take()] == ["updated"]


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (Throttled(3_600_000), "throttled"),
        (Unauthorized("revoked"), "unauthorized"),
        (Unavailable("503"), "unavailable"),
        (Unsent("late"), "deadline"),
    ],
)
def test_a_sync_that_misses_its_deadline_says_what_held_it(outcome: Any, reason: str) -> None:
    bench = Bench()
    bench.changed(contact_id="contact-1", **lacking("city"))
    bench.calls.clear()
    bench.sync(deadline_s=5)
    bench.turn(answered(bench.made[0], outcome))
    while bench.now < start + 6_000:
        bench.now += 100
        bench.turn(*(answered(call, outcome) for call in bench.calls[:1]))
        del bench.calls[:1]

    assert [picked(result, "outcome", "reason") for result in bench.take() if result["causes"]][:1] == [
        {"outcome": "failed", "reason": reason}
    ]


def test_a_malformed_request_is_dead_lettered_and_answered_all_the_same() -> None:
    bench = Bench()
    bench.sync(deadline_s="soon")

    assert [picked(result, "outcome", "reason") for result in bench.take()] == [
        {"outcome": "failed", "reason": "invalid"}
    ]
    assert len(bench.take("sync.progress")) == 1
    assert [topic for topic, _ in bench.records] == ["dead.letters"]


def test_a_malformed_request_for_a_job_is_dead_lettered_and_reported() -> None:
    bench = Bench()
    bench.turn(bench.event("sync.location.requested", "sync.requests", request_id="job-1", include_messages="yes"))

    assert [picked(failed, "request_id", "location_id", "reason") for failed in bench.take("sync.progress")] == [
        {"request_id": "job-1", "location_id": "location-1", "reason": "invalid"}
    ]
    assert [topic for topic, _ in bench.records] == ["dead.letters"]


# calls


def test_a_flood_of_changes_shares_searches() -> None:
    """50 values in a search: 500 leads cost ten calls, or eleven since the first left alone."""
    bench = Bench(contacts=[contact(number) for number in range(500)], raw_names=True)
    for number in range(500):
        bench.changed(f"lead-{number}", **lacking("email") | {"email": f"jane{number}@example.com"})
    bench.later(30_000)

    results = bench.take()
    assert {result["outcome"] for result in results} == {"updated"}
    assert len(results) == 500
    assert len(bench.made) <= 12
    assert sum(result["calls"]["search"] for result in results if result["calls"]) == len(bench.made)


def test_an_interactive_question_goes_first_and_changes_ride_along() -> None:
    bench = Bench(setup(rate=Rate(1), probe_size=2))
    for number in range(5):
        bench.changed(f"lead-{number}", email=f"jane{number}@example.com")
    bench.sync("lead-4")
    bench.answer()
    bench.later(11_000)

    assert [one.lead for one in bench.made[1].questions] == ["lead-4", "lead-1"]


def test_a_sync_that_joins_a_question_under_way_does_not_ask_twice() -> None:
    bench = Bench(contacts=[contact()])
    bench.changed(**lacking("city"))
    bench.sync()
    bench.answer()

    assert kinds(bench.made) == ["search"]
    assert [len(result["causes"]) for result in bench.take()] == [2]


def test_leads_that_ask_the_same_share_a_value() -> None:
    bench = Bench(setup(rate=Rate(1), probe_size=1), contacts=[contact()])
    for number in range(4):
        bench.changed(f"lead-{number}", email="jane1@example.com", loading=number == 0)
    bench.sync("lead-0")
    bench.later(11_000)

    assert len(bench.made) == 2


def test_a_refused_probe_is_halved_down_to_the_refused_lead() -> None:
    """Eight values, one of which HighLevel refuses: the other seven are answered, the culprit fails."""
    bench = Bench(setup(rate=Rate(1), probe_size=8), contacts=[contact(number) for number in range(9)])
    bench.changed("first", email="jane0@example.com", loading=True)
    for number in range(1, 9):
        bench.changed(f"lead-{number}", **lacking("email") | {"email": f"jane{number}@example.com"})
    for _ in range(40):
        for call in bench.calls[:]:
            bench.calls.remove(call)
            poisoned = any(value == "jane5@example.com" for _, value in wanted(call))
            bench.turn(answered(call, Refused(400) if poisoned else bench.lookup(call)))
        bench.now += 10_100
        bench.turn()

    outcomes = {result["lead_id"]: (result["outcome"], result["reason"]) for result in bench.take()}
    assert outcomes == {f"lead-{number}": ("updated", None) for number in range(1, 9)} | {
        "lead-5": ("failed", "refused")
    }


def test_more_hits_than_came_back_halve_the_probe() -> None:
    bench = Bench(setup(rate=Rate(1), probe_size=4))
    for number in range(5):
        bench.changed(f"lead-{number}", email=f"jane{number}@example.com")
    bench.answer()
    bench.later(9_040)
    bench.now += 20
    bench.turn()
    bench.answer(Found((), 900))
    bench.later(10_100)

    assert [len(wanted(call)) for call in bench.made] == [1, 4, 2]


def test_a_429_stops_the_location_and_counts_as_no_attempt() -> None:
    bench = Bench(contacts=[contact()])
    bench.changed(email="jane1@example.com")
    bench.answer(Throttled(7_000))
    bench.changed("lead-2", email="jane1@example.com")
    bench.later(6_900)
    assert len(bench.made) == 1
    assert [status["state"] for status in bench.take("location.status")][-1] == "throttled"

    bench.later(3_000)
    assert {result["outcome"] for result in bench.take()} == {"updated"}
    assert [status["state"] for status in bench.take("location.status")][-1] == "ok"


def test_only_a_get_that_finds_nothing_says_that_a_contact_is_gone() -> None:
    bench = Bench()
    bench.changed(contact_id="contact-1", **lacking("city"))
    bench.answer()

    assert [picked(result, "outcome", "replaces") for result in bench.take()] == [
        {"outcome": "unchanged", "replaces": None}
    ]


# state


def test_an_older_or_equal_revision_is_ignored() -> None:
    bench = Bench()
    bench.changed(revision=5, email="jane1@example.com")
    bench.answer()
    bench.take()
    bench.changed(revision=5, email="jane2@example.com")
    bench.changed(revision=4, email="jane3@example.com")

    assert len(bench.made) == 1


def test_a_successor_knows_what_the_changelog_says() -> None:
    """Kept facts, open work, open requests and the ledger: all of it, and nothing is asked twice."""
    bench = Bench(contacts=[contact(1), contact(2)])
    bench.changed("lead-1", email="jane1@example.com")
    bench.answer()
    bench.changed("lead-2", email="jane2@example.com")
    bench.sync("lead-2")
    spent = len(bench.made)

    successor = bench.reopened()
    successor.later(1_000)
    assert [result["lead_id"] for result in successor.take()] == ["lead-2"]
    assert len(successor.take("sync.progress")) == 1
    status = successor.shard.store.begin(0, setup()).stored("budget location-1")
    assert status is not None
    assert len(successor.made) + spent <= 90
    successor.shard.store.rollback()
    successor.changed("lead-1", revision=2, email="jane1@example.com")
    assert successor.take()[-1]["changes"]["contact_id"] == "contact-1"


def test_a_failed_turn_leaves_nothing_behind() -> None:
    bench = Bench()
    before = dict(bench.shard.store.connection.execute("SELECT key, value FROM document"))
    event = bench.event("lead.changed", lead_id="a", revision=1, email="a@example.com")
    with pytest.raises(AttributeError):
        bench.shard.turn(start, [event, answered(None, Gone())])  # type: ignore[arg-type]  # an input that makes a turn raise

    after = dict(bench.shard.store.connection.execute("SELECT key, value FROM document"))
    assert before == after
    assert not bench.shard.store.connection.in_transaction


def test_nothing_is_granted_while_draining() -> None:
    bench = Bench()
    bench.turn(bench.event("lead.changed", lead_id="lead-1", revision=1, email="jane1@example.com"), granting=False)

    assert bench.made == []


def test_a_stray_event_is_sent_home_once() -> None:
    bench = Bench(setup(partitions=50))
    event = bench.event("lead.changed", lead_id="lead-1", revision=1, email="jane1@example.com")
    effects = bench.turn(event)
    (out,) = effects.records
    assert (out.topic, out.timestamp_ms, out.partition is not None) == ("lead.changes", start, True)
    assert ("hydrant-rehomed", b"1") in out.headers

    assert isinstance(event, Event)
    bench.turn(replace(event, record=replace(event.record, headers=out.headers)))
    assert [topic for topic, _ in bench.records] == ["lead.changes", "dead.letters"]
