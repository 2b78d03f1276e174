"""The command line's entrance: finds a command, imports only that one, turns errors into exit codes."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any

import click

from bot.domain.errors import BotError, ConfigError, InvariantError

DEFAULT_COMMAND = "run"
SET_OPTION = "--set"

COMMANDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "run": ("bot.cli.run:run", "Start the bot; also without any command."),
        "status": ("bot.cli.status:status", "Tier, limits, positions, and why nothing happens."),
        "trades": ("bot.cli.read:trades", "Closed and open round trips."),
        "refusals": ("bot.cli.read:refusals", "What was not bought and why."),
        "receipt": ("bot.cli.receipt:receipt", "What it made against holding and cash, and what it cost."),
        "advise": ("bot.cli.advise:advise", "What you could do, in dollars a year."),
        "size": ("bot.cli.size:size", "What would be bought, why not more, or why nothing."),
        "costs": ("bot.cli.costs:costs", "Which coins an equity can trade, and what that costs."),
        "backtest": ("bot.cli.backtest:backtest", "What these settings would have done, with ranges."),
        "whatif": ("bot.cli.whatif:whatif", "A year of this account from many starts, in dollars."),
        "evidence": ("bot.cli.evidence:evidence", "What the rules did on old prices; build it anew."),
        "optimize": ("bot.cli.optimize:optimize", "Whether other settings would have done better, and still do."),
        "walkforward": ("bot.cli.walkforward:walkforward", "What choosing the best settings anew would have brought."),
        "montecarlo": ("bot.cli.montecarlo:montecarlo", "How likely it is to double, to halve, to reach a tier."),
        "download": ("bot.cli.download:download", "Public candles into files, for backtests."),
        "config": ("bot.cli.read:config", "Every setting, its value and where it came from."),
        "doctor": ("bot.cli.doctor:doctor", "What is wrong here, and what would mend it."),
        "ledger": ("bot.cli.ledger:ledger", "Check, export or back up what is recorded."),
        "pause": ("bot.cli.control:pause", "Open nothing; go on managing what is open."),
        "halt": ("bot.cli.control:halt", "Stop entries and cancel those that rest."),
        "resume": ("bot.cli.control:resume", "End a pause or a halt."),
        "flatten": ("bot.cli.control:flatten", "Sell every position and stay halted."),
    }
)
"""name: (module:attribute, line in the help). The help imports none of the modules."""

EXIT_CONFIG = 78
EXIT_INTERRUPTED = 130


class _Failure(click.ClickException):
    """An error of ours on its way out: its message on stderr, no traceback."""


class _WrongSetting(_Failure):
    exit_code = EXIT_CONFIG


class _LazyGroup(click.Group):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give arguments without a command word to ``run``: `bot.py --paper` is `bot.py run --paper`."""
        own = {option for parameter in self.get_params(ctx) for option in parameter.opts}
        place = 0
        while place < len(args) and args[place].partition("=")[0] == SET_OPTION:
            place += 1 if "=" in args[place] else 2
        if place >= len(args) or (args[place].startswith("-") and args[place] not in own):
            args = [*args[:place], DEFAULT_COMMAND, *args[place:]]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command), f"{cmd_name}: {module} holds no command {attribute}"
        if command.help is not None:  # docstrings are raw; click looks for the character
            command.help = command.help.replace("\\b\n", "\b\n")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS:
            from difflib import get_close_matches  # noqa: PLC0415 - needed after a typing error only

            close = get_close_matches(args[0], COMMANDS, n=1)
            meant = f" Did you mean {close[0]!r}?" if close else f" There are: {', '.join(COMMANDS)}."
            ctx.fail(f"No such command {args[0]!r}.{meant}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ConfigError as e:
            raise _WrongSetting(str(e)) from e
        except BotError as e:
            if isinstance(e, InvariantError):  # not the user's mistake: who looks into it needs the way there
                import traceback  # noqa: PLC0415 - needed after an error inside the program only

                traceback.print_exception(e)
            raise _Failure(str(e)) from e
        except OSError as e:
            if e.errno == errno.ENOSPC:
                raise _Failure(f"the output could not be written: {e.strerror}") from e
            if isinstance(e, PermissionError):
                raise _Failure(f"{e.filename}: {e.strerror}; run it as the user who owns the bot's folder") from e
            raise
        except (KeyboardInterrupt, click.Abort):
            click.echo("Interrupted.", err=True)
            raise SystemExit(EXIT_INTERRUPTED) from None


def _print_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from bot.cli.env import program_version  # noqa: PLC0415 - needed for this option only

    click.echo(program_version())
    ctx.exit()


_HELP = """A trading bot for very small crypto accounts.

\b
Examples:
  python bot.py                      start the bot (play money)
  python bot.py status               what it holds, and why it does nothing
  python bot.py refusals --limit 5   what it did not buy, in words
  python bot.py run --replay DIR --from 2022-01-01 --equity 260
  python bot.py --set PAPER_EQUITY=250 run
  python bot.py COMMAND --help       more about one command

\b
Exit codes: 0 all right, 1 error, 2 wrong usage, 3 nothing recorded or
not running, 4 halted, unhealthy or not obeyed, 78 a wrong setting, 130
interrupted.
"""


@click.group(cls=_LazyGroup, help=_HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Say which.")
@click.option(
    SET_OPTION,
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set one setting for this call; wins over environment and .env.",
)
@click.pass_context
def main(ctx: click.Context, settings: tuple[str, ...]) -> None:
    """Run the command line."""
    given = [text.partition("=") for text in settings]
    unreadable = [name for name, sign, _ in given if not sign or not name]
    if unreadable:
        raise click.BadParameter(
            f"{unreadable[0]!r} must be NAME=VALUE, such as PAPER_EQUITY=250", param_hint=SET_OPTION
        )
    ctx.obj = {name.strip(): value for name, _, value in given}
