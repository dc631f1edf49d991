"""Judges the Sync All by what the generator of the data makes right: each lead's result, and what the job told of itself.

Pure: truth and what was seen in, verdict out.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from tests.lab.demo.imported import Fault, judge_imported, not_asked, says
from tests.lab.demo.report import Miss, Tally, Verdict, differences, grouped, never_back, told_once
from tests.lab.demo.seen import Result, Seen, Told
from tests.lab.demo.sync_all import SyncAll
from tests.lab.demo.truth import Case, Should

outcomes: Final = ("updated", "unchanged", "created", "not_found", "ambiguous", "failed")  # a lead is in exactly one
kind: Final = "Sync All"
told_at_most_every_ms: Final = 1_000
calls_at_most: Final = (1 / 400, 30)  # of a scan, by lead and on top
messages_a_page: Final = 500  # of an export of the whole location
calls_each_gone: Final = 2  # a lead whose contact is gone: a GET shows it, and then it is looked for anew


def judge_job(job: SyncAll, seen: Seen, arrivals: int, unsure: int) -> Verdict:
    """`arrivals`: calls about the location that came to HighLevel. `unsure`: so many more or fewer may have been counted as
    spent, because a worker was killed while they were on their way."""
    verdict = Verdict()
    told = [one for one in seen.told if one.data.get("request_id") == job.request_id]
    results = grouped(result for result in seen.results if result.location == job.location)
    came = grouped(message for message in seen.messages if message.location == job.location)
    plan = plan_of(told)
    chosen: list[Should] = []
    for case in job.cases:
        said = results.pop((case.location, case.lead), [])
        should = closest(allowed(case, plan), said)
        chosen.append(should)
        imported, wanted = came.pop((case.location, case.lead), []), case.due_of(should.contact_id)
        misses = [
            Miss(fault, f"{case.lead} in {case.location}", case.kind, what)
            for fault, what in (*judge_lead(job, case, should, said), *judge_imported(wanted, imported))
        ]
        verdict.messages.add(wanted, imported)
        verdict.misses += misses
        verdict.kinds.setdefault(case.kind, Tally()).add([miss.fault for miss in misses])
        verdict.should_be[should.outcome] += 1
        verdict.are[said[-1].outcome if said else "unchanged"] += 1
    for location, lead in results | came:
        verdict.misses.append(Miss("wrong", f"{lead} in {location}", "no kind", "nobody told of this lead"))
    whole = [*judge_course(told), *judge_summary(job, chosen, told), *judge_calls(job, told, arrivals, unsure)]
    verdict.misses += [Miss(fault, job.request_id, kind, what) for fault, what in whole]
    return verdict


def plan_of(told: Sequence[Told]) -> str | None:
    return next((str(one.data["plan"]) for one in told if one.data.get("plan")), None)


def allowed(case: Case, plan: str | None) -> Sequence[Should]:
    """A scan finds all that there is; searches may find less, but for what their job learned from its first page."""
    return case.scanned if plan == "scan" else (*case.probed, *case.scanned)


def closest(shoulds: Sequence[Should], said: Sequence[Result]) -> Should:
    """Of all that it may say, what comes nearest to what it did say."""
    return min(shoulds, key=lambda should: sum(len(list(differences(should, 1, one))) for one in said))


def judge_lead(job: SyncAll, case: Case, should: Should, said: Sequence[Result]) -> Iterator[tuple[Fault, str]]:
    yield from never_back(said)
    if should.outcome == "unchanged":
        for result in said:
            yield "wrong", f"a result that nothing asks for: {result.outcome}, revision {result.revision}"
        return
    for result in said:
        yield from (("wrong", what) for what in differences(should, case.data["revision"], result))
        right = says(case.due_of(should.contact_id)) if should.contact_id else not_asked
        if (result.messages, result.messages_imported) != right:
            is_ = f"{result.messages}, {result.messages_imported}"
            yield "wrong", f"messages: is {is_}, should be {right.messages}, {right.imported}"
    request = {job.request_id}
    yield from told_once("request", request, request, (one for result in said for one in result.requests))
    yield from told_once("event", (), case.events, (one for result in said for one in result.causes))
    if nameless := sum(not result.requests for result in said):
        yield "wrong", f"{nameless} results that don't name the request"


def judge_course(told: Sequence[Told]) -> Iterator[tuple[Fault, str]]:
    """A job starts once and ends once, and never goes back."""
    kinds = Counter(one.kind for one in told)
    for name in ("started", "completed"):
        if kinds[name] != 1:
            yield "repeated" if kinds[name] else "lost", f"sync.{name}: {kinds[name]} of them"
    for name in ("failed", "cancelled"):
        if kinds[name]:
            yield "wrong", f"sync.{name}: {kinds[name]} of them"
    order = [one.kind for one in told]
    if "progressed" in order and order.index("progressed") < (
        order.index("started") if kinds["started"] else len(order)
    ):
        yield "wrong", "sync.progressed: comes before sync.started"
    if any(one.is_end for one in told[:-1]):
        yield "wrong", f"sync.{order[-1]}: comes after the end"
    for one in told:
        if (done := one.data.get("leads_done") or 0) != sum(one.data.get(name) or 0 for name in outcomes):
            yield "wrong", f"sync.{one.kind}: leads_done is {done}, which its outcomes don't add up to"
    for before, after in pairwise(told):
        for name in ("leads_done", "calls_spent", "messages_imported"):
            if (after.data.get(name) or 0) < (before.data.get(name) or 0):
                yield "wrong", f"sync.{after.kind}: {name}: is {after.data.get(name)} after {before.data.get(name)}"
    progressed = [one.at_ms for one in told if one.kind == "progressed"]
    for earlier, later in pairwise(progressed):
        if later - earlier < told_at_most_every_ms:
            yield "wrong", f"sync.progressed: comes {later - earlier} ms after the one before it"


def judge_summary(job: SyncAll, chosen: Sequence[Should], told: Sequence[Told]) -> Iterator[tuple[Fault, str]]:
    """What `sync.completed` counts is what the leads should have come to; `sync.started` knows how many they are."""
    counts = Counter(should.outcome for should in chosen)
    total: Mapping[str, Any] = {"location_id": job.location, "leads_total": len(job.cases)}
    summary = {
        **total,
        "leads_done": len(job.cases),
        **{outcome: counts[outcome] for outcome in outcomes},
        "messages_imported": sum(
            len(case.due_of(should.contact_id)) for case, should in zip(job.cases, chosen, strict=True)
        ),
        "reason": None,
    }
    right = {"started": total, "completed": summary}
    for one in told:
        for name, value in right.get(one.kind, {}).items():
            if one.data.get(name) != value:
                yield "wrong", f"sync.{one.kind}: {name}: is {one.data.get(name)}, should be {value}"
    filled = Counter(name for should in chosen for name, value in should.changes.items() if value is not None)
    for one in told:
        for name in filled | Counter(one.data.get("filled") or {}) if one.kind == "completed" else ():
            if (counted := (one.data.get("filled") or {}).get(name, 0)) != filled[name]:
                yield "wrong", f"sync.completed: filled: {name}: is {counted}, should be {filled[name]}"


def judge_calls(job: SyncAll, told: Sequence[Told], arrivals: int, unsure: int) -> Iterator[tuple[Fault, str]]:
    for one in told:
        if one.kind == "completed":
            spent, saved = one.data.get("calls_spent") or 0, one.data.get("calls_saved")
            if abs(spent - arrivals) > unsure:
                yield "wrong", f"sync.completed: calls_spent: is {spent}, HighLevel saw {arrivals}"
            if saved != (right := max(0, job.looked_up - spent)):
                yield "wrong", f"sync.completed: calls_saved: is {saved}, should be {right}"
    if plan_of(told) == "scan" and arrivals > (bar := calls_bar(job)):
        yield "wrong", f"{arrivals} calls, should be at most {bar}"


def calls_bar(job: SyncAll) -> int:
    """A scan of the location and an export of it, joined to its leads; and each dead link on its own."""
    each, on_top = calls_at_most
    pages = -(-sum(one.message is not None for _, one in job.sms()) // messages_a_page)
    gone = sum(bool(case.scanned[0].replaces) for case in job.cases)
    return int(len(job.cases) * each) + on_top + gone * calls_each_gone + pages
