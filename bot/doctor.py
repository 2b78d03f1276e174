"""What `bot.py doctor` looks at: program, settings, folder, accounts, and what trading costs here.

A composition root of its own. It changes nothing: the only thing it writes is a file without a name
in STATE_DIR that is gone when it is closed.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path

from bot.domain.errors import BotError, ConfigError
from bot.domain.modes import TradingMode
from bot.domain.venue_report import VENUE_REPORTS_KEY, VenueReport
from bot.settings import describe, env_file_is_private, load_settings, secrets_stand_in
from bot.settings_schema import SETTINGS, Settings, accounts_with_keys
from bot.storage.evidence_file import EVIDENCE_NAME, MODEL_NAME, evidence_path, read_evidence
from bot.storage.ledger_reader import LedgerReader
from bot.storage.lock import holder
from bot.storage.model_file import read_model_card
from bot.storage.modes import ledger_path, mode_folder
from bot.views.doctor_account import check_account
from bot.views.doctor_keys import check_keys, check_secret_files
from bot.views.doctor_money import AREA as MONEY
from bot.views.doctor_money import Costs, check_money, check_server
from bot.views.doctor_text import Check, Health, fenced
from bot.views.doctor_venue import cash_of, check_venue
from bot.views.folders import find_place
from bot.views.recorded import left_open
from bot.views.text import moment

LOCK_FILE = Path(__file__).resolve().parents[1] / "requirements.txt"
OLDEST_PYTHON = (3, 11)
RECENT = timedelta(days=2)
"""So old may a cycle be for its figures to be told as the present ones."""
DISK_WARN_BYTES = 200_000_000
DISK_FAIL_BYTES = 20_000_000
PACKAGES_SHOWN = 5

PROGRAM, SETTING, FOLDER, VENUES = "program", "settings", "folder", "venues"
_INSTALL = "`bash scripts/run` installs what the lock names and starts in that environment"
_LOCKED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)[ ]*(;?)", re.MULTILINE)
_SECRETS = tuple(name for name, spec in SETTINGS.items() if spec.secret)


Ask = Callable[[], Sequence[VenueReport]]
"""Asks every venue about its account; for several seconds."""


def examine(
    *, settings: Settings | None, problem: str, env_file: Path, now: datetime, ask: Ask | None = None
) -> list[Check]:
    """Look at everything; nothing is raised for what is broken.

    ``problem`` is why the settings cannot be used, '' where they can; then ``settings`` has only
    STATE_DIR of them, or is None where that cannot be used either. Without ``ask`` neither the venues
    nor what trading costs are looked at.
    """
    return [*_examine(settings, problem, env_file, now, ask)]


def _examine(
    settings: Settings | None, problem: str, env_file: Path, now: datetime, ask: Ask | None
) -> Iterator[Check]:
    yield check_python(sys.version_info[:3])
    yield from fenced(PROGRAM, "packages", _packages(), fix=_INSTALL)
    yield from fenced(SETTING, ".env", _env_file(env_file, settings, problem), fix="check the file's owner")
    yield from _settings(settings, problem)
    if settings is None:
        fix = "correct STATE_DIR; then the accounts can be looked at"
        yield Check(area=FOLDER, name="STATE_DIR", health=Health.FAIL, found="cannot be used", fix=fix)
        return
    folder = settings.state_dir
    yield from fenced(FOLDER, "STATE_DIR", _state_dir(folder), fix="check STATE_DIR, owner and permissions")
    yield from fenced(FOLDER, "free disk", _disk(folder), fix="check STATE_DIR")
    yield from fenced(FOLDER, "evidence", _advisory(folder), fix="delete the file, or build it anew: `evidence FOLDER`")
    for mode in TradingMode:
        checks = check_account(folder, mode, now=now)
        yield from fenced(f"account {mode.value}", "folder", checks, fix="check owner and permissions of the folder")
    if not problem:
        area = f"account {TradingMode.LIVE.value}"
        yield from fenced(area, "left alone", _left_alone(area, settings), fix="see the lines of the ledger")
    if ask is None:
        return
    reports: list[VenueReport] = []
    if not problem:
        yield from fenced(VENUES, "reports", _venues(settings, now, ask, reports), fix="look again later")
    yield from fenced(MONEY, "costs", _money(settings, problem, now, reports), fix="none known: please report it")


# -- the program


def check_python(version: Sequence[int]) -> Check:
    """Judge a version of Python."""
    text = ".".join(map(str, version))
    if tuple(version[:2]) < OLDEST_PYTHON:
        fix = "install Python 3.11 or newer; then `bash scripts/run`"
        return Check(area=PROGRAM, name="Python", health=Health.FAIL, found=f"{text} is too old", fix=fix)
    return Check(area=PROGRAM, name="Python", health=Health.OK, found=f"{text} in {sys.prefix}")


def _packages() -> Iterator[Check]:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - a third of this module's loading

    def installed(name: str) -> str | None:
        try:
            return version(name)
        except PackageNotFoundError:
            return None

    yield check_packages(LOCK_FILE.read_text(encoding="utf-8"), installed)


def check_packages(lock: str, installed: Callable[[str], str | None]) -> Check:
    """Compare what is installed with the text of a lock; nothing is imported.

    A package that the lock wants on some machines only (a marker stands behind it) may be missing.
    """
    rows = _LOCKED.findall(lock)
    assert rows, "a lock without rows locks nothing"
    found = {name: installed(name) for name, _, _ in rows}
    missing = [name for name, _, marker in rows if found[name] is None and not marker]
    other = [f"{name} {found[name]} (lock: {want})" for name, want, _ in rows if found[name] not in (None, want)]
    if not missing and not other:
        text = f"{sum(version is not None for version in found.values())} installed, all as the lock names them"
        return Check(area=PROGRAM, name="packages", health=Health.OK, found=text)
    parts = [f"{what}: {_some(names)}" for what, names in (("missing", missing), ("not as locked", other)) if names]
    health = Health.FAIL if missing else Health.WARN
    return Check(area=PROGRAM, name="packages", health=health, found="\n".join(parts), fix=_INSTALL)


def is_installed(module: str) -> bool:
    """Whether a module could be imported; it is not."""
    return find_spec(module) is not None


def _some(names: Sequence[str]) -> str:
    more = len(names) - PACKAGES_SHOWN
    return ", ".join(names[:PACKAGES_SHOWN]) + (f" and {more} more" if more > 0 else "")


# -- the settings


def _env_file(path: Path, settings: Settings | None, problem: str) -> Iterator[Check]:
    if not path.exists():
        found = f"none in {path.absolute().parent}: environment and defaults apply"
        yield Check(area=SETTING, name=".env", health=Health.OK, found=found)
        return
    found, mode = str(path.absolute()), path.stat().st_mode & 0o777
    if env_file_is_private(path):
        yield Check(area=SETTING, name=".env", health=Health.OK, found=f"{found}, for its owner only")
        return
    secret = _holds_secrets(path, settings if not problem else None)
    held = "holds secrets and can" if secret else "can"
    yield Check(
        area=SETTING,
        name=".env",
        health=Health.FAIL if secret else Health.WARN,
        found=f"{found} {held} be read or changed by others (mode {mode:o})",
        fix=f"chmod 600 {path}" + ("; if others use this machine, make new keys" if secret else ""),
    )


def _holds_secrets(path: Path, settings: Settings | None) -> bool:
    """Whether a credential stands in the file itself; a placeholder of the guide is none."""
    if settings is None:
        from dotenv import dotenv_values  # noqa: PLC0415 - needed after a wrong setting only

        texts = {name: text or "" for name, text in dotenv_values(path, interpolate=False).items() if name in _SECRETS}
        try:
            settings = load_settings(env_file=None, environ=texts)
        except ConfigError:
            return True  # a key that is cut off is a key
        return any(getattr(settings, name.lower()) for name in _SECRETS)
    return secrets_stand_in(path, settings)


def _settings(settings: Settings | None, problem: str) -> Iterator[Check]:
    if problem or settings is None:
        fix = "correct these lines; `.env.micro_capital` lists every setting with what is allowed"
        yield Check(area=SETTING, name="values", health=Health.FAIL, found=problem, fix=fix)
        return
    rows = {row.name: row for row in describe(settings)}
    default = {row.name: row.value for row in describe(Settings())}
    changed = [name for name, row in rows.items() if row.value != default[name]]
    found = f"all valid; {len(changed)} of {len(rows)} differ from their defaults"
    yield Check(area=SETTING, name="values", health=Health.OK, found=found)
    yield from check_keys(settings)
    yield from check_secret_files(settings)
    if settings.notify_urls and not is_installed("apprise"):
        from bot.alerts.notifier import HOW_TO_INSTALL  # noqa: PLC0415 - needed where something is missing only

        found = "NOTIFY_URLS is set, but Apprise is not installed: nobody is told anything"
        yield Check(area=SETTING, name="alerts", health=Health.WARN, found=found, fix=HOW_TO_INSTALL)
    if settings.unknown_names:
        found = f"not used by this program: {', '.join(settings.unknown_names)}"
        fix = "remove them from .env, or correct their spelling"
        yield Check(area=SETTING, name="unknown names", health=Health.WARN, found=found, fix=fix)
    idle = [name for name in changed if rows[name].effect]
    if idle:
        found = "\n".join(f"{name}: {rows[name].effect}" for name in idle)
        fix = "none needed; do not count on them"
        yield Check(area=SETTING, name="no effect", health=Health.WARN, found=found, fix=fix)


# -- the folder


def _advisory(folder: Path) -> Iterator[Check]:
    """The files that advise the bot: it goes on without one that cannot be used."""
    fix = "delete it, or build it anew: `evidence FOLDER`"
    found = []
    for name, read in ((EVIDENCE_NAME, read_evidence), (MODEL_NAME, read_model_card)):
        path = evidence_path(folder, name)
        found.append(f"{name} {'of your own' if path.parent == folder else 'as shipped'}")
        try:
            read(path)
        except ConfigError as e:
            yield Check(area=FOLDER, name=name, health=Health.WARN, found=f"the bot goes on without it: {e}", fix=fix)
            return
    yield Check(area=FOLDER, name="evidence", health=Health.OK, found=", ".join(found))


def _state_dir(folder: Path) -> Iterator[Check]:
    if not folder.exists():
        parent = _existing(folder)
        if not os.access(parent, os.W_OK | os.X_OK):
            raise ConfigError(f"{folder.absolute()} does not exist, and nothing can be made in {parent}")
        found = f"{folder.absolute()} does not exist yet; the first start makes it"
        yield Check(area=FOLDER, name="STATE_DIR", health=Health.OK, found=found)
        return
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"doctor")
            file.flush()
    except OSError as e:
        raise ConfigError(f"{folder.resolve()} cannot be written: {e.strerror}") from e
    yield Check(area=FOLDER, name="STATE_DIR", health=Health.OK, found=f"{folder.resolve()} can be written")


def _existing(folder: Path) -> Path:
    """The folder, or its next parent that exists."""
    place = folder.absolute()
    return next(path for path in (place, *place.parents) if path.exists())


def _disk(folder: Path) -> Iterator[Check]:
    yield check_disk(shutil.disk_usage(_existing(folder)).free)


def check_disk(free_bytes: int) -> Check:
    """Judge the free space where the state is kept."""
    found = f"{free_bytes / 1e6:,.0f} MB"
    if free_bytes >= DISK_WARN_BYTES:
        return Check(area=FOLDER, name="free disk", health=Health.OK, found=found)
    health, limit = (Health.FAIL, DISK_FAIL_BYTES) if free_bytes < DISK_FAIL_BYTES else (Health.WARN, DISK_WARN_BYTES)
    fix = "free some space: a ledger that cannot be written stops the bot"
    return Check(area=FOLDER, name="free disk", health=health, found=f"{found}, below {limit / 1e6:,.0f} MB", fix=fix)


def _left_alone(area: str, settings: Settings) -> Iterator[Check]:
    """Warn of real positions and orders that a start with these settings would not look after."""
    folder = mode_folder(settings.state_dir, TradingMode.LIVE)
    if holder(folder) is not None:
        return  # the bot that runs has settings of its own
    left = left_open(folder)
    unkeyed = left.accounts - set(accounts_with_keys(settings))
    if settings.live_trading:
        left, why = left.of(unkeyed), f"{' and '.join(sorted(unkeyed))}: no complete credentials, or no broker of yours"
        fix = "put the keys back, or see to it at the venue"
    else:
        why, fix = "LIVE_TRADING is False", "LIVE_TRADING=True and `bash scripts/run --live`, or see to it at the venue"
    if left.accounts:
        yield Check(
            area=area,
            name="left alone",
            health=Health.WARN,
            found=f"positions {len(left.positions)}, orders {len(left.orders)}, and nobody looks after them: {why}",
            fix=fix,
        )


# -- the venues


def _venues(settings: Settings, now: datetime, ask: Ask, reports: list[VenueReport]) -> Iterator[Check]:
    """Judge what the venues tell, or have told the bot that runs live; puts it into ``reports``."""
    folder = mode_folder(settings.state_dir, TradingMode.LIVE)
    # A key has one user: while the bot has it, what it was told is all there is.
    runs = holder(folder) is not None
    reports += _told_to_bot(folder) if runs else _asked(ask)
    if not reports:
        found = "nothing recorded yet of what they told the bot that runs" if runs else "none in the settings"
        yield Check(area=VENUES, name="reports", health=Health.OK, found=found)
    for report in reports:
        yield from check_venue(report, settings, now=now, told_to_bot=runs)


def _told_to_bot(folder: Path) -> list[VenueReport]:
    if not ledger_path(folder).is_file():
        return []
    with LedgerReader(ledger_path(folder)) as reader:
        stored = reader.value(VENUE_REPORTS_KEY, [])
    if not isinstance(stored, list):
        raise BotError(f"{ledger_path(folder)}: what is stored under {VENUE_REPORTS_KEY} is no list")
    return [VenueReport.from_json(value) for value in stored]


def _asked(ask: Ask) -> list[VenueReport]:
    try:
        return [*ask()]
    except BotError:
        raise
    except Exception as e:
        # Not its words: nobody has looked whether they repeat a key.
        raise BotError(f"asking the venues broke: {type(e).__name__}") from e


# -- the money


def _money(settings: Settings, problem: str, now: datetime, reports: Sequence[VenueReport]) -> Iterator[Check]:
    costs = _recorded_costs(settings.state_dir, now)
    if costs is None and not problem:
        costs = _offline_costs(settings, reports)
    if costs is None:
        return
    yield from check_money(costs)
    if not problem and costs.equity_usd > 0:
        yield check_server(settings.server_cost_usd_month, costs.equity_usd)


def _recorded_costs(state_dir: Path, now: datetime) -> Costs | None:
    """What the last cycle of an account says, real money first; None where no account has a recent one."""
    for mode in (TradingMode.LIVE, TradingMode.PAPER, TradingMode.SIMULATED):
        try:
            place = find_place(state_dir, mode)
            with LedgerReader(ledger_path(place.folder)) as reader:
                snapshot = reader.snapshot()
        except (BotError, OSError, ValueError):
            continue  # the account's own lines say what is wrong with it
        if snapshot is None or now - place.written_at > RECENT:
            continue
        return Costs(
            source=f"the {mode.value} account as of {moment(datetime.fromisoformat(snapshot['at']))}",
            strategy=snapshot["strategy"],
            equity_usd=snapshot["equity_usd"],
            risk_ceiling_pct=snapshot["risk_per_trade_pct"],
            heat_usd=snapshot["heat_usd"],
            heat_limit_usd=snapshot["heat_limit_usd"],
            reach=snapshot["reach"],
        )
    return None


def _offline_costs(settings: Settings, reports: Sequence[VenueReport]) -> Costs:
    """What the cash on the venues, or else PAPER_EQUITY, could do on each venue at example prices."""
    from bot.whatcosts import costs_of  # noqa: PLC0415 - the decision core is loaded where no account answers only

    cash = [usd for report in reports if (usd := cash_of(report)) is not None]
    whose, equity = ("the cash on the venues", sum(cash)) if sum(cash) >= 1 else ("PAPER_EQUITY", settings.paper_equity)
    cases = costs_of(_with_fees(settings, reports), equities=(float(equity),)).cases
    return Costs(
        source=f"{whose}, all of it on one venue, at example prices; "
        "no account has run within 2 days (a replay is none)",
        strategy=cases[0].strategy,
        equity_usd=cases[0].equity_usd,
        risk_ceiling_pct=cases[0].risk_ceiling_pct,
        heat_usd=0.0,
        heat_limit_usd=cases[0].heat_limit_usd,
        reach=[row for case in cases for row in case.reach],
    )


def _with_fees(settings: Settings, reports: Sequence[VenueReport]) -> Settings:
    """The settings with the fees of the accounts that told theirs."""
    fees = {
        f"{report.account}_{side}_fee_pct": Decimal(str(pct))
        for report in reports
        for side, pct in (("maker", report.maker_pct), ("taker", report.taker_pct))
        if pct is not None
    }
    return replace(settings, **fees)  # type: ignore[arg-type]  # the names are those of the venues
