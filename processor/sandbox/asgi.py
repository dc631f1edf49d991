"""Serve the simulator as an ASGI application: count a call, wait for its latency, then apply a fault or respond."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from random import Random
from typing import Any, Final, get_args
from uuid import UUID

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send

from processor.sandbox.api import ApiCall, ApiRequest, recognise, respond
from processor.sandbox.connection import ClientConnection
from processor.sandbox.directory import Directory
from processor.sandbox.faults import Fault, FaultTable, RetryAfterForm
from processor.sandbox.gate import Gate
from processor.sandbox.json_values import is_number
from processor.sandbox.limiter import Admission, RateLimits
from processor.sandbox.problems import Problem, cloudflare_page

max_latency_ms: Final = 3_600_000
json_content_type: Final = "application/json; charset=utf-8"
MicrosecondClock = Callable[[], int]
HttpHeaders = dict[str, str]


def steady_clock() -> MicrosecondClock:
    """Return a clock of µs since 1970 that never steps: the wall's time at this call plus monotonic time since."""
    offset_ns = time.time_ns() - time.monotonic_ns()
    return lambda: (time.monotonic_ns() + offset_ns) // 1_000


@dataclass(frozen=True, slots=True)
class ResponseStyle:
    """Set latency and Retry-After of responses. Raise ValueError for a value out of range."""

    latency_ms: float = 0
    jitter_ms: float = 0  # at most, on top of the latency
    retry_after: RetryAfterForm = "seconds"  # on 429s of the limiter; a spent day never has one (contract.md §2)

    def __post_init__(self) -> None:
        for name in ("latency_ms", "jitter_ms"):
            if not is_number(getattr(self, name), 0, max_latency_ms):
                raise ValueError(f"{name}: not a number from 0 to {max_latency_ms}")
        if self.retry_after not in get_args(RetryAfterForm):
            raise ValueError(f"retry_after: none of {', '.join(get_args(RetryAfterForm))}")


class Sandbox:
    """Serve HighLevel's API and the admin API. Code that runs it in its own process may use its parts."""

    def __init__(
        self, directory: Directory, limits: RateLimits, faults: FaultTable, style: ResponseStyle, now: MicrosecondClock
    ) -> None:
        self.directory = directory
        self.gate = Gate(limits)
        self.faults = faults
        self.style = style
        self.now = now
        self.admin: ASGIApp | None = None
        self._draw = Random(directory.seed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or path == "/healthz" or path.startswith("/_sandbox/"):
            if self.admin is not None:
                await self.admin(scope, receive, send)
            return
        client = ClientConnection(scope, receive, send)
        body = await client.body()
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        query = scope.get("query_string", b"").decode("latin-1")
        call = recognise(self.directory, ApiRequest(scope["method"], path, headers, body, query))
        arrival = self.gate.arrive(call.location, call.kind, self.now())
        status = await self._serve(client, call, arrival.admission)
        if status:
            arrival.set_status(status)

    async def _serve(self, client: ClientConnection, call: ApiCall, admission: Admission) -> int:
        """Return the status of the response, 0 where none was sent whole."""
        headers = self._headers(admission)
        if admission.refused:
            if admission.refused == "burst":
                headers |= self._retry_after(self.style.retry_after, -(-admission.wait_ms // 1_000))
            return await self._refuse(client, headers, Problem(429))
        fault = self.faults.draw_fault(call.location, call.kind, call.body)
        delay_ms = self.style.latency_ms + self._draw.random() * self.style.jitter_ms
        if fault and fault.kind == "slow":
            delay_ms += fault.delay_ms
        if delay_ms:
            await client.pause(delay_ms / 1_000)
        if fault and fault.kind != "slow":
            return await self._break(client, call, headers, fault)
        agent = call.request.headers.get("user-agent", "")
        if not agent or agent.startswith("Python-urllib"):  # contract.md §1: Cloudflare bans it
            return await self._ban(client, headers)
        try:
            return await self._respond(client, 200, headers, respond(self.directory, call, self.now()))
        except Problem as problem:
            return await self._refuse(client, headers, problem)

    async def _break(self, client: ClientConnection, call: ApiCall, headers: HttpHeaders, fault: Fault) -> int:
        match fault.kind:
            case "status":
                headers |= self._retry_after(fault.retry_after, fault.retry_after_s)
                return await self._refuse(client, headers, Problem(fault.status, fault.message))
            case "cloudflare":
                return await self._ban(client, headers)
            case "malformed":
                await client.respond(200, headers, fault.body.encode())
                return 200
            case "hang":
                await client.hang()
            case "reset":
                await client.reset()
            case "endless":
                await client.send_endlessly(headers)
            case "lost" | "truncated" as kind:
                body = self._unsent_body(call)
                await (client.reset() if kind == "lost" else client.truncate(headers, body))
        return 0

    def _unsent_body(self, call: ApiCall) -> bytes:
        """Let the call take effect, and return the body that the client won't get whole."""
        try:
            return orjson.dumps(respond(self.directory, call, self.now()))
        except Problem as problem:
            return orjson.dumps(problem.body())

    async def _respond(self, client: ClientConnection, status: int, headers: HttpHeaders, body: dict[str, Any]) -> int:
        body["traceId"] = str(UUID(int=self._draw.getrandbits(128)))
        await client.respond(status, headers, orjson.dumps(body))
        return status

    async def _refuse(self, client: ClientConnection, headers: HttpHeaders, problem: Problem) -> int:
        return await self._respond(client, problem.status, headers, problem.body())

    async def _ban(self, client: ClientConnection, headers: HttpHeaders) -> int:
        await client.respond(403, {**headers, "content-type": "text/html; charset=UTF-8"}, cloudflare_page)
        return 403

    def _headers(self, admission: Admission) -> HttpHeaders:
        limits = admission.limits
        return {
            "content-type": json_content_type,
            "x-ratelimit-limit-daily": str(limits.per_day),
            "x-ratelimit-daily-remaining": str(admission.left_today),
            "x-ratelimit-daily-reset": str(admission.day_reset_ms),
            "x-ratelimit-interval-milliseconds": str(limits.window_ms),
            "x-ratelimit-max": str(limits.per_window),
            "x-ratelimit-remaining": str(admission.remaining),
        }

    def _retry_after(self, form: RetryAfterForm, seconds: int) -> HttpHeaders:
        if form == "none":
            return {}
        date = formatdate(self.now() / 1e6 + seconds + 1, usegmt=True)  # a date has whole seconds: never too early
        return {"retry-after": str(seconds) if form == "seconds" else date}
