"""What the doctor looks at in the folder of one mode: lock, tier, ledger, books, last cycle."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from bot.domain.errors import BotError, LedgerError, StateFileError
from bot.domain.modes import EngineMode, TradingMode
from bot.domain.orders import Purpose
from bot.domain.snapshot import Snapshot
from bot.domain.tier import UNRANKED
from bot.scaling.ladder import SCALING_TIERS, tier_named
from bot.scaling.state import TierState
from bot.storage.ledger_check import LedgerCheck
from bot.storage.ledger_schema import SCHEMA_VERSION
from bot.storage.lock import LOCK_NAME, LockHolder, holder
from bot.storage.modes import LEDGER_NAME, PAPER_ACCOUNTS_NAME, STATE_FILE_NAME, ledger_path, mode_folder
from bot.storage.state_file import KNOWN_SCHEMA_VERSION
from bot.views.doctor_text import Check, Health, fenced
from bot.views.findings import detail_of, finding_sentence, words_of
from bot.views.folders import find_place
from bot.views.recorded import recorded_book
from bot.views.text import duration, moment, money

QUICK_CHECK_S = 0.06
"""Per account: enough for years of a ledger, and four accounts stay within the half second that the doctor may take."""
SILENT_AFTER = timedelta(minutes=15)
"""A running bot that has recorded nothing for so long, and for so many cycles, is stuck."""
SILENT_CYCLES = 3
LEFT_ALONE_AFTER = timedelta(minutes=20)
"""So long may no bot run while an entry rests or a position has no stop on its venue: a timer's quarter of an hour."""
LATE_DECISION_AFTER = timedelta(hours=1)
"""So long after the daily decision was due may nobody have made it while something is open."""

_STATE_FIX = "check its owner and permissions; a newer file needs the newer program, or has to go out of the way"
_BACKUP = "put a backup of the whole folder back, or move the folder away to begin anew"


def check_account(state_dir: Path, mode: TradingMode, *, now: datetime) -> Iterator[Check]:
    """Look at a mode's folder; nothing where the bot has left nothing. A check that breaks is a failed one.

    ``now`` is the time of the wall.
    """
    folder, area = mode_folder(state_dir, mode), f"account {mode.value}"
    names = (LOCK_NAME, STATE_FILE_NAME, LEDGER_NAME, PAPER_ACCOUNTS_NAME)
    if not any((folder / name).exists() for name in names):
        return
    yield from fenced(area, "lock", _lock(area, folder), fix="check owner and permissions of the folder")
    yield from fenced(area, "tier", _tier(area, folder), fix=_STATE_FIX)
    if not _has_ledger(folder):
        yield _no_ledger(area, folder)
        return
    yield from fenced(area, "ledger", _ledger(area, folder), fix=f"stop the bot; {_BACKUP}")
    yield from fenced(area, "books", _books(area, folder), fix=f"stop the bot; {_BACKUP}")
    yield from fenced(area, "last cycle", _last_cycle(area, state_dir, mode, now), fix="start the bot again")
    yield from fenced(area, "findings", _findings(area, folder), fix="start the bot again")


def _lock(area: str, folder: Path) -> Iterator[Check]:
    if (folder / LOCK_NAME).is_dir():
        raise BotError(f"{folder / LOCK_NAME}: must be a file, is a folder; no bot can start here")
    who = holder(folder)
    if who is None:
        yield Check(area=area, name="lock", health=Health.OK, found="nobody runs here")
    elif who.pid is None or who.since is None:
        found = "somebody runs here; the note that says who cannot be read"
        yield Check(area=area, name="lock", health=Health.WARN, found=found, fix="stop the bot and start it again")
    else:
        yield Check(area=area, name="lock", health=Health.OK, found=_holder_words(who))


def _holder_words(who: LockHolder) -> str:
    """Who runs, since when; the note was readable."""
    assert who.since is not None, "a note without a time is not readable"
    return f"pid {who.pid} runs here since {moment(who.since)}: {who.command}"


