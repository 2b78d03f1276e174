"""What the running bot tells the outside: alerts to people, a heartbeat to a monitor, its health to systemd."""

from __future__ import annotations

from loguru import logger

from bot.alerts import systemd
from bot.alerts.events import AlertWatch, CycleFacts, restart_alert
from bot.alerts.heartbeat import Heartbeat
from bot.alerts.notifier import Notifier, alert_levels
from bot.bootstrap import Session
from bot.cli.env import current_time, program_version
from bot.domain.errors import BotError, InvariantError, LedgerError
from bot.engine.engine import CycleResult
from bot.settings_schema import Settings
from bot.views.folders import find_place

MEMORY_KEY = "alerts"
LAST_WORDS_S = 15.0
"""So long may the last alerts take when the program ends, and so long the last ping; what is left of the alerts is
sent by the next start."""

LAST_WORDS_ONCE_S, LAST_PING_ONCE_S = 5.0, 2.0
"""The same for a single cycle: the next start is minutes away, and a phone or a timer waits for the end."""


class Outside:
    """Told of each cycle; nothing here stops or delays the bot."""

    def __init__(self, settings: Settings, session: Session) -> None:
        self._settings = settings
        self._session = session
        stored = session.ledger.value(MEMORY_KEY)
        self._stored = stored if isinstance(stored, dict) else {}
        self._watch = AlertWatch(self._stored.get("watch"))
        self._notifier = Notifier(settings.notify_urls, alert_levels(settings), self._stored.get("waiting"))
        self._heartbeat = Heartbeat(settings.heartbeat_url)
        self._told_start = False
        self._was_started_to_stay = False

    def started(self, *, to_stay: bool) -> None:
        """The loop begins; ``to_stay``: it is no single cycle from a clock, which would tell of a start each time."""
        self._was_started_to_stay = to_stay
        systemd.ready()

    def after(self, result: CycleResult) -> None:
        """Look at what a cycle did."""
        now = current_time()
        if self._was_started_to_stay and not self._told_start:
            self._told_start = True
            mode = self._session.mode.value
            self._notifier.tell(restart_alert(mode=mode, at=now, equity=result.equity, version=program_version()))
        facts = CycleFacts(
            at=result.at,
            mode=self._session.mode.value,
            tier_change=result.tier_change,
            engine_mode=result.mode.value,
            reason=result.reason,
            guards_activated=result.guards_activated,
            rejections=result.rejections,
            snapshot=result.snapshot,
        )
        for alert in self._watch.cycle_alerts(facts):
            self._notifier.tell(alert)
        digest = self._watch.digest_alert(
            result.snapshot, every=self._settings.digest_every, now=now, receipt=self._receipt
        )
        if digest is not None:
            self._notifier.tell(digest)
        self._notifier.poll(now)
        self._remember()
        if result.snapshot is not None and result.snapshot["fresh"]:
            self._heartbeat.ping()
        systemd.watchdog()
        systemd.status(f"{self._session.mode.value} {result.mode.value} equity ${result.equity:.2f} {result.reason}")

    def ended(self, error: Exception) -> None:
        """Tell that an error ends the bot; ``close`` sends it."""
        now = current_time()
        alert = self._watch.ended_alert(reason_of(error), mode=self._session.mode.value, at=now)
        if alert is not None:
            self._notifier.tell(alert)

    def close(self) -> None:
        """Send what waits, for a bounded time."""
        systemd.stopping()
        stayed = self._was_started_to_stay
        self._notifier.close(current_time(), wait_s=LAST_WORDS_S if stayed else LAST_WORDS_ONCE_S)
        self._heartbeat.close(wait_s=LAST_WORDS_S if stayed else LAST_PING_ONCE_S)
        try:
            self._remember()
        except LedgerError as e:  # what ended the bot, if anything did, is the error to report
            logger.warning("alerts: what has been told could not be recorded, and may be told again: {}", e)

    def _receipt(self) -> list[str]:
        """Lines of the receipt; none where it cannot be made: the summary comes all the same."""
        from bot.views.receipt import read_receipt  # noqa: PLC0415 - needed once a week
        from bot.views.receipt_text import digest_receipt  # noqa: PLC0415 - the same

        settings = self._settings
        try:
            found = read_receipt(
                find_place(settings.state_dir, self._session.mode),
                server_cost_usd_month=settings.server_cost_usd_month,
                cash_yield_pct=settings.cash_yield_pct,
            )
        except BotError as e:
            logger.warning("alerts: the summary goes without its receipt: {}", e)
            return []
        return digest_receipt(found)

    def _remember(self) -> None:
        memory: dict[str, object] = {"watch": self._watch.memory(), "waiting": self._notifier.memory()}
        if memory != self._stored:
            self._session.ledger.set_value(MEMORY_KEY, memory)
            self._stored = memory


def reason_of(error: Exception) -> str:
    """Say why the bot ends, in words that may leave the machine."""
    if isinstance(error, BotError) and not isinstance(error, InvariantError):
        return str(error)
    # Not its words: nobody has looked whether they repeat a key.
    return f"an error inside the program ({type(error.__cause__ or error).__name__}); its log says which"
