"""Write the guide's table of what trading costs anew, from the default settings."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bot.domain.modes import Strategy  # noqa: E402 - the line above makes it importable
from bot.settings import load_settings  # noqa: E402
from bot.views.costs_text import costs_markdown  # noqa: E402
from bot.whatcosts import GUIDE_EQUITIES, VENUES, costs_of  # noqa: E402

BEGIN = "<!-- written by scripts/write_guide_table.py: begin -->\n"
END = "<!-- written by scripts/write_guide_table.py: end -->\n"

if __name__ == "__main__":
    guide = ROOT / "MICRO_MASTER_GUIDE.md"
    before, begin, rest = guide.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"{guide}: the two lines between which the table belongs are missing: {BEGIN}{END}")
    defaults = load_settings(env_file=None, environ={})
    report = costs_of(defaults, equities=GUIDE_EQUITIES, venues=VENUES, strategies=tuple(Strategy))
    guide.write_text(f"{before}{begin}{costs_markdown(report)}{end}{after}", encoding="utf-8", newline="\n")
