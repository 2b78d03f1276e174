"""The ladder, transitions and progress, by hand-computed literals and by properties."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.tier import ScalingTier
from bot.scaling.ladder import SCALING_TIERS, activation_equity, tier_for, tier_named
from bot.scaling.progress import next_tier, progress_to_next
from bot.scaling.state import HISTORY_LENGTH_MAX, TierState, apply
from bot.scaling.summary import scaling_summary
from bot.scaling.transitions import Direction, Transition, check, floor_equity

NOW = datetime(2026, 1, 30, 6, 0, tzinfo=UTC)
EQUITIES = st.floats(min_value=0.0, max_value=5_000.0)
THRESHOLDS = st.sampled_from([250.0, 500.0, 1000.0])


def rung(name: str, min_equity: float) -> ScalingTier:
    return ScalingTier(
        name=name,
        min_equity=min_equity,
        max_equity=None,
        max_positions=8,
        risk_per_trade=6.0,
        copy_trading=True,
        leverage_enabled=True,
    )


def names(transition: Transition) -> tuple[str | None, str | None]:
    old, new = transition.old, transition.new
    return (old.name if old else None, new.name if new else None)


# -- ladder ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("equity", "name"),
    [
        (15.0, "STARTER"),
        (249.5, "STARTER"),  # the guide's table leaves 249 to 250 open: half-open ranges close it
        (249.99, "STARTER"),
        (250.0, "GROWTH"),
        (499.99, "GROWTH"),
        (500.0, "ADVANCED"),
        (999.99, "ADVANCED"),
        (1000.0, "ELITE"),
        (1e300, "ELITE"),
    ],
)
def test_tier_for_equity_within_ladder_gives_the_guides_tier(equity: float, name: str) -> None:
    tier = tier_for(equity, SCALING_TIERS)
    assert tier is not None
    assert tier.name == name
    assert tier.matches(equity)


@pytest.mark.parametrize("equity", [14.99, 0.0, -20.0, math.nan, math.inf, -math.inf])
def test_tier_for_equity_outside_ladder_gives_none(equity: float) -> None:
    assert tier_for(equity, SCALING_TIERS) is None


def test_ladder_has_the_guides_figures() -> None:
    assert [
        (t.name, t.min_equity, t.max_equity, t.max_positions, t.risk_per_trade, t.copy_trading, t.leverage_enabled)
        for t in SCALING_TIERS
    ] == [
        ("STARTER", 15.0, 250.0, 2, 3.0, False, False),
        ("GROWTH", 250.0, 500.0, 3, 4.0, False, False),
        ("ADVANCED", 500.0, 1000.0, 4, 4.0, True, False),
        ("ELITE", 1000.0, None, 6, 5.0, True, True),
    ]


def test_tier_for_unordered_ladder_gives_the_highest_threshold_reached() -> None:
    tiers = [rung("C", 900.0), rung("A", 20.0), rung("B", 300.0)]
    assert [str(tier_for(equity, tiers)) for equity in (19.0, 20.0, 899.0, 900.0)] == ["None", "A", "B", "C"]


def test_tier_for_empty_ladder_gives_none() -> None:
    assert tier_for(20.0, []) is None


def test_tier_for_equal_thresholds_gives_the_one_appended_last() -> None:
    tiers = [rung("FIRST", 100.0), rung("SECOND", 100.0)]
    assert str(tier_for(100.0, tiers)) == "SECOND"


def test_tier_for_rung_below_activation_still_needs_fifteen_dollars() -> None:
    tiers = [rung("TINY", 5.0)]
    assert tier_for(14.99, tiers) is None
    assert str(tier_for(15.0, tiers)) == "TINY"


def test_activation_and_floor_of_the_guides_ladder_are_15_and_13_20() -> None:
    assert activation_equity(SCALING_TIERS) == 15.0
    assert floor_equity(SCALING_TIERS) == pytest.approx(13.20)  # 15 * (1 - 0.12)


def test_activation_of_ladder_that_starts_higher_is_its_lowest_rung() -> None:
    tiers = [rung("CUSTOM", 2000.0)]
    assert activation_equity(tiers) == 2000.0
    assert floor_equity(tiers) == pytest.approx(1760.0)  # 2000 * 0.88
    assert tier_for(1999.0, tiers) is None


# -- transitions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("equity", [math.nan, math.inf, -math.inf, -1.0])
@pytest.mark.parametrize("current", [None, "GROWTH"])
@pytest.mark.parametrize("force", [False, True])
def test_check_unusable_equity_changes_nothing_and_says_why(equity: float, current: str | None, force: bool) -> None:
    transition = check(current, equity, SCALING_TIERS, force=force)
    assert not transition.scaled
    assert names(transition) == (current, current)
    assert transition.direction is None
    assert transition.close_only
    assert transition.reason.startswith("No tier found for equity")


@pytest.mark.parametrize("force", [False, True])
def test_check_inactive_below_fifteen_gives_no_tier_and_says_why(force: bool) -> None:
    transition = check(None, 14.99, SCALING_TIERS, force=force)
    assert names(transition) == (None, None)
    assert not transition.scaled
    assert transition.close_only
    assert transition.reason == "No tier found for equity $14.99: an account becomes active at $15.00"


def test_check_empty_ladder_gives_no_tier_and_says_why() -> None:
    transition = check("GROWTH", 300.0, [])
    assert names(transition) == (None, None)
    assert transition.reason == "No tier found for equity $300.00: the ladder has no tiers"


def test_check_first_usable_equity_is_an_upgrade_from_none() -> None:
    transition = check(None, 250.0, SCALING_TIERS)
    assert transition.scaled
    assert names(transition) == (None, "GROWTH")
    assert transition.direction is Direction.UP
    assert not transition.close_only


@pytest.mark.parametrize(
    ("current", "equity", "scaled", "new", "direction"),
    [
        ("STARTER", 249.99, False, "STARTER", None),
        ("STARTER", 250.0, True, "GROWTH", Direction.UP),
        ("STARTER", 1000.0, True, "ELITE", Direction.UP),
        ("GROWTH", 240.0, False, "GROWTH", None),
        ("GROWTH", 237.5, False, "GROWTH", None),  # 0.95 * 250 = 237.50 still holds
        ("GROWTH", 237.49, False, "STARTER", Direction.DOWN),
        ("ADVANCED", 475.0, False, "ADVANCED", None),  # 0.95 * 500 = 475
        ("ADVANCED", 474.99, False, "GROWTH", Direction.DOWN),
        ("ELITE", 950.0, False, "ELITE", None),  # 0.95 * 1000 = 950
        ("ELITE", 949.99, False, "ADVANCED", Direction.DOWN),
        ("ELITE", 490.0, False, "GROWTH", Direction.DOWN),  # straight to the rung that 490 reaches
        ("ELITE", 14.0, False, "STARTER", Direction.DOWN),
    ],
)
def test_check_active_account_moves_as_the_ladder_says(
    current: str, equity: float, scaled: bool, new: str, direction: Direction | None
) -> None:
    transition = check(current, equity, SCALING_TIERS)
    assert (transition.scaled, names(transition), transition.direction) == (scaled, (current, new), direction)
    assert not transition.close_only
    assert f"${equity:.2f}" in transition.reason


@pytest.mark.parametrize(("equity", "close_only"), [(14.99, False), (13.2, False), (13.19, True), (0.0, True)])
def test_check_active_starter_below_fifteen_stays_and_below_floor_is_close_only(
    equity: float, close_only: bool
) -> None:
    transition = check("STARTER", equity, SCALING_TIERS)
    assert names(transition) == ("STARTER", "STARTER")
    assert transition.close_only is close_only
    assert ("below the floor of $13.20" in transition.reason) is close_only


def test_check_fall_below_floor_goes_to_the_lowest_rung_and_is_close_only() -> None:
    transition = check("ELITE", 10.0, SCALING_TIERS)
    assert names(transition) == ("ELITE", "STARTER")
    assert transition.direction is Direction.DOWN
    assert transition.close_only


@pytest.mark.parametrize(
    ("current", "equity", "new", "direction"),
    [
        ("GROWTH", 300.0, "GROWTH", None),
        ("GROWTH", 240.0, "STARTER", Direction.DOWN),  # inside the 5 % band: only force leaves it
        ("GROWTH", 600.0, "ADVANCED", Direction.UP),
        ("STARTER", 14.0, "STARTER", None),
    ],
)
def test_check_force_always_scales_to_the_rung_reached(
    current: str, equity: float, new: str, direction: Direction | None
) -> None:
    transition = check(current, equity, SCALING_TIERS, force=True)
    assert transition.scaled
    assert names(transition) == (current, new)
    assert transition.direction is direction


@pytest.mark.parametrize(
    ("current", "equity", "reason"),
    [
        (None, 15.0, "$15.00 reaches STARTER at $15.00"),
        ("STARTER", 250.0, "$250.00 reaches GROWTH at $250.00"),
        ("GROWTH", 300.0, "$300.00 stays in GROWTH"),
        ("GROWTH", 240.0, "$240.00 keeps GROWTH, which is left below $237.50"),  # .95 x 250
        ("GROWTH", 230.0, "$230.00 is too little for GROWTH at $250.00; now STARTER"),
        ("STARTER", 13.19, "$13.19 stays in STARTER; below the floor of $13.20 nothing is opened"),
        (None, -1.0, "No tier found for equity $-1.00: it must not be negative; nothing changes"),
        (None, math.nan, "No tier found for equity nan: it is not a finite number; nothing changes"),
    ],
)
def test_check_says_why_in_full(current: str | None, equity: float, reason: str) -> None:
    assert check(current, equity, SCALING_TIERS).reason == reason


def test_check_other_name_at_the_same_threshold_is_an_upgrade() -> None:
    transition = check("GROWTH", 300.0, [*SCALING_TIERS, rung("TWIN", 250.0)])
    assert (transition.scaled, names(transition), transition.direction) == (True, ("GROWTH", "TWIN"), Direction.UP)


def test_check_tier_gone_from_ladder_is_left_down_without_announcement() -> None:
    transition = check("CUSTOM", 2500.0, SCALING_TIERS)
    assert not transition.scaled
    assert names(transition) == (None, "ELITE")
    assert transition.direction is Direction.DOWN
    assert transition.reason == "tier CUSTOM is no longer in the ladder; $2500.00 is in ELITE"


def test_check_same_name_at_two_thresholds_does_not_flap() -> None:
    tiers = [*SCALING_TIERS, rung("ELITE", 3000.0)]
    transition = check("ELITE", 1200.0, tiers)
    assert transition.direction is None
    assert not transition.scaled


@given(EQUITIES, EQUITIES)
def test_check_from_fresh_never_gives_less_for_more(one: float, other: float) -> None:
    low, high = sorted((one, other))
    lower, upper = check(None, low, SCALING_TIERS).new, check(None, high, SCALING_TIERS).new
    if lower is not None:
        assert upper is not None
        assert upper.min_equity >= lower.min_equity


@given(THRESHOLDS, st.lists(st.floats(min_value=0.95, max_value=1.0, exclude_max=True), max_size=20))
def test_apply_within_band_after_upgrade_changes_nothing(threshold: float, shares: list[float]) -> None:
    _, state = apply(TierState(), threshold, SCALING_TIERS, NOW)
    after_upgrade = (state.current_tier, state.upgrade_history)
    for share in shares:
        # share * threshold rounds to the threshold at most, never below 0.95 * threshold
        transition, state = apply(state, share * threshold, SCALING_TIERS, NOW)
        assert not transition.scaled
        assert (state.current_tier, state.upgrade_history) == after_upgrade


@given(st.lists(EQUITIES, max_size=40))
def test_apply_any_path_announces_only_real_upgrades(path: list[float]) -> None:
    state = TierState()
    for equity in path:
        transition, after = apply(state, equity, SCALING_TIERS, NOW)
        assert transition.scaled == (transition.direction is Direction.UP)
        assert (after.current_tier != state.current_tier) == (transition.direction is not None)
        tier = tier_named(after.current_tier, SCALING_TIERS)
        # An active account has a tier that it may hold: up at the threshold, kept down to 95 %.
        assert tier is None or tier.name == "STARTER" or equity >= 0.95 * tier.min_equity
        again, unchanged = apply(after, equity, SCALING_TIERS, NOW + timedelta(minutes=1))
        assert not again.scaled
        assert unchanged == after
        state = after


# -- state -------------------------------------------------------------------------------------------


def test_apply_keeps_history_with_first_entry_from_none_and_times_of_upgrades() -> None:
    state = TierState()
    for hours, equity in enumerate([10.0, 100.0, 300.0, 200.0]):
        _, state = apply(state, equity, SCALING_TIERS, NOW + timedelta(hours=hours))
    assert state.to_json() == {
        "schema_version": 1,
        "current_tier": "STARTER",
        "last_equity": 200.0,
        "last_upgrade_time": "2026-01-30T08:00:00+00:00",  # of the upgrade; the downgrade at 09:00 is none
        "upgrade_history": [
            {
                "timestamp": "2026-01-30T07:00:00+00:00",
                "from_tier": None,
                "to_tier": "STARTER",
                "equity": 100.0,
                "direction": "up",
            },
            {
                "timestamp": "2026-01-30T08:00:00+00:00",
                "from_tier": "STARTER",
                "to_tier": "GROWTH",
                "equity": 300.0,
                "direction": "up",
            },
            {
                "timestamp": "2026-01-30T09:00:00+00:00",
                "from_tier": "GROWTH",
                "to_tier": "STARTER",
                "equity": 200.0,
                "direction": "down",
            },
        ],
    }


def test_apply_inactive_account_remembers_equity_only() -> None:
    _, state = apply(TierState(), 10.0, SCALING_TIERS, NOW)
    assert state == TierState(last_equity=10.0)


@pytest.mark.parametrize("equity", [math.nan, math.inf, -5.0])
def test_apply_unusable_equity_leaves_state_as_it_was(equity: float) -> None:
    _, before = apply(TierState(), 300.0, SCALING_TIERS, NOW)
    _, after = apply(before, equity, SCALING_TIERS, NOW, force=True)
    assert after == before


def test_apply_with_force_leaves_the_band() -> None:
    _, state = apply(TierState(), 250.0, SCALING_TIERS, NOW)
    transition, state = apply(state, 240.0, SCALING_TIERS, NOW, force=True)
    assert transition.scaled
    assert state.current_tier == "STARTER"


def test_apply_at_a_time_without_zone_is_refused() -> None:
    with pytest.raises(AssertionError, match=r"^now must be tz-aware$"):
        apply(TierState(), 250.0, SCALING_TIERS, NOW.replace(tzinfo=None))


def test_apply_tier_gone_from_ladder_is_recorded_by_its_name() -> None:
    _, state = apply(TierState(), 2500.0, [*SCALING_TIERS, rung("CUSTOM", 2000.0)], NOW)
    _, state = apply(state, 2500.0, SCALING_TIERS, NOW)
    last = state.upgrade_history[-1]
    assert (last.from_tier, last.to_tier, last.direction) == ("CUSTOM", "ELITE", Direction.DOWN)


def test_apply_many_changes_keeps_history_bounded_with_the_newest() -> None:
    state = TierState()
    for step in range(HISTORY_LENGTH_MAX + 50):
        _, state = apply(state, 300.0 if step % 2 else 100.0, SCALING_TIERS, NOW + timedelta(minutes=step))
    assert len(state.upgrade_history) == HISTORY_LENGTH_MAX == 200
    assert state.upgrade_history[-1].timestamp == NOW + timedelta(minutes=249)


@given(st.lists(EQUITIES, max_size=30))
def test_state_json_round_trip_loses_nothing(path: list[float]) -> None:
    state = TierState()
    for equity in path:
        _, state = apply(state, equity, SCALING_TIERS, NOW)
    assert TierState.from_json(state.to_json()) == state


@pytest.fixture
def machine_in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep local time nine hours ahead of UTC."""
    monkeypatch.setenv("TZ", "JST-9")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("machine_in_tokyo")
