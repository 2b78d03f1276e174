"""The status as text: the guide's box, then the account from its limits down to its refusals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import chain
from types import MappingProxyType

from bot.domain.modes import EngineMode, Strategy, TradingMode
from bot.domain.orders import OrderState
from bot.domain.refusal import RefusalCode
from bot.domain.snapshot import CoinView, GuardView, PositionView, VenueView
from bot.scaling.ladder import SCALING_TIERS, tier_named
from bot.scaling.summary import TITLE, scaling_summary
from bot.views.costs_text import STRATEGY_WORDS, reach_lines, server_words
from bot.views.findings import finding_lines
from bot.views.refusals import change_words, decision_words, explain, explain_refusal
from bot.views.status import StatusModel
from bot.views.text import (
    BAR_CELLS,
    INDENT,
    Column,
    Line,
    Look,
    Style,
    amount,
    bar,
    duration,
    finish,
    heading,
    labelled,
    moment,
    money,
    percent,
    price,
    table,
    wrapped,
)

HISTORY_SHOWN = 5
ORDERS_SHOWN = 10
BOX_WIDTH = 76
WIDE = 11
"""Cells of the labels before figures."""

MODE_WORDS: Mapping[TradingMode, str] = MappingProxyType(
    {
        TradingMode.LIVE: "LIVE: real orders, real money",
        TradingMode.PAPER: "PAPER: play money at live prices, no real orders",
        TradingMode.SIMULATED: "SIMULATED: invented prices, play money, nothing is real",
        TradingMode.REPLAY: "REPLAY: recorded prices, play money, nothing is real",
    }
)

GUARD_WORDS: Mapping[str, tuple[str, bool]] = MappingProxyType(
    {
        "daily_loss": ("loss of the day", False),
        "drawdown": ("below the peak", False),
        "loss_streak": ("losses in a row", False),
        "cash_buffer": ("cash", True),
        "positions": ("positions", False),
        "heat": ("heat of all stops", False),
        "fee_budget": ("fees of 30 days", False),
        "venue_minimum": ("smallest venue", True),
        "activation": ("equity", True),
        "risk_reward": ("reward to risk", True),
        "confidence": ("confidence", True),
        "expectation": ("below expected", False),
        "spread": ("widest spread", False),
        "price_sanity": ("venues differ by", False),
        "stale_data": ("oldest price", False),
        "unknown_venue": ("silent venues", False),
        "errors": ("failed cycles", False),
        "stalled": ("without an order", False),
    }
)
"""Guard: (words, whether the limit is a least value rather than a most one)."""

NEAR_FRAC = 0.5
"""Where there is little room on the screen, limits are shown from this part of the way on."""

GATE_WORDS: Mapping[str, str] = MappingProxyType(
    {"risk_reward": "Reward after costs as a multiple of the risk", "confidence": "Confidence of the trade filter"}
)
"""Guards that an entry of the strategy has to pass."""


def render_status(model: StatusModel, look: Look, *, rows: int | None = None) -> list[str]:
    """Render all lines; none is wider than ``look.width`` cells.

    With ``rows`` (a screen that cannot be scrolled) limits with room are left out, then the less urgent sections,
    until the rest fits.
    """
    sections = (
        *(_top, _box, _findings, _account, _limits, _positions, _orders),
        *(_waiting, _dollars, _venues, _days, _refusals),
    )
    parts = {section: list(section(model, look)) for section in sections}
    more: list[Line] = []
    if rows is not None and sum(map(len, parts.values())) > rows:
        more = [Line(""), Line(" `python bot.py status` shows more", Style.DIM)]
        parts[_limits] = list(_limits(model, look, near_only=True))
        parts[_findings] = finding_lines(model.snapshot["findings"], look, heads_only=True)
        for section in (_refusals, _days, _dollars, _box, _venues, _orders, _limits, _account):
            if sum(map(len, parts.values())) + len(more) <= rows:
                break
            del parts[section]
    return finish([*chain.from_iterable(parts.values()), *more], look)


def mode_lines(mode: TradingMode, look: Look) -> list[Line]:
    """The loud beginning of every view: whether any of this is real."""
    return wrapped(MODE_WORDS[mode], look, indent=" ", style=Style.LOUD)


def _top(model: StatusModel, look: Look) -> Iterator[Line]:
    snapshot = model.snapshot
    yield from mode_lines(model.mode, look)
    engine_mode = EngineMode(snapshot["engine_mode"])
    styles = {EngineMode.ACTIVE: Style.GOOD, EngineMode.HALTED: Style.BAD}
    style = styles.get(engine_mode, Style.WARN)
    today = f"today {money(snapshot['today_pnl_usd'], signed=True)}"
    glance = f"{engine_mode} · {money(snapshot['equity_usd'])} · {snapshot['tier']} · {today}"
    yield from wrapped(glance, look, indent=" ", style=style)
    if snapshot["engine_mode_reason"]:
        yield from wrapped(snapshot["engine_mode_reason"], look, indent=" ", style=style)
    ago = f"last cycle {duration(model.last_cycle_age_s)} ago"
    if model.holder is not None:
        parts = ["Running" if model.holder.pid is None else f"Running (pid {model.holder.pid})"]
        parts += [f"cycle {snapshot['cycle']:,}", ago]
    elif model.mode is TradingMode.REPLAY:
        parts = [f"Ended, {ago}"]
    else:
        parts = [f"Not running, {ago}; `bash scripts/run` starts it"]
    style = Style.DIM if model.holder is not None or model.mode is TradingMode.REPLAY else Style.WARN
    yield from wrapped(" · ".join(parts), look, indent=" ", style=style)
    prices = f"Prices {duration(model.data_age_s)} old" if model.data_age_s is not None else "No prices yet"
    clock = f" · its own time: {moment(model.account_now)}" if model.has_own_time else ""
    yield from wrapped(f"{prices}{clock}", look, indent=" ", style=Style.DIM)
    if not snapshot["fresh"]:
        text = "A venue does not answer: its figures are the last known ones, and nothing is entered there."
        yield from wrapped(text, look, indent=" ", style=Style.WARN)


def _box(model: StatusModel, look: Look) -> Iterator[Line]:
    lines = scaling_summary(model.tier_state, SCALING_TIERS).splitlines()
    if look.width < BOX_WIDTH:
        inner = look.width - 2
        lines[:3] = ["╔" + "═" * inner + "╗", "║" + TITLE.center(inner) + "║", "╚" + "═" * inner + "╝"]
    yield Line("")
    yield from (Line(line, Style.HEADING) for line in lines[:3])
    for line in lines[3:]:
        indent = line[: len(line) - len(line.lstrip())]
        # One cell is kept free, because the signs before the titles are two cells wide.
        yield from wrapped(line.strip(), look, indent=indent, hanging="  ") if line else [Line("")]
    tier = tier_named(model.tier_state.current_tier, SCALING_TIERS)
    if tier is not None and (tier.copy_trading or tier.leverage_enabled):
        words = "The tier allows copy trading and leverage; this version has neither."
        yield from wrapped(words, look, style=Style.DIM)
    history = model.tier_state.upgrade_history
    if history:
        yield Line("")
        earlier = f" (the last {HISTORY_SHOWN} of {len(history)})" if len(history) > HISTORY_SHOWN else ""
        yield Line(f"📜 UPGRADE HISTORY{earlier}")
    for change in history[-HISTORY_SHOWN:]:
        text = f"• {moment(change.timestamp)}: {change.from_tier or 'UNRANKED'} → {change.to_tier}"
        yield from wrapped(f"{text} ({money(change.equity)})", look, hanging="  ")


def _findings(model: StatusModel, look: Look) -> list[Line]:
    return finding_lines(model.snapshot["findings"], look)


def _account(model: StatusModel, look: Look) -> Iterator[Line]:
    snapshot = model.snapshot
    equity, deposits = snapshot["equity_usd"], snapshot["deposits_usd"]
    yield from heading("ACCOUNT", look)
    # Of the rounded figures, so that what is shown adds up.
    in_coins = round(equity, 2) - round(snapshot["cash_usd"], 2)
    coins = f"coins {money(in_coins)} ({percent(snapshot['exposure_pct'])})"
    yield from labelled("equity", f"{money(equity)} = cash {money(snapshot['cash_usd'])} + {coins}", look, cells=WIDE)
    share = f" ({percent(snapshot['profit_usd'] / deposits * 100, signed=True)})" if deposits > 0 else ""
    result = f"result {money(snapshot['profit_usd'], signed=True)}{share} after {money(snapshot['fees_usd'])} of fees"
    yield from labelled("put in", f"{money(deposits)}, {result}", look, cells=WIDE)
    ceiling = percent(snapshot["risk_per_trade_pct"])
    effective = snapshot["effective_risk_pct"]
    risk = f"no position is open; a trade may risk {ceiling} of equity"
    if effective is not None:
        risk = f"at most {percent(effective)} of equity is lost at a stop; a trade may risk {ceiling}"
    yield from labelled("risk", risk, look, cells=WIDE)


def _limits(model: StatusModel, look: Look, *, near_only: bool = False) -> Iterator[Line]:
    yield from heading("LIMITS", look)
    far = 0
    for guard in model.snapshot["guards"]:
        words, is_least = GUARD_WORDS.get(guard["name"], (guard["name"].replace("_", " "), False))
        used_frac = _used_frac(guard, is_least=is_least)
        if near_only and not guard["active"] and used_frac < NEAR_FRAC:
            far += 1
            continue
        style = _guard_style(guard)
        shown_bar = " " * BAR_CELLS if _abstains(guard) or _has_no_tier_yet(guard) else bar(used_frac)
        text = f"{words:<18}{shown_bar}  {_guard_figures(guard, is_least=is_least)}"
        yield from wrapped(text, look, hanging=INDENT, style=style)
        if guard["active"]:
            yield from wrapped(f"active: {guard['action']}", look, indent=INDENT * 2, style=style)
    if far:
        yield from wrapped(f"{far} more with room", look, style=Style.DIM)


def _abstains(guard: GuardView) -> bool:
    return guard["used"] is None and not guard["active"]


def _has_no_tier_yet(guard: GuardView) -> bool:
    return guard["name"] == "positions" and guard["limit"] <= 0


def _guard_figures(guard: GuardView, *, is_least: bool) -> str:
    used, limit = amount(guard["used"], guard["unit"]), amount(guard["limit"], guard["unit"])
    if _has_no_tier_yet(guard):
        return f"{used}; how many are allowed follows with the first tier"
    if _abstains(guard):
        figures = f"abstains, at {'least' if is_least else 'most'} {limit}"
    else:
        figures = f"{used}, at least {limit}" if is_least else f"{used} of {limit}"
    about = guard.get("about")  # an older version has recorded none
    return f"{figures} ({about})" if about else figures


def _guard_style(guard: GuardView) -> Style:
    if not guard["active"]:
        return Style.PLAIN
    return Style.BAD if guard["name"] in ("daily_loss", "drawdown") else Style.WARN


def _used_frac(guard: GuardView, *, is_least: bool) -> float:
    """How much of the way to the limit is gone: a full bar means that it is reached."""
    way, whole = (guard["limit"], guard["used"]) if is_least else (guard["used"], guard["limit"])
    if way is not None and whole is not None and whole > 0:
        return max(0.0, way / whole)
    return 1.0 if guard["active"] else 0.0


def _positions(model: StatusModel, look: Look) -> Iterator[Line]:
    yield from heading("POSITIONS", look)
    positions = model.snapshot["positions"]
    if not positions:
        yield Line(f"{INDENT}none", Style.DIM)
    for position in positions:
        cost = position["value_usd"] - position["unrealized_usd"]
        gain = money(position["unrealized_usd"], signed=True)
        share = f" ({percent(position['unrealized_usd'] / cost * 100, signed=True)})" if cost > 0 else ""
        r_multiple = position["r_multiple"]
        in_r = f", {r_multiple:+.2f} R" if r_multiple is not None else ""
        worth = f"{position['symbol']} on {position['account']}: worth {money(position['value_usd'])}"
        if position["missing"]:
            gone = f"; {position['missing']} of its coins are not there and do not count"
            yield from wrapped(worth + gone, look, hanging=INDENT, style=Style.WARN)
        else:
            yield from wrapped(f"{worth}, {gain}{share}{in_r}", look, hanging=INDENT)
        opened = datetime.fromisoformat(position["opened_at"])
        yield from wrapped(
            f"{position['quantity']} bought at {price(position['average_price'])}, now {price(position['price'])}; "
            f"since {opened:%Y-%m-%d}",
            look,
            indent=INDENT * 2,
        )
        silent = any(v["account"] == position["account"] and not v["fresh"] for v in model.snapshot["venues"])
        text, style = _stop_words(position, running=model.holder is not None, silent=silent)
        yield from wrapped(text, look, indent=INDENT * 2, style=style)


def _stop_words(position: PositionView, *, running: bool, silent: bool) -> tuple[str, Style]:
    stop = position["stop_price"]
    if position["too_small"]:
        return f"dust: {money(position['value_usd'])} too small to sell; written off if it stays so", Style.DIM
    if stop is None:
        return "no stop yet: it follows in the next cycle", Style.BAD
    resting, watched = position["stop_resting"], position["stop_watched"]
    where = "resting on the venue" if resting else "watched by the bot only, not resting" if watched else "being placed"
    if not resting and not running:
        where = "NOT on the venue, and no bot runs: nothing protects it"
    if silent:
        where += " when it answered last"
    if stop >= position["price"]:
        return f"stop {price(stop)}, {where}: the price is below it", Style.BAD
    loss = (position["price"] - stop) * float(position["quantity"])
    text = (
        f"stop {price(stop)}, {where}, {percent((1 - stop / position['price']) * 100)} below: {money(loss)} from here"
    )
    return text, Style.PLAIN if resting and not silent else Style.WARN


def _orders(model: StatusModel, look: Look) -> Iterator[Line]:
    yield from heading("OPEN ORDERS", look)
    orders = model.snapshot["orders"]
    if not orders:
        yield Line(f"{INDENT}none", Style.DIM)
    for order in orders[:ORDERS_SHOWN]:
        at = f" at {price(float(order['price']))}" if order["price"] is not None else ""
        unknown = order["state"] == OrderState.UNKNOWN
        state = "outcome unknown, the venue is being asked" if unknown else order["state"].replace("_", " ")
        text = f"{order['side']} {order['quantity']} {order['symbol']}{at} on {order['account']}"
        style = Style.WARN if unknown else Style.PLAIN
        yield from wrapped(f"{order['purpose']}: {text}, {state}", look, hanging=INDENT, style=style)
    if len(orders) > ORDERS_SHOWN:
        yield Line(f"{INDENT}and {len(orders) - ORDERS_SHOWN} more", Style.DIM)


def _waiting(model: StatusModel, look: Look) -> Iterator[Line]:
    snapshot = model.snapshot
    busy = any(coin["action"] in ("enter", "add", "reduce", "exit") for coin in snapshot["coins"])
    yield from heading("WHAT EACH COIN WAITS FOR" if busy else "WHY NOTHING HAPPENS", look)
    if model.holder is None and model.mode is not TradingMode.REPLAY:
        yield from wrapped("The bot is not running: start it with `bash scripts/run`.", look, style=Style.WARN)
    if snapshot["engine_mode"] != EngineMode.ACTIVE:
        text = f"{snapshot['engine_mode']}: {snapshot['engine_mode_reason'] or 'no reason is recorded'}."
        yield from wrapped(text, look, style=Style.WARN)
    for coin in snapshot["coins"]:
        yield from _coin(coin, decision_words(coin, snapshot["orders"]), look)
    for name, why in snapshot["not_traded"].items():
        yield from wrapped(f"{name:<9} not traded, though TRADE_ONLY names it: {why}", look, hanging=INDENT)
    yield from _next_decision(model, look)


def _members(coin: CoinView) -> str:
    """What the score is made of."""
    parts = (
        f"{name} {value:.2f} x {coin['weights'][name]:.0%}" if value is not None else f"{name} unknown"
        for name, value in coin["members"].items()
    )
    return f"Score: {', '.join(parts)}."


def _regime(coin: CoinView, look: Look, *, indent: str) -> Iterator[Line]:
    """The coin's market state with its own record; nothing where it is switched off or not known yet."""
    rank = coin["regime_rank"]
    if coin["regime"] in ("", "unknown") or rank is None:
        return
    text = f"Market {coin['regime']}, more volatile than on {rank * 100:.0f} % of the last year's days"
    if coin["regime_periods"]:
        text += f"; such words were right in {coin['regime_right']} of {coin['regime_periods']} periods of 20 days, "
        text += f'"it rises" in {coin["regime_rose"]}'
    yield from wrapped(f"{text}.", look, indent=indent, style=Style.DIM)


