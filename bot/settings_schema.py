"""What can be set: one table that is the Settings class itself.

An attribute is the lower-case form of its name in the environment; its default, range, unit, section
and help stand beside it once. Percents are percents (18 is 18 %), scores and weights are fractions.
"""
# ruff: noqa: RUF009 - every helper called in the class body returns dataclasses.field of an immutable default

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bot.domain.modes import ExitRule, Strategy
from bot.settings_rules import (
    ChoiceRule,
    CoinsRule,
    NumberRule,
    PathRule,
    Rule,
    Secret,
    SecretRule,
    SecretUrlsRule,
    SwitchRule,
    UrlRule,
)


class Section(StrEnum):
    """Headings of the settings."""

    OPERATION = "Operational settings"
    BALANCES = "Balance requirements"
    RISK = "Risk management"
    SIZING = "Position sizing"
    SIGNALS = "Signal filtering"
    PAIRS = "Trading pairs"
    FEATURES = "Advanced features"
    SAFETY = "Safety features"
    LOGGING = "Logging and resets"
    CREDENTIALS = "Credentials"
    PROGRAM = "This program"
    PAPER = "Paper trading"
    FEES = "Fees"
    ALERTS = "Alerts"


OWN_SECTIONS = frozenset({Section.CREDENTIALS, Section.PROGRAM, Section.PAPER, Section.FEES, Section.ALERTS})
"""Sections that are not among the guide's parameters."""


class AccountMode(StrEnum):
    """Whether the account trades alone or follows another."""

    MASTER_ONLY = "MASTER_ONLY"
    INDEPENDENT = "INDEPENDENT"
    MASTER_FOLLOW = "MASTER_FOLLOW"


class Broker(StrEnum):
    """A venue by the guide's name."""

    COINBASE = "COINBASE"
    KRAKEN = "KRAKEN"
    NONE = "NONE"


class RouteBy(StrEnum):
    """Which of several venues takes an entry."""

    COST = "cost"
    """The one with the lower net cost; the order of the brokers decides between equals."""
    PRIORITY = "priority"
    """The first of the brokers that can take it."""


class AlertLevel(StrEnum):
    """Whether an event is told."""

    ON = "on"
    SILENT = "silent"
    """Told without a sound, where the service knows how."""
    OFF = "off"


class DigestEvery(StrEnum):
    """How often a summary is sent."""

    DAILY = "daily"
    WEEKLY = "weekly"
    OFF = "off"


class PositionSizer(StrEnum):
    """Which legs size a position."""

    HYBRID = "HYBRID"
    KELLY = "KELLY"
    VOLATILITY = "VOLATILITY"
    EQUITY = "EQUITY"


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingSpec:
    """Everything about one setting except its name, which is its attribute's."""

    default_text: str
    rule: Rule
    section: Section
    help: str
    unit: str = ""
    effect: str = ""
    """Non-empty where this version stores the setting and does not use it."""
    secret: bool = False


_UNARMED = "abstains, and abstaining lets pass, until 20 own trades count"
_FOLLOWERS = "no effect yet: arrives with followers and leverage"
_PLAYBOOKS = "no effect yet: arrives with the playbooks"
_REPORTS = "no effect yet: arrives with the comparison against cash"
_RESETS = "no effect yet: arrives with the caches it clears; guards are never cleared"

_FLOOR, _CEILING = "floor", "ceiling"


def _setting(default: str, section: Section, text: str, rule: Rule, **more: Any) -> Any:
    spec = SettingSpec(default_text=default, rule=rule, section=section, help=text, **more)
    return field(default=rule(default), metadata={"spec": spec})


def _switch(default: str, section: Section, text: str, effect: str = "") -> Any:
    return _setting(default, section, text, SwitchRule(), effect=effect)


def _choice(section: Section, text: str, *choices: StrEnum, default: StrEnum | None = None, effect: str = "") -> Any:
    return _setting(str(default or choices[0]), section, text, ChoiceRule(choices=choices), effect=effect)


def _number(
    default: str,
    low: str,
    high: str,
    section: Section,
    text: str,
    *,
    noun: str,
    convert: Callable[[Decimal], object],
    unit: str = "",
    effect: str = "",
    **rule: Any,
) -> Any:
    number_rule = NumberRule(
        noun=noun, low=Decimal(low), high=Decimal(high), convert=convert, none_for_empty=not default, **rule
    )
    return _setting(default, section, text, number_rule, unit=unit, effect=effect)


def _usd(default: str, low: str, high: str, section: Section, text: str, **more: Any) -> Any:
    return _number(default, low, high, section, text, noun="dollars", convert=Decimal, unit="USD", **more)