def test_state_is_stored_and_read_in_utc_wherever_the_machine_stands() -> None:
    _, state = apply(TierState(), 250.0, SCALING_TIERS, NOW.astimezone())  # 15:00 in Tokyo
    document = state.to_json()
    assert document["last_upgrade_time"] == "2026-01-30T06:00:00+00:00"
    assert state.upgrade_history[0].to_dict()["timestamp"] == "2026-01-30T06:00:00+00:00"
    again = TierState.from_json(document | {"last_upgrade_time": "2026-01-30T15:00:00+09:00"})
    assert str(again.last_upgrade_time) == "2026-01-30 06:00:00+00:00"


def test_state_with_the_largest_number_is_read() -> None:
    assert TierState.from_json({"last_equity": sys.float_info.max}).last_equity == sys.float_info.max


def test_state_from_empty_document_is_the_state_before_the_first_check() -> None:
    assert TierState.from_json({}) == TierState()


@pytest.mark.parametrize(
    ("document", "key"),
    [
        ({"current_tier": 5}, "current_tier"),
        ({"current_tier": ""}, "current_tier"),
        ({"last_equity": "250"}, "last_equity"),
        ({"last_equity": True}, "last_equity"),
        ({"last_equity": -1.0}, "last_equity"),
        ({"last_equity": math.nan}, "last_equity"),
        ({"last_equity": 10**400}, "last_equity"),
        ({"last_upgrade_time": "yesterday"}, "last_upgrade_time"),
        ({"last_upgrade_time": "2026-01-30T06:00:00"}, "last_upgrade_time"),
        ({"last_upgrade_time": "0001-01-01T00:00:00+14:00"}, "last_upgrade_time"),
        ({"upgrade_history": {}}, "upgrade_history"),
        ({"upgrade_history": ["STARTER"]}, "upgrade_history"),
        ({"upgrade_history": [{"to_tier": None}]}, "to_tier"),
        ({"upgrade_history": [{"to_tier": "GROWTH", "direction": "sideways"}]}, "direction"),
        ({"upgrade_history": [{"to_tier": "GROWTH", "direction": "up"}]}, "timestamp"),
    ],
)
def test_state_from_unusable_document_names_the_key(document: dict[str, object], key: str) -> None:
    with pytest.raises(ValueError, match=f"^{key}: must be"):
        TierState.from_json(document)


