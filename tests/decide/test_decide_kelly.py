from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.decide import kelly
from bot.decide.kelly import Edge, edge_of_counts, edge_of_results


def record(wins: int, losses: int) -> Edge:
    return edge_of_counts(wins, losses, 1.8, 0.12)


def same_record_as_results(wins: int, losses: int) -> Edge:
    return edge_of_results([1.8] * wins + [-1.0] * losses, [1.0] * (wins + losses), 0.12)


# -- two outcomes (quant 2.1)


@pytest.mark.parametrize(
    ("win_rate", "win", "loss", "expected"),
    [
        (0.45, 1.8, 1.0, 0.144444),  # .45 - .55 / 1.8
        (0.60, 1.0, 1.0, 0.200000),  # .60 - .40
        (0.50, 1.8, 1.1, 0.176768),  # .50 / 1.1 - .50 / 1.8
        (0.60, 1.8, 1.0, 0.377778),  # what three wins and two losses would say without a prior
    ],
)
def test_full_kelly_of_the_table(win_rate: float, win: float, loss: float, expected: float) -> None:
    assert kelly.full_kelly(win_rate, win, loss) == pytest.approx(expected, abs=5e-7)


TABLE = [
    # wins, losses, m, sd of m, f*, k, f_used, P(edge > 0)
    (0, 0, 0.357143, 0.104561, 0.0, 0.0, 0.0, 0.482),
    (3, 2, 0.405714, 0.096299, 0.075556, 0.202807, 0.003831, 0.681),
    (6, 4, 0.438095, 0.089112, 0.125926, 0.452132, 0.014234, 0.813),
    (12, 8, 0.478571, 0.078015, 0.188889, 0.707826, 0.033425, 0.940),
    (30, 20, 0.530612, 0.059228, 0.269841, 0.895596, 0.060417, 0.998),
    (9, 11, 0.403571, 0.076621, 0.072222, 0.268566, 0.004849, 0.720),
    (4, 16, 0.278571, 0.070012, 0.0, 0.0, 0.0, 0.135),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row[0]}w{row[1]}l")
def test_edge_of_counts_of_the_table(row: tuple[float, ...]) -> None:
    wins, losses, win_rate, deviation, full, shrink, used, chance = row
    edge = edge_of_counts(wins, losses, 1.8, 0.12)
    half_digit = 5e-7
    assert edge.win_rate == pytest.approx(win_rate, abs=half_digit)
    assert edge.deviation / 2.8 == pytest.approx(deviation, abs=half_digit)  # of the mean: (W + 1) times that of m
    assert edge.mean == pytest.approx(2.8 * win_rate - 1.0, abs=3 * half_digit)
    assert edge.full == pytest.approx(full, abs=half_digit)
    assert edge.shrink == pytest.approx(shrink, abs=half_digit)
    assert edge.used == pytest.approx(used, abs=half_digit)
    assert edge.chance == pytest.approx(chance, abs=5e-4)


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (5, 9), (10, 18)])
def test_edge_of_counts_at_break_even_is_exactly_zero(wins: int, losses: int) -> None:
    # 5 x 1.8 = 9 x 1: no edge, whatever the rounding of the posterior mean.
    edge = record(wins, losses)
    assert (edge.full, edge.shrink, edge.used, edge.constrained) == (0.0, 0.0, 0.0, 0.0)


def test_edge_of_counts_at_break_even_hides_the_rounding_of_the_mean() -> None:
    # 12 x 2.5 = 30 x 1, yet the mean computed from the posterior win rate comes out as 2.2e-16.
    edge = edge_of_counts(12, 30, 2.5, 0.12)
    assert (edge.mean, edge.full, edge.shrink, edge.used, edge.constrained) == (0.0, 0.0, 0.0, 0.0, 0.0)
    assert edge.payoff == 2.5


