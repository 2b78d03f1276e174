"""Start-up and reading commands: what a user waits for on a small server.

    python benchmarks/commands.py [RUNS]

Limits: status and the summary script 0.2 s and 25 MB; doctor --quick 0.5 s; import of what the live bot imports
and the first screen 2 s; --help 0.2 s and 20 MB; ccxt by the light way half the time and two thirds of the memory
of its plain import, both measured here. The live bot itself is measured by live.py.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from measure import PYTHON, ROOT, Figures, measure, report

PLAIN_CCXT = "import ccxt"
LIGHT_CCXT = "from bot.venues.ccxt_loader import load_exchange_classes; load_exchange_classes()"
RUNTIME_IMPORTS = f"import dotenv, rich.live, bot.bootstrap_live, bot.cli.outside, bot.cli.run; {LIGHT_CCXT}"
"""All that `run --live` loads on a terminal; aiohttp and the rest of ccxt's requirements are not among it."""
UNHEALTHY = 4
"""Exit code of doctor and status where something needs attention: here, that the bot does not run any more."""


def main() -> None:
    """Measure and exit with 1 where a limit is missed."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    bot = [PYTHON, str(ROOT / "bot.py")]
    with tempfile.TemporaryDirectory() as state:
        here = Path(state)
        environ = {"STATE_DIR": state}
        # A hundred cycles first: status then has positions, refusals and days to show.
        simulated = [*bot, "run", "--simulated"]
        measure([*simulated, "--cycles", "100", "--interval", "0"], runs=1, cwd=here, environ=environ)
        fits = [
            report(
                "bot.py status",
                measure([*bot, "status"], runs=runs, cwd=here, environ=environ),
                limit_s=0.2,
                limit_mb=25,
            ),
            report(
                "bot.py doctor --quick",
                measure([*bot, "doctor", "--quick"], runs=runs, cwd=here, environ=environ, ok=(0, UNHEALTHY)),
                limit_s=0.5,
                limit_mb=None,
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
                "import of what run --live imports",
                measure([PYTHON, "-c", RUNTIME_IMPORTS], runs=runs, cwd=ROOT),
                limit_s=2,
                limit_mb=None,
            ),
            report(
                "first screen: bot.py run --once --simulated",
                measure([*simulated, "--once"], runs=runs, cwd=here, environ=environ),
                limit_s=2,
                limit_mb=None,
            ),
            report_light_ccxt(
                light=measure([PYTHON, "-c", LIGHT_CCXT], runs=runs, cwd=ROOT),
                plain=measure([PYTHON, "-c", PLAIN_CCXT], runs=runs, cwd=ROOT),
            ),
        ]
    if not all(fits):
        raise SystemExit(1)


def report_light_ccxt(*, light: Figures, plain: Figures) -> bool:
    """The light way against the plain import of the same run: a ratio holds on fast machines and on slow ones."""
    fits = report(
        "ccxt by the light way", light, limit_s=round(plain.wall_s / 2, 3), limit_mb=round(plain.peak_mb * 2 / 3, 1)
    )
    sys.stdout.write(
        f"  its plain import: wall {plain.wall_s:.3f} s ({plain.wall_min_s:.3f} to {plain.wall_max_s:.3f}), "
        f"cpu {plain.cpu_s:.3f} s, peak {plain.peak_mb:.1f} MB; light to plain: "
        f"wall {light.wall_s / plain.wall_s:.2f}, memory {light.peak_mb / plain.peak_mb:.2f}\n"
    )
    return fits


if __name__ == "__main__":
    main()
