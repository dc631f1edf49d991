"""Call the simulator as a client does, in the same process and on a clock that tests advance."""

import asyncio
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from processor.sandbox.asgi import ResponseStyle, Sandbox
from processor.sandbox.directory import Directory
from processor.sandbox.faults import Fault
from processor.sandbox.limiter import RateLimits
from processor.sandbox.server import create_app
from tests.unit.sandbox.conftest import jane_id, plain_search

pytestmark = pytest.mark.asyncio
by_email = {**plain_search, "filters": [{"field": "email", "operator": "eq", "value": "jane@example.com"}]}


async def test_a_contact_is_found_by_email_and_got_by_id(http: Any) -> None:
    found = await http.post("/contacts/search", json=by_email)
    got = await http.get(f"/contacts/{jane_id}")

    assert (200, 1) == (found.status_code, found.json()["total"])
    [result] = found.json()["contacts"]
    assert (jane_id, "jane", "1 Main St", ["j@example.org"], "Jane") == (
        result["id"],
        result["firstName"],
        result["address"],
        result["additionalEmails"],
        result["firstNameRaw"],
    )
    contact = got.json()["contact"]
    assert ("Jane", "1 Main St", [{"email": "j@example.org"}], "America/Denver") == (
        contact["firstName"],
        contact["address1"],
        contact["additionalEmails"],
        contact["timezone"],
    )
    assert found.json()["traceId"] != got.json()["traceId"]
    assert "application/json; charset=utf-8" == got.headers["content-type"]


async def test_raw_names_are_a_switch_also_of_one_location(sandbox: Sandbox, http: Any) -> None:
    async def shows_them() -> bool:
        found = await http.post("/contacts/search", json=by_email)
        return "firstNameRaw" in found.json()["contacts"][0]

    assert await shows_them()
    sandbox.directory.location("here").raw_names = False
    assert not await shows_them()
    sandbox.directory.location("here").raw_names = None
    sandbox.directory.raw_names = False
    assert not await shows_them()


no_access = "The token does not have access to this location."
no_limit = ["pageLimit must be a number conforming to the specified constraints"]


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status", "message"),
    [
        ("GET", "/contacts/unknown", {}, None, 400, "Contact with id unknown not found"),
        ("GET", f"/contacts/{jane_id}", {"Version": ""}, None, 401, "version header was not found."),
        ("GET", f"/contacts/{jane_id}", {"Version": "2020"}, None, 401, "version header is invalid"),
        ("GET", f"/contacts/{jane_id}", {"Authorization": ""}, None, 401, "Invalid token: access token is invalid"),
        ("POST", "/contacts/search", {"Authorization": "Bearer x"}, plain_search, 401, "Invalid Private Integration token"),
        ("GET", f"/contacts/{jane_id}", {"Authorization": "Bearer of there"}, None, 403, no_access),
        ("POST", "/contacts/search", {"Authorization": "Bearer of there"}, plain_search, 403, no_access),
        ("POST", "/contacts/search", {}, {"locationId": "here"}, 422, no_limit),
        ("POST", "/contacts/search", {}, {**plain_search, "x": 1}, 422, ["property x should not exist"]),
        ("GET", "/contacts/search/duplicate", {}, None, 404, "Cannot GET /contacts/search/duplicate"),
        ("PATCH", "/contacts/search", {}, plain_search, 404, "Cannot PATCH /contacts/search"),
    ],
)  # fmt: skip
async def test_a_wrong_call_is_refused_in_highlevels_words(
    directory: Directory, client: Any, method: str, path: str, headers: Any, body: Any, status: int, message: Any
) -> None:
    directory.tokens = {"sandbox": None, "of there": "there"}
    response = await client(create_app(directory)).request(method, path, headers=headers, json=body)

    titles = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 422: "Unprocessable Entity"}
    got = response.json()
    assert got.pop("traceId")
    assert {"statusCode": status, "message": message, "error": titles[status]} == got
    assert status == response.status_code
    assert "x-ratelimit-remaining" in response.headers


