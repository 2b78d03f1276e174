"""Starts the bot: `python bot.py [COMMAND]`. The program itself is in bot/cli/."""

import os
import sys
from pathlib import Path


def start() -> None:
    """Run the command line: in the virtual environment beside this file, where there is one."""
    venv = Path(__file__).resolve().parent / ".venv"
    restarted = os.environ.pop("BOT_RESTARTED", "") or Path(sys.prefix).resolve() == venv.resolve()
    if not restarted and os.access(venv / "bin/python", os.X_OK):
        os.environ["BOT_RESTARTED"] = "1"  # guards against restarting for ever
        os.execv(venv / "bin/python", [str(venv / "bin/python"), *sys.argv])  # noqa: S606 - no shell
    if sys.version_info < (3, 11):  # noqa: UP036 - this very check is what tells the user
        sys.exit("bot.py needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; try `bash scripts/run`")
    try:
        from bot.cli.main import main  # noqa: PLC0415 - it needs the checks above

        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except ModuleNotFoundError as error:
        if str(error.name).startswith("bot"):
            raise
        sys.exit(f"The package {error.name} is not installed; `bash scripts/run` sets everything up")


if __name__ == "__main__":
    start()
