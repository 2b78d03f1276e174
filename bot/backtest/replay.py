"""The whole run: a cycle at every bar, and a short way through the bars at which nothing can happen."""

import math
from collections.abc import MutableSequence, Sequence

from bot.backtest.cycle import run_cycle
from bot.backtest.guard import (
    calm_between,
    calm_until,
    check_tier,
    exposure_of,
    fall,
    latch,
    measure,
    note_cycle,
    note_equity,
    note_record,
)
from bot.backtest.layout import (
    ALLOCATION,
    BID,
    BOUGHT,
    BREAKOUT,
    CASH,
    CENT_UNITS,
    COST,
    CYCLES,
    ENTRY_LOTS,
    ENTRY_STOP,
    EQUITY,
    EXPOSURE_SUM,
    FIRST_STOP,
    INDEX,
    LAST,
    LAST_MS,
    LOTS,
    MONEY_UNITS,
    MS_PER_DAY,
    OPENED_MS,
    ORDER_LOTS,
    PEAK,
    PLANNED_STOP,
    SALE,
    STOP_CENTS,
    STOP_LOTS,
    TARGETS,
    TIER_HIGH,
    TIER_LOW,
    WATCH_HIGH,
    WATCH_LOW,
    WORST_DRAWDOWN,
    Book,
    IntTable,
    Market,
    Signals,
    Terms,
)
from bot.backtest.orders import PRICE_PER_CENT, lots_needed
from bot.backtest.sizing import rules_of
from bot.decide.exits import (
    AT_TARGET,
    MAX_DAYS,
    TRAIL,
    TRAIL_TIGHT,
    exit_parts,
    target_count,
    target_multiple,
    target_price,
)

NO_LIMIT = 1 << 60


def replay(market: Market, signals: Signals, terms: Terms, book: Book) -> None:
    """Run from the first step to the end; ``book`` is as ``bot.backtest.run`` makes it."""
    delay_ms = int(terms.decision_delay_s * 1000.0)
    step = 0
    asked_day = -1
    while step < market.steps:
        now_ms = market.start_ms + step * market.bar_ms + market.offset_ms
        day = (now_ms - delay_ms) // MS_PER_DAY
        if day == asked_day:
            until_ms = watch(market, terms, book)
            if now_ms < until_ms:
                until_ms = min(until_ms, (day + 1) * MS_PER_DAY + delay_ms)
                done = pass_by(market, terms, book, step, until_ms)
                if done > step:
                    step = done
                    continue
            run_cycle(market, signals, terms, book, step, now_ms, 0)
        else:
            run_cycle(market, signals, terms, book, step, now_ms, 1)
            asked_day = day
        step += 1
    run_cycle(market, signals, terms, book, market.steps, market.end_ms, 0)


