"""The cycle: observe, settle, guard, protect, scale, decide, execute, record.

Starting and recovering are one path: the engine starts HALTED, rebuilds its books from the ledger,
asks every venue, reconciles, and only then trades. Protection comes before anything that opens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from bot.books import performance
from bot.books.positions import quote_asset
from bot.books.results import loss_streak
from bot.domain.account import CoinsOut, Fill, Flow
from bot.domain.errors import LedgerError
from bot.domain.modes import EngineMode
from bot.domain.orders import Order, Purpose
from bot.domain.refusal import GuardReading, RefusalCode
from bot.domain.snapshot import SNAPSHOT_KEY, SNAPSHOT_SCHEMA_VERSION, CoinView, Snapshot
from bot.domain.tier import ScalingTier
from bot.engine.account import Account, key_of, key_text
from bot.engine.config import EngineConfig
from bot.engine.decision import Decider
from bot.engine.desk import OrderDesk
from bot.engine.dust import write_off_dust
from bot.engine.entries import EntryKeeper
from bot.engine.exits import ExitPlanner
from bot.engine.exposure import Entry, heat_usd
from bot.engine.facts import GuardFacts, has_failed, quotes_of, venues_of
from bot.engine.flows import FlowDetector
from bot.engine.gates import is_off_peg, usdc_usd
from bot.engine.guards import Guards
from bot.engine.protect import Protector
from bot.engine.rebuild import note_risks, rebuilt_book
from bot.engine.reconcile import Reconciler
from bot.engine.report import Totals, build_snapshot
from bot.engine.sizing import Standing
from bot.engine.state import WAY_OUT, ExitPlan, StateKeeper, parse_time
from bot.engine.tiers import TierKeeper
from bot.engine.wealth import Wealth
from bot.ports import ControlQueue, EquityPoint, GuardEvent, Ledger, Venue

PERFORMANCE_KEY = "performance"
FLATTEN_REASON = "flatten"
OUT_OF_STEP = timedelta(seconds=60)
"""So far from its time may a cycle be before its clock is taken for stepped: no time has passed then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleResult:
    """What one cycle did, for its log line and for the caller's counters."""

    at: datetime
    equity: float
    drawdown_frac: float
    exposure_frac: float
    mode: EngineMode
    reason: str
    tier: str
    fills: tuple[Fill, ...]
    rejections: tuple[tuple[Order, str], ...]
    """Orders that a venue rejected in this cycle, each with its reason."""
    placed: tuple[Order, ...] = ()
    """Orders sent in this cycle, as they were sent, whatever came of them."""
    canceled: tuple[tuple[Order, str], ...] = ()
    """Orders that ended without being filled, by whomever, each with the journal's note."""
    flows: tuple[Flow, ...] = ()
    """Deposits and withdrawals booked in this cycle, opening balances too."""
    coins_out: tuple[CoinsOut, ...] = ()
    """Coins of positions that were booked as gone in this cycle."""
    decided: tuple[str, ...]
    tier_change: str
    """'' or ``STARTER -> GROWTH``."""
    guards_activated: tuple[GuardReading, ...]
    next_cycle_at: datetime
    snapshot: Snapshot | None

    @property
    def orders_placed(self) -> int:
        """How many orders were sent."""
        return len(self.placed)


