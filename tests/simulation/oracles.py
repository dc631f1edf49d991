"""What must hold after any run, judged from the topics, the server's own log and the teller's truth; the code under
test has no say.

Each oracle yields its violations in words. Some need no knowledge of leads (budget, order), the others compare with
`Truth`.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from processor.events.contract import EVENTS
from processor.telemetry.catalogue import PartitionBroken, TurnCommitted
from processor.topics import INPUT_TOPICS, home

from .fairness import promises_of_fairness
from .imported import promises_of_messages
from .play import Run
from .promised import promises
from .spending import (
    budget,
    few_at_once,
    few_trials,
    goes_on_by_itself,
    journalled,
    looked_again_ms,
    one_probe_at_a_time,
    patient,
    permits,
    thrifty,
    unsettled,
)
from .tale import Tale, never

Result = Mapping[str, Any]
deadline_ms: Final = 120_000  # of a Sync that names none
held_up_by: Final = {("failed", reason) for reason in ("unavailable", "unauthorized", "throttled", "deadline")}
only_asked: Final = {
    "complete",
    "lacks_time_zone",
    "loading",
    "synced_with_snapshot",
    "is_synced_meanwhile",
}  # nothing but a Sync gives them work
idle_turns_at_most: Final = 30  # in a second
jobs: Final = {
    "sync.location.requested",
    "sync.backfill.requested",
}  # a cause of many results, and no request of theirs
reads_only: Final = frozenset({"GET", "POST /contacts/search"})


def violations(run: Run) -> list[str]:
    """All that is wrong with a run; nothing, if all is well."""
    return [f"{oracle.__name__}: {said}" for oracle in oracles for said in oracle(run)]


def broken(run: Run) -> set[str]:
    """Names of the oracles that object."""
    return {oracle.__name__ for oracle in oracles if any(True for _ in oracle(run))}


def healthy(run: Run) -> Iterator[str]:
    """No worker ended by itself, got stuck, hid an exception or had a turn fail; and each left within its time."""
    yield from run.crashed
    faults = run.world.faults
    allowed = {"broken"} if faults.unknown_outcome or faults.refused or run.fates else set()
    for worker in run.workers:
        for at, event in worker.events:
            if event.name in {"turn_failed", "broken", "alert"} - allowed:
                yield f"{worker.name} at {at}: {event}"


def awake_for_a_reason(run: Run) -> Iterator[str]:
    """Nobody turns over and over though nothing came in, and nothing comes of it."""
    for worker in run.workers:
        idle = Counter(
            (event.partition, at // 1_000)
            for at, event in worker.events
            if isinstance(event, TurnCommitted) and not any((event.inputs, event.records, event.rows, event.calls))
        )
        if idle and (most := max(idle.values())) > idle_turns_at_most:
            yield f"{worker.name}: {most} turns in a second for nothing"


def no_fence_war(run: Run) -> Iterator[str]:
    """A partition's producer is initialised a few times for each change of its owner, fault or broken commit, not over
    and over."""
    if run.group is None:
        return
    given = Counter(moved.partition for moved in run.group.moved)
    failed = Counter(
        event.partition for worker in run.workers for _, event in worker.events if isinstance(event, PartitionBroken)
    )
    faults = sum(fate.what != "starts" for fate in run.fates) + len(run.kafka.timed_out)
    for partition, count in Counter(one.partition for one in run.kafka.initialised).items():
        # each time that it is given and each time that it broke; and a zombie that opens it again has its owner do so, too
        if count > (allowed := given[partition] + 2 * failed[partition] + faults):
            yield f"partition {partition} was initialised {count} times, not {allowed} at most"


def once(run: Run) -> Iterator[str]:
    """A read_committed reader sees each result once, each request answered once, and no event in two results."""
    named: Counter[str] = Counter()
    answers: Counter[tuple[str, str]] = Counter()
    spoken: dict[tuple[str, str, str], Result] = {}
    results: Counter[tuple[str, str, int]] = Counter()
    for result in synced(run):
        results[result["location_id"], result["lead_id"], result["sequence"]] += 1
        named.update(dict.fromkeys((cause["id"] for cause in result["causes"] if cause["type"] not in jobs), 1))
        for cause in (cause for cause in result["causes"] if cause.get("request_id")):
            answers[result["lead_id"], cause["request_id"]] += 1
            if cause["type"] not in jobs:
                spoken[result["location_id"], result["lead_id"], cause["request_id"]] = result
    allowed = {event for tale in run.scenario.tales for event in tale.truth.repeats}
    yield from (f"result {one} was published {count} times" for one, count in results.items() if count > 1)
    yield from (
        f"{event} is a cause of {count} results" for event, count in named.items() if count > 1 and event not in allowed
    )
    yield from (f"{one} was answered {count} times" for one, count in answers.items() if count > 1)
    screens = [event["data"] for event in run.read("sync.progress") if event["type"] == "sync.answered"]
    shown = Counter((one["location_id"], one["lead_id"], one["request_id"]) for one in screens)
    yield from (f"{one} was answered {count} times on the screen" for one, count in shown.items() if count > 1)
    yield from (f"{one} was answered in lead.updates or sync.progress alone" for one in {*shown} ^ {*spoken})
    for one in screens:
        result = spoken.get((one["location_id"], one["lead_id"], one["request_id"]), one)
        differs = [name for name in ("sequence", "outcome", "reason", "lead_updated") if one[name] != result[name]]
        if differs or {*one["filled"]} != {
            name for name, value in result.get("changes", {}).items() if value is not None
        }:
            yield f"the answers to {one['request_id']} differ: {differs}"


def order(run: Run) -> Iterator[str]:
    """Per lead, results never go back in sequence or revision."""
    last: dict[tuple[str, str], Result] = {}
    for result in synced(run):
        lead = (result["location_id"], result["lead_id"])
        before = last.get(lead, {"sequence": -1, "revision": None})
        if result["sequence"] <= before["sequence"]:
            yield f"{lead[1]}: sequence {result['sequence']} after {before['sequence']}"
        if before["revision"] is not None and (result["revision"] is None or result["revision"] < before["revision"]):
            yield f"{lead[1]}: revision {result['revision']} after {before['revision']}"
        last[lead] = result


def nothing_lost(run: Run) -> Iterator[str]:
    """Every valid event ends in state and in its effect: the last word on each lead is the teller's own."""
    results = results_by_lead(run)
    state = run.documents()
    known = {(tale.location, tale.lead) for tale in run.scenario.tales}
    yield from (f"{lead}: nobody told of it" for lead in results if lead not in known)
    for tale in run.scenario.tales:
        mine = results.get((tale.location, tale.lead), [])
        held = [one for one in mine if held_up(run, tale, one)]
        document = state.get(f"lead {tale.location} {tale.lead}")
        yield from (f"{tale.lead}: {said}" for said in lead_lost(tale, mine, held, document))
        for request, allowed in tale.truth.requests.items():
            answers = [one for one in mine if any(cause.get("request_id") == request for cause in one["causes"])]
            if not answers:
                yield f"{tale.lead}: {request} was never answered"
            yield from (
                f"{tale.lead}: {request} was answered {(one['outcome'], one['reason'])}, not {sorted(allowed, key=str)}"
                for one in answers
                if (one["outcome"], one["reason"]) not in allowed | (tale.truth.excused if run.outage else frozenset())
                and one not in held
            )