@pytest.mark.parametrize(
    ("wins", "losses", "payoff", "message"),
    [
        (-0.1, 0.0, 1.8, "wins are counted from 0"),
        (0.0, -0.1, 1.8, "losses are counted from 0"),
        (0.0, 0.0, 0.0, "a win is above 0 R"),
    ],
)
def test_edge_of_counts_of_no_possible_record_is_refused(
    wins: float, losses: float, payoff: float, message: str
) -> None:
    with pytest.raises(AssertionError, match=f"^{message}$"):
        edge_of_counts(wins, losses, payoff, 0.12)


def test_edge_of_counts_with_wins_below_the_loss_needs_many_of_them() -> None:
    # W = .5: p0 = 2/3, alpha = 13.333 + 9, beta = 6.667 + 1, m = 22.333 / 30 = .744444; e = 1.5 x .744444 - 1
    assert edge_of_counts(9, 1, 0.5, 0.12).mean == pytest.approx(0.116667, abs=5e-7)


def test_shrunken_payoff_of_five_wins() -> None:
    # (5 x 2.6 + 10 x 1.8) / 15 = 31 / 15
    assert kelly.shrunken_payoff(2.6, 5) == pytest.approx(2.066667, abs=5e-7)
    assert kelly.shrunken_payoff(0.0, 0) == 1.8


def test_baker_mchale_without_an_edge_is_zero() -> None:
    assert kelly.baker_mchale(0.0, 0.1) == 0.0
    assert kelly.baker_mchale(0.0, 0.0) == 0.0  # nor one that is known to be none
    assert kelly.baker_mchale(-0.1, 0.1) == 0.0
    assert kelly.baker_mchale(math.nan, 0.1) == 0.0
    assert kelly.baker_mchale(0.3, 0.4) == pytest.approx(0.36)  # .09 / (.09 + .16)


# -- many outcomes (correction 5)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row[0]}w{row[1]}l")
def test_edge_of_results_with_two_outcomes_has_the_same_mean_and_shrink(row: tuple[float, ...]) -> None:
    two, many = record(int(row[0]), int(row[1])), same_record_as_results(int(row[0]), int(row[1]))
    assert many.mean == pytest.approx(two.mean, abs=1e-12)
    assert many.deviation == pytest.approx(two.deviation, abs=1e-12)
    assert many.shrink == pytest.approx(two.shrink, abs=1e-12)
    assert many.constrained == pytest.approx(min(two.constrained, many.used), abs=1e-12)
    assert many.chance == pytest.approx(two.chance, abs=0.02)  # a normal instead of a beta distribution


def test_edge_of_results_agrees_with_two_outcomes_to_first_order() -> None:
    # With m the posterior win rate the second moment is 3.24 m + (1 - m) = 1.8 + .8 e, so that
    # f_many / f_two = 1.8 / (1.8 + .8 e): the difference is of second order in the edge e.
    for wins, losses in ((3, 2), (6, 4), (12, 8)):
        two, many = record(wins, losses), same_record_as_results(wins, losses)
        assert many.full == pytest.approx(two.full * 1.8 / (1.8 + 0.8 * two.mean), rel=1e-12)


def test_edge_of_results_of_a_ladder_by_hand() -> None:
    # Results 3, 0, -1 with weights 1, 2, 1; the prior adds 20 trades of mean 0 and second moment 1.8.
    # mean = 2 / 24; second moment = (36 + 9 + 1) / 24 = 46 / 24; f = 2 / 46;
    # variance of the mean = (46/24 - (2/24)^2) / 25 = (1.916667 - .006944) / 25 = .0763889
    # k = .006944 / (.006944 + .0763889) = 1 / 12; f_used = .25 / 12 x 2 / 46 = 1 / 1104
    edge = edge_of_results([3.0, 0.0, -1.0], [1.0, 2.0, 1.0], 0.12)
    assert edge.mean == pytest.approx(2 / 24)
    assert edge.full == pytest.approx(2 / 46)
    assert edge.shrink == pytest.approx(1 / 12)
    assert edge.used == pytest.approx(1 / 1104)
    # z = (2 / 24) / sqrt(.0763889) = .301511: Phi = .618488
    assert edge.chance == pytest.approx(0.618488, abs=1e-6)


