"""Where each trading mode keeps its files: one folder per mode, so that play never touches money."""

from __future__ import annotations

from pathlib import Path

from bot.domain.modes import TradingMode

STATE_FILE_NAME = ".auto_scaling_state.json"
LEDGER_NAME = "ledger.sqlite3"
PAPER_ACCOUNTS_NAME = "paper_accounts.json"

_FOLDERS = {
    TradingMode.LIVE: Path(),
    TradingMode.PAPER: Path("paper"),
    TradingMode.SIMULATED: Path("simulated"),
    TradingMode.REPLAY: Path("simulated") / "replay",
}


def mode_folder(state_dir: Path, mode: TradingMode) -> Path:
    """Folder of a mode below STATE_DIR; live has STATE_DIR itself."""
    return state_dir / _FOLDERS[mode]


def ledger_path(folder: Path) -> Path:
    """The ledger of a mode folder."""
    return folder / LEDGER_NAME
