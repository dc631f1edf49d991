"""Fixtures: a clock that tests advance, a small world, and a client of the application."""

from collections.abc import Callable
from dataclasses import dataclass

import httpx
import pytest

from processor.sandbox.asgi import Sandbox
from processor.sandbox.directory import Directory
from processor.sandbox.server import create_app

jane_id = "jane0000000000000000"
plain_search = {"locationId": "here", "pageLimit": 5}
export_path = "/conversations/messages/export"
headers = {"Authorization": "Bearer sandbox", "Version": "2021-07-28"}
Client = Callable[[Sandbox], httpx.AsyncClient]


@dataclass
class Clock:
    us: int = 1_800_000_000_000_000

    def __call__(self) -> int:
        return self.us

    def advance(self, seconds: float) -> None:
        self.us += round(seconds * 1e6)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def jane() -> dict[str, object]:
    """Return a contact in GET's shape."""
    return {
        "id": jane_id,
        "firstName": "Jane",
        "lastName": "McDonald",
        "email": "Jane@Example.com",
        "phone": "+15550000001",
        "address1": "1 Main St",
        "city": "Denver",
        "timezone": "America/Denver",
        "additionalEmails": [{"email": "j@example.org"}],
        "dateAdded": "2024-06-06T18:54:57.221Z",
        "dateUpdated": "2024-07-01T00:00:00.000Z",
    }


@pytest.fixture
def directory(jane: dict[str, object]) -> Directory:
    """Return a world whose location `here` has Jane and whose `there` is empty."""
    directory = Directory()
    directory.add("here", jane)
    directory.location("there")
    return directory


@pytest.fixture
def client() -> Client:
    def connect(sandbox: Sandbox) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=sandbox)
        return httpx.AsyncClient(transport=transport, base_url="http://sandbox", headers=headers)

    return connect


@pytest.fixture
def sandbox(directory: Directory, clock: Clock) -> Sandbox:
    return create_app(directory, now=clock)


@pytest.fixture
def http(sandbox: Sandbox, client: Client) -> httpx.AsyncClient:
    return client(sandbox)
