"""Steer a running sandbox from outside."""

from typing import Any

import pytest

from processor.sandbox import admin
from processor.sandbox.asgi import Sandbox
from tests.unit.sandbox.conftest import jane_id, plain_search

pytestmark = pytest.mark.asyncio


async def test_it_is_healthy(http: Any) -> None:
    assert {"status": "ok"} == (await http.get("/healthz")).json()
    assert 404 == (await http.get("/_sandbox/nothing")).status_code


async def test_the_report_and_the_log_show_arrivals_until_they_are_reset(http: Any, clock: Any) -> None:
    await http.post("/contacts/search", json=plain_search)
    clock.advance(1)
    await http.get("/contacts/unknown")
    report = (await http.get("/_sandbox/report")).json()
    log = (await http.get("/_sandbox/log", params={"location": "here"})).json()

    assert (100, 10_000, 1_800_000_001_000) == (report["limit"], report["window_ms"], report["now_ms"])
    assert {"locations": 1, "arrivals": 2, "accepted": 2, "refused": 0, "worst_window": 1} == report["totals"]
    assert {"location": "here", "arrivals": [[1_800_000_000_000.0, "search", 200]]} == log

    await http.post("/_sandbox/reset")

    assert {} == (await http.get("/_sandbox/report")).json()["locations"]
    assert [] == (await http.get("/_sandbox/log", params={"location": "here"})).json()["arrivals"]
    assert "98" == (await http.post("/contacts/search", json=plain_search)).headers["x-ratelimit-remaining"]


async def test_faults_come_and_go(http: Any) -> None:
    made = await http.post(
        "/_sandbox/faults", json=[{"kind": "status", "status": 502}, {"kind": "hang", "location": "x"}]
    )
    failed = await http.post("/contacts/search", json=plain_search)
    table = (await http.get("/_sandbox/faults")).json()["faults"]

    assert ({"ids": [1, 2]}, 502) == (made.json(), failed.status_code)
    assert [(1, "status", 1), (2, "hang", 0)] == [(row["id"], row["kind"], row["strikes"]) for row in table]
    assert {"cleared": 1} == (await http.delete("/_sandbox/faults", params={"location": "x"})).json()
    assert {"cleared": 1} == (await http.delete("/_sandbox/faults")).json()
    assert 200 == (await http.post("/contacts/search", json=plain_search)).status_code


async def test_contacts_are_added_changed_and_deleted(http: Any) -> None:
    added = await http.post("/_sandbox/contacts", json={"location_id": "here", "contact": {"email": "new@example.com"}})
    changed = await http.put(f"/_sandbox/contacts/here/{jane_id}", json={"city": "Austin"})

    assert "new@example.com" == added.json()["contacts"][0]["email"]
    assert ("Austin", "Jane", "2027-01-15T08:00:00.000Z") == tuple(
        changed.json()["contact"][name] for name in ("city", "firstName", "dateUpdated")
    )
    assert "Austin" == (await http.get(f"/contacts/{jane_id}")).json()["contact"]["city"]
    assert 2 == (await http.post("/contacts/search", json=plain_search)).json()["total"]

    gone = [(await http.delete(f"/_sandbox/contacts/here/{jane_id}")).json() for _ in range(2)]

    assert [{"deleted": True}, {"deleted": False}] == gone
    assert 400 == (await http.get(f"/contacts/{jane_id}")).status_code
    assert 1 == (await http.post("/contacts/search", json=plain_search)).json()["total"]