def _tier(area: str, folder: Path) -> Iterator[Check]:
    path = folder / STATE_FILE_NAME
    if not path.exists():
        yield Check(area=area, name="tier", health=Health.OK, found="no state file yet; the next check makes it")
        return
    try:
        state = _read_tier(path)
    except (ValueError, RecursionError) as e:
        fix = "nothing, if its history may go: the bot sets the file aside and begins a new one; else put a backup back"
        yield Check(area=area, name="tier", health=Health.WARN, found=f"{path} cannot be used: {e}", fix=fix)
        return
    name = state.current_tier or UNRANKED.name
    if state.current_tier is not None and tier_named(state.current_tier, SCALING_TIERS) is None:
        fix = "nothing: the next check puts the account on its tier"
        yield Check(area=area, name="tier", health=Health.WARN, found=f"there is no tier {name!r}", fix=fix)
        return
    equity = f"last equity {money(state.last_equity)}" if state.last_equity is not None else "no equity checked yet"
    yield Check(area=area, name="tier", health=Health.OK, found=f"{name}, {equity}")


def _read_tier(path: Path) -> TierState:
    """Read the state file and leave it alone: setting a broken one aside is the bot's business.

    Raises ValueError or RecursionError where the bot would set it aside, StateFileError where it would not start.
    """
    document = json.loads(path.read_text(encoding="utf-8"))
    version = document.get("schema_version", KNOWN_SCHEMA_VERSION) if isinstance(document, dict) else None
    if not isinstance(version, int):
        raise ValueError("it holds no JSON object with a schema_version")  # noqa: TRY004 - like what is no JSON
    if version > KNOWN_SCHEMA_VERSION:
        raise StateFileError(f"{path}: schema_version {version} is newer than {KNOWN_SCHEMA_VERSION}; no start with it")
    return TierState.from_json(document)


def _has_ledger(folder: Path) -> bool:
    path = ledger_path(folder)
    return path.is_file() and path.stat().st_size > 0


def _no_ledger(area: str, folder: Path) -> Check:
    if (folder / PAPER_ACCOUNTS_NAME).exists():
        found = f"{LEDGER_NAME} is missing or empty while {PAPER_ACCOUNTS_NAME} is there: the bot will not start"
        return Check(area=area, name="ledger", health=Health.FAIL, found=found, fix=_BACKUP)
    return Check(area=area, name="ledger", health=Health.OK, found="none yet; the first start makes it")


def _ledger(area: str, folder: Path) -> Iterator[Check]:
    with LedgerCheck(ledger_path(folder)) as ledger:
        version, damage = ledger.schema_version, ledger.damage(within_s=QUICK_CHECK_S)
    if damage:
        raise LedgerError(f"{ledger_path(folder)}: {damage}")
    looked = "no damage found" if damage is not None else "too large to be examined whole here; the bot does at start"
    older = f", brought up to {SCHEMA_VERSION} at the next start" if version < SCHEMA_VERSION else ""
    yield Check(area=area, name="ledger", health=Health.OK, found=f"{looked}; schema {version}{older}")


def _books(area: str, folder: Path) -> Iterator[Check]:
    """Fold the books; each step asserts that cash, flows, profit, fees and costs balance."""
    with LedgerCheck(ledger_path(folder)) as ledger:
        book, fills = recorded_book(ledger), len(ledger.fills())
    found = (
        f"balance to the last digit: fills {fills}, open positions {len(book.positions)}, "
        f"cash {money(float(book.cash_usd))}, fees {money(float(book.fees_usd))}"
    )
    yield Check(area=area, name="books", health=Health.OK, found=found)


