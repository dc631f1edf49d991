"""The judge: what is right passes, and each way of being wrong is a miss."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from tests.lab.demo.imported import Says, not_asked, told_by, wanted
from tests.lab.demo.report import Verdict, due, judge
from tests.lab.demo.seen import Answer, Buried, Imported, Result, Seen
from tests.lab.demo.spent import Arrival, Spent, over_budget, spent
from tests.lab.demo.summary import Summary
from tests.lab.demo.truth import Case, Should, Sync
from tests.lab.demo.view import View
from tests.lab.demo.world import World, world

now_ms = 1_780_000_000_000
seed = 3


@pytest.fixture(scope="module")
def right() -> World:
    return world(now_ms, locations=3, leads=60, syncs=12, seed=seed)


def result(
    case: Case,
    should: Should,
    sequence: int,
    revision: int | None,
    causes: Sequence[str] = (),
    requests: Sequence[str] = (),
    tells: Says = not_asked,
) -> Result:
    """A result that says what it should."""
    return Result(
        location=case.location,
        lead=case.lead,
        revision=revision,
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
        message_calls=int(tells != not_asked),
        causes=tuple(causes),
        requests=tuple(requests),
    )


def answer(sync: Sync, sequence: int, imported: int) -> Answer:
    should = sync.should
    filled = frozenset(name for name, value in should.changes.items() if value is not None)
    reason = "some_code" if should.reason == "*" else should.reason
    updated = bool(should.changes)
    ids = sync.location, sync.lead, sync.request_id
    return Answer(*ids, sequence, should.outcome, updated, filled, imported, reason, 0.0)


def published(world: World) -> Seen:
    """What a faultless Hydrant would publish: changes first, each Sync in a result of its own."""
    seen = Seen()
    cases = {(case.location, case.lead): case for case in world.cases}
    for case in world.cases:
        for revision, should in case.answers.items():
            cause = f"{case.lead}:{revision}"
            seen.results.append(result(case, should, len(seen.results), revision, causes=[cause]))
    for sync in sorted(world.syncs, key=lambda sync: sync.last):
        case = cases[sync.location, sync.lead]
        tells = told_by(case, sync, sync.should, had=sync.last)
        seen.answers.append(answer(sync, len(seen.results), tells.imported))
        said = result(case, sync.should, len(seen.results), sync.revision, requests=[sync.request_id], tells=tells)
        seen.results.append(said)
        if case.again:
            then = told_by(case, sync, case.again)
            seen.results.append(result(case, case.again, len(seen.results), sync.revision, tells=then))
        if sync.last:
            continue
        in_order = sorted(wanted(case, [sync]).items(), key=lambda item: item[1]["message"]["sent_at"])
        seen.messages += [Imported(case.location, case.lead, id, data) for id, data in in_order]
    seen.buried += [Buried(one.reason, one.digest) for one in world.malformed]
    return seen


def faults(verdict: Verdict) -> list[str]:
    return [miss.fault for miss in verdict.misses]


def test_what_is_right_has_no_miss(right: World) -> None:
    verdict = judge(right, published(right))

    assert verdict.misses == []
    assert verdict.should_be == verdict.are
    assert all(
        tally.right == tally.expected and not tally.wrong and not tally.missing for tally in verdict.kinds.values()
    )
    assert sum(tally.expected for tally in verdict.kinds.values()) == len(right.cases)


def test_a_change_and_a_sync_may_be_answered_by_one_result(right: World) -> None:
    seen = published(right)
    sync = next(sync for sync in right.syncs if sync.kind == "missing fields")
    change, asked = (one for one in seen.results if one.lead == sync.lead)
    seen.results.remove(change)
    seen.results[seen.results.index(asked)] = replace(asked, causes=change.causes)

    assert judge(right, seen).misses == []


def test_two_events_may_be_answered_by_one_result(right: World) -> None:
    seen = published(right)
    case = next(case for case in right.cases if case.kind == "edited")
    first, then = (one for one in seen.results if one.lead == case.lead)
    seen.results.remove(first)
    seen.results[seen.results.index(then)] = replace(then, causes=(*first.causes, *then.causes))

    assert judge(right, seen).misses == []


def updated(seen: Seen) -> int:
    """The place of a result that a change alone made."""
    return next(
        n
        for n, one in enumerate(seen.results)
        if one.outcome == "updated" and one.causes and one.resolved_by == "search"
    )


def drop_result(seen: Seen) -> None:
    del seen.results[updated(seen)]


def say_twice(seen: Seen) -> None:
    seen.results.append(seen.results[updated(seen)])


def say_again_later(seen: Seen) -> None:
    seen.results.append(replace(seen.results[updated(seen)], sequence=10_000))


def answer_twice(seen: Seen) -> None:
    seen.answers.append(seen.answers[0])


def forget_an_answer(seen: Seen) -> None:
    del seen.answers[0]


def bury_twice(seen: Seen) -> None:
    seen.buried.append(seen.buried[0])


def bury_nothing(seen: Seen) -> None:
    seen.buried.clear()


def alter(**changes: object) -> Callable[[Seen], None]:
    def tamper(seen: Seen) -> None:
        place = updated(seen)
        seen.results[place] = replace(seen.results[place], **changes)  # type: ignore[arg-type]  # fields of several types

    return tamper


def overwrite(seen: Seen) -> None:
    place = updated(seen)
    seen.results[place] = replace(seen.results[place], changes={**seen.results[place].changes, "sentiment": "sold"})


def other_value(seen: Seen) -> None:
    place = updated(seen)
    changes = seen.results[place].changes
    seen.results[place] = replace(seen.results[place], changes=dict.fromkeys(changes, "else"))


def bury_something_good(seen: Seen) -> None:
    seen.buried.append(Buried("not_json", "0" * 64))


def bury_for_another_reason(seen: Seen) -> None:
    seen.buried[0] = replace(seen.buried[0], reason="misrouted")


def speak_of_a_stranger(seen: Seen) -> None:
    seen.results.append(replace(seen.results[0], lead="lead-99-0001"))


def answer_otherwise(seen: Seen) -> None:
    seen.answers[0] = replace(seen.answers[0], outcome="created")


@pytest.mark.parametrize(
    ("tamper", "fault"),
    [
        (drop_result, "lost"),
        (forget_an_answer, "lost"),
        (bury_nothing, "lost"),
        (say_twice, "repeated"),
        (say_again_later, "repeated"),
        (answer_twice, "repeated"),
        (bury_twice, "repeated"),
        (alter(outcome="ambiguous"), "wrong"),
        (alter(contact_id="contact-of-another"), "wrong"),
        (alter(revision=0), "wrong"),
        (alter(lead_updated=False), "wrong"),
        (alter(replaces="contact-old"), "wrong"),
        (alter(reason="may_lag"), "wrong"),
        (alter(resolved_by="scan"), "wrong"),
        (alter(causes=("someone-elses",)), "wrong"),
        (alter(changes={}), "wrong"),
        (overwrite, "wrong"),
        (other_value, "wrong"),
        (speak_of_a_stranger, "wrong"),
        (answer_otherwise, "wrong"),
        (bury_something_good, "wrong"),
        (bury_for_another_reason, "wrong"),
    ],
    ids=lambda given: getattr(given, "__name__", given),
)
def test_each_fault_is_found(right: World, tamper: Callable[[Seen], None], fault: str) -> None:
    seen = published(right)
    tamper(seen)

    assert fault in faults(judge(right, seen))


def test_a_result_for_a_lead_that_needs_none_is_wrong(right: World) -> None:
    seen = published(right)
    asked = {sync.lead for sync in right.syncs}
    case = next(case for case in right.cases if case.kind == "complete" and case.lead not in asked)
    seen.results.append(result(case, Should("unchanged"), 10_000, 1, causes=[f"{case.lead}:1"]))

    verdict = judge(right, seen)
    assert faults(verdict) == ["wrong"]
    assert (verdict.kinds["complete"].wrong, verdict.are["unchanged"] - verdict.should_be["unchanged"]) == (1, 1)


def test_misses_tell_no_value(right: World) -> None:
    """Ids and fields only: what upstream or HighLevel wrote isn't for a terminal."""
    seen = published(right)
    seen.results = [
        replace(one, changes={"phone": "+15559999999", "email": "canary@example.com"}) for one in seen.results
    ]

    told = " ".join(" ".join(miss) for miss in judge(right, seen).misses)
    assert "changes: email" in told
    assert "canary" not in told
    assert "+1555" not in told


