"""What becomes of events that are odd: astray, too large, repeated, too late, wrong, or about leads that nobody knows.

One worker hears all of it once; each test looks at its part. Every kind has a location of its own, so that calls tell whose they are.
"""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import uuid4

import orjson
import pytest

from processor.events.cloudevents import Record
from processor.kafka import Tail
from processor.shard.store import OutRecord
from processor.topics import INPUT_TOPICS, home
from tests.integration.canaries import Lead, event, places
from tests.integration.judge import data
from tests.integration.stage import Stage, stage
from tests.lab.kafka_node import Broker

pytestmark = pytest.mark.integration

partitions: Final = 4
mebibyte: Final = 1024 * 1024
kinds: Final = (
    "astray", "strayed twice", "large", "repeated", "late", "unknown", "in time", "deleted", "loading", "invalid"
)  # fmt: skip
where: Final = dict(zip(kinds, places(len(kinds), partitions), strict=True))
who: Final = {kind: [Lead(where[kind], 100 * number + each) for each in range(4)] for number, kind in enumerate(kinds)}


def elsewhere(out: OutRecord, strayed_before: bool = False) -> OutRecord:
    """On a partition that isn't its home."""
    headers = (("hydrant-rehomed", b"1"),) if strayed_before else ()
    return replace(out, partition=(home(out.key.decode(), partitions) + 1) % partitions, headers=headers)


def as_long_as(size: int, out: OutRecord) -> OutRecord:
    """The same event, with a field that nobody knows, its value so many bytes long."""
    assert out.value
    room = size - len(out.value) - len(',"canary":""')
    return replace(out, value=out.value[:-1] + b',"canary":"' + b"x" * room + b'"}')


def with_data(out: OutRecord, **more: object) -> OutRecord:
    """The same event, some of its data replaced."""
    assert out.value
    whole = orjson.loads(out.value)
    return replace(out, value=orjson.dumps(whole | {"data": whole["data"] | more}))


first, second, third, fourth = range(4)
strayed: Final = (
    elsewhere(who["strayed twice"][first].change(), strayed_before=True),
    elsewhere(who["strayed twice"][second].sync("strayed-twice"), strayed_before=True),
)
too_large: Final = as_long_as(mebibyte + 1, who["large"][first].change())
wrong: Final = (
    with_data(who["invalid"][first].sync("wrong-lane"), lane="canary"),
    with_data(who["invalid"][first].sync("wrong-id"), request_id="canary 17"),
    event(
        "sync.requests",
        "sync.lead.requested",
        {"request_id": "no-lead", "location_id": where["invalid"], "lead_id": None},
        "no-lead",
    ),
    replace(who["invalid"][first].change(), value=b"canary.mail.17@example.com"),
)
"""Of these only the first one says whom to answer."""

before_anybody_listens: Final = (
    elsewhere(who["astray"][first].change()),
    elsewhere(who["astray"][second].sync("astray", lead=who["astray"][second].known())),
    elsewhere(who["astray"][second].sync("astray", lead=who["astray"][second].known())),
    *strayed,
    too_large,
    as_long_as(mebibyte, who["large"][second].change()),
    who["repeated"][first].change(),
    who["repeated"][first].sync("repeated"),
    who["repeated"][first].sync("repeated"),
    who["late"][first].change(loading=True),
    who["late"][first].sync("late", deadline_s=1),
    *(lead.change(loading=True) for lead in who["loading"]),
    who["deleted"][first].change(loading=True),
    who["deleted"][first].deletion(revision=7),
    *wrong,
    replace(who["invalid"][second].change(), value=None),
)
once_it_runs: Final = (
    who["repeated"][first].sync("repeated"),
    who["deleted"][first].sync("deleted"),
    who["unknown"][first].sync("unknown"),
    who["in time"][first].sync("in-time"),
    who["loading"][fourth].sync("loaded"),
)
found: Final = (
    who["astray"][first],
    who["astray"][second],
    who["large"][second],
    who["repeated"][first],
    who["in time"][first],
    who["loading"][fourth],
)  # the leads that were looked up
requests: Final = (
    "astray", "strayed-twice", "repeated", "late", "deleted", "unknown", "in-time", "loaded", "wrong-lane"
)  # fmt: skip


@dataclass(frozen=True)
class Played:
    flaws: list[str]
    calls: Mapping[str, int]  # by location
    inputs: list[Record]
    outputs: list[Record]
    prefix: str

    def results(self, kind: str) -> list[dict[str, Any]]:
        return [one for one in data(self.outputs, "lead.updates", "lead.synced") if one["location_id"] == where[kind]]

    def answers(self, *names: str) -> list[tuple[str, str, str | None]]:
        told = data(self.outputs, "sync.progress", "sync.answered")
        return [(one["request_id"], one["outcome"], one["reason"]) for one in told if one["request_id"] in names]

    def arrived(self, out: OutRecord) -> Record:
        """As upstream published it."""
        return next(one for one in self.inputs if one.topic == out.topic and one.value == out.value)

    def letters(self) -> dict[tuple[str, str, str], tuple[str, bytes | None, bytes | None]]:
        """Topic, partition and offset of what was buried → reason, key and value of its letter."""
        letters = [one for one in self.outputs if one.topic == "dead.letters"]
        said = [{name: value.decode() for name, value in one.headers} for one in letters]
        return {
            (why["hydrant-topic"], why["hydrant-partition"], why["hydrant-offset"]): (
                why["hydrant-reason"],
                one.key,
                one.value,
            )
            for one, why in zip(letters, said, strict=True)
        }


