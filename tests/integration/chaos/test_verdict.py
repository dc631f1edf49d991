"""Whatever spoils a run is objected to: each test takes what a right one leaves, and spoils it in one way."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import orjson
import pytest

from processor.events.cloudevents import Record
from tests.integration.chaos.load import load, where
from tests.integration.chaos.outputs import letter, right
from tests.integration.chaos.verdict import Seen, Verdict, judged
from tests.lab.harness.calls import Arrival

made: Final = load(1, 24)
whole: Final = right(made)
none_wrong: Final = Seen({where["first"]: [Arrival(100.0 * each, "search", 200) for each in range(300)]}, 0)
edited: Final = next(name for name, versions in made.versions.items() if len(versions) > 1)
Spoil = Callable[[list[Record]], Sequence[Record]]


def verdict(told: Sequence[Record], seen: Seen = none_wrong, said: str = "") -> Verdict:
    return judged(made, told, seen, {"worker": said})


def first(told: Sequence[Record], kind: str, **data: object) -> int:
    """Where it is: the first record of the type whose data are these, among others."""
    return next(number for number, one in enumerate(told) if fits(one, kind, data))


def fits(record: Record, kind: str, wanted: Mapping[str, object]) -> bool:
    if record.topic == "dead.letters":
        return kind == "dead letter"
    told = orjson.loads(record.value or b"")
    return told["type"] == kind and all(told["data"].get(name) == value for name, value in wanted.items())


def without(kind: str, **data: object) -> Spoil:
    def spoil(told: list[Record]) -> Sequence[Record]:
        del told[first(told, kind, **data)]
        return told

    return spoil


def twice(kind: str, **data: object) -> Spoil:
    return lambda told: [*told, told[first(told, kind, **data)]]


def other(kind: str, wanted: Mapping[str, object], **changes: Any) -> Spoil:
    """With other data."""

    def spoil(told: list[Record]) -> Sequence[Record]:
        number = first(told, kind, **wanted)
        said = orjson.loads(told[number].value or b"")
        told[number] = replace(told[number], value=orjson.dumps({**said, "data": {**said["data"], **changes}}))
        return told

    return spoil


def older(told: list[Record]) -> Sequence[Record]:
    """The last result of the lead is followed by one that has seen less."""
    said = orjson.loads(told[first(told, "lead.synced", lead_id=edited)].value or b"")
    version = made.versions[edited][0]
    data = {**said["data"], "revision": 1, "changes": version.gained, "causes": [], "sequence": 2}
    return [*told, replace(told[0], value=orjson.dumps({**said, "data": data}))]


miscounted: Final = other(
    "sync.completed", {"request_id": "backfill", "updated": 0}, updated=1, leads_done=1, leads_total=1
)


def test_a_right_run_has_no_flaw() -> None:
    assert Verdict((), (), ()) == verdict(whole)


@pytest.mark.parametrize(
    "spoil",
    [
        without("lead.synced", lead_id=edited),
        other("lead.synced", {"lead_id": edited}, revision=1),
        without("lead.synced", location_id=where["town"]),
        other("lead.synced", {"lead_id": min(made.backfilled)}, causes=[]),
        without("sync.answered"),
        without("sync.completed", request_id="town"),
        without("sync.completed", request_id="backfill"),
        without("lead.message.imported"),
        without("dead letter"),
    ],
    ids=[
        "a result",
        "an edit",
        "a resident's result",
        "a result of the backfill",
        "an answer",
        "the end of a Sync All",
        "the end of a backfill's partition",
        "a message",
        "a dead letter",
    ],
)
def test_what_is_missing_is_lost(spoil: Spoil) -> None:
    assert verdict(spoil([*whole])).lost


@pytest.mark.parametrize(
    "spoil",
    [
        twice("lead.synced", lead_id=min(made.backfilled)),
        twice("sync.answered"),
        twice("sync.started", request_id="town"),
        twice("sync.completed", request_id="town"),
        twice("sync.completed", request_id="backfill"),
        twice("lead.message.imported"),
        twice("dead letter"),
    ],
    ids=[
        "a result",
        "an answer",
        "the start of a Sync All",
        "the end of a Sync All",
        "the end of a backfill's partition",
        "a message",
        "a dead letter",
    ],
)
def test_what_comes_twice_is_repeated(spoil: Spoil) -> None:
    found = verdict(spoil([*whole]))

    assert found.repeated
    assert () == found.lost


@pytest.mark.parametrize(
    ("spoil", "flaw"),
    [
        (older, "revision 1 comes after"),
        (twice("lead.synced", lead_id=edited), "sequence 1 comes after 1"),
        (other("lead.synced", {"lead_id": edited}, changes={}), "is updated, None, []"),
        (other("lead.synced", {"lead_id": edited}, outcome="failed"), "is failed"),
        (other("sync.answered", {}, request_id="request-nobody's"), "nobody asked for it"),
        (other("sync.completed", {"request_id": "town"}, updated=1), "updated: 1, not"),
        (miscounted, "it counts 1 updated, 0 results say so"),
        (other("lead.message.imported", {}, contact_id="somebody"), "is not as it was said"),
        (lambda told: [*told, letter(b"{}", 1_000)], "is buried, and was right"),
    ],
)
def test_what_is_wrong_is_told(spoil: Spoil, flaw: str) -> None:
    assert [] != [one for one in verdict(spoil([*whole])).other if flaw in one]


@pytest.mark.parametrize(
    ("seen", "flaw"),
    [
        (
            Seen({where["first"]: [Arrival(99.0 * each, "search", 200) for each in range(101)]}, 0),
            "made 101 calls in 10 s",
        ),
        (Seen(none_wrong.arrivals, 1), "1 calls were refused (429), and nobody injected it"),
        (Seen({**none_wrong.arrivals, "": [Arrival(0, "search", 400)]}, 0), "1 calls told no location"),
    ],
)
def test_an_overspent_budget_is_told(seen: Seen, flaw: str) -> None:
    assert [] != [one for one in verdict(whole, seen).other if flaw in one]


def test_an_injected_429_is_no_flaw() -> None:
    seen = Seen({where["first"]: [Arrival(0, "search", 429)]}, 0)

    assert Verdict((), (), ()) == verdict(whole, seen)


def test_personal_data_in_a_log_is_told() -> None:
    assert ("worker told of canary",) == verdict(whole, said="Canarygiven1 couldn't be found").other
