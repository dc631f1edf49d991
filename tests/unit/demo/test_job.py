"""The judge of the Sync All: what is right passes, each way of being wrong is a miss; and how it is shown."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest
from rich.console import Console

from processor.events.contract import EVENTS
from tests.lab.demo.imported import not_asked, says
from tests.lab.demo.job import calls_bar, judge_job
from tests.lab.demo.progress import JobNow, Progress, board, line
from tests.lab.demo.report import Verdict, due, judge
from tests.lab.demo.run import Run, job_now
from tests.lab.demo.seen import Imported, Result, Seen, Told
from tests.lab.demo.spent import Arrival, Spent, spent
from tests.lab.demo.summary import JobSummary, Summary
from tests.lab.demo.sync_all import SyncAll
from tests.lab.demo.truth import Case, Should
from tests.lab.demo.view import View
from tests.lab.demo.world import World, world

calls = 30
outcomes = ("updated", "unchanged", "created", "not_found", "ambiguous", "failed")


@pytest.fixture(scope="module")
def made() -> World:
    return world(1_780_000_000_000, locations=1, leads=30, syncs=1, sync_all=400)


@pytest.fixture(scope="module")
def job(made: World) -> SyncAll:
    assert made.sync_all
    return made.sync_all


def result(job: SyncAll, case: Case, should: Should, sequence: int) -> Result:
    """A result that says what it should."""
    tells = says(case.due_of(should.contact_id)) if should.contact_id else not_asked
    return Result(
        location=case.location,
        lead=case.lead,
        revision=1,
        sequence=sequence,
        outcome=should.outcome,
        lead_updated=bool(should.changes),
        contact_id=should.contact_id,
        changes=should.changes,
        replaces=should.replaces,
        reason="some_code" if should.reason == "*" else should.reason,
        resolved_by=should.resolved_by,
        messages=tells.messages,
        messages_imported=tells.imported,
        message_calls=0,
        causes=(),
        requests=(job.request_id,),
    )


def standing(job: SyncAll, done: Sequence[Should], spent: int, plan: str) -> dict[str, Any]:
    """Data of a progress event after these leads."""
    counts = Counter(should.outcome for should in done)
    filled = Counter(name for should in done for name, value in should.changes.items() if value is not None)
    return {
        "request_id": job.request_id,
        "location_id": job.location,
        "plan": plan,
        "leads_total": len(job.cases),
        "leads_done": len(done),
        **{outcome: counts[outcome] for outcome in outcomes},
        "filled": dict(filled),
        "messages_imported": sum(
            len(case.due_of(should.contact_id)) for case, should in zip(job.cases, done, strict=False)
        ),
        "calls_planned": calls,
        "calls_spent": spent,
        "calls_saved": max(0, sum(case.looked_up for case in job.cases[: len(done)]) - spent),
        "reason": None,
    }


def published(job: SyncAll, plan: str = "scan") -> Seen:
    """What a faultless Hydrant would publish."""
    shoulds = [(case.scanned if plan == "scan" else case.probed)[0] for case in job.cases]
    seen = Seen()
    seen.results = [
        result(job, case, should, number)
        for number, (case, should) in enumerate(zip(job.cases, shoulds, strict=True))
        if should.outcome != "unchanged"
    ]
    said = [
        Imported(case.location, case.lead, id, data)
        for case, should in zip(job.cases, shoulds, strict=True)
        for id, data in case.due_of(should.contact_id).items()
    ]
    seen.messages = sorted(said, key=lambda one: str(one.data["message"]["sent_at"]))
    for kind, at_s, done, paid in (
        ("started", 1, 0, 1),
        ("progressed", 2, 100, 10),
        ("paused", 3, 200, 20),
        ("progressed", 4, 300, 25),
        ("completed", 5, len(shoulds), calls),
    ):
        seen.told.append(Told(kind, standing(job, shoulds[:done], paid, plan), at_s * 1_000, float(at_s)))
    return seen


def verdict_of(job: SyncAll, seen: Seen, arrivals: int = calls, unsure: int = 0) -> Verdict:
    return judge_job(job, seen, arrivals, unsure)


@pytest.mark.parametrize("plan", ["scan", "probe"])
def test_what_is_right_has_no_miss(job: SyncAll, plan: str) -> None:
    verdict = verdict_of(job, published(job, plan))

    assert verdict.misses == []
    assert verdict.should_be == verdict.are
    assert all(tally.right == tally.expected for tally in verdict.kinds.values())
    assert sum(tally.expected for tally in verdict.kinds.values()) == len(job.cases)


def test_it_is_judged_apart_from_the_other_locations(made: World, job: SyncAll) -> None:
    """Its results are nothing that the judge of lead changes knows of."""
    alone, beside = judge(made, Seen()), judge(made, published(job))

    assert alone.misses == beside.misses


def test_searches_may_find_less_than_a_scan(job: SyncAll) -> None:
    """An additional e-mail is found by a scan; a job that searched may know it from its first page, or not."""
    searched, scanned = published(job, "probe"), published(job, "scan")
    scanned.told = [
        replace(one, data={**one.data, "plan": "probe"}) for one in scanned.told
    ]  # whatever was on the first page

    assert verdict_of(job, searched).misses == verdict_of(job, scanned).misses == []


def test_a_scan_finds_all_that_there_is(job: SyncAll) -> None:
    seen = published(job, "probe")
    seen.told = published(job, "scan").told

    kinds = {miss.kind for miss in verdict_of(job, seen).misses if miss.kind != "Sync All"}
    assert "only by additional e-mail" in kinds


# what is wrong


def of(job: SyncAll, outcome: str) -> str:
    """A lead of this outcome."""
    return next(case.lead for case in job.cases if case.scanned[0].outcome == outcome)


def place(job: SyncAll, seen: Seen, outcome: str = "updated") -> int:
    return next(number for number, one in enumerate(seen.results) if one.lead == of(job, outcome))


def drop_a_result(job: SyncAll, seen: Seen) -> None:
    del seen.results[place(job, seen)]


def say_twice(job: SyncAll, seen: Seen) -> None:
    seen.results.append(replace(seen.results[place(job, seen)], sequence=10_000))


def say_the_same_twice(job: SyncAll, seen: Seen) -> None:
    seen.results.append(seen.results[place(job, seen)])


def drop_a_message(_: SyncAll, seen: Seen) -> None:
    del seen.messages[0]


def import_twice(_: SyncAll, seen: Seen) -> None:
    seen.messages.append(seen.messages[-1])


def import_for_another(job: SyncAll, seen: Seen) -> None:
    seen.messages.append(replace(seen.messages[-1], lead=of(job, "not_found")))


def import_what_a_stranger_said(job: SyncAll, seen: Seen) -> None:
    seen.messages.append(replace(seen.messages[-1], lead="lead-99-0001"))


def speak_of_an_unchanged_lead(job: SyncAll, seen: Seen) -> None:
    case = next(case for case in job.cases if case.lead == of(job, "unchanged"))
    seen.results.append(result(job, case, case.scanned[0], 10_000))


def speak_of_a_stranger(job: SyncAll, seen: Seen) -> None:
    seen.results.append(replace(seen.results[0], lead="lead-99-0001"))


def alter(**changes: object) -> Callable[[SyncAll, Seen], None]:
    def tamper(job: SyncAll, seen: Seen) -> None:
        number = place(job, seen)
        seen.results[number] = replace(seen.results[number], **changes)  # type: ignore[arg-type]  # fields of several types

    return tamper


def tell(kind: str, **changes: object) -> Callable[[SyncAll, Seen], None]:
    """The last event of this kind says something else."""

    def tamper(_: SyncAll, seen: Seen) -> None:
        number = max(number for number, one in enumerate(seen.told) if one.kind == kind)
        seen.told[number] = replace(seen.told[number], data={**seen.told[number].data, **changes})

    return tamper


def drop(kind: str) -> Callable[[SyncAll, Seen], None]:
    def tamper(_: SyncAll, seen: Seen) -> None:
        seen.told = [one for one in seen.told if one.kind != kind]

    return tamper


def again(kind: str) -> Callable[[SyncAll, Seen], None]:
    def tamper(_: SyncAll, seen: Seen) -> None:
        seen.told.append(next(one for one in seen.told if one.kind == kind))

    return tamper


def end_otherwise(_: SyncAll, seen: Seen) -> None:
    seen.told[-1] = replace(seen.told[-1], kind="cancelled")


def progress_too_early(_: SyncAll, seen: Seen) -> None:
    seen.told[0], seen.told[1] = seen.told[1], seen.told[0]


def progress_too_often(_: SyncAll, seen: Seen) -> None:
    seen.told[3] = replace(seen.told[3], at_ms=seen.told[1].at_ms + 999)


def one_more(name: str) -> Callable[[SyncAll, Seen], None]:
    """The summary counts one lead too many under this outcome, and one too few as not found."""

    def tamper(_: SyncAll, seen: Seen) -> None:
        data = seen.told[-1].data
        changes = {name: data[name] + 1, "not_found": data["not_found"] - 1}
        seen.told[-1] = replace(seen.told[-1], data={**data, **changes})

    return tamper


def fill_one_more(_: SyncAll, seen: Seen) -> None:
    data = seen.told[-1].data
    filled = {**data["filled"], "phone": data["filled"]["phone"] + 1}
    seen.told[-1] = replace(seen.told[-1], data={**data, "filled": filled})


@pytest.mark.parametrize(
    ("tamper", "fault", "what"),
    [
        (drop_a_result, "lost", "request sync-all-02: no result"),
        (drop("completed"), "lost", "sync.completed: 0 of them"),
        (drop("started"), "lost", "sync.started: 0 of them"),
        (say_twice, "repeated", "request sync-all-02: 2 results"),
        (say_the_same_twice, "repeated", "request sync-all-02: 2 results"),
        (again("completed"), "repeated", "sync.completed: 2 of them"),
        (again("started"), "repeated", "sync.started: 2 of them"),
        (again("progressed"), "wrong", "sync.progressed: comes after the end"),
        (speak_of_an_unchanged_lead, "wrong", "a result that nothing asks for: unchanged, revision 1"),
        (speak_of_a_stranger, "wrong", "nobody told of this lead"),
        (alter(outcome="ambiguous"), "wrong", "outcome: is ambiguous, should be updated"),
        (alter(contact_id="contact-of-another"), "wrong", "contact_id: is contact-of-another"),
        (alter(revision=2), "wrong", "revision: is 2, should be 1"),
        (alter(resolved_by="webhook"), "wrong", "resolved_by: is webhook"),
        (alter(requests=()), "wrong", "1 results that don't name the request"),
        (alter(requests=("another",)), "wrong", "request another: named by a result"),
        (alter(causes=("another",)), "wrong", "event another: named by a result"),
        (end_otherwise, "wrong", "sync.cancelled: 1 of them"),
        (progress_too_early, "wrong", "sync.progressed: comes before sync.started"),
        (progress_too_often, "wrong", "sync.progressed: comes 999 ms after the one before it"),
        (
            tell("progressed", leads_done=3),
            "wrong",
            "sync.progressed: leads_done is 3, which its outcomes don't add up to",
        ),
        (tell("progressed", calls_spent=9), "wrong", "sync.progressed: calls_spent: is 9 after 20"),
        (tell("started", leads_total=399), "wrong", "sync.started: leads_total: is 399, should be 400"),
        (tell("completed", leads_total=399), "wrong", "sync.completed: leads_total: is 399, should be 400"),
        (tell("completed", messages_imported=1), "wrong", "sync.completed: messages_imported: is 1, should be "),
        (tell("progressed", messages_imported=1), "wrong", "sync.progressed: messages_imported: is 1 after "),
        (alter(messages="failed", messages_imported=0), "wrong", "messages: is failed, 0, should be "),
        (drop_a_message, "lost", "message message-02-"),
        (import_twice, "repeated", "message message-02-"),
        (import_for_another, "wrong", "message message-02-"),
        (import_what_a_stranger_said, "wrong", "nobody told of this lead"),
        (tell("completed", calls_saved=1), "wrong", "sync.completed: calls_saved: is 1"),
        (tell("completed", calls_spent=31), "wrong", "sync.completed: calls_spent: is 31, HighLevel saw 30"),
        (one_more("created"), "wrong", "sync.completed: created: is 1, should be 0"),
        (one_more("updated"), "wrong", "sync.completed: updated: is"),
        (one_more("unchanged"), "wrong", "sync.completed: unchanged: is"),
        (fill_one_more, "wrong", "sync.completed: filled: phone: is"),
    ],
    ids=lambda given: getattr(given, "__name__", given),
)
def test_each_fault_is_found(job: SyncAll, tamper: Callable[[SyncAll, Seen], None], fault: str, what: str) -> None:
    seen = published(job)
    tamper(job, seen)

    misses = verdict_of(job, seen).misses
    assert [miss for miss in misses if miss.fault == fault and miss.what.startswith(what)] != []


def test_calls_may_have_been_under_way_when_a_worker_was_killed(job: SyncAll) -> None:
    seen = published(job)

    assert verdict_of(job, seen, arrivals=calls + 2, unsure=2).misses == []
    assert len(verdict_of(job, seen, arrivals=calls + 2).misses) == 1


def test_a_scan_has_its_price(job: SyncAll) -> None:
    """Calls by the hundred leads, not by the lead."""
    seen, bar = published(job), calls_bar(job)

    whats = [miss.what for miss in verdict_of(job, seen, arrivals=bar + 1, unsure=bar).misses]
    assert whats == [f"{bar + 1} calls, should be at most {bar}"]
    assert verdict_of(job, seen, arrivals=bar, unsure=bar).misses == []


def test_its_price_is_that_of_a_scan_an_export_and_each_dead_link(job: SyncAll) -> None:
    """One call for each 400 leads, each 500 messages of whomever, two for a contact that is gone, and 30."""
    messages = sum(one.message is not None for _, one in job.sms())
    gone = sum(case.kind.startswith("dead link") for case in job.cases)

    assert messages > 0
    assert calls_bar(job) == len(job.cases) // 400 + -(-messages // 500) + 2 * gone + 30


def test_misses_tell_no_value(job: SyncAll) -> None:
    """Ids and fields only: what upstream or HighLevel wrote isn't for a terminal."""
    seen = published(job)
    seen.results = [
        replace(one, changes={"phone": "+15559999999", "email": "canary@example.com"}) for one in seen.results
    ]

    told = " ".join(" ".join(miss) for miss in verdict_of(job, seen).misses)
    assert "changes: email" in told
    assert "canary" not in told
    assert "+1555" not in told


