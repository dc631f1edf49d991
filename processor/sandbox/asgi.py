"""The simulator as an ASGI application: a call arrives and is judged, waits for its latency, meets a fault or is answered."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from random import Random
from typing import Any, Final, get_args
from uuid import UUID

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send

from processor.sandbox.api import Call, Request, answer, recognise
from processor.sandbox.directory import Directory
from processor.sandbox.faults import Fault, Faults, RetryAfter
from processor.sandbox.gate import Gate
from processor.sandbox.limiter import Limits, Verdict
from processor.sandbox.problems import Problem, cloudflare
from processor.sandbox.wire import Wire

longest_ms: Final = 3_600_000  # of a latency
json_type: Final = "application/json; charset=utf-8"
Clock = Callable[[], int]
Headers = dict[str, str]


def clock() -> Clock:
    """Microseconds since 1970 that never step: the wall's when this was called, plus monotonic time since."""
    offset_ns = time.time_ns() - time.monotonic_ns()
    return lambda: (time.monotonic_ns() + offset_ns) // 1_000


@dataclass(frozen=True, slots=True)
class Manner:
    """How the simulator answers; another one may take its place while it runs. ValueError: out of range."""

    latency_ms: float = 0
    jitter_ms: float = 0  # up to that much more
    retry_after: RetryAfter = "seconds"  # on 429s of the limiter; a spent day never has one (contract.md §2)

    def __post_init__(self) -> None:
        for name in ("latency_ms", "jitter_ms"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= longest_ms:
                raise ValueError(f"{name}: not a number from 0 to {longest_ms}")
        if self.retry_after not in get_args(RetryAfter):
            raise ValueError(f"retry_after: none of {', '.join(get_args(RetryAfter))}")


class Sandbox:
    """The application; its parts are open to whoever runs it in-process."""

    def __init__(self, directory: Directory, limits: Limits, faults: Faults, manner: Manner, now: Clock) -> None:
        self.directory = directory
        self.gate = Gate(limits)
        self.faults = faults
        self.manner = manner
        self.now = now
        self.admin: ASGIApp | None = None
        self._draw = Random(directory.seed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or path == "/healthz" or path.startswith("/_sandbox/"):
            if self.admin is not None:
                await self.admin(scope, receive, send)
            return
        wire = Wire(scope, receive, send)
        body = await wire.body()
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        query = scope.get("query_string", b"").decode("latin-1")
        call = recognise(self.directory, Request(scope["method"], path, headers, body, query))
        arrival = self.gate.arrive(call.location, call.kind, self.now())
        status = await self._serve(wire, call, arrival.verdict)
        if status:
            arrival.answered(status)

    async def _serve(self, wire: Wire, call: Call, verdict: Verdict) -> int:
        """Returns the status of the answer, 0 where there was no whole one."""
        headers = self._headers(verdict)
        if verdict.refused:
            if verdict.refused == "burst":
                headers |= self._retry_after(self.manner.retry_after, -(-verdict.wait_ms // 1_000))
            return await self._refuse(wire, headers, Problem(429))
        fault = self.faults.strike(call.location, call.kind, call.body)
        delay_ms = self.manner.latency_ms + self._draw.random() * self.manner.jitter_ms
        if fault and fault.kind == "slow":
            delay_ms += fault.delay_ms
        if delay_ms:
            await wire.pause(delay_ms / 1_000)
        if fault and fault.kind != "slow":
            return await self._break(wire, call, headers, fault)
        agent = call.request.headers.get("user-agent", "")
        if not agent or agent.startswith("Python-urllib"):  # contract.md §1: Cloudflare bans it
            return await self._ban(wire, headers)
        try:
            return await self._answer(wire, 200, headers, answer(self.directory, call, self.now()))
        except Problem as problem:
            return await self._refuse(wire, headers, problem)

    async def _break(self, wire: Wire, call: Call, headers: Headers, fault: Fault) -> int:
        match fault.kind:
            case "status":
                headers |= self._retry_after(fault.retry_after, fault.retry_after_s)
                return await self._refuse(wire, headers, Problem(fault.status, fault.message))
            case "cloudflare":
                return await self._ban(wire, headers)
            case "malformed":
                await wire.answer(200, headers, fault.body.encode())
                return 200
            case "hang":
                await wire.hang()
            case "reset":
                await wire.reset()
            case "endless":
                await wire.endless(headers)
            case "lost" | "truncated" as kind:
                body = self._effect(call)
                await (wire.reset() if kind == "lost" else wire.truncated(headers, body))
        return 0

    def _effect(self, call: Call) -> bytes:
        try:
            return orjson.dumps(answer(self.directory, call, self.now()))
        except Problem as problem:
            return orjson.dumps(problem.body())

    async def _answer(self, wire: Wire, status: int, headers: Headers, body: dict[str, Any]) -> int:
        body["traceId"] = str(UUID(int=self._draw.getrandbits(128)))
        await wire.answer(status, headers, orjson.dumps(body))
        return status

    async def _refuse(self, wire: Wire, headers: Headers, problem: Problem) -> int:
        return await self._answer(wire, problem.status, headers, problem.body())

    async def _ban(self, wire: Wire, headers: Headers) -> int:
        await wire.answer(403, {**headers, "content-type": "text/html; charset=UTF-8"}, cloudflare)
        return 403

    def _headers(self, verdict: Verdict) -> Headers:
        limits = verdict.limits
        return {
            "content-type": json_type,
            "x-ratelimit-limit-daily": str(limits.per_day),
            "x-ratelimit-daily-remaining": str(verdict.left_today),
            "x-ratelimit-daily-reset": str(verdict.day_reset_ms),
            "x-ratelimit-interval-milliseconds": str(limits.window_ms),
            "x-ratelimit-max": str(limits.per_window),
            "x-ratelimit-remaining": str(verdict.remaining),
        }

    def _retry_after(self, form: RetryAfter, seconds: int) -> Headers:
        if form == "none":
            return {}
        date = formatdate(self.now() / 1e6 + seconds + 1, usegmt=True)  # a date has whole seconds, and cuts
        return {"retry-after": str(seconds) if form == "seconds" else date}