@pytest.fixture(scope="module")
def played(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Played:
    async def play() -> Played:
        prefix = f"test-{uuid4().hex[:12]}."
        async with stage(broker.bootstrap, prefix, tmp_path_factory.mktemp("events"), partitions) as here:
            return await hear_all(here)

    return asyncio.run(play())


async def hear_all(here: Stage) -> Played:
    highlevel = here.highlevel(lead for leads in who.values() for lead in leads)
    await here.publish(before_anybody_listens)
    await asyncio.sleep(1.5)  # by then "late" is past its deadline
    await here.shared(here.worker("only", highlevel))
    await here.answered((), ["repeated"])
    await here.publish(once_it_runs)
    await here.answered((), ["loaded"])
    await here.publish([who["in time"][first].change()])
    await here.answered(found, requests)
    flaws = await here.flaws(found, requests)
    calls = {location: len(arrivals) for location, arrivals in highlevel.log().items()}
    async with Tail(here.config, INPUT_TOPICS, start="start", follow=False) as tail:
        inputs = [record async for record in tail]
    return Played(flaws, calls, inputs, here.heard, here.config.prefix)


def test_all_of_them_come_out_right(played: Played) -> None:
    """Found and filled, answered once, within the budget, and nothing personal told."""
    assert [] == played.flaws


def test_only_leads_that_are_looked_up_cost_a_call(played: Played) -> None:
    """Not those that load, were deleted, are buried, or come too late."""
    expected = {location: sum(lead.location == location for lead in found) for location in where.values()}
    assert {location: calls for location, calls in expected.items() if calls} == played.calls


def test_a_stray_event_is_sent_home_as_it_is(played: Played) -> None:
    """Key, value and time are the original's; the header says that it has strayed."""
    sent = before_anybody_listens[0]
    found_twice = [one for one in played.inputs if one.value == sent.value]
    original, copy = sorted(found_twice, key=lambda one: len(one.headers))

    assert sent.partition == original.partition
    assert replace(original, partition=home(where["astray"], partitions), headers=(("hydrant-rehomed", b"1"),)) == (
        replace(copy, offset=original.offset)
    )


def test_what_no_retry_cures_is_buried_and_nothing_else(played: Played) -> None:
    """As it came; of what is too large only size and digest."""
    assert too_large.value
    digest = {"size": mebibyte + 1, "sha256": hashlib.sha256(too_large.value).hexdigest()}
    buried = {
        **dict.fromkeys(strayed, "misrouted"),
        **dict.fromkeys(wrong[:3], "invalid_field"),
        wrong[3]: "not_json",
        too_large: "too_large",
    }
    letters = {}
    for out, reason in buried.items():
        place = played.arrived(out)
        value = orjson.dumps(digest) if out is too_large else out.value
        at = f"{played.prefix}{out.topic}", str(place.partition), str(place.offset)
        letters[at] = reason, out.key, value

    assert letters == played.letters()


def test_a_buried_request_is_answered(played: Played) -> None:
    """Where its ids can be read."""
    assert [("strayed-twice", "failed", "invalid")] == played.answers("strayed-twice")
    assert [("wrong-lane", "failed", "invalid")] == played.answers("wrong-lane", "wrong-id", "no-lead")


def test_a_request_past_its_deadline_fails_at_once(played: Played) -> None:
    assert [("late", "failed", "deadline")] == played.answers("late")
    assert [None] == [one["hydrated_from"] for one in played.results("late")]


def test_a_deleted_lead_is_told_with_the_deletions_revision(played: Played) -> None:
    expected = ("failed", "lead_deleted", 7)
    assert [expected] == [(one["outcome"], one["reason"], one["revision"]) for one in played.results("deleted")]


def test_an_unknown_lead_is_waited_for(played: Played) -> None:
    """Up to 10 s; one that comes meanwhile is synced."""
    (result,) = played.results("unknown")

    assert ("failed", "unknown_lead", None) == (result["outcome"], result["reason"], result["revision"])
    assert 10_000 <= result["timings_ms"]["total"] <= 20_000
    assert [("in-time", "updated", None)] == played.answers("in-time")


def test_loading_leads_wait_for_somebody_to_ask(played: Played) -> None:
    assert [who["loading"][fourth].id] == [one["lead_id"] for one in played.results("loading")]
