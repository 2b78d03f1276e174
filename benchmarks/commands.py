"""Start-up and reading commands: what a user waits for on a small server.

    python benchmarks/commands.py [RUNS]

Limits: status and the summary script 0.2 s and 25 MB; import of the run-time set and the first
screen 2 s; --help 0.2 s and 20 MB.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from measure import PYTHON, ROOT, measure, report

RUNTIME_IMPORTS = "import ccxt, click, dotenv, loguru, rich.live, tenacity"


def main() -> None:
    """Measure and exit with 1 where a limit is missed."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    bot = [PYTHON, str(ROOT / "bot.py")]
    with tempfile.TemporaryDirectory() as state:
        here = Path(state)
        environ = {"STATE_DIR": state}
        # A hundred cycles first: status then has positions, refusals and days to show.
        measure([*bot, "run", "--cycles", "100", "--interval", "0"], runs=1, cwd=here, environ=environ)
        fits = [
            report(
                "bot.py status",
                measure([*bot, "status"], runs=runs, cwd=here, environ=environ),
                limit_s=0.2,
                limit_mb=25,
            ),
            report(
                "scripts/scaling_summary.py",
                measure([PYTHON, str(ROOT / "scripts/scaling_summary.py")], runs=runs, cwd=here, environ=environ),
                limit_s=0.2,
                limit_mb=25,
            ),
            report(
                "bot.py --help",
                measure([*bot, "--help"], runs=runs, cwd=here, environ=environ),
                limit_s=0.2,
                limit_mb=20,
            ),
            report(
                "import of the run-time set",
                measure([PYTHON, "-c", RUNTIME_IMPORTS], runs=runs, cwd=here),
                limit_s=2,
                limit_mb=None,
            ),
            report(
                "first screen: bot.py run --once",
                measure([*bot, "run", "--once"], runs=runs, cwd=here, environ=environ),
                limit_s=2,
                limit_mb=None,
            ),
        ]
    if not all(fits):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