def held_up(run: Run, tale: Tale, result: Result) -> bool:
    """It answers a request whose deadline passed while HighLevel didn't serve the location, or its day was spent."""
    if (result["outcome"], result["reason"]) == ("failed", "daily_budget"):
        return run.world.weather.day is not None
    if (result["outcome"], result["reason"]) not in held_up_by:
        return False
    deadlines = [
        tale.truth.asked[request] + deadline_ms for request in requests_of(result) if request in tale.truth.asked
    ]
    weather = run.world.weather
    spans = [(one.at, one.over) for one in weather.outages if one.location in (None, tale.location)]
    spans += [(one.at, one.over) for one in weather.refusals if one.location == tale.location]
    return any(since <= deadline <= over + looked_again_ms for deadline in deadlines for since, over in spans)


def requests_of(result: Result) -> list[str]:
    return [cause["request_id"] for cause in result["causes"] if cause.get("request_id")]


def lead_lost(
    tale: Tale, results: Sequence[Result], held: Sequence[Result], document: Mapping[str, Any] | None
) -> Iterator[str]:
    truth = tale.truth
    if truth.revision is not None and (document is None or document.get("revision") != truth.revision):
        yield f"its revision {truth.revision} is not in state"
    others = [one for one in results if one not in held]
    last = others[-1]["outcome"] if others else None
    if last not in truth.last and not (held and tale.kind in only_asked):
        yield f"its last outcome is {last}, not {sorted(truth.last, key=str)}"
    if truth.revision is not None and not held:
        must = truth.revisions[truth.revision].must
        told: dict[str, Any] = {}
        for result in results:
            if result["revision"] == truth.revision:
                told |= result["changes"]
        missing = {name for name, value in must.items() if told.get(name) != value}
        if missing:
            yield f"{sorted(missing)} of revision {truth.revision} were never told"
    gone = [one["replaces"]["contact_id"] for one in results if one["replaces"]]
    if (truth.replaces in gone) != (truth.replaces is not None) or len({*gone}) > 1:
        yield f"it replaces {gone}, not {truth.replaces}"