def test_edge_of_results_has_the_deviation_of_small_results_too() -> None:
    # Twenty results of 0 beside the prior: second moment 36 / 40 = .9, deviation sqrt(.9 / 41) = .148159
    edge = edge_of_results([0.0], [20.0], 0.12)
    assert edge.deviation == pytest.approx(0.148159, abs=5e-7)


def test_edge_of_results_names_no_win_rate_and_no_payoff() -> None:
    edge = edge_of_results([3.0, -1.0], [1.0, 1.0], 0.12)
    assert math.isnan(edge.win_rate)
    assert math.isnan(edge.payoff)


def test_edge_of_results_forgotten_results_say_nothing() -> None:
    assert edge_of_results([3.0], [0.0], 0.12) == pytest.approx(edge_of_results([], [], 0.12), nan_ok=True)


@pytest.mark.parametrize(
    ("result", "weight", "message"),
    [
        (1.0, -0.1, "a weight is not negative"),
        (math.nan, 1.0, "a result is a number"),
        (math.inf, 1.0, "a result is a number"),
    ],
)
def test_edge_of_results_of_no_possible_record_is_refused(result: float, weight: float, message: str) -> None:
    with pytest.raises(AssertionError, match=f"^{message}$"):
        edge_of_results([result], [weight], 0.12)


def test_edge_of_results_of_losses_is_no_edge() -> None:
    edge = edge_of_results([-1.0, -1.2, 0.5], [1.0, 1.0, 1.0], 0.12)
    assert (edge.full, edge.shrink, edge.used, edge.constrained) == (0.0, 0.0, 0.0, 0.0)
    assert edge.chance < 0.5


def test_edge_of_results_with_a_gap_is_constrained_below_ruin() -> None:
    # One result of -4 R: nothing above a quarter of equity survives it; far more is demanded.
    with_gap = edge_of_results([3.0] * 12 + [-1.0] * 7 + [-4.0], [1.0] * 20, 0.12)
    without = edge_of_results([3.0] * 12 + [-1.0] * 8, [1.0] * 20, 0.12)
    assert 0.0 < with_gap.constrained < without.constrained < 0.25


def test_edge_of_results_weights_count_as_repetitions() -> None:
    once = edge_of_results([3.0, 3.0, -1.0, -1.0], [1.0, 1.0, 1.0, 1.0], 0.12)
    assert edge_of_results([3.0, -1.0], [2.0, 2.0], 0.12) == pytest.approx(once, nan_ok=True)


# -- the drawdown constraint (quant 2.2)


@pytest.mark.parametrize(
    ("win_rate", "expected"), [(0.40, 0.00692), (0.45, 0.01487), (0.50, 0.02283), (0.55, 0.03096), (0.478571, 0.01941)]
)
def test_constrained_fraction_of_the_table(win_rate: float, expected: float) -> None:
    assert kelly.constrained_fraction(win_rate, 1.8, 0.12) == pytest.approx(expected, abs=5e-6)


def test_drawdown_exponent_of_twelve_percent() -> None:
    assert kelly.drawdown_exponent(0.12) == pytest.approx(18.012, abs=5e-4)  # ln .10 / ln .88


def test_constrained_fraction_without_an_edge_is_zero() -> None:
    assert kelly.constrained_fraction(1 / 2.8, 1.8, 0.12) == pytest.approx(0.0, abs=1e-6)
    assert kelly.constrained_fraction(0.2, 1.8, 0.12) == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize("win_rate", [0.0, 0.2])
def test_constrained_fraction_far_from_an_edge_is_exactly_zero(win_rate: float) -> None:
    assert kelly.constrained_fraction(win_rate, 1.8, 0.12) == 0.0


@pytest.mark.parametrize("win_rate", [-0.01, 1.0, 1.5])
def test_constrained_fraction_of_no_possible_win_rate_is_refused(win_rate: float) -> None:
    with pytest.raises(AssertionError, match=r"^a win rate is a fraction below 1$"):
        kelly.constrained_fraction(win_rate, 1.8, 0.12)