def test_waiting_is_over_when_all_that_is_due_has_come(right: World) -> None:
    names = due(right)

    assert {f"request {sync.request_id}" for sync in right.syncs} <= names
    assert {f"buried {one.digest}" for one in right.malformed} <= names
    assert sum(name.startswith("event ") for name in names) == sum(len(case.answers) for case in right.cases)


# the exit code


def summary(verdict: Verdict, calls: Spent, troubles: Sequence[str] = ()) -> Summary:
    return Summary(
        verdict,
        calls,
        leads=1,
        malformed=0,
        syncs=0,
        answered=0,
        latencies_ms=[],
        disturbed_ms=[],
        killed="none yet",
        seconds=1.0,
        troubles=troubles,
    )


def test_a_miss_is_told_and_fails_the_demo(right: World, capsys: pytest.CaptureFixture[str]) -> None:
    seen = published(right)
    drop_result(seen)
    tampered = summary(judge(right, seen), Spent())
    View().summary(tampered)

    told = capsys.readouterr().out
    assert not tampered.passed
    assert "Misses: 1, the first 1:" in told
    assert re.search(r"lost: lead-\d\d-\d{4} in location-\d\d \(.+\): event lead-\S+: no result", told)
    assert "Not all is right." in told


def test_no_miss_passes_the_demo(right: World, capsys: pytest.CaptureFixture[str]) -> None:
    good = summary(judge(right, published(right)), Spent())
    View().summary(good)

    assert good.passed
    assert "All 1 leads came out right" in capsys.readouterr().out