# what is waited for, and heard


class Record:
    topic = "sync.progress"
    headers: Sequence[tuple[str, bytes]] = ()

    def __init__(self, kind: str, data: dict[str, Any]) -> None:
        event = {"type": f"sync.{kind}", "time": "2026-05-28T20:26:40.250Z", "data": data}
        self.value = orjson.dumps(event)


def test_the_end_of_the_job_and_each_of_its_results_are_waited_for(made: World, job: SyncAll) -> None:
    names = due(made)

    speaking = [case for case in job.cases if case.scanned[0].outcome != "unchanged"]
    assert {name for name in names if job.request_id in name} == {
        f"end of {job.request_id}",
        *(f"request {job.request_id} of {case.lead}" for case in speaking),
    }


def test_messages_that_any_plan_imports_are_waited_for(made: World, job: SyncAll) -> None:
    """Where searches may not find the contact, nobody waits for what it said."""
    leads = {case.lead for case in job.cases}
    sure = {case.lead for case in job.cases if case.kind != "only by additional e-mail"}
    waited = {name for name in due(made) if name.startswith("message ") and name.split()[-1] in leads}

    told = published(job).messages
    assert waited == {f"message {one.id} of {one.lead}" for one in told if one.lead in sure} != set()


def test_progress_is_heard_as_it_was_told(job: SyncAll) -> None:
    seen, data = Seen(), standing(job, [], 1, "scan")
    seen.hear(Record("started", data), now=1.5)
    seen.hear(Record("completed", data), now=2.5)

    assert seen.told == [Told("started", data, 1_780_000_000_250, 1.5), Told("completed", data, 1_780_000_000_250, 2.5)]
    assert seen.met == {f"end of {job.request_id}"}