class Engine:
    """One engine over a list of accounts. ``cycle`` is its only clockwork; it never waits."""

    def __init__(
        self,
        *,
        config: EngineConfig,
        venues: Sequence[Venue],
        ledger: Ledger,
        tiers: TierKeeper,
        control: ControlQueue,
    ) -> None:
        assert venues, "an engine needs an account"
        self.config = config
        self.accounts: Mapping[str, Account] = {v.account: Account(venue=v, name=v.account) for v in venues}
        assert config.primary_account in self.accounts, f"{config.primary_account} is not among the accounts"
        self._ledger = ledger
        self._tiers = tiers
        self._control = control
        self._keeper = StateKeeper(ledger)
        self.state = self._keeper.state
        self.book = rebuilt_book(ledger, self.state)
        stored = ledger.value(PERFORMANCE_KEY)
        if stored is None and self.book.quote:  # written together with the first flow
            raise LedgerError(f"the performance is missing in the ledger: drawdown would begin at zero; {WAY_OUT}")
        self.performance = performance.Performance() if stored is None else performance.from_json(stored)
        self.desk = OrderDesk(ledger=ledger, accounts=self.accounts, book=self.book, keeper=self._keeper)
        self.wealth = Wealth(accounts=self.accounts, book=self.book, state=self.state)
        self.flows = FlowDetector(accounts=self.accounts, book=self.book, desk=self.desk, state=self.state)
        self.reconciler = Reconciler(
            accounts=self.accounts,
            book=self.book,
            desk=self.desk,
            wealth=self.wealth,
            state=self.state,
            every_s=config.reconcile_s,
        )
        self._ran_before = tiers.current is not None
        self.guards = Guards(config, self.state)
        self.protector = Protector(accounts=self.accounts, book=self.book, desk=self.desk, state=self.state)
        self.decider = Decider(
            config=config, ledger=ledger, accounts=self.accounts, book=self.book, desk=self.desk, state=self.state
        )
        self.entries = EntryKeeper(
            config=config,
            ledger=ledger,
            accounts=self.accounts,
            desk=self.desk,
            keeper=self._keeper,
            decider=self.decider,
        )
        self.exit_planner = ExitPlanner(
            config=config,
            accounts=self.accounts,
            book=self.book,
            desk=self.desk,
            keeper=self._keeper,
            histories=self.decider.histories,
        )
        earlier = ledger.value(SNAPSHOT_KEY)
        self._earlier: dict[str, CoinView] = {}
        if isinstance(earlier, dict) and earlier.get("schema_version") == SNAPSHOT_SCHEMA_VERSION:
            self._earlier = {coin["symbol"]: coin for coin in earlier["coins"]}
        self._older_than_books: set[str] = set()
        """Accounts on which a fill has come in since their balances were read in this cycle."""
        self._new_flows: list[Flow] = []
        self._new_coins_out: list[CoinsOut] = []
        self._measured = self.performance
        self._cycle = 0
        self._adopted = False
        self._last_equity = 0.0
        self._last_at: datetime | None = None
        self._snapshot_at: datetime | None = None

    # -- the cycle -------------------------------------------------------------------------------

    def cycle(self, now: datetime, *, decides: bool = True, due_at: datetime | None = None) -> CycleResult:
        """Run the eight steps once; without ``decides`` nothing new is opened or reduced.

        ``due_at``: when this cycle had to begin, by the clock as it was when the last one had ended; None: the first.
        Raises LedgerError and InvariantError: then nothing may go on.
        """
        assert now.tzinfo is not None, "now must be tz-aware"
        self._cycle += 1
        self._new_flows.clear()
        self._new_coins_out.clear()
        self.desk.new_placed.clear()
        self.desk.new_canceled.clear()
        self.desk.new_fills.clear()
        self.desk.new_rejections.clear()

        self.desk.begin_cycle(now, stepped=due_at is not None and abs(now - due_at) > OUT_OF_STEP)
        self._turn_day(now)
        self._observe(now)
        self._settle(now)
        activated = self._guard(now)
        self._protect(now)
        tier_change = self._scale(now)
        decided, entries = self._decide(now) if decides else ([], [])
        self._execute(entries, now, decided=bool(decided))
        next_cycle_at = now + timedelta(seconds=self._pause_s())
        snapshot = self._record(now, next_cycle_at)
        return CycleResult(
            at=now,
            equity=self._last_equity,
            drawdown_frac=performance.drawdown_pct(self._measured) / 100,
            exposure_frac=self._exposure_frac(),
            mode=self.guards.mode,
            reason=self.guards.reason,
            tier=self._tiers.current_name,
            fills=tuple(self.desk.new_fills),
            rejections=tuple(self.desk.new_rejections),
            placed=tuple(self.desk.new_placed),
            canceled=tuple(self.desk.new_canceled),
            flows=tuple(self._new_flows),
            coins_out=tuple(self._new_coins_out),
            decided=tuple(decided),
            tier_change=tier_change,
            guards_activated=activated,
            next_cycle_at=next_cycle_at,
            snapshot=snapshot,
        )

    @property
    def is_unsettled(self) -> bool:
        """Whether the next look may settle what is open: an outcome that nobody knows, a stop that has to be placed."""
        return any(
            account.fresh
            and (
                self.desk.in_doubt(account.name)
                or any(
                    account.stops_rest
                    and not self.protector.rests(key)
                    and key_text(*key) not in self.state.stop_refused
                    for key in self.book.positions
                    if key[0] == account.name
                )
            )
            for account in self.accounts.values()
        )

    def _pause_s(self) -> float:
        bare = any(not self.protector.rests(key) for key in self.book.positions)
        is_busy = bare or self.is_unsettled or bool(self.desk.live(purpose=Purpose.ENTRY))
        return min(self.config.poll_s, self.config.busy_poll_s) if is_busy else self.config.poll_s

    def _turn_day(self, now: datetime) -> None:
        """Note with which equity the UTC day begins: that of the last cycle, or after a start that of its last mark."""
        day = now.astimezone(UTC).date()
        today, tomorrow = day.isoformat(), (day + timedelta(days=1)).isoformat()
        # A clock that is put back over midnight does not begin the day before anew; one that was ahead by days does.
        if self.state.today < today or self.state.today > tomorrow:
            p = self.performance
            self.state.today = today
            self.state.today_start_usd = self._last_equity if self._last_at is not None else float(p.units * p.index)
            self.state.today_flows_usd = 0.0

    def _observe(self, now: datetime) -> None:
        for command in self._control.take_all():
            self.obey(str(command.get("command", "")), command, now)
        if not self._adopted:
            self.desk.adopt_after_restart(now)
            self._adopted = True
        for account in self.accounts.values():
            account.observe(now)
        off_peg = is_off_peg(usdc_usd(self.accounts.values()))
        for account in self.accounts.values():
            account.usdc_is_off_peg = off_peg

    def obey(self, command: str, arguments: Mapping[str, object], now: datetime) -> None:
        """Carry out a command of the user; recorded like a guard event."""
        state = self.state
        drawdown = performance.drawdown_pct(self.performance)
        recorded = [option for option in ("reset_drawdown", "accept_results") if arguments.get(option)]
        name = "_".join(["command", command, *recorded])
        limit = self.config.drawdown_frac * 100
        event = GuardEvent(name=name, active=False, used=drawdown, limit=limit, unit="pct", at=now)
        if command == "halt":
            state.halted_by = state.halted_by or "user"
            self._end_flatten()
        elif command == "pause":
            state.paused = True
        elif command == "flatten":
            state.flatten = True
            state.halted_by = state.halted_by or "user"
        elif command == "resume":
            self._resume(arguments, now)
        with self._ledger.transaction():  # at once: the queue has forgotten the command
            self._ledger.record_guard_event(event)
            self._ledger.set_value(PERFORMANCE_KEY, performance.to_json(self.performance))
            self._keeper.save()

    def _resume(self, arguments: Mapping[str, object], now: datetime) -> None:
        state = self.state
        state.paused = False
        self._end_flatten()
        self.guards.forget_errors()
        if state.halted_by != "drawdown" or arguments.get("reset_drawdown"):
            state.halted_by = ""
        self.reconciler.accept(book_out=bool(arguments.get("book_out")))
        ended: tuple[RefusalCode, ...] = (RefusalCode.PAUSED_BY_USER, RefusalCode.UNRECONCILED)
        if arguments.get("accept_results"):
            state.below_expectation = False
            state.expected_from = now.isoformat()
            ended = (*ended, RefusalCode.BELOW_EXPECTATION)
        for code in ended:
            self.decider.refuser.forget(code)
        for coin in self._earlier.values():
            if coin["refusal"] in ended:
                coin["refusal"] = coin["action"] = ""
        if arguments.get("reset_drawdown"):
            self.performance = performance.reset_high_water(self.performance)

    def _end_flatten(self) -> None:
        """Sell no more for it: what is left keeps its stops."""
        self.state.flatten = False
        self.state.exits = {name: plan for name, plan in self.state.exits.items() if plan.reason != FLATTEN_REASON}

    def _settle(self, now: datetime) -> None:
        self._older_than_books.clear()
        for account in self.accounts.values():
            if account.fresh:
                self._settle_account(account, now)
        self._take_back()
        self.protector.note_positions()
        note_risks(self.book, self.desk, self.state)
        self.entries.close_finished()
        streak_at = parse_time(self.state.streak_counts_from)
        if streak_at is not None and any(p.opened_at > streak_at for p in self.book.positions.values()):
            self.state.half_size_next = False  # the first re-entry has been made
        write_off_dust(
            accounts=self.accounts,
            book=self.book,
            desk=self.desk,
            ledger=self._ledger,
            keeper=self._keeper,
            now=now,
        )
        older, equity = self._older_than_books, float(self.wealth.equity())
        for flow in self.flows.detect(now, equity, older_than_books=older):
            equity_before = self.wealth.equity()
            worth = self.wealth.dollars(flow.amount, flow.asset)
            self.performance = performance.with_flow(self.performance, worth, equity_before)
            self.state.today_flows_usd += float(worth)
            self.state.stall_reason = ""  # of another equity; the next decision looks anew
            with self._ledger.transaction():
                self._ledger.record_flow(flow)
                self._ledger.set_value(PERFORMANCE_KEY, performance.to_json(self.performance))
                self._keeper.save()
            self.book.apply_flow(flow)
            self._new_flows.append(flow)
        for account in self.accounts.values():
            if account.fresh:
                account.note_unbooked(self.book.cash)
        if self.state.flatten and not self.book.positions:
            self._end_flatten()  # done

    def _settle_account(self, account: Account, now: datetime) -> None:
        known = len(self.desk.new_fills)
        self.desk.settle(account, now, deep=self.reconciler.is_due(account, now))
        if not account.fresh:
            return
        quiet = len(self.desk.new_fills) == known
        if not quiet:
            self._older_than_books.add(account.name)
        for moved in list(self.reconciler.compare_coins(account, now, quiet=quiet)):
            event = moved.event
            if not moved.is_booked:
                self._flow_of_coins(event, self.wealth.equity() + self._worth_of(event))
                with self._ledger.transaction():
                    self._ledger.set_value(PERFORMANCE_KEY, performance.to_json(self.performance))
                    self._keeper.save()
                continue
            with self._ledger.transaction():
                self._ledger.record_coins_out(event)
                self._keeper.save()
            self.book.apply_coins_out(event)
            self._new_coins_out.append(event)
        if account.name not in self.state.opened_accounts:
            ran_before = self._ran_before and not self.state.opened_accounts
            self.reconciler.compare_history(account, now, ran_before=ran_before)

    def _take_back(self) -> None:
        """Count coins that had been taken for gone and were sold after all: the desk has booked them."""
        for event in self.desk.came_back:
            self._flow_of_coins(event, self.wealth.equity() + self._worth_of(event))
        self.desk.came_back.clear()

    def _flow_of_coins(self, event: CoinsOut, equity_before: Decimal) -> None:
        worth = self._worth_of(event)
        self.performance = performance.with_flow(self.performance, -worth, equity_before)
        self.state.today_flows_usd -= float(worth)
        self.state.stall_reason = ""

    def _worth_of(self, event: CoinsOut) -> Decimal:
        return self.wealth.dollars(event.quantity * event.price, quote_asset(event.symbol))

    def _guard(self, now: datetime) -> tuple[GuardReading, ...]:
        equity = self.wealth.equity()
        uncertain = self.flows.transfer_pending(now) or self.reconciler.is_short
        still = uncertain or not self.book.quote or not self.wealth.is_priced()
        # On a stale total the limits are read too; what is remembered moves on fresh ones only.
        self._measured = self.performance if still else performance.marked(self.performance, equity, now)
        if not self._frozen(now):
            self.performance = self._measured
        self._last_equity = float(equity)
        since = parse_time(self.state.streak_counts_from)
        accounts = self.accounts.values()
        reward, reward_about = self.decider.reward(now)
        self.decider.expectation.note_rules(now)
        confidence, band = self.decider.expectation.read(now)
        stakes = self.decider.exposure.stakes()
        self.guards.evaluate(
            GuardFacts(
                now=now,
                equity=float(equity),
                drawdown=performance.drawdown_pct(self._measured) / 100,
                daily_loss=performance.daily_loss_pct(self._measured) / 100,
                losses_in_a_row=loss_streak(self.book.trades, since),
                cash_frac=float(self.wealth.cash() / equity) if equity > 0 else 1.0,
                positions=len(self.book.positions),
                max_positions=self._max_positions(),
                heat_usd=heat_usd(stakes),
                fees_usd=self.decider.exposure.fees_usd(now, stakes),
                venues=venues_of(accounts, self.decider.gates, self.config),
                quotes=quotes_of(accounts, self.config.symbols, now),
                reward=reward,
                reward_about=reward_about,
                confidence=confidence,
                confidence_about=self.decider.expectation.confidence_words(now),
                band=band,
                band_about=self.decider.expectation.band_words(now),
                falls_short=self.decider.expectation.falls_short(now),
                waiting_for=", ".join(a.name for a in accounts if not a.settled_once),
                frozen=still,
            )
        )
        activated = []
        for name, reading in self.guards.changed(self.state.active_guards).items():
            event = GuardEvent(
                name=name, active=reading.active, used=reading.used, limit=reading.limit, unit=reading.unit, at=now
            )
            self._ledger.record_guard_event(event)
            if reading.active:
                activated.append(reading)
        self.state.active_guards = sorted(r.name for r in self.guards.readings if r.active)
        return tuple(activated)

    def _protect(self, now: datetime) -> None:
        if self.state.flatten or (self.config.halt_flattens and self.state.halted_by == "drawdown"):
            for key in self.book.positions:
                plan = self.state.exits.setdefault(key_text(*key), ExitPlan("0", FLATTEN_REASON))
                plan.keep, plan.reason = "0", FLATTEN_REASON
        elif self.state.halted_by:  # a sale that was wanted before the halt waits; a stop that is reached does not
            self.state.exits = {name: plan for name, plan in self.state.exits.items() if plan.by_stop}
        self.entries.tend(now, self.guards.resting_block(now))
        self.exit_planner.plan_all(now)
        self.protector.protect_all(now)

    def _scale(self, now: datetime) -> str:
        if self._frozen(now):
            return ""
        return self._tiers.check(self._last_equity, now)

    def _decide(self, now: datetime) -> tuple[list[str], list[Entry]]:
        if self.guards.mode is EngineMode.HALTED and not all(a.settled_once for a in self.accounts.values()):
            return [], []
        symbols = self.decider.bars.due_symbols(now)
        if not symbols:
            return [], []
        standing = self._standing(now)
        entries = self.decider.decide(symbols, standing, now)
        self._watch_stall(standing, now)
        return symbols, entries

    def _execute(self, entries: list[Entry], now: datetime, *, decided: bool) -> None:
        self._keeper.save()  # stop distances and exit plans are durable before anything is sent
        if decided:  # the bar that came with it raises stops
            for key in self.exit_planner.plan_all(now):
                self.protector.protect(key, now)
        for name in list(self.state.exits):
            self.protector.protect(key_of(name), now)
        for key in self.entries.send(entries, self._standing(now), now):
            self.protector.protect(key, now)  # what was bought at once has its stop at once
        known = len(self.desk.new_fills)
        for name in sorted(self.desk.unasked):
            self.desk.settle(self.accounts[name], now)
        if len(self.desk.new_fills) > known:
            self.protector.protect_all(now)

    def _record(self, now: datetime, next_cycle_at: datetime) -> Snapshot | None:
        failed = bool(self.state.stop_refused) or has_failed(self.accounts, self.decider.gates, self.desk)
        self.guards.count_cycle(failed=failed)
        self._last_equity = float(self.wealth.equity())  # after this cycle's own orders and their fees
        equity = self._last_equity
        cash = float(self.wealth.cash())
        fresh = all(account.fresh for account in self.accounts.values())
        point = EquityPoint(
            at=now,
            equity=equity,
            cash=cash,
            performance_index=float(self.performance.index),
            high_water_mark=float(self.performance.high_water_mark),
            exposure_frac=self._exposure_frac(),
            fresh=fresh,
        )
        snapshot = None
        if self._cycle % self.config.snapshot_every_cycles == 0:
            snapshot = self.snapshot(now, next_cycle_at)
            self._snapshot_at = now
        self._last_at = now
        with self._ledger.transaction():
            self._ledger.record_equity(point)
            self._ledger.set_value(PERFORMANCE_KEY, performance.to_json(self.performance))
            if snapshot is not None:
                self._ledger.set_value(SNAPSHOT_KEY, snapshot)
            self._keeper.save()
        self._tiers.save()
        return snapshot

    # -- helpers ---------------------------------------------------------------------------------

    def snapshot(self, now: datetime, next_cycle_at: datetime) -> Snapshot:
        """Describe the account as it stands."""
        equity = self._last_equity
        cash = float(self.wealth.cash())
        p = self.performance
        totals = Totals(
            equity=equity,
            fresh=all(account.fresh for account in self.accounts.values()),
            cash=cash,
            exposure_frac=self._exposure_frac(),
            index=float(p.index),
            high_water_mark=float(p.high_water_mark),
            drawdown=performance.drawdown_pct(self._measured) / 100,
            day_loss=performance.daily_loss_pct(self._measured) / 100,
            today_pnl=equity - self.state.today_start_usd - self.state.today_flows_usd,
            tier=self._tiers.current_name,
            max_positions=self._max_positions(),
            risk_pct=self._risk_pct(),
        )
        return build_snapshot(
            config=self.config,
            state=self.state,
            accounts=self.accounts,
            book=self.book,
            decider=self.decider,
            orders=self.desk.live(),
            readings=self.guards.readings,
            mode=self.guards.mode,
            reason=self.guards.reason,
            totals=totals,
            earlier=self._earlier,
            wealth=self.wealth,
            findings=self.reconciler.findings(now),
            reconciled_at=self.reconciler.reconciled_at,
            cycle=self._cycle,
            now=now,
            next_cycle_at=next_cycle_at,
        )

    def halt_by_fault(self) -> None:
        """Halt over restarts after an error inside the program: what it believes cannot be trusted."""
        self.state.halted_by = "fault"
        self._keeper.save()

    def finish(self) -> None:
        """Write what is written lazily. Positions and their stops stay as they are."""
        if self._last_at is not None and self._snapshot_at != self._last_at:
            next_cycle_at = self._last_at + timedelta(seconds=self.config.poll_s)
            self._ledger.set_value(SNAPSHOT_KEY, self.snapshot(self._last_at, next_cycle_at))
        self._tiers.save(force=True)

    def tier_history(self) -> list[dict[str, object]]:
        """The tier changes that the state file knows, oldest first."""
        return [change.to_dict() for change in self._tiers.state.upgrade_history]

    def _exposure_frac(self) -> float:
        equity = self._last_equity
        cash = float(self.wealth.cash())
        return (equity - cash) / equity if equity > 0 else 0.0

    def _frozen(self, now: datetime) -> bool:
        """Whether tier, high-water mark and latches must stand still."""
        fresh = all(account.fresh for account in self.accounts.values())
        return not fresh or self.flows.transfer_pending(now) or self.reconciler.is_short or not self.book.quote

    def _tier(self) -> ScalingTier | None:
        return self._tiers.current

    def _max_positions(self) -> int:
        tier = self._tier()
        allowed = tier.max_positions if tier is not None else 0
        ceiling = self.config.max_positions_ceiling
        return allowed if ceiling is None else min(allowed, ceiling)

    def _risk_pct(self) -> float:
        tier = self._tier()
        allowed = tier.risk_per_trade if tier is not None else 0.0
        ceiling = self.config.risk_ceiling_pct
        return allowed if ceiling is None else min(allowed, ceiling)

    def _standing(self, now: datetime) -> Standing:
        return Standing(
            now=now,
            equity=float(self.wealth.equity()),  # after what this cycle's exits have cost
            drawdown=performance.drawdown_pct(self._measured) / 100,
            day_loss=performance.daily_loss_pct(self._measured) / 100,
            risk_frac=self._risk_pct() / 100,
            max_positions=self._max_positions(),
            block=self.guards.entry_block(now),
            halted=self.guards.mode is EngineMode.HALTED,
        )

    def _watch_stall(self, standing: Standing, now: datetime) -> None:
        if standing.block is not None:
            return
        possible, reason = self.decider.largest_possible(standing)
        if possible or not self.state.last_possible_order_at:
            self.state.last_possible_order_at = now.isoformat()
        self.state.stall_reason = "" if possible else reason
