"""Sync All: each test is a sentence of DESIGN §3 and §7 about jobs."""

from typing import Any

import pytest

from processor.events.fields import rfc3339
from processor.highlevel.requests import GetContact, ListContacts, Search
from processor.highlevel.responses import Lost, Refused, Unavailable
from processor.ratelimit.budget import Rate

from .bench import Bench, answered, contact, here, lacking, setup, start, whole


def progress(bench: Bench) -> list[tuple[str, dict[str, Any]]]:
    return [(value["type"], value["data"]) for topic, value in bench.records if topic == "sync.progress"]


def stages(bench: Bench) -> list[str]:
    return [kind for kind, _ in progress(bench) if kind != "sync.progressed"]


def summary(bench: Bench) -> dict[str, Any]:
    kind, data = progress(bench)[-1]
    assert kind == "sync.completed"
    return data


def outcomes(data: dict[str, Any]) -> dict[str, int]:
    names = ("updated", "unchanged", "created", "not_found", "ambiguous", "failed")
    return {name: data[name] for name in names if data[name]}


def load(bench: Bench, count: int, **fields: Any) -> None:
    """Leads 1 to `count`, without contact and last name, recorded only."""
    for number in range(1, count + 1):
        given = lacking("email", "phone", "last_name") | {"email": f"jane{number}@example.com", **fields}
        bench.changed(f"lead-{number}", loading=True, **given)


def people(count: int, **fields: Any) -> list[Any]:
    return [known(number, **fields) for number in range(1, count + 1)]


def known(number: int, **fields: Any) -> Any:
    """A contact that was there, as it is, long before the test."""
    return contact(
        number, **{"dateAdded": "2021-01-01T00:00:00.000Z", "dateUpdated": "2022-02-01T00:00:00.000Z", **fields}
    )


def scanning(leads: int, contacts: list[Any], **changes: Any) -> Bench:
    """A location where a scan is the cheaper plan: probes are small."""
    bench = Bench(setup(probe_size=2, **changes), contacts, raw_names=True)
    load(bench, leads)
    return bench


def test_a_location_without_leads_is_completed_with_zeros() -> None:
    bench = Bench()
    bench.sync_all()
    bench.later(5_000)

    assert stages(bench) == ["sync.started", "sync.completed"]
    assert (summary(bench)["leads_total"], summary(bench)["calls_spent"], bench.made) == (0, 0, [])


def test_few_leads_are_probed_without_looking_at_a_page() -> None:
    bench = Bench(contacts=people(20), raw_names=True)
    load(bench, 20)
    bench.sync_all()
    bench.later(5_000)

    assert [type(call.request) for call in bench.made] == [Search]
    data = summary(bench)
    assert (data["plan"], outcomes(data), data["calls_spent"]) == ("probe", {"updated": 20}, 1)
    assert data["filled"] == {"contact_id": 20, "phone": 20, "last_name": 20}
    assert {result["resolved_by"] for result in bench.take()} == {"search"}


def test_a_scan_links_and_hydrates_from_its_pages() -> None:
    bench = scanning(30, people(30))
    bench.page = 12
    bench.sync_all()
    bench.later(5_000)

    data = summary(bench)
    assert (data["plan"], outcomes(data)) == ("scan", {"updated": 30})
    assert [type(call.request) for call in bench.made] == [ListContacts] * 4  # three pages and the last pass
    results = bench.take()
    assert {(one["lead_id"], one["contact_id"]) for one in results} == {
        (f"lead-{number}", f"contact-{number}") for number in range(1, 31)
    }
    assert {(one["resolved_by"], one["hydrated_from"], one["changes"]["last_name"]) for one in results} == {
        ("scan", "scan", "McDoe")
    }
    assert {(one["causes"][0]["type"], one["causes"][0]["request_id"]) for one in results} == {
        ("sync.location.requested", "job-1")
    }


