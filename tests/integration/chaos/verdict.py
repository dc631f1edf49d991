"""What went wrong in a run, a line each, by the output topics as a `read_committed` reader sees them and HighLevel's log. Pure.

`lost` also tells what isn't done yet, so a run is over once it says nothing.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from processor.events.cloudevents import Record
from processor.topics import home
from tests.integration.chaos.load import Load, everywhere, partitions, towns
from tests.integration.jobs import JobEvents, begin_and_end, job_events, result_flaws, summary_flaws
from tests.integration.judge import data, disordered, doubled, leaked
from tests.lab.harness.calls import Arrival, server_limit, summarize_calls

Json = Mapping[str, Any]
outcomes: Final = ("updated", "unchanged", "created", "not_found", "ambiguous", "failed")


@dataclass(frozen=True, slots=True)
class Seen:
    """HighLevel's own record."""

    arrivals: Mapping[str, Sequence[Arrival]]  # by location; "": calls that told none
    refused: int  # by the limiter: 429s that nobody injected


@dataclass(frozen=True, slots=True)
class Verdict:
    lost: tuple[str, ...]
    repeated: tuple[str, ...]
    other: tuple[str, ...]

    @property
    def flaws(self) -> tuple[str, ...]:
        return self.lost + self.repeated + self.other


def judged(load: Load, told: Sequence[Record], seen: Seen, said: Mapping[str, str]) -> Verdict:
    """`said`: by whom, all that workers told."""
    other = (*disordered(told), *wrong(load, told), *miscounted(load, told), *over_budget(seen), *leaked(told, said))
    return Verdict(tuple(lost(load, told)), tuple(repeated(told)), other)


def lost(load: Load, told: Sequence[Record]) -> Iterator[str]:
    last = {one["lead_id"]: one for one in results(told)}
    for name, versions in load.versions.items():
        seen = last[name]["revision"] if name in last else None
        if seen != versions[-1].revision:
            yield f"{name}: revision {versions[-1].revision} is lost, the last result has seen {seen}"
    named, answers = Counter(requests(told)), Counter(answered(told))
    yield from (f"{request} has no result" for request in load.requests if not named[request])
    yield from (f"{request} has no answer" for request in load.requests if not answers[request])
    for name, town in towns.items():
        if "completed" not in kinds(job_events(told, name)):
            yield f"the Sync All of {name} isn't completed"
        else:
            yield from (f"the Sync All of {name}: {flaw}" for flaw in result_flaws(told, town.leads, name))
    running = [each for each in range(partitions) if "completed" not in kinds(job_events(told, everywhere, each))]
    yield from (f"the backfill of partition {partition} isn't completed" for partition in running)
    if not running:
        unnamed = load.backfilled - {one["lead_id"] for one in of_job(told, everywhere)}
        yield from (f"the backfill has lost {lead}" for lead in sorted(unnamed))
    had = Counter(map(message, imported(told)))
    wanted = map(message, load.imported)
    yield from (f"message {which} of {lead} is lost" for lead, which in wanted if not had[lead, which])
    buried = [one.value for one in told if one.topic == "dead.letters"]
    yield from (f"malformed event {at} is lost" for at, value in enumerate(load.malformed) if value not in buried)


def repeated(told: Sequence[Record]) -> Iterator[str]:
    yield from doubled(told)
    yield from (f"{request}: {n} results" for request, n in Counter(requests(told)).items() if n > 1)
    yield from (f"{request}: {n} answers" for request, n in Counter(answered(told)).items() if n > 1)
    for name, heard in courses(told).items():
        yield from (f"{name} has {kind} {n} times" for kind, n in Counter(kinds(heard)).items() if n > 1)
    those = Counter(map(message, imported(told)))
    yield from (f"message {which} of {lead}: {n} times" for (lead, which), n in those.items() if n > 1)
    origins = Counter(origin(one) for one in told if one.topic == "dead.letters")
    yield from (f"{of} is buried {n} times" for of, n in origins.items() if n > 1)


