"""The doctor about what does not agree with the venues, and about what nobody looks after."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from account_samples import NOW, write_account

from bot import doctor
from bot.doctor import examine
from bot.domain.finding import BLOCKING, FindingCode
from bot.domain.modes import TradingMode
from bot.domain.snapshot import SNAPSHOT_KEY
from bot.settings import load_settings
from bot.storage.ledger import SqliteLedger
from bot.storage.lock import ModeLock
from bot.storage.modes import ledger_path
from bot.views.doctor_text import Check, Health, render_doctor
from bot.views.text import Look

PAPER, LIVE = "account PAPER", "account LIVE"
COINBASE = {"COINBASE_API_KEY": "organizations/o/apiKeys/k", "COINBASE_API_SECRET": "no-pem"}


def looked(folder: Path, values: Mapping[str, str] | None = None, *, now: datetime = NOW) -> list[Check]:
    settings = load_settings(env_file=None, environ={"STATE_DIR": str(folder), **(values or {})})
    return examine(settings=settings, problem="", env_file=folder / ".env", now=now)


def named(checks: list[Check], area: str, name: str) -> list[Check]:
    return [check for check in checks if (check.area, check.name) == (area, name)]


def write_snapshot(account: Path, **values: Any) -> None:
    with SqliteLedger(ledger_path(account), durable=False) as ledger:
        snapshot = ledger.value(SNAPSHOT_KEY)
        assert isinstance(snapshot, dict)
        ledger.set_value(SNAPSHOT_KEY, {**snapshot, **values})


def a_finding(code: str) -> dict[str, object]:
    return {
        "code": code,
        "account": "kraken",
        "about": "BTC/USD",
        "detail": "the books hold 0.0002, the venue 0",
        "since": NOW.isoformat(),
        "blocks": code in BLOCKING,
    }


def test_findings_are_lines_with_what_mends_them(tmp_path: Path) -> None:
    account = write_account(tmp_path)
    write_snapshot(account, findings=[a_finding(code) for code in ("coins_missing", "foreign_coins")])
    missing, foreign = named(looked(tmp_path), PAPER, "finding")
    assert missing.health is Health.WARN
    assert missing.found.splitlines() == [
        "Coins of the bot are missing on kraken (BTC/USD), since 2026-02-11 00:01 UTC. "
        "The books hold 0.0002, the venue 0.",
        "Nothing is bought while it stands.",
    ]
    assert missing.fix.startswith(
        "Put them back; or cancel your order that holds them; or `python bot.py resume --book-out`"
    )
    assert (foreign.health, foreign.fix) == (Health.OK, "")


@pytest.mark.parametrize("code", sorted(set(FindingCode) - {FindingCode.FOREIGN_COINS}))
def test_every_other_finding_is_a_warning(tmp_path: Path, code: str) -> None:
    write_snapshot(write_account(tmp_path), findings=[a_finding(code)])
    [check] = named(looked(tmp_path), PAPER, "finding")
    assert check.health is Health.WARN
    assert ("Nothing is bought" in check.found) is (code in BLOCKING)


def test_account_without_findings_or_of_another_version_has_no_such_line(tmp_path: Path) -> None:
    account = write_account(tmp_path)
    assert named(looked(tmp_path), PAPER, "finding") == []
    write_snapshot(account, schema_version=4)
    assert named(looked(tmp_path), PAPER, "finding") == []


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"LIVE_TRADING": "False", **COINBASE}, "LIVE_TRADING is False"),
        ({"LIVE_TRADING": "True"}, "coinbase: no complete credentials, or no broker of yours"),
        (
            {"LIVE_TRADING": "True", **COINBASE, "PRIMARY_BROKER": "KRAKEN", "SECONDARY_BROKER": "NONE"},
            "coinbase: no complete credentials, or no broker of yours",
        ),
    ],
)
def test_real_positions_that_these_settings_leave_alone_are_a_warning(
    tmp_path: Path, values: dict[str, str], why: str
) -> None:
    account = write_account(tmp_path, TradingMode.LIVE)
    write_snapshot(account, schema_version=4)  # the books tell, whatever version wrote the last cycle
    [check] = named(looked(tmp_path, values), LIVE, "left alone")
    assert check.health is Health.WARN
    assert check.found == f"positions 1, orders 3, and nobody looks after them: {why}"
    assert "at the venue" in check.fix
    with ModeLock(account, now=NOW, command="run --live"):  # it has settings of its own
        assert named(looked(tmp_path, values), LIVE, "left alone") == []


def test_real_positions_that_a_start_would_look_after_are_no_warning(tmp_path: Path) -> None:
    write_account(tmp_path, TradingMode.LIVE)
    assert named(looked(tmp_path, {"LIVE_TRADING": "True", **COINBASE}), LIVE, "left alone") == []


def test_play_positions_are_not_left_alone(tmp_path: Path) -> None:
    write_account(tmp_path)
    assert [check for check in looked(tmp_path) if check.name == "left alone"] == []


def an_order(purpose: str) -> dict[str, object]:
    return {"purpose": purpose, "symbol": "ETH/USD", "account": "coinbase", "state": "open"}


@pytest.mark.parametrize(
    ("bare", "orders", "later", "health"),
    [
        (False, ["stop"], timedelta(hours=24, minutes=59), Health.OK),  # the next decision is due in 24 h
        (False, ["stop"], timedelta(hours=25, minutes=1), Health.WARN),
        (True, [], timedelta(minutes=19), Health.OK),  # a timer's quarter of an hour, and a slow cycle
        (True, [], timedelta(minutes=21), Health.WARN),
        (False, ["stop", "entry"], timedelta(minutes=21), Health.WARN),
    ],
)
def test_bot_that_is_gone_with_something_open_is_a_warning_in_time(
    tmp_path: Path, bare: bool, orders: list[str], later: timedelta, health: Health
) -> None:
    account = write_account(tmp_path)
    with SqliteLedger(ledger_path(account), durable=False) as ledger:
        snapshot = ledger.value(SNAPSHOT_KEY)
        assert isinstance(snapshot, dict)
    position = {**snapshot["positions"][0], "stop_resting": not bare}
    write_snapshot(account, positions=[position], orders=[an_order(purpose) for purpose in orders])
    [check] = named(looked(tmp_path, now=NOW + later), PAPER, "last cycle")
    assert check.health is health
    if health is Health.WARN:
        protected = "WITHOUT a stop on the venue" if bare else "its stop rests there"
        assert f"no bot runs, and open are: BTC/USD on coinbase ($19.90, {protected})" in check.found
        assert "start the bot" in check.fix


def test_bot_that_is_gone_with_nothing_open_is_no_warning(tmp_path: Path) -> None:
    write_snapshot(write_account(tmp_path), positions=[], orders=[])
    [check] = named(looked(tmp_path, now=NOW + timedelta(days=30)), PAPER, "last cycle")
    assert check.health is Health.OK


@pytest.mark.parametrize("installed", [True, False])
def test_alerts_without_apprise_are_a_warning_with_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    monkeypatch.setattr(doctor, "is_installed", lambda _: installed)
    checks = named(looked(tmp_path, {"NOTIFY_URLS": "json://127.0.0.1/secret-path"}), "settings", "alerts")
    assert [check.health for check in checks] == ([] if installed else [Health.WARN])
    for check in checks:
        assert check.found == "NOTIFY_URLS is set, but Apprise is not installed: nobody is told anything"
        assert "requirements-notify.txt" in check.fix
    assert named(looked(tmp_path), "settings", "alerts") == []


def test_installed_is_asked_without_importing() -> None:
    assert doctor.is_installed("json")
    assert not doctor.is_installed("no_such_module_at_all")


def test_doctor_on_a_narrow_screen_puts_the_words_below_the_label() -> None:
    checks = [
        Check(area="settings", name="COINBASE_API_SECRET", health=Health.FAIL, found="it cannot be read", fix="mend it")
    ]
    assert render_doctor(checks, Look(width=40))[2:5] == [
        "   fail  COINBASE_API_SECRET",
        "         it cannot be read",
        "         Do: mend it",
    ]
    assert render_doctor(checks, Look(width=80))[2] == "   fail  COINBASE_API_SECRET  it cannot be read"
