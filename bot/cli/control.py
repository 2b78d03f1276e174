"""`halt`, `pause`, `resume`, `flatten`: tell the running bot, or do it here where none runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import click

from bot.bootstrap import CONTROL_FOLDER, Session, open_simulated
from bot.cli.env import current_time, settings_for_looking, settings_from
from bot.cli.modes import check_live
from bot.cli.options import chosen_mode, json_option, mode_option, nothing_recorded_is_3
from bot.clock import StopSignal
from bot.domain.errors import BotError, ConfigError
from bot.domain.modes import TradingMode
from bot.domain.orders import Purpose
from bot.domain.snapshot import FindingView
from bot.engine.engine import Engine
from bot.settings_schema import Settings
from bot.storage.control import ControlQueue
from bot.storage.ledger_reader import LedgerReader
from bot.storage.lock import LockHolder, holder
from bot.storage.modes import ledger_path, mode_folder
from bot.views.findings import accepted_words, still_missing_words
from bot.views.folders import NothingRecordedError, Place, find_place
from bot.views.status import json_text

ATTENDED_POLL_S = 5.0
"""Between two cycles of a command that somebody waits for."""

TAKEN_WITHIN_S = 30.0
"""So long, after its sleep, may a running bot be busy before it takes a command."""
LOOKED_EVERY_S = 0.1

_STEERED = (TradingMode.LIVE, TradingMode.PAPER, TradingMode.SIMULATED)

FLATTEN_CYCLES_MAX = 5
"""A sale takes two cycles; a stop that must first be taken back from a slow venue some more."""
IN_DOUBT_CYCLES_MAX = 36
"""The same while nobody knows what became of a sale: three minutes settle that."""


@click.command()
@mode_option
@json_option
def halt(*, mode_name: str | None, as_json: bool) -> None:
    """Stop entries and cancel those that rest; stops stay where they are."""
    done = "HALTED: no entries; positions keep their stops. `resume` goes on."
    _command(_place(mode_name), "halt", done, as_json=as_json)


@click.command()
@mode_option
@json_option
def pause(*, mode_name: str | None, as_json: bool) -> None:
    """Stop opening; go on managing and closing what is open."""
    done = "REDUCE_ONLY: no entries; exits go on. `resume` goes on."
    _command(_place(mode_name), "pause", done, as_json=as_json)


@click.command()
@mode_option
@click.option("--reset-drawdown", is_flag=True, help="Also end a drawdown halt: drawdown counts anew from now.")
@click.option("--book-out", is_flag=True, help="Also book coins of the bot that are missing out, like a withdrawal.")
@click.option("--accept-results", is_flag=True, help="Also go on after results below what was expected.")
@json_option
def resume(*, mode_name: str | None, reset_drawdown: bool, book_out: bool, accept_results: bool, as_json: bool) -> None:
    """End a halt or a pause, and accept what does not agree with the venues (FINDINGS in the status).

    Coins that are missing leave the books with --book-out only, a drawdown halt ends with --reset-drawdown only, a
    pause for results below what was expected with --accept-results only.
    """
    place = _place(mode_name)
    findings = _findings(place)
    accepted = accepted_words(findings, book_out=book_out)
    stands = [] if book_out else still_missing_words(findings)
    reset = ["The drawdown counts from the present equity; this is recorded."] if reset_drawdown else []
    anew = ["Results count anew from now against what is expected; this is recorded."] if accept_results else []
    done = " ".join(["Resumed.", *reset, *anew, *accepted, *stands])
    _command(
        place,
        "resume",
        done,
        as_json=as_json,
        accepted=accepted,
        reset_drawdown=reset_drawdown,
        book_out=book_out,
        accept_results=accept_results,
    )


@click.command()
@mode_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def flatten(*, mode_name: str | None, yes: bool, as_json: bool) -> None:
    """Sell every position at the market and stay halted."""
    place = _place(mode_name)
    if not (yes or _confirmed(place.mode)):
        raise click.ClickException("nothing was sold; answer 'flatten', or add --yes where nobody can answer")
    rest = "Coins that the bot did not buy are not touched. Then it is HALTED; `resume` goes on."
    _command(
        place,
        "flatten",
        f"Every position of the bot is being sold. {rest}",
        done_here=f"Every position of the bot is sold. {rest}",
        as_json=as_json,
    )


def _confirmed(mode: TradingMode) -> bool:
    question = f"This sells every position of the {mode} account at the market. Type 'flatten' to go on"
    try:
        return bool(click.prompt(question, err=True) == "flatten")
    except click.Abort:  # nobody is there to answer, or Ctrl-C
        click.echo(err=True)
        return False


def _place(mode_name: str | None) -> Place:
    """Find the account that is to be steered; a replay that is newer than every account does not hide them."""
    wanted = chosen_mode(mode_name)
    state_dir = settings_for_looking().state_dir
    with nothing_recorded_is_3():
        place = find_place(state_dir, wanted)
    if place.mode is not TradingMode.REPLAY:
        live = ledger_path(mode_folder(state_dir, TradingMode.LIVE))
        if wanted is None and place.holder is None and place.mode is not TradingMode.LIVE and live.exists():
            raise click.UsageError(f"there is a LIVE account too: say --mode live or --mode {place.mode.value.lower()}")
        return place
    found = []
    for mode in _STEERED if wanted is None else ():
        with suppress(NothingRecordedError):
            found.append(find_place(state_dir, mode))
    if not found:
        raise _NotRunning("only a replay is recorded here, and a replay cannot be steered")
    return max(found, key=lambda account: (account.holder is not None, account.written_at))


def _command(
    place: Place,
    name: str,
    done: str,
    *,
    as_json: bool,
    done_here: str = "",
    accepted: Sequence[str] = (),
    **arguments: bool,
) -> None:
    """Tell the running bot, or do it here; ``done_here`` says what that means where it differs from ``done``."""
    document = {"command": name, "mode": place.mode.value, "accepted": [*accepted], **arguments}
    if place.holder is not None:
        _tell(place, place.holder, name, as_json=as_json, **arguments)
        _say({**document, "by": "running bot"}, f"Taken. {done} `status` shows what came of it.", as_json=as_json)
        return
    try:
        _without_bot(settings_from(), place.mode, name, lambda session: _queue(session.folder, name, **arguments))
    except ConfigError as e:
        raise ConfigError(f"{e}\n`{name}` has done nothing: nothing was cancelled, nothing sold") from e
    text = f"No bot was running; done here ({place.mode}). {done_here or done}"
    _say({**document, "by": "this command"}, text, as_json=as_json)


def _say(document: Mapping[str, object], text: str, *, as_json: bool) -> None:
    click.echo(json_text({**document, "text": text}) if as_json else text)


def _findings(place: Place) -> Sequence[FindingView]:
    """What stood at the end of the last cycle; nothing where none of this version is recorded."""
    snapshot = None
    with suppress(BotError), LedgerReader(ledger_path(place.folder)) as reader:  # steering must work all the same
        snapshot = reader.snapshot()
    return snapshot["findings"] if snapshot is not None else ()


def _tell(place: Place, running: LockHolder, name: str, *, as_json: bool, **arguments: bool) -> None:
    """Queue a command and wait until the running bot has taken it; says so where it does not."""
    queued = _queue(place.folder, name, **arguments)
    wait_s = TAKEN_WITHIN_S + _until_next_cycle_s(place)
    text = f"Told the running bot ({place.mode}). Waiting until it takes the command, at most {wait_s:.0f} s."
    click.echo(text, err=as_json)
    stop = StopSignal()
    try:
        for _ in range(math.ceil(wait_s / LOOKED_EVERY_S)):
            if not queued.exists():
                return
            if holder(place.folder) is None:
                raise _NotTaken(f"the bot has ended and has not taken it; {_again(name)}, and it is done here")
            stop.wait(LOOKED_EVERY_S)
    finally:
        stop.close()
    unsold = ", and nothing has been sold" if name == "flatten" else ""
    which = f" (pid {running.pid})" if running.pid is not None else ""
    raise _NotTaken(
        f"the running bot{which} has not taken the command within {wait_s:.0f} s{unsold}: it is busy with "
        f"a venue, sleeps for longer (POLL_SECONDS, --interval), or hangs. The command stays in the queue. Where the "
        f"bot hangs (`bot.py doctor --quick` shows its last cycle), end it; then {_again(name)}, and it is done here"
    )


def _again(name: str) -> str:
    return f"say `{name}` again"


def _until_next_cycle_s(place: Place) -> float:
    """Real seconds for which a bot that is well may sleep now; 0 where that is not known."""
    if place.mode is TradingMode.SIMULATED:
        return 0.0  # its time is invented
    try:
        with LedgerReader(ledger_path(place.folder)) as reader:
            snapshot = reader.snapshot()
    except BotError:
        return 0.0
    if snapshot is None:
        return 0.0
    sleeps_s = (datetime.fromisoformat(snapshot["next_cycle_at"]) - current_time()).total_seconds()
    return min(max(0.0, sleeps_s), snapshot["poll_s"])


def _queue(folder: Path, name: str, **arguments: bool) -> Path:
    return ControlQueue(folder / CONTROL_FOLDER).put(name, now=current_time(), **arguments)


def _open(settings: Settings, mode: TradingMode, *, stop: StopSignal, command: str) -> Session:
    """Open the account as the bot itself would, in its mode."""
    if mode is TradingMode.SIMULATED:
        return open_simulated(settings, seed=None, pace_s=0.0, stop=stop, now=current_time(), command=command)
    from bot.bootstrap_live import open_live, open_paper  # noqa: PLC0415 - the exchanges' clients are loaded where used

    if mode is TradingMode.PAPER:
        return open_paper(settings, stop=stop, now=current_time(), interval_s=ATTENDED_POLL_S, command=command)
    check_live(settings, why=f"`{command}` on the LIVE account")
    return open_live(settings, stop=stop, now=current_time(), interval_s=ATTENDED_POLL_S, command=command)


def _without_bot(settings: Settings, mode: TradingMode, name: str, tell: Callable[[Session], object]) -> None:
    """Be the bot for a cycle, or for as many as selling everything takes."""
    until_flat = name == "flatten"
    stop = StopSignal()
    session = _open(settings, mode, stop=stop, command=name)
    reasons: list[str] = []
    try:
        tell(session)
        engine = session.engine
        for number in range(1, IN_DOUBT_CYCLES_MAX + 1 if until_flat else 2):
            was_flat = not engine.book.positions
            result = session.engine.cycle(session.clock.now(), decides=False)
            session.after_cycle(result.at)
            reasons += [f"{order.account}: {reason}" for order, reason in result.rejections]
            if not until_flat or (was_flat and not engine.book.positions):
                break  # one cycle more than the sale takes: a cycle's equity is from before its own orders
            if number >= FLATTEN_CYCLES_MAX and not any(engine.desk.in_doubt(account) for account in engine.accounts):
                break
            session.clock.wait_until(result.next_cycle_at)
        if until_flat and engine.book.positions:
            engine.obey("halt", {}, session.clock.now())  # what could not be sold has its stop again
            engine.cycle(session.clock.now(), decides=False)
        engine.finish()
        _complain(engine, name, reasons)
    finally:
        session.close()
        stop.close()


def _complain(engine: Engine, name: str, reasons: Sequence[str]) -> None:
    """Raise BotError where a command could not do what it is for; ``reasons`` are the venues' own words."""
    silent = [account.error for account in engine.accounts.values() if not account.fresh]
    words = "; ".join(dict.fromkeys([*reasons, *silent]))
    why = f" ({words})" if words else ""
    if name == "flatten" and engine.book.positions:
        left = ", ".join(f"{symbol} on {account}" for account, symbol in engine.book.positions)
        raise BotError(f"not everything could be sold yet: {left}{why}. Say `flatten` again, or sell it at the venue")
    if name == "resume" and engine.state.accepted:
        raise BotError(
            f"`resume` is noted; what is missing is booked out by the next run, once its venue answers and ten minutes "
            f"have passed since it was missed first{why}"
        )
    resting = engine.desk.live(purpose=Purpose.ENTRY)
    if name != "resume" and resting:
        left = ", ".join(f"{order.symbol} on {order.account}" for order in resting)
        raise BotError(
            f"`{name}` is noted, but these entries could not be cancelled and may still buy: {left}{why}. "
            f"Say `{name}` again, or cancel them at the venue"
        )


class _NotRunning(click.ClickException):
    exit_code = 3


class _NotTaken(click.ClickException):
    exit_code = 4
