"""Change settings while the simulator runs: `PUT /_sandbox/settings`. A wrong request changes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, get_args

from processor.sandbox.chatter import Chatter, set_chatter
from processor.sandbox.churn import Churn, set_churn
from processor.sandbox.directory import LocationAccess, TokenRefusal
from processor.sandbox.json_values import is_number, parse_options
from processor.sandbox.limiter import RateLimits

if TYPE_CHECKING:
    from processor.sandbox.asgi import Sandbox

all_locations: Final = "*"
limit_settings: Final = {"limit": "per_window", "daily": "per_day", "foreign": "foreign"}
global_settings: Final = ("latency_ms", "jitter_ms", "retry_after")
location_settings: Final = ("churn", "chatter")
inherited_settings: Final = (
    "index_lag_s",
    "raw_names",
    "message_scope",
    "cursor_life_s",
)  # a location may have its own
max_lag_s: Final = 86_400

settings_help: Final = """\
PUT /_sandbox/settings  {"location": "id", …}; without a location or with "*" for all; null: as for all again
  limit, daily          calls that it may make in any 10 s, and in a day
  foreign               calls in 10 s that other programs make on the same budget, evenly spread
  day_resets_in_s       when the server's day ends; then again each 24 h
  tokens, refusal       a list of the tokens that open it; the refusal of others: expired, revoked, scope or location
                        (without a location also an object: token → the one location that it opens, or null)
  index_lag_s           delay after which search and export see a change
  raw_names             true if search shows names as entered
  churn                 of one location only: contacts that change after each search, as
                        {"edit": 3, "rename": 1, "add": 2, "twin": 1, "merge": 1, "delete": 1}; null: stop.
                        GET /_sandbox/churn?location=… shows each change: its time, and the contact before and after it
  message_scope         true if tokens may read messages; else export alone is refused for the missing scope
  cursor_life_s         life of export's cursors after the last call that used one of their chain
  chatter               of one location only: messages that come after each exported page, as
                        {"new": 2, "late": 1, "late_by_s": 540, "tied": 1, "status": 1}; null: stop.
                        GET /_sandbox/chatter?location=… shows each added message and its time
  latency_ms, jitter_ms, retry_after   of all locations only: seconds, date or none on a 429 of the limiter
POST /_sandbox/faults   {"kind": status, cloudflare, hang, reset, malformed, endless, truncated, lost or slow}, or a list; also
  location, call, email, filters_over   the calls it strikes: all given must fit; a search that names the e-mail
                        (call: search, contact or messages)
  times, probability    number of strikes, and share of calls struck
  status, message, retry_after, retry_after_s   of kind status
  body, delay_ms        of kind malformed, of kind slow
POST /_sandbox/changes  [{"location_id": "id", "kind": add, change, merge or delete}, …], many at one moment; also
  id                    of the contact that changes or goes; into: the contact that stays of two merged
  contact               in GET's shape: the added contact, or the fields to change
POST /_sandbox/messages {"location_id": "id", "message": {… in export's shape …}}, or a list; all but contactId may be missing;
                        one with the id of another replaces it. GET …?location=…[&contact=…]: all messages ever added
GET, DELETE /_sandbox/faults[?id=…|?location=…]; GET /_sandbox/report, /_sandbox/log?location=…; POST /_sandbox/reset, /_sandbox/contacts;
PUT, DELETE /_sandbox/contacts/LOCATION/ID"""


@dataclass(frozen=True, slots=True)
class SettingsChange:
    """Hold settings as given. They are valid as far as that can be checked without the sandbox."""

    location: str | None
    limits: Mapping[str, int | None]  # fields of RateLimits
    rest: Mapping[str, Any]


def apply_settings(sandbox: "Sandbox", given: Mapping[str, Any]) -> None:
    """Change settings. Raise ValueError that names the wrong setting, before anything has changed."""
    change = parse_settings(given)
    rest, location, directory, now = change.rest, change.location, sandbox.directory, sandbox.now()
    style = replace(sandbox.style, **{name: rest[name] for name in global_settings if name in rest})
    sandbox.gate.change(location, change.limits, now)
    sandbox.style = style
    if "day_resets_in_s" in rest:
        sandbox.gate.end_day(location, now + round(rest["day_resets_in_s"] * 1e6))
    place = directory if location is None else directory.location(location)
    if isinstance(rest.get("tokens"), dict):
        directory.tokens, directory.access = rest["tokens"], None
    elif "tokens" in rest:
        tokens, refusal = rest["tokens"], rest.get("refusal", "expired")
        place.access = None if tokens is None else LocationAccess(frozenset(tokens), refusal)
    if location is not None and "churn" in rest:
        set_churn(directory, location, rest["churn"])
    if location is not None and "chatter" in rest:
        set_chatter(directory, location, rest["chatter"])
    for name in set(inherited_settings) & rest.keys():
        setattr(place, name, rest[name])


def parse_settings(given: Mapping[str, Any]) -> SettingsChange:
    """Return the change. Raise ValueError that names the wrong setting."""
    rest = dict(given)
    location = rest.pop("location", all_locations)
    if not isinstance(location, str) or not location:
        raise ValueError("location: not a string")
    rest = {name: _parse_value(name, value, location != all_locations) for name, value in rest.items()}
    if "refusal" in rest and not isinstance(rest.get("tokens"), list):
        raise ValueError("refusal: there is no list of tokens beside it")
    limits = {field: rest.pop(name) for name, field in limit_settings.items() if name in rest}
    RateLimits(**{field: value for field, value in limits.items() if value is not None})
    return SettingsChange(None if location == all_locations else location, limits, rest)


def _parse_value(name: str, value: Any, of_location: bool) -> Any:
    if of_location and name in global_settings:
        raise ValueError(f"{name}: of all locations only")
    if not of_location and name in location_settings:
        raise ValueError(f"{name}: of one location only")
    if value is None and of_location and name in (*limit_settings, *location_settings, *inherited_settings, "tokens"):
        return None
    match name:
        case "churn":
            return parse_options(Churn, "churn", value)
        case "chatter":
            return parse_options(Chatter, "chatter", value)
        case "limit" | "daily" | "foreign":  # RateLimits checks the range
            valid, expected = isinstance(value, int) and not isinstance(value, bool), "not a whole number"
        case "latency_ms" | "jitter_ms" | "retry_after":  # ResponseStyle checks them
            return value
        case "index_lag_s" | "cursor_life_s" | "day_resets_in_s":
            valid, expected = is_number(value, 0, max_lag_s), f"not a number from 0 to {max_lag_s}"
        case "raw_names" | "message_scope":
            valid, expected = isinstance(value, bool), "neither true nor false"
        case "tokens":
            valid = value is None or _is_texts(value) or (_is_table(value) and not of_location)
            expected = "not a list of strings" + ("" if of_location else ", nor an object of locations")
        case "refusal":
            valid, expected = value in get_args(TokenRefusal), f"none of {', '.join(get_args(TokenRefusal))}"
        case _:
            valid, expected = False, "unknown"
    if not valid:
        raise ValueError(f"{name}: {expected}")
    return value


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) and item for item in value)


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(location, str | None) for location in value.values())
