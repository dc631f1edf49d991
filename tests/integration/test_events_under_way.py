"""Test odd events: misrouted, too large, repeated, too late, invalid, or about unknown leads.

One worker ingests all of them once; each test looks at its part. Every kind has a location of its own, so that calls can be
attributed.
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
from tests.integration.trial import Trial, trial
from tests.lab.kafka_node import Broker

pytestmark = pytest.mark.integration

partitions: Final = 4
mebibyte: Final = 1024 * 1024
kinds: Final = (
    "misrouted", "misrouted twice", "large", "repeated", "late", "unknown", "in time", "deleted", "loading", "invalid"
)  # fmt: skip
where: Final = dict(zip(kinds, places(len(kinds), partitions), strict=True))
who: Final = {kind: [Lead(where[kind], 100 * number + each) for each in range(4)] for number, kind in enumerate(kinds)}


def elsewhere(out: OutRecord, forwarded_before: bool = False) -> OutRecord:
    """Return the record for a partition that isn't its home."""
    headers = (("hydrant-rehomed", b"1"),) if forwarded_before else ()
    return replace(out, partition=(home(out.key.decode(), partitions) + 1) % partitions, headers=headers)


def as_long_as(size: int, out: OutRecord) -> OutRecord:
    """Return the event with an unknown field that makes its value so many bytes long."""
    assert out.value
    room = size - len(out.value) - len(',"canary":""')
    return replace(out, value=out.value[:-1] + b',"canary":"' + b"x" * room + b'"}')


def with_data(out: OutRecord, **more: object) -> OutRecord:
    """Return the event with some of its data replaced."""
    assert out.value
    whole = orjson.loads(out.value)
    return replace(out, value=orjson.dumps(whole | {"data": whole["data"] | more}))


