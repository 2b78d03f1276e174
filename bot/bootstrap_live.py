"""Composition root of the modes that need an exchange: real orders, and paper on live prices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from bot.bootstrap import Session, ledger_beside, session_of, split_equity
from bot.bootstrap_config import engine_config_of, paper_fees, rules_of, with_model
from bot.clock import StopSignal, WallClock
from bot.decide.confidence import Evidence
from bot.domain.account import FeeSchedule
from bot.domain.errors import ConfigError, VenueError
from bot.domain.modes import TradingMode
from bot.domain.venue_report import VENUE_REPORTS_KEY, VenueReport
from bot.engine.config import EngineConfig
from bot.ports import Clock
from bot.settings_rules import KNOWN_COINS, LOOPBACK_HOSTS
from bot.settings_schema import CREDENTIALS, Settings, accounts_with_keys, configured_accounts
from bot.storage.evidence_file import evidence_path, read_evidence
from bot.storage.ledger import SqliteLedger
from bot.storage.lock import ModeLock
from bot.storage.market_copy import MarketCopy
from bot.storage.modes import PAPER_ACCOUNTS_NAME, ledger_path, mode_folder
from bot.storage.paper_store import PaperStore
from bot.storage.state_file import JsonStateFile
from bot.venues.ccxt_calls import Caller
from bot.venues.ccxt_loader import load_exchange_classes
from bot.venues.ccxt_venue import CcxtVenue
from bot.venues.coinbase_venue import CoinbaseVenue, coinbase_client, definitely_not_placed, plain_words
from bot.venues.kraken_venue import KrakenVenue, definite, kraken_client
from bot.venues.live_feed import LiveFeed
from bot.venues.matching import MatchingCore
from bot.venues.paper import PaperVenue
from bot.venues.rules import paper_instruments
from bot.views.evidence_text import about_words

REPORTED_EVERY = timedelta(hours=1)
BUSY_POLL_S = 20.0
"""Between two cycles while an entry rests or a stop is watched. Kraken's key may be used for 20 calls a minute in the
long run, and such a cycle makes 4."""

REACHED_WITHIN_MS = 4_000
"""So long may an exchange take to answer whether it can be reached at all."""


def _credentials(account: str, settings: Settings) -> tuple[str, str]:
    key, secret = (getattr(settings, name.lower()).reveal() for name in CREDENTIALS[account])
    return key, secret


def open_live(
    settings: Settings, *, stop: StopSignal, now: datetime, interval_s: float | None, command: str
) -> Session:
    """Build the session that sends real orders, on every broker with credentials.

    Raises ConfigError (KeyRefusedError) where a key may do more than trade, or nobody can tell.
    """
    folder = mode_folder(settings.state_dir, TradingMode.LIVE)
    accounts = accounts_with_keys(settings)
    assert accounts, "live needs credentials"
    clock = WallClock(stop)
    with ExitStack() as stack:
        stack.enter_context(ModeLock(folder, now=now, command=command))
        venues = [_venue(name, settings, clock=clock, with_key=True) for name in accounts]
        for venue in venues:
            with suppress(VenueError):  # one that does not answer now is asked again before anything is sent
                venue.check_key()
        ledger = stack.enter_context(SqliteLedger(ledger_path(folder)))
        config = engine_config_of(
            settings,
            mode=TradingMode.LIVE,
            coins=settings.trade_only,
            accounts=accounts,
            bar_source=accounts[0],
            poll_s=float(settings.poll_seconds) if interval_s is None else interval_s,
            snapshot_every_cycles=1,
            busy_poll_s=BUSY_POLL_S,
        )
        return session_of(
            with_evidence(config, settings, now=now),
            venues,
            clock,
            folder,
            stack.pop_all(),
            ledger=ledger,
            after_cycle=_reporting(venues, ledger),
            durable=True,
        )


def open_paper(
    settings: Settings, *, stop: StopSignal, now: datetime, interval_s: float | None, command: str
) -> Session:
    """Build paper accounts on live public prices, continued where the folder has them already."""
    folder = mode_folder(settings.state_dir, TradingMode.PAPER)
    accounts = configured_accounts(settings)
    clock = WallClock(stop)
    with ExitStack() as stack:
        stack.enter_context(ModeLock(folder, now=now, command=command))
        store = PaperStore(JsonStateFile(folder / PAPER_ACCOUNTS_NAME))
        ledger = stack.enter_context(ledger_beside(store, folder, durable=True))
        if not store.stored:
            store.begin(given=split_equity(settings.paper_equity, accounts, settings))
        public = [_venue(name, settings, clock=clock, with_key=False) for name in accounts]
        venues = [_paper_venue(prices, settings, clock=clock, store=store) for prices in public]
        config = engine_config_of(
            settings,
            mode=TradingMode.PAPER,
            coins=settings.trade_only,
            accounts=accounts,
            bar_source=accounts[0],
            poll_s=float(settings.poll_seconds) if interval_s is None else interval_s,
            snapshot_every_cycles=1,
            busy_poll_s=BUSY_POLL_S,
        )
        config = with_evidence(config, settings, now=now)
        return session_of(config, venues, clock, folder, stack.pop_all(), ledger=ledger, durable=True)


def with_evidence(config: EngineConfig, settings: Settings, *, now: datetime) -> EngineConfig:
    """Add what the rules did on old prices, and the trained model: of the user's own files, else as shipped."""
    config = with_model(config, settings.state_dir)
    account, rules = config.primary_account, rules_of(settings)
    config = replace(config, rules_key=f"{account} {rules}")
    path = evidence_path(settings.state_dir)
    try:
        found = read_evidence(path)
    except ConfigError as e:  # it advises, and must keep nobody from selling
        return replace(config, evidence_about=f"no evidence: {e}")
    own = None if found is None else found.of(account, rules)
    if found is None or own is None:
        about = f"no evidence for these settings on {account}"
        return replace(config, evidence_about=about)
    return replace(
        config,
        evidence=Evidence(float(own.trades), own.total_r, own.squares_r),
        evidence_about=about_words(found, own, now),
        evidence_fees_pct=(own.maker_fee_pct, own.taker_fee_pct),
    )


