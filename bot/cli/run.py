"""`run`: start the bot. Chooses the mode, says why, and keeps the loop going until told to stop."""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import click

from bot.bootstrap import open_simulated
from bot.cli.env import ENV_FILE, current_time, settings_from
from bot.cli.log import log_cycle, set_up_logging
from bot.cli.replay import run_replay
from bot.clock import StopSignal
from bot.domain.errors import ConfigError
from bot.domain.modes import TradingMode
from bot.engine.engine import CycleResult
from bot.engine.runner import run_engine
from bot.settings import env_file_is_private
from bot.settings_schema import Settings

SIMULATED_PACE_S = 1.0
"""Real seconds per simulated hour."""

DEFAULT_SOURCE = "binance"


@click.command()
@click.option("--live", "wanted", flag_value="live", help="Trade real money (not in this version).")
@click.option("--paper", "wanted", flag_value="paper", help="Trade play money (the default).")
@click.option("--simulated", "wanted", flag_value="simulated", help="Play money on invented prices, an hour a second.")
@click.option(
    "--replay", "replay_folder", type=click.Path(path_type=Path), metavar="DIR", help="Play money on candle files."
)
@click.option("--source", metavar="NAME", help="Replay: whose candle files: binance (the default), coinbase or kraken.")
@click.option("--from", "from_text", metavar="DATE", help="Replay: first day, UTC; what lies before it is warm-up.")
@click.option("--to", "to_text", metavar="DATE", help="Replay: last day, UTC.")
@click.option("--equity", metavar="USD", help="Replay: starting cash; split over the venues where each part is of use.")
@click.option("--venues", metavar="NAMES", help="Replay: paper accounts, such as coinbase,kraken.")
@click.option("--timeframe", metavar="1h|4h|1d|...", help="Replay: candles to run on (default: 1h where they cover).")
@click.option("--once", is_flag=True, help="Run one cycle and end.")
@click.option("--cycles", type=click.IntRange(min=1), metavar="N", help="End after N cycles.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.0, max=3600.0),
    metavar="SECONDS",
    help="Simulated: real seconds between two cycles (default 1).",
)
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Simulated: seed of a new invented market.")
@click.option("--json", "as_json", is_flag=True, help="Replay: print one JSON object.")
def run(
    *,
    wanted: str | None,
    replay_folder: Path | None,
    source: str | None,
    from_text: str | None,
    to_text: str | None,
    equity: str | None,
    venues: str | None,
    timeframe: str | None,
    once: bool,
    cycles: int | None,
    interval: float | None,
    seed: int | None,
    as_json: bool,
) -> None:
    """Run the bot until Ctrl-C or SIGTERM.

    Without a network and without settings it trades play money on invented prices, and says so.
    """
    replay_only = {
        "--source": source,
        "--from": from_text,
        "--to": to_text,
        "--equity": equity,
        "--venues": venues,
        "--timeframe": timeframe,
        "--json": as_json or None,
    }
    if interval is not None and math.isnan(interval):  # every comparison of a range lets it through
        raise click.BadParameter("nan is not a number of seconds", param_hint="'--interval'")
    settings = settings_from()
    with _stop_on_signals() as stop:
        if replay_folder is not None:
            _refuse_options("--replay", {"--seed": seed, "--interval": interval, f"--{wanted}": wanted})
            run_replay(
                settings,
                folder=replay_folder,
                source=DEFAULT_SOURCE if source is None else source,
                from_text=from_text,
                to_text=to_text,
                equity_text=equity,
                venues_text=venues,
                timeframe=timeframe,
                as_json=as_json,
                cycles=1 if once else cycles,
                stop=stop,
                now=current_time(),
            )
        else:
            _refuse_options("a run without --replay", replay_only)
            pace_s = SIMULATED_PACE_S if interval is None else interval
            for line in mode_notes(settings, wanted, pace_s=pace_s):
                click.echo(line, err=True)
            _run_simulated(settings, seed=seed, pace_s=pace_s, cycles=1 if once else cycles, stop=stop)
        stopped = stop.requested
    if stopped and replay_folder is not None:
        raise SystemExit(130)