# -- progress and summary ----------------------------------------------------------------------------


def test_progress_at_750_is_75_percent_of_the_next_threshold() -> None:
    _, state = apply(TierState(), 750.0, SCALING_TIERS, NOW)
    progress = progress_to_next(state, SCALING_TIERS)
    assert progress == {
        "current_equity": 750.0,
        "next_tier": SCALING_TIERS[3].to_dict(),
        "equity_needed": 250.0,  # 1000 - 750
        "progress_pct": 75.0,  # 750 / 1000
    }


def test_progress_at_the_top_is_none() -> None:
    _, state = apply(TierState(), 1000.0, SCALING_TIERS, NOW)
    assert next_tier(state, SCALING_TIERS) is None
    assert progress_to_next(state, SCALING_TIERS) is None


def test_progress_before_the_first_check_leads_to_the_first_tier() -> None:
    progress = progress_to_next(TierState(), SCALING_TIERS)
    assert progress is not None
    assert progress["next_tier"]["name"] == "STARTER"
    assert (progress["progress_pct"], progress["equity_needed"]) == (0.0, 15.0)


def test_progress_within_the_band_leads_to_the_tier_above_the_kept_one() -> None:
    _, state = apply(TierState(), 250.0, SCALING_TIERS, NOW)
    _, state = apply(state, 240.0, SCALING_TIERS, NOW)
    progress = progress_to_next(state, SCALING_TIERS)
    assert progress is not None
    assert progress["next_tier"]["name"] == "ADVANCED"
    assert progress["progress_pct"] == pytest.approx(48.0)  # 240 / 500


