"""Judges what Hydrant published by what the generator of the data makes right. Pure: truth and what was seen in, verdict out.

Lost: an event, a request or a malformed record without what must come of it. Repeated: something was said twice. Wrong: it
was said, but isn't right. Misses name ids and fields, never a value.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, NamedTuple, Protocol, TypeVar

from tests.lab.demo.imported import Fault, Messages, Says, judge_imported, not_asked, told_by, untold, wanted
from tests.lab.demo.seen import Answer, Buried, Result, Seen
from tests.lab.demo.truth import Case, Malformed, Should, Sync, any_reason
from tests.lab.demo.world import World

nothing: Final = "nothing"  # the outcome of a lead that no result must speak of


class Miss(NamedTuple):
    fault: Fault
    who: str  # lead and location, or the record it is about
    kind: str
    what: str


@dataclass(slots=True)
class Tally:
    """Leads of one kind."""

    expected: int = 0
    right: int = 0
    wrong: int = 0  # repeated counts as wrong
    missing: int = 0

    def add(self, faults: Sequence[Fault]) -> None:
        self.expected += 1
        self.right += not faults
        self.missing += "lost" in faults
        self.wrong += bool(faults) and "lost" not in faults


@dataclass(slots=True)
class Verdict:
    misses: list[Miss] = field(default_factory=list)
    kinds: dict[str, Tally] = field(default_factory=dict)
    should_be: Counter[str] = field(default_factory=Counter)  # leads by the outcome of their last result
    are: Counter[str] = field(default_factory=Counter)
    messages: Messages = field(default_factory=Messages)

    def count(self, fault: Fault) -> int:
        """Leads and records that it befell."""
        return len({miss.who for miss in self.misses if miss.fault == fault})


def judge(world: World, seen: Seen) -> Verdict:
    verdict = Verdict()
    apart = world.sync_all.location if world.sync_all else None  # `job` judges it
    results = grouped(result for result in seen.results if result.location != apart)
    came = grouped(message for message in seen.messages if message.location != apart)
    answers, syncs = grouped(seen.answers), grouped(world.syncs)
    for case in world.cases:
        key = case.location, case.lead
        said, told, asked = results.pop(key, []), answers.pop(key, []), syncs.get(key, [])
        imported, right = came.pop(key, []), wanted(case, asked)
        misses = [
            Miss(fault, f"{case.lead} in {case.location}", case.kind, what)
            for fault, what in (
                *judge_results(case, asked, said),
                *judge_answers(case, asked, said, told),
                *judge_imported(right, imported),
            )
        ]
        verdict.messages.add(right, imported)
        verdict.misses += misses
        verdict.kinds.setdefault(case.kind, Tally()).add([miss.fault for miss in misses])
        verdict.should_be[last_outcome(case, asked)] += 1
        verdict.are[said[-1].outcome if said else nothing] += 1
    for location, lead in results | answers | came:
        verdict.misses.append(Miss("wrong", f"{lead} in {location}", "no kind", "nobody told of this lead"))
    verdict.misses += judge_buried(world.malformed, seen.buried)
    return verdict


def due(world: World) -> set[str]:
    """All that must come, by the names that `Seen.met` uses: when nothing of it is missing, waiting is over."""
    asked = {(sync.location, sync.lead) for sync in world.syncs}
    names = {f"event {cause}" for case in world.cases for cause in case.causes}
    names |= {f"again {case.lead}" for case in world.cases if case.again and (case.location, case.lead) in asked}
    names |= {f"{what} {sync.request_id}" for sync in world.syncs for what in ("request", "answer")}
    syncs = grouped(world.syncs)
    names |= {
        f"message {message} of {case.lead}"
        for case in world.cases
        for message in wanted(case, syncs.get((case.location, case.lead), []))
    }
    if job := world.sync_all:
        names |= {f"end of {job.request_id}"}
        names |= {f"request {job.request_id} of {case.lead}" for case in job.cases if case.speaks_in_job}
        names |= {f"message {message} of {case.lead}" for case in job.cases for message in case.surely_due_in_job}
    return names | {f"buried {one.digest}" for one in world.malformed}


def judge_results(case: Case, asked: Sequence[Sync], said: Sequence[Result]) -> Iterator[tuple[Fault, str]]:
    """The results of one lead, in the order of the topic."""
    yield from never_back(said)
    had = False
    for result in said:
        expected = what_it_should_say(case, asked, result, had)
        if expected is None:
            yield "wrong", f"a result that nothing asks for: {result.outcome}, revision {result.revision}"
        else:
            should, revision, tells = expected
            had = had or tells.imported > 0
            yield from (("wrong", what) for what in (*differences(should, revision, result), *untold(tells, result)))
    yield from told_once("event", case.causes, case.events, (cause for result in said for cause in result.causes))
    requests = {sync.request_id for sync in asked}
    yield from told_once("request", requests, requests, (request for result in said for request in result.requests))
    unasked = sum(not result.causes and not result.requests for result in said)
    if case.again and asked and not unasked:
        yield "lost", "what was found after the answer was not published"
    if unasked > 1:
        yield "repeated", f"{unasked} results without a cause"


def never_back(said: Sequence[Result]) -> Iterator[tuple[Fault, str]]:
    for before, after in pairwise(said):
        if after.sequence <= before.sequence:
            fault: Fault = "repeated" if after.sequence == before.sequence else "wrong"
            yield fault, f"sequence: {after.sequence} comes after {before.sequence}"
        if (after.revision or 0) < (before.revision or 0):
            yield "wrong", f"revision: {after.revision} comes after {before.revision}"


def what_it_should_say(
    case: Case, asked: Sequence[Sync], result: Result, had: bool
) -> tuple[Should, int | None, Says] | None:
    """And which revision it has seen, and what it tells of messages, unless the lead `had` them before."""
    for sync in asked:
        if sync.request_id in result.requests:
            return sync.should, sync.revision, told_by(case, sync, sync.should, had)
    if result.requests:
        return None
    if result.causes:
        should = case.answers.get(result.revision or 0)
        return (should, result.revision, not_asked) if should else None
    return (case.again, result.revision, told_by(case, asked[-1], case.again)) if asked and case.again else None


def differences(should: Should, revision: int | None, result: Result) -> Iterator[str]:
    pairs: Mapping[str, tuple[object, object]] = {
        "outcome": (result.outcome, should.outcome),
        "revision": (result.revision, revision),
        "contact_id": (result.contact_id, should.contact_id),
        "replaces": (result.replaces, should.replaces),
        "resolved_by": (result.resolved_by, should.resolved_by),
        "lead_updated": (result.lead_updated, bool(should.changes)),
        "reason": (result.reason, result.reason or "some reason" if should.reason == any_reason else should.reason),
    }
    for name, (is_, right) in pairs.items():
        if is_ != right:
            yield f"{name}: is {is_}, should be {right}"
    for name in should.changes.keys() - result.changes.keys():
        yield f"changes: {name} is missing"
    for name in result.changes.keys() - should.changes.keys():
        yield f"changes: {name} is too many"
    for name in should.changes.keys() & result.changes.keys():
        if should.changes[name] != result.changes[name]:
            yield f"changes: {name} has another value"


def told_once(what: str, due: Iterable[str], known: Iterable[str], named: Iterable[str]) -> Iterator[tuple[Fault, str]]:
    """Each that is due is named by exactly one result, each other known one by at most one."""
    counts = Counter(named)
    for one in sorted(due):
        if not counts[one]:
            yield "lost", f"{what} {one}: no result"
    for one, times in counts.items():
        if one not in known:
            yield "wrong", f"{what} {one}: named by a result, though it isn't the lead's"
        elif times > 1:
            yield "repeated", f"{what} {one}: {times} results"


def judge_answers(
    case: Case, asked: Sequence[Sync], said: Sequence[Result], told: Sequence[Answer]
) -> Iterator[tuple[Fault, str]]:
    """Each `sync.answered` is the one answer to its request, and says what the result says."""
    counts = Counter(answer.request_id for answer in told)
    syncs = {sync.request_id: sync for sync in asked}
    sequences = {request: result.sequence for result in said for request in result.requests}
    first = next((result.requests for result in said if result.requests), ())
    for request in syncs:
        if counts[request] != 1:
            yield "repeated" if counts[request] else "lost", f"request {request}: {counts[request]} answers"
    for answer in told:
        sync = syncs.get(answer.request_id)
        if sync is None:
            yield "wrong", f"request {answer.request_id}: answered, though nobody asked"
            continue
        should, tells = sync.should, told_by(case, sync, sync.should, had=sync.request_id not in first)
        filled = frozenset(name for name, value in should.changes.items() if value is not None)
        pairs: Mapping[str, tuple[object, object]] = {
            "outcome": (answer.outcome, should.outcome),
            "lead_updated": (answer.lead_updated, bool(should.changes)),
            "filled": (sorted(answer.filled), sorted(filled)),
            "messages_imported": (answer.messages_imported, tells.imported),
            "sequence": (answer.sequence, sequences.get(answer.request_id)),
            "reason": (answer.reason, answer.reason or "some reason" if should.reason == any_reason else should.reason),
        }
        for name, (is_, right) in pairs.items():
            if is_ != right:
                yield "wrong", f"answer {answer.request_id}: {name}: is {is_}, should be {right}"


def judge_buried(malformed: Iterable[Malformed], buried: Iterable[Buried]) -> Iterator[Miss]:
    """Each malformed record is in the dead letters once, for the right reason, and nothing else is."""
    due = {one.digest: one.reason for one in malformed}
    found: dict[str, list[str]] = {}
    for one in buried:
        found.setdefault(one.digest, []).append(one.reason)
    for digest, reason in due.items():
        reasons, who = found.pop(digest, []), f"record {digest[:12]}"
        if not reasons:
            yield Miss("lost", who, "malformed", f"not in the dead letters, should be as {reason}")
        elif len(reasons) > 1:
            yield Miss("repeated", who, "malformed", f"{len(reasons)} dead letters")
        elif reasons[0] != reason:
            yield Miss("wrong", who, "malformed", f"reason: is {reasons[0]}, should be {reason}")
    for digest, reasons in found.items():
        yield Miss(
            "wrong", f"record {digest[:12]}", "no kind", f"buried as {reasons[0]}, though nothing is wrong with it"
        )


def last_outcome(case: Case, asked: Sequence[Sync]) -> str:
    """Of the lead's last result: what is found after a Sync, else the Sync's answer, else the last change's."""
    should = case.again if asked and case.again else asked[-1].should if asked else case.last
    return should.outcome if should else nothing


class OfALead(Protocol):
    @property
    def location(self) -> str: ...
    @property
    def lead(self) -> str: ...


One = TypeVar("One", bound=OfALead)


def grouped(these: Iterable[One]) -> dict[tuple[str, str], list[One]]:
    groups: dict[tuple[str, str], list[One]] = {}
    for one in these:
        groups.setdefault((one.location, one.lead), []).append(one)
    return groups
