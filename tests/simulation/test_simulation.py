"""Five hundred episodes of the real engine among faults and deaths: no rule is broken, and a seed is a seed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sim_checks import Violation
from sim_faults import FAULTS_AT, NONE, Fault, Step, cells, reachable
from sim_run import CYCLES, ROOT, run_seeds, table, too_rare, totals, words
from sim_world import SIGNALS_FROM

from bot.domain.orders import OrderState

PARTS = 10
SEEDS = 500


@pytest.mark.parametrize("part", range(PARTS))
def test_simulation_of_fifty_seeds_breaks_no_rule(part: int) -> None:
    each = SEEDS // PARTS
    report = run_seeds(range(part * each, (part + 1) * each))
    assert not report.violations, "\n".join(words(violation) for violation in report.violations)
    assert report.cycles == each * CYCLES
    # What makes the rest worth something: faults, deaths and trades, several of each in an episode.
    assert report.faulty > report.cycles // 10, totals(report)
    assert min(report.deaths, report.entries, report.stops, report.exits, report.fills) > each, totals(report)


def test_simulation_on_all_signals_breaks_no_rule() -> None:
    report = run_seeds(range(SIGNALS_FROM, SIGNALS_FROM + 40))
    assert not report.violations, "\n".join(words(violation) for violation in report.violations)
    assert min(report.entries, report.stops, report.exits) > 40, totals(report)


def digest_of(seed: int, hash_seed: str) -> str:
    code = f"import sim_run; print(sim_run.run_seeds([{seed}]).digest)"
    told = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent,
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return told.stdout.strip()


def test_simulation_of_a_seed_is_the_same_in_every_process() -> None:
    here = run_seeds([3]).digest
    assert len(here) == 64
    assert digest_of(3, "1") == digest_of(3, "2") == here
    assert run_seeds([4]).digest != here


def test_violation_words_name_seed_cycle_rule_and_command() -> None:
    told = words(Violation(7, 31, "books", "cash 1, at the venue 2"), cycles=60)
    assert "seed 7 cycle 31 rule 'books' commit " in told
    assert told.endswith("again: bash scripts/simulate --seed 7 --cycles 60")


def test_coverage_rule_reaches_no_final_state_and_every_fault_of_every_step() -> None:
    reached = cells()
    assert len(reached) == len(set(reached))
    assert not any(reachable(OrderState.FILLED, fault, step) for fault in Fault for step in Step)
    assert {(fault, step) for _, fault, step in reached} == {(f, step) for step in Step for f in FAULTS_AT[step]}
    assert (OrderState.IN_FLIGHT, Fault.LATE_ARRIVAL, Step.SEND) in reached
    assert (NONE, Fault.LATE_ARRIVAL, Step.SEND) not in reached


def test_coverage_table_counts_a_cell_and_names_those_that_are_too_rare() -> None:
    report = run_seeds([0])
    cell = max(report.coverage, key=lambda c: report.coverage[c])
    assert f"{report.coverage[cell]:,}" in table(report.coverage)
    assert set(too_rare(report.coverage, 1)) == {
        f"{s}, {f}, {step}: 0" for s, f, step in cells() if not report.coverage[s, f, step]
    }
    assert root_is_the_repository()


def root_is_the_repository() -> bool:
    return (ROOT / "bot" / "ports.py").is_file()