def _coin(coin: CoinView, decided: str, look: Look) -> Iterator[Line]:
    to_open = coin["score_to_open"]
    score = coin["score"]
    known = f"score {bar(score)} {score:.2f} of {to_open:.2f}" if score is not None else "no score yet"
    at = f"  at {price(coin['price'])}" if coin["price"] is not None else ""
    yield from wrapped(f"{coin['symbol']:<9} {known}{at}", look, hanging=INDENT)
    inner = INDENT * 2
    if score is not None and len(coin["members"]) > 1:
        yield from wrapped(_members(coin), look, indent=inner, style=Style.DIM)
    yield from _regime(coin, look, indent=inner)
    what, cure = explain(coin)
    # That the score is too low stands above already.
    if coin["refusal"] and coin["refusal"] != RefusalCode.SIGNAL_TOO_WEAK:
        yield from wrapped(what, look, indent=inner)
    elif not coin["refusal"] and decided:
        target = f" Held {money(coin['held_usd'])}, target {money(coin['target_usd'])}." if coin["target_usd"] else ""
        yield from wrapped(f"{decided}{target}", look, indent=inner)
    trigger, lowering = coin["trigger_price"], coin["lowering_price"]
    if trigger is not None:
        text = f"Score high enough: a daily close above {_level(trigger, coin)}."
        yield from wrapped(text, look, indent=inner)
    if lowering is not None and coin["held_usd"]:
        text = f"Lower score and target: a daily close below {_level(lowering, coin)}."
        yield from wrapped(text, look, indent=inner)
    if coin["refusal"] and (coin["refusal"] != RefusalCode.SIGNAL_TOO_WEAK or trigger is None):
        yield from wrapped(change_words(cure), look, indent=inner, style=Style.DIM)


