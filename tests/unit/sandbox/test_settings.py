"""Change settings of a running sandbox, globally and for a location."""

from typing import Any, get_args

import pytest

from processor.sandbox import settings
from processor.sandbox.__main__ import sandbox_options
from processor.sandbox.asgi import Sandbox
from processor.sandbox.chatter import Chatter
from processor.sandbox.churn import Churn
from processor.sandbox.directory import TokenRefusal
from processor.sandbox.faults import Fault, FaultKind
from tests.unit.sandbox.conftest import jane_id, plain_search

forbidden = "The token does not have access to this location."


async def put(http: Any, **given: Any) -> None:
    assert 200 == (await http.put("/_sandbox/settings", json=given)).status_code


async def search(http: Any, location: str = "here", token: str = "sandbox") -> Any:
    headers = {"Authorization": f"Bearer {token}"}
    return await http.post("/contacts/search", json={**plain_search, "locationId": location}, headers=headers)


def limits(response: Any) -> tuple[int, ...]:
    """Return the burst limit and its rest, the daily limit and its rest, and the ms until its reset."""
    names = "max", "remaining", "limit-daily", "daily-remaining", "daily-reset"
    return tuple(int(response.headers[f"x-ratelimit-{name}"]) for name in names)


async def test_a_location_has_limits_of_its_own(http: Any) -> None:
    await put(http, limit=50, daily=5_000)
    await put(http, location="here", limit=2, daily=1_000)
    here = [await search(http) for _ in range(3)]
    there = await search(http, "there")

    assert [(2, 1, 1_000, 999), (2, 0, 1_000, 998), (2, 0, 1_000, 998)] == [limits(response)[:4] for response in here]
    assert [200, 200, 429] == [response.status_code for response in here]
    assert (50, 49, 5_000, 4_999) == limits(there)[:4]


async def test_without_limits_of_its_own_a_location_has_the_global_ones_again(http: Any) -> None:
    await put(http, location="here", limit=2)
    await search(http)
    await put(http, location="here", limit=None)
    await put(http, location="*", limit=30)

    assert (30, 28) == limits(await search(http))[:2]


async def test_a_spent_day_ends_at_the_servers_reset(http: Any, clock: Any) -> None:
    await put(http, location="here", daily=1, day_resets_in_s=90)
    first = await search(http)
    clock.advance(89)
    spent = await search(http)
    clock.advance(1)
    after = await search(http)

    assert [(200, 0, 90_000), (429, 0, 1_000), (200, 0, 86_400_000)] == [
        (response.status_code, *limits(response)[3:]) for response in (first, spent, after)
    ]
    assert "retry-after" not in spent.headers


async def test_all_days_end_at_once_also_for_a_new_location(http: Any, clock: Any) -> None:
    await search(http)
    await put(http, day_resets_in_s=60)
    clock.advance(10)

    assert [50_000, 50_000] == [limits(await search(http, location))[4] for location in ("here", "there")]


async def test_other_programs_are_counted_apart_from_us(http: Any, clock: Any) -> None:
    await put(http, location="here", limit=100, foreign=60)
    left = []
    for _ in range(5):
        clock.advance(2)
        left.append(limits(await search(http))[1])
    clock.advance(1)
    report = (await http.get("/_sandbox/report")).json()["locations"]["here"]

    assert [87, 74, 61, 48, 35] == left
    assert (5, 5, {"arrivals": 60, "refused": 0}) == (report["arrivals"], report["worst_window"], report["foreign"])


async def test_together_with_other_programs_we_are_refused(http: Any, clock: Any) -> None:
    await put(http, location="here", limit=20, foreign=15)
    clock.advance(10)
    statuses = [(await search(http)).status_code for _ in range(8)]
    report = (await http.get("/_sandbox/report")).json()["locations"]["here"]

    assert [200] * 5 + [429] * 3 == statuses
    assert (20, 3, 8) == (report["limit"], report["refused"], report["worst_window"])


