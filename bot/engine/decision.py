"""The decision step: once per closed daily bar, every coin is scored, sized and decided.

Produces entries to send, exits to carry out, and for everything that is not done a typed refusal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from bot.books.book import Book
from bot.decide import allocation, codes
from bot.decide.allocation import Budget, Coin, Intent, Size
from bot.decide.risk import drawdown_scale
from bot.domain.errors import VenueError
from bot.domain.market import MS_PER_DAY, Ticker
from bot.domain.orders import Purpose
from bot.domain.refusal import Refusal, RefusalCode
from bot.engine.account import Account, PositionKey, key_of, key_text
from bot.engine.config import EngineConfig
from bot.engine.desk import OrderDesk
from bot.engine.history import History
from bot.engine.refuser import Refuser
from bot.engine.state import EngineState, ExitPlan
from bot.ports import DecisionRecord, Ledger

DAILY = "1d"
FETCH_AGAIN_AFTER = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry that passed every limit, ready to be sent."""

    account: Account
    symbol: str
    lots: int
    reason: str


@dataclass(slots=True)
class Verdict:
    """What became of one coin's decision; ``action`` is a code of the core."""

    action: int
    size: Size | None = None
    entry: Entry | None = None
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The account as a whole at the decision; USD and fractions."""

    equity: float
    drawdown: float
    risk_frac: float
    max_positions: int
    block: tuple[RefusalCode, float, float, str] | None
    """What forbids entries on all accounts."""
    halted: bool
    """Nothing is sold either: positions keep their stops."""


class Decider:
    """Keeps the daily histories and decides when a bar has closed."""

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
        self.histories = {symbol: History() for symbol in config.symbols}
        self.last: dict[str, DecisionRecord] = {}
        self.refuser = Refuser(ledger, self.histories)
        self.targets: dict[str, float] = {}
        self._fetch_after = datetime.min.replace(tzinfo=UTC)
        for symbol, history in self.histories.items():
            history.extend(ledger.bars(config.bar_source, symbol, DAILY))

    # -- when ------------------------------------------------------------------------------------

    def next_decision_at(self, now: datetime) -> datetime:
        """When the next daily bar will have been closed long enough."""
        midnight = datetime.combine(now.date(), datetime.min.time(), tzinfo=UTC)
        due = midnight + timedelta(seconds=self._config.decision_delay_s)
        return due if now < due else due + timedelta(days=1)

    def due_symbols(self, now: datetime) -> list[str]:
        """Coins with a closed bar that is not decided; fetches new bars when they should be there."""
        newest_ms = _last_closed_bar(now, self._config.decision_delay_s)
        if now >= self._fetch_after and any((h.last_open_ms or 0) < newest_ms for h in self.histories.values()):
            self._fetch(now, newest_ms)
        due = []
        for symbol, history in self.histories.items():
            last = history.last_open_ms
            if last is not None and last > self._state.last_decided_bar.get(symbol, -1) and last >= newest_ms:
                due.append(symbol)
        return due

    def _fetch(self, now: datetime, newest_ms: int) -> None:
        primary = self._accounts[self._config.primary_account]
        for symbol, history in self.histories.items():
            since = 0 if history.last_open_ms is None else history.last_open_ms + 1
            try:
                bars = [c for c in primary.venue.candles(symbol, DAILY, since) if c.open_ms <= newest_ms]
            except VenueError:
                continue  # one coin's silence must not take the others with it
            self._ledger.record_bars(self._config.bar_source, symbol, DAILY, history.extend(bars))
        if any((h.last_open_ms or 0) < newest_ms for h in self.histories.values()):
            self._fetch_after = now + FETCH_AGAIN_AFTER

    # -- what ------------------------------------------------------------------------------------

    def decide(self, symbols: list[str], standing: Standing, now: datetime) -> list[Entry]:
        """Decide these coins; exits go into the state, entries are returned, the rest is refused."""
        ranked = sorted(symbols, key=lambda s: -_nan_to_zero(self.histories[s].score()))
        entries: list[Entry] = []
        for symbol in ranked:
            coin = self._coin(symbol)
            intent = self._intent(coin, standing, self._config.min_score)
            self.targets[symbol] = intent.target_usd
            self._drop_exits(symbol)
            verdict = Verdict(action=intent.action)
            if intent.action == codes.REFUSE:
                verdict.refusal = self.refuser.from_core(
                    intent.code,
                    symbol=symbol,
                    now=now,
                    limit=intent.limit,
                    actual=intent.actual,
                    notional_usd=intent.gap_usd,
                )
            elif intent.action in (codes.ENTER, codes.ADD):
                verdict = self._entry(symbol, coin, intent, standing=standing, entries=entries, now=now)
            elif intent.action in (codes.REDUCE, codes.EXIT) and (
                standing.halted or not self._plan_exit(symbol, coin, intent)
            ):
                verdict.action = codes.HOLD
            if verdict.entry is not None:
                entries.append(verdict.entry)
            if verdict.refusal is not None:
                self.refuser.record(verdict.refusal)
            else:
                self.refuser.last.pop(symbol, None)
            self._store(symbol, coin, intent, verdict, now)
        return entries

    def _intent(self, coin: Coin, standing: Standing, min_score: float) -> Intent:
        scale = drawdown_scale(standing.drawdown, self._config.drawdown_frac)
        cap, coins = self._config.position_cap_frac, len(self._config.symbols)
        return allocation.intend(coin, standing.equity, cap, coins, scale, min_score, self._config.min_trade_usd)

    def _coin(self, symbol: str) -> Coin:
        history = self.histories[symbol]
        price = self._price(symbol)
        close = history.closes[-1]
        price = close if math.isnan(price) else price
        held = sum(float(self._book.positions[key].quantity) * price for key in self._sellable() if key[1] == symbol)
        pending = sum(
            float(order.remaining * (order.price or Decimal(repr(price))))
            for order in self._desk.live(symbol=symbol, purpose=Purpose.ENTRY)
        )
        return Coin(
            history.score(),
            history.volatility(),
            allocation.stop_distance(history.atr(), price),
            price,
            close,
            held + pending,
        )

    def _sellable(self) -> list[PositionKey]:
        """Positions that their venue would take; a smaller one is dust, which counts as flat."""
        return [
            key
            for key, position in self._book.positions.items()
            if key[0] not in self._accounts or not self._accounts[key[0]].is_dust(key[1], position.quantity)
        ]

    def _price(self, symbol: str) -> float:
        """Last price on the primary account, else on any that has one, fresh ones first; NaN without one."""
        names = [self._config.primary_account, *self._accounts]
        for name in sorted(names, key=lambda name: not self._accounts[name].fresh):
            ticker = self._accounts[name].tickers.get(symbol)
            if ticker is not None:
                return float(ticker.last)
        return math.nan

    def _entry(
        self, symbol: str, coin: Coin, intent: Intent, *, standing: Standing, entries: list[Entry], now: datetime
    ) -> Verdict:
        gap = intent.gap_usd
        if self._state.half_size_next and intent.action == codes.ENTER:
            # At least the smallest trade, or a small account could never enter again; 1 %: lots are rounded down.
            gap = max(0.5 * gap, min(gap, 1.01 * self._config.min_trade_usd))
        refusal = self._blocked(symbol, gap, standing, now)
        if refusal is not None:
            return Verdict(action=codes.REFUSE, refusal=refusal)
        candidates, refusal = self._candidates(symbol, gap, standing, entries, now)
        for account in candidates:
            rules = account.rules[symbol]
            # At the price at which this account would buy: another one's price may be another.
            priced = coin._replace(price=float(account.tickers[symbol].bid))
            size = allocation.size_entry(gap, priced, rules, self._budget(account, standing))
            if size.lots > 0:
                self._state.entry_stop_frac[key_text(account.name, symbol)] = coin.stop_distance
                account.spent_usd += size.notional * (1.0 + rules.fee_in)
                reason = f"score {coin.score:.2f}, target ${intent.target_usd:.2f}"
                entry = Entry(account=account, symbol=symbol, lots=size.lots, reason=reason)
                return Verdict(action=intent.action, size=size, entry=entry)
            if account is candidates[0]:  # the cheapest account's own reason says most
                refusal = self.refuser.from_core(
                    size.code,
                    symbol=symbol,
                    now=now,
                    account=account.name,
                    limit=size.limit,
                    actual=size.actual,
                    notional_usd=size.notional,
                )
        assert refusal is not None, f"{symbol}: no account, and no reason why"
        return Verdict(action=codes.REFUSE, refusal=refusal)

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

    def _candidates(
        self, symbol: str, gap: float, standing: Standing, entries: list[Entry], now: datetime
    ) -> tuple[list[Account], Refusal | None]:
        """Accounts that may take an entry, cheapest round trip first, or why there is none."""
        taken = set(self._sellable()) | {(o.account, o.symbol) for o in self._desk.live(purpose=Purpose.ENTRY)}
        taken |= {(entry.account.name, entry.symbol) for entry in entries}
        fit: list[Account] = []
        first_refusal: Refusal | None = None
        for account in self._accounts.values():
            unfit = self._why_unfit(account, symbol, taken, standing.max_positions, now)
            if unfit is None:
                fit.append(account)
            elif first_refusal is None:
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
        fit.sort(key=lambda account: account.rules[symbol].fee_in + account.rules[symbol].fee_out)
        return fit, first_refusal

    def _why_unfit(
        self, account: Account, symbol: str, taken: set[PositionKey], max_positions: int, now: datetime
    ) -> tuple[RefusalCode, float, float, str] | None:
        """Why this account takes no entry in the symbol: (code, limit, actual, unit), or None."""
        if not account.fresh:
            return RefusalCode.VENUE_UNKNOWN, 0.0, 0.0, "count"
        ticker = account.tickers.get(symbol)
        if symbol not in account.instruments or ticker is None:
            return RefusalCode.NO_MARKET, 0.0, 0.0, "count"
        if (account.name, symbol) not in taken and len(taken) >= max_positions:
            return RefusalCode.MAX_POSITIONS, float(max_positions), float(len(taken)), "count"
        minimum = self._config.venue_minimum_usd.get(account.name, 0.0)
        worth = self.account_equity(account)
        if worth < minimum:
            return RefusalCode.VENUE_DORMANT, minimum, worth, "usd"
        age_s = (now - ticker.at).total_seconds()
        if age_s > self._config.stale_after_s:
            return RefusalCode.STALE_DATA, self._config.stale_after_s / 3600, age_s / 3600, "hours"
        return None

    def account_equity(self, account: Account) -> float:
        """Cash and own positions of one account in USD, from the books and its last prices."""
        cash = sum(
            (amount for (name, _), amount in self._book.cash.items() if name == account.name),
            Decimal(0),
        )
        coins = 0.0
        for (name, symbol), position in self._book.positions.items():
            ticker: Ticker | None = account.tickers.get(symbol)
            if name == account.name:
                coins += float(position.quantity * ticker.bid) if ticker else float(position.cost)
        return float(cash) + coins

    def _budget(self, account: Account, standing: Standing) -> Budget:
        free = {a.name: max(0.0, a.free_cash_usd() - self._desk.doubtful_usd(a.name)) for a in self._accounts.values()}
        return Budget(
            standing.equity,
            sum(free.values()),
            free[account.name],
            self._config.position_cap_frac,
            standing.risk_frac,
            self._config.cash_buffer_frac,
            self._config.min_trade_usd,
        )

    def _drop_exits(self, symbol: str) -> None:
        """Forget what an older decision wanted to sell and could not: the newer one knows better."""
        for name in [name for name in self._state.exits if key_of(name)[1] == symbol]:
            del self._state.exits[name]

    def _plan_exit(self, symbol: str, coin: Coin, intent: Intent) -> bool:
        """Spread a reduction over the accounts that hold the coin, the dearest account first.

        False where no account would take an order for so little.
        """
        to_sell = -intent.gap_usd
        planned = False
        held = [key for key in self._book.positions if key[1] == symbol and key[0] in self._accounts]
        held.sort(key=lambda key: -self._accounts[key[0]].rules[symbol].fee_out)
        for key in held:
            position = self._book.positions[key]
            account = self._accounts[key[0]]
            instrument = account.instruments[symbol]
            held_lots = instrument.lots_in(position.quantity)
            lots = held_lots
            if intent.action == codes.REDUCE:
                worth = held_lots * float(instrument.lot_step) * coin.price
                to_sell_here = -min(to_sell, worth)
                lots = allocation.lots_to_sell(
                    to_sell_here, coin.price, coin.stop_distance, held_lots, account.rules[symbol]
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
            coin = self._coin(symbol)._replace(score=1.0, held_usd=0.0)
            intent = self._intent(coin, standing, 0.0)
            for account in self._accounts.values():
                if symbol not in account.rules or intent.action != codes.ENTER:
                    continue
                worth, minimum = self.account_equity(account), self._config.venue_minimum_usd.get(account.name, 0.0)
                if worth < minimum:
                    nearest = nearest or f"{account.name} is dormant: it holds ${worth:.2f} of at least ${minimum:.2f}"
                    continue
                size = allocation.size_entry(
                    intent.gap_usd, coin, account.rules[symbol], self._budget(account, standing)
                )
                if size.lots > 0:
                    return True, ""
                if size.notional > best:
                    best = size.notional
                    nearest = _stall_words(size, symbol, account.name, standing)
        return False, nearest

    # -- records ---------------------------------------------------------------------------------

    def _store(self, symbol: str, coin: Coin, intent: Intent, verdict: Verdict, now: datetime) -> None:
        size = verdict.size
        history = self.histories[symbol]
        details: dict[str, float | str | None] = {
            "bar_source": self._config.bar_source,
            "price": coin.price,
            "bar_close": coin.bar_close,
            "volatility": _none_if_nan(coin.volatility),
            "stop_distance": _none_if_nan(coin.stop_distance),
            "held_usd": coin.held_usd,
            "target_usd": _none_if_nan(intent.target_usd),
            "gap_usd": intent.gap_usd,
            "code": verdict.refusal.code.value if verdict.refusal is not None else codes.REFUSAL_NAMES[intent.code],
            "binding": codes.REFUSAL_NAMES[size.binding] if size is not None else "",
            "notional_usd": size.notional if size is not None else None,
        }
        last = history.last_open_ms
        assert last is not None, f"{symbol} was decided without a bar"
        record = DecisionRecord(
            symbol=symbol,
            account=verdict.entry.account.name if verdict.entry is not None else "",
            bar_ms=last,
            first_bar_ms=history.open_ms[0],
            bars=len(history),
            action=codes.ACTION_NAMES[verdict.action],
            score=_nan_to_zero(coin.score),
            details=details,
            at=now,
        )
        self._ledger.record_decision(record)
        self.last[symbol] = record
        self._state.last_decided_bar[symbol] = last


def _stall_words(size: Size, symbol: str, account: str, standing: Standing) -> str:
    """Say what the limits leave, and the ways out."""
    words = (
        f"the limits leave no order above the minimums: at most ${size.notional:.2f} of {symbol} on {account} "
        f"({codes.REFUSAL_NAMES[size.code]}), with equity ${standing.equity:.2f}. Ways out: "
    )
    if size.code == codes.COSTS_TOO_HIGH:
        return words + "a venue with lower fees, or larger daily ranges"
    ways = []
    if size.actual > 0:
        ways.append(f"a deposit (from about ${standing.equity * size.limit / size.actual:.2f} of equity it would fit)")
    if standing.drawdown > 0:
        ways.append(f"a smaller drawdown than {standing.drawdown * 100:.1f} %, which shrinks every size")
    return words + ", or ".join([*ways, "a venue with smaller minimums"])


def _last_closed_bar(now: datetime, delay_s: float) -> int:
    """Opening time (ms) of the newest daily bar that closed at least ``delay_s`` ago."""
    closed_ms = int((now.timestamp() - delay_s) * 1000)
    return closed_ms // MS_PER_DAY * MS_PER_DAY - MS_PER_DAY


def _nan_to_zero(value: float) -> float:
    return 0.0 if math.isnan(value) else value


def _none_if_nan(value: float) -> float | None:
    return None if math.isnan(value) else value