def _level(level: float, coin: CoinView) -> str:
    now = coin["price"]
    return price(level) + (f", {percent((level / now - 1) * 100, signed=True)} from here" if now else "")


def _next_decision(model: StatusModel, look: Look) -> Iterator[Line]:
    due = datetime.fromisoformat(model.snapshot["next_decision_at"])
    wait_s = (due - model.account_now).total_seconds()
    if model.mode is TradingMode.REPLAY and model.holder is None:
        return
    when = f"in {duration(wait_s)}" if wait_s > 0 else f"due {duration(-wait_s)} ago"
    yield from wrapped(f"Next decision: {moment(due)}, {when}.", look)


def _dollars(model: StatusModel, look: Look) -> Iterator[Line]:
    """What can be bought with this equity and what it costs and risks."""
    snapshot = model.snapshot
    equity = snapshot["equity_usd"]
    yield from heading("IN DOLLARS", look)
    strategy = Strategy(snapshot["strategy"])
    yield from wrapped(f"Strategy {strategy}: {STRATEGY_WORDS[strategy]}.", look)
    for guard in snapshot["guards"]:
        if guard["name"] in GATE_WORDS:
            least = amount(guard["limit"], guard["unit"])
            now = f"abstains, {guard['about']}" if guard["used"] is None else amount(guard["used"], guard["unit"])
            yield from wrapped(f"{GATE_WORDS[guard['name']]}: at least {least}; {now}.", look, hanging=INDENT)
    if snapshot["reach"]:
        drop = f", {percent(snapshot['drawdown_pct'])} below the peak" if snapshot["drawdown_pct"] > 0 else ""
        text = f"At a full score, with all {money(equity)}{drop}, in cash on the one venue and nothing else held:"
        yield from wrapped(text, look)
        yield from reach_lines(snapshot["reach"], look, ceiling_pct=snapshot["risk_per_trade_pct"])
    share = f" ({percent(snapshot['heat_usd'] / equity * 100)} of equity)" if equity > 0 else ""
    text = f"All stops together would cost {money(snapshot['heat_usd'])} now{share}; "
    yield from wrapped(f"{text}the limit is {money(snapshot['heat_limit_usd'])}.", look)
    if snapshot["heat_usd"] > snapshot["heat_limit_usd"]:
        text = (
            "That is above the limit, because prices have risen away from their stops or the account has fallen: "
            "nothing more is bought, and if all were hit in one day the loss would exceed the daily limit."
        )
        yield from wrapped(text, look, style=Style.WARN)
    share_pct = model.server_cost_pct_year
    if model.server_cost_usd_month > 0 and share_pct is not None:
        yield from wrapped(f"Server: {server_words(model.server_cost_usd_month, share_pct)}.", look)


