"""Compare a job's summary and the leads' results with what the leads were made from."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import orjson

from tests.bench.jobs import JobHistory, ends
from tests.bench.population import Population
from tests.bench.testbed import BenchFailed, Testbed

outcomes: Final = ("updated", "unchanged", "created", "not_found", "ambiguous", "failed")
shown: Final = 3  # of what is wrong


def check_summary(job: JobHistory, population: Population, calls: int, plan: str) -> None:
    """Raise BenchFailed unless each lead is counted once, with its outcome, and each call."""
    last = job.end.data
    known = [one.changes for one in population]
    found = Counter(name for one in known for name in one)
    wanted = {
        "end": "sync.completed",
        "plan": plan,
        "leads_total": len(known),
        "leads_done": len(known),
        **dict.fromkeys(outcomes, 0),
        "updated": found["contact_id"],
        "not_found": len(known) - found["contact_id"],
        "filled": dict(found),
        "calls_spent": calls,
    }
    _same("the summary", wanted, {**{name: last.get(name) for name in wanted}, "end": job.end.type})


def check_sums(job: JobHistory, population: Population, synced: int) -> None:
    """Raise BenchFailed unless the sums add up. Syncs may have found some leads before the job came to them."""
    last = job.end.data
    done, found = last["leads_done"], sum(bool(one.changes) for one in population)
    right = (
        job.end.type == "sync.completed",
        done == last["leads_total"] == sum(last[name] for name in outcomes),
        population.leads <= done <= population.leads + synced,
        found - synced <= last["updated"] <= found + synced,
        population.leads - found == last["not_found"],
        last["created"] == last["ambiguous"] == last["failed"] == 0,
    )
    if not all(right):
        raise BenchFailed(f"the summary doesn't add up: {right} of {job.end}")


def check_results(
    testbed: Testbed, population: Population, resolved_by: Collection[str], synced: Collection[str] = ()
) -> None:
    """Raise BenchFailed unless each lead has one right result, a synced lead at least one, and the job has one end."""
    found = dict[str, list[Mapping[str, Any]]]()
    for record in testbed.records("lead.updates"):
        data = orjson.loads(record.value or b"")["data"]
        found.setdefault(data["lead_id"], []).append(data)
    wrong = list[str]()
    for one in population:
        results = found.pop(one.id, [])
        alike = all(result["changes"] == one.changes for result in results) if one.id not in synced else True
        right = all(result["contact_id"] == one.changes.get("contact_id") for result in results)
        by = {result[way] for result in results for way in ("resolved_by", "hydrated_from")}
        by_right = by <= {*resolved_by, "phone"} or one.id in synced or not one.changes
        count = len(results) == 1 or (one.id in synced and results)
        if not (alike and right and by_right and count):
            shown_results = [
                (result["outcome"], result["reason"], sorted(result["changes"]), result["resolved_by"])
                for result in results
            ]
            wrong.append(f"{one.id}: {shown_results} instead of {sorted(one.changes)}")
    wrong += [f"{lead}: not a lead of the job" for lead in found.keys() - {*synced}]
    if wrong:
        raise BenchFailed(f"{len(wrong)} leads have other results than they should: {'; '.join(wrong[:shown])}")
    ended = [event["type"] for event in _progress(testbed) if event["type"] in ends]
    _same("the job's ends", ["sync.completed"], ended)


def _progress(testbed: Testbed) -> Sequence[Mapping[str, Any]]:
    return [orjson.loads(record.value or b"") for record in testbed.records("sync.progress")]


def _same(what: str, wanted: object, found: object) -> None:
    if wanted != found:
        raise BenchFailed(f"{what}: {found} instead of {wanted}")
