from __future__ import annotations

import json
import math
import re
import unicodedata
from dataclasses import replace
from datetime import date, timedelta

import pytest
from view_samples import (
    AT,
    TIER_STATE,
    a_coin,
    a_day,
    a_finding,
    a_guard,
    a_position,
    a_refusal,
    a_snapshot,
    a_status,
    a_venue,
    an_order,
)

from bot.domain.finding import FindingCode
from bot.domain.modes import TradingMode
from bot.domain.refusal import RefusalCode
from bot.scaling.state import TierState
from bot.views.status import StatusModel, json_text, newest_of_each, status_document
from bot.views.status_text import MODE_WORDS, render_status
from bot.views.text import Look

NOTHING_YET = a_snapshot(
    engine_mode="HALTED",
    engine_mode_reason="waiting for coinbase to answer for the first time",
    equity_usd=0.0,
    cash_usd=0.0,
    exposure_pct=0.0,
    deposits_usd=0.0,
    profit_usd=0.0,
    fees_usd=0.0,
    tier="UNRANKED",
    max_positions=0,
    risk_per_trade_pct=0.0,
    data_age_s=None,
    venues=[a_venue(fresh=False, balance_age_s=None, fee_origin="", equity_usd=0.0, free_cash_usd=0.0)],
    coins=[
        a_coin(
            price=None,
            score=None,
            target_usd=None,
            trigger_price=None,
            lowering_price=None,
            action="",
            refusal="",
            refusal_limit=None,
            refusal_actual=None,
        )
    ],
)

MODELS: dict[str, StatusModel] = {
    "active": a_status(refusals=[a_refusal()], refusal_counts={"signal_too_weak": 380, "cash_buffer": 1}),
    "holding": a_status(
        a_snapshot(
            positions=[a_position(), a_position(symbol="SOL/USD", stop_resting=False, r_multiple=None)],
            orders=[an_order(), an_order(purpose="entry", side="buy", type="limit", state="unknown")],
            coins=[a_coin(action="hold", refusal="", held_usd=20.0, target_usd=19.0, trigger_price=None)],
            effective_risk_pct=2.03,
        )
    ),
    "halted": a_status(
        a_snapshot(
            engine_mode="HALTED",
            engine_mode_reason="the drawdown limit was reached; `resume --reset-drawdown` ends the halt",
            guards=[a_guard(used=12.4, active=True)],
            coins=[a_coin(refusal="drawdown", refusal_limit=12.0, refusal_actual=12.4, refusal_unit="pct")],
        )
    ),
    "stalled": a_status(
        a_snapshot(
            engine_mode="STALLED",
            engine_mode_reason="the limits leave no order above the minimums: at most $2.70 of BTC/USD",
            equity_usd=15.0,
            cash_usd=15.0,
        )
    ),
    "nothing yet": a_status(NOTHING_YET, tier_state=TierState(), days=[]),
    "broken numbers": a_status(
        a_snapshot(
            drawdown_pct=math.nan,
            data_age_s=math.inf,
            coins=[
                a_coin(
                    refusal="stale_data", refusal_limit=0.25, refusal_actual=math.inf, refusal_unit="hours", price=0.0
                )
            ],
            guards=[a_guard(used=math.nan, active=True), a_guard("activation", used=0.0, limit=13.2, unit="usd")],
        )
    ),
    "dormant and stale": a_status(
        a_snapshot(
            fresh=False,
            venues=[
                a_venue(fresh=False, balance_age_s=840.0),
                a_venue(
                    account="kraken",
                    equity_usd=12.0,
                    dormant=True,
                    minimum_balance_usd=50.0,
                    foreign_assets={"DOGE": "120.5", "ADA": "7"},
                ),
            ],
        )
    ),
    "findings": a_status(a_snapshot(findings=[a_finding(code) for code in FindingCode], reconciled_at=None)),
    "many": a_status(
        a_snapshot(orders=[an_order() for _ in range(14)], equity_usd=123_456_789.12),
        days=[a_day(date(2026, 3, 2) - timedelta(days=n)) for n in range(7)],
        tier_state=replace(TIER_STATE, upgrade_history=TIER_STATE.upgrade_history * 8),
        refusals=[a_refusal(code) for code in (RefusalCode.UNSELLABLE, RefusalCode.DRAWDOWN, RefusalCode.LOSS_STREAK)],
        refusal_counts={code.value: 12_345 for code in RefusalCode},
    ),
}


