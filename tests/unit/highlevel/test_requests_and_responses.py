"""Requests and answers as values: what is sent, and what each response means."""

from typing import Any  # of JSON in tests

import orjson
import pytest
from hypothesis import given, strategies

from processor.highlevel.requests import (
    Call,
    ExportMessages,
    GetContact,
    HttpRequest,
    LeadQuestion,
    ListContacts,
    Question,
    QuestionKind,
    Search,
    http_request,
)
from processor.highlevel.responses import (
    Exported,
    Found,
    Gone,
    Page,
    Refused,
    Response,
    ResponseOutcome,
    Throttled,
    Unauthorized,
    Unavailable,
    parse_response,
)
from processor.ratelimit.budget import Permit
from processor.ratelimit.headers import RateHeaders

now = 1_700_000_000_000
date = "Tue, 14 Nov 2023 22:13:20 GMT"  # the same moment
permit = Permit("loc-1", 7, now, now + 2_000)
by_email = Question(QuestionKind.EMAIL, "jane@example.com")
search = Call(permit, Search("loc-1", (by_email,)), (LeadQuestion("lead-1", by_email),))
its_messages = LeadQuestion("lead-1", Question(QuestionKind.MESSAGES, "c-1"))
export = Call(permit, ExportMessages("loc-1", "c-1"), (its_messages,))
scan = Call(permit, ListContacts("loc-1", "job-1", 1), ())
get = Call(permit, GetContact("loc-1", "c-1"), (LeadQuestion("lead-1", Question(QuestionKind.CONTACT, "c-1")),))


def sms(name: str, **changes: object) -> dict[str, object]:
    payload = {"id": name, "contactId": "c-1", "locationId": "loc-1", "messageType": "TYPE_SMS"}
    return payload | {"dateAdded": "2024-03-27T18:13:49.000Z"} | changes


def outcome(call: Call, status: int, reply: object, headers: dict[str, str] | None = None) -> ResponseOutcome:
    body = reply if isinstance(reply, bytes) else orjson.dumps(reply)
    return parse_response(call, status, headers or {}, body, now).outcome


def found(call: Call, reply: object) -> tuple[list[str], int]:
    result = outcome(call, 200, reply)
    assert isinstance(result, Found)
    return [contact.id for contact in result.contacts], result.total


def test_a_plain_search() -> None:
    expected = HttpRequest(
        "POST",
        "/contacts/search",
        "2021-07-28",
        {
            "locationId": "loc-1",
            "pageLimit": 500,
            "filters": [{"field": "email", "operator": "eq", "value": "jane@example.com"}],
            "sort": [{"field": "dateUpdated", "direction": "desc"}],
        },
    )

    assert expected == http_request(search.request)


def test_a_search_of_several_values() -> None:
    values = (
        Question(QuestionKind.EMAIL, "a@example.com"),
        Question(QuestionKind.ID, "c-1"),
        Question(QuestionKind.PHONE, "+15551234567"),
    )
    http = http_request(Search("loc-1", values))
    expected = {
        "group": "OR",
        "filters": [
            {"field": "email", "operator": "eq", "value": "a@example.com"},
            {"field": "id", "operator": "eq", "value": "c-1"},
            {"field": "phone", "operator": "eq", "value": "+15551234567"},
        ],
    }

    assert http.body is not None
    assert [expected] == http.body["filters"]


def test_pages_of_a_scan() -> None:
    """Oldest first, each after the last one's cursor; the catch-up pass only lists contacts that changed since."""
    bodies = [
        http_request(ListContacts("loc-1", "job-1", 1)).body,
        http_request(ListContacts("loc-1", "job-1", 2, (1_700_000_000_000, "c-1"))).body,
        http_request(ListContacts("loc-1", "job-1", 3, None, now)).body,
    ]
    every = {"locationId": "loc-1", "pageLimit": 500, "sort": [{"field": "dateAdded", "direction": "asc"}]}
    changed = {"field": "dateUpdated", "operator": "range", "value": {"gte": "2023-11-14T22:13:20.000Z"}}

    assert [
        every,
        every | {"searchAfter": (1_700_000_000_000, "c-1")},
        every | {"filters": [changed]},
    ] == bodies