first, second, third, fourth = range(4)
misrouted_twice: Final = (
    elsewhere(who["misrouted twice"][first].change(), forwarded_before=True),
    elsewhere(who["misrouted twice"][second].sync("misrouted-twice"), forwarded_before=True),
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
"""Only the first of these has the ids of a request, so only it is answered."""

before_the_worker_starts: Final = (
    elsewhere(who["misrouted"][first].change()),
    elsewhere(who["misrouted"][second].sync("misrouted", lead=who["misrouted"][second].known())),
    elsewhere(who["misrouted"][second].sync("misrouted", lead=who["misrouted"][second].known())),
    *misrouted_twice,
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
    who["misrouted"][first],
    who["misrouted"][second],
    who["large"][second],
    who["repeated"][first],
    who["in time"][first],
    who["loading"][fourth],
)  # the leads that were looked up
requests: Final = (
    "misrouted", "misrouted-twice", "repeated", "late", "deleted", "unknown", "in-time", "loaded", "wrong-lane"
)  # fmt: skip


@dataclass(frozen=True)
class Observed:
    flaws: list[str]
    calls: Mapping[str, int]  # by location
    inputs: list[Record]
    outputs: list[Record]
    prefix: str

    def results(self, kind: str) -> list[dict[str, Any]]:
        return [one for one in data(self.outputs, "lead.updates", "lead.synced") if one["location_id"] == where[kind]]

    def answers(self, *names: str) -> list[tuple[str, str, str | None]]:
        records = data(self.outputs, "sync.progress", "sync.answered")
        return [(one["request_id"], one["outcome"], one["reason"]) for one in records if one["request_id"] in names]

    def arrived(self, out: OutRecord) -> Record:
        """Return the input record as upstream published it."""
        return next(one for one in self.inputs if one.topic == out.topic and one.value == out.value)

    def letters(self) -> dict[tuple[str, str, str], tuple[str, bytes | None, bytes | None]]:
        """Return reason, key and value of each dead letter, by topic, partition and offset of the input."""
        letters = [one for one in self.outputs if one.topic == "dead.letters"]
        headers = [{name: value.decode() for name, value in one.headers} for one in letters]
        return {
            (why["hydrant-topic"], why["hydrant-partition"], why["hydrant-offset"]): (
                why["hydrant-reason"],
                one.key,
                one.value,
            )
            for one, why in zip(letters, headers, strict=True)
        }


@pytest.fixture(scope="module")
def observed(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Observed:
    async def play() -> Observed:
        prefix = f"test-{uuid4().hex[:12]}."
        async with trial(broker.bootstrap, prefix, tmp_path_factory.mktemp("events"), partitions) as here:
            return await run_all(here)

    return asyncio.run(play())


async def run_all(here: Trial) -> Observed:
    highlevel = here.start_highlevel(lead for leads in who.values() for lead in leads)
    await here.publish(before_the_worker_starts)
    await asyncio.sleep(1.5)  # by then "late" is past its deadline
    await here.wait_until_shared(here.start_worker("only", highlevel))
    await here.wait_for_leads((), ["repeated"])
    await here.publish(once_it_runs)
    await here.wait_for_leads((), ["loaded"])
    await here.publish([who["in time"][first].change()])
    await here.wait_for_leads(found, requests)
    flaws = await here.flaws(found, requests)
    calls = {location: len(arrivals) for location, arrivals in highlevel.arrivals_by_location().items()}
    async with Tail(here.config, INPUT_TOPICS, start="start", follow=False) as tail:
        inputs = [record async for record in tail]
    return Observed(flaws, calls, inputs, here.outputs, here.config.prefix)


def test_all_events_come_out_right(observed: Observed) -> None:
    """Leads are found and filled, requests answered once, the budget kept, and no personal data leaks."""
    assert [] == observed.flaws


def test_only_leads_that_are_looked_up_cost_a_call(observed: Observed) -> None:
    """Leads that load, were deleted, are dead-lettered or come too late cost no call."""
    expected = {location: sum(lead.location == location for lead in found) for location in where.values()}
    assert {location: calls for location, calls in expected.items() if calls} == observed.calls


def test_a_misrouted_event_is_forwarded_home_unchanged(observed: Observed) -> None:
    """Key, value and time are the original's; a header marks it as forwarded."""
    sent = before_the_worker_starts[0]
    found_twice = [one for one in observed.inputs if one.value == sent.value]
    original, copy = sorted(found_twice, key=lambda one: len(one.headers))

    assert sent.partition == original.partition
    assert replace(original, partition=home(where["misrouted"], partitions), headers=(("hydrant-rehomed", b"1"),)) == (
        replace(copy, offset=original.offset)
    )


def test_only_what_no_retry_cures_is_dead_lettered(observed: Observed) -> None:
    """The letter has the record as it came; of one that is too large, only size and digest."""
    assert too_large.value
    digest = {"size": mebibyte + 1, "sha256": hashlib.sha256(too_large.value).hexdigest()}
    reasons = {
        **dict.fromkeys(misrouted_twice, "misrouted"),
        **dict.fromkeys(wrong[:3], "invalid_field"),
        wrong[3]: "not_json",
        too_large: "too_large",
    }
    letters = {}
    for out, reason in reasons.items():
        place = observed.arrived(out)
        value = orjson.dumps(digest) if out is too_large else out.value
        at = f"{observed.prefix}{out.topic}", str(place.partition), str(place.offset)
        letters[at] = reason, out.key, value

    assert letters == observed.letters()


def test_a_dead_lettered_request_is_answered(observed: Observed) -> None:
    """It is answered if its ids can be read."""
    assert [("misrouted-twice", "failed", "invalid")] == observed.answers("misrouted-twice")
    assert [("wrong-lane", "failed", "invalid")] == observed.answers("wrong-lane", "wrong-id", "no-lead")


def test_a_request_past_its_deadline_fails_at_once(observed: Observed) -> None:
    assert [("late", "failed", "deadline")] == observed.answers("late")
    assert [None] == [one["hydrated_from"] for one in observed.results("late")]


def test_a_deleted_lead_has_the_deletions_revision(observed: Observed) -> None:
    expected = ("failed", "lead_deleted", 7)
    assert [expected] == [(one["outcome"], one["reason"], one["revision"]) for one in observed.results("deleted")]


def test_an_unknown_lead_is_waited_for(observed: Observed) -> None:
    """It is waited for up to 10 s; a lead that comes meanwhile is synced."""
    (result,) = observed.results("unknown")

    assert ("failed", "unknown_lead", None) == (result["outcome"], result["reason"], result["revision"])
    assert 10_000 <= result["timings_ms"]["total"] <= 20_000
    assert [("in-time", "updated", None)] == observed.answers("in-time")


def test_loading_leads_wait_for_a_request(observed: Observed) -> None:
    assert [who["loading"][fourth].id] == [one["lead_id"] for one in observed.results("loading")]
