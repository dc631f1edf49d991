"""Cursors of an export live while their chain is used."""

import base64

import pytest

from processor.sandbox.cursors import CursorChains, encode_cursor
from processor.sandbox.problems import Problem

second = 1_000_000  # µs
start = 1_800_000_000 * second
life_s = 120.0


def refused(chains: CursorChains, given: str, selection: str = "q", now: int = start) -> str:
    with pytest.raises(Problem) as raised:
        chains.follow(given, selection, now, life_s)
    assert 400 == raised.value.status
    return str(raised.value.message)


def test_a_cursor_lives_two_minutes_from_the_last_call_of_its_chain() -> None:
    """Any cursor of the chain renews its life."""
    chains = CursorChains()
    chain = chains.begin("q", start, life_s)
    given, now = encode_cursor(chain, (5, "m")), start
    for _ in range(3):
        now += 120 * second
        assert (chain, (5, "m")) == chains.follow(given, "q", now, life_s)

    assert "Invalid cursor: it is unknown or has expired" == refused(chains, given, now=now + 120 * second + 1)


def test_a_chain_serves_its_own_selection_only() -> None:
    chains = CursorChains()
    chain = chains.begin("q", start, life_s)

    assert "Invalid cursor: it belongs to another query" == refused(
        chains, encode_cursor(chain, (5, "m")), selection="other"
    )
    assert (chain, (5, "m")) == chains.follow(encode_cursor(chain, (5, "m")), "q", start, life_s)


@pytest.mark.parametrize(
    "given",
    [
        "x",
        "é",
        "",
        "e30=",
        base64.b64encode(b"[1]").decode(),
        encode_cursor("pit-9", (1, "m")),
        encode_cursor("pit-1", (1, "m"))[:-3],
    ],
)
def test_a_malformed_cursor_is_refused(given: str) -> None:
    chains = CursorChains()
    chains.begin("q", start, life_s)

    assert "Invalid cursor: it is unknown or has expired" == refused(chains, given)


def test_expired_chains_are_removed() -> None:
    chains = CursorChains()
    for number in range(1_000):
        chains.begin("q", start + number * second, life_s)

    assert 121 == len(chains._chains)