def reachable(settings: Settings) -> dict[str, str]:
    """Ask each broker's exchange for the time, once and with little patience: '' or why there is no answer."""
    found = {}
    for name in configured_accounts(settings):
        client = _client(name, settings, with_key=False)
        client.timeout = REACHED_WITHIN_MS
        found[name] = ""
        try:
            client.fetch_time()
        except Exception as e:  # noqa: BLE001 - whatever it is: the exchange has not told the time
            found[name] = _caller(name, client, secrets=()).words(e)
    return found


def venue_reports(settings: Settings, now: datetime) -> list[VenueReport]:
    """Ask every broker for everything there is to tell; a broken key is a problem of its report."""
    reports = []
    stop = StopSignal()
    clock = WallClock(stop)
    for name in configured_accounts(settings):
        has_key = name in accounts_with_keys(settings)
        try:
            reports.append(_venue(name, settings, clock=clock, with_key=has_key).report())
        except (ConfigError, VenueError) as e:
            reports.append(VenueReport(account=name, at=now.isoformat(), has_key=has_key, rights_problem=str(e)))
    stop.close()
    return reports


def _paper_venue(prices: CcxtVenue, settings: Settings, *, clock: Clock, store: PaperStore) -> PaperVenue:
    """Make an account of play money in dollars; its market rules are the exchange's, else those known here."""
    name = prices.account
    instruments = paper_instruments(name)
    with suppress(VenueError):
        instruments = {symbol: one for symbol, one in prices.instruments().items() if one.quote == "USD"} or instruments
    fees, half_spread = paper_fees(name, settings), settings.paper_half_spread_bps / 10_000
    feed = LiveFeed(prices)

    def put(state: dict[str, object]) -> None:
        store.put(name, state)

    stored = store.account(name)
    if stored is not None:
        return PaperVenue.from_state(
            stored,
            account=name,
            instruments=instruments,
            fees=fees,
            half_spread_frac=half_spread,
            feed=feed,
            clock=clock,
            store=put,
        )
    core = MatchingCore(account=name, instruments=instruments, fees=fees, half_spread_frac=half_spread)
    if store.given(name):
        core.deposit("USD", store.given(name))
    venue = PaperVenue(core=core, feed=feed, clock=clock, store=put)
    put(venue.to_state())
    return venue