def text_of(model: StatusModel, *, width: int = 80) -> str:
    return "\n".join(render_status(model, Look(width=width)))


def section_of(model: StatusModel, title: str) -> str:
    """The lines of one section without the white space in which they are laid out."""
    found = re.search(rf"^{title} ─+\n(.*?)(?:\n\n|\Z)", text_of(model), re.MULTILINE | re.DOTALL)
    assert found is not None, f"no section {title}"
    return " ".join(found[1].split())


def cells(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in line)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_render_status_no_line_is_too_wide(name: str, width: int) -> None:
    for line in render_status(MODELS[name], Look(width=width)):
        assert cells(line) <= width, line


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("width", [40, 60, 80])
def test_render_status_ascii_has_only_ascii(name: str, width: int) -> None:
    lines = render_status(MODELS[name], Look(width=width, ascii=True))
    assert all(line.isascii() and len(line) <= width for line in lines)
    assert not any("?" in line for line in lines)  # every sign of ours has a replacement


@pytest.mark.parametrize("name", MODELS)
def test_render_status_no_machine_words_leak(name: str) -> None:
    assert not re.search(r"\b(nan|inf|None|True|False)\b", text_of(MODELS[name]))


@pytest.mark.parametrize("mode", list(TradingMode))
def test_render_status_first_line_says_whose_money_it_is(mode: TradingMode) -> None:
    lines = render_status(a_status(a_snapshot(trading_mode=mode.value)), Look(colour=True))
    assert lines[0].strip("\x1b[1;7m0 ") == MODE_WORDS[mode]
    assert lines[0].startswith(f"\x1b[1;7m {mode.value}:")


def test_render_status_active_begins_with_state_and_the_guides_box() -> None:
    assert text_of(MODELS["active"]).splitlines()[:16] == [
        " PAPER: play money at live prices, no real orders",
        " ACTIVE · $98.35 · STARTER · today -$0.31",
        " Running (pid 4242) · cycle 1,204 · last cycle 0 s ago",
        " Prices 8 s old",
        "",
        "╔" + "═" * 74 + "╗",
        "║                     NIJA AUTO-SCALING STATUS                             ║",
        "╚" + "═" * 74 + "╝",
        "",
        "💰 CURRENT EQUITY: $98.35",
        "",
        "🎯 CURRENT TIER: STARTER",
        "   • Starting point with two positions at a time",
        "   • Max Positions: 2",
        "   • Risk Per Trade: 3.0%",
        "   • Copy Trading: ❌ Disabled",
    ]


def test_render_status_tier_progress_and_history_are_shown() -> None:
    text = text_of(MODELS["active"])
    # 98.35 / 250 = 39.3 %
    assert "NEXT TIER: GROWTH\n   • Unlocks at: $250.00\n   • Progress: 39.3%" in text
    assert "📜 UPGRADE HISTORY\n   • 2026-03-02 14:01 UTC: UNRANKED → STARTER ($100.00)" in text
    assert "UPGRADE HISTORY (the last 5 of 8)" in text_of(MODELS["many"])


def test_render_status_account_adds_up() -> None:
    assert section_of(MODELS["active"], "ACCOUNT") == (
        "equity $98.35 = cash $78.35 + coins $20.00 (20.3 %) "
        "put in $98.00, result +$0.35 (+0.4 %) after $0.62 of fees "
        "risk no position is open; a trade may risk 3.0 % of equity"  # 0.35 / 98 = 0.36 %
    )


def test_render_status_free_server_is_not_mentioned() -> None:
    assert "a month" not in text_of(a_status(server_cost="0"))


