"""`run` on a terminal: one calm screen that is redrawn and leaves the terminal as it was."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from simulation_rig import simulate
from terminal_rig import terminal

ALTERNATE_ON, ALTERNATE_OFF = "\x1b[?1049h", "\x1b[?1049l"
CURSOR_OFF, CURSOR_ON = "\x1b[?25l", "\x1b[?25h"
HOME = "\x1b[H"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
CTRL_C = b"\x03"


def screens(text: str) -> list[str]:
    """What was drawn between the alternate screen's beginning and end, one entry per redrawing."""
    drawn = text.partition(ALTERNATE_ON)[2].partition(ALTERNATE_OFF)[0]
    return [part for part in drawn.split(HOME) if part.strip()]


def test_run_on_terminal_draws_one_screen_and_leaves_it_as_it_was(tmp_path: Path) -> None:
    with terminal(tmp_path, "run", "--simulated", "--interval", "0.05") as on:
        settings = on.settings()
        on.read_until(lambda text: len(screens(text)) >= 4)
        on.press(CTRL_C)
        assert on.end() == 0
        assert on.settings() == settings
    assert on.text.count(ALTERNATE_ON) == on.text.count(ALTERNATE_OFF) == 1
    assert on.text.rindex(CURSOR_ON) > on.text.rindex(CURSOR_OFF)
    before, _, after = on.text.partition(ALTERNATE_ON)
    assert "SIMULATED: prices are invented" in before
    assert "Ended cleanly" in after.partition(ALTERNATE_OFF)[2]
    drawn = screens(on.text)
    assert all("SIMULATED" in COLOUR.sub("", screen) for screen in drawn[1:])
    assert len(set(drawn)) >= 3  # the account moves on, and the screen with it
    assert "| cycle " not in on.text
    assert "Traceback" not in on.text


def test_screen_is_never_larger_than_the_terminal(tmp_path: Path) -> None:
    simulate(tmp_path, 40)
    with terminal(tmp_path, "run", "--simulated", "--cycles", "3", "--interval", "0", size=(12, 50)) as on:
        assert on.end() == 0
    drawn = screens(on.text)
    assert len(drawn) >= 3
    for screen in drawn:
        lines = COLOUR.sub("", screen).replace("\r", "").split("\n")
        assert len(lines) <= 12
        assert max(map(len, lines)) <= 50 + len(CURSOR_OFF)


def test_run_on_terminal_with_no_color_draws_without_colours(tmp_path: Path) -> None:
    with terminal(
        tmp_path, "run", "--simulated", "--cycles", "2", "--interval", "0", variables={"NO_COLOR": "1"}
    ) as on:
        assert on.end() == 0
    codes = {code for found in COLOUR.findall(on.text) for code in found[2:-1].split(";")}
    assert codes <= {"", "0", "1", "2", "7"}  # plain, bold, dim, reversed
    assert screens(on.text)


def test_run_on_dumb_terminal_writes_log_lines(tmp_path: Path) -> None:
    with terminal(tmp_path, "run", "--simulated", "--cycles", "2", "--interval", "0", variables={"TERM": "dumb"}) as on:
        assert on.end() == 0
    assert "\x1b" not in on.text
    assert on.text.count("| cycle mode=SIMULATED ") == 2


def test_flatten_on_terminal_asks_first(tmp_path: Path) -> None:
    simulate(tmp_path, 12)
    with terminal(tmp_path, "flatten") as on:
        on.read_until(lambda text: "Type 'flatten'" in text)
        on.press(b"yes\n")
        assert on.end() == 1
        assert "nothing was sold" in on.text
    with terminal(tmp_path, "flatten") as on:
        on.read_until(lambda text: "Type 'flatten'" in text)
        on.press(b"flatten\n")
        assert on.end() == 0
        assert "Every position of the bot is sold" in on.text


@pytest.mark.parametrize("encoding", ["C", "POSIX"])
def test_run_on_terminal_without_utf8_draws_its_screen(tmp_path: Path, encoding: str) -> None:
    with terminal(
        tmp_path,
        *("run", "--simulated", "--cycles", "2", "--interval", "0"),
        variables={"LANG": encoding, "LC_ALL": encoding, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ) as on:
        assert on.end() == 0
    assert on.text.isascii()
    assert "SIMULATED" in screens(on.text)[-1]