def mode_notes(settings: Settings, wanted: str | None, *, pace_s: float = SIMULATED_PACE_S) -> Iterator[str]:
    """Say which mode runs and why, a line each; raises ConfigError for --live.

    This version has the built-in market only: everything ends there, loudly.
    """
    if wanted == "live":
        raise ConfigError("--live: this version has no live venues; it cannot send a real order. Run it without --live")
    secrets = (settings.coinbase_api_secret, settings.kraken_master_api_secret)
    if any(secrets) and not env_file_is_private(ENV_FILE):
        yield "WARNING: .env holds secrets and can be read by others: `chmod 600 .env`."
    if wanted != "simulated":
        missing = missing_credentials(settings)
        if not settings.live_trading:
            why = "LIVE_TRADING is False"
        elif wanted == "paper":
            why = "--paper"
        elif missing:
            why = f"no venue has complete credentials ({', '.join(missing)} not set)"
        else:
            why = "this version has no live venues"
        yield f"PAPER, no real orders: {why}."
        yield "This version takes no live prices; the built-in market is used."
    pace = "each second" if pace_s == 1 else f"every {pace_s:g} seconds" if pace_s else "as fast as it can be computed"
    yield f"SIMULATED: prices are invented, an hour passes {pace}, money is play money, nothing is sent anywhere."


def missing_credentials(settings: Settings) -> list[str]:
    """Names to set before any venue has complete credentials; [] where one has."""
    pairs = [
        {"COINBASE_API_KEY": settings.coinbase_api_key, "COINBASE_API_SECRET": settings.coinbase_api_secret},
        {
            "KRAKEN_MASTER_API_KEY": settings.kraken_master_api_key,
            "KRAKEN_MASTER_API_SECRET": settings.kraken_master_api_secret,
        },
    ]
    missing = [[name for name, value in pair.items() if not value] for pair in pairs]
    return [] if not all(missing) else [name for names in missing for name in names]


def _run_simulated(
    settings: Settings, *, seed: int | None, pace_s: float, cycles: int | None, stop: StopSignal
) -> None:
    session = open_simulated(
        settings,
        seed=seed,
        pace_s=pace_s,
        stop=stop,
        now=current_time(),
    )
    on_terminal = sys.stdout.isatty() and sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    try:
        with _reporter(settings, session.mode, on_terminal=on_terminal) as report:

            def on_cycle(result: CycleResult) -> None:
                session.after_cycle(result.at)
                report(result)

            run_engine(session.engine, session.clock, stopped=lambda: stop.requested, on_cycle=on_cycle, cycles=cycles)
    finally:
        session.close()
    click.echo(f"Ended cleanly; the account is kept in {session.folder.resolve()}.", err=True)


@contextmanager
def _reporter(settings: Settings, mode: TradingMode, *, on_terminal: bool) -> Iterator[Callable[[CycleResult], None]]:
    """One calm screen on a terminal, one log line per cycle elsewhere."""
    set_up_logging(to_stderr=not on_terminal)
    if on_terminal:
        from bot.cli.screen import status_screen  # noqa: PLC0415  rich is loaded where there is a screen only

        with status_screen(settings, mode) as show:
            yield show
        return

    def log(result: CycleResult) -> None:
        log_cycle(
            result,
            mode.value,
            signal_rejections=settings.log_signal_rejections,
            entry_blocks=settings.log_entry_block_reasons,
        )

    yield log


@contextmanager
def _stop_on_signals() -> Iterator[StopSignal]:
    """Turn SIGINT and SIGTERM into a wish to stop; the second SIGINT ends at once."""
    stop = StopSignal()

    def request(number: int, _frame: object) -> None:
        if stop.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.request()

    before = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        stop.close()


def _refuse_options(what: str, options: Mapping[str, object]) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise click.UsageError(f"{', '.join(given)}: not for {what}")