async def test_a_body_that_is_no_json_is_refused(http: Any) -> None:
    for content in (b"", b"{"):
        assert 400 == (await http.post("/contacts/search", content=content)).status_code


async def test_cloudflare_bans_a_client_without_a_name(http: Any) -> None:
    response = await http.get(f"/contacts/{jane_id}", headers={"User-Agent": "Python-urllib/3.11"})

    assert (403, "text/html; charset=UTF-8") == (response.status_code, response.headers["content-type"])


async def test_every_response_names_the_budget_left(http: Any, clock: Any) -> None:
    await http.post("/contacts/search", json=plain_search)
    clock.advance(60)
    response = await http.get(f"/contacts/{jane_id}")

    limits = {name: value for name, value in response.headers.items() if name.startswith("x-ratelimit")}
    assert {
        "x-ratelimit-limit-daily": "200000",
        "x-ratelimit-daily-remaining": "199998",
        "x-ratelimit-daily-reset": "86340000",
        "x-ratelimit-interval-milliseconds": "10000",
        "x-ratelimit-max": "100",
        "x-ratelimit-remaining": "99",
    } == limits


async def test_a_client_that_overspends_is_caught(sandbox: Sandbox, http: Any) -> None:
    """20 of 120 calls at once are refused, and the report shows it."""
    responses = await asyncio.gather(*(http.post("/contacts/search", json=plain_search) for _ in range(120)))
    refused = [response for response in responses if response.status_code == 429]
    report = sandbox.gate.report()["locations"]["here"]

    assert 20 == len(refused)
    assert {"statusCode": 429, "message": "Too Many Requests"}.items() <= refused[0].json().items()
    assert ("10", "0") == (refused[0].headers["retry-after"], refused[0].headers["x-ratelimit-remaining"])
    assert (120, 100, 20, 120) == tuple(report[name] for name in ("arrivals", "accepted", "refused", "worst_window"))
    assert {"200": 100, "429": 20} == report["statuses"]


async def test_a_client_that_trusts_fixed_windows_is_caught(sandbox: Sandbox, http: Any, clock: Any) -> None:
    """100 calls just before a boundary and 100 after it fit fixed windows, but make 200 in a sliding one."""
    statuses = []
    for _ in range(2):
        clock.advance(9.9)
        statuses += [(await http.get(f"/contacts/{jane_id}")).status_code for _ in range(100)]
    report = sandbox.gate.report()

    assert (100, 100) == (statuses.count(200), statuses.count(429))
    assert (200, 200) == (report["totals"]["worst_window"], report["locations"]["here"]["worst_window"])


async def test_a_client_within_its_budget_is_let_through_at_full_rate(sandbox: Sandbox, http: Any, clock: Any) -> None:
    for _ in range(300):
        clock.advance(0.1112)  # a little over 10 s / 90
        assert 200 == (await http.post("/contacts/search", json=by_email)).status_code
    report = sandbox.gate.report()["locations"]["here"]

    assert (300, 0, 90) == (report["arrivals"], report["refused"], report["worst_window"])
    assert report["busy"]["use"] == pytest.approx(1, abs=0.002)


async def test_locations_share_nothing(sandbox: Sandbox, http: Any) -> None:
    for _ in range(101):
        await http.post("/contacts/search", json=plain_search)

    assert 200 == (await http.post("/contacts/search", json={**plain_search, "locationId": "there"})).status_code
    assert {"here": 101, "there": 1} == {
        location: report["arrivals"] for location, report in sandbox.gate.report()["locations"].items()
    }