def _reporting(venues: Sequence[CcxtVenue], ledger: SqliteLedger) -> Callable[[datetime], None]:
    """Keep in the ledger what the venues told: while this process runs, nobody else may use the keys to ask."""
    reported_at: datetime | None = None
    known: list[VenueReport] = []

    def report(now: datetime) -> None:
        nonlocal reported_at, known
        told = [venue.report(ask=False) for venue in venues]
        changed = [_lasting(report) for report in told] != [_lasting(report) for report in known]
        if changed or reported_at is None or now - reported_at >= REPORTED_EVERY:
            ledger.set_value(VENUE_REPORTS_KEY, [report.to_json() for report in told])
            reported_at, known = now, told

    return report


def _lasting(report: VenueReport) -> tuple[object, ...]:
    """Return what is told at once when it changes; balances and clocks move all the time."""
    return (
        report.problem,
        report.rights,
        report.rights_problem,
        report.taker_pct,
        report.fee_origin,
        report.stops_rest,
        report.markets,
    )


def public_venue(account: str, settings: Settings, *, clock: Clock) -> CcxtVenue:
    """Make the half of an exchange that is open to everybody: prices, candles, markets; no key is read."""
    return _venue(account, settings, clock=clock, with_key=False)


def _venue(account: str, settings: Settings, *, clock: Clock, with_key: bool) -> CcxtVenue:
    client = _client(account, settings, with_key=with_key)
    secrets = _credentials(account, settings) if with_key else ()
    taker = f"{account}_taker_fee_pct".upper()
    fees = paper_fees(account, settings)
    is_set = any(
        settings.origins.get(name, "default") != "default" for name in (taker, f"{account}_maker_fee_pct".upper())
    )
    kinds: dict[str, type[CcxtVenue]] = {"coinbase": CoinbaseVenue, "kraken": KrakenVenue}
    return kinds[account](
        account=account,
        caller=_caller(account, client, secrets=secrets),
        # All coins that the program knows, whatever TRADE_ONLY says now: one that is held keeps its stop.
        coins=KNOWN_COINS,
        own_fees=_told_fees(fees, f"the setting {taker}", is_fallback=False) if is_set else None,
        fallback_fees=_told_fees(fees, "the worst published; the account's are not known", is_fallback=True),
        copy=MarketCopy(JsonStateFile(settings.state_dir / "markets" / f"{account}.json", durable=False)),
        now=clock.now,
        has_key=with_key,
        allow_unknown_rights=settings.allow_unknown_key_rights,
    )


def _told_fees(fees: FeeSchedule, origin: str, *, is_fallback: bool) -> FeeSchedule:
    return FeeSchedule(maker_frac=fees.maker_frac, taker_frac=fees.taker_frac, origin=origin, is_fallback=is_fallback)


def _client(account: str, settings: Settings, *, with_key: bool) -> Any:
    build = coinbase_client if account == "coinbase" else kraken_client
    url = str(getattr(settings, f"{account}_api_url"))
    key, secret = _credentials(account, settings) if with_key else ("", "")
    rate_limited = urlsplit(url).hostname not in LOOPBACK_HOSTS
    return build(load_exchange_classes(), url=url, key=key, secret=secret, rate_limited=rate_limited)


def _caller(account: str, client: Any, *, secrets: Sequence[str]) -> Caller:
    return Caller(
        account=account,
        client=client,
        errors=load_exchange_classes().errors,
        secrets=secrets,
        definite=definitely_not_placed if account == "coinbase" else definite,
        tell=plain_words if account == "coinbase" else str,
    )