def test_what_is_made_up_here_keeps_the_contract(job: SyncAll) -> None:
    """Else a judge would be tried on events that nobody sends."""
    for one in published(job).told:
        EVENTS[f"sync.{one.kind}"].model_validate(one.data)


# how it is shown


def lines_of(now: JobNow | None) -> str:
    progress = Progress(
        elapsed_s=112.34,
        published=10_262,
        to_publish=10_262,
        outcomes={"updated": 24_308},
        messages=5_616,
        buried=101,
        syncs=40,
        to_sync=40,
        answered=40,
        latencies_ms=[250.0, 1_729.0],
        disturbed_ms=[10_200.0] * 16,
        killed="none yet",
        report={"totals": {"arrivals": 1_611, "worst_window": 91, "refused": 0}},
        statuses={},
        waiting=20,
        doing="20 still to come: new leads, looked for again after a minute",
        job=now,
    )
    console = Console(width=80, record=True, file=None)
    with console.capture() as shown:
        console.print(board(progress))
    assert max(map(len, line(progress).splitlines())) <= 80
    assert max(map(len, shown.get().splitlines())) <= 80
    return line(progress)


def now(job: SyncAll, state: str, eta_s: float | None = 4.0, took_s: float | None = None, **said: object) -> JobNow:
    whole = standing(job, [], 0, "scan") | {"leads_total": 20_000, "leads_done": 12_400, "calls_spent": 58} | said
    return JobNow(20_000, True, state, whole | {"calls_saved": 12_342}, eta_s, took_s)