def test_names_that_no_payload_gives_are_fetched_once_a_contact() -> None:
    bench = scanning(12, people(10))
    bench.raw_names = False
    for number in (11, 12):
        bench.changed(f"lead-{number}", 2, loading=True, **lacking("last_name") | {"email": "jane1@example.com"})
    bench.sync_all()
    bench.later(20_000)

    gets = [call.request.contact_id for call in bench.made if isinstance(call.request, GetContact)]
    assert sorted(gets) == sorted({f"contact-{number}" for number in range(1, 11)})
    data = summary(bench)
    assert (outcomes(data), data["filled"]["last_name"], data["calls_planned"]) == ({"updated": 12}, 12, 14)


def test_leads_that_lack_nothing_are_unchanged_without_a_call_or_a_result() -> None:
    bench = Bench()
    bench.changed(contact_id="contact-1", **whole)
    bench.sync_all()
    bench.later(2_000)

    assert (outcomes(summary(bench)), bench.made, bench.take()) == ({"unchanged": 1}, [], [])


def test_every_lead_is_in_exactly_one_outcome() -> None:
    twins = [known(101, email="jane5@example.com"), known(102, email="jane6@example.com", phone="+15550000006")]
    bench = scanning(12, [*people(8), *twins])
    bench.changed("complete", contact_id="contact-1", **whole)
    bench.changed("nameless", loading=True, first_name="Jane")
    bench.sync_all()
    bench.later(10_000)

    data = summary(bench)
    assert outcomes(data) == {"updated": 7, "ambiguous": 1, "not_found": 5, "unchanged": 1}
    assert data["leads_total"] == data["leads_done"] == 14


def test_a_lead_that_only_has_an_additional_e_mail_of_a_contact_is_found_by_the_scan() -> None:
    bench = scanning(10, [*people(9), known(50, additionalEmails=["jane10@example.com"])])
    bench.sync_all()
    bench.later(10_000)

    (result,) = [one for one in bench.take() if one["lead_id"] == "lead-10"]
    assert (result["contact_id"], result["resolved_by"]) == ("contact-50", "scan")


def test_a_lead_without_a_usable_e_mail_is_joined_by_phone() -> None:
    bench = scanning(10, people(11))
    bench.changed("lead-11", loading=True, phone="+1 (555) 000-0011")
    bench.sync_all()
    bench.later(10_000)

    (result,) = [one for one in bench.take() if one["lead_id"] == "lead-11"]
    assert (result["contact_id"], result["resolved_by"], result["hydrated_from"]) == ("contact-11", "phone", "scan")
    assert [type(call.request) for call in bench.made] == [ListContacts, ListContacts]


def test_a_linked_lead_with_gaps_is_filled_from_its_contacts_page() -> None:
    bench = scanning(10, people(11))
    bench.changed("lead-11", loading=True, contact_id="contact-11", email="other@example.com")
    bench.sync_all()
    bench.later(10_000)

    (result,) = [one for one in bench.take() if one["lead_id"] == "lead-11"]
    assert (result["contact_id"], result["resolved_by"], result["hydrated_from"]) == ("contact-11", "lead", "scan")
    assert result["changes"]["city"] == "Springfield"


def test_the_same_request_id_is_the_same_job() -> None:
    bench = Bench(contacts=people(3), raw_names=True)
    load(bench, 3)
    bench.sync_all()
    bench.later(5_000)
    bench.sync_all()
    bench.later(5_000)

    assert (stages(bench), len(bench.made)) == (["sync.started", "sync.completed"], 1)


def test_a_second_job_of_the_location_waits_for_the_first() -> None:
    bench = scanning(10, people(10))
    bench.sync_all()
    bench.sync_all("job-2")
    bench.later(10_000)

    ends = [(kind, data["request_id"]) for kind, data in progress(bench) if kind != "sync.progressed"]
    assert ends == [(kind, job) for job in ("job-1", "job-2") for kind in ("sync.started", "sync.completed")]


