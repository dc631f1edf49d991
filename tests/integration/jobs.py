"""Ask for jobs, wait for what they report, and find what went wrong with them, a line each, by the output topics alone."""

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from processor.events.cloudevents import Record, encode
from processor.shard.store import OutRecord
from tests.integration.judge import data
from tests.integration.residents import Resident, Town
from tests.integration.trial import Trial
from tests.lab.harness.calls import Arrival
from tests.lab.harness.process import wait_until
from tests.lab.harness.sandbox import SandboxProcess
from tests.lab.harness.worker import WorkerProcess

Json = dict[str, Any]
JobEvents = list[tuple[str, Json]]  # the progress of a job in order: `started`, …, and its data
begin_and_end: Final = ("started", "completed", "failed", "cancelled")
page: Final = 500  # contacts that a search gives at most (contract.md §4.1)
within_s: Final = 60
step_s: Final = 0.03


def sync_all(location: str, request: str, messages: bool = False) -> OutRecord:
    return job_request("sync.location.requested", request, location, include_messages=messages)


def backfill(request: str) -> OutRecord:
    return job_request("sync.backfill.requested", request)


def cancel(location: str, request: str) -> OutRecord:
    return job_request("sync.cancel.requested", request, location)


def job_request(kind: str, request: str, location: str | None = None, **more: object) -> OutRecord:
    body = {"request_id": request, **({"location_id": location} if location else {}), **more}
    key, unique = location or request, f"{kind} {request}"
    value = encode(kind, body, id=unique, source="tests", subject=request, location=key, time_ms=1_750_000_000_000)
    return OutRecord("sync.requests", key.encode(), value)


def start_named_worker(here: Trial, highlevel: SandboxProcess, **settings: object) -> WorkerProcess:
    """Start a static member. Its successor, once it was killed, is back at once."""
    return here.start_worker("only", highlevel, KAFKA_GROUP_INSTANCE_ID="only", HYDRANT_PROBE_SIZE=50, **settings)


async def load_towns(here: Trial, *towns: Town) -> None:
    """Publish their leads as recorded only."""
    await here.publish([lead.change(loading=True) for town in towns for lead in town.leads])


def calls(highlevel: SandboxProcess, location: str, kind: str | None = None) -> list[Arrival]:
    return [call for call in highlevel.arrivals(location) if kind in (None, call.kind)]


async def wait_for_calls(highlevel: SandboxProcess, location: str, times: int, kind: str | None = None) -> None:
    def enough() -> bool:
        return len(calls(highlevel, location, kind)) >= times

    await wait_until(enough, within_s, lambda: f"{calls(highlevel, location)}")


async def wait_for_job(here: Trial, request: str, kind: str, times: int = 1) -> None:
    """Wait until the job has published so many events of this kind (`paused`, `completed`, …)."""

    def reported() -> bool:
        return [event for event, _ in job_events(here.outputs, request)].count(kind) >= times

    await wait_until(reported, within_s, lambda: f"{job_events(here.outputs, request)[-1:]}, {here.last_lines}")


async def run_stepwise(worker: WorkerProcess, here: Trial, results: int) -> None:
    """Let it go on by small steps until there are so many results. It is paused then, not far past that moment."""
    deadline = time.monotonic() + within_s
    while len(here.results) < results:
        if time.monotonic() > deadline:
            raise AssertionError(f"{len(here.results)} of {results} results within {within_s} s")
        worker.resume()
        await asyncio.sleep(step_s)
        worker.pause()
        await asyncio.sleep(3 * step_s)  # what it committed is read


def calls_of_a_scan(contacts: int) -> int:
    """Return its pages, plus the catch-up pass over contacts that were changed meanwhile."""
    return -(-contacts // page) + 1


def job_events(records: Sequence[Record], request: str, partition: int | None = None) -> JobEvents:
    """Return the progress of a job; of a backfill as one partition reports it, if `partition` names one."""
    own = [record for record in records if record.topic == "sync.progress" and partition in (None, record.partition)]
    events = [orjson.loads(record.value or b"{}") for record in own]
    pairs = [(event["type"].removeprefix("sync."), event["data"]) for event in events]
    return [(kind, body) for kind, body in pairs if kind != "answered" and body["request_id"] == request]


def summary(leads: Collection[Resident]) -> Json:
    """Return what the last event of a job over these leads must say."""
    outcomes = Counter(lead.outcome for lead in leads)
    filled = Counter(name for lead in leads for name in lead.gained)
    names = "updated", "unchanged", "created", "not_found", "ambiguous", "failed"
    counts = {name: outcomes[name] for name in names}
    return {"leads_total": len(leads), "leads_done": len(leads), **counts, "filled": dict(filled)}


def job_flaws(records: Sequence[Record], town: Town, request: str) -> list[str]:
    """Return what is wrong with a Sync All of a town."""
    return [*summary_flaws(job_events(records, request), town.leads), *result_flaws(records, town.leads, request)]


def summary_flaws(events: JobEvents, leads: Collection[Resident]) -> Iterator[str]:
    """Yield the differences from a job that began and completed once, with the numbers of the generator."""
    kinds = [kind for kind, _ in events]
    ends = [kind for kind in kinds if kind in begin_and_end]
    if ends != ["started", "completed"] or kinds[-1] != "completed":
        yield f"a job of {len(leads)} leads reported {ends}, and last {kinds[-1:]}"
        return
    last = events[-1][1]
    yield from (f"{name}: {last[name]}, not {right}" for name, right in summary(leads).items() if last[name] != right)
    for name in ("leads_done", "calls_spent", "calls_planned"):
        counts = [body[name] for _, body in events]
        if counts != sorted(counts):
            yield f"{name} goes back: {counts}"


def result_flaws(records: Sequence[Record], leads: Collection[Resident], request: str) -> Iterator[str]:
    """Yield leads without the one result that they must have of this job, and leads with one that they may not have."""
    results: dict[tuple[str, str], list[tuple[str, Mapping[str, str]]]] = {}
    for result in data(records, "lead.updates", "lead.synced"):
        if any(cause.get("request_id") == request for cause in result["causes"]):
            lead_key = result["location_id"], result["lead_id"]
            results.setdefault(lead_key, []).append((result["outcome"], result["changes"]))
    for lead in leads:
        own = results.pop((lead.location, lead.id), [])
        if own != ([] if lead.outcome == "unchanged" else [(lead.outcome, lead.gained)]):
            yield f"{lead.id}, {lead.kind}: {[(outcome, sorted(changes)) for outcome, changes in own]}"
    yield from (f"{key} has a result of {request}, and is none of its leads" for key in results)
