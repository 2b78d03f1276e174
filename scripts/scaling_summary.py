"""Print the status of the account: ``python3 scripts/scaling_summary.py``, from anywhere.

Shows what ``python bot.py status`` shows, without the command line's packages. It looks in the working
directory; where nothing of the bot lies there, in the folder of the program.
"""

from __future__ import annotations

import argparse
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def restart_in_venv() -> None:
    """Go on in the virtual environment beside the program, where there is one and this is another Python."""
    venv = ROOT / ".venv"
    restarted = os.environ.pop("BOT_RESTARTED", "") or Path(sys.prefix).resolve() == venv.resolve()
    if not restarted and os.access(venv / "bin/python", os.X_OK):
        os.environ["BOT_RESTARTED"] = "1"  # guards against restarting for ever
        os.execv(venv / "bin/python", [str(venv / "bin/python"), *sys.argv])  # noqa: S606 - no shell
    if sys.version_info < (3, 11):  # noqa: UP036 - this very check is what tells the user
        sys.exit("This needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; try `bash scripts/run`")


def main() -> int:
    """Print the status and return the exit code: that of ``bot.py status``."""
    sys.path[0] = str(ROOT)  # replaces "scripts/", where no module of ours lies
    from bot.domain.errors import BotError, ConfigError  # noqa: PLC0415 - found through the line above
    from bot.domain.modes import TradingMode  # noqa: PLC0415 - see above
    from bot.settings import load_settings  # noqa: PLC0415 - see above
    from bot.storage.modes import LEDGER_NAME, STATE_FILE_NAME  # noqa: PLC0415 - see above
    from bot.views.folders import NothingRecordedError  # noqa: PLC0415 - see above
    from bot.views.output import EXIT_NOTHING_RECORDED, status_output  # noqa: PLC0415 - see above
    from bot.views.terminal import look_of  # noqa: PLC0415 - see above

    modes = {mode.value.lower(): mode for mode in TradingMode}
    parser = argparse.ArgumentParser(description="Print the status of the account.")
    parser.add_argument("--mode", choices=modes, help="default: where a bot runs, else where one ran last")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    own = (".env", LEDGER_NAME, STATE_FILE_NAME, "paper", "simulated")
    if "STATE_DIR" not in os.environ and not any(Path(name).exists() for name in own):
        os.chdir(ROOT)
    try:
        output = status_output(
            load_settings(env_file=Path(".env"), environ=os.environ),
            wanted=modes.get(options.mode),
            as_json=options.json,
            look=look_of(sys.stdout, os.environ),
            now=datetime.now(tz=UTC),  # noqa: TID251 - the edge where time comes in
        )
        print(output.text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has seen enough
        return 0
    except BotError as e:
        print(f"Error: {e}", file=sys.stderr)
        return 78 if isinstance(e, ConfigError) else EXIT_NOTHING_RECORDED if isinstance(e, NothingRecordedError) else 1
    except ModuleNotFoundError as e:
        print(f"The package {e.name} is not installed; `bash scripts/run` sets everything up", file=sys.stderr)
        return 1
    return output.exit_code


if __name__ == "__main__":
    restart_in_venv()
    sys.exit(main())