def test_render_status_limits_show_used_of_limit_with_a_bar() -> None:
    guards = [
        a_guard("daily_loss", 3.0, 6.0),
        a_guard("cash_buffer", 20.0, 15.0),  # 15 / 20: three quarters of the way down to the limit
        a_guard("activation", 13.0, 13.2, unit="usd", active=True, action="positions are only closed"),
    ]
    assert section_of(a_status(a_snapshot(guards=guards)), "LIMITS") == (
        "loss of the day █████░░░░░ 3.00 % of 6.00 % "
        "cash ████████░░ 20.00 %, at least 15.00 % "
        "equity ██████████ $13.00, at least $13.20 active: positions are only closed"
    )


def test_render_status_position_shows_stop_and_r() -> None:
    # (100000 - 90000) x 0.0002 = $2.00 to the stop, 10 % below; 1 / (20 - 1) = 5.3 %
    assert section_of(MODELS["holding"], "POSITIONS").startswith(
        "BTC/USD on coinbase: worth $20.00, +$1.00 (+5.3 %), +1.00 R "
        "0.00020000 bought at $95,000.00, now $100,000.00; since 2026-02-20 "
        "stop $90,000.00, resting on the venue, 10.0 % below: $2.00 from here"
    )
    assert "stop $90,000.00, being placed, 10.0 % below" in section_of(MODELS["holding"], "POSITIONS")


def test_render_status_position_without_stop_is_loud() -> None:
    lines = render_status(a_status(a_snapshot(positions=[a_position(stop_price=None)])), Look(colour=True))
    assert "\x1b[1;31m      no stop yet: it follows in the next cycle\x1b[0m" in lines


def test_render_status_unknown_order_says_that_the_venue_is_asked() -> None:
    assert section_of(MODELS["holding"], "OPEN ORDERS") == (
        "stop: sell 0.00020000 BTC/USD at $90,000.00 on coinbase, open "
        "entry: buy 0.00020000 BTC/USD at $90,000.00 on coinbase, outcome unknown, the venue is being asked"
    )


def test_render_status_weak_signal_names_the_close_that_would_change_it() -> None:
    # 103000 / 100000 = +3 %; from 14:01 to 00:01 are 10 hours
    assert section_of(MODELS["active"], "WHY NOTHING HAPPENS") == (
        "BTC/USD score ███░░░░░░░ 0.33 of 0.75 at $100,000.00 "
        "Score high enough: a daily close above $103,000.00, +3.0 % from here. "
        "Next decision: 2026-03-03 00:01 UTC, in 10 h."
    )


def test_render_status_coin_shows_members_and_regime_with_its_record() -> None:
    coin = a_coin(
        members={"trend": 0.44, "momentum": 0.5, "volume": None},
        weights={"trend": 0.4, "momentum": 0.2, "volume": 0.1},
        regime="flat",
        regime_rank=0.32,
        regime_periods=15,
        regime_right=9,
        regime_rose=8,
    )
    text = section_of(a_status(a_snapshot(coins=[coin])), "WHY NOTHING HAPPENS")
    assert "Score: trend 0.44 x 40%, momentum 0.50 x 20%, volume unknown." in text
    assert (
        "Market flat, more volatile than on 32 % of the last year's days; such words were right in 9 of 15 periods of "
        '20 days, "it rises" in 8.'
    ) in text


def test_render_status_refused_entry_is_explained_in_dollars() -> None:
    coin = a_coin(
        score=0.89,
        trigger_price=None,
        refusal="position_cap",
        refusal_limit=5.0,
        refusal_actual=2.7,
        refusal_unit="usd",
    )
    assert (
        "The position cap leaves $2.70 for this coin; the smallest order is $5.00. "
        "What would change it: more equity: the cap is a share of it (MAX_POSITION_PCT)."
    ) in section_of(a_status(a_snapshot(coins=[coin])), "WHY NOTHING HAPPENS")


def test_render_status_after_a_purchase_asks_what_each_coin_waits_for() -> None:
    bought = a_coin(action="enter", refusal="", target_usd=18.2)
    model = a_status(a_snapshot(coins=[bought], orders=[an_order(purpose="entry", side="buy")]))
    assert "The last decision was to buy. Held $0.00, target $18.20." in section_of(model, "WHAT EACH COIN WAITS FOR")


