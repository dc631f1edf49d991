"""Refuse an export: a wrong query, version, token or scope, a spent budget, a fault."""

from typing import Any

import pytest

from processor.sandbox.asgi import Sandbox
from processor.sandbox.directory import Directory
from processor.sandbox.faults import Fault
from processor.sandbox.limiter import RateLimits
from processor.sandbox.server import create_app
from tests.unit.sandbox.conftest import export_path

no_access = "The token does not have access to this location."
gone = "Invalid cursor: it is unknown or has expired"


@pytest.fixture
def http(http: Any) -> Any:
    http.headers["Version"] = "2021-04-15"
    return http


@pytest.mark.parametrize(
    ("query", "headers", "status", "message"),
    [
        ("", {}, 422, ["locationId must be a string", "locationId should not be empty"]),
        ("locationId=", {}, 422, ["locationId must be a string", "locationId should not be empty"]),
        ("locationId=here&locationId=here", {}, 422, ["locationId must be a string"]),
        ("locationId=here&pageLimit=5", {}, 422, ["property pageLimit should not exist"]),
        ("locationId=here&limit=9", {}, 422, ["limit must not be less than 10"]),
        ("locationId=here&limit=501", {}, 422, ["limit must not be greater than 500"]),
        ("locationId=here&limit=x", {}, 422, ["limit must be a number conforming to the specified constraints"]),
        ("locationId=here&sortBy=id", {}, 422, ["sortBy must be one of the following values: createdAt, updatedAt"]),
        ("locationId=here&sortOrder=up", {}, 422, ["sortOrder must be one of the following values: asc, desc"]),
        ("locationId=here&startDate=soon", {}, 422, ["startDate must be a valid ISO 8601 date string"]),
        (
            "locationId=here&endDate=2025-01-01T00:00:00+00:00",  # a plus that is not escaped is a space
            {},
            422,
            ["endDate must be a valid ISO 8601 date string"],
        ),
        (
            "locationId=here&channel=sms",
            {},
            422,
            ["channel must be one of the following values: Call, SMS, Email, WhatsApp, Instagram, Facebook"],
        ),
        ("locationId=here&contactId=", {}, 422, ["contactId should not be empty"]),
        ("locationId=here&cursor=abc", {}, 400, gone),
        ("locationId=here", {"Version": ""}, 401, "version header was not found."),
        ("locationId=here", {"Version": "2021-07-28"}, 401, "version header is invalid"),
        ("locationId=here", {"Authorization": ""}, 401, "Invalid token: access token is invalid"),
        ("locationId=here", {"Authorization": "Bearer x"}, 401, "Invalid Private Integration token"),
        ("locationId=here", {"Authorization": "Bearer of there"}, 403, no_access),
    ],
)
async def test_a_wrong_call_is_refused_in_highlevels_words(
    directory: Directory, http: Any, query: str, headers: Any, status: int, message: Any
) -> None:
    directory.tokens = {"sandbox": None, "of there": "there"}
    response = await http.get(f"{export_path}?{query}", headers=headers)

    titles = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 422: "Unprocessable Entity"}
    got = response.json()
    assert got.pop("traceId")
    assert {"statusCode": status, "message": message, "error": titles[status]} == got
    assert status == response.status_code


async def test_export_takes_its_own_version_and_contacts_theirs(http: Any) -> None:
    found = await http.post("/contacts/search", json={"locationId": "here", "pageLimit": 5})

    assert (401, "version header is invalid") == (found.status_code, found.json()["message"])


@pytest.mark.parametrize("given", [{}, {"location": "here"}])
async def test_messages_alone_may_lack_their_scope(http: Any, given: dict[str, str]) -> None:
    async def call_all() -> tuple[int, ...]:
        contacts = {"Version": "2021-07-28"}
        found = await http.post("/contacts/search", json={"locationId": "here", "pageLimit": 5}, headers=contacts)
        got = await http.get("/contacts/jane0000000000000000", headers=contacts)
        response = await http.get(export_path, params={"locationId": "here"})
        if response.status_code == 401:
            assert "The token is not authorized for this scope." == response.json()["message"]
        return found.status_code, got.status_code, response.status_code

    await http.put("/_sandbox/settings", json={**given, "message_scope": False})
    lacking = await call_all()
    await http.put("/_sandbox/settings", json={**given, "message_scope": True})

    assert (200, 200, 401) == lacking
    assert (200, 200, 200) == await call_all()


async def test_a_locations_own_scope_overrides_the_global_one(http: Any) -> None:
    await http.put("/_sandbox/settings", json={"message_scope": False})
    await http.put("/_sandbox/settings", json={"location": "here", "message_scope": True})
    statuses = [
        (await http.get(export_path, params={"locationId": location})).status_code for location in ("here", "there")
    ]
    await http.put("/_sandbox/settings", json={"location": "here", "message_scope": None})

    assert [200, 401] == statuses
    assert 401 == (await http.get(export_path, params={"locationId": "here"})).status_code


async def test_export_spends_the_one_budget_and_has_faults_of_its_own(directory: Directory, client: Any) -> None:
    sandbox = create_app(directory, limits=RateLimits(per_window=3))
    http = client(sandbox)
    sandbox.faults.add(Fault("status", call="messages", status=503, times=1))
    found = await http.post("/contacts/search", json={"locationId": "here", "pageLimit": 5})
    query, version = {"locationId": "here"}, {"Version": "2021-04-15"}
    responses = [await http.get(export_path, params=query, headers=version) for _ in range(3)]
    report = sandbox.gate.report()["locations"]["here"]

    assert [200, 503, 200, 429] == [response.status_code for response in (found, *responses)]
    assert "0" == responses[-1].headers["x-ratelimit-remaining"]
    assert {"search": 1, "messages": 3} == report["calls"]


async def test_a_call_counts_for_its_tokens_location(directory: Directory, http: Any, sandbox: Sandbox) -> None:
    directory.tokens = {"sandbox": None, "of there": "there"}
    await http.get(export_path, params={"locationId": "here"}, headers={"Authorization": "Bearer of there"})
    await http.get(export_path, params={"locationId": "here"})
    await http.get(export_path)
    report = sandbox.gate.report()

    assert {"here": 1, "there": 1} == {name: found["arrivals"] for name, found in report["locations"].items()}
    assert {"messages": 1} == report["unattributed"]["calls"]
