"""The whole bot over answers that are broken for a while: no order is doubled, nothing is lost, the books are right.

Numbers are left as they are, for a price that could be true cannot be told from the true one; rows may be lacking,
lists empty, ids foreign. What that makes the bot believe, whole answers must take back.
"""

from __future__ import annotations

import random
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from fuzz_venues import Broken

sys.path.insert(0, str(Path(__file__).parents[1] / "soak"))

from soak_site import COINBASE_MARKETS, KRAKEN_MARKETS, Site, assert_books_equal_exchanges, live_session, new_site

from bot.bootstrap import CONTROL_FOLDER, Session
from bot.storage.control import ControlQueue

SEEDS, SEEDS_LONG = 6, 400
BROKEN_FOR = 45
"""Cycles with broken answers; every one of which may be broken."""
WHOLE_FOR = timedelta(minutes=40)
"""Long enough for a second look at everything, and for an entry to be given up."""
SYMBOLS = {
    wire: f"{coin}/{quote}"
    for markets in (COINBASE_MARKETS, KRAKEN_MARKETS)
    for coin, names in markets.items()
    for wire, quote in zip(names, ("USD", "USDC"), strict=True)
}
"""By the exchange's own names."""


def cycles(site: Site, session: Session, count: int) -> None:
    for _ in range(count):
        result = session.engine.cycle(site.now())
        session.after_cycle(result.at)
        site.wait_until(result.next_cycle_at)


def assert_no_order_came_twice(site: Site) -> None:
    for account in site.accounts.values():
        names = [order.asked.client_id for order in account.orders()]
        assert len(names) == len(set(names)), "an order is there twice"


def storm(folder: Path, seed: int) -> None:
    site = new_site(3, usd="260")
    chance = random.Random(f"engine {seed}")
    broken = Broken(chance, lies=False, odds=chance.choice((0.05, 0.15, 0.4)))
    for line in site.lines.values():
        line.tamper = broken
    try:
        with live_session(site, folder) as session:
            cycles(site, session, chance.choice((0, 1, 3)))
            broken.is_on = True
            for _ in range(BROKEN_FOR):
                cycles(site, session, 1)
                assert_no_order_came_twice(site)
            broken.is_on = False
            _come_to_rest(site, session)
            assert_books_equal_exchanges(site, session)
            _every_position_has_its_stop(site, session)
    except Exception as e:
        changes = "\n".join(broken.seen[-3:])
        raise AssertionError(
            f"seed {seed}, {site.now()}: {type(e).__name__}: {e}\nlast broken answers:\n{changes}"
        ) from e


def _come_to_rest(site: Site, session: Session) -> None:
    """Whole answers, the user's word for what they were not, and whole answers again."""
    ends = site.now() + WHOLE_FOR
    while site.now() < ends:
        cycles(site, session, 1)
    ControlQueue(session.folder / CONTROL_FOLDER).put("resume", now=site.now(), reset_drawdown=True)
    ends = site.now() + WHOLE_FOR
    while site.now() < ends:
        cycles(site, session, 1)


def _every_position_has_its_stop(site: Site, session: Session) -> None:
    """One resting stop of the full size; or, where none may rest, the bot looks on."""
    engine = session.engine
    for (name, symbol), position in engine.book.positions.items():
        if not engine.accounts[name].stops_rest:
            continue
        stops = [
            order.asked.quantity
            for order in site.accounts[name].live_orders()
            if order.asked.stop_price is not None and SYMBOLS[order.asked.symbol] == symbol
        ]
        assert stops == [position.quantity], f"{name} {symbol}: {position.quantity} held, stops {stops}"


@pytest.mark.parametrize("seed", range(SEEDS))
def test_engine_after_broken_answers_has_the_exchanges_books(seed: int, tmp_path: Path) -> None:
    storm(tmp_path, seed)


@pytest.mark.long
def test_engine_after_broken_answers_has_the_exchanges_books_on_many_seeds(tmp_path: Path) -> None:
    for seed in range(SEEDS, SEEDS_LONG):
        storm(tmp_path / str(seed), seed)
