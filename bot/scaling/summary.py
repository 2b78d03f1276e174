"""The guide's status box as text."""

from __future__ import annotations

from collections.abc import Sequence

from bot.domain.tier import UNRANKED, ScalingTier
from bot.scaling.ladder import activation_equity, tier_named
from bot.scaling.progress import next_tier, progress_to_next
from bot.scaling.state import TierState
from bot.scaling.transitions import floor_equity

TITLE = "NIJA AUTO-SCALING STATUS"
_INNER_WIDTH = 74  # of the guide's box


def scaling_summary(state: TierState, tiers: Sequence[ScalingTier]) -> str:
    """Equity, tier with its benefits, and the way to the next one."""
    equity = "not known yet" if state.last_equity is None else f"${state.last_equity:.2f}"
    lines = [
        "╔" + "═" * _INNER_WIDTH + "╗",
        "║" + (" " * 21 + TITLE).ljust(_INNER_WIDTH) + "║",
        "╚" + "═" * _INNER_WIDTH + "╝",
        "",
        f"💰 CURRENT EQUITY: {equity}",
        "",
        *_tier_lines(state, tiers),
        "",
        *_next_lines(state, tiers),
    ]
    return "\n".join(lines)


def _tier_lines(state: TierState, tiers: Sequence[ScalingTier]) -> list[str]:
    tier = tier_named(state.current_tier, tiers)
    if tier is None and state.current_tier is not None:
        return [
            f"🎯 CURRENT TIER: {state.current_tier}",
            "   • This tier is no longer in the ladder; the next check ranks the account anew",
        ]
    if tier is None:
        start = activation_equity(tiers)
        return [f"🎯 CURRENT TIER: {UNRANKED}", f"   • No tier yet: an account becomes active at ${start:.2f}"]
    lines = [
        f"🎯 CURRENT TIER: {tier.name}",
        f"   • {tier.description}",
        f"   • Max Positions: {tier.max_positions}",
        f"   • Risk Per Trade: {tier.risk_per_trade:.1f}%",
        f"   • Copy Trading: {_switch(tier.copy_trading)}",
        f"   • Leverage: {_switch(tier.leverage_enabled)}",
    ]
    floor = floor_equity(tiers)
    if state.last_equity is not None and state.last_equity < floor:
        lines.append(f"   • Close-only: below ${floor:.2f} nothing is opened")
    return lines


def _next_lines(state: TierState, tiers: Sequence[ScalingTier]) -> list[str]:
    following = next_tier(state, tiers)
    progress = progress_to_next(state, tiers)
    if following is None or progress is None:
        return ["📈 NEXT TIER: none, this is the highest"]
    return [
        f"📈 NEXT TIER: {following.name}",
        f"   • Unlocks at: ${following.min_equity:.2f}",
        f"   • Progress: {progress['progress_pct']:.1f}%",
        f"   • Equity needed: ${progress['equity_needed']:.2f}",
    ]


def _switch(enabled: bool) -> str:
    return "✅ Enabled" if enabled else "❌ Disabled"
