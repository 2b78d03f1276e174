"""The guide is true: its commands and snippets run, and it names what there is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.cli.main import COMMANDS
from bot.domain.refusal import RefusalCode
from bot.scaling.ladder import SCALING_TIERS
from bot.venues.builtin_market import BuiltinMarket

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "MICRO_MASTER_GUIDE.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
SECONDS_MAX = 60


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that looks like a clone, so that the commands can be run as they stand."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("bot.py", "bot", "scripts", ".env.micro_capital"):
        (folder / name).symlink_to(ROOT / name)
    write_candles(folder / "my_candles")
    return folder


def write_candles(folder: Path) -> None:
    """Candle files of the built-in market, for the guide's replay of January 2024."""
    folder.mkdir()
    market = BuiltinMarket(seed=15, start=datetime(2024, 1, 1, tzinfo=UTC))
    january_ms, february_ms = 1_704_067_200_000, 1_706_745_600_000
    for symbol in market.symbols:
        name = f"binance_{symbol.replace('/USD', '-USDT')}"
        for timeframe, since_ms in (("1d", 0), ("1h", january_ms)):
            bars = market.closed_candles(symbol, timeframe, since_ms, february_ms)
            rows = [",".join(str(value) for value in bar) for bar in bars]
            text = "\n".join(["timestamp,open,high,low,close,volume", *rows, ""])
            (folder / f"{name}_{timeframe}.csv").write_text(text, encoding="utf-8")


def run_in(folder: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    environ = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "STATE_DIR": ".",
        # Nothing listens there: that no exchange answers is certain, and known at once.
        "COINBASE_API_URL": "http://127.0.0.1:1",
        "KRAKEN_API_URL": "http://127.0.0.1:1",
    }
    return subprocess.run(
        command,
        check=False,
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
    )


def test_guide_commands_run_in_their_order_all_succeed(clone: Path) -> None:
    commands = blocks("bash")
    assert len(commands) >= 4
    for block in commands:
        result = run_in(clone, ["bash", "-euo", "pipefail", "-c", block])
        assert result.returncode == 0, f"{block}\n{result.stdout}\n{result.stderr}"
        assert "Traceback" not in result.stderr


@pytest.mark.parametrize("snippet", blocks("python"))
def test_guide_snippet_run_as_written_succeeds(tmp_path: Path, clone: Path, snippet: str) -> None:
    (tmp_path / "bot").symlink_to(ROOT / "bot")
    result = run_in(tmp_path, [sys.executable, "-c", snippet])
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("code", list(RefusalCode))
def test_guide_refusal_table_names_every_code(code: RefusalCode) -> None:
    assert f"| `{code.value}` |" in GUIDE


def test_guide_refusal_table_names_no_other_code() -> None:
    table = GUIDE.split("## Refusals")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)) == set(RefusalCode)


@pytest.mark.parametrize("command", list(COMMANDS))
def test_readme_and_guide_name_every_command(command: str) -> None:
    assert re.search(rf"bot\.py {command}\b|`{command}`", README + GUIDE)


def test_guide_tier_table_equals_the_ladder() -> None:
    for tier in SCALING_TIERS:
        row = next(line for line in GUIDE.splitlines() if line.startswith(f"| {tier.name} "))
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert cells[1:4] == [f"${tier.min_equity:.0f}", str(tier.max_positions), f"{tier.risk_per_trade:.0f} %"]
        assert cells[4:] == [
            "allowed" if tier.copy_trading else "no",
            "allowed" if tier.leverage_enabled else "no",
        ]


def table_of_costs() -> str:
    _, _, rest = GUIDE.partition("<!-- written by scripts/write_guide_table.py: begin -->\n")
    table, end, _ = rest.partition("<!-- written by scripts/write_guide_table.py: end -->\n")
    assert end
    return table


def test_guide_table_of_costs_equals_what_the_command_prints(clone: Path) -> None:
    folder = clone / "without settings"
    folder.mkdir()
    printed = run_in(folder, [sys.executable, str(ROOT / "bot.py"), "costs", "--markdown"])
    assert printed.returncode == 0, printed.stderr
    assert table_of_costs() == printed.stdout, "run scripts/write_guide_table.py"


def test_guide_table_generator_writes_the_same_table_again(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "write_guide_table.py", tmp_path / "scripts")
    (tmp_path / "bot").symlink_to(ROOT / "bot")
    (tmp_path / "MICRO_MASTER_GUIDE.md").write_text(GUIDE.replace(table_of_costs(), "an old table\n"), encoding="utf-8")
    done = run_in(tmp_path, [sys.executable, "scripts/write_guide_table.py"])
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "MICRO_MASTER_GUIDE.md").read_text(encoding="utf-8") == GUIDE
    (tmp_path / "MICRO_MASTER_GUIDE.md").write_text("no marks", encoding="utf-8")
    refused = run_in(tmp_path, [sys.executable, "scripts/write_guide_table.py"])
    assert refused.returncode == 1
    assert "the two lines between which the table belongs are missing" in refused.stderr


def test_guide_says_of_the_tiers_risk_what_its_table_shows() -> None:
    column = [row.strip("|").split("|")[6] for row in table_of_costs().splitlines() if row.startswith("| $")]
    risks = [float(text) for cell in column for text in re.findall(r"(\d+\.\d) %", cell)]
    assert f"really costs {min(risks)} to {max(risks)} % of equity" in " ".join(GUIDE.split())


def test_links_of_readme_lead_to_files() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", README + GUIDE)
    files = [target for target in targets if not target.startswith("https://")]
    assert files
    assert [target for target in files if not (ROOT / target).exists()] == []


def test_words_promise_no_return() -> None:
    for text in (README, GUIDE):
        assert re.search(r"promises no return", text, flags=re.IGNORECASE)
        assert not re.search(r"guaranteed|risk-free|passive income", text, flags=re.IGNORECASE)
