"""What must hold of jobs: each ends once, counts add up, no lead is skipped nor linked to another's contact, and no call is
made for one that is over or stands still. Judged from the topics, what left the workers, and the teller's truth."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

import orjson

from processor.topics import home

from .highlevel import Sent
from .loop import start_ms
from .play import Run
from .spending import granted
from .streams import Data, Result, Stream, instant, over, progress, results, streams
from .tale import Tale

outcomes: Final = ("updated", "unchanged", "created", "not_found", "ambiguous", "failed")
grows: Final = (*(one for one in outcomes if one != "failed"), "leads_done", "messages_imported", "calls_spent")
tell_every_ms: Final = 1_000
heard_within_ms: Final = 2_000  # a cancel, where all is well
goes_on_ms: Final = 5_000  # from the call with which a job goes on until that is told
resumes_within_ms: Final = 60_000  # after the moment that a pause named


def ends_once(run: Run) -> Iterator[str]:
    """Every job ends exactly once, as it must; it starts once before, and is silent after."""
    asked = streams(run)
    for where, one in progress(run):
        if (one.data["request_id"], one.data["location_id"] or where) not in asked:
            yield f"nobody asked for {one.data['request_id']} of {one.data['location_id'] or where}"
        if one.data["location_id"] is None and one.data["partition"] != where:
            yield f"partition {where} tells of {one.data['partition']}"
    for stream in asked.values():
        kinds = [one.kind for one in stream.said]
        if sum(kind in over for kind in kinds) != 1 or kinds[-1] not in over:
            yield f"{stream.name} ends not once: {[kind for kind in kinds if kind != 'sync.progressed']}"
            continue
        if kinds.count("sync.started") > 1 or (kinds[-1] == "sync.completed" and "sync.started" not in kinds):
            yield f"{stream.name} starts not once: {kinds}"
        if "sync.progressed" in kinds and kinds.index("sync.progressed") < (
            kinds.index("sync.started") if "sync.started" in kinds else 0
        ):
            yield f"{stream.name} goes on before it has started"
        if (said := (kinds[-1], stream.said[-1].data["reason"])) not in allowed_ends(run, stream):
            yield f"{stream.name} ends as {said}"


def allowed_ends(run: Run, stream: Stream) -> set[tuple[str, str | None]]:
    order, end = stream.order, stream.said[-1]
    allowed: set[tuple[str, str | None]] = set()
    cancelled = [start_ms + at for at in order.cancels]
    if cancelled and min(cancelled) < end.at:
        allowed.add(("sync.cancelled", None))
    if cancelled and calm(run) and end.at > min(cancelled) + heard_within_ms:
        return allowed
    allowed.add(("sync.cancelled", "dry_run") if order.dry else ("sync.completed", None))
    if order.location in run.world.weather.cursors_refused:
        allowed.add(("sync.failed", "refused"))
    return allowed


def calm(run: Run) -> bool:
    return not (run.kills or run.fates or run.world.faults.unknown_outcome)


def counts_grow(run: Run) -> Iterator[str]:
    """Counts never go back, and add up whenever they are told."""
    for stream in streams(run).values():
        for one in stream.said:
            data = one.data
            if sum(data[name] for name in outcomes) != data["leads_done"] or data["leads_done"] > data["leads_total"]:
                yield f"{stream.name}: {dict(data)} doesn't add up"
            if data["calls_planned"] < data["calls_spent"] or data["calls_saved"] < 0:
                yield f"{stream.name}: {data['calls_spent']} of {data['calls_planned']} calls, {data['calls_saved']} saved"
        deleted = sum(tale.truth.deleted is not None for tale in run.scenario.tales if stream.covers(tale, run))
        for before, after in pairwise(stream.said):
            less = [name for name in (*grows, "failed") if after.data[name] < before.data[name]]
            less += [name for name, count in before.data["filled"].items() if after.data["filled"].get(name, 0) < count]
            if less:
                yield f"{stream.name}: {less} went back"
            since = stream.started
            fixed = stream.order.location and since is not None and before.at >= since.at
            if fixed and not 0 <= before.data["leads_total"] - after.data["leads_total"] <= deleted:
                yield f"{stream.name}: leads_total went from {before.data['leads_total']} to {after.data['leads_total']}"
            if before.data["started_at"] not in (None, after.data["started_at"]):
                yield f"{stream.name}: it started a second time"


def adds_up(run: Run) -> Iterator[str]:
    """What is counted is what was published: no more than the results so far, no fewer than those before, and at the end
    the same; unchanged leads publish nothing of the job's own."""
    for stream in streams(run).values():
        mine = results(run, stream)
        for one in stream.said:
            before = counted(result for result in mine if result.at < one.at)
            by_now = counted(result for result in mine if result.at <= one.at)
            exact = one.kind == "sync.completed"
            for name in (*outcomes, *(f"filled {name}" for name in one.data["filled"])):
                said = one.data["filled"].get(name[7:], 0) if name.startswith("filled ") else one.data[name]
                if name == "unchanged" or (name == "failed" and run.world.weather.cursors_refused):
                    continue
                least = by_now[name] if exact else before[name]
                if not least <= said <= by_now[name]:
                    yield f"{stream.name}: {one.kind} counts {said} {name}, {by_now[name]} results say so, {before[name]} before"
            if exact and (
                untold := {name[7:] for name in by_now if name.startswith("filled ")} - {*one.data["filled"]}
            ):
                yield f"{stream.name}: {untold} were filled and not counted"
            if exact and one.data["leads_done"] != one.data["leads_total"]:
                yield f"{stream.name}: completed with {one.data['leads_done']} of {one.data['leads_total']} leads"
        for result in mine:
            alone = all(cause["type"] == stream.order.kind for cause in result.data["causes"])
            if alone and result.data["outcome"] == "unchanged":
                yield f"{stream.name}: {result.data['lead_id']} is unchanged, and that was published"
            if stream.end and result.at > stream.end.at:
                yield f"{stream.name}: {result.data['lead_id']} had its result after the end"
            if stream.order.dry:
                yield f"{stream.name}: {result.data['lead_id']} had a result, and it was only to be planned"