@pytest.mark.parametrize(
    ("reply", "page"),
    [
        ({"contacts": [], "total": 0}, (0, 0, False, None)),
        ({"contacts": [{"id": "c-1", "searchAfter": [7, "c-1"]}], "total": 9}, (1, 9, False, (7, "c-1"))),
        ({"contacts": [{"id": "c-1"}] * 500, "total": 600}, (500, 600, True, None)),
        ({"contacts": [{"id": "c-1"}] * 500}, (500, 500, True, None)),
        ({"contacts": [{"id": "c-1", "locationId": "loc-2", "searchAfter": [7, "c"]}]}, (0, 1, False, (7, "c"))),
        ({"contacts": [{"id": "c-1", "searchAfter": {"a": 1}}], "total": "x"}, (1, 1, False, None)),
    ],
)
def test_a_page_has_the_cursor_of_the_next_one(reply: object, page: tuple[int, int, bool, object]) -> None:
    result = outcome(scan, 200, reply)

    assert isinstance(result, Page)
    assert page == (len(result.contacts), result.total, result.full, result.after)
    assert {contact.origin for contact in result.contacts} <= {"scan"}


def test_an_export_of_a_contact_and_of_a_location() -> None:
    every = {"locationId": "loc-1", "channel": "SMS", "limit": "500", "sortBy": "createdAt", "sortOrder": "asc"}
    requests = [
        http_request(ExportMessages("loc-1", "c-1")),
        http_request(ExportMessages("loc-1", "c-1", since=now)),
        http_request(ExportMessages("loc-1", cursor="abc=", job="job-1", page=3)),
    ]

    assert {("GET", "/conversations/messages/export", "2021-04-15", None)} == {
        (http.method, http.path, http.version, http.body) for http in requests
    }
    assert [
        every | {"contactId": "c-1"},
        every | {"contactId": "c-1", "startDate": "2023-11-14T22:13:20.000Z"},
        every | {"cursor": "abc="},
    ] == [http.query for http in requests]


@pytest.mark.parametrize(
    ("reply", "exported"),
    [
        ({"messages": [], "total": 0, "nextCursor": None}, ([], 0, None)),
        ({"messages": [sms("m-1"), sms("m-2")], "total": 7, "nextCursor": "abc"}, (["m-1", "m-2"], 7, "abc")),
        ({"messages": [sms("m-1", contactId="c-2"), sms("m-2", locationId="loc-2")]}, ([], 2, None)),
        ({"messages": [sms("m-1", messageType="TYPE_CALL"), sms("m 2"), "x"], "nextCursor": ""}, ([], 3, None)),
        ({"messages": [sms("m-1")], "nextCursor": "c" * 5_000, "total": "many"}, (["m-1"], 1, None)),
    ],
)
def test_an_exports_page(reply: object, exported: tuple[list[str], int, str | None]) -> None:
    result = outcome(export, 200, reply)

    assert isinstance(result, Exported)
    assert exported == ([message.id for message in result.messages], result.total, result.cursor)


def test_a_reply_of_another_shape_than_an_exports_is_unavailable() -> None:
    assert isinstance(outcome(export, 200, {"messages": "none"}), Unavailable)
    assert isinstance(outcome(export, 200, []), Unavailable)


def test_a_search_needs_a_value() -> None:
    with pytest.raises(ValueError, match="a search without values"):
        Search("loc-1", ())


@pytest.mark.parametrize(
    ("contact_id", "path"),
    [
        ("c-1", "/contacts/c-1"),
        ("a/b?c#d%e", "/contacts/a%2Fb%3Fc%23d%25e"),
        ("a+b&c=d;e:f@g", "/contacts/a%2Bb%26c%3Dd%3Be%3Af%40g"),
        ("..a", "/contacts/..a"),
    ],
)
def test_an_id_is_one_segment_of_the_path(contact_id: str, path: str) -> None:
    assert HttpRequest("GET", path, "2021-07-28", None) == http_request(GetContact("loc-1", contact_id))


@pytest.mark.parametrize("contact_id", ["", ".", "..", "\ud800"])
def test_an_id_that_no_url_can_name_is_refused(contact_id: str) -> None:
    with pytest.raises(ValueError):
        http_request(GetContact("loc-1", contact_id))


def test_calls_have_kinds() -> None:
    assert ("search", "contact") == (search.kind, get.kind)


