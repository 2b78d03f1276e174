from __future__ import annotations

import io
import math

import pytest

from bot.views.terminal import look_of
from bot.views.text import (
    Column,
    Line,
    Look,
    Style,
    amount,
    bar,
    duration,
    finish,
    labelled,
    money,
    percent,
    price,
    table,
    wrapped,
)


@pytest.mark.parametrize(
    ("usd", "text"),
    [(1234.5, "$1,234.50"), (-0.31, "-$0.31"), (-0.001, "$0.00"), (None, "unknown"), (math.nan, "unknown")],
)
def test_money_is_dollars_and_cents(usd: float | None, text: str) -> None:
    assert money(usd) == text


def test_money_signed_marks_gains_and_not_zero() -> None:
    assert [money(usd, signed=True) for usd in (0.6, 0.0, -0.6)] == ["+$0.60", "$0.00", "-$0.60"]


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        (98_214.5, "$98,214.50"),
        (10.0, "$10.00"),
        (1.23456, "$1.2346"),  # 4 decimals: five digits
        (0.083123456, "$0.083123"),  # log10 is -1.08, floor -2: 6 decimals
        (0.0, "$0.00"),
    ],
)
def test_price_shows_five_digits_where_it_is_small(usd: float, text: str) -> None:
    assert price(usd) == text


def test_percent_zero_has_no_sign() -> None:
    assert percent(-0.04) == "0.0 %"
    assert percent(-0.04, signed=True) == "0.0 %"
    assert percent(3.04, signed=True) == "+3.0 %"
    assert percent(math.inf) == "unknown"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5.0, "0 s"),
        (59.4, "59 s"),
        (60.0, "1 min"),
        (3600.0, "1 h"),
        (11_520.0, "3 h 12 min"),  # 3 x 3600 + 12 x 60
        (187_200.0, "2 d 4 h"),  # 2 x 86400 + 4 x 3600
        (950_400.0, "11 d"),  # 11 x 86400
        (None, "an unknown time"),
        (math.inf, "an unknown time"),
    ],
)
def test_duration_has_two_units_at_most(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("unit", "text"),
    [
        ("usd", "$2.50"),
        ("pct", "2.50 %"),
        ("count", "2.5"),
        ("score", "2.50"),
        ("hours", "2 h 30 min"),
        ("days", "2 days"),
        ("base", "2.5"),
    ],
)
def test_amount_has_its_unit(unit: str, text: str) -> None:
    assert amount(2.5, unit) == text


def test_amount_one_day_and_whole_counts() -> None:
    assert amount(1.0, "days") == "1 day"
    assert amount(3.0, "count") == "3"


def test_bar_is_full_only_when_the_whole_is_reached() -> None:
    assert [bar(frac).count("█") for frac in (-1.0, 0.0, 0.04, 0.33, 0.999, 1.0, 7.0)] == [0, 0, 0, 3, 9, 10, 10]
    assert {len(bar(frac)) for frac in (-1.0, 0.5, 7.0)} == {10}


def test_finish_ascii_keeps_the_length_of_every_line() -> None:
    text = "╔═╗ █░ ✅ ❌ → • · ─ 💰🎯📈📜 ä"
    assert finish([Line(text)], Look(ascii=True)) == ["+=+ #. + - > * | = **** ?"]


def test_finish_paints_only_with_colour_and_a_style() -> None:
    lines = [Line("bad", Style.BAD), Line("plain"), Line("", Style.BAD)]
    assert finish(lines, Look(colour=True)) == ["\x1b[1;31mbad\x1b[0m", "plain", ""]
    assert finish(lines, Look()) == ["bad", "plain", ""]


def test_wrapped_and_labelled_stay_within_the_width() -> None:
    look = Look(width=40)
    text = "word " * 30 + "x" * 100
    lines = [*wrapped(text, look, hanging="  "), *labelled("label", text, look, cells=11)]
    assert max(len(line.text) for line in lines) <= 40
    assert lines[0].text.startswith("   word")


def test_table_drops_the_least_wanted_column_where_it_is_narrow() -> None:
    columns = [Column("a"), Column("b", right=True, drop=2), Column("c", drop=1)]
    rows = [("1111111111", "22222222222", "33333333333")]
    wide = [line.text for line in table(columns, rows, Look(width=40))]
    assert wide == [
        "   a                     b  c          ",
        "   1111111111  22222222222  33333333333",
    ]
    narrow = [line.text for line in table(columns, rows, Look(width=30))]
    assert narrow == ["   a           c          ", "   1111111111  33333333333"]


class Terminal(io.TextIOWrapper):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_look_of_terminal_has_colour_unless_told_otherwise() -> None:
    terminal = Terminal(io.BytesIO(), encoding="utf-8")
    environ = {"TERM": "xterm", "COLUMNS": "60"}
    assert look_of(terminal, environ) == Look(width=60, colour=True, ascii=False)
    assert not look_of(terminal, {**environ, "NO_COLOR": "1"}).colour
    assert not look_of(terminal, {**environ, "TERM": "dumb"}).colour


def test_look_of_pipe_is_plain_and_80_wide() -> None:
    pipe = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    assert look_of(pipe, {"TERM": "xterm"}) == Look(width=80, colour=False, ascii=False)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_look_of_stream_without_box_characters_is_ascii(encoding: str) -> None:
    assert look_of(io.TextIOWrapper(io.BytesIO(), encoding=encoding), {}).ascii


def test_look_of_absurd_widths_are_bounded() -> None:
    pipe = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    widths = [look_of(pipe, {"COLUMNS": text}).width for text in ("3", "9999", "many", "")]
    assert widths == [40, 100, 80, 80]