@pytest.mark.parametrize("limit", [0.0, 0.0049, 1.0, 1.5, math.nan])
def test_drawdown_exponent_of_no_possible_limit_is_refused(limit: float) -> None:
    with pytest.raises(AssertionError, match=r"^a drawdown limit is a fraction from 0\.005$"):
        kelly.drawdown_exponent(limit)


def test_drawdown_exponent_of_the_least_limit() -> None:
    assert kelly.drawdown_exponent(0.005) == pytest.approx(459.36, abs=5e-3)  # ln .10 / ln .995


@pytest.mark.parametrize(
    ("results", "weights", "limit"),
    [
        ([1.5, -4.0], [19.0, 1.0], 0.12),  # above a quarter the loss of 4 R would cost more than there is
        ([10.0, -1.0], [1000.0, 1.0], 0.99),  # nearly everything may be lost: far more than half is at risk
        ([0.5, -0.5], [60.0, 20.0], 0.12),
    ],
)
def test_constrained_by_results_solves_its_equation(results: list[float], weights: list[float], limit: float) -> None:
    share = kelly.constrained_by_results(results, weights, limit, math.inf)
    assert 0.001 < share < 1.0 / max(1.0, -min(results))
    power = math.log(0.10) / -math.log(1.0 - limit)
    everything = [*zip(results, weights, strict=True), (1.8, 20.0 / 2.8), (-1.0, 20.0 * 1.8 / 2.8)]
    mean = sum(weight * (1.0 + share * result) ** power for result, weight in everything)
    assert mean == pytest.approx(sum(weight for _, weight in everything), rel=1e-9)


@pytest.mark.parametrize("asked_part", [0.01, 0.5, 0.999, 1.001, 2.0, 50.0])
@pytest.mark.parametrize("results", [[1.5, -4.0], [0.5, -0.5], [10.0, -1.0]])
def test_constrained_by_results_is_what_was_asked_or_the_most_that_is_allowed(
    results: list[float], asked_part: float
) -> None:
    weights = [30.0, 1.0]
    most = kelly.constrained_by_results(results, weights, 0.12, math.inf)
    asked = asked_part * most
    share = kelly.constrained_by_results(results, weights, 0.12, asked)
    assert share == (asked if asked_part < 1.0 else most)


@given(win_rate=st.floats(0.36, 0.95), payoff=st.floats(1.8, 6.0), limit=st.floats(0.01, 0.3))
def test_constrained_fraction_solves_its_equation(win_rate: float, payoff: float, limit: float) -> None:
    share = kelly.constrained_fraction(win_rate, payoff, limit)
    power = -kelly.drawdown_exponent(limit)
    assert 0.0 < share < 1.0
    mean = win_rate * (1 + share * payoff) ** power + (1 - win_rate) * (1 - share) ** power
    assert mean == pytest.approx(1.0, abs=1e-6)
    assert kelly.constrained_fraction(win_rate, payoff, limit / 2) <= share  # a tighter limit never allows more


# -- brake and forgetting


@pytest.mark.parametrize(
    ("trades", "chance", "expected"),
    [
        (0, 0.482, 1.0),
        (19, 0.10, 1.0),
        (20, 0.50, 1.0),
        (20, 0.4999, 0.5),
        (20, 0.25, 0.5),
        (20, 0.2499, 0.0),
        (500, 0.0, 0.0),
        (0, math.nan, 0.0),
    ],
)
def test_edge_brake_at_its_steps(trades: int, chance: float, expected: float) -> None:
    assert kelly.edge_brake(trades, chance) == expected


def test_result_weight_halves_in_180_days() -> None:
    assert [kelly.result_weight(age) for age in (-1.0, 0.0, 180.0, 360.0)] == [1.0, 1.0, 0.5, 0.25]