def buried(run: Run) -> Iterator[str]:
    """Every malformed record is in dead.letters exactly once, as it was, with its reason; and nothing else is."""
    publications = run.scenario.publications
    expected = {place: publications[index] for place, index in run.offsets.items() if publications[index].buried}
    seen: Counter[tuple[str, int, int]] = Counter()
    letters = [entry for partition in run.scenario.owned for _, entry in run.kafka.committed("dead.letters", partition)]
    for entry in letters:
        headers = {name: value.decode() for name, value in entry.headers if name.startswith("hydrant-")}
        place = headers["hydrant-topic"], int(headers["hydrant-partition"]), int(headers["hydrant-offset"])
        seen[place] += 1
        one = expected.get(place)
        if one is None or (one.buried, one.value, one.key.encode()) != (
            headers["hydrant-reason"],
            entry.value,
            entry.key,
        ):
            yield f"{place} was buried as {headers['hydrant-reason']}: {headers['hydrant-detail']}"
    yield from (f"{place} was buried {seen[place]} times" for place in expected if seen[place] != 1)


def sent_home(run: Run) -> Iterator[str]:
    """Every stray is on its home partition exactly once, as it was, with its own timestamp."""
    published = [run.scenario.publications[index] for index in run.offsets.values()]
    strays = [(one.topic, one.value) for one in published if one.strays]
    inputs = [place for place in run.kafka.logs if place[0] in INPUT_TOPICS]
    found = [
        (topic, entry.value, where == home((entry.key or b"").decode(), run.scenario.partitions))
        for topic, where in inputs
        for offset, entry in run.kafka.committed(topic, where)
        if (topic, where, offset) not in run.offsets
        and not any(name == "hydrant-fanned-out" for name, _ in entry.headers)
    ]
    if Counter(found) != Counter((topic, value, True) for topic, value in strays):
        yield f"{len(strays)} strays, {len(found)} records that came home"


def no_contact_made(run: Run) -> Iterator[str]:
    """Nothing but searches and GETs ever arrives."""
    yield from (f"{one.what} arrived" for one in run.server.arrivals if one.what not in reads_only)