def test_a_placeholder_e_mail_is_left_to_a_probe() -> None:
    """A hundred leads share it: no page may touch them all."""
    bench = scanning(10, people(20))
    for number in range(100):
        bench.changed(f"placeholder-{number}", loading=True, **lacking("last_name") | {"email": "jane20@example.com"})
    bench.sync_all()
    bench.later(10_000)

    data = summary(bench)
    assert (data["plan"], outcomes(data)) == ("scan", {"updated": 110})
    assert data["calls_spent"] == 2 + 96 // 8  # a call asks for as many as four times its values


def test_a_plan_that_is_only_wanted_to_see_costs_one_page() -> None:
    bench = scanning(10, people(10))
    bench.sync_all(dry_run=True)
    bench.later(10_000)

    assert stages(bench) == ["sync.started", "sync.cancelled"]
    (_, started), (_, ended) = progress(bench)
    assert (started["plan"], started["leads_total"], started["calls_planned"]) == ("scan", 10, 2)
    assert (ended["reason"], len(bench.made), bench.take()) == ("dry_run", 1, [])
    assert not any(key.startswith("lead ") and b'"work"' in (value or b"") for key, value in bench.rows.items())


def test_cancelled_its_calls_stop_and_changes_have_their_work_back() -> None:
    bench = scanning(10, people(10))
    fields = {"created_at": "2020-01-01T00:00:00Z", **lacking("last_name"), "email": "jane3@example.com"}
    bench.turn(bench.event("lead.changed", lead_id="changed", revision=1, **fields), granting=False)
    bench.sync_all()
    bench.turn()
    bench.cancel(location_id=here)
    made = len(bench.made)
    bench.later(60_000)

    assert stages(bench)[-1:] == ["sync.cancelled"]
    assert [one["lead_id"] for one in bench.take()] == ["changed"]
    assert all(isinstance(call.request, Search) for call in bench.made[made:])


def test_a_refused_page_fails_the_job() -> None:
    bench = scanning(10, people(10))
    bench.sync_all()
    bench.turn()
    bench.turn()
    bench.answer(Refused(400))
    bench.later(5_000)

    kind, data = progress(bench)[-1]
    assert (kind, data["reason"]) == ("sync.failed", "refused")
    assert not any(key.startswith("lead ") and b'"work"' in (value or b"") for key, value in bench.rows.items())


@pytest.mark.parametrize("trouble", [Lost("reset"), Unavailable("status 503")])
def test_a_page_that_did_not_come_is_asked_for_again(trouble: Any) -> None:
    bench = scanning(10, people(10))
    bench.sync_all()
    bench.turn()
    bench.turn()
    bench.answer(trouble)
    bench.later(60_000)

    assert outcomes(summary(bench)) == {"updated": 10}


def test_a_contact_that_loses_the_e_mail_during_the_scan_is_not_linked() -> None:
    bench = scanning(10, people(10))
    bench.sync_all()
    while not bench.pages:
        bench.later(50)
    bench.contacts[2] = known(3, email="elsewhere@example.com", dateUpdated="2023-11-14T22:13:20.500Z")
    bench.later(10_000)

    assert outcomes(summary(bench)) == {"updated": 9, "not_found": 1}
    assert {one["lead_id"]: one["contact_id"] for one in bench.take()}["lead-3"] is None


def test_a_contact_that_comes_during_the_scan_is_found() -> None:
    bench = scanning(10, people(9))
    bench.sync_all()
    while not bench.pages:
        bench.later(50)
    now = "2023-11-14T22:13:20.500Z"
    bench.contacts.insert(0, known(10, dateAdded="2020-01-01T00:00:00.000Z", dateUpdated=now))
    bench.later(10_000)

    assert outcomes(summary(bench)) == {"updated": 10}


