"""The suites run unchanged on the simulator's fakes, in virtual time, and on the real things.

`log_suite`, `membership_suite` and `api_suite` hold the tests of one port each, as a class. `test_*_fake.py` and
`test_*_real.py` run them on a stage of their own. A difference between fake and real stands as a line in its suite.
"""

import asyncio
from collections.abc import Callable, Mapping

import pytest

from tests.simulation.world.loop import VirtualLoop


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run the fakes on the simulator's loop, where time jumps to the next timer."""
    return {"virtual": VirtualLoop} if item.path.stem.endswith("_fake") else {"real": asyncio.new_event_loop}