def watch(market: Market, terms: Terms, book: Book) -> int:
    """Note between which bids nothing happens to each position; returns until when, 0 where something is under way.

    An order that rests, a plan, a stop that is not in its place: then each bar needs its whole cycle.
    """
    until_ms = NO_LIMIT
    if terms.halt_flattens == 1:  # a halt sells in its own cycle
        return 0
    for c in range(market.coins):
        own = book.coin[c]
        if own[ORDER_LOTS] > 0 or own[ENTRY_LOTS] > 0 or own[SALE] == 1 or own[LAST] == 0:
            return 0
        if own[LOTS] == 0:
            if own[STOP_LOTS] > 0 or own[PLANNED_STOP] > 0:
                return 0
            continue
        placed = own[STOP_LOTS] == own[LOTS] and own[STOP_CENTS] == own[PLANNED_STOP]
        if not placed or not math.isnan(book.level[c][ENTRY_STOP]):
            return 0
        own[WATCH_LOW] = max(own[PLANNED_STOP], -(-terms.min_cost_money // own[LOTS]))
        own[WATCH_HIGH] = NO_LIMIT
        if own[LOTS] < lots_needed(terms, c, own[BID]):
            return 0
        if terms.strategy == BREAKOUT:
            until_ms = min(until_ms, own[OPENED_MS] + int(MAX_DAYS * MS_PER_DAY))
            own[WATCH_HIGH] = next_target(terms, book, c)
    return until_ms


def next_target(terms: Terms, book: Book, c: int) -> int:
    """Bid in cents below which no further target of a breakout trade is reached."""
    own = book.coin[c]
    entry = own[COST] / own[LOTS] / CENT_UNITS
    first_stop = own[FIRST_STOP] / CENT_UNITS
    parts = max(1, exit_parts(own[BOUGHT], entry, 1.0 - first_stop / entry, rules_of(terms, c, terms.maker)))
    reached = own[TARGETS]
    if reached >= target_count(terms.exit_rule, parts):
        return NO_LIMIT
    price = AT_TARGET * target_price(entry, first_stop, target_multiple(terms.exit_rule, parts, reached))
    return int(price * CENT_UNITS)


def pass_by(market: Market, terms: Terms, book: Book, first: int, until_ms: int) -> int:
    """Run the cycles from step ``first`` on in which nothing happens; returns the first step that needs a whole one.

    What a call is handed costs more here than what it does: these get rows and single numbers.
    """
    total, rate, coin = book.total, book.rate, book.coin
    mark_ms, mark, day_equity, reached = book.mark_ms, book.mark, book.day_equity, book.guard
    opens, lows, bids = market.opens, market.lows, market.bids
    coins, width, cash = market.coins, market.steps + 1, book.total[CASH]
    reads_record = terms.strategy == ALLOCATION or terms.exit_rule in (TRAIL, TRAIL_TIGHT)
    paid_in, min_equity, daily_loss = terms.equity_usd, terms.min_equity, terms.daily_loss
    most_drawdown, max_losses = terms.max_drawdown, terms.max_losses
    bar_ms = market.bar_ms
    now_ms = market.start_ms + first * bar_ms + market.offset_ms
    last = min(market.steps, first + (until_ms - now_ms + bar_ms - 1) // bar_ms)
    step = first
    while step < last:
        money = quiet_money(coin, opens, lows, bids, coins, width, step, cash)
        if money < 0:
            break
        equity = money / MONEY_UNITS
        rate[EQUITY] = equity
        measure(total, rate, mark_ms, mark, equity / paid_in, now_ms)
        if reads_record:
            note_record(total, now_ms)
        latch(min_equity, daily_loss, most_drawdown, max_losses, total, rate, reached, now_ms)
        if equity < rate[TIER_LOW] or equity >= rate[TIER_HIGH]:
            check_tier(terms, total, rate, book.tier_change, equity, money, now_ms)
        note_cycle(total, rate, day_equity, money, now_ms)
        step += 1
        now_ms += bar_ms
        calm_ms = calm_until(total, mark_ms, now_ms - bar_ms)
        if now_ms >= calm_ms:
            continue
        low, high = calm_between(min_equity, daily_loss, most_drawdown, paid_in, total, rate, mark)
        calm = min(last, step + (calm_ms - now_ms + bar_ms - 1) // bar_ms)
        begun = step
        step = pass_calm(coin, opens, lows, bids, coins, width, cash, paid_in, low, high, rate, step, calm)
        if step > begun:
            now_ms += (step - begun) * bar_ms
            note_equity(total, rate, day_equity, now_ms - bar_ms)
    if step > first:
        for c in range(coins):
            own = coin[c]
            at = c * width + step - 1
            own[LAST] = opens[at]
            own[LAST_MS] = market.start_ms + (step - 1) * market.bar_ms
            own[BID] = bids[at]
    return step


def pass_calm(
    coin: IntTable,
    opens: Sequence[int],
    lows: Sequence[int],
    bids: Sequence[int],
    coins: int,
    width: int,
    cash: int,
    paid_in: float,
    low: float,
    high: float,
    rate: MutableSequence[float],
    first: int,
    last: int,
) -> int:
    """Run the cycles from step ``first`` on whose index stays between two; returns the first step beyond."""
    equity, lowest, exposure = 0.0, high, rate[EXPOSURE_SUM]
    step = first
    while step < last:
        money = quiet_money(coin, opens, lows, bids, coins, width, step, cash)
        index = money / MONEY_UNITS / paid_in
        if money < 0 or not low <= index <= high:
            break
        equity = money / MONEY_UNITS
        lowest = min(lowest, index)
        exposure += exposure_of(cash, money)
        step += 1
    if step > first:
        rate[EQUITY], rate[EXPOSURE_SUM] = equity, exposure
        rate[CYCLES] += float(step - first)
        rate[INDEX] = equity / paid_in
        rate[WORST_DRAWDOWN] = max(rate[WORST_DRAWDOWN], fall(rate[PEAK], lowest))
    return step


def quiet_money(
    coin: IntTable,
    opens: Sequence[int],
    lows: Sequence[int],
    bids: Sequence[int],
    coins: int,
    width: int,
    step: int,
    cash: int,
) -> int:
    """Return what the account is worth at a step, -1 where something may happen there."""
    money = cash
    for c in range(coins):
        at = c * width + step
        if opens[at] == 0:  # the price is no open then
            return -1
        own = coin[c]
        if own[LOTS] > 0:
            bid, touched = bids[at], own[STOP_CENTS] * PRICE_PER_CENT
            if bid <= own[WATCH_LOW] or bid >= own[WATCH_HIGH] or opens[at] <= touched or lows[at - 1] <= touched:
                return -1
            money += own[LOTS] * bid
    return money
