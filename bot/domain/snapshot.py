"""What the engine says about itself at the end of each cycle: the one model behind every view.

It is stored as JSON under the ledger key ``snapshot``; money as float USD (for display only, the
books keep the Decimals), times as ISO 8601 UTC, percentages 0 to 100.
"""

from __future__ import annotations

from typing import TypedDict

SNAPSHOT_KEY = "snapshot"
SNAPSHOT_SCHEMA_VERSION = 6


class VenueView(TypedDict):
    """One account."""

    account: str
    fresh: bool
    """False: the venue did not answer; the figures are the last known ones."""
    problem: str
    """Why it did not answer, in its own words; '' where it did."""
    equity_usd: float
    cash_usd: float
    free_cash_usd: float
    minimum_balance_usd: float
    dormant: bool
    maker_pct: float
    taker_pct: float
    fee_origin: str
    balance_age_s: float | None
    cash_by_asset: dict[str, float]
    """USD and USDC of the books, in units of each."""
    stops_rest: bool
    """Whether protective stops rest on the venue; else the bot watches the prices."""
    foreign_assets: dict[str, str]
    """Coins that the bot did not buy: asset to quantity. Never counted, never touched."""
    dust_usd: float
    """What the coins have cost that are too small to sell and written off: no part of the equity."""


class PositionView(TypedDict):
    """One open position."""

    account: str
    symbol: str
    quantity: str
    missing: str
    """How much of it is not there (finding ``coins_missing``); '': nothing."""
    average_price: float
    price: float
    value_usd: float
    """Of what is there."""
    unrealized_usd: float
    fees_usd: float
    stop_price: float | None
    stop_resting: bool
    """True: the stop rests on the venue; False: the bot has yet to place it, or watches the price instead."""
    stop_watched: bool
    """True: the venue lets no stop rest or rejects this one; the bot watches the price, which ends when it does not
    run."""
    too_small: bool
    """The venue takes no order for so little: it can be neither sold nor protected."""
    r_multiple: float | None
    """(price - average price) / (average price - first stop)."""
    opened_at: str


class CoinView(TypedDict):
    """What one coin waits for."""

    symbol: str
    price: float | None
    score: float | None
    score_to_open: float
    held_usd: float
    target_usd: float | None
    trigger_price: float | None
    """A daily close above it would lift the score to ``score_to_open``; None: already there, or unknown."""
    lowering_price: float | None
    """A daily close below it would lower the score; None: it is 0, or unknown."""
    members: dict[str, float | None]
    """Of the score, those with a weight, by name: 0 to 1, None for one without a value."""
    weights: dict[str, float]
    """What each of them counts."""
    regime: str
    """``long``, ``flat`` or ``crash``; ``unknown`` while the history is too short, '' where it is switched off."""
    regime_rank: float | None
    """Share of the last year's days that were calmer."""
    regime_periods: int
    """Periods of 20 days by which the regime can be judged, and how many of them it had right."""
    regime_right: int
    regime_rose: int
    """Periods that rose: what "it always rises" would have had right."""
    action: str
    """Of the last decision: ``enter``, ``add``, ``reduce``, ``exit``, ``hold``, ``refuse``; '' before the first."""
    refusal: str
    """RefusalCode of the last decision or ''."""
    refusal_account: str
    """The venue that it is about, or ''."""
    refusal_limit: float | None
    refusal_actual: float | None
    refusal_unit: str
    decided_bar_at: str | None


class GuardView(TypedDict):
    """One limit as used / limit."""

    name: str
    used: float | None
    """None: nothing to measure yet, the guard abstains; ``about`` says why."""
    limit: float
    unit: str
    active: bool
    action: str
    about: str
    """Which venue or coin the values are of; '' where there is only one."""


class ReachView(TypedDict):
    """What an empty account of the present equity could buy of one coin on one venue, at full score."""

    account: str
    symbol: str
    stop_pct: float | None
    """Distance of the stop; None where it is not known (``refusal`` says why), and then all amounts are 0."""
    order_usd: float
    """The order that the limits would leave; 0: none."""
    risk_usd: float
    """Loss at its stop, costs included; of one minimum trade where there is no order."""
    risk_pct: float
    """The same as a share of equity: the effective risk per trade."""
    round_trip_pct: float
    """Move of the price that pays both fees."""
    round_trip_usd: float
    """Of the order, or of one minimum trade."""
    refusal: str
    """RefusalCode, '' where there is an order."""
    refusal_limit: float | None
    refusal_actual: float | None
    refusal_unit: str
    from_equity_usd: float | None
    """Smallest equity, all of it on this venue, at which there is an order; None: none.

    From the present one on; where the venue is dormant, from its minimum on.
    """


class OrderView(TypedDict):
    """One live order."""

    client_order_id: str
    account: str
    symbol: str
    purpose: str
    side: str
    type: str
    quantity: str
    price: str | None
    state: str
    expires_at: str | None
    """When its venue ends it by itself, ISO 8601 UTC; None: never."""


class FindingView(TypedDict):
    """One disagreement between a venue and the ledger, while it stands."""

    code: str
    """FindingCode."""
    account: str
    about: str
    detail: str
    since: str
    blocks: bool
    """Whether nothing is bought while it stands."""


class Snapshot(TypedDict):
    """The whole account at the end of a cycle."""

    schema_version: int
    strategy: str
    """``allocation`` or ``breakout``."""
    trading_mode: str
    """``LIVE``, ``PAPER``, ``SIMULATED`` or ``REPLAY``."""
    engine_mode: str
    """``ACTIVE``, ``REDUCE_ONLY``, ``HALTED`` or ``STALLED``."""
    engine_mode_reason: str
    at: str
    cycle: int
    poll_s: float
    equity_usd: float
    fresh: bool
    cash_usd: float
    cash_buffer_usd: float
    exposure_pct: float
    deposits_usd: float
    """Net external flows since the start."""
    profit_usd: float
    """equity - deposits."""
    fees_usd: float
    high_water_mark_index: float
    performance_index: float
    drawdown_pct: float
    today_pnl_usd: float
    tier: str
    max_positions: int
    risk_per_trade_pct: float
    effective_risk_pct: float | None
    """Largest loss to stop of an open position as a share of equity; None without positions."""
    heat_usd: float
    """What all stops together would cost now, fees and an allowance for gaps included."""
    heat_limit_usd: float
    """What they may cost at most before nothing more is bought."""
    next_decision_at: str
    next_cycle_at: str
    data_age_s: float | None
    """Age of the oldest current price."""
    venues: list[VenueView]
    positions: list[PositionView]
    coins: list[CoinView]
    not_traded: dict[str, str]
    """Coins of TRADE_ONLY that nothing here can trade, each with the reason."""
    guards: list[GuardView]
    reach: list[ReachView]
    orders: list[OrderView]
    findings: list[FindingView]
    reconciled_at: str | None
    """When every order, fill and balance of every venue was last compared with the ledger; None: not yet."""