def counted(found: "Iterator[Result]") -> Counter[str]:
    count: Counter[str] = Counter()
    for result in found:
        count[result.data["outcome"]] += 1
        filled = [name for name, value in result.data["changes"].items() if value is not None]
        count.update(f"filled {name}" for name in filled)
    return count


def no_lead_skipped(run: Run) -> Iterator[str]:
    """Every lead known before the request, and not deleted meanwhile, has an outcome that the truth allows; and there are
    no more than all that were ever told of."""
    for stream in streams(run).values():
        end = stream.end
        if end is None or end.kind != "sync.completed":
            continue
        mine = {(one.data["location_id"], one.data["lead_id"]): one for one in results(run, stream)}
        members, must = 0, 0
        for tale in run.scenario.tales:
            if not stream.covers(tale, run):
                continue
            truth, result = tale.truth, mine.get((tale.location, tale.lead))
            members += bool(truth.job)
            deleted = truth.deleted is not None and start_ms + truth.deleted <= end.at
            there = bool(truth.job) and truth.known < stream.order.at and not deleted
            must += there
            given_up = stream.order.location is None and tale.location in run.world.weather.cursors_refused
            outcome = result.data["outcome"] if result else "failed" if given_up else "unchanged"
            if (result or there) and outcome not in may_be(run, stream, tale, result):
                yield f"{stream.name}: {tale.lead}, which {tale.kind}, is {outcome}"
        if not must <= end.data["leads_total"] <= members:
            yield f"{stream.name}: {end.data['leads_total']} leads, not {must} to {members}"


def may_be(run: Run, stream: Stream, tale: Tale, result: Result | None) -> frozenset[str]:
    """Outcomes that a lead may have, as its contact could or couldn't be found when last looked for."""
    allowed = tale.truth.job
    if result is None or tale.truth.findable is None:
        return allowed | troubled(run)
    since, until = (start_ms + ms for ms in tale.truth.findable)
    looked = last_look(run, stream, tale, result)
    if since <= looked and until > result.at:
        allowed -= {"not_found"}
    if tale.truth.vanishes is not None:
        until, looked = start_ms + tale.truth.vanishes, start_ms + stream.order.at
    if until <= looked and not linked_before(run, stream, tale, result, until):
        allowed -= {"updated"}
    return allowed | troubled(run)


def linked_before(run: Run, stream: Stream, tale: Tale, result: Result, until: int) -> bool:
    """It may have been linked for another job, or another reason, while its contact could be found."""
    lead = (tale.location, tale.lead)
    told = (one for one in run.read("lead.updates") if (one["data"]["location_id"], one["data"]["lead_id"]) == lead)
    if any(one["data"]["contact_id"] and one["data"]["sequence"] < result.data["sequence"] for one in told):
        return True
    here = [one for one in run.server.sent if one.location == tale.location and one.arrived and one.arrived < until]
    passed = any(one.page and one.page[1] and one.page[0] != stream.order.request for one in here)
    return passed or any(ask.split()[0] == tale.lead for one in here for ask in one.asks)


