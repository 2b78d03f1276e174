""".env.micro_capital: equal to its generator, loads to the defaults, can be sourced."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bot.settings import Settings, load_settings, names_in_env_file, render_env_template
from bot.settings_schema import GUIDE_NAMES, SETTINGS

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / ".env.micro_capital"


def test_template_equals_what_the_settings_render() -> None:
    assert TEMPLATE.read_text(encoding="utf-8") == render_env_template(), "run scripts/write_env_template.py"


def test_template_loads_to_the_defaults() -> None:
    settings = load_settings(env_file=TEMPLATE, environ={})
    assert settings == Settings()
    assert settings.unknown_names == ()


def test_template_sets_the_guides_names_and_empty_credentials() -> None:
    credentials = {
        "COINBASE_API_KEY",
        "COINBASE_API_SECRET",
        "KRAKEN_MASTER_API_KEY",
        "KRAKEN_MASTER_API_SECRET",
    }
    ceilings = {"MAX_POSITIONS", "RISK_PER_TRADE"}
    assert names_in_env_file(TEMPLATE) == (set(GUIDE_NAMES) - ceilings) | credentials


def test_template_mentions_every_setting_and_stays_narrow() -> None:
    lines = TEMPLATE.read_text(encoding="ascii").splitlines()
    for name in SETTINGS:
        assert any(line.removeprefix("# ").startswith(f"{name}=") for line in lines), name
    assert max(map(len, lines)) <= 120


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_template_sourced_by_bash_loads_to_the_defaults() -> None:
    program = "import json, os; print(json.dumps(dict(os.environ)))"
    script = 'set -euo pipefail; set -a; source "$1"; exec "$2" -c "$3"'
    done = subprocess.run(
        ["bash", "-c", script, "bash", str(TEMPLATE), sys.executable, program],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin"},
    )
    environ = json.loads(done.stdout)
    assert environ["TRADE_ONLY"] == "BTC,ETH,SOL"
    settings = load_settings(env_file=None, environ=environ)
    assert settings == Settings()
    assert settings.origins["MAX_DRAWDOWN"] == "environment"


def test_generator_writes_the_same_file_again(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "write_env_template.py", tmp_path / "scripts")
    shutil.copytree(ROOT / "bot", tmp_path / "bot", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([sys.executable, "scripts/write_env_template.py"], check=True, cwd=tmp_path)
    assert (tmp_path / ".env.micro_capital").read_bytes() == TEMPLATE.read_bytes()
