"""A strict HighLevel with latency, faults, and limiters of 10 s and of a day that count all *arrivals*.

`Server` is HighLevel, over the contacts of `directory.py`; `Api` is the port of the runner, by which one worker calls it.
"""

import asyncio
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from email.utils import formatdate, parsedate_to_datetime
from random import Random
from typing import Final

import orjson

from processor.engine.ports import Clock
from processor.highlevel.requests import (
    Call,
    ExportMessages,
    HttpRequest,
    ListContacts,
    Question,
    QuestionKind,
    http_request,
)
from processor.highlevel.responses import Lost, Response, Throttled, Unauthorized, Unsent, parse_response
from tests.lab.faults import HighLevelFaults, OutageKind, refusal_responses
from tests.lab.workload.contact import Contact
from tests.lab.workload.times import start_ms
from tests.simulation.world.conversations import Conversations
from tests.simulation.world.directory import Directory, invalid
from tests.simulation.world.loop import Process, VirtualLoop, fulfil
from tests.simulation.world.network import Arrival, Network, Sent
from tests.simulation.world.trace import Trace

window_ms: Final = 10_000
answer_within_ms: Final = 8_000  # the client hangs up so long after the send deadline, and its socket is reset
Reply = tuple[int, Mapping[str, str], object]  # status, headers, body


