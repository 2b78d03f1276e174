"""The decision step: once per closed daily bar, every coin is scored, sized and decided.

Produces entries to send, exits to carry out, and for everything that is not done a typed refusal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from bot.books.book import Book
from bot.decide import allocation, breakout, codes, confidence, exits
from bot.decide.intents import Coin, Intent
from bot.decide.sizer import Order
from bot.domain.market import MS_PER_DAY, coin_symbol
from bot.domain.modes import Strategy
from bot.domain.orders import Purpose
from bot.domain.refusal import Refusal, RefusalCode
from bot.engine.account import Account, PositionKey, key_of, key_text
from bot.engine.bars import DailyBars
from bot.engine.config import EngineConfig
from bot.engine.decision_record import Verdict, Wish, decision_record, entry_reason, intent_of, nan_to_zero
from bot.engine.desk import OrderDesk
from bot.engine.exposure import Entry, Exposure
from bot.engine.gates import Gates
from bot.engine.model_verdict import model_verdict
from bot.engine.own_results import Expectation
from bot.engine.refuser import Refuser
from bot.engine.sizing import STOP_ATR, Sized, Sizing, Standing
from bot.engine.state import EngineState, ExitPlan
from bot.ports import DecisionRecord, Ledger

HALF_SIZE = 0.5
"""Of the first entry after a pause for losses."""


class Decider:
    """Decides the coins whose daily bar has closed."""

    def __init__(
        self,
        *,
        config: EngineConfig,
        ledger: Ledger,
        accounts: Mapping[str, Account],
        book: Book,
        desk: OrderDesk,
        state: EngineState,
    ) -> None:
        self._config = config
        self._ledger = ledger
        self._accounts = accounts
        self._book = book
        self._desk = desk
        self._state = state
        self.bars = DailyBars(config=config, ledger=ledger, accounts=accounts, state=state)
        self.histories = self.bars.histories
        self.last: dict[str, DecisionRecord] = {}
        self.refuser = Refuser(ledger, self.histories)
        self.targets: dict[str, float] = {}
        self.rewards: dict[str, float] = {}
        """Net risk:reward of the last sized entry by symbol."""
        self.exposure = Exposure(accounts=accounts, book=book, desk=desk, state=state, histories=self.histories)
        self.sizing = Sizing(config=config, accounts=accounts, book=book, desk=desk, exposure=self.exposure)
        self.gates = Gates(config=config, accounts=accounts, book=book)
        self.expectation = Expectation(config=config, accounts=accounts, book=book, state=state)

    # -- what ------------------------------------------------------------------------------------

    def decide(self, symbols: list[str], standing: Standing, now: datetime) -> list[Entry]:
        """Decide these coins; exits go into the state, entries are returned, the rest is refused."""
        ranked = sorted(symbols, key=lambda s: -nan_to_zero(self.histories[s].score()))
        entries: list[Entry] = []
        for symbol in ranked:
            coin = self.coin_of(symbol)
            wish = self._wish(symbol, coin, standing, self._config.min_score)
            intent = intent_of(self._config.strategy, coin, wish)
            self.targets[symbol] = intent.target_usd
            self._drop_exits(symbol)
            verdict = Verdict(intent.action)
            if intent.action == codes.REFUSE:
                verdict = Verdict(codes.REFUSE, refusal=self._refused(symbol, intent, now))
            elif intent.action in (codes.ENTER, codes.ADD):
                verdict = self._entry(symbol, coin, intent, standing=standing, entries=entries, now=now)
            elif intent.action in (codes.REDUCE, codes.EXIT) and (
                standing.halted or not self._plan_exit(symbol, coin, intent)
            ):
                verdict = Verdict(codes.HOLD)
            if verdict.entry is not None:
                entries.append(verdict.entry)
            if verdict.refusal is not None:
                self.refuser.record(verdict.refusal)
            else:
                self.refuser.last.pop(symbol, None)
            record = decision_record(
                symbol, coin, wish, intent, verdict, config=self._config, history=self.histories[symbol], now=now
            )
            self._ledger.record_decision(record)
            self.last[symbol] = record
            self._state.last_decided_bar[symbol] = record.bar_ms
        return entries

    def _refused(self, symbol: str, intent: Intent, now: datetime) -> Refusal:
        return self.refuser.from_core(
            intent.code,
            symbol=symbol,
            now=now,
            limit=intent.limit,
            actual=intent.actual,
            notional_usd=intent.gap_usd,
        )

    def _wish(self, symbol: str, coin: Coin, standing: Standing, min_score: float) -> Wish:
        """What the strategy is asked with."""
        sized = self._config.strategy is not Strategy.BREAKOUT
        return Wish(
            equity=standing.equity,
            position_cap=self._config.position_cap_frac,
            entry_base=self.sizing.base_usd(coin, standing) if sized else math.nan,
            entry_cap=self.sizing.entry_cap(symbol, coin, standing) if sized else math.nan,
            coins=len(self._config.symbols),
            drawdown=standing.drawdown,
            max_drawdown=self._config.drawdown_frac,
            min_score=min_score,
            min_trade=self._config.min_trade_usd,
            since_breakout=math.nan if sized else self._since_breakout(symbol),
        )

    def _since_breakout(self, symbol: str) -> float:
        """Bars since a breakout that has not been traded: after an exit the next one has to be newer."""
        history = self.histories[symbol]
        since, last_close_ms = history.since_breakout(), history.last_close_ms
        if math.isnan(since) or last_close_ms is None:
            return math.nan
        closed_ms = last_close_ms - since * MS_PER_DAY
        exits_at = (trade.closed_at for trade in reversed(self._book.trades) if coin_symbol(trade.symbol) == symbol)
        last_exit = next(exits_at, None)
        return math.nan if last_exit is not None and last_exit.timestamp() * 1000 >= closed_ms else since

    def coin_of(self, symbol: str) -> Coin:
        """A coin as the decision sees it: signals, price, and what is held or resting of it in USD."""
        history = self.histories[symbol]
        price = self._price(symbol)
        close = history.closes[-1]
        price = close if math.isnan(price) else price
        held = sum(
            float(self._book.positions[key].quantity) * price
            for key in self._sellable()
            if coin_symbol(key[1]) == symbol
        )
        pending = sum(
            float(order.remaining * (order.price or Decimal(repr(price))))
            for order in self._desk.live(purpose=Purpose.ENTRY)
            if coin_symbol(order.symbol) == symbol
        )
        return Coin(
            history.score(),
            history.volatility(),
            exits.stop_distance(history.atr(), price, STOP_ATR[self._config.strategy]),
            price,
            close,
            held + pending,
            *history.regime_inputs(),
        )

    def _sellable(self) -> list[PositionKey]:
        """Positions that their venue would take; a smaller one is dust, which counts as flat."""
        return [
            key
            for key, position in self._book.positions.items()
            if key[0] not in self._accounts or not self._accounts[key[0]].is_dust(key[1], position.quantity)
        ]

    def taken(self, without: PositionKey | None = None) -> set[PositionKey]:
        """Places that positions and entries take; the plan ``without`` counts only for what it holds or where it rests.

        An entry that is to be sent again in this cycle rests nowhere, and keeps its place.
        """
        resting = {(order.account, order.symbol) for order in self._desk.live(purpose=Purpose.ENTRY)}
        planned = {key for name in self._state.entry_plans if (key := key_of(name)) != without}
        return set(self._sellable()) | resting | {key for key in planned if key[0] in self._accounts}

    def _price(self, symbol: str) -> float:
        """Last price on the primary account, else on any that has one, fresh ones first; NaN without one."""
        names = [self._config.primary_account, *self._accounts]
        for name in sorted(names, key=lambda name: not self._accounts[name].fresh):
            account = self._accounts[name]
            ticker = account.tickers.get(account.market_of(symbol))
            if ticker is not None:
                return float(ticker.last)
        return math.nan

    def _entry(
        self, symbol: str, coin: Coin, intent: Intent, *, standing: Standing, entries: list[Entry], now: datetime
    ) -> Verdict:
        refusal = self._blocked(symbol, intent.gap_usd, standing, now) or self._doubted(symbol, intent.gap_usd, now)
        if refusal is not None:
            return Verdict(action=codes.REFUSE, refusal=refusal)
        candidates, refusal = self._candidates(symbol, intent.gap_usd, standing, entries, now)
        refused: Sized | None = None
        for account in candidates:
            # At the price at which this account would buy: another one's price may be another.
            market = account.market_of(symbol)
            priced = coin._replace(price=float(account.tickers[market].bid))
            sized = self._sized(market, priced, intent, account, standing=standing, entries=entries)
            order = sized.order
            self.rewards[symbol] = sized.reward
            if order.lots > 0:
                self._state.entry_stop_frac[key_text(account.name, market)] = coin.stop_distance
                account.spend(market, order.notional)
                entry = Entry(
                    account=account,
                    symbol=market,
                    lots=order.lots,
                    notional_usd=order.notional,
                    stop_frac=coin.stop_distance,
                    reason=entry_reason(self._config.strategy, coin, intent),
                )
                return Verdict(action=intent.action, sized=sized, entry=entry)
            if account is candidates[0]:  # the cheapest account's own reason says most
                refused = sized
                refusal = self.refuser.from_core(
                    order.code,
                    symbol=symbol,
                    now=now,
                    account=account.name,
                    limit=order.limit,
                    actual=order.actual,
                    notional_usd=order.notional,
                )
        assert refusal is not None, f"{symbol}: no account, and no reason why"
        return Verdict(action=codes.REFUSE, sized=refused, refusal=refusal)

    def _sized(
        self, market: str, coin: Coin, intent: Intent, account: Account, *, standing: Standing, entries: list[Entry]
    ) -> Sized:
        """Size the wish; after a pause for losses the first entry is half of what it would be."""
        sized = self.sizing.size(market, coin, intent.gap_usd, account, standing=standing, entries=entries)
        if not self._state.half_size_next or intent.action != codes.ENTER or sized.order.lots == 0:
            return sized
        # At least the smallest order, or a small account could never enter again; 1 %: lots are rounded down.
        whole, rules = sized.order.notional, account.rules[market]
        smallest = max(self._config.min_trade_usd, rules.min_amount * coin.price, rules.min_cost)
        half = max(HALF_SIZE * whole, min(whole, 1.01 * smallest))
        return self.sizing.size(market, coin, half, account, standing=standing, entries=entries)

    def _blocked(self, symbol: str, gap: float, standing: Standing, now: datetime) -> Refusal | None:
        if standing.block is not None:
            code, limit, actual, unit = standing.block
            return self.refuser.build(
                code, symbol=symbol, now=now, limit=limit, actual=actual, unit=unit, notional_usd=gap
            )
        doubtful = self._desk.unresolved(symbol)
        if doubtful:
            return self.refuser.build(
                RefusalCode.ORDER_PENDING,
                symbol=symbol,
                now=now,
                account=doubtful[0].account,
                actual=float(len(doubtful)),
                notional_usd=gap,
            )
        return None

    def _doubted(self, symbol: str, gap: float, now: datetime) -> Refusal | None:
        """Refuse what the trade filter has too little confidence in: own results, or a model that is armed."""
        if not self._config.trade_filter:
            return None
        least, (found, _) = self._config.min_confidence, self.expectation.read(now)
        chance, doubted = found.chance, confidence.holds_back(found, least)
        if not doubted and self._config.model is not None and self._config.model.armed:
            chance, _ = model_verdict(self._config.model, self.histories[symbol].features())
            doubted = chance < least
        if not doubted:
            return None
        return self.refuser.from_core(
            codes.LOW_CONFIDENCE, symbol=symbol, now=now, limit=least, actual=chance, notional_usd=gap
        )

    def _candidates(
        self, symbol: str, gap: float, standing: Standing, entries: list[Entry], now: datetime
    ) -> tuple[list[Account], Refusal | None]:
        """Accounts that may take an entry, the best first, or why there is none."""
        taken = self.taken() | {(entry.account.name, entry.symbol) for entry in entries}
        fit: list[Account] = []
        first_refusal: Refusal | None = None
        for account in self._accounts.values():
            unfit = self.gates.why_unfit(account, account.market_of(symbol), taken, standing.max_positions, now)
            if unfit is None:
                fit.append(account)
            # An empty account says least of why nothing is bought on one that has money.
            elif first_refusal is None or (
                first_refusal.code is RefusalCode.VENUE_DORMANT and unfit[0] is not RefusalCode.VENUE_DORMANT
            ):
                code, limit, actual, unit = unfit
                first_refusal = self.refuser.build(
                    code,
                    symbol=symbol,
                    now=now,
                    account=account.name,
                    limit=limit,
                    actual=actual,
                    unit=unit,
                    notional_usd=gap,
                )
        if self._config.routes_by_cost:  # stable: the user's order decides between equals
            fit.sort(key=lambda account: account.round_trip_cost(account.market_of(symbol)))
        return fit, first_refusal

    def _drop_exits(self, symbol: str) -> None:
        """Forget what an older decision wanted to sell and could not: the newer one knows better."""
        for name in [name for name in self._state.exits if coin_symbol(key_of(name)[1]) == symbol]:
            del self._state.exits[name]

    def _plan_exit(self, symbol: str, coin: Coin, intent: Intent) -> bool:
        """Spread a reduction over the accounts that hold the coin, the dearest account first.

        False where no account would take an order for so little.
        """
        to_sell = -intent.gap_usd
        planned = False
        held = [key for key in self._book.positions if coin_symbol(key[1]) == symbol and key[0] in self._accounts]
        held = [key for key in held if key[1] in self._accounts[key[0]].rules]  # else its market is gone at present
        held.sort(key=lambda key: -self._accounts[key[0]].rules[key[1]].fee_out)
        for key in held:
            position = self._book.positions[key]
            account = self._accounts[key[0]]
            instrument = account.instruments[key[1]]
            held_lots = instrument.lots_in(position.quantity)
            lots = held_lots
            if intent.action == codes.REDUCE:
                worth = held_lots * float(instrument.lot_step) * coin.price
                to_sell_here = -min(to_sell, worth)
                lots = allocation.lots_to_sell(
                    to_sell_here, coin.price, coin.stop_distance, held_lots, account.rules[key[1]]
                )
                to_sell -= lots * float(instrument.lot_step) * coin.price
            if lots > 0:
                keep = position.quantity - instrument.quantity_of(lots) if lots < held_lots else Decimal(0)
                reason = f"score {coin.score:.2f}, target ${intent.target_usd:.2f}"
                self._state.exits[key_text(*key)] = ExitPlan(str(keep), reason)
                planned = True
        return planned

    # -- what is possible at all -----------------------------------------------------------------

    def largest_possible(self, standing: Standing) -> tuple[bool, str]:
        """Whether any coin at full score could be bought now, and if not, the nearest reason in USD."""
        if self._sellable():
            return True, ""
        nearest = ""
        best = -1.0
        for symbol in self.histories:
            if len(self.histories[symbol]) == 0:
                continue
            coin = self.coin_of(symbol)._replace(score=1.0, held_usd=0.0)
            intent = self._wish_at_full_score(symbol, coin, standing)
            for account in self._accounts.values():
                market = account.market_of(symbol)
                if market not in account.rules or intent.action != codes.ENTER:
                    continue
                worth = self.gates.account_equity(account)
                minimum = self._config.venue_minimum_usd.get(account.name, 0.0)
                if worth < minimum:
                    nearest = nearest or _dormant_words(account.name, worth, minimum)
                    continue
                order = self._sized(market, coin, intent, account, standing=standing, entries=[]).order
                if order.lots > 0:
                    return True, ""
                if order.notional > best:
                    best = order.notional
                    nearest = stall_words(order, symbol, account.name, standing)
        return False, nearest

    def _wish_at_full_score(self, symbol: str, coin: Coin, standing: Standing) -> Intent:
        if self._config.strategy is Strategy.BREAKOUT:
            return breakout.intend(coin, 0.0, 0.0)
        return intent_of(self._config.strategy, coin, self._wish(symbol, coin, standing, 0.0))

    # -- what the guards show --------------------------------------------------------------------

    def reward(self, now: datetime) -> tuple[float, str]:
        """Lowest net risk:reward among the coins that were sized last, and where it is from; NaN without one."""
        words = self.sizing.reward_words(now)
        if words:
            return self.sizing.record(now).reward, words
        known = {symbol: value for symbol, value in self.rewards.items() if not math.isnan(value)}
        if not known:
            return math.nan, "no entry has been sized yet"
        lowest = min(known, key=lambda symbol: known[symbol])
        return known[lowest], lowest


def _dormant_words(account: str, worth: float, minimum: float) -> str:
    return (
        f"{account} is dormant: it holds ${worth:.2f} of at least ${minimum:.2f}. "
        f"Ways out: a deposit there, or a lower MIN_BALANCE_{account.upper()}"
    )


def stall_words(order: Order, symbol: str, account: str, standing: Standing) -> str:
    """Say what the limits leave, and the ways out."""
    words = (
        f"the limits leave no order above the minimums: at most ${order.notional:.2f} of {symbol} on {account} "
        f"({codes.REFUSAL_NAMES[order.code]}), with equity ${standing.equity:.2f}. Ways out: "
    )
    if order.code == codes.COSTS_TOO_HIGH:
        return words + "a venue with lower fees, or larger daily ranges"
    # The values of these are no amounts: no deposit helps.
    if order.code == codes.EDGE_BRAKE:
        return words + "better results, or time in which the present ones fade"
    if order.code == codes.NO_EDGE:
        return words + "another POSITION_SIZER: the Kelly leg alone begins with results that prove an edge"
    if order.code == codes.RISK_REWARD:
        return words + "a venue with lower fees or larger daily ranges; without price targets, better results or time"
    ways = ["a deposit (`status` says from which equity each coin fits)"]
    if standing.drawdown > 0:
        drop = f"the drawdown of {standing.drawdown * 100:.1f} %"
        ways.append(f"`resume --reset-drawdown` ({drop} shrinks every size and what all stops together may cost)")
    if order.code in (codes.BELOW_VENUE_MINIMUM, codes.UNSELLABLE):
        ways.append("a venue with smaller minimums")
    return words + ", or ".join(ways)
