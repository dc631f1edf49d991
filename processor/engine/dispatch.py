"""Calls leave here, each by the permit that pays for it, and come back as answers: exactly one a call unless the process
dies."""

from asyncio import Task, TaskGroup
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from processor.engine.ports import Api, Clock
from processor.highlevel.requests import Call
from processor.highlevel.responses import Exported, Page, Response, Throttled, Unsent
from processor.shard.hear import Token

touches_at_most: Final = 400  # leads that the answers of one turn may touch: a turn is short


class Dispatch:
    """The calls of one partition in flight. It outlives a reopened shard, so that answers are heard all the same."""

    def __init__(self, api: Api, clock: Clock, tasks: TaskGroup, arrived: Callable[[], None]) -> None:
        self._api, self._clock, self._tasks, self._arrived = api, clock, tasks, arrived
        self._flying: set[Task[None]] = set()
        self._answers: deque[Response | Token] = deque()
        self._pages: deque[Response | Token] = deque()  # that take long to hear
        self._page_waits = False
        self._throttled: dict[str, int] = {}  # location → ms of its last 429

    def send(self, call: Call) -> None:
        task = self._tasks.create_task(self._send(call), name=f"call {call.permit.location} {call.permit.slot}")
        self._flying.add(task)
        task.add_done_callback(self._landed)

    def look(self, location: str, token: str | None) -> None:
        """HighLevel refuses this token: say so when there is another one."""
        if (current := self._api.fingerprint(location)) != token:
            self._answers.append(Token(location, current))
            self._arrived()

    def take(self) -> Sequence[Response | Token]:
        """Answers for one turn; what a 429 says doesn't wait for pages, nor a page for ever."""
        taken: list[Response | Token] = []
        touches = 0
        while self._answers and (not taken or touches + touched(self._answers[0]) <= touches_at_most):
            taken.append(self._answers.popleft())
            touches += touched(taken[-1])
        if self._pages and (self._page_waits or not taken):
            taken.append(self._pages.popleft())
            self._page_waits = False
        else:
            self._page_waits = bool(self._pages)
        return taken

    def put_back(self, answers: Iterable[Response]) -> None:
        """Their turn wasn't committed, or nobody knows: they are heard again, which changes nothing if it was."""
        for answer in reversed([*answers]):
            self._queue(answer).appendleft(answer)

    def abandon(self) -> None:
        """The partition is no longer ours, or the time to drain is over: nobody will hear these answers."""
        for task in self._flying:
            task.cancel()

    @property
    def idle(self) -> bool:
        """No call is in flight and no answer unheard."""
        return not (self._flying or self._answers or self._pages)

    async def _send(self, call: Call) -> None:
        answer = await self._answer(call)
        self._queue(answer).append(answer)

    def _queue(self, answer: Response) -> deque[Response | Token]:
        long = isinstance(answer.outcome, Page | Exported) and not answer.call.questions
        return self._pages if long else self._answers

    def _landed(self, task: Task[None]) -> None:
        self._flying.discard(task)
        self._arrived()

    async def _answer(self, call: Call) -> Response:
        permit = call.permit
        if permit.granted <= self._throttled.get(permit.location, -1):
            return Response(call, Unsent("throttled"), None, None, None)  # a 429 came in between: it is held back
        if self._clock.now() > permit.send_by:
            return Response(call, Unsent("late"), None, None, None)
        answer = await self._api.call(call)
        if isinstance(answer.outcome, Throttled):
            self._throttled[permit.location] = self._clock.now()
        elif self._throttled.get(permit.location, permit.granted) < permit.granted:
            del self._throttled[permit.location]
        return answer


def touched(one: Response | Token) -> int:
    """Leads at most, or messages."""
    if isinstance(one, Token):
        return 0
    return len(one.call.questions) + (len(one.outcome.messages) if isinstance(one.outcome, Exported) else 0)