def _last_cycle(area: str, state_dir: Path, mode: TradingMode, now: datetime) -> Iterator[Check]:
    place = find_place(state_dir, mode)
    with LedgerCheck(ledger_path(place.folder)) as ledger:
        point, snapshot = ledger.last_equity(), ledger.snapshot()
    if snapshot is None:
        starting = place.holder is not None or point is None
        health, fix = (Health.OK, "") if starting else (Health.WARN, "start the bot: its first cycle records one")
        found = "no cycle of this version recorded yet"
        yield Check(area=area, name="last cycle", health=health, found=found, fix=fix)
        return
    at = datetime.fromisoformat(snapshot["at"])
    own_time = mode in (TradingMode.SIMULATED, TradingMode.REPLAY)
    # An account on a virtual clock has its own time; how long ago it was written, the file tells.
    written_at = place.written_at if own_time else at
    age = now - written_at
    found = f"recorded {duration(age.total_seconds())} ago" + (f", at {moment(at)} of its own time" if own_time else "")
    if point is not None:
        found += f"; newest equity {money(point.equity)} of {moment(point.at)}"
    health, fix = Health.OK, ""
    if age < -SILENT_AFTER:
        health, fix = Health.WARN, "set the clock of this machine"
        found = f"recorded at {moment(written_at)}, which is in the future; it is {moment(now)}"
    elif place.holder is not None and age > max(SILENT_AFTER, SILENT_CYCLES * timedelta(seconds=snapshot["poll_s"])):
        health, fix = Health.FAIL, "look into its log; end it and start it again"
        found += "; the bot runs and records nothing"
    elif place.holder is None and not own_time and _is_left_alone(snapshot, now):
        health, fix = Health.WARN, "start the bot: `bash scripts/run`, or see to it at the venue"
        found += f"; no bot runs, and open are: {_open_words(snapshot)}"
    yield Check(area=area, name="last cycle", health=health, found=found, fix=fix)
    yield _engine_mode(area, snapshot)


def _is_left_alone(snapshot: Snapshot, now: datetime) -> bool:
    """Whether something is open and no cycle has come when it should have.

    What is under stops may wait for the daily decision (`run --once` says so at its end); the rest may not.
    """
    if not (snapshot["positions"] or snapshot["orders"]):
        return False
    at, due = (datetime.fromisoformat(text) for text in (snapshot["at"], snapshot["next_decision_at"]))
    waits = any(order["purpose"] != Purpose.STOP for order in snapshot["orders"])
    bare = any(not (position["stop_resting"] or position["too_small"]) for position in snapshot["positions"])
    return now - at > LEFT_ALONE_AFTER if waits or bare else now - due > LATE_DECISION_AFTER


def _open_words(snapshot: Snapshot) -> str:
    positions = [
        f"{p['symbol']} on {p['account']} ({money(p['value_usd'])}, "
        + ("its stop rests there)" if p["stop_resting"] else "WITHOUT a stop on the venue)")
        for p in snapshot["positions"]
    ]
    orders = [f"{o['purpose']} order {o['symbol']} on {o['account']}" for o in snapshot["orders"]]
    return ", ".join([*positions, *orders])


def _findings(area: str, folder: Path) -> Iterator[Check]:
    with LedgerCheck(ledger_path(folder)) as ledger:
        snapshot = ledger.snapshot()
    for finding in snapshot["findings"] if snapshot is not None else ():
        found = f"{finding_sentence(finding)} {detail_of(finding)}".rstrip()
        words, blocks = words_of(finding), finding["blocks"]
        if blocks:
            found += "\nNothing is bought while it stands."
        health = Health.WARN if words.cure else Health.OK
        yield Check(area=area, name="finding", health=health, found=found, fix=words.cure)


def _engine_mode(area: str, snapshot: Snapshot) -> Check:
    mode, reason = EngineMode(snapshot["engine_mode"]), snapshot["engine_mode_reason"]
    waits = mode in (EngineMode.HALTED, EngineMode.STALLED)
    return Check(
        area=area,
        name="mode",
        health=Health.WARN if waits else Health.OK,
        found=f"{mode.value}: {reason}" if reason else mode.value,
        fix="`python bot.py status` says what would end it" if waits else "",
    )