def last_look(run: Run, stream: Stream, tale: Tale, result: Result) -> int:
    """Since when at least HighLevel must have been asked for this result: by its last question about the lead, or since
    the end of the scan, after which comes the last pass; anyway since the request."""
    here = [one for one in run.server.sent if one.location == tale.location and one.arrived and one.kind == "search"]
    asked = [one for one in here if any(ask.split()[0] == tale.lead for ask in one.asks)]
    heard = sorted((one.until, one.arrived or 0) for one in asked if one.until and one.until <= result.at)
    began = start_ms + stream.order.at
    if heard:
        lately = [arrived for until, arrived in heard if until >= min(heard[-1][0], result.at - settles_ms(run))]
        return max(began, min(lately))
    last = (stream.order.request, True)
    pages = [one for one in here if one.page and one.page[0] == stream.order.request and one.outcome == "Page"]
    whole = [one.arrived or 0 for one in pages if one.until and one.until <= result.at and one.page != last]
    return max([began, *whole])


def settles_ms(run: Run) -> int:
    """From an answer's coming until what it meant is committed."""
    return 1_000 if calm(run) else 30_000


def troubled(run: Run) -> frozenset[str]:
    """HighLevel didn't answer for so long that leads may have failed."""
    hard = run.world.weather.outages or run.world.weather.cursors_refused
    return frozenset({"failed"}) if hard else frozenset()


def stops_at_once(run: Run) -> Iterator[str]:
    """No call of a job is granted after the turn in which it ended; nor later about leads for which nobody else asks."""
    for stream in streams(run).values():
        if stream.end is None:
            continue
        for sent in of_the_job(run, stream):
            if (late := sent.granted - stream.end.turn - skew(run)) > 0:
                yield f"{stream.name}: slot {sent.slot} was granted {late} ms after its end"


def of_the_job(run: Run, stream: Stream) -> Iterator[Sent]:
    """Calls that can only be for it: its pages, and questions about leads that wait for nothing else."""
    covering = [one for one in run.scenario.orders if one is not stream.order]
    lonely = {
        (tale.location, tale.lead)
        for tale in run.scenario.tales
        if stream.covers(tale, run)
        and tale.kind in quiet
        and not any(order.covers(tale.location) for order in covering)
    }
    for sent in run.server.sent:
        where = home(sent.location, run.scenario.partitions)
        if sent.page and sent.page[0] == stream.order.request and where == stream.partition:
            yield sent
        if sent.asks and all((sent.location, ask.split()[0]) in lonely for ask in sent.asks):
            yield sent


quiet: Final = frozenset(
    {
        "waits",
        "waits_by_phone",
        "waits_linked",
        "waits_for_nobody",
        "waits_in_doubt",
        "shares_its_contact",
        "has_an_additional_email",
        "is_edited",
        "loses_its_contact",
        "gains_its_contact",
        "gets_its_contact",
        "has_its_contact_deleted",
        "has_its_contact_merged",
    }
)


def skew(run: Run) -> int:
    return 2 * run.world.skew_ms


def one_after_the_other(run: Run) -> Iterator[str]:
    """One Sync All of a location at a time; and while it runs, no page is asked for a backfill there."""
    by_location: dict[str, list[Stream]] = defaultdict(list)
    for stream in streams(run).values():
        if stream.order.location and stream.started and stream.end:
            by_location[stream.order.location].append(stream)
    backfills = {order.request for order in run.scenario.orders if not order.location}
    for location, mine in by_location.items():
        spans = sorted((one.started.turn, one.end.turn, one.name) for one in mine if one.started and one.end)
        for (_, until, first), (since, _, second) in pairwise(spans):
            if since < until - skew(run):
                yield f"{second} started {until - since} ms before {first} was over"
        for sent in run.server.sent:
            if sent.location == location and sent.page and sent.page[0] in backfills:
                for since, until, name in spans:
                    if since + skew(run) < sent.granted < until - skew(run):
                        yield f"{location}: a page of {sent.page[0]} in slot {sent.slot}, while {name} ran"


def told_now_and_then(run: Run) -> Iterator[str]:
    """At most one `sync.progressed` a second, but for what stood still and goes on."""
    for stream in streams(run).values():
        for before, after in pairwise(stream.said):
            between = after.turn - before.turn
            alike = {(one.kind, one.data["reason"]) for one in (before, after)} == {("sync.progressed", None)}
            if alike and between < tell_every_ms - skew(run):
                yield f"{stream.name}: progress {between} ms after the last"