@pytest.mark.parametrize(
    ("refusal", "status", "message"),
    [
        (None, 401, "Invalid JWT"),
        ("expired", 401, "Invalid JWT"),
        ("revoked", 401, "Invalid Private Integration token"),
        ("scope", 401, "The token is not authorized for this scope."),
        ("location", 403, forbidden),
    ],
)
async def test_a_location_opens_for_its_tokens_only(http: Any, refusal: str | None, status: int, message: str) -> None:
    await put(http, location="here", tokens=["new", "newer"], **({"refusal": refusal} if refusal else {}))
    refused = await search(http)
    headers = {"Authorization": "Bearer newer"}
    got = await http.get(f"/contacts/{jane_id}", headers=headers)

    body = refused.json()
    assert body.pop("traceId")
    assert {"statusCode": status, "message": message, "error": {401: "Unauthorized", 403: "Forbidden"}[status]} == body
    assert (status, 200, 200) == (refused.status_code, (await search(http, token="new")).status_code, got.status_code)
    assert 200 == (await search(http, "there")).status_code
    assert 401 == (await search(http, "there", "new")).status_code


async def test_tokens_of_all_locations_give_way_to_a_locations_own(http: Any) -> None:
    await put(http, tokens=["master"], refusal="revoked")
    await put(http, location="here", tokens=["own"])

    statuses = [
        (await search(http, location, token)).status_code
        for location in ("here", "there")
        for token in ("own", "master")
    ]
    assert [200, 401, 401, 200] == statuses
    await put(http, location="here", tokens=None)
    assert 200 == (await search(http, token="master")).status_code


async def test_a_token_of_another_location_is_forbidden(http: Any) -> None:
    """The call belongs to the token's location and asks for another one."""
    await put(http, tokens={"sandbox": None, "of there": "there"})
    await put(http, location="there", tokens=["of there"])
    response = await search(http, "here", "of there")

    assert (403, forbidden) == (response.status_code, response.json()["message"])


async def test_lag_and_names_are_a_locations_own_until_reset(sandbox: Sandbox, http: Any) -> None:
    await put(http, index_lag_s=3, raw_names=True)
    await put(http, location="here", index_lag_s=7, raw_names=False)
    place = sandbox.directory.location("here")
    assert (7, False) == (place.index_lag_s, place.raw_names)

    await put(http, location="here", index_lag_s=None, raw_names=None)

    assert (None, None, True) == (place.index_lag_s, place.raw_names, sandbox.directory.shows_raw_names("here"))


async def test_an_email_poisons_every_group_of_filters_that_holds_it(http: Any) -> None:
    """Case doesn't matter. Groups without the e-mail find their contacts."""
    await http.post("/_sandbox/faults", json={"kind": "status", "email": "Poison@example.com", "location": "here"})

    async def ask(*emails: str, location: str = "here") -> int:
        leaves = [{"field": "email", "operator": "eq", "value": email} for email in emails]
        filters = leaves if len(leaves) == 1 else [{"group": "OR", "filters": leaves}]
        asked = {**plain_search, "locationId": location, "filters": filters}
        response = await http.post("/contacts/search", json=asked)
        return int(response.status_code)

    assert [500, 500, 200, 200, 200] == [
        await ask("poison@example.com"),
        await ask("jane@example.com", "poison@example.com", "joe@example.com"),
        await ask("jane@example.com", "joe@example.com"),
        await ask("jane@example.com"),
        await ask("poison@example.com", "jane@example.com", location="there"),
    ]


def test_help_names_every_setting_and_every_fault() -> None:
    help_text = sandbox_options().format_help()

    assert settings.settings_help in help_text
    others = "day_resets_in_s", "tokens", "refusal", *settings.inherited_settings
    ones = *settings.location_settings, *Churn.__slots__, *Chatter.__slots__
    named = {
        *settings.limit_settings,
        *settings.global_settings,
        *ones,
        *others,
        *Fault.__slots__,
        *get_args(FaultKind),
        *get_args(TokenRefusal),
    }
    assert set() == {name for name in named if name not in help_text}