async def test_many_contacts_change_at_one_moment(http: Any) -> None:
    http, here = http, {"location_id": "here"}
    changes = [
        {**here, "kind": "add", "contact": {"id": "joe", "email": "joe@example.com", "city": "Reno"}},
        {**here, "kind": "change", "id": "joe", "contact": {"city": None}},
        {**here, "kind": "merge", "id": jane_id, "into": "joe"},
        {**here, "kind": "delete", "id": "unknown"},
    ]
    shown = (await http.post("/_sandbox/changes", json=changes)).json()
    joe = (await http.get("/contacts/joe")).json()["contact"]

    assert 1_800_000_000_000 == shown["at_ms"]
    assert [("Reno",), (None,), ("Denver",), None] == [one and (one.get("city"),) for one in shown["contacts"]]
    assert ("joe@example.com", "Denver", [{"email": "Jane@Example.com"}, {"email": "j@example.org"}]) == tuple(
        joe[name] for name in ("email", "city", "additionalEmails")
    )
    assert 400 == (await http.get(f"/contacts/{jane_id}")).status_code
    assert 1 == (await http.post("/contacts/search", json=plain_search)).json()["total"]


async def test_messages_are_added_and_shown(http: Any, clock: Any) -> None:
    """Messages also change, and those that export doesn't show yet, or ever, are listed."""
    http, here = http, {"location_id": "here"}
    await http.put("/_sandbox/settings", json={"location": "here", "index_lag_s": 7})
    many = [{**here, "message": {"id": f"m{number}", "contactId": jane_id}} for number in range(20)]
    added_many = await http.post("/_sandbox/messages", json=many)
    added_one = await http.post(
        "/_sandbox/messages", json={**here, "message": {"contactId": "joe", "messageType": "TYPE_CALL"}}
    )
    clock.advance(7)

    async def exported() -> list[str]:
        query = {"locationId": "here", "channel": "SMS"}
        response = await http.get("/conversations/messages/export", params=query, headers={"Version": "2021-04-15"})
        return sorted(f"{one['id']} {one.get('status')}" for one in response.json()["messages"])

    assert sorted(f"m{number} None" for number in range(20)) == await exported()
    await http.post(
        "/_sandbox/messages", json={**here, "message": {"id": "m3", "contactId": jane_id, "status": "read"}}
    )
    shown = [
        (await http.get("/_sandbox/messages", params=asked)).json()["messages"]
        for asked in ({"location": "here"}, {"location": "here", "contact": "joe"}, {})
    ]
    clock.advance(7)

    assert "m3 read" in await exported()
    assert {"at_ms": 1_800_000_000_000, "ids": [f"m{number}" for number in range(20)]} == added_many.json()
    [call] = shown[1]
    assert (added_one.json()["ids"], "joe", "TYPE_CALL") == ([call["id"]], call["contactId"], call["messageType"])
    assert [22, 0] == [len(shown[0]), len(shown[2])]
    assert {"messages": 2} == (await http.get("/_sandbox/report")).json()["locations"]["here"]["calls"]


async def test_settings_change_while_it_runs(sandbox: Sandbox, http: Any, clock: Any) -> None:
    await http.put("/_sandbox/settings", json={"index_lag_s": 7, "latency_ms": 1, "retry_after": "none"})
    await http.put("/_sandbox/settings", json={"raw_names": False, "location": "here"})
    await http.put(f"/_sandbox/contacts/here/{jane_id}", json={"city": "Austin"})
    first = (await http.post("/contacts/search", json=plain_search)).json()["contacts"][0]
    clock.advance(7)
    later = (await http.post("/contacts/search", json=plain_search)).json()["contacts"][0]

    assert ("Denver", "Austin") == (first["city"], later["city"])
    assert "firstNameRaw" not in first
    assert (1, 0, "none") == (sandbox.style.latency_ms, sandbox.style.jitter_ms, sandbox.style.retry_after)

    await http.put("/_sandbox/settings", json={"tokens": {"other": "here"}})

    headers = [{"Authorization": f"Bearer {token}"} for token in ("sandbox", "other")]
    responses = [await http.post("/contacts/search", json=plain_search, headers=given) for given in headers]

    assert [401, 200] == [response.status_code for response in responses]