@dataclass
class Server:
    loop: VirtualLoop
    random: Random
    trace: Trace
    limit: int
    contacts: Mapping[str, Contact]
    raw_names: frozenset[str] = frozenset()  # locations whose searches show names as entered
    poisoned: frozenset[str] = frozenset()  # e-mails that it can't search for
    network: Network = field(default_factory=Network)
    highlevel_faults: HighLevelFaults = field(default_factory=HighLevelFaults)
    conversations: Conversations = field(default_factory=Conversations)
    arrivals: list[Arrival] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    pauses: list[tuple[int, int, str, str]] = field(default_factory=list)  # from, until, location, worker
    faults: Counter[str] = field(default_factory=Counter)  # what it did to calls, by kind
    _log: dict[str, list[int]] = field(default_factory=dict)  # when something arrived, by location

    def __post_init__(self) -> None:
        self._days: dict[tuple[str, int], int] = {}  # calls that arrived, by location and day
        self._directory = Directory(self.contacts, self.raw_names)

    def arrive(self, call: Call, asked: HttpRequest, worker: str, token: str = "first") -> Reply:
        """Count a request and return its reply."""
        location, now = call.permit.location, self.loop.ms
        log = self._log.setdefault(location, [])
        log.append(now)
        reply: Reply
        if len(log) - bisect_right(log, now - window_ms) > self.limit:
            reply = 429, {}, {"statusCode": 429, "message": "Too Many Requests"}
        elif self._day_is_spent(location):
            reply = 429, self._headers(location), {"statusCode": 429, "message": "Too Many Requests"}
        elif self._bad("throttled"):
            reply = 429, self._retry_after(), None
        elif self._bad("unavailable"):
            reply = self._unavailable()
        elif refused := self._refused(location, token):
            reply = refused
        elif failing := self._failing(location, asked):
            reply = failing
        else:
            reply = self.serve(location, asked)
        what = asked.method if asked.method != "POST" else f"POST {asked.path}"
        self.arrivals.append(Arrival(now, location, what, call.permit.slot, worker, reply[0]))
        self.trace.add("HighLevel", f"{reply[0]} to {worker}'s {what}", slot=call.permit.slot, wanted=wanted(asked))
        return reply

    def lost(self, location: str) -> bool:
        return self._bad("lost") or self.away(location, "lost")

    def away(self, location: str, how: OutageKind) -> bool:
        """True if an outage of this kind is under way."""
        return any(
            one.how == how and one.location in (None, location) and self._since(one.at) and not self._since(one.over)
            for one in self.highlevel_faults.outages
        )

    def token(self, location: str) -> str:
        """Return the token that the workers' tokens file holds now."""
        renewed = [
            one for one in self.highlevel_faults.refusals if one.location == location and self._since(one.renewed)
        ]
        return "second" if renewed else "first"

    def _refused(self, location: str, token: str) -> Reply | None:
        for one in self.highlevel_faults.refusals:
            if one.location == location and token == "first" and self._since(one.at) and not self._since(one.cured):
                status, message = refusal_responses[one.how]
                self.faults[f"token refused: {one.how}"] += 1
                return status, {}, {"statusCode": status, "message": message, "traceId": "trace-3"}
        return None

    def _failing(self, location: str, asked: HttpRequest) -> Reply | None:
        """Return the reply of an outage, or of an e-mail that makes searches fail."""
        if self.away(location, "5xx"):
            return self._unavailable()
        if self.away(location, "403"):
            self.faults["403"] += 1
            return 403, {}, "Error 1010"
        if self.away(location, "429"):
            return 429, self._retry_after(), None
        if asked.body is not None and any(value in self.poisoned for value in wanted(asked)):
            self.faults["e-mail that fails"] += 1
            return 500, {}, {"statusCode": 500, "message": "Internal Server Error"}
        return None

    def _unavailable(self) -> Reply:
        self.faults["5xx"] += 1
        return self.random.choice([500, 502, 503]), {}, {"message": "try later"}

    def _retry_after(self) -> Mapping[str, str]:
        """Return Retry-After in seconds, as a date with the server's own Date, or no header."""
        form = self.random.random()
        if form >= 0.5:
            self.faults["429 without Retry-After"] += 1
            return {}
        seconds, now = self.random.randint(1, 4), self.loop.ms // 1_000
        if form >= 0.25:
            self.faults["429 with seconds"] += 1
            return {"Retry-After": str(seconds)}
        self.faults["429 with a date"] += 1
        return {"Retry-After": formatdate(now + seconds, usegmt=True), "Date": formatdate(now, usegmt=True)}

    def serve(self, location: str, asked: HttpRequest) -> Reply:
        now = self.loop.ms - start_ms
        if asked.method == "POST" and asked.path == "/contacts/search":
            query = asked.body or {}
            if query.get("searchAfter") is not None and location in self.highlevel_faults.cursors_refused:
                self.faults["page refused"] += 1
                status, body = invalid("searchAfter")
            else:
                status, body = self._directory.search(location, query, now)
            return status, {} if status == 422 else self._headers(location), body
        if asked.method == "GET" and asked.path == "/conversations/messages/export":
            status, body = self.conversations.export(location, asked.query, self.loop.ms)
            return status, self._headers(location), body
        if asked.method == "GET" and asked.path.startswith("/contacts/"):
            status, body = self._directory.get(asked.path.removeprefix("/contacts/"), now)
            return status, self._headers(location), body
        return 404, {}, {"statusCode": 404, "message": f"Cannot {asked.method} {asked.path}"}

    def _day_is_spent(self, location: str) -> bool:
        """Count the call in its day. Return True if that has no calls left."""
        day, ms = self.highlevel_faults.day, self.loop.ms - start_ms
        if day is None:
            return False
        here = (location, day.number(ms))
        self._days[here] = self._days.get(here, 0) + 1
        spent = self._days[here] > day.calls
        self.faults["day spent"] += spent
        return spent

    def _since(self, ms: int) -> bool:
        return self.loop.ms >= start_ms + ms

    def _headers(self, location: str) -> dict[str, str]:
        log = self._log[location]
        left = self.limit - (len(log) - bisect_right(log, self.loop.ms - window_ms))
        headers = {"X-RateLimit-Max": str(self.limit), "X-RateLimit-Remaining": str(left)}
        day, ms = self.highlevel_faults.day, self.loop.ms - start_ms
        if day is not None and day.shown:
            today = max(0, day.calls - self._days.get((location, day.number(ms)), 0))
            headers |= {
                "X-RateLimit-Limit-Daily": str(day.calls),
                "X-RateLimit-Daily-Remaining": str(today),
                "X-RateLimit-Daily-Reset": str(day.rest(ms)),
            }
        return headers

    def _bad(self, what: str) -> bool:
        return self.loop.ms < start_ms + self.highlevel_faults.until and self.random.random() < getattr(
            self.highlevel_faults, what
        )


