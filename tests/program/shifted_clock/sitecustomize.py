"""Loaded by every Python that has this folder on its PYTHONPATH: its clock runs so many seconds ahead.

How the whole-program tests move the bot's clock together with the exchanges'; nothing else looks at this variable.
"""

import os
from datetime import UTC, datetime, timedelta

_AHEAD_S = os.environ.get("TESTS_CLOCK_AHEAD_S", "")
if _AHEAD_S:
    from freezegun import freeze_time

    _now = datetime.now(tz=UTC)  # noqa: TID251  the one moment that is not shifted yet
    freeze_time(_now + timedelta(seconds=float(_AHEAD_S)), tick=True).start()
