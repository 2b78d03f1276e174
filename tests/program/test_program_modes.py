"""Which mode a start takes, as the user meets it: the typed confirmation, and the views of a live account."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from live_rig import live_bot, noon_exchanges, run_live
from paper_rig import CREDENTIALS, private_requests
from program_rig import bot, write_env
from terminal_rig import terminal

QUESTION = "Type 'live' to go on; anything else trades play money"
ONE_CYCLE = ("--cycles", "1")


def test_word_live_typed_once_starts_live_then_and_ever_after(tmp_path: Path) -> None:
    with noon_exchanges() as site:
        with terminal(tmp_path, "run", *ONE_CYCLE, variables=site.settings()) as on:
            on.read_until(lambda text: QUESTION in text)
            assert "This starts REAL TRADING with real money (coinbase, kraken)." in on.text
            on.press(b"live\n")
            assert on.end() == 0
        assert "LIVE: REAL MONEY on coinbase, kraken; no return is promised." in on.text
        assert "PAPER" not in on.text
        assert len(site.live_orders()) == 3
        with terminal(tmp_path, "run", *ONE_CYCLE, variables=site.settings()) as on:
            assert on.end() == 0
        assert QUESTION not in on.text
        assert "LIVE: REAL MONEY" in on.text
        # also without a terminal, as a service that is started again
        done = bot(tmp_path, "run", "--once", **site.settings())
        assert done.stderr.startswith("LIVE: REAL MONEY on coinbase, kraken; no return is promised.\n")
        assert len(site.live_orders()) == 3
    assert not (tmp_path / "paper").exists()


@pytest.mark.parametrize("answer", [b"\n", b"yes\n", b"LIVE\n", b"\x04"])
def test_anything_else_typed_is_paper_and_sends_no_order(tmp_path: Path, answer: bytes) -> None:
    with noon_exchanges() as site:
        with terminal(tmp_path, "run", *ONE_CYCLE, variables=site.settings()) as on:
            on.read_until(lambda text: QUESTION in text)
            on.press(answer)
            assert on.end() == 0
        assert "PAPER, no real orders: real orders were not confirmed." in on.text
        assert private_requests(site) == []
    assert (tmp_path / "paper" / "ledger.sqlite3").exists()
    assert not (tmp_path / "ledger.sqlite3").exists()  # the next start asks again


def test_confirmation_left_with_ctrl_c_starts_nothing(tmp_path: Path) -> None:
    with noon_exchanges() as site:
        with terminal(tmp_path, "run", *ONE_CYCLE, variables=site.settings()) as on:
            on.interrupt(f"{QUESTION}: ")
            assert on.end() == 130
        assert on.text.rstrip().endswith("Interrupted.")
        assert private_requests(site) == []
    assert list(tmp_path.iterdir()) == []


def test_keys_without_a_terminal_and_without_live_are_paper(tmp_path: Path) -> None:
    with noon_exchanges() as site:
        done = bot(tmp_path, "run", "--once", **site.settings())
        assert done.stderr.splitlines()[0] == (
            "PAPER, no real orders: real orders were never confirmed, and nobody is at the terminal; "
            "`run --live` confirms them."
        )
        assert "| cycle mode=PAPER " in done.stderr
        assert private_requests(site) == []


def test_live_trading_false_is_paper_also_after_real_orders(tmp_path: Path) -> None:
    with noon_exchanges() as site:
        assert run_live(tmp_path, site, "--once").returncode == 0
        orders = len(site.live_orders())
        done = bot(tmp_path, "run", "--once", **site.settings(LIVE_TRADING="False"))
        assert done.stderr.startswith("PAPER, no real orders: LIVE_TRADING is False.\n")
        assert len(site.live_orders()) == orders


def test_live_with_the_keys_of_one_venue_says_which_is_left_out(tmp_path: Path) -> None:
    with noon_exchanges() as site:
        done = run_live(tmp_path, site, "--once", COINBASE_API_KEY="", COINBASE_API_SECRET="")
        lines = done.stderr.splitlines()
        assert lines[:3] == [
            "LIVE: REAL MONEY on kraken; no return is promised.",
            "coinbase is left out: its credentials are not set.",
            "Asking kraken; the first answers may take up to 25 seconds.",
        ]
        assert site.coinbase.orders() == []
        assert len(site.kraken.orders()) == 3


def test_views_of_a_live_account_say_live_and_show_no_key(tmp_path: Path) -> None:
    with noon_exchanges() as site:
        values = site.settings()
        write_env(tmp_path, *(f'{name}="{values[name].strip()}"'.replace("\n", "\\n") for name in CREDENTIALS))
        urls = {name: value for name, value in values.items() if name not in CREDENTIALS}
        done = bot(tmp_path, "run", "--live", "--once", **urls)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("| cycle mode=LIVE ") == 1
        shown = [done]
        for command in (
            ("status", "--mode", "live"),
            ("status", "--mode", "live", "--json"),
            ("trades", "--mode", "live"),
            ("refusals", "--mode", "live"),
            ("config",),
            ("config", "--json"),
        ):
            view = bot(tmp_path, *command, **urls)
            assert (view.returncode, view.stderr) == (0, ""), command
            shown.append(view)
    status, document, trades, refusals, config, _ = (view.stdout for view in shown[1:])
    assert status.splitlines()[0].strip() == "LIVE: real orders, real money"
    assert json.loads(document)["snapshot"]["trading_mode"] == "LIVE"
    assert "LIVE" in trades
    assert "LIVE" in refusals
    assert "COINBASE_API_SECRET" in config
    # of the key of Coinbase: a line of its base64, and the two names
    secrets = [values["KRAKEN_MASTER_API_SECRET"], values["COINBASE_API_SECRET"].split("\n")[1]]
    said = "".join(view.stdout + view.stderr for view in shown)
    assert [secret for secret in secrets if secret in said] == []
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != ".env"]
    assert [path.name for path in files for secret in secrets if secret.encode() in path.read_bytes()] == []


def test_live_once_says_how_long_it_may_sleep(tmp_path: Path) -> None:
    with noon_exchanges() as site:
        done = run_live(tmp_path, site, "--once")
    said = [line for line in done.stderr.splitlines() if line.startswith("LIVE ") and "|" not in line]
    entries = [line for line in said if line.startswith("LIVE AN ENTRY RESTS: ")]
    # made at noon and some seconds, and ended by its venue 25 minutes later
    assert [", until " in line and " 12:25 UTC. What it buys by then " in line for line in entries] == [True] * 3
    assert said[-1].startswith("LIVE Run again soon: where an entry fills, each minute until then is one without a ")


def test_live_beside_a_running_live_bot_is_refused(tmp_path: Path) -> None:
    with noon_exchanges() as site, live_bot(tmp_path, site) as first:
        first.wait_cycles(1)
        second = run_live(tmp_path, site, "--once")
        assert second.returncode == 1
        assert f"another process (pid {first.process.pid}, running since 20" in second.stderr
        assert first.process.poll() is None
