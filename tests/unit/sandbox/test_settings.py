"""A running world's settings: whom they concern, and what a client then meets."""

from typing import Any, get_args

import pytest

from processor.sandbox import settings
from processor.sandbox.__main__ import sandbox_options
from processor.sandbox.asgi import Sandbox
from processor.sandbox.chatter import Chatter
from processor.sandbox.churn import Churn
from processor.sandbox.directory import Directory, TokenRefusal
from processor.sandbox.faults import Fault, FaultKind
from processor.sandbox.server import create_app

plain = {"locationId": "here", "pageLimit": 5}
jane_id = "jane0000000000000000"
forbidden = "The token does not have access to this location."


@pytest.fixture
def sandbox(directory: Directory, clock: Any) -> Sandbox:
    return create_app(directory, now=clock)


@pytest.fixture
def http(sandbox: Sandbox, client: Any) -> Any:
    return client(sandbox)


async def put(http: Any, **given: Any) -> None:
    assert 200 == (await http.put("/_sandbox/settings", json=given)).status_code


async def search(http: Any, location: str = "here", token: str = "sandbox") -> Any:
    headers = {"Authorization": f"Bearer {token}"}
    return await http.post("/contacts/search", json={**plain, "locationId": location}, headers=headers)


def limits(answer: Any) -> tuple[int, ...]:
    """The burst limit, what is left of it, the daily limit, what is left of that, and ms until its reset."""
    names = "max", "remaining", "limit-daily", "daily-remaining", "daily-reset"
    return tuple(int(answer.headers[f"x-ratelimit-{name}"]) for name in names)


async def test_a_location_has_limits_of_its_own(http: Any) -> None:
    await put(http, limit=50, daily=5_000)
    await put(http, location="here", limit=2, daily=1_000)
    here = [await search(http) for _ in range(3)]
    there = await search(http, "there")

    assert [(2, 1, 1_000, 999), (2, 0, 1_000, 998), (2, 0, 1_000, 998)] == [limits(answer)[:4] for answer in here]
    assert [200, 200, 429] == [answer.status_code for answer in here]
    assert (50, 49, 5_000, 4_999) == limits(there)[:4]


async def test_without_limits_of_its_own_a_location_has_everyones_again(http: Any) -> None:
    await put(http, location="here", limit=2)
    await search(http)
    await put(http, location="here", limit=None)
    await put(http, location="*", limit=30)

    assert (30, 28) == limits(await search(http))[:2]


async def test_a_spent_day_ends_when_the_server_says_so(http: Any, clock: Any) -> None:
    await put(http, location="here", daily=1, day_resets_in_s=90)
    first = await search(http)
    clock.advance(89)
    spent = await search(http)
    clock.advance(1)
    after = await search(http)

    assert [(200, 0, 90_000), (429, 0, 1_000), (200, 0, 86_400_000)] == [
        (answer.status_code, *limits(answer)[3:]) for answer in (first, spent, after)
    ]
    assert "retry-after" not in spent.headers


async def test_everyones_day_ends_at_once_also_that_of_who_comes_later(http: Any, clock: Any) -> None:
    await search(http)
    await put(http, day_resets_in_s=60)
    clock.advance(10)

    assert [50_000, 50_000] == [limits(await search(http, location))[4] for location in ("here", "there")]


async def test_other_programs_are_counted_apart_from_us(http: Any, clock: Any) -> None:
    await put(http, location="here", limit=100, foreign=60)
    lefts = []
    for _ in range(5):
        clock.advance(2)
        lefts.append(limits(await search(http))[1])
    clock.advance(1)
    report = (await http.get("/_sandbox/report")).json()["locations"]["here"]

    assert [87, 74, 61, 48, 35] == lefts
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


async def test_a_token_of_another_location_is_told_so(http: Any) -> None:
    """Whatever tokens either of them takes: the call is the token's location's, and asks for what isn't there."""
    await put(http, tokens={"sandbox": None, "of there": "there"})
    await put(http, location="there", tokens=["of there"])
    answer = await search(http, "here", "of there")

    assert (403, forbidden) == (answer.status_code, answer.json()["message"])


async def test_lag_and_names_are_a_locations_own_until_they_are_everyones_again(sandbox: Sandbox, http: Any) -> None:
    await put(http, index_lag_s=3, raw_names=True)
    await put(http, location="here", index_lag_s=7, raw_names=False)
    place = sandbox.directory.location("here")
    assert (7, False) == (place.index_lag_s, place.raw_names)

    await put(http, location="here", index_lag_s=None, raw_names=None)

    assert (None, None, True) == (place.index_lag_s, place.raw_names, sandbox.directory.shows_raw_names("here"))


async def test_an_email_poisons_every_group_of_filters_that_holds_it(http: Any) -> None:
    """Alone or among others, in whatever case; the others without it are found."""
    await http.post("/_sandbox/faults", json={"kind": "status", "email": "Poison@example.com", "location": "here"})

    async def ask(*emails: str, location: str = "here") -> int:
        leaves = [{"field": "email", "operator": "eq", "value": email} for email in emails]
        filters = leaves if len(leaves) == 1 else [{"group": "OR", "filters": leaves}]
        asked = {**plain, "locationId": location, "filters": filters}
        answer = await http.post("/contacts/search", json=asked)
        return int(answer.status_code)

    assert [500, 500, 200, 200, 200] == [
        await ask("poison@example.com"),
        await ask("jane@example.com", "poison@example.com", "joe@example.com"),
        await ask("jane@example.com", "joe@example.com"),
        await ask("jane@example.com"),
        await ask("poison@example.com", "jane@example.com", location="there"),
    ]


def test_help_names_every_setting_and_every_fault() -> None:
    told = sandbox_options().format_help()

    assert settings.settings_help in told
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
    assert set() == {name for name in named if name not in told}
