"""What the doctor says of keys and venues."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from account_samples import NOW, T0, write_account
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from bot.cli.main import main
from bot.doctor import examine
from bot.domain.errors import VenueError
from bot.domain.modes import TradingMode
from bot.domain.venue_report import VENUE_REPORTS_KEY, VenueReport
from bot.settings import load_settings
from bot.settings_schema import Settings
from bot.storage.ledger import SqliteLedger
from bot.storage.lock import ModeLock
from bot.storage.modes import ledger_path
from bot.views.doctor_keys import check_coinbase_secret, check_keys, check_kraken_secret
from bot.views.doctor_text import Check, Health
from bot.views.doctor_venue import cash_of, check_venue

COINBASE = VenueReport(
    account="coinbase",
    at=NOW.isoformat(),
    clock_drift_s=0.34,
    has_key=True,
    rights=("view", "trade"),
    assets={"USD": "150.5", "USDC": "30", "BTC": "0.00100000", "DOGE": "0"},
    maker_pct=0.6,
    taker_pct=1.2,
    fee_origin="the account",
    stops_rest=True,
    stops_about="a stop-limit was understood",
    markets=("BTC/USD", "ETH/USD", "SOL/USD"),
    markets_origin="the venue",
)


def report(**values: Any) -> VenueReport:
    """A venue where all is well, with some values replaced."""
    return VenueReport.from_json({**COINBASE.to_json(), **values})


def settings_with(**values: str) -> Settings:
    return load_settings(env_file=None, environ=values)


def judged(told: VenueReport, *, told_to_bot: bool = False, now: datetime = NOW, **values: str) -> dict[str, Check]:
    checks = [*check_venue(told, settings_with(**values), now=now, told_to_bot=told_to_bot)]
    assert {check.area for check in checks} == {f"venue {told.account}"}
    return {check.name: check for check in checks}


def line(check: Check) -> tuple[str, str]:
    return check.health.value, check.found


# -- one venue


def test_venue_where_all_is_well_has_only_good_lines() -> None:
    checks = judged(COINBASE)
    assert {name: line(check) for name, check in checks.items()} == {
        "answer": ("ok", "it answers, asked just now"),
        "clock": ("ok", "this machine is 0.3 s ahead of the venue"),
        "key": ("ok", "it may: view, trade"),
        "cash": ("ok", "USD 150.50, USDC 30.00"),
        "coins": ("ok", "BTC 0.00100000; coins that the bot did not buy are never touched"),
        "minimums": ("ok", "above $10.00 (MIN_BALANCE_COINBASE) and $5.00 (MIN_TRADE_SIZE)"),
        "fees": ("ok", "maker 0.60 %, taker 1.20 %: the account"),
        "stops": ("ok", "they rest on the venue: a stop-limit was understood"),
        "markets": ("ok", "BTC/USD, ETH/USD, SOL/USD (from the venue)"),
    }
    assert {check.fix for check in checks.values()} == {""}


@pytest.mark.parametrize(
    ("told", "age", "expected"),
    [
        (report(), timedelta(hours=3), ("ok", "it answers, as the running bot was told 3 h ago")),
        (report(), timedelta(hours=48), ("ok", "it answers, as the running bot was told 2 d ago")),
        (report(), timedelta(hours=49), ("warn", "it answers, as the running bot was told 2 d 1 h ago")),
        (
            report(problem="coinbase: no answer within 10 s"),
            timedelta(minutes=5),
            ("fail", "coinbase: no answer within 10 s (as the running bot was told 5 min ago)"),
        ),
    ],
)
def test_venue_that_was_told_to_the_running_bot_has_its_age(
    told: VenueReport, age: timedelta, expected: tuple[str, str]
) -> None:
    assert line(judged(told, told_to_bot=True, now=NOW + age)["answer"]) == expected


def test_venue_that_does_not_answer_fails_with_a_key_and_is_a_warning_without() -> None:
    silent = VenueReport(account="kraken", at=NOW.isoformat(), problem="kraken: no route", has_key=True)
    checks = judged(silent)
    assert list(checks) == ["answer"]
    assert line(checks["answer"]) == ("fail", "kraken: no route (asked just now)")
    assert checks["answer"].fix == "check network and KRAKEN_API_URL; the venue may be down: look again later"
    without = judged(VenueReport(account="kraken", at=NOW.isoformat(), problem="kraken: no route"))
    assert without["answer"].health is Health.WARN
    assert list(without) == ["answer", "key"]


def test_venue_that_was_told_nothing_of_a_key_says_that_nothing_real_is_sent() -> None:
    public = report(
        has_key=False, rights=[], assets=None, maker_pct=None, taker_pct=None, stops_rest=None, stops_about=""
    )
    checks = judged(public)
    assert list(checks) == ["answer", "clock", "key", "markets"]
    assert line(checks["key"]) == ("ok", "none: only what the venue tells everybody; no real order is sent here")


@pytest.mark.parametrize(
    ("drift_s", "expected"),
    [
        (-2.0, ("ok", "this machine is 2.0 s behind the venue")),
        (2.1, ("warn", "this machine is 2.1 s ahead of the venue")),
        (-30.0, ("warn", "this machine is 30.0 s behind the venue")),
        (30.1, ("fail", "this machine is 30.1 s ahead of the venue")),
        (-31.0, ("fail", "this machine is 31.0 s behind the venue")),
    ],
)
def test_clock_is_judged_by_its_drift_either_way(drift_s: float, expected: tuple[str, str]) -> None:
    check = judged(report(clock_drift_s=drift_s))["clock"]
    assert line(check) == expected
    assert ("timedatectl" in check.fix) == (check.health is not Health.OK)


CAN_WITHDRAW = report(
    rights=["view", "trade", "transfer"],
    rights_problem="the key may also: transfer",
    problem="coinbase: the key may also: transfer. A bot never needs that",
)
UNKNOWN_RIGHTS = report(rights=[], rights_problem="the venue does not say what the key may do")


def test_key_that_may_withdraw_fails_whatever_the_settings_say() -> None:
    for allow in ("False", "True"):
        checks = judged(CAN_WITHDRAW, ALLOW_UNKNOWN_KEY_RIGHTS=allow)
        assert line(checks["key"]) == (
            "fail",
            "it is not used: the key may also: transfer\nit may: view, trade, transfer",
        )
        assert checks["key"].fix == "make a new key that may look and trade and nothing else, and delete this one"
        # The venue did answer: the same thing is not told twice.
        assert line(checks["answer"]) == ("ok", "it answers, asked just now")


def test_key_with_unknown_rights_fails_unless_the_user_allows_it() -> None:
    assert line(judged(UNKNOWN_RIGHTS)["key"]) == (
        "fail",
        "it is not used: the venue does not say what the key may do",
    )
    assert line(judged(UNKNOWN_RIGHTS, ALLOW_UNKNOWN_KEY_RIGHTS="True")["key"]) == (
        "warn",
        "the venue does not say what the key may do; it is used all the same (ALLOW_UNKNOWN_KEY_RIGHTS)",
    )


def test_key_whose_rights_nobody_has_told_yet_is_a_warning() -> None:
    assert line(judged(report(rights=[]))["key"]) == ("warn", "its rights have not been told yet")


def test_cash_shows_dollars_usdc_and_earning_dollars_apart() -> None:
    told = report(account="kraken", assets={"USD": "20", "USDC": "10.5", "USD.F": "40", "ETH": "0.5", "BTC.F": "0.01"})
    checks = judged(told)
    assert line(checks["cash"]) == ("ok", "USD 20.00, USDC 10.50, USD.F 40.00 (earns: counted, never spent)")
    assert checks["coins"].found.startswith("BTC.F 0.01, ETH 0.5; coins")
    # 20 + 10.50 + 40 = 70.50: above 50
    assert line(checks["minimums"]) == ("ok", "above $50.00 (MIN_BALANCE_KRAKEN) and $5.00 (MIN_TRADE_SIZE)")
    assert cash_of(told) == Decimal("70.5")
    assert cash_of(report(assets=None)) is None
    assert line(judged(report(assets={}))["cash"]) == ("ok", "none")


def test_cash_below_the_minimums_is_a_warning_with_the_deposit() -> None:
    dormant = judged(report(assets={"USD": "9.99"}))["minimums"]
    assert line(dormant) == ("warn", "cash $9.99 is below $10.00 (MIN_BALANCE_COINBASE): dormant")
    assert dormant.fix == "a deposit of $0.01; until then only exits are made here"
    invested = judged(report(assets={"USD": "4", "BTC": "0.001"}))["minimums"]
    assert invested.found.endswith(": dormant, unless the bot's own coins make up for it")
    # 4 to spend and 46 that earn are the 50 of the venue, and no order
    earning = judged(report(account="kraken", assets={"USD": "4", "USD.F": "46"}))["minimums"]
    assert line(earning) == ("warn", "cash to spend $4.00 is below $5.00, the smallest order")


def test_fees_that_are_a_fallback_are_a_warning_with_a_key_only() -> None:
    told = report(fee_origin="the worst published", fee_is_fallback=True)
    check = judged(told)["fees"]
    assert line(check) == ("warn", "maker 0.60 %, taker 1.20 %: the worst published (the account's are not known)")
    assert check.fix.endswith("or set COINBASE_MAKER_FEE_PCT and COINBASE_TAKER_FEE_PCT")
    assert judged(report(fee_is_fallback=True, has_key=False))["fees"].health is Health.OK


@pytest.mark.parametrize(
    ("rest", "about", "expected"),
    [
        (False, "UNSUPPORTED", ("warn", "they do not rest on the venue, the bot watches the price: UNSUPPORTED")),
        (None, "", ("warn", "not known whether they can rest on the venue")),
        (True, "", ("ok", "they rest on the venue")),
    ],
)
def test_stops_that_do_not_rest_are_a_warning(rest: bool | None, about: str, expected: tuple[str, str]) -> None:
    check = judged(report(stops_rest=rest, stops_about=about))["stops"]
    assert line(check) == expected
    assert bool(check.fix) == (check.health is Health.WARN)


def test_markets_that_lack_a_coin_are_a_warning() -> None:
    told = report(markets=["BTC/USD", "ETH/USDC"], markets_origin="the copy of 2026-02-10")
    assert line(judged(told)["markets"]) == (
        "warn",
        "BTC/USD, ETH/USDC (from the copy of 2026-02-10); none for SOL",
    )
    assert judged(told, TRADE_ONLY="BTC,ETH")["markets"].health is Health.OK
    assert judged(report(markets=[], markets_origin=""))["markets"].found == "none; none for BTC, ETH, SOL"


# -- the whole doctor


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder to stand in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refuse() -> Sequence[VenueReport]:
    raise AssertionError("a venue was asked")


def looked(folder: Path, ask: Any, *, problem: str = "", **values: str) -> dict[tuple[str, str], Check]:
    settings = load_settings(env_file=None, environ={}, overrides={"STATE_DIR": str(folder), **values})
    checks = examine(settings=settings, problem=problem, env_file=folder / ".env", now=NOW, ask=ask)
    return {(check.area, check.name): check for check in checks}


def store_reports(folder: Path, stored: object) -> Path:
    account = write_account(folder, TradingMode.LIVE)
    with SqliteLedger(ledger_path(account), durable=False) as ledger:
        ledger.set_value(VENUE_REPORTS_KEY, stored)
    return account


def test_doctor_shows_what_the_running_bot_was_told_and_does_not_use_its_key(folder: Path) -> None:
    account = store_reports(folder, [report(at=(NOW - timedelta(hours=2)).isoformat()).to_json()])
    with ModeLock(account, now=T0, command="run --live"):
        checks = looked(folder, refuse)
    assert checks["venue coinbase", "answer"].found == "it answers, as the running bot was told 2 h ago"
    assert checks["venue coinbase", "key"].found == "it may: view, trade"


def test_doctor_asks_where_no_bot_runs_live(folder: Path) -> None:
    # What an ended bot was told is not shown any more, and a bot on paper has no key in use.
    store_reports(folder, [report(account="kraken").to_json()])
    paper = write_account(folder, TradingMode.PAPER)
    with ModeLock(paper, now=T0, command="run --paper"):
        checks = looked(folder, lambda: [COINBASE])
    assert checks["venue coinbase", "answer"].found == "it answers, asked just now"
    assert "venue kraken" not in {area for area, _ in checks}


def test_doctor_beside_a_bot_that_has_just_started_says_so(folder: Path) -> None:
    with ModeLock(folder, now=T0, command="run --live"):
        check = looked(folder, refuse)["venues", "reports"]
    assert line(check) == ("ok", "nothing recorded yet of what they told the bot that runs")


@pytest.mark.parametrize("stored", ["?", ["?"], [{"account": "coinbase"}]])
def test_doctor_with_stored_reports_that_cannot_be_understood_fails(folder: Path, stored: object) -> None:
    account = store_reports(folder, stored)
    with ModeLock(account, now=T0, command="run --live"):
        assert looked(folder, refuse)["venues", "reports"].health is Health.FAIL


def test_doctor_with_a_wrong_setting_asks_nobody(folder: Path) -> None:
    assert not [area for area, _ in looked(folder, refuse, problem="wrong") if area.startswith("venue")]


def test_doctor_shows_what_asking_says_and_hides_what_it_did_not_write(folder: Path) -> None:
    def silent() -> Sequence[VenueReport]:
        raise VenueError("coinbase: no answer")

    def broken() -> Sequence[VenueReport]:
        raise ValueError("the key is c2VjcmV0")

    assert line(looked(folder, silent)["venues", "reports"]) == ("fail", "coinbase: no answer")
    assert line(looked(folder, broken)["venues", "reports"]) == ("fail", "asking the venues broke: ValueError")


def test_money_lines_take_cash_and_fees_from_the_venues(folder: Path) -> None:
    told = report(assets={"USD": "60"}, maker_pct=0.4, taker_pct=0.6)
    checks = looked(folder, lambda: [told], SECONDARY_BROKER="NONE")
    assert checks["money", "strategy"].found == (
        "allocation with $60.00: the cash on the venues, all of it on one venue, at example prices; "
        "no account has run within 2 days (a replay is none)"
    )
    # 1.004 / (1 - 0.006) - 1 = 1.006 %
    assert checks["money", "round trip"].found.startswith("coinbase: 1.01 % of an order, $")
    unknown = looked(folder, lambda: [report(assets=None)], SECONDARY_BROKER="NONE", PAPER_EQUITY="80")
    assert unknown["money", "strategy"].found.startswith("allocation with $80.00: PAPER_EQUITY, all of it")


# -- the command


def run_doctor(*arguments: str, **variables: str) -> Result:
    return CliRunner().invoke(main, ["doctor", *arguments], env={"COLUMNS": "100", **variables})


def test_doctor_command_asks_the_venues_and_ends_with_their_health(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Settings] = []
    answers = [COINBASE]

    def ask(settings: Settings, now: datetime) -> list[VenueReport]:
        asked.append(settings)
        return answers

    monkeypatch.setattr("bot.cli.doctor.ask_venues", ask)
    good = run_doctor("--json")
    assert (good.exit_code, good.stderr, len(asked)) == (0, "", 1)
    document = json.loads(good.stdout)
    assert (document["schema_version"], document["not_looked_at"]) == (1, "")
    assert {"area": "venue coinbase", "name": "key", "health": "ok", "found": "it may: view, trade", "fix": ""} in (
        document["checks"]
    )
    answers[0] = CAN_WITHDRAW
    bad = run_doctor()
    assert bad.exit_code == 4
    assert "VENUE COINBASE ──" in bad.stdout


def test_doctor_quick_asks_nobody_and_computes_no_costs(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr("bot.cli.doctor.ask_venues", lambda settings, now: refuse())
    document = json.loads(run_doctor("--quick", "--json").stdout)
    assert {check["area"] for check in document["checks"]} == {"program", "settings", "folder"}
    assert document["not_looked_at"].startswith("Not looked at with --quick: the venues")
    assert run_doctor("--quick").exit_code == 0
    assert "Not looked at with --quick" in run_doctor("--quick").stdout
    write_account(folder, TradingMode.LIVE)
    # The account's last cycle is of long ago (2026-02-11), and somebody runs: the health check of a stuck bot.
    os.utime(ledger_path(folder), (NOW.timestamp(), NOW.timestamp()))
    with ModeLock(folder, now=T0, command="run --live"):
        stuck = run_doctor("--quick")
    assert stuck.exit_code == 4
    assert "the bot runs and records nothing" in " ".join(stuck.stdout.split())
    assert run_doctor("--quick", MAX_DRAWDOWN="99").exit_code == 78


# -- the keys in the settings


def pem(
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
    form: PrivateFormat,
    encryption: KeySerializationEncryption | None = None,
) -> str:
    return key.private_bytes(Encoding.PEM, form, encryption or NoEncryption()).decode()


P256 = ec.generate_private_key(ec.SECP256R1())
ED25519 = ed25519.Ed25519PrivateKey.generate()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (pem(P256, PrivateFormat.TraditionalOpenSSL), ("ok", "a private key of ECDSA P-256, SEC1 form")),
        (pem(P256, PrivateFormat.PKCS8), ("ok", "a private key of ECDSA P-256, PKCS8 form")),
        (
            pem(ec.generate_private_key(ec.SECP384R1()), PrivateFormat.PKCS8),
            ("fail", "a private key of another kind"),
        ),
        (pem(ED25519, PrivateFormat.PKCS8), ("fail", "a private key of another kind")),
        (
            pem(P256, PrivateFormat.PKCS8, BestAvailableEncryption(b"pass")),
            ("fail", "it cannot be read as a private key"),
        ),
        (
            "-----BEGIN EC PRIVATE KEY-----\nc2VjcmV0\n-----END EC PRIVATE KEY-----",
            ("fail", "it cannot be read as a private key"),
        ),
        (
            base64.b64encode(bytes(64)).decode(),
            ("warn", "the form of an Ed25519 key, which Coinbase may refuse for trading"),
        ),
        ("c2VjcmV0", ("fail", "no private key in PEM form (-----BEGIN ...)")),
        ("no base64!", ("fail", "no private key in PEM form (-----BEGIN ...)")),
    ],
)
def test_coinbase_secret_is_judged_by_its_form_and_never_shown(text: str, expected: tuple[str, str]) -> None:
    check = check_coinbase_secret(text)
    assert line(check) == expected
    assert bool(check.fix) == (check.health is not Health.OK)
    assert "c2VjcmV0" not in check.fix + check.found


def test_coinbase_secret_with_written_line_ends_is_read(folder: Path) -> None:
    text = pem(P256, PrivateFormat.TraditionalOpenSSL).replace("\n", "\\n")
    settings = settings_with(COINBASE_API_KEY="organizations/a/apiKeys/b", COINBASE_API_SECRET=f'"{text}"')
    checks = {check.name: check for check in check_keys(settings)}
    assert line(checks["COINBASE_API_SECRET"]) == ("ok", "a private key of ECDSA P-256, SEC1 form")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("c2VjcmV0", ("ok", "base64, as Kraken's private keys are")),
        ("c2VjcmV", ("fail", "not base64, as Kraken's private keys are")),
        ("c2Vj cmV0\n", ("ok", "base64, as Kraken's private keys are")),
        ("-----", ("fail", "not base64, as Kraken's private keys are")),
    ],
)
def test_kraken_secret_is_judged_by_its_form(text: str, expected: tuple[str, str]) -> None:
    assert line(check_kraken_secret(text)) == expected


KRAKEN_PAIR = {"KRAKEN_MASTER_API_KEY": "key", "KRAKEN_MASTER_API_SECRET": "c2VjcmV0"}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, "play money: no venue has complete credentials"),
        ({"KRAKEN_MASTER_API_KEY": "key"}, "play money: no venue has complete credentials"),
        ({**KRAKEN_PAIR, "LIVE_TRADING": "False"}, "play money: LIVE_TRADING is False"),
        (KRAKEN_PAIR, "real money on kraken, once `run --live` or the typed confirmation says so"),
    ],
)
def test_orders_line_says_whether_they_would_be_real(values: dict[str, str], expected: str) -> None:
    orders = next(check for check in check_keys(settings_with(**values)) if check.name == "orders")
    assert line(orders) == ("ok", expected)


def test_half_of_a_pair_is_a_warning_that_names_the_other_half() -> None:
    def credentials(**values: str) -> Check:
        return next(check for check in check_keys(settings_with(**values)) if check.name == "credentials")

    first = credentials(COINBASE_API_KEY="key")
    assert line(first) == ("warn", "COINBASE_API_KEY is set and COINBASE_API_SECRET is not")
    assert first.fix == "set COINBASE_API_SECRET too, or neither"
    second = credentials(KRAKEN_MASTER_API_SECRET="c2VjcmV0")
    assert line(second) == ("warn", "KRAKEN_MASTER_API_SECRET is set and KRAKEN_MASTER_API_KEY is not")
    assert "credentials" not in {check.name for check in check_keys(settings_with(**KRAKEN_PAIR))}