def test_found_contacts_keep_their_order() -> None:
    payloads = [{"id": "c-2", "locationId": "loc-1", "email": "a@example.com"}, {"id": "c-1"}]

    assert (["c-2", "c-1"], 9) == found(search, {"contacts": payloads, "total": 9})


@pytest.mark.parametrize(
    ("reply", "ids", "total"),
    [
        ({"contacts": [], "total": 0}, [], 0),
        ({"contacts": [{"id": "c-1"}]}, ["c-1"], 1),
        ({"contacts": [{"id": "c-1"}], "total": None}, ["c-1"], 1),
        ({"contacts": [{"id": "c-1"}], "total": 0}, ["c-1"], 1),
        ({"contacts": [{"id": "c-1"}], "total": -5}, ["c-1"], 1),
        ({"contacts": [{"id": "c-1"}], "total": 3.0}, ["c-1"], 3),
        ({"contacts": [{"id": "c-1"}], "total": 1e300}, ["c-1"], 1),
        ({"contacts": [{"id": "c-1"}, None, 7, "c", {"id": "a b"}], "total": 5}, ["c-1"], 1),
        ({"contacts": [{"id": "c-1"}, {"id": "c-2", "locationId": "loc-2"}], "total": 2}, ["c-1"], 1),
        ({"contacts": [{"id": "c-1"}, {"id": "c-2", "deleted": True}], "total": 7}, ["c-1"], 6),
        ({"contacts": [{"id": f"c-{n}"} for n in range(500)]}, [f"c-{n}" for n in range(500)], 501),
    ],
)
def test_contacts_of_other_locations_are_dropped_and_not_counted(reply: object, ids: list[str], total: int) -> None:
    """`total` exceeds the contacts only by those that didn't come."""
    assert (ids, total) == found(search, reply)


@pytest.mark.parametrize(
    "reply", [{"contact": {"id": "c-1", "firstName": "Jane"}, "traceId": "t"}, {"id": "c-1", "firstName": "Jane"}]
)
def test_a_contact_wrapped_or_not(reply: object) -> None:
    result = outcome(get, 200, reply)

    assert isinstance(result, Found)
    assert ([("c-1", {"first_name": "Jane"})], 1) == ([(c.id, c.fields) for c in result.contacts], result.total)


@pytest.mark.parametrize("reply", [b"", b"<html>", b"[]", b"null", b"7", b'{"contacts"', b"\xff", b"[" * 100_000])
@pytest.mark.parametrize("call", [search, get])
@pytest.mark.parametrize("status", [200, 204])
def test_a_success_without_its_json_is_unavailable(call: Call, status: int, reply: bytes) -> None:
    assert isinstance(outcome(call, status, reply), Unavailable)


@pytest.mark.parametrize("reply", [{}, {"contacts": None}, {"contacts": {}}, {"contact": {"id": "c-1"}}])
def test_a_search_reply_of_another_shape_is_unavailable(reply: object) -> None:
    assert Unavailable("not a search's reply") == outcome(search, 200, reply)


@pytest.mark.parametrize(
    "contact", [{}, None, [], {"id": "c-2"}, {"id": "c-1", "locationId": "loc-2"}, {"id": "c-1", "deleted": True}]
)
def test_another_contact_than_asked_for_is_unavailable(contact: object) -> None:
    assert Unavailable("not the contact asked for") == outcome(get, 200, {"contact": contact})


@pytest.mark.parametrize(
    ("status", "reply"),
    [
        (404, {"message": "Contact not found", "statusCode": 404}),
        (404, b""),
        (404, b"<html>"),
        (400, {"message": "Contact not found for id:c-1", "error": "Bad Request", "statusCode": 400}),
        (400, {"message": "Contact with id c-1 not found"}),
        (400, {"message": ["Contact Not Found"]}),
        (400, {"error": {"message": "Contact not found"}}),
    ],
)
def test_a_get_shows_that_a_contact_is_gone(status: int, reply: object) -> None:
    """A search with the same status doesn't."""
    assert Gone() == outcome(get, status, reply)
    assert Refused(status) == outcome(search, status, reply)


def test_a_404_of_the_router_means_a_wrong_url() -> None:
    assert Refused(404) == outcome(get, 404, {"message": "Cannot GET /contacts/c-1", "statusCode": 404})


