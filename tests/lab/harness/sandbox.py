"""Run the HighLevel simulator as a process, let it misbehave, and read what it recorded."""

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from tests.lab.harness.calls import Arrival
from tests.lab.harness.process import ChildProcess, call

starts_within_s: Final = 120.0  # with a million contacts
look_every_s: Final = 0.02
at_once: Final = 5_000  # messages of one request

Json = Mapping[str, Any]  # a JSON object


class SandboxProcess(ChildProcess):
    """Run `python -m processor.sandbox`. The constructor returns once it listens. Raise ProcessFailed if it can't."""

    def __init__(self, arguments: Sequence[str], log: Path) -> None:
        super().__init__("the sandbox", ["-m", "processor.sandbox", *arguments], log)
        deadline = time.monotonic() + starts_within_s
        while not (lines := [line for line in log.read_bytes().splitlines() if line.startswith(b'{"')]):
            self.check()
            if time.monotonic() > deadline:
                raise self.failure(f"isn't ready after {starts_within_s:.0f} s")
            time.sleep(look_every_s)
        self.url: str = orjson.loads(lines[0])["url"]

    def report(self) -> Any:
        """Return counts and worst windows, in all and by location."""
        return self._call("report")

    def call_count(self) -> int:
        return int(self.report()["totals"]["arrivals"])

    def arrivals(self, location: str) -> list[Arrival]:
        """Return the calls of a location in their order; of "": calls that named no location."""
        return [Arrival(*arrival) for arrival in self._call(f"log?location={location}")["arrivals"]]

    def arrivals_by_location(self) -> dict[str, list[Arrival]]:
        arrivals = {location: self.arrivals(location) for location in ("", *self.report()["locations"])}
        return {location: calls for location, calls in arrivals.items() if calls}

    def add_fault(self, **fields: object) -> int:
        """Add a fault as `processor.sandbox.faults` describes it: `kind="hang", location=…`. Return its number."""
        (number,) = self._call("faults", "POST", fields)["ids"]
        return int(number)

    def clear_faults(self, number: int | None = None, location: str | None = None) -> None:
        """Clear one fault, those of a location, or all."""
        chosen = {"id": number, "location": location}
        query = "&".join(f"{name}={value}" for name, value in chosen.items() if value is not None)
        self._call(f"faults?{query}", "DELETE")

    def change_settings(self, **settings: object) -> None:
        """Change settings as `processor.sandbox.settings` describes them."""
        self._call("settings", "PUT", settings)

    def add_contacts(self, contacts: Iterable[tuple[str, Json]]) -> None:
        """Add contacts, each with its location."""
        rows = [{"location_id": location, "contact": contact} for location, contact in contacts]
        self._call("contacts", "POST", rows)

    def add_messages(self, messages: Iterable[tuple[str, Json]]) -> None:
        """Add messages, each with its location."""
        rows = [{"location_id": location, "message": message} for location, message in messages]
        for first in range(0, len(rows), at_once):
            self._call("messages", "POST", rows[first : first + at_once])

    def chatter(self, location: str) -> list[Json]:
        """Return what the location's contacts wrote by themselves so far."""
        messages: list[Json] = self._call(f"chatter?location={location}")["sayings"]
        return messages

    def _call(self, path: str, method: str = "GET", body: object = None) -> Any:
        return call(f"{self.url}/_sandbox/{path}", method, body)
