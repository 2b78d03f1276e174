"""Composition root: the only place that knows concrete classes.

Builds a session (engine, clock, ledger, lock) for a trading mode out of the settings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from bot.bootstrap_config import CYCLE_OFFSET, engine_config_of, minimum_balance, paper_fees, with_model
from bot.clock import PacedClock, StopSignal, VirtualClock
from bot.domain.errors import ConfigError, LedgerError
from bot.domain.market import TIMEFRAME_MS
from bot.domain.modes import TradingMode
from bot.engine.config import EngineConfig
from bot.engine.engine import Engine
from bot.engine.tiers import TierKeeper
from bot.ports import Clock, Venue
from bot.scaling.ladder import SCALING_TIERS
from bot.scaling.state import TierState
from bot.settings_schema import Settings, configured_accounts
from bot.storage.candle_files import SourceData
from bot.storage.control import ControlQueue
from bot.storage.ledger import SqliteLedger
from bot.storage.lock import ModeLock
from bot.storage.modes import PAPER_ACCOUNTS_NAME, STATE_FILE_NAME, ledger_path, mode_folder
from bot.storage.paper_store import AccountsFile
from bot.storage.simulation_store import SimulationStore
from bot.storage.state_file import JsonStateFile
from bot.venues.builtin_market import BuiltinMarket
from bot.venues.candle_feed import CandleFeed
from bot.venues.feeds import PriceFeed
from bot.venues.matching import MatchingCore
from bot.venues.paper import PaperVenue
from bot.venues.rules import PAPER_COINS, paper_instruments

__all__ = [
    "CONTROL_FOLDER",
    "Session",
    "ledger_beside",
    "open_replay",
    "open_simulated",
    "session_of",
    "split_equity",
]

SIMULATED_STEP = timedelta(hours=1)
"""Virtual time from one simulated cycle to the next."""

DEFAULT_SEED = 15
"""Of the built-in market: at its start two of the three coins are in a trend, so that there is something to see."""

CONTROL_FOLDER = "control"


@dataclass(slots=True)
class Session:
    """Everything of one run; ``close`` gives lock and ledger back."""

    engine: Engine
    clock: Clock
    ledger: SqliteLedger
    folder: Path
    mode: TradingMode
    after_cycle: Callable[[datetime], None]
    """To be called after each cycle with its time: what the mode has to remember besides the ledger."""
    _resources: ExitStack

    def close(self) -> None:
        """Release ledger and lock."""
        self._resources.close()


def split_equity(equity: Decimal, accounts: Sequence[str], settings: Settings) -> dict[str, Decimal]:
    """Spread play money over paper accounts: equal parts, or all of it on the first.

    All of it on the first where an equal part would be less than twice the minimum balance of its
    account: an account that the first fee makes dormant helps nobody. Cents that do not divide go
    to the first.
    """
    part = (equity / len(accounts)).quantize(Decimal("0.01"))
    if any(part < 2 * minimum_balance(name, settings) for name in accounts):
        return {name: equity if name == accounts[0] else Decimal(0) for name in accounts}
    parts = dict.fromkeys(accounts, part)
    parts[accounts[0]] = equity - part * (len(accounts) - 1)
    return parts


def open_replay(
    settings: Settings,
    *,
    data: SourceData,
    accounts: Sequence[str],
    equity: Decimal,
    start: datetime,
    now: datetime,
) -> Session:
    """Build a replay of candle files on a virtual clock; what an earlier replay left is replaced.

    Raises AlreadyRunningError where another replay runs in the same folder.
    """
    bar_s = TIMEFRAME_MS[data.timeframe] / 1000
    clock = VirtualClock(start + min(CYCLE_OFFSET, timedelta(seconds=bar_s / 2)))
    folder = mode_folder(settings.state_dir, TradingMode.REPLAY)
    with ExitStack() as stack:
        stack.enter_context(ModeLock(folder, now=now, command="replay"))
        for stale in [*folder.glob("ledger.sqlite3*"), folder / STATE_FILE_NAME]:
            stale.unlink(missing_ok=True)
        coins = tuple(data.coins)
        feed = CandleFeed(
            execution={f"{coin}/USD": data.coins[coin].execution for coin in coins},
            daily={f"{coin}/USD": data.coins[coin].daily for coin in coins},
        )
        venues = []
        for name, amount in split_equity(equity, accounts, settings).items():
            venue = PaperVenue(core=_core(name, coins, settings), feed=feed, clock=clock)
            if amount:
                venue.deposit("USD", amount)
            venues.append(venue)
        config = engine_config_of(
            settings,
            mode=TradingMode.REPLAY,
            coins=coins,
            accounts=accounts,
            bar_source=data.source,
            poll_s=bar_s,
            snapshot_every_cycles=1_000,
            not_traded=data.missing,
        )
        ledger = stack.enter_context(SqliteLedger(ledger_path(folder), durable=False))
        return session_of(config, venues, clock, folder, stack.pop_all(), ledger=ledger)


def open_simulated(
    settings: Settings,
    *,
    seed: int | None,
    pace_s: float,
    stop: StopSignal,
    now: datetime,
    command: str = "run --simulated",
) -> Session:
    """Build paper accounts on the built-in market, continued where the folder has them already.

    ``command`` is what the lock tells those who come second. Raises ConfigError where ``seed`` is not
    that of the stored accounts, or half of them is missing.
    """
    folder = mode_folder(settings.state_dir, TradingMode.SIMULATED)
    accounts = configured_accounts(settings)
    with ExitStack() as stack:
        stack.enter_context(ModeLock(folder, now=now, command=command))
        store = SimulationStore(JsonStateFile(folder / PAPER_ACCOUNTS_NAME, durable=False))
        ledger = stack.enter_context(ledger_beside(store, folder, durable=False))
        is_new = not store.stored
        if is_new:
            hour = now.replace(minute=0, second=0, microsecond=0)
            store.begin(
                seed=DEFAULT_SEED if seed is None else seed,
                started_at=hour,
                now=hour + CYCLE_OFFSET,
                given=split_equity(settings.paper_equity, accounts, settings),
            )
        elif seed is not None and seed != store.seed:
            raise ConfigError(
                f"--seed {seed}: the simulation in {folder} runs on seed {store.seed}; "
                f"leave --seed out to continue it, or delete the folder to begin a new one"
            )
        # The stored time is that of the last cycle; a run that continues begins with the next one.
        begin_at = store.now if is_new else store.now + SIMULATED_STEP
        clock = PacedClock(begin_at, pace_s=pace_s, stop=stop)
        store.run_by(clock)
        feed: PriceFeed = BuiltinMarket(seed=store.seed, start=store.started_at)
        venues = [
            _simulated_venue(name, store.given(name), settings, feed=feed, clock=clock, store=store)
            for name in accounts
        ]
        config = engine_config_of(
            settings,
            mode=TradingMode.SIMULATED,
            coins=settings.trade_only,
            accounts=accounts,
            bar_source=f"builtin-{store.seed}",
            poll_s=SIMULATED_STEP.total_seconds(),
            snapshot_every_cycles=1,
        )
        # The model judges a coin's days; evidence of real prices says nothing of invented ones.
        config = with_model(config, settings.state_dir)
        return session_of(
            config, venues, clock, folder, stack.pop_all(), ledger=ledger, after_cycle=lambda _: store.save()
        )


def ledger_beside(store: AccountsFile, folder: Path, *, durable: bool) -> SqliteLedger:
    """Open the ledger that belongs to stored play money. Raises ConfigError where one of the two is missing or empty.

    It is made before the accounts are: a start that is killed between the two leaves an empty one, no account yet.
    """
    path = ledger_path(folder)
    if store.stored and not path.exists():
        raise ConfigError(_half_missing(folder, path))
    ledger = SqliteLedger(path, durable=durable)
    missing = None
    if not store.stored and ledger.flows():
        missing = folder / PAPER_ACCOUNTS_NAME
    elif store.stored and store.traded and not ledger.flows():
        missing = path
    if missing is not None:
        ledger.close()
        raise ConfigError(_half_missing(folder, missing))
    return ledger


def _half_missing(folder: Path, missing: Path) -> str:
    return (
        f"{folder}: {missing.name} is missing or empty while its counterpart is there; "
        f"put a backup of the whole folder back, or delete the folder to begin anew"
    )


def session_of(
    config: EngineConfig,
    venues: Sequence[Venue],
    clock: Clock,
    folder: Path,
    resources: ExitStack,
    *,
    ledger: SqliteLedger,
    after_cycle: Callable[[datetime], None] = lambda _: None,
    durable: bool = False,
) -> Session:
    """Open the tier state in the folder and put the engine together; owns ``resources``."""
    with resources:
        state_file = JsonStateFile(folder / STATE_FILE_NAME, durable=durable, check=TierState.from_json)
        engine = Engine(
            config=config,
            venues=venues,
            ledger=ledger,
            tiers=TierKeeper(state_file, SCALING_TIERS),
            control=ControlQueue(folder / CONTROL_FOLDER),
        )
        _refuse_stranded(engine, folder)
        return Session(
            engine=engine,
            clock=clock,
            ledger=ledger,
            folder=folder,
            mode=config.trading_mode,
            after_cycle=_with_daily_pruning(
                # A replay is counted at its end, and its folder is made anew by the next one.
                after_cycle,
                ledger,
                journal=config.trading_mode is not TradingMode.REPLAY,
            ),
            _resources=resources.pop_all(),
        )


def _refuse_stranded(engine: Engine, folder: Path) -> None:
    """Raise ConfigError where a venue that the settings leave out still holds something."""
    holders = {account for account, _ in engine.book.positions} | {order.account for order in engine.desk.live()}
    stranded = sorted(holders - engine.accounts.keys())
    if stranded:
        raise ConfigError(
            f"{folder}: positions or orders lie on {', '.join(stranded)}, which the settings leave out; nobody would "
            f"watch them. Name it as PRIMARY_BROKER or SECONDARY_BROKER again, and `python bot.py flatten` before it "
            f"is left out"
        )


def _with_daily_pruning(
    after_cycle: Callable[[datetime], None], ledger: SqliteLedger, *, journal: bool
) -> Callable[[datetime], None]:
    pruned_on: date | None = None

    opened = ledger.path.stat().st_ino

    def both(now: datetime) -> None:
        nonlocal pruned_on
        if not ledger.path.exists() or ledger.path.stat().st_ino != opened:
            raise LedgerError(f"ledger {ledger.path} was removed or replaced while the bot ran; nothing more is done")
        after_cycle(now)
        if now.date() != pruned_on:
            ledger.prune(now, journal=journal)
            pruned_on = now.date()

    return both


def _core(account: str, coins: Sequence[str], settings: Settings) -> MatchingCore:
    return MatchingCore(
        account=account,
        instruments=paper_instruments(account, coins),
        fees=paper_fees(account, settings),
        half_spread_frac=settings.paper_half_spread_bps / 10_000,
    )


def _simulated_venue(
    account: str, amount: Decimal, settings: Settings, *, feed: PriceFeed, clock: Clock, store: SimulationStore
) -> PaperVenue:
    def put(state: dict[str, object]) -> None:
        store.put(account, state)

    stored = store.account(account)
    if stored is not None:
        return PaperVenue.from_state(
            stored,
            account=account,
            # All markets, whatever TRADE_ONLY says now: a coin that is held keeps its stop and can be sold.
            instruments=paper_instruments(account),
            fees=paper_fees(account, settings),
            half_spread_frac=settings.paper_half_spread_bps / 10_000,
            feed=feed,
            clock=clock,
            store=put,
        )
    venue = PaperVenue(core=_core(account, PAPER_COINS, settings), feed=feed, clock=clock, store=put)
    if amount:
        venue.deposit("USD", amount)
    return venue