@pytest.mark.parametrize("status", [301, 302, 307, 400, 402, 405, 409, 422])
@pytest.mark.parametrize("call", [search, get])
def test_other_statuses_below_500_are_refused(call: Call, status: int) -> None:
    assert Refused(status) == outcome(call, status, {"message": ["property X should not exist"], "statusCode": status})


@pytest.mark.parametrize("status", [0, 100, 199, 500, 502, 503, 520, 599, 600, 999, -1])
def test_any_other_status_is_unavailable(status: int) -> None:
    assert Unavailable(f"status {status}") == outcome(search, status, {"message": "not found"})


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ("Invalid JWT", "expired"),
        ("Invalid token: access token is invalid", "expired"),
        ("Token has expired", "expired"),
        ("Invalid Private Integration token", "revoked"),
        ("The token is not authorized for this scope.", "scope"),
        ("The token does not have access to this location.", "location"),
        ("version header was not found.", "version"),
        ("version header is invalid", "version"),
        ("Something else", "unknown"),
        (["The token is not authorized", "for this scope."], "scope"),
    ],
)
@pytest.mark.parametrize("status", [401, 403])
def test_a_message_names_the_problem_with_the_token(status: int, message: object, why: Any) -> None:
    assert Unauthorized(why) == outcome(get, status, {"message": message, "statusCode": status})


@pytest.mark.parametrize("reply", [b"", b"Unauthorized", b"[]", {"message": None}, {"error": "Unauthorized"}])
def test_a_401_without_a_message_is_an_unknown_problem(reply: object) -> None:
    assert Unauthorized("unknown") == outcome(search, 401, reply)


@pytest.mark.parametrize(
    "reply",
    [
        b"<html>Error 1010</html>",
        b"",
        b"[]",
        {"message": "Forbidden"},
        {"statusCode": 403},
        {"title": "Error 1010: Access denied", "status": 403, "detail": "banned"},
    ],
)
def test_a_403_of_a_gateway_is_unavailable(reply: object) -> None:
    """A gateway or firewall knows nothing about our token."""
    assert Unavailable("status 403") == outcome(search, 403, reply)


@pytest.mark.parametrize(
    ("headers", "ms"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7_000),
        ({"retry-after": " 7 "}, 7_000),
        ({"RETRY-AFTER": "1.2"}, 2_000),
        ({"Retry-After": "0"}, 1_000),
        ({"Retry-After": "99999"}, 3_600_000),
        ({"Retry-After": "999999999999999"}, 3_600_000),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "5, 5"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "\u0667"}, None),
        ({"Retry-After": "9" * 5_000}, None),
        ({"Retry-After": "Tue, 14 Nov 2023 22:13:30 GMT"}, 10_000),
        ({"Retry-After": "Tue, 14 Nov 2023 22:13:30 GMT", "Date": "Tue, 14 Nov 2023 22:13:25 GMT"}, 5_000),
        ({"Retry-After": "Tue, 14 Nov 2023 22:13:30 GMT", "Date": "never"}, 10_000),
        ({"Retry-After": date}, 1_000),
        ({"Retry-After": "Mon, 01 Jan 1990 00:00:00 GMT"}, 1_000),
        ({"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}, 3_600_000),
        ({"Retry-After": "Tue, 99 Nov 2023 22:13:30 GMT"}, None),
    ],
)
def test_retry_after_is_clamped(headers: dict[str, str], ms: int | None) -> None:
    """It holds seconds or a date by the server's own clock. The wait lies between 1 s and 1 h."""
    assert Throttled(ms) == outcome(search, 429, b"Too Many Requests", headers)


def test_rate_headers_are_read() -> None:
    headers = {
        "X-RateLimit-Daily-Remaining": "199779",
        "X-RateLimit-Interval-Milliseconds": "10000",
        "X-RateLimit-Max": "100",
        "x-ratelimit-remaining": "99",
        "X-RateLimit-Daily-Reset": "49013000",
    }

    response = parse_response(search, 429, headers, b"", now)

    assert RateHeaders(100, 99, 10_000, 199_779, 49_013_000) == response.headers


