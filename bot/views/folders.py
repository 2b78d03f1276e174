"""Which account a view shows: the folder of a mode in which something runs or is recorded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bot.domain.errors import BotError
from bot.domain.modes import TradingMode
from bot.storage.lock import LockHolder, holder
from bot.storage.modes import ledger_path, mode_folder


class NothingRecordedError(BotError):
    """There is no account to show; the command line ends with 3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A mode folder that holds a ledger."""

    mode: TradingMode
    folder: Path
    holder: LockHolder | None
    """Who runs there now."""
    written_at: datetime
    """When something was last recorded, by the clock on the wall: a simulated market has its own time."""


def find_place(state_dir: Path, wanted: TradingMode | None) -> Place:
    """Return the wanted mode's folder; without a wish one in which a bot runs, else the newest.

    Of several running bots the first of LIVE, PAPER, SIMULATED, REPLAY is shown: real money comes first.
    Raises NothingRecordedError where no ledger is found.
    """
    modes = list(TradingMode) if wanted is None else [wanted]
    places = [place for mode in modes if (place := _place(state_dir, mode)) is not None]
    if not places:
        where = mode_folder(state_dir, modes[0]).resolve()
        raise NothingRecordedError(f"not running and nothing recorded yet in {where}: start it with `bash scripts/run`")
    running = [place for place in places if place.holder is not None]
    return running[0] if running else max(places, key=lambda place: place.written_at)


def _place(state_dir: Path, mode: TradingMode) -> Place | None:
    folder = mode_folder(state_dir, mode)
    ledger = ledger_path(folder)
    if not ledger.is_file() or ledger.stat().st_size == 0:
        return None
    # New rows go into the -wal first, so the newer of the two files tells.
    times = [path.stat().st_mtime for path in (ledger, ledger.with_name(f"{ledger.name}-wal")) if path.is_file()]
    return Place(
        mode=mode,
        folder=folder,
        holder=holder(folder),
        written_at=datetime.fromtimestamp(max(times), tz=UTC),
    )


def no_snapshot(place: Place) -> NothingRecordedError:
    """Say that a ledger holds no finished cycle yet."""
    folder = place.folder.resolve()
    if place.holder is not None:
        return NothingRecordedError(f"running, but nothing recorded yet in {folder}: its first cycle is not done")
    return NothingRecordedError(
        f"not running and no cycle of this version recorded yet in {folder}: start it with `bash scripts/run`"
    )
