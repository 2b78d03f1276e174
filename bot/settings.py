"""Settings: read from the command line, the environment and ``.env``, checked together, explained.

The first place that has a value wins: command line, environment, ``.env``, default. Everything that is
wrong is reported at once. No secret appears in a message, a representation or a description.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from difflib import SequenceMatcher
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bot.domain.errors import ConfigError
from bot.settings_rules import Secret, SwitchRule
from bot.settings_schema import ALIASES, GUIDE_NAMES, SECRET_FILES, SETTINGS, Section, Settings, SettingSpec

__all__ = [
    "ConfigError",
    "Secret",
    "SettingRow",
    "Settings",
    "describe",
    "env_file_is_private",
    "load_settings",
    "names_in_env_file",
    "render_env_template",
    "secret_file_is_private",
]

_NO_OVERRIDES: Mapping[str, str] = MappingProxyType({})
_KNOWN_NAMES = SETTINGS.keys() | SECRET_FILES.keys() | ALIASES
_MAX_FILE_BYTES = 65_536
_PLACEHOLDERS = ("YOUR_ORG", "YOUR_KEY", "your-key", "your-secret", "-----BEGIN EC PRIVATE KEY-----...")
"""What the guide writes where a credential belongs: it counts as not set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    text: str
    origin: str


_Layer = Mapping[str, _Found]


def load_settings(
    *, env_file: Path | None, environ: Mapping[str, str], overrides: Mapping[str, str] = _NO_OVERRIDES
) -> Settings:
    """Read and check all settings; a missing ``env_file`` is an empty one.

    Raises ConfigError that lists every problem on its own line: the setting, where it was found, what was
    found (never for secrets) and what is allowed.
    """
    problems: list[str] = []
    from_file, unknown_names = _read_env_file(env_file, problems)
    strangers = sorted(overrides.keys() - _KNOWN_NAMES)
    problems += [f"command line: there is no setting {_shown(name)}{_meant(name)}" for name in strangers]
    problems += [
        f"command line: {name} is a secret, and a command line is seen by others; set it in .env or the environment"
        for name in sorted(overrides.keys() & SETTINGS.keys())
        if SETTINGS[name].secret
    ]
    layers: tuple[_Layer, ...] = (
        {name: _Found(text=text, origin="command line") for name, text in overrides.items()},
        {name: _Found(text=environ[name], origin="environment") for name in _KNOWN_NAMES & environ.keys()},
        from_file,
    )
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    failed: set[str] = set()
    files = _SecretFiles(credentials_folder=environ.get("CREDENTIALS_DIRECTORY", ""), problems=problems)
    for name, spec in SETTINGS.items():
        found = _find_secret(name, layers, files) if spec.secret else _find(name, layers)
        origins[name] = found.origin if found else "default"
        if found is None:
            continue
        try:
            values[name.lower()] = spec.rule(found.text.strip())
        except ValueError as e:
            failed.add(name)
            problems.append(_complaint(name, spec, found, hint=str(e)))
    settings = Settings(
        **values, origins=origins, unknown_names=unknown_names, open_secret_files=tuple(files.open_to_others)
    )
    problems += [text for names, text in _contradictions(settings) if not failed & names]
    if problems:
        raise ConfigError(_all_problems(problems))
    return settings


def _all_problems(problems: Sequence[str]) -> str:
    if len(problems) == 1:
        return problems[0]
    return "\n".join((f"{len(problems)} problems in the settings:", *(f"- {problem}" for problem in problems)))


def _complaint(name: str, spec: SettingSpec, found: _Found, *, hint: str) -> str:
    where = "environment variable" if found.origin == "environment" else found.origin
    was = "a value that is not shown" if spec.secret else _shown(found.text)
    return f"{name} ({where}): must be {spec.rule.allowed}, was {was}" + (f"; {hint}" if hint else "")


def _shown(text: str) -> str:
    """Quote a found value on one line; what may be a secret in the wrong place stays hidden."""
    if "PRIVATE KEY" in text or "@" in text:
        return "a value that is not shown"
    return ascii(text) if len(text) <= 40 else ascii(text[:40]) + "..."


