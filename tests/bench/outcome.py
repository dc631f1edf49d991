"""Whether a job did what it should: its summary and the leads' results, beside what the leads were made from."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import orjson

from tests.bench.crowd import Crowd
from tests.bench.jobs import Course, ends
from tests.bench.stage import Failed, Stage

outcomes: Final = ("updated", "unchanged", "created", "not_found", "ambiguous", "failed")
shown: Final = 3  # of what is wrong


def check_summary(course: Course, crowd: Crowd, calls: int, plan: str) -> None:
    """Every lead is counted once, as what it is, and every call. Raises Failed."""
    told = course.end.data
    known = [one.changes for one in crowd]
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
    _same("the summary", wanted, {**{name: told.get(name) for name in wanted}, "end": course.end.type})


def check_sums(course: Course, crowd: Crowd, synced: int) -> None:
    """As far as it can be told beside so many Syncs: some leads are known by them before the job comes to them."""
    told = course.end.data
    done, found = told["leads_done"], sum(bool(one.changes) for one in crowd)
    right = (
        course.end.type == "sync.completed",
        done == told["leads_total"] == sum(told[name] for name in outcomes),
        crowd.leads <= done <= crowd.leads + synced,
        found - synced <= told["updated"] <= found + synced,
        crowd.leads - found == told["not_found"],
        told["created"] == told["ambiguous"] == told["failed"] == 0,
    )
    if not all(right):
        raise Failed(f"the summary doesn't add up: {right} of {course.end}")


def check_results(stage: Stage, crowd: Crowd, resolved_by: Collection[str], synced: Collection[str] = ()) -> None:
    """Each lead has one result, and it gives what can be known of it; a synced one has such results, at least one. And the job
    has one end. Raises Failed."""
    found = dict[str, list[Mapping[str, Any]]]()
    for record in stage.read("lead.updates"):
        data = orjson.loads(record.value or b"")["data"]
        found.setdefault(data["lead_id"], []).append(data)
    wrong = list[str]()
    for one in crowd:
        results = found.pop(one.id, [])
        alike = all(result["changes"] == one.changes for result in results) if one.id not in synced else True
        right = all(result["contact_id"] == one.changes.get("contact_id") for result in results)
        by = {result[way] for result in results for way in ("resolved_by", "hydrated_from")}
        by_right = by <= {*resolved_by, "phone"} or one.id in synced or not one.changes
        count = len(results) == 1 or (one.id in synced and results)
        if not (alike and right and by_right and count):
            told = [
                (result["outcome"], result["reason"], sorted(result["changes"]), result["resolved_by"])
                for result in results
            ]
            wrong.append(f"{one.id}: {told} instead of {sorted(one.changes)}")
    wrong += [f"{lead}: nobody's" for lead in found.keys() - {*synced}]
    if wrong:
        raise Failed(f"{len(wrong)} leads have other results than they should: {'; '.join(wrong[:shown])}")
    ended = [event["type"] for event in _progress(stage) if event["type"] in ends]
    _same("the job's ends", ["sync.completed"], ended)


def _progress(stage: Stage) -> Sequence[Mapping[str, Any]]:
    return [orjson.loads(record.value or b"") for record in stage.read("sync.progress")]


def _same(what: str, wanted: object, told: object) -> None:
    if wanted != told:
        raise Failed(f"{what}: {told} instead of {wanted}")