def test_it_is_shown_as_it_goes_in_80_columns(job: SyncAll) -> None:
    shown = [
        lines_of(one).splitlines()[-1].strip()
        for one in (
            JobNow(20_000, False, "", {}, None, None),
            JobNow(20_000, True, "", {}, None, None),
            now(job, "progressed"),
            now(job, "paused", reason="daily_budget"),
            now(job, "completed", eta_s=None, took_s=9.34),
        )
    ]

    assert shown == [
        "Sync All: 20,000 leads are brought in",
        "Sync All: 20,000 leads are opened",
        "Sync All: scan, 12,400/20,000 leads; 58 calls, 12,342 saved; ETA 4 s",
        "Sync All: scan, 12,400/20,000 leads; 58 calls; paused: daily_budget",
        "Sync All: completed after 9.3 s; 58 calls, 12,342 saved",
    ]


def test_a_demo_without_it_shows_nothing_of_it() -> None:
    assert "Sync All" not in lines_of(None)


def test_its_standing_is_what_its_last_event_said(made: World, job: SyncAll) -> None:
    """The ETA is a time of day, the wait until then is shown."""
    run = Run(made, since=0, asked_at=0.5)
    data = standing(job, [], 1, "scan") | {"eta": "2026-05-28T20:26:50.000Z"}
    run.seen.told.append(Told("started", data, 0, 1.0))

    assert job_now(run, now_ms=1_780_000_002_500) == JobNow(400, True, "started", data, 7.5, None)
    assert job_now(Run(world(0, 1, 30, 1), since=0), now_ms=0) is None


