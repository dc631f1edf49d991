"""The `Api` port: one response per call, and its outcome, on the simulator's HighLevel and on the client with the sandbox.

| Difference between fake and real | So |
|---|---|
| Connecting fails in the fake only by taking too long | refused connections, TLS and DNS are tested on the client alone |
| The fake never sends a 404, or a body that isn't JSON | both are tested on the client alone |
| A lost response ends with a time-out in the fake, with a reset in the sandbox | both are `Lost` |
| The sandbox routes an id with a slash nowhere, the fake doesn't know such a contact | no test has such an id |
"""

import asyncio
from abc import ABC, abstractmethod
from typing import Final, Literal

import pytest

from processor.engine.ports import Api
from processor.highlevel.requests import (
    Call,
    CallRequest,
    ExportMessages,
    GetContact,
    LeadQuestion,
    ListContacts,
    Question,
    QuestionKind,
    Search,
)
from processor.highlevel.responses import (
    AuthProblem,
    Exported,
    Found,
    Gone,
    Lost,
    Page,
    Refused,
    Response,
    Throttled,
    Unauthorized,
    Unavailable,
    Unsent,
)
from processor.ratelimit.budget import Permit

Disturbance = Literal["429", "5xx", "foreign 403", "reset", "hang", "lost"]

location: Final = "location-1"
contact_id: Final = "contact-1"
email: Final = "ann@example.com"
limit: Final = 10  # calls in 10 s


class ApiStage(ABC):
    """HighLevel with one contact, and a worker's way there."""

    api: Api

    @abstractmethod
    def now(self) -> int:
        """Return the time by which permits are made, in ms since 1970."""

    @abstractmethod
    def arrivals(self) -> int:
        """Return the number of requests that have arrived so far."""

    @abstractmethod
    def disturb(self, how: Disturbance) -> None:
        """Let this come of every call from now on. A 429 has each form of Retry-After now and then."""

    @abstractmethod
    def refuse_token(self, why: AuthProblem) -> None:
        """Let HighLevel refuse the worker's token from now on."""

    async def call(self, what: CallRequest, slot: int = 0, send_within_ms: int = 2_000) -> Response:
        now = self.now()
        asks = (LeadQuestion("lead-1", email_question(email)),) if isinstance(what, Search) else ()
        return await self.api.call(Call(Permit(location, slot, now, now + send_within_ms), what, asks))

    async def search(self, slot: int = 0, send_within_ms: int = 2_000) -> Response:
        return await self.call(by_email(email), slot, send_within_ms)


def by_email(*emails: str) -> Search:
    return Search(location, tuple(email_question(email) for email in emails))


def email_question(email: str) -> Question:
    return Question(QuestionKind.EMAIL, email)


each_kind = pytest.mark.parametrize("what", [by_email(email), GetContact(location, contact_id)], ids=["POST", "GET"])