def _contradictions(settings: Settings) -> list[tuple[set[str], str]]:
    """Values that are allowed one by one and not together: the names involved and the message."""
    found: list[tuple[set[str], str]] = []
    if settings.primary_broker == settings.secondary_broker:
        found.append(
            (
                {"PRIMARY_BROKER", "SECONDARY_BROKER"},
                f"PRIMARY_BROKER and SECONDARY_BROKER are both {settings.primary_broker}: "
                "set SECONDARY_BROKER to the other venue, or to NONE",
            )
        )
    weights = settings.kelly_weight + settings.volatility_weight + settings.equity_weight
    if abs(weights - 1) > 1e-9:
        found.append(
            (
                {"KELLY_WEIGHT", "VOLATILITY_WEIGHT", "EQUITY_WEIGHT"},
                f"KELLY_WEIGHT {settings.kelly_weight:g} + VOLATILITY_WEIGHT {settings.volatility_weight:g} + "
                f"EQUITY_WEIGHT {settings.equity_weight:g} must be 1, was {weights:g}",
            )
        )
    for venue, maker, taker in (
        ("COINBASE", settings.coinbase_maker_fee_pct, settings.coinbase_taker_fee_pct),
        ("KRAKEN", settings.kraken_maker_fee_pct, settings.kraken_taker_fee_pct),
    ):
        if maker > taker:
            names = f"{venue}_MAKER_FEE_PCT", f"{venue}_TAKER_FEE_PCT"
            found.append((set(names), f"{names[0]} must be at most {names[1]} ({taker}), was {maker}"))
    return found


def _find(name: str, layers: Sequence[_Layer]) -> _Found | None:
    return next((layer[name] for layer in layers if name in layer), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _SecretFiles:
    """What is known of the files that hold secrets while they are read."""

    credentials_folder: str
    """Where systemd puts a service's credentials; '' elsewhere."""
    problems: list[str]
    open_to_others: list[str] = field(default_factory=list)
    """Names of their settings."""


def _find_secret(name: str, layers: Sequence[_Layer], files: _SecretFiles) -> _Found | None:
    file_name = next((known for known, secret in SECRET_FILES.items() if secret == name), "")
    for layer in layers:
        found, file_found = layer.get(name), layer.get(file_name)
        if file_found and file_found.text.strip():
            if found and found.text.strip():
                both = f"{found.origin}, {file_found.origin}"
                files.problems.append(f"{name} and {file_name} are both set ({both}): keep one")
                return None
            return _read_secret_file(file_name, file_found, files)
        if found:
            if any(placeholder in found.text for placeholder in _PLACEHOLDERS):
                return _Found(text="", origin=f"{found.origin}, still the guide's placeholder")
            return found
    return None


def _read_secret_file(file_name: str, found: _Found, files: _SecretFiles) -> _Found | None:
    # The path itself is not repeated: a secret may have been pasted where its file belongs.
    problems, path = files.problems, Path(found.text.strip())
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            text = file.read(_MAX_FILE_BYTES).decode("utf-8-sig").strip()
    except (OSError, ValueError) as e:
        reason = e.strerror if isinstance(e, OSError) and e.strerror else "it is no file with text"
        problems.append(f"{file_name} ({found.origin}): the file cannot be read: {reason}")
        return None
    if not text:
        problems.append(f"{file_name} ({found.origin}): the file is empty")
        return None
    is_credential = bool(files.credentials_folder) and path.resolve().parent == Path(files.credentials_folder).resolve()
    if not secret_file_is_private(status.st_mode, owner=status.st_uid, is_credential=is_credential):
        files.open_to_others.append(file_name)
    return _Found(text=text, origin=f"{found.origin}, from a file")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """One statement of the file; without ``name`` it could not be read."""

    number: int
    name: str
    text: str
    beginning: str


def _read_lines(path: Path, problems: list[str]) -> list[_Line]:
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_FILE_BYTES + 1)
        if len(raw) > _MAX_FILE_BYTES:
            problems.append(f"{path.name}: must be at most {_MAX_FILE_BYTES} bytes long, was longer")
            return []
        content = raw.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except FileNotFoundError:
        return []
    except IsADirectoryError:
        problems.append(f"{path.name}: must be a text file, was a directory")
        return []
    except OSError as e:
        problems.append(f"{path.name}: cannot be read: {e.strerror}")
        return []
    except UnicodeDecodeError as e:
        line = e.object[: e.start].count(b"\n") + 1
        problems.append(f"{path.name} line {line}: must be UTF-8 text, was something else; save the file as UTF-8")
        return []
    # Imported here: most programs that look at the settings' names never read a file.
    from dotenv.parser import parse_stream  # noqa: PLC0415 - see above

    lines = []
    for binding in parse_stream(io.StringIO(content)):
        statement = binding.original.string
        leading = statement[: len(statement) - len(statement.lstrip())]
        number = binding.original.line + leading.count("\n")
        readable = binding.key is not None and binding.value is not None
        if readable or binding.error or binding.key is not None:
            lines.append(
                _Line(
                    number=number,
                    name=binding.key or "" if readable else "",
                    text=binding.value or "",
                    beginning=statement.lstrip(),
                )
            )
    return lines