def paused_means_it(run: Run) -> Iterator[str]:
    """While a Sync All says that its day is spent, none of its pages is granted; it goes on when it said that it would."""
    for stream in streams(run).values():
        pages = [sent for sent in run.server.sent if sent.page and sent.page[0] == stream.order.request]
        for number, paused in enumerate(stream.said) if stream.order.location else ():
            if paused.kind != "sync.paused" or paused.data["reason"] != "daily_budget":
                continue
            later = [one for one in stream.said[number + 1 :] if one.data["reason"] != "daily_budget"]
            after = later[0].at if later else run.loop.ms
            for sent in pages:
                if sent.location == stream.order.location and paused.at < granted(run, sent) < after - goes_on_ms:
                    yield f"{stream.name}: slot {sent.slot} was granted while it was paused"
            until = instant(paused.data["paused_until"])
            if until is None or (calm(run) and after > until + resumes_within_ms):
                yield f"{stream.name}: paused until {paused.data['paused_until']}, went on {after - (until or 0)} ms after"


def leaves_the_reserve(run: Run) -> Iterator[str]:
    """A day's calls for jobs leave its reserve to others."""
    day = run.world.weather.day
    if day is None:
        return
    kept = int(run.world.rate.per_day * run.world.rate.reserve)
    jobs = {id(sent) for stream in streams(run).values() for sent in of_the_job(run, stream)}
    spent: Counter[tuple[str, int]] = Counter()
    for sent in sorted(run.server.sent, key=lambda one: granted(run, one)):
        today = sent.location, day.number(granted(run, sent) - start_ms)
        spent[today] += 1
        if id(sent) in jobs and spent[today] > day.calls - kept:
            yield f"{sent.location}: a job's call was the {spent[today]}th of its day, {kept} of {day.calls} are kept"


def spends_what_it_says(run: Run) -> Iterator[str]:
    """The calls that can only be a job's are among those that it says it has spent."""
    for stream in streams(run).values():
        if stream.end is not None:
            made = sum(1 for _ in of_the_job(run, stream))
            if made > stream.end.data["calls_spent"]:
                yield f"{stream.name}: {made} calls were made, {stream.end.data['calls_spent']} are told of"


def told_to_all(run: Run) -> Iterator[str]:
    """What has no location is copied to every other partition, once for each time that it was asked for."""
    asked = [run.scenario.publications[index] for index in run.offsets.values()]
    homeless = Counter(
        (event["type"], event["data"]["request_id"])
        for one in asked
        if one.topic == "sync.requests" and one.event and not one.buried
        if (event := body(one.value, one.headers)) and event["data"].get("location_id") is None
    )
    copies: Counter[tuple[str, str, int]] = Counter()
    for where in range(run.scenario.partitions):
        for _, entry in run.kafka.committed("sync.requests", where):
            if any(name == "hydrant-fanned-out" for name, _ in entry.headers):
                event = orjson.loads(entry.value or b"null")
                copies[event["type"], event["data"]["request_id"], where] += 1
    per_request: Counter[tuple[str, str]] = Counter()
    for (kind, request, _), count in copies.items():
        per_request[kind, request] += count
    for one in homeless | per_request:
        if per_request[one] != homeless[one] * (run.scenario.partitions - 1):
            yield f"{one[0]} of {one[1]} was copied {per_request[one]} times"


def body(value: bytes | None, headers: Sequence[tuple[str, bytes]]) -> Data | None:
    read = orjson.loads(value or b"null")
    return None if any(name == "ce_type" for name, _ in headers) else read


def left_in_order(run: Run) -> Iterator[str]:
    """Whoever succeeds the workers finds no job that isn't over, and no lead that waits for one."""
    for key, document in run.documents().items():
        kind = key.split(" ")[0]
        if kind in ("job", "backfill") and document.get("stage") != "over":
            yield f"{key}: {document.get('stage')}"
        if kind == "lead" and document.get("open", {}).get("jobs"):
            yield f"{key}: still open for {document['open']['jobs']}"


promises: Final = (
    ends_once,
    counts_grow,
    adds_up,
    no_lead_skipped,
    stops_at_once,
    one_after_the_other,
    told_now_and_then,
    paused_means_it,
    leaves_the_reserve,
    spends_what_it_says,
    told_to_all,
    left_in_order,
)
