"""`python -m processor.sandbox`: print one line of JSON with the port once it listens, and serve until SIGTERM or SIGINT."""

import argparse
import asyncio
import gc
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import orjson

from processor.sandbox.asgi import ResponseStyle, Sandbox
from processor.sandbox.directory import Directory, default_token
from processor.sandbox.limiter import RateLimits
from processor.sandbox.server import create_app, serve_sandbox
from processor.sandbox.settings import settings_help
from processor.sandbox.synthetic_contacts import ContactMix


def sandbox_options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m processor.sandbox",
        description="HighLevel simulator",
        epilog=f"While it runs, it is steered by JSON over HTTP:\n{settings_help}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    shares = f"of the synthetic contacts: {', '.join(ContactMix.__slots__)}"
    world = 'JSON lines: {"location_id": …, "contact": {… in GET\'s shape …}}, or "message" and export\'s shape'
    tokens = f"default: {default_token}, for every location"
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=0, help="0: a free one")
    add("--seed", type=int, default=0)
    add(
        "--auto-contacts", type=int, default=0, metavar="N", help="synthetic contacts of each location, made when named"
    )
    add("--mix", action="append", default=[], metavar="SHARE=0.1", help=shares)
    add("--messages", type=float, default=0.0, metavar="N", help="SMS, on average, of each contact there at start")
    add("--location", action="append", default=[], metavar="ID", help="make this location's contacts at start")
    add("--world", type=Path, metavar="FILE", help=world)
    add("--token", action="append", default=[], metavar="[LOCATION=]TOKEN", help=tokens)
    add("--latency-ms", type=float, default=0.0)
    add("--jitter-ms", type=float, default=0.0)
    add("--limit", type=int, default=RateLimits().per_window, help="calls in any 10 s")
    add("--daily", type=int, default=RateLimits().per_day)
    add("--retry-after", choices=("seconds", "date", "none"), default="seconds")
    add("--index-lag-s", type=float, default=0.0)
    add("--raw-names", action=argparse.BooleanOptionalAction, default=True, help="search shows names as entered, too")
    return parser


option_ranges: Final = {
    "port": (0, 65_535),
    "auto_contacts": (0, 10_000_000),
    "daily": (1, 1_000_000_000),
    "index_lag_s": (0, 1_000_000_000),
}


def build_sandbox(arguments: argparse.Namespace) -> Sandbox:
    """Return the application. Raise ValueError if an option or the world file is wrong."""
    for name, (low, high) in option_ranges.items():
        if not low <= getattr(arguments, name) <= high:
            raise ValueError(f"{name}: not a number from {low} to {high}")
    directory = Directory(
        seed=arguments.seed,
        auto_contacts=arguments.auto_contacts,
        mix=ContactMix(**dict(map(_parse_share, arguments.mix))),
        index_lag_s=arguments.index_lag_s,
        raw_names=arguments.raw_names,
        messages=arguments.messages,
        tokens=dict(map(_parse_token, arguments.token)),
    )
    for location in arguments.location:
        directory.location(location)
    if arguments.world:
        load_world(directory, arguments.world)
    directory.build_orders()
    gc.freeze()  # the collector needn't walk through a million contacts again and again
    return create_app(
        directory,
        limits=RateLimits(per_window=arguments.limit, per_day=arguments.daily),
        style=ResponseStyle(arguments.latency_ms, arguments.jitter_ms, arguments.retry_after),
    )


def load_world(directory: Directory, world: Path) -> None:
    """Add the contacts and messages of a file. Raise ValueError that names the wrong line."""
    with world.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                item = orjson.loads(line)
                if "message" in item:
                    directory.add_message(item["location_id"], item["message"])
                else:
                    directory.add(item["location_id"], item["contact"])
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise ValueError(f"{world.name}: line {number}: {error}") from None


def _parse_token(given: str) -> tuple[str, str | None]:
    location, _, token = given.rpartition("=")
    return token, location or None


def _parse_share(given: str) -> tuple[str, float]:
    name, _, share = given.partition("=")
    if name not in ContactMix.__slots__:
        raise ValueError(f"mix: {name}: unknown")
    return name, float(share)


async def _serve(sandbox: Sandbox, host: str, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    def announce(chosen: int) -> None:
        print(orjson.dumps({"port": chosen, "url": f"http://{host}:{chosen}"}).decode(), flush=True)

    await serve_sandbox(sandbox, host=host, port=port, started=announce, stop=stop)


def run_sandbox(given: Sequence[str] | None = None) -> None:
    parser = sandbox_options()
    arguments = parser.parse_args(given)
    try:
        sandbox = build_sandbox(arguments)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    try:
        asyncio.run(_serve(sandbox, arguments.host, arguments.port))
    except OSError as error:
        parser.error(f"port {arguments.port}: {error.strerror}")


if __name__ == "__main__":
    run_sandbox()
