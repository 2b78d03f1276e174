"""`run`: start the bot. Chooses the mode, says why, and keeps the loop going until told to stop."""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import click

from bot.bootstrap import Session, open_simulated
from bot.cli.env import ENV_FILE, current_time, settings_from
from bot.cli.log import CycleLog, set_up_logging
from bot.cli.modes import choose_mode, ctrl_c_ends, live_left_alone, somebody_is_there
from bot.cli.replay import run_replay
from bot.clock import StopSignal
from bot.domain.errors import BotError
from bot.domain.modes import TradingMode
from bot.engine.engine import CycleResult
from bot.engine.runner import run_engine
from bot.settings import env_file_is_private
from bot.settings_rules import LOOPBACK_HOSTS
from bot.settings_schema import SETTINGS, Settings, accounts_with_keys, configured_accounts
from bot.storage.lock import holder
from bot.storage.modes import mode_folder
from bot.views.once_text import sleep_lines

SIMULATED_PACE_S = 1.0
"""Real seconds per simulated hour."""

SHORTEST_INTERVAL_S = 5.0
"""Between two cycles that ask an exchange; one on this machine may be asked at any rate."""

DEFAULT_SOURCE = "binance"
EXIT_UNHEALTHY = 4
SETTLING_MOST = 6
"""Cycles beyond the one of --once, 20 seconds apart, while a stop is not in place or nobody knows what became of an
order: the next run may be a day away."""


