"""Write .env.micro_capital anew from the settings."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bot.settings import render_env_template  # noqa: E402 - the line above makes it importable

if __name__ == "__main__":
    (ROOT / ".env.micro_capital").write_text(render_env_template(), encoding="utf-8", newline="\n")