def _percent(default: str, low: str, high: str, section: Section, text: str, **more: Any) -> Any:
    trap = Decimal(high)
    return _number(
        default, low, high, section, text, noun="a percent", convert=float, unit="%", fraction_trap=trap, **more
    )


def _fee(default: str, text: str) -> Any:
    # Real fees lie between 0.02 % and 2 %: what is smaller was meant as a fraction.
    trap = Decimal(2)
    return _number(
        default, "0", "5", Section.FEES, text, noun="a percent", convert=Decimal, unit="%", fraction_trap=trap
    )


def _fraction(default: str, low: str, section: Section, text: str, **more: Any) -> Any:
    return _number(
        default, low, "1", section, text, noun="a fraction", convert=float, unit="fraction", percent_trap=True, **more
    )


def _count(default: str, low: str, high: str, section: Section, text: str, **more: Any) -> Any:
    return _number(default, low, high, section, text, noun="a whole number", convert=int, **more)


def _credential(text: str) -> Any:
    return _setting("", Section.CREDENTIALS, text, SecretRule(), secret=True)


def _alert(text: str, default: AlertLevel = AlertLevel.ON) -> Any:
    return _choice(Section.ALERTS, text, *AlertLevel, default=default)


_S = Section


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings. USD, fees and the paper spread are Decimal, other percents and fractions float.

    ``origins`` tells by name where a value came from: ``default``, ``environment``,
    ``.env line 12`` or ``command line``. ``unknown_names`` are names in the file that were ignored.
    """

    micro_capital_mode: bool = _switch(
        "True", _S.OPERATION, "One smallest trade may exceed the share per coin where all other limits allow it."
    )
    mode: AccountMode = _choice(
        _S.OPERATION,
        "MASTER_ONLY and INDEPENDENT trade this account; MASTER_FOLLOW enters nothing: no master can be followed yet.",
        *AccountMode,
    )
    primary_broker: Broker = _choice(_S.OPERATION, "Venue whose candles decide.", Broker.COINBASE, Broker.KRAKEN)
    secondary_broker: Broker = _choice(
        _S.OPERATION, "Second venue, NONE for a single one.", *Broker, default=Broker.KRAKEN
    )
    live_trading: bool = _switch(
        "True", _S.OPERATION, "Allow real orders; they also need credentials and a confirmation."
    )
    pro_mode: bool = _switch("True", _S.OPERATION, "Size on total equity instead of free cash only.")

    min_balance_to_trade: Decimal = _usd(
        "15", "15", "1000000", _S.BALANCES, "Equity from which trading begins.", promise=_FLOOR
    )
    min_trade_size: Decimal = _usd("5", "5", "10000", _S.BALANCES, "Smallest entry.", promise=_FLOOR)
    min_balance_coinbase: Decimal = _usd("10", "5", "1000000", _S.BALANCES, "Below it nothing is entered at Coinbase.")
    min_balance_kraken: Decimal = _usd("50", "5", "1000000", _S.BALANCES, "Below it nothing is entered at Kraken.")

    max_positions: int | None = _count(
        "", "1", "20", _S.RISK, "Ceiling on open positions: the tier's number or yours, whichever is lower."
    )
    max_position_pct: float = _percent(
        "18", "1", "18", _S.RISK, "Largest share of equity in one position.", promise=_CEILING
    )
    risk_per_trade: float | None = _percent(
        "",
        "0.1",
        "6",
        _S.RISK,
        "Ceiling on the loss at the stop: the tier's percent or yours, whichever is lower.",
        promise=_CEILING,
    )
    daily_max_loss: float = _percent(
        "6", "0.5", "6", _S.RISK, "Loss of a day after which nothing is entered.", promise=_CEILING
    )
    max_drawdown: float = _percent("12", "1", "12", _S.RISK, "Fall from the peak that halts trading.", promise=_CEILING)

    position_sizer: PositionSizer = _choice(_S.SIZING, "Which legs size a position.", *PositionSizer)
    kelly_weight: float = _fraction("0.30", "0", _S.SIZING, "Weight of the Kelly leg.")
    volatility_weight: float = _fraction("0.40", "0", _S.SIZING, "Weight of the volatility leg.")
    equity_weight: float = _fraction("0.30", "0", _S.SIZING, "Weight of the equity leg; the three weights sum to 1.")

    min_signal_score: float = _fraction(
        "0.75", "0.75", _S.SIGNALS, "Score from which a coin is bought.", promise=_FLOOR
    )
    min_ai_confidence: float = _fraction(
        "0.70", "0.70", _S.SIGNALS, "Confidence that the trade filter demands.", promise=_FLOOR, effect=_UNARMED
    )
    min_risk_reward: float = _number(
        "1.8",
        "1.8",
        "10",
        _S.SIGNALS,
        "Net target over net loss at the stop.",
        noun="a ratio",
        convert=float,
        unit="ratio",
        promise=_FLOOR,
    )

    trade_only: tuple[str, ...] = _setting("BTC,ETH,SOL", _S.PAIRS, "Coins that may be traded.", CoinsRule())

    market_regime_engine: bool = _switch("True", _S.FEATURES, "Let each coin's market state set entries and size.")
    signal_ensemble: bool = _switch("True", _S.FEATURES, "Score with five members; False: with the trend alone.")
    ai_trade_filter: bool = _switch("True", _S.FEATURES, "Refuse entries in which results give too little confidence.")
    leverage_enabled: bool = _switch("False", _S.FEATURES, "Leverage, where the tier has it.", _FOLLOWERS)
    copy_trading: bool = _switch("False", _S.FEATURES, "Copy trading, where the tier has it.", _FOLLOWERS)
    arbitrage: bool = _switch("False", _S.FEATURES, "Arbitrage; costs exceed its gain at this size.", _PLAYBOOKS)

    auto_shutoff_on_errors: bool = _switch("True", _S.SAFETY, "Stop entering after 5 failed cycles in a row.")
    max_consecutive_losses: int = _count(
        "3", "1", "3", _S.SAFETY, "Losses in a row after which entries pause.", promise=_CEILING
    )
    force_cash_buffer: float = _percent("15", "15", "99", _S.SAFETY, "Share of equity kept in cash.", promise=_FLOOR)

    log_signal_rejections: bool = _switch("True", _S.LOGGING, "Log signals that were too weak.")
    log_entry_block_reasons: bool = _switch("True", _S.LOGGING, "Log why an entry was refused.")
    reset_strategy_state: bool = _switch("False", _S.LOGGING, "Forget signal memory at start.", _RESETS)
    clear_entry_blocks: bool = _switch("False", _S.LOGGING, "Forget cached entry blocks at start.", _RESETS)
    flush_cached_balances: bool = _switch("False", _S.LOGGING, "Forget cached balances at start.", _RESETS)

    coinbase_api_key: Secret = _credential("Such as organizations/YOUR_ORG/apiKeys/YOUR_KEY")
    coinbase_api_secret: Secret = _credential("The private key in double quotes, with real line ends or \\n.")
    kraken_master_api_key: Secret = _credential("Kraken is optional.")
    kraken_master_api_secret: Secret = _credential("The private key as Kraken shows it.")

    allow_unknown_key_rights: bool = _switch(
        "False", _S.PROGRAM, "Trade with a key whose rights cannot be learnt; one that can withdraw is always refused."
    )
    route_by: RouteBy = _choice(
        _S.PROGRAM, "Which venue takes an entry: the one with the lower net cost, or the brokers in order.", *RouteBy
    )
    state_dir: Path = _setting(".", _S.PROGRAM, "Folder of ledger and state.", PathRule())
    poll_seconds: int = _count(
        "60",
        "5",
        "3600",
        _S.PROGRAM,
        "Time between two cycles on live prices, at most 20 while an entry rests or a stop is watched.",
        unit="s",
    )
    reconcile_minutes: int = _count(
        "15",
        "1",
        "1440",
        _S.PROGRAM,
        "Time between two comparisons of all orders, fills and balances of the venues with the ledger.",
        unit="min",
    )
    strategy: Strategy = _choice(_S.PROGRAM, "By which rules coins are bought and sold.", *Strategy)
    exit_rule: ExitRule = _choice(
        _S.PROGRAM, "How a breakout trade takes its profit: targets, or a stop that trails.", *ExitRule
    )
    halt_flattens: bool = _switch("False", _S.PROGRAM, "Sell everything when the drawdown halts trading.")
    coinbase_api_url: str = _setting("", _S.PROGRAM, "A proxy instead of Coinbase.", UrlRule())
    kraken_api_url: str = _setting("", _S.PROGRAM, "A proxy instead of Kraken.", UrlRule())
    server_cost_usd_month: Decimal = _usd("5", "0", "10000", _S.PROGRAM, "What the server costs a month.")
    cash_yield_pct: float = _percent("0", "0", "10", _S.PROGRAM, "Yearly yield of idle cash.", effect=_REPORTS)

    paper_equity: Decimal = _usd("100", "1", "1000000000", _S.PAPER, "Cash with which paper trading begins.")
    paper_half_spread_bps: Decimal = _number(
        "5",
        "0",
        "500",
        _S.PAPER,
        "Half of the spread between bid and ask.",
        noun="basis points",
        convert=Decimal,
        unit="bps",
    )

    coinbase_maker_fee_pct: Decimal = _fee(
        "0.60", "Coinbase maker fee; set, it is used instead of the account's own; the default is the worst published."
    )
    coinbase_taker_fee_pct: Decimal = _fee(
        "1.20", "Coinbase taker fee; set, it is used instead of the account's own; the default is the worst published."
    )
    kraken_maker_fee_pct: Decimal = _fee(
        "0.40", "Kraken maker fee; set, it is used instead of the account's own; the default is the worst published."
    )
    kraken_taker_fee_pct: Decimal = _fee(
        "0.80", "Kraken taker fee; set, it is used instead of the account's own; the default is the worst published."
    )

    notify_urls: Secret = _setting(
        "",
        _S.ALERTS,
        "Apprise addresses, separated by spaces or commas; they hold tokens.",
        SecretUrlsRule(),
        secret=True,
    )
    heartbeat_url: Secret = _setting(
        "",
        _S.ALERTS,
        "Address that is pinged after each good cycle.",
        SecretUrlsRule(one_web_address=True),
        secret=True,
    )
    notify_tier_change: AlertLevel = _alert("A tier change.")
    notify_halt: AlertLevel = _alert("A limit that ends entries, with limit and actual value.")
    notify_order: AlertLevel = _alert("An order that was rejected, or whose outcome is unknown.")
    notify_unprotected: AlertLevel = _alert("A position without a stop on its venue.")
    notify_restart: AlertLevel = _alert("A start of the bot.", AlertLevel.SILENT)
    notify_digest: AlertLevel = _alert("The summary.", AlertLevel.SILENT)
    digest_every: DigestEvery = _choice(_S.ALERTS, "How often the summary is sent.", *DigestEvery)

    origins: Mapping[str, str] = field(default_factory=dict, compare=False)
    unknown_names: tuple[str, ...] = field(default=(), compare=False)
    open_secret_files: tuple[str, ...] = field(default=(), compare=False)
    """Names of the settings, such as ``NOTIFY_URLS_FILE``, whose file others than its owner can read or change."""


def configured_accounts(settings: Settings) -> tuple[str, ...]:
    """Accounts in the user's order of priority."""
    brokers = [settings.primary_broker, settings.secondary_broker]
    names = [broker.value.lower() for broker in brokers if broker is not Broker.NONE]
    return tuple(dict.fromkeys(names))


