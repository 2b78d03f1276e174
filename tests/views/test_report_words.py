"""What the HTML report says in words, and its small computations, by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from bot.backtest.course import Course
from bot.backtest.result import BacktestRun
from bot.backtest.words import refusal_names
from bot.views.report import MONTHS, UsedFile, data_hash, month_rows
from bot.views.report_charts import TICKS_MOST, log_ticks
from bot.views.report_words import REFUSALS, SPLIT_MS, sample_words


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


class Span:
    """As much of a run as the words about its samples ask for."""

    def __init__(self, start: str, end: str) -> None:
        self.start_ms, self.end_ms = ms(start), ms(end)
        self.result = self
        self.start_equity = 250.0


def said(start: str, end: str, split_ms: int = SPLIT_MS) -> str:
    return sample_words(cast("BacktestRun", Span(start, end)), split_ms)


def test_split_is_the_day_after_the_data_that_the_defaults_were_chosen_on() -> None:
    assert ms("2025-01-01") == SPLIT_MS
    chosen = "The shipped defaults were chosen on data up to 2024-12-31."
    assert said("2021-01-01", "2025-01-01") == (
        f"{chosen} All of it is in sample: the default was chosen on these years, expect less."
    )
    assert said("2025-01-01", "2025-06-01") == f"{chosen} All of it is out of sample."
    own = "each is a run of its own that begins with $250.00"
    assert (
        said("2024-01-01", "2025-06-01") == f"{chosen} The parts meet at 2025-01-01; {own}. Of the first, expect less."
    )


def test_split_of_the_users_own_makes_nothing_out_of_sample_that_is_not() -> None:
    only = "It is out of sample only for rules that were chosen before 2023-01-01."
    early, late = ms("2023-01-01"), ms("2026-01-01")
    assert "out of sample only for rules that were chosen before 2023-01-01" in said("2022-01-01", "2024-01-01", early)
    assert said("2023-02-01", "2024-01-01", early).endswith(only)
    assert said("2025-02-01", "2025-06-01", early).endswith("All of it is out of sample.")
    assert said("2023-02-01", "2025-06-01", late).startswith("All of it lies before 2026-01-01. The shipped defaults")


def test_every_refusal_of_a_backtest_has_words() -> None:
    assert set(refusal_names().values()) - {""} == set(REFUSALS)
    assert all(text.endswith(".") and "{" not in text for text in REFUSALS.values())


def course(*days: tuple[str, float]) -> Course:
    count = len(days)
    empty = [0.0] * count
    return Course(
        at_ms=[ms(day) for day, _ in days],
        equity=[equity for _, equity in days],
        drawdown=empty,
        exposure=empty,
        fees_usd=empty,
    )


def test_months_are_from_end_to_end() -> None:
    found = month_rows(
        course(
            ("2023-11-10", 100.0),
            ("2023-11-30T23:01", 110.0),
            ("2023-12-15T23:01", 50.0),
            ("2024-01-01", 99.0),  # the midnight at which December ends
            ("2024-02-01T23:01", 99.0),
            ("2024-03-01T23:01", 148.5),
        )
    )
    november_december = [""] * 10 + ["+10.0", "-10.0"]
    february_march = ["", "0.0", "+50.0"] + [""] * 9
    assert found == [("2023", november_december, "-1.0"), ("2024", february_march, "+50.0")]
    assert len(MONTHS) == 12


def test_month_of_next_to_nothing_has_no_sign() -> None:
    assert month_rows(course(("2023-11-10", 100.0), ("2023-11-12", 99.99)))[0][2] == "0.0"


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (240.0, 5_300.0, [500.0, 1_000.0, 2_000.0, 5_000.0]),
        (95.0, 520.0, [100.0, 150.0, 200.0, 300.0, 400.0, 500.0]),
        (0.02, 4.0, [0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0]),
        (1.0, 1e7, [1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6, 1e7]),
        (250.0, 262.0, [250.0, 254.0, 258.0, 262.0]),
        (250.0, 250.0, [250.0]),
    ],
)
def test_ticks_are_few_and_round(low: float, high: float, ticks: list[float]) -> None:
    found = log_ticks(low, high)
    assert found == pytest.approx(ticks)
    assert len(found) <= TICKS_MOST


def test_hash_of_the_data_is_that_of_the_lines_of_sha256sum() -> None:
    rest: dict[str, Any] = {"candles": 1, "first": "", "end": ""}
    files = [UsedFile(name="b.csv", sha256="22", **rest), UsedFile(name="a.csv", sha256="11", **rest)]
    # printf '11  a.csv\n22  b.csv\n' | sha256sum
    assert data_hash(files) == "c2bbc516efdbe4bb06ec57582232787bd5630754706c9de1db26cfd7d2fcac9a"
    assert data_hash(files[::-1]) == data_hash(files)
