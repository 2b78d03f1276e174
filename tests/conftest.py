"""Settings for all tests."""

from __future__ import annotations

import pytest
from hypothesis import Phase, settings

# The same examples on every machine and in every run: a red test is red for everyone. No deadline: a shared
# machine is slow at times, and slow is not wrong.
settings.register_profile("ci", derandomize=True, deadline=None, max_examples=60, print_blob=True)
settings.load_profile("ci")

# For scripts/mutate: that an example fails is all it asks, so the simplest one is not looked for.
settings.register_profile("mutation", settings.get_profile("ci"), phases=(Phase.explicit, Phase.reuse, Phase.generate))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the tests that are marked long, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--long"):
        return
    for item in items:
        if item.get_closest_marker("long") is not None:
            item.add_marker(pytest.mark.skip(reason="a long run: only with --long, as in scripts/storms"))