def test_progress_beyond_a_newly_appended_tier_stays_within_100_percent() -> None:
    _, state = apply(TierState(), 2500.0, SCALING_TIERS, NOW)
    progress = progress_to_next(state, [*SCALING_TIERS, rung("CUSTOM", 2000.0)])
    assert progress is not None
    assert (progress["progress_pct"], progress["equity_needed"]) == (100.0, 0.0)


def test_progress_to_a_tier_that_asks_for_nothing_is_complete() -> None:
    progress = progress_to_next(TierState(), [rung("FREE", 0.0)])
    assert progress is not None
    assert (progress["progress_pct"], progress["equity_needed"]) == (100.0, 0.0)


def test_summary_at_750_is_the_guides_box() -> None:
    _, state = apply(TierState(), 750.0, SCALING_TIERS, NOW)
    assert (
        scaling_summary(state, SCALING_TIERS)
        == """\
╔══════════════════════════════════════════════════════════════════════════╗
║                     NIJA AUTO-SCALING STATUS                             ║
╚══════════════════════════════════════════════════════════════════════════╝

💰 CURRENT EQUITY: $750.00

🎯 CURRENT TIER: ADVANCED
   • Advanced features with copy trading enabled
   • Max Positions: 4
   • Risk Per Trade: 4.0%
   • Copy Trading: ✅ Enabled
   • Leverage: ❌ Disabled

📈 NEXT TIER: ELITE
   • Unlocks at: $1000.00
   • Progress: 75.0%
   • Equity needed: $250.00"""
    )


