"""What an equity could buy and what that costs: puts settings, tiers, market rules and the decision core together.

A composition root of its own for `bot.py costs` and the guide's table: no bot runs, and no ledger or
venue is asked. Prices, daily ranges and volatilities are examples.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from bot.decide import exits, kelly, reach, sizer
from bot.decide.costs import Rules
from bot.decide.reach import Rung
from bot.decide.sizer import Candidate, Limits
from bot.domain.instrument import Instrument
from bot.domain.modes import Strategy
from bot.engine.exposure import gap_of
from bot.engine.reach import Case, plan_of, rungs_of, view_of
from bot.engine.sizing import STOP_ATR
from bot.scaling.ladder import SCALING_TIERS, tier_for
from bot.settings_schema import Settings, configured_accounts
from bot.venues.rules import PAPER_ACCOUNTS, paper_instruments
from bot.views.costs_text import MONTHS, CostsCase, CostsReport
from bot.views.size_text import Given
from bot.views.text import money, percent
from bot.whatsize import EXAMPLE_PRICES, EXAMPLE_VOLATILITIES, limits_of

VENUES = PAPER_ACCOUNTS

GUIDE_EQUITIES = (15.0, 50.0, 250.0, 1000.0)
"""USD; the rows of the guide's table."""

EXAMPLE_RANGES: Mapping[str, float] = MappingProxyType({"BTC": 0.033, "ETH": 0.058, "SOL": 0.065})
"""Average true range of a day as a fraction of the price: medians of a year (quant 3c)."""

EXAMPLE = "an example"


def costs_of(
    settings: Settings,
    *,
    equities: Sequence[float],
    venues: Sequence[str] = (),
    strategies: Sequence[Strategy] = (),
) -> CostsReport:
    """Answer for every equity (USD) on every venue under every strategy, under the settings in force.

    Without venues or strategies those of the settings. Nothing is read or written besides. Raises
    ConfigError for a coin or venue without market rules.
    """
    venues = venues or configured_accounts(settings)
    strategies = strategies or (settings.strategy,)
    return CostsReport(
        cases=tuple(
            _case(settings, equity, venue, strategy)
            for equity in equities
            for venue in venues
            for strategy in strategies
        ),
        server_usd_month=float(settings.server_cost_usd_month),
        given=tuple(_given(settings, venues)),
    )


def _case(settings: Settings, equity: float, venue: str, strategy: Strategy) -> CostsCase:
    instruments = paper_instruments(venue, settings.trade_only)
    rungs = rungs_of(
        SCALING_TIERS,
        risk_ceiling_pct=settings.risk_per_trade,
        positions_ceiling=settings.max_positions,
        possible=len(settings.trade_only) * len(configured_accounts(settings)),
    )
    rung = reach.rung_of(equity, rungs)
    tier = tier_for(equity, SCALING_TIERS)
    limits = reach.limits_on(rung, limits_of(settings, tier or SCALING_TIERS[0], None))
    minimum = float(getattr(settings, f"min_balance_{venue}"))
    return CostsCase(
        equity_usd=equity,
        venue=venue,
        strategy=strategy.value,
        tier=tier.name if tier is not None else f"{SCALING_TIERS[0].name} (not reached)",
        risk_ceiling_pct=100 * rung.risk_per_trade,
        max_positions=rung.max_positions,
        min_balance_usd=minimum,
        heat_limit_usd=sizer.heat_limit(limits.daily_loss, 0.0, limits.max_drawdown, 0.0) * equity,
        server_pct_year=100 * float(settings.server_cost_usd_month) * MONTHS / equity,
        reach=tuple(
            view_of(
                _question(
                    settings, instrument, equity=equity, venue=venue, strategy=strategy, rungs=rungs, limits=limits
                )
            )
            for instrument in instruments.values()
        ),
    )


def _question(
    settings: Settings,
    instrument: Instrument,
    *,
    equity: float,
    venue: str,
    strategy: Strategy,
    rungs: Sequence[Rung],
    limits: Limits,
) -> Case:
    coin = instrument.base
    price, volatility = EXAMPLE_PRICES[coin], EXAMPLE_VOLATILITIES[coin]
    stop = exits.stop_distance(EXAMPLE_RANGES[coin] * price, price, STOP_ATR[strategy])
    edge = kelly.edge_of_results((), (), settings.max_drawdown / 100)
    fee_in, fee_out = _fees_pct(settings, venue)
    return Case(
        account=venue,
        symbol=instrument.symbol,
        equity=equity,
        worth=equity,
        venue_minimum=float(getattr(settings, f"min_balance_{venue}")),
        activation=float(settings.min_balance_to_trade),
        candidate=Candidate(volatility, stop, price, gap_of(instrument.symbol), 0.0, 0.0, 1.0),
        rules=Rules(
            float(instrument.lot_step),
            float(instrument.min_amount),
            float(instrument.min_cost),
            fee_in / 100,
            fee_out / 100,
        ),
        limits=limits,
        rungs=rungs,
        edge=edge,
        plan=plan_of(
            strategy,
            settings.exit_rule,
            volatility=volatility,
            coins=len(settings.trade_only),
            min_reward=settings.min_risk_reward,
            trades=0,
            reward=math.nan,
        ),
    )


def _fees_pct(settings: Settings, venue: str) -> tuple[float, float]:
    """Fee in and fee out: entries rest as maker, stops and exits take."""
    maker, taker = (getattr(settings, f"{venue}_{side}_fee_pct") for side in ("maker", "taker"))
    return float(maker), float(taker)


def _given(settings: Settings, venues: Sequence[str]) -> Iterator[Given]:
    def origin(name: str) -> str:
        return settings.origins.get(name, "default")

    def of_coins(texts: Mapping[str, str]) -> str:
        return ", ".join(f"{coin} {texts[coin]}" for coin in settings.trade_only)

    yield Given("price", of_coins({c: money(usd, digits=0) for c, usd in EXAMPLE_PRICES.items()}), EXAMPLE)
    yield Given("range of a day", of_coins({c: percent(100 * f) for c, f in EXAMPLE_RANGES.items()}), EXAMPLE)
    volatilities = of_coins({c: percent(100 * f, digits=0) for c, f in EXAMPLE_VOLATILITIES.items()})
    yield Given("volatility", f"{volatilities} a year", EXAMPLE)
    for venue in venues:
        fee_in, fee_out = _fees_pct(settings, venue)
        text = f"{percent(fee_in, digits=2)} in, {percent(fee_out, digits=2)} out"
        yield Given(f"fees of {venue}", text, origin(f"{venue}_taker_fee_pct".upper()))
    yield Given("smallest trade", money(float(settings.min_trade_size)), origin("MIN_TRADE_SIZE"))
    yield Given("server", f"{money(float(settings.server_cost_usd_month))} a month", origin("SERVER_COST_USD_MONTH"))
    yield Given("trades so far", "none: no Kelly leg, no edge brake", "")
