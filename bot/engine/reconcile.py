"""Reconciliation: what every venue holds against the ledger, and the answer to each difference.

Orders and fills are compared by the desk; here are the coins, the orders of others, and the findings. A venue that
does not answer is not compared: its last findings stand, and nothing is taken for gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from bot.books.book import Book
from bot.domain.account import CoinsOut
from bot.domain.finding import Finding, FindingCode
from bot.domain.orders import OrderReport, OrderState, Side
from bot.engine.account import CONFIRMED_AFTER, Account, key_of, key_text
from bot.engine.desk import OrderDesk
from bot.engine.lost_orders import is_of_a_bot
from bot.engine.state import EngineState, FindingState, parse_time
from bot.engine.wealth import Wealth

BOOKED_OUT_AFTER = timedelta(minutes=10)
"""What the user has accepted leaves the books no sooner after it was missed first: a balance may be wrong for a while,
and coins that have left the books are not protected any more when it is right again."""
LATE_AFTER = timedelta(seconds=60)
"""So long may a venue take to list the fills of an order that it calls filled, before it is told."""


@dataclass(frozen=True, slots=True)
class Moved:
    """Coins of a position that have gone by hand, or come back."""

    event: CoinsOut
    is_booked: bool
    """True: they leave the books, where they did not count any more; False: they stop to count, or begin again."""


class Reconciler:
    """Compares each account with the books and keeps the findings that block entries."""

    def __init__(
        self,
        *,
        accounts: Mapping[str, Account],
        book: Book,
        desk: OrderDesk,
        wealth: Wealth,
        state: EngineState,
        every_s: float,
    ) -> None:
        self._wealth = wealth
        self._accounts = accounts
        self._book = book
        self._desk = desk
        self._state = state
        self._every = timedelta(seconds=every_s)
        for name, finding in list(state.findings.items()):
            if finding.account not in accounts:  # the settings have left it out: nobody can look there any more
                del state.findings[name]
        for name in list(state.short_since):  # a first look has no second one there; it begins anew with the account
            if key_of(name)[0] not in accounts:
                del state.short_since[name]

    def is_due(self, account: Account, now: datetime) -> bool:
        """Whether everything of an account is to be compared: also while coins are missed, or after a step back."""
        if any(name.startswith(key_text(account.name, "")) for name in self._state.short_since):
            return True
        at = account.reconciled_at
        return at is None or not timedelta(0) <= now - at < self._every

    @property
    def reconciled_at(self) -> datetime | None:
        """Since when everything of every account has been compared; None: not yet."""
        times = [account.reconciled_at for account in self._accounts.values()]
        return min(at for at in times if at is not None) if all(times) else None

    # -- coins -----------------------------------------------------------------------------------

    def compare_coins(self, account: Account, now: datetime, *, quiet: bool) -> Iterator[Moved]:
        """Compare what the venue reports with what the bot bought; gives what has gone or come back.

        To be called when balances and fills have just been read; not ``quiet``: a fill has come in since the
        balances, which are older than the books.
        """
        foreign = {}
        for asset in sorted(self._assets_of(account) | account.balances.keys() - account.quote_assets()):
            name = key_text(account.name, asset)
            if quiet and not self._desk.in_doubt(account.name, asset):
                total = account.total(asset)
                owned = total - self._desk.held(account.name, asset, with_dust=True)
                for noted, amount in (
                    (self._state.foreign, max(Decimal(0), owned)),
                    (self._state.beyond, total - self._desk.held(account.name, asset)),
                ):
                    noted.pop(name, None)
                    if amount:
                        noted[name] = str(amount)
                yield from self._look_for(account, asset, now)
            if name in self._state.foreign:
                foreign[asset] = Decimal(self._state.foreign[name])
        account.foreign = foreign

    def _assets_of(self, account: Account) -> set[str]:
        markets = {instrument.base for instrument in account.instruments.values()}
        return markets | {symbol.partition("/")[0] for name, symbol in self._book.positions if name == account.name}

    def _in_positions(self, account: Account, asset: str) -> dict[str, Decimal]:
        return {
            symbol: position.quantity
            for (name, symbol), position in sorted(self._book.positions.items())
            if name == account.name and symbol.partition("/")[0] == asset
        }

    def _there(self, account: Account, asset: str) -> Decimal:
        """What of a coin can be the bot's: the total less what sales of others hold, and at least what its own hold."""
        own = others = Decimal(0)
        live = {order.client_order_id for order in self._desk.live(account.name)}
        for report in account.resting:
            if report.side is Side.SELL and report.symbol.partition("/")[0] == asset and report.quantity is not None:
                left = report.quantity - report.filled_quantity
                if report.client_order_id in live:
                    own += left
                elif not self._desk.knows(report.client_order_id):
                    others += left
        return max(account.total(asset) - others, own)

    def _look_for(self, account: Account, asset: str, now: datetime) -> Iterator[Moved]:
        """Look whether the coins of the open positions are there."""
        state, name = self._state, key_text(account.name, asset)
        positions = self._in_positions(account, asset)
        held = sum(positions.values(), Decimal(0))
        short = held - self._there(account, asset)
        if short <= 0:
            yield from self._count_anew(account, asset, Decimal(0), now)
            self._forget(account, asset)
            return
        since = parse_time(state.short_since.setdefault(name, now.isoformat()))
        assert since is not None
        for symbol in positions:
            if symbol in account.tickers:
                state.short_prices.setdefault(key_text(account.name, symbol), str(account.tickers[symbol].bid))
        if now < since:  # the clock was put back
            state.short_since[name] = now.isoformat()
        elif now - since >= CONFIRMED_AFTER:
            yield from self._count_anew(account, asset, short, now)
            finding = Finding(
                code=FindingCode.COINS_MISSING,
                account=account.name,
                about=asset,
                detail=f"{plain(short)} of {plain(held)} {asset} are not there, or held by an order that the bot did "
                f"not send; the bot did not sell them, and they do not count any more",
                since=since,
            )
            state.findings[finding.name] = FindingState.of(finding)
            if state.accepted.get(finding.name) == str(short) and now - since >= BOOKED_OUT_AFTER:
                yield from self._out(account, asset, now)
                self._forget(account, asset)

    def _count_anew(self, account: Account, asset: str, short: Decimal, now: datetime) -> Iterator[Moved]:
        """Spread what is missing over the positions of a coin, the last one first; gives what has changed."""
        for symbol, quantity in reversed(self._in_positions(account, asset).items()):
            name = key_text(account.name, symbol)
            gone = min(quantity, short)
            short -= gone
            change = gone - Decimal(self._state.missing.get(name, "0"))
            self._state.missing.pop(name, None)
            if gone:
                self._state.missing[name] = str(gone)
            if change:
                price = self._wealth.price(account.name, symbol)
                event = CoinsOut(account=account.name, symbol=symbol, quantity=change, price=price, at=now)
                yield Moved(event, is_booked=False)

    def _out(self, account: Account, asset: str, now: datetime) -> Iterator[Moved]:
        for symbol in self._in_positions(account, asset):
            name = key_text(account.name, symbol)
            if name in self._state.missing:
                seen = self._state.short_prices.get(name)
                price = self._book.positions[account.name, symbol].average_price if seen is None else Decimal(seen)
                gone = Decimal(self._state.missing[name])
                event = CoinsOut(account=account.name, symbol=symbol, quantity=gone, price=price, at=now)
                yield Moved(event, is_booked=True)

    def _forget(self, account: Account, asset: str) -> None:
        self._state.short_since.pop(key_text(account.name, asset), None)
        for known in (self._state.short_prices, self._state.missing):
            for name in [name for name in known if name.startswith(f"{key_text(account.name, asset)}/")]:
                del known[name]
        name = f"{FindingCode.COINS_MISSING}|{account.name}|{asset}"
        self._state.findings.pop(name, None)
        self._state.accepted.pop(name, None)

    # -- a ledger that is younger than the account -----------------------------------------------

    def compare_history(self, account: Account, now: datetime, *, ran_before: bool) -> None:
        """Look, when an account is opened, whether a bot has run on it that this ledger knows nothing of.

        To be called once, before the opening balance is booked; ``ran_before``: the tier's file says so.
        """
        orders = [report for report in account.resting if self._is_lost(report)]
        coins = [
            f"{plain(quantity)} {asset}"
            for asset, quantity in account.foreign.items()
            if ran_before and self._is_worth_an_order(account, asset, quantity)
        ]
        if not orders and not coins:
            return
        found = [f"{len(orders)} resting orders of a bot"] if orders else []
        finding = Finding(
            code=FindingCode.LEDGER_NEW,
            account=account.name,
            about="ledger",
            detail=f"this ledger knows nothing yet of the account, but there are {', '.join(found + coins)}: an older "
            f"ledger may have been deleted, or another bot uses the account",
            since=now,
        )
        self._state.findings[finding.name] = FindingState.of(finding)

    def _is_lost(self, report: OrderReport) -> bool:
        return is_of_a_bot(report.client_order_id) and not self._desk.knows(report.client_order_id)

    def _is_worth_an_order(self, account: Account, asset: str, quantity: Decimal) -> bool:
        return any(
            quantity >= instrument.minimum_quantity_at(account.tickers[symbol].bid)
            for symbol, instrument in account.instruments.items()
            if instrument.base == asset and symbol in account.tickers
        )

    # -- findings --------------------------------------------------------------------------------

    def accept(self, *, book_out: bool) -> None:
        """Take the findings that block for seen by the user; what is missing is to be booked out with ``book_out``."""
        for name, finding in list(self._state.findings.items()):
            if finding.code == FindingCode.COINS_MISSING and not book_out:
                continue
            if finding.code == FindingCode.COINS_MISSING:
                prefix = f"{key_text(finding.account, finding.about)}/"
                gone = (Decimal(amount) for key, amount in self._state.missing.items() if key.startswith(prefix))
                self._state.accepted[name] = str(sum(gone, Decimal(0)))
            else:
                del self._state.findings[name]

    @property
    def is_short(self) -> bool:
        """Whether coins were missed in a first look: what the total is shows at the second."""
        confirmed = {
            key_text(finding.account, finding.about)
            for finding in self._state.findings.values()
            if finding.code == FindingCode.COINS_MISSING
        }
        return bool(self._state.short_since.keys() - confirmed)

    def findings(self, now: datetime) -> list[Finding]:
        """Everything that does not agree at present, what blocks entries first."""
        stored = [_finding(found) for found in self._state.findings.values()]
        return [*stored, *self._of_stops(now), *self._of_orders(now), *self._of_others(now)]

    def _of_stops(self, now: datetime) -> Iterator[Finding]:
        for name, refused in self._state.stop_refused.items():
            account, symbol = key_of(name)
            since = parse_time(refused.at)
            yield Finding(
                code=FindingCode.STOP_REFUSED,
                account=account,
                about=symbol,
                detail=f"the venue rejects its stop ({refused.reason}); the bot watches the price and asks again",
                since=since or now,
            )

    def _of_orders(self, now: datetime) -> Iterator[Finding]:
        for order in self._desk.live():
            since, code, words = order.updated_at, FindingCode.OUTCOME_UNKNOWN, "nobody knows yet what became of it"
            late = parse_time(self._state.fills_late.get(order.client_order_id, ""))
            if late is not None and now - late >= LATE_AFTER:
                since, code, words = (
                    late,
                    FindingCode.FILLS_LATE,
                    "filled by what the venue says; it lists no fills yet",
                )
            elif order.state is not OrderState.UNKNOWN:
                continue
            yield Finding(
                code=code,
                account=order.account,
                about=order.symbol,
                detail=f"{order.purpose} {order.side} {plain(order.remaining)} ({order.client_order_id}): {words}",
                since=since,
            )

    def _of_others(self, now: datetime) -> Iterator[Finding]:
        for account in self._accounts.values():
            at = account.reconciled_at or now
            traded = {instrument.base for instrument in account.instruments.values()}
            for asset, quantity in account.foreign.items():
                if asset in traded:
                    yield Finding(
                        code=FindingCode.FOREIGN_COINS,
                        account=account.name,
                        about=asset,
                        detail=f"{plain(quantity)} {asset} that the bot did not buy",
                        since=at,
                    )
            for report in account.resting:
                if not self._desk.knows(report.client_order_id):
                    yield Finding(
                        code=FindingCode.FOREIGN_ORDER,
                        account=account.name,
                        about=report.venue_order_id,
                        detail=_words_of(report),
                        since=at,
                    )


def _finding(found: FindingState) -> Finding:
    since = parse_time(found.since)
    assert since is not None, "a finding without a time"
    return Finding(
        code=FindingCode(found.code), account=found.account, about=found.about, detail=found.detail, since=since
    )


def _words_of(report: OrderReport) -> str:
    side = report.side or "order"
    quantity = f" {plain(report.quantity)}" if report.quantity is not None else ""
    price = next((f" at {plain(p)}" for p in (report.stop_price, report.price) if p is not None), "")
    return f"{side}{quantity} {report.symbol}{price}, not sent by this ledger"


def plain(quantity: Decimal) -> str:
    """A quantity without trailing zeros."""
    return f"{quantity.normalize():f}"
