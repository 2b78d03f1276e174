"""Keys of a live bot: which it refuses before any order, and that no text of it ever holds one."""

from __future__ import annotations

import itertools
import subprocess
from pathlib import Path

import pytest
from live_rig import (
    COINS,
    HTML_OK,
    KRAKEN_KEY,
    KRAKEN_SECRET,
    LOST_REPLY,
    Exchanges,
    Fault,
    FaultKind,
    Reply,
    assert_books_equal_exchanges,
    command,
    live_bot,
    noon_exchanges,
    orders_sent,
    run_live,
)
from program_rig import SECONDS_MAX, assert_fails, bot, write_env

UNAUTHORIZED = Fault(FaultKind.REPLY, Reply(401, b"Unauthorized", "text/plain"))
BROKEN = Fault(FaultKind.REPLY, Reply(500, b"<html><body>Internal Server Error</body></html>", "text/html"))
NO_SUCH_CALL = Fault(FaultKind.REPLY, Reply(404, b'{"error":"not_found","message":"Not found"}'))
NO_SUCH_METHOD = Fault(FaultKind.REPLY, Reply(200, b'{"error":["EGeneral:Unknown method"]}'))


KEYS = ("COINBASE_API_KEY", "COINBASE_API_SECRET", "KRAKEN_MASTER_API_KEY", "KRAKEN_MASTER_API_SECRET")
LOOKS = (("status", "--json"), ("doctor", "--json"), ("config",), ("trades",), ("refusals",))
"""Commands that show something."""


def secret_texts(site: Exchanges) -> list[str]:
    """Every string that must never be seen: keys, their names, each line of the PEM that holds a part of it."""
    lines = [line for line in site.key.pem.splitlines() if line and not line.startswith("-----")]
    assert len(lines) == 3, "an EC key has three lines"
    return [*lines, site.key.name, KRAKEN_SECRET, KRAKEN_KEY]


def assert_no_secret(site: Exchanges, folder: Path, *done: subprocess.CompletedProcess[str], keys_in: str = "") -> None:
    """Not in any output, not in the bytes of any file of the state folder; ``keys_in``: the user's own ``.env``."""
    texts = {f"output {i}": (one.stdout + one.stderr).encode() for i, one in enumerate(done)}
    texts |= {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != keys_in}
    found = [
        (where, secret)
        for (where, text), secret in itertools.product(texts.items(), secret_texts(site))
        if secret.encode() in text
    ]
    assert found == []


def assert_nothing_sent(site: Exchanges) -> None:
    assert site.coinbase.orders() == []
    assert site.kraken.orders() == []


# ---- rights


def test_live_coinbase_key_that_can_transfer_is_refused_with_78(tmp_path: Path) -> None:
    with noon_exchanges() as site:
        site.coinbase_core.switches.can_transfer = True
        done = run_live(tmp_path, site)
        assert_fails(done, 78, "coinbase: the key may also: can_transfer", "make a new key")
        assert_nothing_sent(site)
        assert_no_secret(site, tmp_path, done)


@pytest.mark.parametrize("right", ["withdraw-funds", "add-withdraw-address", "earn-funds"])
def test_live_kraken_key_that_can_move_funds_is_refused_with_78(tmp_path: Path, right: str) -> None:
    with noon_exchanges() as site:
        key = site.kraken_core.keys[KRAKEN_KEY]
        key.rights |= {right}
        done = run_live(tmp_path, site)
        assert_fails(done, 78, f"kraken: the key may also: {right}", "make a new key")
        assert_nothing_sent(site)
        assert_no_secret(site, tmp_path, done)


def test_live_key_that_gained_a_right_is_refused_at_the_next_start_and_stops_stay(tmp_path: Path) -> None:
    with noon_exchanges() as site:
        with live_bot(tmp_path, site) as running:
            running.wait_cycles(1)
            for coin in COINS:
                site.dip_and_return(coin)
            running.wait_cycles(1)
            assert running.stop() == 0
        site.kraken_core.keys[KRAKEN_KEY].rights |= {"withdraw-funds"}
        assert_fails(run_live(tmp_path, site), 78, "withdraw-funds")
        assert_books_equal_exchanges(tmp_path, site)
        assert orders_sent(tmp_path) == {"entry filled": 3, "stop open": 3}


@pytest.mark.parametrize("venue", ["coinbase", "kraken"])
def test_live_key_of_unknown_rights_is_refused_and_with_the_override_trades(tmp_path: Path, venue: str) -> None:
    with noon_exchanges() as site:
        if venue == "coinbase":
            site.coinbase_server.inject("*/key_permissions", NO_SUCH_CALL, count=100)
        else:
            site.kraken_server.inject("*/GetApiKeyInfo", NO_SUCH_METHOD, count=100)
        done = run_live(tmp_path, site, "--once")
        assert_fails(done, 78, f"{venue}: the venue does not say what the key may do", "ALLOW_UNKNOWN_KEY_RIGHTS=True")
        assert_nothing_sent(site)
        assert run_live(tmp_path, site, "--once", ALLOW_UNKNOWN_KEY_RIGHTS="True").returncode == 0
        assert_books_equal_exchanges(tmp_path, site)
        assert orders_sent(tmp_path) == {"entry open": 3}