def _venues(model: StatusModel, look: Look) -> Iterator[Line]:
    yield from heading("VENUES", look)
    for venue in model.snapshot["venues"]:
        money_text = f"{money(venue['equity_usd'])}, of which free cash {money(venue['free_cash_usd'])}"
        yield from labelled(venue["account"], money_text, look, cells=WIDE)
        for text, style in _venue_notes(venue):
            yield from wrapped(text, look, indent=INDENT + " " * WIDE, style=style)
    at = model.snapshot["reconciled_at"]
    if at is None:
        text = "Orders, fills and balances have not been compared with the ledger yet."
    else:
        age = duration((model.account_now - datetime.fromisoformat(at)).total_seconds())
        text = f"Orders, fills and balances last compared with the ledger {age} ago."
    yield from wrapped(text, look, style=Style.DIM)


def _venue_notes(venue: VenueView) -> Iterator[tuple[str, Style]]:
    if venue["fee_origin"]:
        # Entries rest as maker orders; stops and exits take.
        round_trip = ((1 + venue["maker_pct"] / 100) / (1 - venue["taker_pct"] / 100) - 1) * 100
        yield (
            f"fees {percent(venue['maker_pct'], digits=2)} in, {percent(venue['taker_pct'], digits=2)} out, "
            f"round trip {percent(round_trip, digits=2)} ({venue['fee_origin']})",
            Style.DIM,
        )
    if not venue["fresh"]:
        age_s = venue["balance_age_s"]
        since = "it has not answered yet" if age_s is None else f"last answer {duration(age_s)} before the last cycle"
        yield f"stale: {since}", Style.WARN
        if venue["problem"]:
            yield venue["problem"], Style.WARN
    if venue["dormant"]:
        yield f"dormant: counted, no entries below {money(venue['minimum_balance_usd'])}", Style.WARN
    if venue["cash_by_asset"].keys() - {"USD"}:
        held = ", ".join(f"{amount:,.2f} {asset}" for asset, amount in venue["cash_by_asset"].items())
        yield f"cash: {held}", Style.DIM
    if not venue["stops_rest"]:
        yield "no stop can rest here: the bot watches the prices, and only while it runs", Style.WARN
    if venue["foreign_assets"]:
        coins = ", ".join(f"{quantity} {asset}" for asset, quantity in venue["foreign_assets"].items())
        yield f"not the bot's, never counted, never touched: {coins}", Style.DIM
    if venue["dust_usd"]:
        yield f"dust: {money(venue['dust_usd'])} too small to sell, written off as a loss; it stays there", Style.DIM


