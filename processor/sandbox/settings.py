"""What may be changed while the simulator runs: `PUT /_sandbox/settings`. A wrong order changes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, get_args

from processor.sandbox import chatter, churn
from processor.sandbox.directory import Access, Refusal
from processor.sandbox.limiter import Limits

if TYPE_CHECKING:
    from processor.sandbox.asgi import Sandbox

everyone: Final = "*"
limits: Final = {"limit": "per_window", "daily": "per_day", "foreign": "foreign"}
of_all_only: Final = ("latency_ms", "jitter_ms", "retry_after")
of_one_only: Final = ("churn", "chatter")
as_everyones: Final = ("index_lag_s", "raw_names", "message_scope", "cursor_life_s")  # until it has its own
lag_at_most_s: Final = 86_400

help: Final = """\
PUT /_sandbox/settings  {"location": "id", …}, without a location or with "*" for all; null: as for all again
  limit, daily          calls in any 10 s, and in a day, that it may make
  foreign               calls in 10 s that other programs make on the same budget, evenly spread
  day_resets_in_s       when the server's day ends; then again each 24 h
  tokens, refusal       a list of the tokens that open it; how others are refused: expired, revoked, scope or location
                        (without a location also an object: token → the one location that it opens, or null)
  index_lag_s           how much later search and export see a change
  raw_names             whether search shows names as entered
  churn                 of one location only: how many contacts change after each search answered, as
                        {"edit": 3, "rename": 1, "add": 2, "twin": 1, "merge": 1, "delete": 1}; null: none any more.
                        GET /_sandbox/churn?location=… tells who was changed when, before and after
  message_scope         whether tokens may read messages; if not, export alone is refused for the missing scope
  cursor_life_s         how long export's cursors live after the last call that used one of their chain
  chatter               of one location only: how many messages come after each page exported, as
                        {"new": 2, "late": 1, "late_by_s": 540, "tied": 1, "status": 1}; null: none any more.
                        GET /_sandbox/chatter?location=… tells what was said when
  latency_ms, jitter_ms, retry_after   of all locations only: seconds, date or none on a 429 of the limiter
POST /_sandbox/faults   {"kind": status, cloudflare, hang, reset, malformed, endless, truncated, lost or slow}, or a list; also
  location, call, email, filters_over   whom it strikes: all that is given must fit; a search that names the e-mail
                        (call: search, contact or messages)
  times, probability    how often
  status, message, retry_after, retry_after_s   of kind status
  body, delay_ms        of kind malformed, of kind slow
POST /_sandbox/changes  [{"location_id": "id", "kind": add, change, merge or delete}, …], many at one moment; also
  id                    of the contact that changes or goes; into: which one stays of two merged
  contact               in GET's shape: what is added, or the fields to change
POST /_sandbox/messages {"location_id": "id", "message": {… in export's shape …}}, or a list; all but contactId may be missing;
                        one with the id of another takes its place. GET …?location=…[&contact=…]: all that was ever said
GET, DELETE /_sandbox/faults[?id=…|?location=…]; GET /_sandbox/report, /_sandbox/log?location=…; POST /_sandbox/reset, /_sandbox/contacts;
PUT, DELETE /_sandbox/contacts/LOCATION/ID"""


@dataclass(frozen=True, slots=True)
class Settings:
    """As they were given, and none of them wrong as far as that can be told without the world."""

    location: str | None
    limits: Mapping[str, int | None]  # fields of Limits
    rest: Mapping[str, Any]


def change(sandbox: "Sandbox", given: Mapping[str, Any]) -> None:
    """ValueError names the setting and what is wrong with it."""
    settings = parse(given)
    rest, location = settings.rest, settings.location
    manner = replace(sandbox.manner, **{name: rest[name] for name in of_all_only if name in rest})
    now = sandbox.now()
    sandbox.gate.change(location, settings.limits, now)
    sandbox.manner = manner
    if "day_resets_in_s" in rest:
        sandbox.gate.end_day(location, now + round(rest["day_resets_in_s"] * 1e6))
    directory = sandbox.directory
    if isinstance(rest.get("tokens"), dict):
        directory.tokens, directory.access = rest["tokens"], None
    elif "tokens" in rest:
        access = None if rest["tokens"] is None else Access(frozenset(rest["tokens"]), rest.get("refusal", "expired"))
        (directory if location is None else directory.location(location)).access = access
    if location is not None and "churn" in rest:
        churn.begin(directory, location, None if rest["churn"] is None else churn.parse(rest["churn"]))
    if location is not None and "chatter" in rest:
        chatter.begin(directory, location, None if rest["chatter"] is None else chatter.parse(rest["chatter"]))
    for name in set(as_everyones) & rest.keys():
        setattr(directory if location is None else directory.location(location), name, rest[name])


def parse(given: Mapping[str, Any]) -> Settings:
    rest = dict(given)
    location = rest.pop("location", everyone)
    if not isinstance(location, str) or not location:
        raise ValueError("location: not a string")
    for name, value in rest.items():
        _check(name, value, of_one=location != everyone)
    if "refusal" in rest and not isinstance(rest.get("tokens"), list):
        raise ValueError("refusal: there is no list of tokens beside it")
    own = {limits[name]: rest.pop(name) for name in limits if name in rest}
    Limits(**{name: value for name, value in own.items() if value is not None})
    return Settings(None if location == everyone else location, own, rest)


def _check(name: str, value: Any, of_one: bool) -> None:
    if of_one and name in of_all_only:
        raise ValueError(f"{name}: of all locations only")
    if not of_one and name in of_one_only:
        raise ValueError(f"{name}: of one location only")
    if value is None and of_one and name in (*limits, *of_one_only, *as_everyones, "tokens"):
        return
    match name:
        case "limit" | "daily" | "foreign":  # Limits knows the range
            if not isinstance(value, int) or isinstance(value, bool):
                raise ValueError(f"{name}: not a whole number")
        case "latency_ms" | "jitter_ms" | "retry_after":
            pass  # Manner knows what they may be
        case "index_lag_s" | "cursor_life_s" | "day_resets_in_s":
            if not _number(value, 0, lag_at_most_s):
                raise ValueError(f"{name}: not a number from 0 to {lag_at_most_s}")
        case "churn":
            churn.parse(value)
        case "chatter":
            chatter.parse(value)
        case "raw_names" | "message_scope":
            if not isinstance(value, bool):
                raise ValueError(f"{name}: neither true nor false")
        case "tokens":
            if value is not None and not (_table(value) and not of_one) and not _texts(value):
                raise ValueError(f"{name}: not a list of strings" + ("" if of_one else ", nor an object of locations"))
        case "refusal":
            if value not in get_args(Refusal):
                raise ValueError(f"{name}: none of {', '.join(get_args(Refusal))}")
        case _:
            raise ValueError(f"{name}: unknown")


def _number(value: Any, least: float, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) and one for one in value)


def _table(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(location, str | None) for location in value.values())
