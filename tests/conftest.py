"""Settings for all tests."""

from __future__ import annotations

from hypothesis import settings

# The same examples on every machine and in every run: a red test is red for everyone. No deadline: a shared
# machine is slow at times, and slow is not wrong.
settings.register_profile("ci", derandomize=True, deadline=None, max_examples=60, print_blob=True)
settings.load_profile("ci")