def test_a_trouble_fails_the_demo(right: World) -> None:
    assert not summary(judge(right, published(right)), Spent(), ["worker 1 ended before the demo did."]).passed


# the budget


def paced(calls: int, every_ms: float, status: int = 200) -> list[Arrival]:
    return [Arrival(1_000 + number * every_ms, "search", status) for number in range(calls)]


def test_a_window_is_half_open() -> None:
    """Of two calls exactly 10 s apart the first has left when the second comes."""
    assert spent({"location-01": [Arrival(0, "search", 200), Arrival(10_000, "search", 200)]}).worst_window == 1
    assert spent({"location-01": [Arrival(0, "search", 200), Arrival(9_999, "search", 200)]}).worst_window == 2


def test_overspending_is_found() -> None:
    lawful, greedy = spent({"location-01": paced(400, 111.2)}), spent({"location-01": paced(400, 90)})

    assert list(over_budget(lawful, strays=0)) == []
    assert list(over_budget(greedy, strays=0)) == ["location-01 made 112 calls in 10 s; HighLevel allows 100."]


def test_a_refused_call_and_a_stray_one_are_told() -> None:
    told = list(over_budget(spent({"location-01": paced(2, 111, status=429)}), strays=1))

    assert told == ["2 calls were refused (429).", "1 calls told no location, so nobody's budget paid for them."]


def test_use_is_measured_while_something_was_waiting() -> None:
    """A call each 111 ms is the full pace; what comes a minute later is another stretch."""
    calls = [*paced(91, 1_000 / 9), Arrival(70_000, "contact", 200)]
    (busy,) = spent({"location-01": calls, "location-02": paced(5, 111)}).busiest

    assert (busy.location, busy.calls, round(busy.seconds, 3), round(busy.use, 3)) == ("location-01", 91, 10.0, 1.0)
