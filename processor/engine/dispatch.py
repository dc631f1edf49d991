"""Calls leave here, each by the permit that pays for it, and come back as responses.

Each call has exactly one response unless the process dies.
"""

from asyncio import Task, TaskGroup
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from processor.engine.ports import Api, Clock
from processor.highlevel.requests import Call
from processor.highlevel.responses import Exported, Page, Response, Throttled, Unsent
from processor.shard.inputs import CurrentToken

touches_per_turn: Final = 400  # leads that the responses of one turn may touch: a turn is short


class Dispatch:
    """The calls of one partition in flight. It outlives a reopened shard, so that responses are ingested all the same."""

    def __init__(self, api: Api, clock: Clock, tasks: TaskGroup, arrived: Callable[[], None]) -> None:
        self._api, self._clock, self._tasks, self._arrived = api, clock, tasks, arrived
        self._in_flight: set[Task[None]] = set()
        self._responses: deque[Response | CurrentToken] = deque()
        self._pages: deque[Response | CurrentToken] = deque()  # they take long to ingest
        self._page_waits = False
        self._throttled: dict[str, int] = {}  # location → ms of its last 429

    def send(self, call: Call) -> None:
        task = self._tasks.create_task(self._send(call), name=f"call {call.permit.location} {call.permit.slot}")
        self._in_flight.add(task)
        task.add_done_callback(self._finished)

    def watch_token(self, location: str, refused: str | None) -> None:
        """HighLevel refuses the token of this fingerprint: report when another one speaks for the location."""
        if (current := self._api.fingerprint(location)) != refused:
            self._responses.append(CurrentToken(location, current))
            self._arrived()

    def take(self) -> Sequence[Response | CurrentToken]:
        """Return the responses of one turn. A 429 doesn't wait for pages, nor a page for ever."""
        taken: list[Response | CurrentToken] = []
        touches = 0
        while self._responses and (not taken or touches + touches_of(self._responses[0]) <= touches_per_turn):
            taken.append(self._responses.popleft())
            touches += touches_of(taken[-1])
        if self._pages and (self._page_waits or not taken):
            taken.append(self._pages.popleft())
            self._page_waits = False
        else:
            self._page_waits = bool(self._pages)
        return taken

    def requeue(self, responses: Iterable[Response]) -> None:
        """Their turn wasn't committed, or its outcome is unknown: they are ingested again, which repeats nothing."""
        for response in reversed([*responses]):
            self._queue(response).appendleft(response)

    def cancel_all(self) -> None:
        """The partition is no longer ours, or the time to drain is over: the responses would not be ingested."""
        for task in self._in_flight:
            task.cancel()

    @property
    def idle(self) -> bool:
        """True if no call is in flight and no response waits."""
        return not (self._in_flight or self._responses or self._pages)

    async def _send(self, call: Call) -> None:
        response = await self._respond(call)
        self._queue(response).append(response)

    def _queue(self, response: Response) -> deque[Response | CurrentToken]:
        long = isinstance(response.outcome, Page | Exported) and not response.call.questions
        return self._pages if long else self._responses

    def _finished(self, task: Task[None]) -> None:
        self._in_flight.discard(task)
        self._arrived()

    async def _respond(self, call: Call) -> Response:
        permit = call.permit
        if permit.granted <= self._throttled.get(permit.location, -1):
            return Response(call, Unsent("throttled"), None, None, None)  # a 429 came in between: it is held back
        if self._clock.now() > permit.send_by:
            return Response(call, Unsent("late"), None, None, None)
        response = await self._api.call(call)
        if isinstance(response.outcome, Throttled):
            self._throttled[permit.location] = self._clock.now()
        elif self._throttled.get(permit.location, permit.granted) < permit.granted:
            del self._throttled[permit.location]
        return response


def touches_of(one: Response | CurrentToken) -> int:
    """Return how many leads it touches at most, or how many messages it holds."""
    if isinstance(one, CurrentToken):
        return 0
    return len(one.call.questions) + (len(one.outcome.messages) if isinstance(one.outcome, Exported) else 0)