def test_a_successor_goes_on_where_the_job_was() -> None:
    bench = scanning(60, people(60))
    bench.page = 10
    bench.sync_all()
    while len(bench.pages) < 3:
        bench.later(50)
    other = bench.reopened()
    other.setup = bench.setup
    other.page = 10
    other.later(60_000)

    assert outcomes(summary(other)) == {"updated": 60}
    assert len(bench.pages) + len(other.pages) <= 8 + 1


def test_a_sync_of_a_lead_overtakes_the_job_that_wants_it() -> None:
    bench = scanning(10, people(10))
    bench.sync_all()
    bench.turn()
    bench.sync("lead-3")
    bench.later(10_000)

    first = bench.take()[0]
    assert (first["lead_id"], [one.get("request_id") for one in first["causes"]]) == ("lead-3", ["request-1", "job-1"])
    assert outcomes(summary(bench)) == {"updated": 10}


def test_a_lead_deleted_meanwhile_leaves_the_job() -> None:
    bench = scanning(10, people(10))
    bench.sync_all()
    bench.turn()
    bench.turn()
    bench.turn(bench.event("lead.deleted", lead_id="lead-3", revision=2))
    bench.later(10_000)

    assert (summary(bench)["leads_total"], outcomes(summary(bench))) == (9, {"updated": 9})


def test_where_no_search_for_several_values_is_taken_the_plan_is_made_anew() -> None:
    bench = Bench(setup(), people(600), raw_names=True)
    load(bench, 120)
    bench.sync_all()
    while any(data["plan"] != "scan" for _, data in progress(bench)[-1:]) or not bench.pages[1:]:
        bench.later(1) if not bench.calls else refuse_groups(bench)
    bench.later(20_000)

    assert (summary(bench)["plan"], outcomes(summary(bench))) == ("scan", {"updated": 120})
    assert summary(bench)["calls_spent"] <= 1 + 3 + 3


def refuse_groups(bench: Bench) -> None:
    bench.now += 50
    calls, bench.calls = bench.calls, []
    wide = [call for call in calls if isinstance(call.request, Search) and len(call.request.values) > 1]
    bench.turn(*(answered(call, Refused(422) if call in wide else bench.lookup(call)) for call in calls))


@pytest.mark.slow
def test_it_stands_still_while_the_days_share_is_spent_and_says_so() -> None:
    """Jobs may have 30 of 40 calls a day; the change that it took along has the rest, and is answered."""
    bench = scanning(80, people(300), rate=Rate(90, 40, 0.25))
    fields = {"created_at": "2020-01-01T00:00:00Z", **lacking("last_name"), "email": "jane1@example.com"}
    bench.turn(bench.event("lead.changed", lead_id="changed", revision=1, **fields), granting=False)
    bench.page = 10
    bench.sync_all()
    bench.later(30_000)

    kind, data = progress(bench)[-1]
    assert (kind, data["reason"], data["calls_spent"]) == ("sync.paused", "daily_budget", 30)
    assert data["paused_until"] < data["eta"]
    assert [one["lead_id"] for one in bench.take()] == ["changed"]

    bench.later(26 * 3_600_000)
    assert outcomes(summary(bench)) == {"updated": 81}


def backfill(bench: Bench, request: str = "backfill-1", **fields: Any) -> None:
    data = {"location_id": None, "request_id": request, **fields}
    bench.turn(bench.event("sync.backfill.requested", "sync.requests", **data))


def test_a_backfill_syncs_every_location_and_tells_of_the_partition() -> None:
    bench = Bench(contacts=people(3), raw_names=True)
    load(bench, 3)
    load(bench, 2, location_id="location-2")
    bench.contacts += [known(number, id=f"other-{number}", locationId="location-2") for number in (1, 2)]
    backfill(bench)
    bench.later(5_000)

    assert stages(bench) == ["sync.started", "sync.completed"]
    data = summary(bench)
    assert (data["location_id"], data["partition"], data["partitions"]) == (None, 0, 1)
    assert (data["leads_total"], outcomes(data), data["calls_spent"]) == (5, {"updated": 5}, 2)
    assert {one["causes"][0]["type"] for one in bench.take()} == {"sync.backfill.requested"}