@click.command()
@click.option("--live", is_flag=True, help="Trade REAL MONEY; confirms it, for a service.")
@click.option("--paper", is_flag=True, help="Trade play money on live prices.")
@click.option("--simulated", is_flag=True, help="Play money on invented prices, an hour a second.")
@click.option(
    "--replay", "replay_folder", type=click.Path(path_type=Path), metavar="DIR", help="Play money on candle files."
)
@click.option("--source", metavar="NAME", help="Replay: whose candle files: binance (the default), coinbase or kraken.")
@click.option("--from", "from_text", metavar="DATE", help="Replay: first day, UTC; what lies before it is warm-up.")
@click.option("--to", "to_text", metavar="DATE", help="Replay: last day, UTC.")
@click.option("--equity", metavar="USD", help="Replay: starting cash; split over the venues where each part is of use.")
@click.option("--venues", metavar="NAMES", help="Replay: paper accounts, such as coinbase,kraken.")
@click.option("--timeframe", metavar="1h|4h|1d|...", help="Replay: candles to run on (default: 1h where they cover).")
@click.option("--once", is_flag=True, help="Run one full cycle, say how long it may sleep, and end.")
@click.option("--cycles", type=click.IntRange(min=1), metavar="N", help="End after N cycles.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.0, max=3600.0),
    metavar="SECONDS",
    help="Real seconds between two cycles (simulated: 1; live and paper: POLL_SECONDS).",
)
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Simulated: seed of a new invented market.")
@click.option("--json", "as_json", is_flag=True, help="Replay: print one JSON object.")
def run(
    *,
    live: bool,
    paper: bool,
    simulated: bool,
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

    Real money needs LIVE_TRADING, keys and a confirmation. Anything less is play money on live prices, or on
    invented ones where no exchange can be reached, and it says so.
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
    wanted = _one_mode({"live": live, "paper": paper, "simulated": simulated, "replay": replay_folder is not None})
    settings = settings_from()
    with _stop_on_signals() as stop:
        if replay_folder is not None:
            _refuse_options("--replay", {"--seed": seed, "--interval": interval})
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
            _run_session(settings, wanted, seed=seed, interval_s=interval, once=once, cycles=cycles, stop=stop)
        stopped = stop.requested
    if stopped and replay_folder is not None:
        raise SystemExit(130)


def _run_session(
    settings: Settings,
    wanted: str | None,
    *,
    seed: int | None,
    interval_s: float | None,
    once: bool,
    cycles: int | None,
    stop: StopSignal,
) -> None:
    """Choose the mode, say so, and run it."""
    choice = choose_mode(settings, wanted, can_ask=somebody_is_there() and not once)
    mode = choice.mode
    _warn_of_open_files(settings)
    if mode is not TradingMode.SIMULATED:
        _check_interval(settings, interval_s)
    if mode is TradingMode.PAPER:
        click.echo(f"PAPER, no real orders: {choice.why}.", err=True)
        mode = _paper_or_simulated(settings, asked_for=wanted == "paper")
    if mode is not TradingMode.SIMULATED:
        _refuse_options(f"{mode.value.lower()} prices", {"--seed": seed})
    first_words = [*_mode_lines(settings, mode, SIMULATED_PACE_S if interval_s is None else interval_s)]
    if mode is not TradingMode.LIVE:
        first_words += live_left_alone(settings)
    _say_unless_running(settings, mode, first_words)
    command = f"run --{mode.value.lower()}" + (" --once" if once else "")
    session = _open(settings, mode, seed=seed, interval_s=interval_s, stop=stop, command=command)
    on_terminal = not once and sys.stdout.isatty() and sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    last: CycleResult | None = None
    try:
        with (
            _reporter(settings, mode, first_words, on_terminal=on_terminal) as report,
            _outside(settings, session, once=once) as tell,
        ):

            def on_cycle(result: CycleResult) -> None:
                nonlocal last
                last = result
                session.after_cycle(result.at)
                report(result)
                tell(result)

            run_engine(
                session.engine,
                session.clock,
                stopped=lambda: stop.requested,
                on_cycle=on_cycle,
                cycles=1 if once else cycles,
                settling_most=SETTLING_MOST if once else 0,
            )
    finally:
        session.close()
    silent = False
    if mode is not TradingMode.SIMULATED and last is not None and last.snapshot is not None:
        silent = not last.snapshot["fresh"]
        for line in sleep_lines(last.snapshot):
            click.echo(f"{mode.value} {line}", err=True)
    click.echo(f"Ended cleanly; the account is kept in {session.folder.resolve()}.", err=True)
    if once and silent:
        raise SystemExit(EXIT_UNHEALTHY)


def _say_unless_running(settings: Settings, mode: TradingMode, lines: Sequence[str]) -> None:
    """Say the first words, but not where a bot runs already: this start fails then, and nothing of it would be true."""
    runs = False
    with suppress(BotError):  # a lock that cannot be read: the start says so in a moment
        runs = holder(mode_folder(settings.state_dir, mode)) is not None
    for line in () if runs else lines:
        click.echo(line, err=True)


def _open(
    settings: Settings,
    mode: TradingMode,
    *,
    seed: int | None,
    interval_s: float | None,
    stop: StopSignal,
    command: str,
) -> Session:
    if mode is TradingMode.SIMULATED:
        pace_s = SIMULATED_PACE_S if interval_s is None else interval_s
        return open_simulated(settings, seed=seed, pace_s=pace_s, stop=stop, now=current_time(), command=command)
    from bot.bootstrap_live import open_live, open_paper  # noqa: PLC0415 - the exchanges' clients are loaded where used

    build = open_live if mode is TradingMode.LIVE else open_paper
    return build(settings, stop=stop, now=current_time(), interval_s=interval_s, command=command)


def _paper_or_simulated(settings: Settings, *, asked_for: bool) -> TradingMode:
    """Live prices where an exchange answers; else the built-in market, offered to whoever is there."""
    from bot.bootstrap_live import reachable  # noqa: PLC0415 - see above

    silent = {account: why for account, why in reachable(settings).items() if why}
    if len(silent) < len(configured_accounts(settings)):
        return TradingMode.PAPER
    for account, why in silent.items():
        click.echo(f"No answer from {account}: {why}", err=True)
    question = "No exchange can be reached. Trade play money on the built-in market with invented prices?"
    with ctrl_c_ends():
        refused = somebody_is_there() and not click.confirm(question, err=True, default=True)
    if refused:
        raise click.ClickException("no exchange can be reached; see your network, or COINBASE_API_URL, KRAKEN_API_URL")
    consequence = ", so --paper has no live prices" if asked_for else ""
    click.echo(f"No exchange can be reached{consequence}; the built-in market is used.", err=True)
    return TradingMode.SIMULATED


def _mode_lines(settings: Settings, mode: TradingMode, pace_s: float) -> Iterator[str]:
    """Say in a line or two what this mode means."""
    names = ", ".join(configured_accounts(settings))
    match mode:
        case TradingMode.LIVE:
            used = accounts_with_keys(settings)
            yield f"LIVE: REAL MONEY on {', '.join(used)}; no return is promised."
            for name in configured_accounts(settings):
                if name not in used:
                    yield f"{name} is left out: its credentials are not set."
            yield f"Asking {', '.join(used)}; the first answers may take up to 25 seconds."
        case TradingMode.PAPER:
            yield f"PAPER: live prices of {names}, play money, nothing is sent anywhere."
        case _:
            pace = (
                "each second"
                if pace_s == 1
                else f"every {pace_s:g} seconds"
                if pace_s
                else "as fast as it can be computed"
            )
            about = f"prices are invented, an hour passes {pace}"
            yield f"SIMULATED: {about}, money is play money, nothing is sent anywhere."


def _warn_of_open_files(settings: Settings) -> None:
    if any(
        getattr(settings, name.lower()) for name, spec in SETTINGS.items() if spec.secret
    ) and not env_file_is_private(ENV_FILE):
        click.echo("WARNING: .env holds secrets and can be read by others: `chmod 600 .env`.", err=True)
    for name in settings.open_secret_files:
        click.echo(f"WARNING: the file that {name} names can be read by others: `chmod 600` it.", err=True)


def _check_interval(settings: Settings, interval_s: float | None) -> None:
    """Refuse a pace at which an exchange would lock the key out."""
    if interval_s is None or interval_s >= SHORTEST_INTERVAL_S:
        return
    urls = [str(getattr(settings, f"{account}_api_url")) for account in configured_accounts(settings)]
    if not all(urlsplit(url).hostname in LOOPBACK_HOSTS for url in urls):
        raise click.BadParameter(
            f"must be at least {SHORTEST_INTERVAL_S:g} seconds on live prices, was {interval_s:g}",
            param_hint="'--interval'",
        )


@contextmanager
def _outside(settings: Settings, session: Session, *, once: bool) -> Iterator[Callable[[CycleResult], None]]:
    """Alerts, heartbeat and systemd, for modes in which a machine runs alone; a simulation tells nobody."""
    if session.mode is TradingMode.SIMULATED:
        yield lambda _: None
        return
    from bot.cli.outside import Outside  # noqa: PLC0415 - a simulation needs none of it

    outside = Outside(settings, session)
    outside.started(to_stay=not once)
    try:
        yield outside.after
    except Exception as e:
        outside.ended(e)
        raise
    finally:
        outside.close()


@contextmanager
def _reporter(
    settings: Settings, mode: TradingMode, first_words: Sequence[str], *, on_terminal: bool
) -> Iterator[Callable[[CycleResult], None]]:
    """One calm screen on a terminal, one log line per cycle elsewhere."""
    set_up_logging(to_stderr=not on_terminal)
    if on_terminal:
        from bot.cli.screen import status_screen  # noqa: PLC0415  rich is loaded where there is a screen only

        with status_screen(settings, mode, first_words) as show:
            yield show
        return

    yield CycleLog(
        mode.value,
        signal_rejections=settings.log_signal_rejections,
        entry_blocks=settings.log_entry_block_reasons,
    ).write


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


def _one_mode(asked: Mapping[str, bool]) -> str | None:
    """The mode that was asked for, None for none; two are wrong usage."""
    names = [name for name, is_set in asked.items() if is_set]
    if len(names) > 1:
        raise click.UsageError(f"{' and '.join(f'--{name}' for name in names)}: one mode at a time")
    return names[0] if names else None


def _refuse_options(what: str, options: Mapping[str, object]) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise click.UsageError(f"{', '.join(given)}: not for {what}")
