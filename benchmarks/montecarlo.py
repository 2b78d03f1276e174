"""Ten thousand futures of 365 trades through `montecarlo`, as a whole process.

    python benchmarks/montecarlo.py [RUNS]

With numpy, which the research extra brings, at most 1 s and 150 MiB: it has to fit beside the bot on a server with
512 MB. Without it the same odds take longer and less memory; that is measured too, and has no limit of time.
"""

from __future__ import annotations

import math
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from measure import PYTHON, ROOT, measure, report

LIMIT_S, LIMIT_MB = 1.0, 150 * 1024 * 1024 / 1e6
ASKED = ["montecarlo", "--win-rate", "45", "--equity", "250", "--trades", "365", "--paths", "10000", "--json"]
WITHOUT_NUMPY = (
    f"import sys; sys.path.insert(0, {str(ROOT)!r}); from bot.cli import main, montecarlo; "
    "montecarlo.find_spec = lambda name: None; main.main()"
)


def main() -> None:
    """Measure and exit with 1 where a limit is missed."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    forms = [("plain Python", [PYTHON, "-c", WITHOUT_NUMPY], math.inf)]
    if find_spec("numpy") is not None:
        forms.append(("numpy", [PYTHON, str(ROOT / "bot.py")], LIMIT_S))
    good = True
    with tempfile.TemporaryDirectory() as name:
        for form, command, limit_s in forms:
            figures = measure([*command, *ASKED], runs=runs, cwd=Path(name), environ={"STATE_DIR": name})
            said = f"Monte Carlo, 10,000 x 365, {form}"
            good = report(said, figures, limit_s=limit_s, limit_mb=LIMIT_MB) and good
    if not good:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
