"""The limits in the status: all of them as used and limit, and those that abstain with their reason."""

from __future__ import annotations

import pytest
from view_samples import a_guard, a_snapshot, a_status

from bot.domain.snapshot import GuardView
from bot.views.status import StatusModel, json_text, status_document
from bot.views.status_text import GUARD_WORDS, render_status
from bot.views.text import Look


def with_guards(*guards: GuardView) -> StatusModel:
    return a_status(a_snapshot(guards=list(guards)))


def limits_of(model: StatusModel, *, width: int = 80, rows: int | None = None) -> list[str]:
    """The lines of the section, without its heading."""
    lines = render_status(model, Look(width=width), rows=rows)
    start = next(i for i, line in enumerate(lines) if line.startswith("LIMITS "))
    return lines[start + 1 : lines.index("", start)]


def without_value(name: str, limit: float, unit: str = "pct", *, active: bool = False, about: str = "") -> GuardView:
    return GuardView(name=name, used=None, limit=limit, unit=unit, active=active, action="no entries", about=about)


def test_limits_show_used_limit_and_what_they_are_of() -> None:
    assert limits_of(
        with_guards(
            a_guard("heat", 4.5, 6.0),
            a_guard("fee_budget", 0.25, 1.0, unit="usd"),
            a_guard("venue_minimum", 0.0, 50.0, unit="usd", active=True, action="counted, no entries there")
            | {"about": "kraken"},
            a_guard("risk_reward", 2.4, 1.8, unit="ratio") | {"about": "ETH/USD"},
            a_guard("spread", 0.6, 0.5, active=True, action="no entry there") | {"about": "SOL/USD on coinbase"},
            a_guard("stale_data", 0.05, 0.25, unit="hours"),
            a_guard("unknown_venue", 0.0, 1.0, unit="count"),
            a_guard("errors", 0.0, 5.0, unit="count", active=True, action="no entries until 5 good cycles in a row")
            | {"about": "2 good ones since"},
            a_guard("stalled", 3.5, 14.0, unit="days"),
        )
    ) == [
        "   heat of all stops ████████░░  4.50 % of 6.00 %",
        "   fees of 30 days   ██░░░░░░░░  $0.25 of $1.00",
        "   smallest venue    ██████████  $0.00, at least $50.00 (kraken)",
        "      active: counted, no entries there",
        "   reward to risk    ████████░░  2.40, at least 1.80 (ETH/USD)",
        "   widest spread     ██████████  0.60 % of 0.50 % (SOL/USD on coinbase)",
        "      active: no entry there",
        "   oldest price      ██░░░░░░░░  3 min of 15 min",
        "   silent venues     ░░░░░░░░░░  0 of 1",
        "   failed cycles     ░░░░░░░░░░  0 of 5 (2 good ones since)",
        "      active: no entries until 5 good cycles in a row",
        "   without an order  ██░░░░░░░░  4 days of 14 days",
    ]


def test_limits_that_abstain_say_so_and_why() -> None:
    confidence = without_value("confidence", 0.7, "score", about="not armed: it lets pass")
    sanity = without_value("price_sanity", 2.0, about="no two venues to compare")
    assert limits_of(with_guards(confidence, sanity)) == [
        "   confidence                    abstains, at least 0.70 (not armed: it lets",
        "      pass)",
        "   venues differ by              abstains, at most 2.00 % (no two venues to",
        "      compare)",
    ]


def test_limit_that_cannot_be_computed_and_refuses_does_not_abstain() -> None:
    assert limits_of(with_guards(without_value("heat", 6.0, active=True))) == [
        "   heat of all stops ██████████  unknown of 6.00 %",
        "      active: no entries",
    ]


def test_limits_of_an_older_version_are_shown_without_an_about() -> None:
    guard = a_guard("drawdown", 3.0, 12.0)
    guard.pop("about", None)  # type: ignore[misc]  # that is the point
    assert limits_of(with_guards(guard)) == ["   below the peak    ██░░░░░░░░  3.00 % of 12.00 %"]


def test_words_of_the_limits_leave_room_before_the_bar() -> None:
    assert all(len(words) <= 17 for words, _ in GUARD_WORDS.values())
    assert len({words for words, _ in GUARD_WORDS.values()}) == len(GUARD_WORDS) == 18


@pytest.mark.parametrize("width", [40, 60, 80])
def test_limits_are_never_wider_than_the_screen(width: int) -> None:
    guards = [a_guard(name, 3.0, 6.0, active=True) | {"about": "SOL/USD on coinbase"} for name in GUARD_WORDS]
    assert all(len(line) <= width for line in limits_of(with_guards(*guards), width=width))


def test_limits_on_a_small_screen_are_those_that_are_near() -> None:
    guards = [a_guard(name, 1.0, 12.0) for name, (_, is_least) in GUARD_WORDS.items() if not is_least]
    near = [a_guard("daily_loss", 3.0, 6.0), a_guard("spread", 0.1, 0.5, active=True, action="no entry there")]
    model = with_guards(*guards, *near)
    whole = len(render_status(model, Look()))
    assert limits_of(model, rows=whole) == limits_of(model)
    assert limits_of(model, rows=whole - 1) == [
        "   loss of the day   █████░░░░░  3.00 % of 6.00 %",
        "   widest spread     ██░░░░░░░░  0.10 % of 0.50 %",
        "      active: no entry there",
        f"   {len(guards)} more with room",
    ]
    fitted = render_status(model, Look(), rows=whole - 1)
    assert fitted[-1] == " `python bot.py status` shows more"
    assert len(fitted) < whole


def test_json_of_a_limit_that_abstains_has_null() -> None:
    confidence = without_value("confidence", 0.7, "score", about="not armed")
    text = json_text(status_document(with_guards(confidence)))
    assert '"used": null' in text
    assert '"about": "not armed"' in text