CREDENTIALS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "coinbase": ("COINBASE_API_KEY", "COINBASE_API_SECRET"),
        "kraken": ("KRAKEN_MASTER_API_KEY", "KRAKEN_MASTER_API_SECRET"),
    }
)
"""Account: the names of its key and secret."""


def missing_credentials(settings: Settings, account: str) -> list[str]:
    """Names that an account still needs; [] where its credentials are complete."""
    return [name for name in CREDENTIALS[account] if not getattr(settings, name.lower())]


def accounts_with_keys(settings: Settings) -> tuple[str, ...]:
    """Accounts that the settings name as brokers and have complete credentials for, in the user's order."""
    return tuple(name for name in configured_accounts(settings) if not missing_credentials(settings, name))


def leg_weights(settings: Settings) -> tuple[float, float, float]:
    """Weights of the Kelly, the volatility and the equity leg that POSITION_SIZER means."""
    match settings.position_sizer:
        case PositionSizer.KELLY:
            return 1.0, 0.0, 0.0
        case PositionSizer.VOLATILITY:
            return 0.0, 1.0, 0.0
        case PositionSizer.EQUITY:
            return 0.0, 0.0, 1.0
        case PositionSizer.HYBRID:
            return settings.kelly_weight, settings.volatility_weight, settings.equity_weight


SETTINGS: Mapping[str, SettingSpec] = MappingProxyType(
    {item.name.upper(): item.metadata["spec"] for item in fields(Settings) if "spec" in item.metadata}
)
"""The table: specification by name, in the order of the guide."""

GUIDE_NAMES = tuple(name for name, spec in SETTINGS.items() if spec.section not in OWN_SECTIONS)
"""Parameters of the guide."""

SECRET_FILES: Mapping[str, str] = MappingProxyType(
    {f"{name}_FILE": name for name in ("COINBASE_API_SECRET", "KRAKEN_MASTER_API_SECRET", "NOTIFY_URLS")}
)
"""Names that give a file to read a secret from, and the secret."""

ALIASES = frozenset({"MINIMUM_TRADING_BALANCE", "MIN_CASH_TO_BUY", "MAX_CONCURRENT_POSITIONS", "COPY_TRADING_MODE"})
"""Names that are written for other programs, and ignored when read."""