def wrong(load: Load, told: Sequence[Record]) -> Iterator[str]:
    """Not what the generator knows, or what nobody asked for; or a result that knows less than the one before."""
    versions = {(one.id, one.revision): one for versions in load.versions.values() for one in versions}
    residents = {lead.id for town in towns.values() for lead in town.leads}
    seen: dict[str, int] = {}
    for one in results(told):
        lead, revision = one["lead_id"], one["revision"]
        if revision < seen.get(lead, 0):
            yield f"{lead}: revision {revision} comes after {seen[lead]}"
        seen[lead] = revision
        version = versions.get((lead, revision))
        if version is None and lead not in residents:
            yield f"{lead}: nobody told of its revision {revision}"
        elif version and (one["outcome"], one["changes"]) != ("updated", version.gained):
            yield f"{lead}: revision {revision} is {one['outcome']}, {one['reason']}, {sorted(one['changes'])}"
    strange = {*requests(told), *answered(told)} - {*load.requests}
    yield from (f"{request}: nobody asked for it" for request in sorted(strange))
    truth = {message(one): one for one in load.imported}
    for one in imported(told):
        if truth.get(message(one)) != one:
            yield f"message {one['message']['id']} of {one['lead_id']} is not as it was said, or nobody asked for it"
    for record in told:
        if record.topic == "dead.letters" and record.value not in load.malformed:
            yield f"{origin(record)} is buried, and was right: {dict(record.headers).get('hydrant-reason')!r}"


def miscounted(load: Load, told: Sequence[Record]) -> Iterator[str]:
    """Summaries of jobs that don't say what was published, or not what the generator knows."""
    for name, town in towns.items():
        if heard := job_events(told, name):
            yield from (f"the Sync All of {name}: {flaw}" for flaw in summary_flaws(heard, town.leads))
    for name, heard in courses(told).items():
        request, _, partition = name.partition(" ")
        there = [one for one in of_job(told, request) if partition in ("", str(home(one["location_id"], partitions)))]
        yield from (f"{name}: {flaw}" for flaw in uncounted(heard, Counter(one["outcome"] for one in there)))
    yield from (f"nobody asked for job {name}" for name in courses(told) if name.split()[0] not in (*towns, everywhere))


def uncounted(heard: JobEvents, published: Mapping[str, int]) -> Iterator[str]:
    """`unchanged` leads are counted, and nothing is published of them."""
    for kind, said in heard:
        if sum(said[name] for name in outcomes) != said["leads_done"] or said["leads_done"] > said["leads_total"]:
            yield f"{kind}: {said} doesn't add up"
    kind, last = heard[-1]
    if kind == "completed":
        if last["leads_done"] != last["leads_total"]:
            yield f"completed with {last['leads_done']} of {last['leads_total']} leads"
        for name in outcomes:
            if name != "unchanged" and last[name] != published.get(name, 0):
                yield f"it counts {last[name]} {name}, {published.get(name, 0)} results say so"


def over_budget(seen: Seen) -> Iterator[str]:
    worst = summarize_calls(seen.arrivals)
    if worst.worst_window > server_limit:
        yield f"{worst.worst_location} made {worst.worst_window} calls in 10 s"
    if seen.refused:
        yield f"{seen.refused} calls were refused (429), and nobody injected it"
    if strays := len(seen.arrivals.get("", ())):
        yield f"{strays} calls told no location"


def results(told: Sequence[Record]) -> list[dict[str, Any]]:
    return data(told, "lead.updates", "lead.synced")


def of_job(told: Sequence[Record], request: str) -> list[dict[str, Any]]:
    return [one for one in results(told) if any(cause.get("request_id") == request for cause in one["causes"])]


def imported(told: Sequence[Record]) -> list[dict[str, Any]]:
    return data(told, "lead.messages", "lead.message.imported")


def requests(told: Sequence[Record]) -> Iterator[str]:
    """Of Syncs, as results name them."""
    causes = (cause for one in results(told) for cause in one["causes"])
    return (cause["request_id"] for cause in causes if cause["type"] == "sync.lead.requested")


def answered(told: Sequence[Record]) -> Iterator[str]:
    return (one["request_id"] for one in data(told, "sync.progress", "sync.answered"))


def courses(told: Sequence[Record]) -> dict[str, JobEvents]:
    """Of each job that was told of, a backfill's by partition."""
    found: dict[str, JobEvents] = {}
    for record in told:
        event = orjson.loads(record.value or b"{}") if record.topic == "sync.progress" else {}
        if event and event["type"] != "sync.answered":
            said = event["data"]
            name = said["request_id"] if said["location_id"] else f"{said['request_id']} {record.partition}"
            found.setdefault(name, []).append((event["type"].removeprefix("sync."), said))
    return found


def kinds(heard: JobEvents) -> list[str]:
    """How it began and ended."""
    return [kind for kind, _ in heard if kind in begin_and_end]


def message(one: Json) -> tuple[str, str]:
    return one["lead_id"], one["message"]["id"]


def origin(letter: Record) -> str:
    headers = dict(letter.headers)
    return " ".join(headers[f"hydrant-{name}"].decode() for name in ("topic", "partition", "offset"))