async def test_every_call_counts_for_its_location(directory: Directory, client: Any) -> None:
    """A wrong token, a wrong body and a deleted contact count, too. Calls that name no location are kept apart."""
    directory.tokens = {"sandbox": None, "of there": "there"}
    sandbox = create_app(directory)
    directory.delete("here", jane_id, sandbox.now())
    http = client(sandbox)
    await http.post("/contacts/search", json=plain_search, headers={"Authorization": "Bearer x"})
    await http.post("/contacts/search", json={**plain_search, "pageLimit": 900})
    await http.get(f"/contacts/{jane_id}")
    await http.get("/contacts/unknown", headers={"Authorization": "Bearer of there"})
    await http.get("/contacts/unknown")
    report = sandbox.gate.report()

    assert {"here": 3, "there": 1} == {name: found["arrivals"] for name, found in report["locations"].items()}
    assert ({"contact": 1}, 5) == (report["unattributed"]["calls"], report["totals"]["arrivals"])


async def test_a_spent_day_has_a_reset_and_no_retry_after(directory: Directory, client: Any, clock: Any) -> None:
    http = client(create_app(directory, limits=RateLimits(per_day=2), now=clock))
    responses = [await http.post("/contacts/search", json=plain_search) for _ in range(3)]

    assert [200, 200, 429] == [response.status_code for response in responses]
    assert ("0", "86400000") == tuple(
        responses[2].headers[f"x-ratelimit-daily-{name}"] for name in ("remaining", "reset")
    )
    assert "retry-after" not in responses[2].headers


async def test_retry_after_comes_in_every_form(directory: Directory, client: Any, clock: Any) -> None:
    sandbox = create_app(directory, limits=RateLimits(per_window=1), now=clock)
    http = client(sandbox)
    await http.post("/contacts/search", json=plain_search)
    clock.advance(4.5)
    retry_after = {}
    for form in ("seconds", "date", "none"):
        sandbox.style = ResponseStyle(retry_after=form)
        retry_after[form] = (await http.post("/contacts/search", json=plain_search)).headers.get("retry-after")

    assert ("6", None) == (retry_after["seconds"], retry_after["none"])
    assert 5.5 <= parsedate_to_datetime(str(retry_after["date"])).timestamp() - clock() / 1e6 <= 7.5


@pytest.mark.parametrize(
    ("fault", "status", "text"),
    [
        (Fault("status", status=503), 503, "Service unavailable"),
        (Fault("status", status=500, email="jane@example.com"), 500, "Internal server error"),
        (Fault("status", status=401), 401, "Invalid JWT"),
        (Fault("status", status=401, message="The token is not authorized for this scope."), 401, "this scope."),
        (Fault("status", status=403), 403, "does not have access"),
        (Fault("cloudflare"), 403, "<!DOCTYPE html>"),
        (Fault("malformed"), 200, '{"contacts":[{"id":'),
        (Fault("malformed", body="[]"), 200, "[]"),
        (Fault("slow", delay_ms=1), 200, "jane"),
    ],
)
async def test_a_fault_strikes(sandbox: Sandbox, http: Any, fault: Fault, status: int, text: str) -> None:
    sandbox.faults.add(fault)
    response = await http.post("/contacts/search", json=by_email)

    assert status == response.status_code
    assert text in response.text
    assert {str(status): 1} == sandbox.gate.report()["locations"]["here"]["statuses"]


async def test_a_429_on_demand_has_its_retry_after(sandbox: Sandbox, http: Any) -> None:
    sandbox.faults.add(Fault("status", status=429, retry_after="seconds", retry_after_s=7, times=1))
    responses = [await http.post("/contacts/search", json=plain_search) for _ in range(2)]
    report = sandbox.gate.report()["locations"]["here"]

    assert [(429, "7"), (200, None)] == [
        (response.status_code, response.headers.get("retry-after")) for response in responses
    ]
    assert (2, 0) == (report["accepted"], report["refused"])


async def test_a_budget_is_spent_on_arrival_not_on_the_response(directory: Directory, client: Any, clock: Any) -> None:
    """A call that still waits for its response has its place in the window."""
    sandbox = create_app(
        directory, limits=RateLimits(per_window=1), style=ResponseStyle(latency_ms=5, jitter_ms=5), now=clock
    )
    http = client(sandbox)
    responses = await asyncio.gather(*(http.post("/contacts/search", json=plain_search) for _ in range(2)))

    assert [200, 429] == sorted(response.status_code for response in responses)