def calls_told(run: Run) -> Iterator[str]:
    """No call is counted in two results."""
    told: Counter[tuple[str, str]] = Counter()
    for result in synced(run):
        told.update({(result["location_id"], kind): count for kind, count in result["calls"].items()})
    made = Counter((one.location, one.kind) for one in run.server.sent)
    yield from (
        f"{where}: results tell of {count} calls, {made[where]} were made"
        for where, count in told.items()
        if count > made[where]
    )


def no_old_answers(run: Run) -> Iterator[str]:
    """Whatever a result says belongs to the contact of the e-mail that the lead has in the result's own revision."""
    results = results_by_lead(run)
    for tale in run.scenario.tales:
        for result in results.get((tale.location, tale.lead), []):
            revision = tale.truth.revisions.get(result["revision"])
            may = revision.may if revision else {}
            if result["contact_id"] not in (None, *(revision.contacts if revision else ())):
                yield f"{tale.lead}: revision {result['revision']} was linked to {result['contact_id']}"
            for name, value in result["changes"].items():
                also = revision.also if revision else ()
                cleared = name == "contact_id" and value is None and result["replaces"]
                if may.get(name) != value and (name, value) not in also and not cleared:
                    yield f"{tale.lead}: revision {result['revision']} was told another's {name}"


def all_done(run: Run) -> Iterator[str]:
    """Once faults stop, everything pending ends: no open work, no request that waits, nothing unread, and each location
    says so."""
    for status in {event["data"]["location_id"]: event["data"] for event in run.read("location.status")}.values():
        if status["queued"] or (status["state"] != "ok" and not unasked(run, status)):
            yield f"{status['location_id']}: {status['queued']} queued, {status['state']}"
    for key, document in run.documents().items():
        if key.startswith("lead ") and "open" in document:
            yield f"{key}: still open"
        if key.startswith("request ") and "answered" not in document:
            yield f"{key}: still waits"
    for topic in ("lead.changes", "sync.requests"):
        for partition in run.scenario.owned:
            records = run.kafka.committed(topic, partition)
            if records and int(run.documents().get(f"{partition} position {topic}", 0)) <= records[-1][0]:
                yield f"{topic} {partition}: not read to its end"


def unasked(run: Run, status: Mapping[str, Any]) -> bool:
    """Only a call could tell that it is over, and nobody has anything to ask."""
    location, weather = status["location_id"], run.world.weather
    if status["state"] == "unavailable":
        ailed = any(one.location in (None, location) for one in weather.outages)
        return ailed or any(tale.poison and tale.location == location for tale in run.scenario.tales)
    return any(one.location == location and one.renewed == never for one in weather.refusals)


def contract(run: Run) -> Iterator[str]:
    """Everything published is what the contract says."""
    for topic in ("lead.updates", "lead.messages", "sync.progress", "location.status"):
        for event in run.read(topic):
            try:
                EVENTS[event["type"]].model_validate(event["data"])
            except ValueError as error:
                yield f"{event['type']}: {error}"


oracles: Final[Sequence[Callable[[Run], Iterator[str]]]] = (
    healthy,
    awake_for_a_reason,
    budget,
    permits,
    few_at_once,
    one_probe_at_a_time,
    few_trials,
    goes_on_by_itself,
    unsettled,
    no_fence_war,
    journalled,
    patient,
    thrifty,
    once,
    order,
    nothing_lost,
    buried,
    sent_home,
    no_contact_made,
    calls_told,
    no_old_answers,
    all_done,
    contract,
    *promises,
    *promises_of_messages,
    *promises_of_fairness,
)


def synced(run: Run) -> Iterator[Result]:
    return (event["data"] for event in run.read("lead.updates"))


def results_by_lead(run: Run) -> dict[tuple[str, str], list[Result]]:
    """In the order of the log."""
    results: dict[tuple[str, str], list[Result]] = defaultdict(list)
    for result in synced(run):
        results[result["location_id"], result["lead_id"]].append(result)
    return results