def names_in_env_file(path: Path) -> frozenset[str]:
    """Names that the file sets; none where it is missing. Raises ConfigError where it cannot be read.

    Without python-dotenv (the facades run on a bare Python) names are taken from the line beginnings.
    """
    problems: list[str] = []
    try:
        lines = _read_lines(path, problems)
    except ModuleNotFoundError:
        text = path.read_text(encoding="utf-8-sig")
        return frozenset(re.findall(r"^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=", text, flags=re.MULTILINE))
    if problems:
        raise ConfigError(_all_problems(problems))
    return frozenset(line.name for line in lines if line.name)


def _read_env_file(path: Path | None, problems: list[str]) -> tuple[_Layer, tuple[str, ...]]:
    if path is None:
        return {}, ()
    found: dict[str, _Found] = {}
    unknown: list[str] = []
    first_line: dict[str, int] = {}
    unreadable: list[int] = []
    for line in _read_lines(path, problems):
        where = f"{path.name} line {line.number}"
        if not line.name:
            _note_unreadable(line, where, unreadable, problems)
        elif line.name in first_line:
            problems.append(
                f"{_name_shown(line.name)}: must be set once, was set in {path.name} "
                f"line {first_line[line.name]} and line {line.number}"
            )
        else:
            first_line[line.name] = line.number
            if line.name in _KNOWN_NAMES:
                found[line.name] = _Found(text=line.text, origin=where)
            elif meant := _meant(line.name):
                problems.append(f"{where}: there is no setting {_shown(line.name)}{meant}")
            else:
                unknown.append(_name_shown(line.name, where))
    if unreadable:
        numbers = ", ".join(map(str, unreadable))
        problems.append(
            f"{path.name} line {numbers}: must be NAME=value, was something else (not shown); "
            "a value of several lines belongs into double quotes"
        )
    unknown += [name for name in found if name in ALIASES]
    return found, tuple(unknown)


def _note_unreadable(line: _Line, where: str, unreadable: list[int], problems: list[str]) -> None:
    # Only a known name is repeated: a line that cannot be read may be a part of a key.
    named = re.match(r"(?:export\s+)?([A-Z_]+)\s*(=?)", line.beginning)
    if named is None or named[1] not in _KNOWN_NAMES:
        unreadable.append(line.number)
    elif named[2]:
        problems.append(f"{named[1]} ({where}): a closing quote is missing, or something follows it")
    else:
        problems.append(f"{named[1]} ({where}): must be {named[1]}=value, was without '='")


def _name_shown(name: str, where: str = "a name") -> str:
    """Repeat a name only where it looks like one: pieces of a key split at '=' do not."""
    return name if re.fullmatch(r"[A-Z][A-Z0-9_]{0,63}", name) else f"{where} (name not shown)"


def _meant(name: str) -> str:
    """Name the known setting that ``name`` is close to, as the end of a sentence, or ''."""
    wanted = name.upper()
    if len(wanted) > 64:
        return ""
    for known in _KNOWN_NAMES:
        if sorted(known.split("_")) == sorted(wanted.split("_")):
            return f"; did you mean {known}?"
    ratio, known = max(
        (SequenceMatcher(None, wanted, known).ratio(), known) for known in SETTINGS.keys() | SECRET_FILES
    )
    # Another first letter is another word (BINANCE_API_SECRET), unless all the rest agrees.
    close = ratio >= 0.9 or (ratio >= 0.8 and wanted[0] == known[0])
    return f"; did you mean {known}?" if close else ""


