"""The tier of the running bot: when it moves, what it writes, and that nothing is announced twice."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from engine_rig import BTC, ETH, Rig, make_rig

D = Decimal


def stored(rig: Rig) -> dict[str, Any]:
    found = json.loads((rig.folder / "state.json").read_text())
    assert isinstance(found, dict)
    return found


def flow(rig: Rig, usd: str) -> str:
    """Deposit or withdraw, let it be seen twice and a transfer run out; returns the tier changes."""
    amount = D(usd)
    (rig.venue.core.deposit if amount > 0 else rig.venue.core.withdraw)("USD", abs(amount))
    changes = [rig.cycle().tier_change, rig.cycle().tier_change, rig.cycle(after_s=24 * 3600.0).tier_change]
    return "|".join(change for change in changes if change)


def quiet(folder: Path, usd: str) -> Rig:
    """An account that trades nothing."""
    rig = make_rig(folder, cash={"coinbase": usd})
    rig.control.put("pause")
    rig.first_cycle()
    return rig


@pytest.mark.parametrize(
    ("usd", "tier"),
    [("249.99", "STARTER"), ("250", "GROWTH"), ("499.99", "GROWTH"), ("500", "ADVANCED"), ("1000", "ELITE")],
)
def test_first_check_gives_the_tier_of_the_equity(tmp_path: Path, usd: str, tier: str) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": usd})
    result = rig.first_cycle()
    assert (result.tier, result.tier_change) == (tier, f"UNRANKED -> {tier}")
    assert stored(rig)["current_tier"] == tier
    assert [(e["from_tier"], e["to_tier"]) for e in stored(rig)["upgrade_history"]] == [(None, tier)]


def test_tier_goes_up_at_the_threshold(tmp_path: Path) -> None:
    rig = quiet(tmp_path, "200")
    assert flow(rig, "49.99") == ""
    assert flow(rig, "0.01") == "STARTER -> GROWTH"
    assert stored(rig)["current_tier"] == "GROWTH"


def test_tier_goes_down_below_ninety_five_percent_only(tmp_path: Path) -> None:
    rig = quiet(tmp_path, "500")
    assert flow(rig, "-25") == ""  # 475 is 95 %
    assert flow(rig, "-0.01") == "ADVANCED -> GROWTH"
    assert [e["direction"] for e in stored(rig)["upgrade_history"]] == ["up", "down"]


def test_lower_tier_shrinks_entries_and_sells_nothing(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "260"}, coins=("BTC", "ETH", "SOL"))
    rig.entered(BTC=99.9, ETH=99.9, SOL=99.9)
    assert len(rig.engine.book.positions) == 3
    assert flow(rig, "-30") == "GROWTH -> STARTER"
    assert len(rig.engine.book.positions) == 3
    assert rig.engine._max_positions() == 2


def test_restart_announces_nothing_twice(tmp_path: Path) -> None:
    rig = quiet(tmp_path, "260")
    for _ in range(3):
        rig.restart()
        result = rig.cycle()
        assert (result.tier, result.tier_change) == ("GROWTH", "")
    assert len(stored(rig)["upgrade_history"]) == 1


def test_state_file_is_written_on_a_change_and_then_once_a_day(tmp_path: Path) -> None:
    rig = quiet(tmp_path, "260")
    assert rig.state_file.saves == 1
    for _ in range(20):
        rig.venue.core.deposit("USD", D(1))
        rig.cycle()
        rig.cycle()
    assert rig.state_file.saves == 1
    rig.cycle(after_s=86_400.0)
    assert rig.state_file.saves == 2
    assert stored(rig)["last_equity"] == 280.0


def test_tier_that_changes_is_in_the_file_at_the_end_of_its_cycle(tmp_path: Path) -> None:
    rig = quiet(tmp_path, "200")
    rig.venue.core.deposit("USD", D(50))
    rig.cycle()
    assert rig.cycle().tier_change == "STARTER -> GROWTH"
    assert stored(rig)["current_tier"] == "GROWTH"


def test_end_of_the_run_writes_the_last_equity(tmp_path: Path) -> None:
    rig = quiet(tmp_path, "260")
    rig.venue.core.deposit("USD", D(1))
    rig.cycle()
    rig.cycle()
    rig.engine.finish()
    assert stored(rig)["last_equity"] == 261.0


def test_state_file_that_is_deleted_is_built_again(tmp_path: Path) -> None:
    rig = quiet(tmp_path, "260")
    (tmp_path / "state.json").unlink()
    rig.restart()
    assert rig.cycle().tier_change == "UNRANKED -> GROWTH"


def test_state_file_that_is_broken_is_set_aside_and_built_again(tmp_path: Path) -> None:
    rig = quiet(tmp_path, "260")
    (tmp_path / "state.json").write_text("{")
    rig.restart()
    assert rig.cycle().tier == "GROWTH"
    assert (tmp_path / "state.json.unreadable-1").exists()


def test_history_of_the_engine_is_that_of_the_file(tmp_path: Path) -> None:
    rig = quiet(tmp_path, "260")
    assert rig.engine.tier_history() == stored(rig)["upgrade_history"]


def test_tier_bounds_the_positions_of_the_same_cycle(tmp_path: Path) -> None:
    # GROWTH is reached and decided in one cycle: three positions, not the none of an unranked account.
    rig = make_rig(tmp_path, cash={"coinbase": "260"}, coins=("BTC", "ETH", "SOL"))
    rig.first_cycle()
    assert [o.symbol for o in rig.entries()][:2] == [BTC, ETH]
    assert len(rig.entries()) == 3