def test_summary_before_the_first_check_says_where_it_starts() -> None:
    summary = scaling_summary(TierState(), SCALING_TIERS)
    assert "CURRENT EQUITY: not known yet" in summary
    assert "CURRENT TIER: UNRANKED\n   • No tier yet: an account becomes active at $15.00" in summary


def test_summary_below_the_floor_says_close_only() -> None:
    state = TierState(current_tier="STARTER", last_equity=13.0)
    assert "Close-only: below $13.20 nothing is opened" in scaling_summary(state, SCALING_TIERS)


def test_summary_at_the_floor_is_not_close_only() -> None:
    state = TierState(current_tier="STARTER", last_equity=floor_equity(SCALING_TIERS))
    assert "Close-only" not in scaling_summary(state, SCALING_TIERS)


def test_summary_of_tier_gone_from_ladder_says_so() -> None:
    summary = scaling_summary(TierState(current_tier="CUSTOM", last_equity=2500.0), SCALING_TIERS)
    assert "CURRENT TIER: CUSTOM\n   • This tier is no longer in the ladder" in summary
    assert "NEXT TIER: ELITE" in summary


def test_summary_at_the_top_says_that_nothing_follows() -> None:
    summary = scaling_summary(TierState(current_tier="ELITE", last_equity=1200.0), SCALING_TIERS)
    assert "Copy Trading: ✅ Enabled\n   • Leverage: ✅ Enabled\n" in summary
    assert summary.endswith("NEXT TIER: none, this is the highest")