class Api:
    """The client of one process. A dead process sends no call any more; one that is under way arrives."""

    def __init__(self, server: Server, process: Process, clock: Clock) -> None:
        self.server, self.process, self.clock = server, process, clock

    async def call(self, call: Call) -> Response:
        """Return a whole response, or Lost, or Unsent past the send deadline, as the real client does."""
        server, network, loop, permit = self.server, self.server.network, self.server.loop, call.permit
        self._alive()
        if self.clock.now() > permit.send_by:
            return Response(call, Unsent("late"), None, None, None)
        taken = loop.ms
        connect = server.random.randint(*network.connect)
        if server.random.random() < network.stalls:
            connect = server.random.randint(1_000, 4_000)
        await asyncio.sleep(connect / 1000)
        self._alive()
        now = self.clock.now()
        if now > permit.send_by:
            return Response(call, Unsent("connect"), None, None, None)
        asks = frozenset(f"{one.lead} {named_by(one.question)} {one.question.value}" for one in call.questions)
        of = (permit.location, permit.slot, permit.granted, permit.send_by, self.process.name, call.kind, asks)
        what = call.request
        sent = Sent(loop.ms, taken, *of)
        if isinstance(what, ListContacts):
            sent.page = (what.job, what.updated_since is not None)
        elif isinstance(what, ExportMessages):
            sent.page, sent.contact = (what.job, False) if what.job else None, what.contact
        server.sent.append(sent)
        response: asyncio.Future[tuple[Response, int]] = loop.create_future()  # and when it came
        hang_up = permit.send_by + answer_within_ms - now
        self._travel(call, sent, hang_up, response)
        try:
            async with asyncio.timeout(hang_up / 1000):
                answer, came = await response
                sent.outcome = type(answer.outcome).__name__
        except TimeoutError:
            sent.outcome = "Lost"
            return Response(call, Lost("timeout"), None, None, None)
        finally:
            sent.until = None if self.process.dead else loop.ms
        self._alive()
        if isinstance(answer.outcome, Throttled):
            server.pauses.append((loop.ms, came + sent.pause_ms, permit.location, self.process.name))
        return answer

    def fingerprint(self, location: str) -> str | None:
        return self.server.token(location)

    def _travel(self, call: Call, sent: Sent, hang_up: int, response: "asyncio.Future[tuple[Response, int]]") -> None:
        server, loop, asked = self.server, self.server.loop, http_request(call.request)
        token = server.token(call.permit.location)
        out, back = server.random.randint(*server.network.out), server.random.randint(*server.network.back)
        location = call.permit.location
        lost = server.lost(location)
        hangs, reset = server.away(location, "hang"), server.away(location, "reset")
        for what, so in (("answer lost", lost), ("hang", hangs), ("reset", reset)):
            server.faults[what] += so
        if out > hang_up or (lost and server.random.random() < 0.5):
            return  # it never arrives

        def arrives() -> None:
            sent.arrived = loop.ms
            status, headers, body = server.arrive(call, asked, self.process.name, token)
            sent.pause_ms = pause_of(headers)
            raw = orjson.dumps(body)
            if reset:
                loop.after(back, lambda: fulfil(response, (Response(call, Lost("reset"), None, None, None), loop.ms)))
            elif not (lost or hangs):
                loop.after(back, lambda: fulfil(response, (self._parse(call, status, headers, raw, token), loop.ms)))

        loop.after(out, arrives)

    def _parse(self, call: Call, status: int, headers: Mapping[str, str], body: bytes, token: str) -> Response:
        answer = parse_response(call, status, headers, body, self.clock.now())
        return replace(answer, token=token) if isinstance(answer.outcome, Unauthorized) else answer

    def _alive(self) -> None:
        if self.process.dead:
            raise asyncio.CancelledError("this process is dead")


def pause_of(headers: Mapping[str, str]) -> int:
    """Return the wait in ms that the headers of our own reply ask for."""
    wait = headers.get("Retry-After")
    if wait is None:
        return window_ms
    if wait.isdecimal():
        return int(wait) * 1_000
    until, now = (parsedate_to_datetime(date) for date in (wait, headers["Date"]))
    return round((until - now).total_seconds() * 1_000)


def wanted(asked: HttpRequest) -> Iterable[str]:
    if asked.body is None:
        return [asked.path]
    filters = orjson.loads(orjson.dumps(asked.body.get("filters", [{"value": "all"}])))
    after = asked.body.get("searchAfter")
    return [str(one["value"]) for one in filters[0].get("filters", filters)] + ([f"after {after}"] if after else [])


def named_by(question: Question) -> str:
    """Return what names the lead's contact: a GET and an export name it as a search by id does."""
    return "id" if question.kind in (QuestionKind.CONTACT, QuestionKind.MESSAGES) else question.kind.value