def test_its_end_is_counted_from_its_request(made: World, job: SyncAll) -> None:
    run = Run(made, since=0, asked_at=0.5)
    run.seen.told += published(job).told
    run.kill.at = 3.0

    assert (run.job_s, run.job_disturbed) == (4.5, True)


def summary(job: SyncAll, verdict: Verdict, disturbed: bool = False) -> Summary:
    arrivals = [Arrival(number * 111.0, "search", 200) for number in range(calls)]
    told = published(job).told[-1].data
    paid = spent({job.location: arrivals})
    mine = JobSummary(verdict, calls, told, paid, len(job.cases), job.looked_up, job.location, 9.34, disturbed)
    return Summary(Verdict(), Spent(), 1, 0, 0, 0, [], [], "none yet", 1.0, [], mine)


def test_its_price_is_told_beside_that_of_one_search_a_lead(job: SyncAll, capsys: pytest.CaptureFixture[str]) -> None:
    good = summary(job, verdict_of(job, published(job)))
    View().summary(good)

    told = capsys.readouterr().out
    minutes = round(job.looked_up / 9 / 60)
    assert good.passed
    assert "400 leads: 30 calls, 9.3 s;\n" in told
    assert f"one search for each that needs one would have been {job.looked_up} calls and {minutes} min.\n" in told
    assert "All 401 leads came out right" in told
    assert max(map(len, told.splitlines())) <= 80


def test_a_kill_is_told_beside_its_time(job: SyncAll, capsys: pytest.CaptureFixture[str]) -> None:
    View().summary(summary(job, verdict_of(job, published(job)), disturbed=True))

    assert "400 leads: 30 calls, 9.3 s, though a worker was killed;\n" in capsys.readouterr().out


def test_a_miss_of_the_job_fails_the_demo(job: SyncAll, capsys: pytest.CaptureFixture[str]) -> None:
    seen = published(job)
    drop_a_result(job, seen)
    tampered = summary(job, verdict_of(job, seen))
    View().summary(tampered)

    told = capsys.readouterr().out
    assert not tampered.passed
    assert tampered.count("lost") == 1
    assert f"lost: {of(job, 'updated')} in {job.location}" in told
    assert "Not all is right." in told