def _days(model: StatusModel, look: Look) -> Iterator[Line]:
    yield from heading(f"LAST {len(model.days)} DAYS" if len(model.days) > 1 else "TODAY", look)
    columns = [
        Column("day (UTC)"),
        Column("result", right=True),
        Column("change", right=True),
        Column("equity", right=True, drop=2),
        Column("fees", right=True, drop=1),
    ]
    rows = [
        (
            day.day.isoformat(),
            money(day.pnl_usd, signed=True),
            percent(day.change_pct, signed=True, digits=2),
            money(day.equity),
            money(float(day.fees_usd)),
        )
        for day in model.days
    ]
    yield from table(columns, rows, look) if rows else [Line(f"{INDENT}nothing yet", Style.DIM)]


def _refusals(model: StatusModel, look: Look) -> Iterator[Line]:
    yield from heading("REFUSALS", look)
    if not model.refusal_counts:
        yield Line(f"{INDENT}none", Style.DIM)
        return
    counts = ", ".join(f"{count:,} {code.replace('_', ' ')}" for code, count in model.refusal_counts.items())
    yield from wrapped(f"since the start: {counts}", look, style=Style.DIM)
    for refusal in model.refusals:
        what, cure = explain_refusal(refusal)
        size = f" ({money(refusal.notional_usd)} not bought)" if refusal.notional_usd >= 0.01 else ""
        yield from wrapped(f"{refusal.at:%Y-%m-%d} {refusal.symbol}: {what}{size}", look, hanging="  ")
        yield from wrapped(change_words(cure), look, indent=INDENT + "  ", style=Style.DIM)
