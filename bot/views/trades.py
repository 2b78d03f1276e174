"""Round trips, closed and open, as they follow from the ledger's fills."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from bot.books.book import Dust
from bot.books.positions import Position, Trade
from bot.books.results import Results, results_of
from bot.domain.modes import TradingMode
from bot.domain.snapshot import PositionView
from bot.storage.ledger_reader import LedgerReader
from bot.storage.modes import ledger_path
from bot.views.folders import Place
from bot.views.recorded import recorded_book
from bot.views.status_text import mode_lines
from bot.views.text import (
    INDENT,
    Column,
    Line,
    Look,
    Style,
    duration,
    finish,
    heading,
    money,
    percent,
    price,
    table,
    wrapped,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TradesModel:
    """All open and the last closed round trips."""

    mode: TradingMode
    closed: Sequence[Trade]
    """Newest first."""
    open: Sequence[Position]
    marks: dict[tuple[str, str], PositionView]
    """Open positions as the last cycle saw them, by (account, symbol)."""
    results: Results
    """Of all closed trades, also of those that are not in ``closed``."""
    net_usd: Decimal
    dust: dict[tuple[str, str], Dust]
    """What was too small to sell and is written off, by (account, symbol)."""
    narrowed: bool = False
    """Only one coin is listed; the totals are of all."""


def read_trades(place: Place, *, limit: int, coin: str | None = None) -> TradesModel:
    """Rebuild the books of a mode folder; ``coin`` (``BTC``) narrows the lists, not the totals.

    Raises LedgerError where the ledger cannot be read.
    """
    with LedgerReader(ledger_path(place.folder)) as reader:
        book = recorded_book(reader)
        snapshot = reader.snapshot()
    marks = {} if snapshot is None else {(view["account"], view["symbol"]): view for view in snapshot["positions"]}
    closed = [trade for trade in reversed(book.trades) if is_coin(trade.symbol, coin)]
    return TradesModel(
        mode=place.mode,
        closed=closed[:limit],
        open=[position for position in book.positions.values() if is_coin(position.symbol, coin)],
        marks=marks,
        results=results_of(book),
        net_usd=sum((trade.net_pnl for trade in book.trades), Decimal(0)),
        dust={key: dust for key, dust in book.dust.items() if is_coin(key[1], coin)},
        narrowed=coin is not None,
    )


def is_coin(symbol: str, coin: str | None) -> bool:
    """Whether a symbol (``BTC/USD``) is of a coin, given as ``BTC`` or as the symbol; None is any."""
    return coin is None or coin.upper() in (symbol.upper(), symbol.partition("/")[0].upper())


def trades_document(model: TradesModel) -> dict[str, object]:
    """The object of ``trades --json``: amounts as decimal texts in USD, times ISO 8601 UTC."""
    return {
        "mode": model.mode.value,
        "totals": {
            "trades": model.results.trades,
            "wins": model.results.wins,
            "losses": model.results.losses,
            "net_usd": f"{model.net_usd:f}",
            "fees_usd": f"{model.results.fees_usd:f}",
        },
        "closed": [
            {
                "account": trade.account,
                "symbol": trade.symbol,
                "opened_at": trade.opened_at.isoformat(),
                "closed_at": trade.closed_at.isoformat(),
                "quantity": f"{trade.bought_quantity:f}",
                "average_entry": f"{trade.average_entry:f}",
                "average_exit": f"{trade.average_exit:f}" if trade.average_exit is not None else None,
                "net_usd": f"{trade.net_pnl:f}",
                "fees_usd": f"{trade.fees:f}",
                "closed_by": trade.last_purpose,
            }
            for trade in model.closed
        ],
        "open": [
            {
                "account": position.account,
                "symbol": position.symbol,
                "opened_at": position.opened_at.isoformat(),
                "quantity": f"{position.quantity:f}",
                "average_entry": f"{position.average_price:f}",
                "fees_usd": f"{position.fees:f}",
                "realized_net_usd": f"{position.realized_pnl:f}",
            }
            for position in model.open
        ],
        "dust": [
            {"account": account, "symbol": symbol, "quantity": f"{dust.quantity:f}", "cost_usd": f"{dust.cost:f}"}
            for (account, symbol), dust in model.dust.items()
        ],
    }


def render_trades(model: TradesModel, look: Look) -> list[str]:
    """Render all lines; none is wider than ``look.width`` cells."""
    return finish(
        [
            *mode_lines(model.mode, look),
            *_summary(model, look),
            *_open(model, look),
            *_closed(model, look),
            *_dust(model, look),
        ],
        look,
    )


def _summary(model: TradesModel, look: Look) -> Iterator[Line]:
    results = model.results
    text = "No trade has been closed yet."
    if results.trades:
        whose = "All coins: " if model.narrowed else ""
        text = (
            f"{whose}{results.trades:,} closed: {results.wins:,} won, {results.losses:,} lost, "
            f"net {money(float(model.net_usd), signed=True)}. All fees so far: {money(float(results.fees_usd))}."
        )
    yield from wrapped(text, look, indent=" ")


def _open(model: TradesModel, look: Look) -> Iterator[Line]:
    if not model.open:
        return
    yield from heading("OPEN", look)
    columns = [
        Column("since (UTC)"),
        Column("coin"),
        Column("venue", drop=3),
        Column("bought at", right=True),
        Column("now", right=True),
        Column("held part", right=True),
        Column("sold, fees", right=True, drop=1),
        Column("stop", right=True, drop=2),
    ]
    rows = []
    for position in model.open:
        mark = model.marks.get((position.account, position.symbol))
        rows.append(
            (
                f"{position.opened_at:%Y-%m-%d}",
                position.symbol,
                position.account,
                price(float(position.average_price)),
                price(mark["price"]) if mark is not None else "",
                money(mark["unrealized_usd"], signed=True) if mark is not None else "",
                money(float(position.realized_pnl), signed=True),
                price(mark["stop_price"]) if mark is not None and mark["stop_price"] is not None else "",
            )
        )
    yield from table(columns, rows, look)


def _closed(model: TradesModel, look: Look) -> Iterator[Line]:
    if not model.closed:
        return
    yield from heading("CLOSED, NEWEST FIRST", look)
    columns = [
        Column("closed"),
        Column("coin"),
        Column("venue", drop=6),
        Column("bought at", right=True, drop=2),
        Column("sold at", right=True, drop=1),
        Column("held", right=True, drop=5),
        Column("net", right=True),
        Column("net %", right=True),
        Column("by", drop=4),
    ]
    rows = [
        (
            f"{trade.closed_at:%Y-%m-%d}",
            trade.symbol,
            trade.account,
            price(float(trade.average_entry)),
            price(float(trade.average_exit)) if trade.average_exit is not None else "",
            duration((trade.closed_at - trade.opened_at).total_seconds()),
            money(float(trade.net_pnl), signed=True),
            percent(float(trade.net_pnl / trade.bought_cost * 100), signed=True),
            trade.last_purpose,
        )
        for trade in model.closed
    ]
    yield from table(columns, rows, look)
    if len(model.closed) < model.results.trades:
        yield Line(f"{INDENT}{len(model.closed):,} of {model.results.trades:,} shown", Style.DIM)


def _dust(model: TradesModel, look: Look) -> Iterator[Line]:
    for (account, symbol), dust in model.dust.items():
        text = (
            f"dust: {money(float(dust.cost))} of {symbol} too small to sell; "
            f"it stays on {account}, and what it cost counts as lost"
        )
        yield from wrapped(text, look, indent=INDENT, style=Style.DIM)
