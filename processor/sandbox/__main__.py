"""`python -m processor.sandbox`: prints one line of JSON with its port once it listens, and serves until SIGTERM or SIGINT."""

import argparse
import asyncio
import gc
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import orjson

from processor.sandbox import settings
from processor.sandbox.asgi import Manner, Sandbox
from processor.sandbox.contacts import Mix
from processor.sandbox.directory import Directory, usual_token
from processor.sandbox.limiter import Limits
from processor.sandbox.server import app, serve


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m processor.sandbox",
        description="HighLevel simulator",
        epilog=f"While it runs, it is steered by JSON over HTTP:\n{settings.help}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=0, help="0: a free one")
    add("--seed", type=int, default=0)
    add(
        "--auto-contacts", type=int, default=0, metavar="N", help="synthetic contacts of each location, made when named"
    )
    add(
        "--mix",
        action="append",
        default=[],
        metavar="SHARE=0.1",
        help=f"of the synthetic contacts: {', '.join(Mix.__slots__)}",
    )
    add("--messages", type=float, default=0.0, metavar="N", help="SMS, on average, of each contact there at start")
    add("--location", action="append", default=[], metavar="ID", help="make this location's contacts at start")
    shapes = 'JSON lines: {"location_id": …, "contact": {… in GET\'s shape …}}, or "message" and export\'s shape'
    add("--world", type=Path, metavar="FILE", help=shapes)
    add(
        "--token",
        action="append",
        default=[],
        metavar="[LOCATION=]TOKEN",
        help=f"default: {usual_token}, for every location",
    )
    add("--latency-ms", type=float, default=0.0)
    add("--jitter-ms", type=float, default=0.0)
    add("--limit", type=int, default=Limits().per_window, help="calls in any 10 s")
    add("--daily", type=int, default=Limits().per_day)
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


def build(arguments: argparse.Namespace) -> Sandbox:
    """ValueError: an option or the world file is wrong."""
    for name, (low, high) in option_ranges.items():
        if not low <= getattr(arguments, name) <= high:
            raise ValueError(f"{name}: not a number from {low} to {high}")
    directory = Directory(
        seed=arguments.seed,
        auto_contacts=arguments.auto_contacts,
        mix=Mix(**dict(map(_share, arguments.mix))),
        index_lag_s=arguments.index_lag_s,
        raw_names=arguments.raw_names,
        messages=arguments.messages,
        tokens=dict(map(_token, arguments.token)),
    )
    for location in arguments.location:
        directory.location(location)
    if arguments.world:
        load(directory, arguments.world)
    directory.put_in_order()
    gc.freeze()  # a world of a million contacts isn't walked through again and again
    return app(
        directory,
        limits=Limits(per_window=arguments.limit, per_day=arguments.daily),
        manner=Manner(arguments.latency_ms, arguments.jitter_ms, arguments.retry_after),
    )


def load(directory: Directory, world: Path) -> None:
    """ValueError names the line."""
    with world.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    item = orjson.loads(line)
                    if "message" in item:
                        directory.say(item["location_id"], item["message"])
                    else:
                        directory.add(item["location_id"], item["contact"])
                except (ValueError, KeyError, TypeError, AttributeError) as wrong:
                    raise ValueError(f"{world.name}: line {number}: {wrong}") from None


def _token(given: str) -> tuple[str, str | None]:
    location, _, token = given.rpartition("=")
    return token, location or None


def _share(given: str) -> tuple[str, float]:
    name, _, share = given.partition("=")
    if name not in Mix.__slots__:
        raise ValueError(f"mix: {name}: unknown")
    return name, float(share)


async def _run(sandbox: Sandbox, host: str, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    def announce(chosen: int) -> None:
        print(orjson.dumps({"port": chosen, "url": f"http://{host}:{chosen}"}).decode(), flush=True)

    await serve(sandbox, host=host, port=port, started=announce, stop=stop)


def main(given: Sequence[str] | None = None) -> None:
    parser = options()
    arguments = parser.parse_args(given)
    try:
        sandbox = build(arguments)
    except (ValueError, OSError) as wrong:
        parser.error(str(wrong))
    try:
        asyncio.run(_run(sandbox, arguments.host, arguments.port))
    except OSError as wrong:
        parser.error(f"port {arguments.port}: {wrong.strerror}")


if __name__ == "__main__":
    main()