class ApiSuite:
    # whole responses

    async def test_a_search_finds_a_contact(self, stage: ApiStage) -> None:
        response = await stage.search()

        assert isinstance(response.outcome, Found)
        assert ([contact_id], 1, 200) == (
            [one.id for one in response.outcome.contacts],
            response.outcome.total,
            response.status,
        )

    async def test_a_search_takes_many_values(self, stage: ApiStage) -> None:
        response = await stage.call(by_email("unknown@example.com", email, "none@example.com"))

        assert isinstance(response.outcome, Found)
        assert [contact_id] == [one.id for one in response.outcome.contacts]

    async def test_a_search_without_a_match_finds_nothing(self, stage: ApiStage) -> None:
        assert Found((), 0) == (await stage.call(by_email("unknown@example.com"))).outcome

    async def test_a_get_returns_the_contact(self, stage: ApiStage) -> None:
        response = await stage.call(GetContact(location, contact_id))

        assert isinstance(response.outcome, Found)
        assert [contact_id] == [one.id for one in response.outcome.contacts]

    async def test_a_get_of_a_missing_contact_says_so(self, stage: ApiStage) -> None:
        response = await stage.call(GetContact(location, "missing"))

        assert (Gone(), 400) == (response.outcome, response.status)

    async def test_a_scan_returns_a_page(self, stage: ApiStage) -> None:
        response = await stage.call(ListContacts(location, "job-1", 0))

        assert isinstance(response.outcome, Page)
        assert ([contact_id], False) == ([one.id for one in response.outcome.contacts], response.outcome.full)

    async def test_an_export_returns_a_page_of_messages(self, stage: ApiStage) -> None:
        assert Exported((), 0, None) == (await stage.call(ExportMessages(location, contact_id))).outcome

    async def test_an_unreadable_search_is_refused(self, stage: ApiStage) -> None:
        assert Refused(422) == (await stage.call(by_email("x" * 76))).outcome

    async def test_responses_carry_the_remaining_budget(self, stage: ApiStage) -> None:
        found = [(await stage.search(slot)).headers for slot in range(3)]

        assert [(limit, 9), (limit, 8), (limit, 7)] == [(one.limit, one.remaining) for one in found if one]

    # one response per call

    async def test_each_call_gets_the_response_to_itself(self, stage: ApiStage) -> None:
        missing = GetContact(location, "missing")
        calls = [stage.call(missing, slot) if slot % 2 else stage.search(slot) for slot in range(limit)]
        responses = await asyncio.gather(*calls)

        assert [*range(limit)] == [response.call.permit.slot for response in responses]
        assert [Found, Gone] * (limit // 2) == [type(response.outcome) for response in responses]
        assert limit == stage.arrivals()

    async def test_calls_beyond_the_limit_are_throttled_and_count(self, stage: ApiStage) -> None:
        outcomes = [(await stage.search(slot)).outcome for slot in range(limit + 2)]

        assert [Found] * limit + [Throttled] * 2 == [type(outcome) for outcome in outcomes]
        assert limit + 2 == stage.arrivals()

    async def test_a_call_past_its_deadline_is_not_sent(self, stage: ApiStage) -> None:
        response = await stage.search(send_within_ms=-1)

        assert (Unsent("late"), None, 0) == (response.outcome, response.status, stage.arrivals())

    @each_kind
    async def test_a_reset_makes_no_second_request(self, stage: ApiStage, what: CallRequest) -> None:
        stage.disturb("reset")
        response = await stage.call(what)

        assert (Lost("reset"), None, 1) == (response.outcome, response.status, stage.arrivals())

    @each_kind
    async def test_a_response_that_never_comes_is_lost(self, stage: ApiStage, what: CallRequest) -> None:
        stage.disturb("hang")
        response = await stage.call(what, send_within_ms=100)

        assert (Lost("timeout"), None, 1) == (response.outcome, response.status, stage.arrivals())

    async def test_a_response_that_is_lost_on_its_way_is_lost(self, stage: ApiStage) -> None:
        stage.disturb("lost")
        outcomes = [(await stage.search(slot)).outcome for slot in range(3)]

        assert [Lost] * 3 == [type(outcome) for outcome in outcomes]
        assert stage.arrivals() <= 3

    # refusals

    async def test_a_429_says_how_long_to_wait_or_nothing(self, stage: ApiStage) -> None:
        """Seconds, a date, or no Retry-After at all."""
        stage.disturb("429")
        waits = set()
        for slot in range(limit):
            response = await stage.search(slot)
            assert isinstance(response.outcome, Throttled)
            assert response.status == 429
            waits.add(response.outcome.retry_after_ms)

        assert None in waits
        assert all(1_000 <= wait <= 5_000 for wait in waits - {None} if wait is not None)
        assert len(waits) > 1

    async def test_a_5xx_is_unavailable(self, stage: ApiStage) -> None:
        stage.disturb("5xx")
        response = await stage.search()

        assert response.status in (500, 502, 503)
        assert Unavailable(f"status {response.status}") == response.outcome

    async def test_a_403_of_a_gateway_says_nothing_of_the_token(self, stage: ApiStage) -> None:
        stage.disturb("foreign 403")
        response = await stage.search()

        assert (Unavailable("status 403"), 403, None) == (response.outcome, response.status, response.token)

    @pytest.mark.parametrize(("why", "status"), [("expired", 401), ("revoked", 401), ("scope", 401), ("location", 403)])
    async def test_a_refused_token_is_named_by_its_fingerprint(
        self, stage: ApiStage, why: AuthProblem, status: int
    ) -> None:
        stage.refuse_token(why)
        response = await stage.search()

        assert (Unauthorized(why), status) == (response.outcome, response.status)
        assert stage.api.fingerprint(location) == response.token is not None