def secret_file_is_private(mode: int, *, owner: int, is_credential: bool) -> bool:
    """Whether nobody but the owner can read or change a file; ``mode`` as of stat.

    ``is_credential``: it lies in the folder that systemd makes for one service. There root owns it, and the list of
    who else may read it, the service's user alone, shows as the group's right to read: 0440.
    """
    # Windows has no such bits: what Python reports there says nothing about readers.
    return os.name == "nt" or not mode & 0o077 or (is_credential and owner == 0 and mode & 0o777 == 0o440)


def secrets_stand_in(path: Path, settings: Settings) -> bool:
    """Whether a secret of these settings was read from the env file itself, not from a file that it names."""
    line = re.compile(rf"{re.escape(path.name)} line \d+")
    return any(
        getattr(settings, name.lower()) and line.fullmatch(settings.origins.get(name, ""))
        for name, spec in SETTINGS.items()
        if spec.secret
    )


def env_file_is_private(path: Path) -> bool:
    """Whether nobody but the owner can read or change the file; true where there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return True
    return secret_file_is_private(status.st_mode, owner=status.st_uid, is_credential=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingRow:
    """One effective setting as text; secrets are masked."""

    name: str
    value: str
    origin: str
    unit: str
    help: str
    effect: str


def describe(settings: Settings) -> list[SettingRow]:
    """Every setting in the order of the guide, for people."""
    return [
        SettingRow(
            name=name,
            value=_value_text(getattr(settings, name.lower())),
            origin=settings.origins.get(name, "default"),
            unit=spec.unit,
            help=spec.help,
            effect=spec.effect,
        )
        for name, spec in SETTINGS.items()
    ]


def _value_text(value: object) -> str:
    if value is None:
        return "the tier's"
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, float):
        return f"{value:g}"
    return f"{value:f}" if isinstance(value, Decimal) else str(value) or "not set"


_HEADER = """\
Settings of the bot. Copy this file:  cp .env.micro_capital .env && chmod 600 .env
The command line wins over the environment, the environment over .env, .env over the default.
Percents are percents (18 is 18 %), scores and weights are fractions. A limit can be tightened, not loosened.
`python bot.py config` shows every value in use and where it came from.
Generated by scripts/write_env_template.py from bot/settings_schema.py: change it there.
"""
_CREDENTIALS_HELP = """\
Keys need the right to trade and never the right to withdraw. Without keys the bot trades on paper.
COINBASE_API_SECRET is the whole private key in double quotes: "-----BEGIN EC PRIVATE KEY-----..."
Instead of a secret you may name a file that holds it, for its owner's eyes only (chmod 600):
COINBASE_API_SECRET_FILE, KRAKEN_MASTER_API_SECRET_FILE.
"""


def render_env_template() -> str:
    """Text of ``.env.micro_capital``: the guide's values set, everything else as comment with its default."""
    parts = [_comment(_HEADER)]
    for section, items in groupby(SETTINGS.items(), key=lambda item: item[1].section):
        parts.append(f"\n# --- {section} ---\n")
        if section is Section.CREDENTIALS:
            parts.append(_comment(_CREDENTIALS_HELP))
        parts += [_template_entry(name, spec) for name, spec in items]
    return "".join(parts)


def _comment(text: str) -> str:
    wrapped = (textwrap.wrap(line, width=110) for line in text.splitlines())
    return "".join(f"# {line}\n" for lines in wrapped for line in lines)


def _template_entry(name: str, spec: SettingSpec) -> str:
    about = spec.help
    if not spec.secret:
        about += "" if isinstance(spec.rule, SwitchRule) else f" Allowed: {spec.rule.allowed}."
        about += f"\n({spec.effect})" if spec.effect else ""
    value = shlex.quote(spec.default_text) if spec.default_text else ""
    active = spec.section is Section.CREDENTIALS or (name in GUIDE_NAMES and spec.default_text)
    return f"{_comment(about)}{'' if active else '# '}{name}={value}\n"
