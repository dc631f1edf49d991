"""The simulator's own marker."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: every one of what the fast tests take samples of")