def test_days_until_release_is_the_first_day_of_a_quarter_chance() -> None:
    days = kelly.days_until_release(4, 16, 1.8)
    assert days == 169

    def chance(day: int) -> float:
        weight = kelly.result_weight(day)
        return edge_of_counts(4 * weight, 16 * weight, 1.8, 0.12).chance

    assert chance(days - 1) < 0.25 <= chance(days)
    assert kelly.edge_brake(20, chance(days)) == 0.5
    assert kelly.days_until_release(12, 8, 1.8) == 0


@given(wins=st.integers(0, 30), losses=st.integers(0, 500))
def test_full_brake_is_always_released(wins: int, losses: int) -> None:
    days = kelly.days_until_release(wins, losses, 1.8)
    assert 0 <= days < kelly.MAX_RELEASE_DAYS
    weight = kelly.result_weight(days)
    assert edge_of_counts(wins * weight, losses * weight, 1.8, 0.12).chance >= 0.25


# -- the incomplete beta function


@pytest.mark.parametrize(
    ("x", "a", "b", "expected"),
    [
        (0.3, 1.0, 1.0, 0.3),  # uniform
        (0.5, 2.0, 3.0, 11 / 16),  # P(at least 2 of 4 heads)
        (0.25, 3.0, 2.0, 13 / 256),  # 4 x^3 - 3 x^4 = 16/256 - 3/256
        (0.9, 0.5, 0.5, 0.7951672353008665),  # (2 / pi) asin sqrt .9
        (0.2, 1.0, 40.0, 1 - 0.8**40),
        (0.0, 2.0, 2.0, 0.0),
        (1.0, 2.0, 2.0, 1.0),
        (0.5, 5000.0, 5000.0, 0.5),
    ],
)
def test_incomplete_beta_of_closed_forms(x: float, a: float, b: float, expected: float) -> None:
    assert kelly.incomplete_beta(x, a, b) == pytest.approx(expected, abs=1e-11)


@pytest.mark.parametrize(
    ("value", "expected"), [(0.0, 1e-9), (5e-10, 1e-9), (-5e-10, 1e-9), (-1e-9, -1e-9), (0.5, 0.5), (-0.5, -0.5)]
)
def test_away_from_zero_replaces_only_what_is_nearer(value: float, expected: float) -> None:
    assert kelly.away_from_zero(value, 1e-9) == expected


@given(n=st.integers(1, 60), x=st.floats(0.001, 0.999), data=st.data())
def test_incomplete_beta_is_the_binomial_tail(n: int, x: float, data: st.DataObject) -> None:
    # I_x(k, n - k + 1) = P(at least k successes of n), DLMF 8.17.5.
    k = data.draw(st.integers(1, n))
    tail = sum(math.comb(n, i) * x**i * (1 - x) ** (n - i) for i in range(k, n + 1))
    assert kelly.incomplete_beta(x, float(k), float(n - k + 1)) == pytest.approx(tail, abs=1e-10)


@given(wins=st.integers(0, 200), losses=st.integers(0, 200))
def test_edge_of_counts_grows_with_wins_and_falls_with_losses(wins: int, losses: int) -> None:
    edge, better, worse = record(wins, losses), record(wins + 1, losses), record(wins, losses + 1)
    assert worse.mean < edge.mean < better.mean
    assert worse.chance <= edge.chance <= better.chance
    assert 0.0 <= edge.used <= 0.25 * edge.full
    assert 0.0 <= edge.chance <= 1.0


@pytest.mark.parametrize(("wins", "losses", "expected"), [(0, 0, 0.489), (6, 4, 0.753), (12, 8, 0.885)])
def test_confidence_of_counts_is_that_of_the_foundation(wins: int, losses: int, expected: float) -> None:
    assert kelly.confidence(wins, losses, 0.411) == pytest.approx(expected, abs=5e-4)  # quant 2.7


def test_confidence_at_a_certain_outcome_stops() -> None:
    for impossible in (0.0, 1.0):
        with pytest.raises(AssertionError, match=r"^a win rate is a fraction$"):
            kelly.confidence(1, 1, impossible)