def test_a_backfill_without_locations_is_completed_too() -> None:
    bench = Bench()
    backfill(bench)
    bench.later(5_000)

    assert stages(bench) == ["sync.started", "sync.completed"]


def test_a_backfill_is_copied_to_every_other_partition_once() -> None:
    bench = Bench(setup(partitions=3))
    backfill(bench)

    effects = bench.turn(bench.event("sync.backfill.requested", "sync.requests", location_id=None, request_id="b-2"))
    assert [
        (out.partition, [name for name, _ in out.headers]) for out in effects.records if out.topic == "sync.requests"
    ] == [
        (1, ["hydrant-fanned-out"]),
        (2, ["hydrant-fanned-out"]),
    ]


def test_a_sync_all_goes_before_the_backfill_which_resumes_after_it() -> None:
    bench = scanning(30, people(60))
    bench.page = 10
    backfill(bench)
    while len(bench.pages) < 3:
        bench.later(50)
    bench.sync_all()
    bench.later(20_000)

    ends = [data["request_id"] for kind, data in progress(bench) if kind == "sync.completed"]
    assert ends == ["job-1", "backfill-1"]
    assert [outcomes(data) for kind, data in progress(bench) if kind == "sync.completed"] == [{"updated": 30}] * 2
    assert len(bench.take()) == 30


def test_a_backfill_goes_on_when_the_sync_all_before_it_is_cancelled() -> None:
    bench = scanning(30, people(60))
    bench.page = 10
    backfill(bench)
    while len(bench.pages) < 3:
        bench.later(50)
    bench.sync_all()
    while len(bench.pages) < 6:
        bench.later(50)
    bench.cancel(location_id=here)
    bench.later(20_000)

    assert stages(bench)[-2:] == ["sync.cancelled", "sync.completed"]
    assert (summary(bench)["request_id"], outcomes(summary(bench))) == ("backfill-1", {"updated": 30})
    assert len(bench.take()) == 30


def test_a_cancelled_backfill_makes_no_more_calls() -> None:
    bench = scanning(30, people(60))
    bench.page = 10
    backfill(bench)
    while len(bench.pages) < 3:
        bench.later(50)
    bench.cancel("backfill-1", location_id=None)
    made = len(bench.made)
    bench.later(20_000)

    assert (stages(bench)[-1], len(bench.made), bench.take()) == ("sync.cancelled", made, [])
    assert not any(key.startswith("lead ") and b'"work"' in (value or b"") for key, value in bench.rows.items())


def test_a_pause_that_lasts_tells_until_when_each_time() -> None:
    bench = scanning(10, people(10))
    bench.sync_all()
    pauses = []
    while bench.now < start + 300_000:
        if bench.calls:
            bench.answer(Unavailable("status 503"))
        elif bench.wake_at is not None:
            bench.now = max(bench.now, bench.wake_at)
            bench.turn()
        pauses += [(bench.now, data) for kind, data in progress(bench) if kind == "sync.paused"]
        bench.records.clear()

    assert len(pauses) > 4
    assert all(data["paused_until"] >= rfc3339(now) and data["reason"] == "unavailable" for now, data in pauses)
    assert len({data["paused_until"] for _, data in pauses}) == len(pauses)


def test_a_dry_run_that_waits_for_its_turn_can_be_cancelled() -> None:
    bench = Bench()
    load(bench, 3)
    bench.sync_all("first")
    bench.sync_all("dry", dry_run=True)
    bench.cancel("dry")

    ended = [
        one["request_id"]
        for topic, event in bench.records
        if event.get("type") == "sync.cancelled"
        for one in [event["data"]]
    ]
    assert ended == ["dry"]
    assert bench.rows["job location-1 dry"] is not None