def test_live_override_does_not_let_a_key_through_that_is_known_to_withdraw(tmp_path: Path) -> None:
    with noon_exchanges() as site:
        site.kraken_core.keys[KRAKEN_KEY].rights |= {"withdraw-funds"}
        assert_fails(run_live(tmp_path, site, ALLOW_UNKNOWN_KEY_RIGHTS="True"), 78, "withdraw-funds")
        assert_nothing_sent(site)


def test_live_venue_silent_about_rights_gets_no_order_and_what_it_then_says_counts(tmp_path: Path) -> None:
    with noon_exchanges() as site:
        site.kraken_server.inject("*/GetApiKeyInfo", HTML_OK, count=1_000)
        with live_bot(tmp_path, site) as running:
            running.wait_cycles(2)
            assert "waiting for kraken to answer for the first time" in running.err
            site.kraken_core.keys[KRAKEN_KEY].rights |= {"withdraw-funds"}
            site.kraken_server.clear_faults()
            assert running.process.wait(SECONDS_MAX) == 78
            assert "kraken: the key may also: withdraw-funds" in running.err
        assert_nothing_sent(site)
        assert_no_secret(site, tmp_path)


# ---- a whole session


@pytest.mark.parametrize(
    ("venue", "reads", "places"),
    [
        ("coinbase", ("*/accounts", "*/orders/historical/batch", "*/ticker"), "*/orders"),
        ("kraken", ("*/BalanceEx", "*/OpenOrders", "*/Ticker"), "*/AddOrder"),
    ],
)
def test_live_session_full_of_faults_shows_no_secret_and_keeps_its_books(
    tmp_path: Path, venue: str, reads: tuple[str, ...], places: str
) -> None:
    with noon_exchanges(**{"coinbase_usd": "0", "kraken_usd": "0", f"{venue}_usd": "260"}) as site:
        server = site.kraken_server if venue == "kraken" else site.coinbase_server
        with live_bot(tmp_path, site, AUTO_SHUTOFF_ON_ERRORS="False") as running:
            running.wait_cycles(1)
            for faults in (
                (UNAUTHORIZED, UNAUTHORIZED, UNAUTHORIZED),
                (HTML_OK, HTML_OK, HTML_OK),
                (BROKEN, Fault(FaultKind.SHORT_BODY), Fault(FaultKind.RESET)),
            ):
                for path, fault in zip(reads, faults, strict=True):
                    server.inject(path, fault)
                server.wait_for_faults()
            running.wait_cycles(2)
            # The first stop is placed and the answer lost; the second is not placed, and nobody can tell.
            server.inject(places, LOST_REPLY)
            server.inject(places, BROKEN)
            site.dip_and_return("BTC")
            site.dip_and_return("ETH")
            server.wait_for_faults()
            running.wait_cycles(2)
            outputs = [command(tmp_path, site, *words) for words in LOOKS[:2]]
            assert running.stop() == 0
        outputs += [command(tmp_path, site, *words) for words in LOOKS]
        assert orders_sent(tmp_path) == {"entry filled": 2, "entry open": 1, "stop open": 1, "stop unknown": 1}
        site.pass_time(seconds=40)  # it cannot come any more: sent again, under the same id
        outputs.append(run_live(tmp_path, site, "--once"))
        assert_no_secret(site, tmp_path, *outputs)
        assert_books_equal_exchanges(tmp_path, site)
        assert orders_sent(tmp_path) == {"entry filled": 2, "entry open": 1, "stop open": 2}


# ---- .env


def test_live_keys_in_a_file_that_others_can_read_are_refused_with_78(tmp_path: Path) -> None:
    with noon_exchanges() as site:
        settings = site.settings()
        write_env(tmp_path, *(f'{name}="{settings.pop(name).strip()}"' for name in KEYS))
        (tmp_path / ".env").chmod(0o644)
        done = bot(tmp_path, "run", "--live", "--once", **settings)
        assert_fails(done, 78, ".env", "chmod 600 .env", "make new keys")
        assert_nothing_sent(site)
        (tmp_path / ".env").chmod(0o600)
        again = bot(tmp_path, "run", "--live", "--once", **settings)
        assert again.returncode == 0, again.stderr
        assert_no_secret(site, tmp_path, done, again, keys_in=".env")
        with pytest.raises(AssertionError, match=r"\.env"):
            assert_no_secret(site, tmp_path)  # it would see them: they are in the file
        assert_books_equal_exchanges(tmp_path, site)
        assert orders_sent(tmp_path) == {"entry open": 3}