def test_render_status_stalled_names_ways_out() -> None:
    assert section_of(MODELS["stalled"], "WHY NOTHING HAPPENS").startswith(
        "STALLED: the limits leave no order above the minimums: at most $2.70 of BTC/USD. BTC/USD "
    )


def test_render_status_silent_venue_says_why_it_did_not_answer() -> None:
    said = "coinbase: prices: NetworkError: no route"
    silent = a_status(a_snapshot(fresh=False, venues=[a_venue(fresh=False, balance_age_s=840.0, problem=said)]))
    assert f"stale: last answer 14 min before the last cycle {said}" in section_of(silent, "VENUES")


def test_render_status_venues_show_fees_dormancy_and_staleness() -> None:
    # (1 + 0.006) / (1 - 0.012) - 1 = 1.82 %
    assert section_of(MODELS["dormant and stale"], "VENUES") == (
        "coinbase $98.35, of which free cash $78.35 "
        "fees 0.60 % in, 1.20 % out, round trip 1.82 % (paper: default) "
        "stale: last answer 14 min before the last cycle "
        "kraken $12.00, of which free cash $78.35 "
        "fees 0.60 % in, 1.20 % out, round trip 1.82 % (paper: default) "
        "dormant: counted, no entries below $50.00 "
        "not the bot's, never counted, never touched: 120.5 DOGE, 7 ADA "
        "Orders, fills and balances last compared with the ledger 4 min ago."  # 13:57 to 14:01
    )
    assert "A venue does not answer: its figures are the last known ones" in text_of(MODELS["dormant and stale"])


def test_render_status_days_are_a_table() -> None:
    assert section_of(MODELS["active"], "TODAY") == (
        "day (UTC) result change equity fees 2026-03-02 -$0.31 -0.31 % $98.35 $0.12"
    )
    assert section_of(MODELS["many"], "LAST 7 DAYS").count("-$0.31") == 7


def test_render_status_refusals_are_counted_and_explained() -> None:
    assert section_of(MODELS["active"], "REFUSALS") == (
        "since the start: 380 signal too weak, 1 cash buffer "
        "2026-03-02 BTC/USD: Above the cash buffer there is $3.21; the smallest order is $5.00. ($18.20 not bought) "
        "What would change it: a sale, or a deposit."
    )


def test_render_status_not_running_says_so_and_since_when() -> None:
    model = a_status(holder=None, now=AT + timedelta(hours=3))
    text = text_of(model)
    assert " Not running, last cycle 3 h ago; `bash scripts/run` starts it\n Prices 3 h old" in text
    # 10 h ahead of the snapshot, 7 h ahead of now
    assert section_of(model, "WHY NOTHING HAPPENS").startswith("The bot is not running")
    assert "Next decision: 2026-03-03 00:01 UTC, in 7 h." in text
    assert "due 2 h ago." in text_of(a_status(holder=None, now=AT + timedelta(hours=12)))


def test_render_status_simulated_market_has_its_own_time() -> None:
    snapshot = a_snapshot(
        trading_mode="SIMULATED", at="2031-01-01T05:01:00+00:00", next_decision_at="2031-01-02T00:01:00+00:00"
    )
    text = text_of(a_status(snapshot, now=AT + timedelta(seconds=30)))
    assert "last cycle 30 s ago\n Prices 8 s old · its own time: 2031-01-01 05:01 UTC" in text
    assert "Next decision: 2031-01-02 00:01 UTC, in 19 h." in text