@pytest.mark.parametrize(
    ("header", "value", "sane"),
    [
        ("Max", "0", False),
        ("Max", "1", True),
        ("Max", "-1", False),
        ("Max", "1e3", False),
        ("Max", "99999999999", False),
        ("Remaining", "0", True),
        ("Remaining", "9" * 5_000, False),
        ("Interval-Milliseconds", "0", False),
        ("Interval-Milliseconds", "3600000", True),
        ("Interval-Milliseconds", "3600001", False),
        ("Daily-Remaining", "0", True),
        ("Daily-Reset", "0", False),
        ("Daily-Reset", "86400000", True),
        ("Daily-Reset", "1700000000000", False),
        ("Daily-Reset", "soon", False),
    ],
)
def test_an_insane_header_is_ignored(header: str, value: str, sane: bool) -> None:
    response = parse_response(search, 200, {f"X-RateLimit-{header}": value}, b"{}", now)

    assert sane == (response.headers is not None)


@pytest.mark.parametrize(
    ("value", "trace_id"),
    [("abc-123", "abc-123"), ("jane@example.com", None), ("a b", None), ("x" * 129, None), (7, None)],
)
def test_only_a_trace_id_that_can_be_logged_is_read(value: object, trace_id: str | None) -> None:
    assert trace_id == parse_response(search, 400, {}, orjson.dumps({"traceId": value}), now).trace_id


def test_a_response_carries_its_call() -> None:
    expected = Response(search, Refused(422), 422, None, "t-1")

    assert expected == parse_response(search, 422, {"Date": date}, b'{"message": ["no"], "traceId": "t-1"}', now)


def test_reprs_show_nothing_personal() -> None:
    """An response in a traceback or a log line gives away no e-mail, phone, name or message."""
    payloads = {"contacts": [{"id": "c-1", "email": "jane@example.com", "firstNameRaw": "Jane"}], "total": 1}
    response = parse_response(search, 200, {}, orjson.dumps(payloads), now)
    shown = (
        f"{response!r} {search.request!r} {search.questions!r} {http_request(search.request)!r} {response.outcome!r}"
    )

    assert "Jane" not in shown
    assert "jane" not in shown
    assert "Found(1 of 1)" in shown
    assert "Search(loc-1, 1 values)" in shown


texts = strategies.text(max_size=30)
names = strategies.sampled_from(
    [
        "contacts",
        "contact",
        "total",
        "message",
        "error",
        "traceId",
        "statusCode",
        "id",
        "locationId",
        "email",
        "additionalEmails",
        "additionalPhones",
        "searchAfter",
        "dateUpdated",
        "deleted",
        "phone",
    ]
)
values = (
    strategies.none()
    | strategies.booleans()
    | strategies.integers(-(2**63), 2**63 - 1)
    | strategies.floats()
    | texts
    | strategies.just("c-1")
)
replies = strategies.recursive(
    values, lambda inner: strategies.lists(inner, max_size=4) | strategies.dictionaries(names, inner, max_size=6)
)
header_names = strategies.sampled_from(
    [
        "Retry-After",
        "Date",
        "X-RateLimit-Max",
        "X-RateLimit-Remaining",
        "X-RateLimit-Interval-Milliseconds",
        "X-RateLimit-Daily-Remaining",
        "X-RateLimit-Daily-Reset",
    ]
)
dates = strategies.from_regex(
    r"[A-Z][a-z]{2}, \d{1,4} [A-Z][a-z]{2} \d{1,6} \d{1,3}:\d{1,3}:\d{1,3} ([+-]\d{1,9}|GMT)", fullmatch=True
)
headers = strategies.dictionaries(header_names | texts, texts | dates | strategies.integers().map(str))
bodies = strategies.binary(max_size=200) | replies.map(orjson.dumps)
statuses = strategies.sampled_from([200, 201, 400, 401, 403, 404, 422, 429, 500]) | strategies.integers()


@given(strategies.sampled_from([search, get]), statuses, headers, bodies, strategies.integers(0, 2**53))
def test_parse_response_never_raises(
    call: Call, status: int, headers: dict[str, str], body: bytes, now_ms: int
) -> None:
    response = parse_response(call, status, headers, body, now_ms)

    assert (call, status) == (response.call, response.status)
    match response.outcome:
        case Throttled(retry_after_ms) if retry_after_ms is not None:
            assert 1_000 <= retry_after_ms <= 3_600_000
        case Found(contacts, total):
            assert total >= len(contacts)