wrong_settings: list[Any] = [
    {"churn": {"edit": 1}}, {"location": "here", "churn": 5}, {"chatter": {"new": 1}},
    {"location": "here", "chatter": {"new": "x"}}, {"message_scope": "no"}, {"message_scope": None},
    {"cursor_life_s": -1}, {"cursor_life_s": None}, {"latency_ms": -1}, {"latency_ms": "5"},
    {"retry_after": "soon"}, {"index_lag_s": "x"}, {"speed": 5}, {"location": 5}, {"location": ""},
    {"location": "here", "latency_ms": 5}, {"location": "here", "speed": None}, {"latency_ms": True},
    {"latency_ms": None}, {"limit": 0}, {"limit": 2.5}, {"limit": True}, {"limit": None}, {"limit": 10**9},
    {"daily": -1}, {"foreign": "60"}, {"location": "here", "foreign": -1}, {"day_resets_in_s": 86_401},
    {"day_resets_in_s": None}, {"tokens": "one"}, {"tokens": [1]}, {"tokens": {"one": 1}},
    {"location": "here", "tokens": {"one": "here"}}, {"tokens": ["one"], "refusal": "lost"}, {"refusal": "scope"},
    {"raw_names": "no"}, {"index_lag_s": 1e9}, []
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "faults", "nonsense"),
        ("POST", "faults", {"kind": "explode"}),
        ("DELETE", "faults?id=x", None),
        ("POST", "contacts", {"contact": {}}),
        ("POST", "contacts", {"location_id": "here"}),
        ("POST", "contacts", {"location_id": "here", "contact": {"address": "1 Main St"}}),
        ("PUT", f"contacts/there/{jane_id}", {}),
        ("POST", "messages", {"message": {"contactId": "jane"}}),
        ("POST", "messages", {"location_id": "here"}),
        ("POST", "messages", {"location_id": "here", "message": {}}),
        ("POST", "messages", [{"location_id": "here", "message": {"contactId": "jane", "dateAdded": "soon"}}]),
        ("POST", "changes", {"location_id": "here", "kind": "delete", "id": jane_id}),
        ("POST", "changes", [{"location_id": "here", "kind": "explode", "id": jane_id}]),
        ("POST", "changes", [{"location_id": "here", "kind": "change", "id": jane_id}]),
        ("POST", "changes", [{"location_id": "here", "kind": "merge", "id": jane_id, "into": jane_id}]),
        ("POST", "changes", [{"location_id": "here", "kind": "merge", "id": jane_id, "into": "unknown"}]),
        ("POST", "changes", [{"location_id": "there", "kind": "merge", "id": jane_id, "into": "unknown"}]),
        ("POST", "faults", {"kind": "hang", "email": 5}),
        ("POST", "faults", {"kind": "hang", "location": ["here"]}),
        *(("PUT", "settings", body) for body in wrong_settings),
    ],
)
async def test_a_wrong_request_is_refused_with_a_reason(http: Any, method: str, path: str, body: Any) -> None:
    response = await http.request(method, f"/_sandbox/{path}", json=body)

    assert 400 == response.status_code
    assert response.json()["error"]


async def test_a_partly_wrong_request_changes_nothing(sandbox: Sandbox, http: Any) -> None:
    wrong = {"limit": 1, "index_lag_s": 5, "tokens": ["other"], "latency_ms": -1}
    response = await http.put("/_sandbox/settings", json=wrong)

    assert 400 == response.status_code
    assert (100, 0, None, 0) == (
        sandbox.gate.limits.per_window,
        sandbox.directory.index_lag_s,
        sandbox.directory.access,
        sandbox.style.latency_ms,
    )


async def test_an_endless_body_is_refused(http: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "max_admin_body", 1_000)
    response = await http.post("/_sandbox/contacts", json=["x" * 1_000])

    assert (400, {"error": "body: over 1000 bytes"}) == (response.status_code, response.json())


async def test_a_body_that_is_no_json_is_refused(http: Any) -> None:
    response = await http.post("/_sandbox/faults", content=b"{")

    assert (400, {"error": "body: not JSON"}) == (response.status_code, response.json())