def test_render_status_ended_replay_waits_for_nothing() -> None:
    text = text_of(a_status(a_snapshot(trading_mode="REPLAY"), holder=None))
    assert " Ended, last cycle 0 s ago" in text
    assert "Next decision" not in text
    assert "not running" not in text


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("rows", [30, 40, 60])
def test_render_status_rows_leave_the_urgent_sections(name: str, rows: int) -> None:
    whole, fitted = render_status(MODELS[name], Look()), render_status(MODELS[name], Look(), rows=rows)
    if len(whole) <= rows:
        assert fitted == whole
        return
    assert len(fitted) <= rows
    assert fitted[0] == whole[0]
    assert any(line.startswith("POSITIONS") for line in fitted)
    assert fitted[-1] == " `python bot.py status` shows more"


def test_build_status_takes_equity_and_tier_of_the_snapshot() -> None:
    # the state file is written once a day: its $99.00 are old
    model = a_status(a_snapshot(tier="GROWTH", equity_usd=260.0))
    assert (model.tier_state.current_tier, model.tier_state.last_equity) == ("GROWTH", 260.0)
    assert model.tier_state.upgrade_history == TIER_STATE.upgrade_history
    assert MODELS["nothing yet"].tier_state.current_tier is None


def test_newest_of_each_leaves_out_repetitions() -> None:
    monday, tuesday = a_refusal(), a_refusal(at=AT + timedelta(days=1))
    other = a_refusal(RefusalCode.MAX_POSITIONS)
    assert newest_of_each([tuesday, monday, other]) == [tuesday, other]


def keys(value: object) -> object:
    """The keys of an object, with those of the objects in it."""
    if isinstance(value, dict):
        return {key: keys(item) for key, item in value.items()}
    return [keys(value[0])] if isinstance(value, list) and value else None


def test_status_document_keys_are_the_contract() -> None:
    model = a_status(
        a_snapshot(findings=[a_finding()]),
        refusals=[a_refusal()],
        refusal_counts={"signal_too_weak": 380, "cash_buffer": 1},
    )
    document = status_document(model)
    snapshot = document.pop("snapshot")
    assert snapshot == dict(model.snapshot)
    assert keys(document) == {
        "schema_version": None,
        "mode": None,
        "running": None,
        "pid": None,
        "folder": None,
        "last_cycle_age_s": None,
        "data_age_s": None,
        "tier": {
            "name": None,
            "benefits": dict.fromkeys(
                (
                    "name",
                    "min_equity",
                    "max_equity",
                    "max_positions",
                    "risk_per_trade",
                    "copy_trading",
                    "leverage_enabled",
                    "description",
                )
            ),
            "progress": {
                "current_equity": None,
                "next_tier": dict.fromkeys(
                    (
                        "name",
                        "min_equity",
                        "max_equity",
                        "max_positions",
                        "risk_per_trade",
                        "copy_trading",
                        "leverage_enabled",
                        "description",
                    )
                ),
                "equity_needed": None,
                "progress_pct": None,
            },
            "history": [dict.fromkeys(("timestamp", "from_tier", "to_tier", "equity", "direction"))],
        },
        "pnl_by_day": [dict.fromkeys(("day", "pnl_usd", "change_pct", "equity_usd", "fees_usd"))],
        "refusal_counts": dict.fromkeys(("signal_too_weak", "cash_buffer")),
        "refusals": [
            dict.fromkeys(
                ("at", "symbol", "account", "code", "limit", "actual", "unit", "notional_usd", "what", "cure")
            )
        ],
        "waiting": [dict.fromkeys(("symbol", "action", "what", "cure"))],
        "in_dollars": [dict.fromkeys(("account", "symbol", "why_not"))],
        "server_cost": dict.fromkeys(("usd_month", "pct_of_equity_year")),
        "findings": [
            dict.fromkeys(("code", "account", "about", "detail", "since", "blocks", "what", "answer", "cure"))
        ],
    }


@pytest.mark.parametrize("name", MODELS)
def test_json_text_is_strict_json(name: str) -> None:
    def refuse(constant: str) -> object:
        raise AssertionError(f"{constant} is not JSON")

    json.loads(json_text(status_document(MODELS[name])), parse_constant=refuse)


def test_json_text_not_finite_becomes_null() -> None:
    assert json.loads(json_text({"a": [math.nan, 1.0], "b": (math.inf,)})) == {"a": [None, 1.0], "b": [None]}
