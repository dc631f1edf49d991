"""Workers, broker, network and HighLevel fail at random for a minute, and nothing is lost, repeated or overspent (DESIGN §6).

`python -m tests.integration.chaos --seed N` plays a seed by hand, and keeps what a flaw was found in.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.integration.chaos.play import run
from tests.integration.chaos.schedule import seeds_in_test
from tests.lab.harness.calls import server_limit
from tests.lab.kafka_node import Node, node

seconds: Final = 60
busy_window: Final = 80  # calls in 10 s: a location that never comes near its budget would prove nothing


@pytest.fixture(scope="module")
def mortal() -> Iterator[Node]:
    with node() as running:
        yield running


@pytest.mark.parametrize("seed", seeds_in_test)
def test_all_work_is_done_once_and_within_the_budget_despite_faults(seed: int, mortal: Node, tmp_path: Path) -> None:
    outcome = asyncio.run(run(seed, seconds, tmp_path, mortal))

    assert () == outcome.flaws, f"{outcome}; logs: {tmp_path}"
    assert busy_window <= outcome.worst_window <= server_limit
