"""The deploy files name what there is: paths, options, exit codes, settings; and their linter lets nothing pass."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from bot.cli.main import EXIT_CONFIG, main
from bot.settings_schema import SECRET_FILES, Settings

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "scripts" / "deploy"
SERVICES = ("micro-bot.service", "micro-bot-once.service")
PROGRAM = "/opt/micro-bot"
STATE = "/var/lib/micro-bot"
SLOW_CYCLE_S = 120
MIB = 1024 * 1024


def lines_of(name: str) -> list[str]:
    """Statements of a file, without comments; a backslash continues one."""
    text = (DEPLOY / name).read_text(encoding="utf-8").replace("\\\n", " ")
    return [" ".join(line.split()) for line in text.splitlines() if line.strip() and not line.startswith("#")]


def unit(name: str) -> dict[str, list[str]]:
    """Every value of every key of a unit file; keys do not repeat between its sections."""
    found: dict[str, list[str]] = {}
    for line in lines_of(name):
        key, sign, value = line.partition("=")
        if sign:
            found.setdefault(key, []).append(value)
    return found


def one(name: str, key: str) -> str:
    values = unit(name)[key]
    assert len(values) == 1, f"{name}: {key}"
    return values[0]


def accept(arguments: list[str]) -> None:
    """Parse a command line as the program would, without running it; raises UsageError."""
    group = click.Context(main)
    command = main.get_command(group, arguments[0])
    assert command is not None, arguments
    command.make_context(arguments[0], arguments[1:], parent=group)


def seconds(text: str) -> int:
    number, unit_name = re.fullmatch(r"(\d+)(s|min)", text).groups()  # type: ignore[union-attr]  # fails the test
    return int(number) * {"s": 1, "min": 60}[unit_name]


# -- units


@pytest.mark.parametrize(("name", "options"), [(SERVICES[0], ["--live"]), (SERVICES[1], ["--live", "--once"])])
def test_service_starts_the_bot_with_options_that_there_are(name: str, options: list[str]) -> None:
    # The interpreter of .venv itself: through scripts/run or another Python the main process would be another.
    python, bot, *arguments = one(name, "ExecStart").split()
    assert (python, bot) == (f"{PROGRAM}/.venv/bin/python", f"{PROGRAM}/bot.py")
    assert (ROOT / "bot.py").is_file()
    assert arguments == ["run", *options]
    accept(arguments)
    with pytest.raises(click.UsageError):
        accept([*arguments, "--no-such-option"])


def test_service_is_not_started_again_after_a_wrong_setting() -> None:
    assert one("micro-bot.service", "Restart") == "on-failure"
    assert one("micro-bot.service", "RestartPreventExitStatus") == str(EXIT_CONFIG)
    assert "Restart" not in unit("micro-bot-once.service")


def test_service_tells_its_signs_of_life_often_enough() -> None:
    assert one("micro-bot.service", "Type") == "notify"
    assert one("micro-bot.service", "NotifyAccess") == "main"
    watchdog_s = seconds(one("micro-bot.service", "WatchdogSec"))
    assert watchdog_s >= Settings().poll_seconds + SLOW_CYCLE_S
    # as the comment there says: 300 - 120 = 180
    assert watchdog_s - SLOW_CYCLE_S == 180
    assert seconds(one("micro-bot.service", "TimeoutStopSec")) > SLOW_CYCLE_S
    # A oneshot unit without it could hang for ever.
    assert seconds(one("micro-bot-once.service", "TimeoutStartSec")) > SLOW_CYCLE_S


def test_services_run_as_a_user_of_their_own_where_only_their_state_can_be_written() -> None:
    for name in SERVICES:
        assert one(name, "User") == one(name, "StateDirectory") == "micro-bot"
        assert one(name, "WorkingDirectory") == STATE
        assert (one(name, "StateDirectoryMode"), one(name, "UMask")) == ("0700", "0077")
        assert one(name, "ProtectSystem") == "strict"
        # 100 MiB of the bot and 50 of the process that sends alerts
        limit = int(one(name, "MemoryHigh").removesuffix("M")) * MIB
        assert 150 * MIB < limit < int(one(name, "MemoryMax").removesuffix("M")) * MIB


def test_services_are_hardened_alike() -> None:
    first, second = (lines_of(name) for name in SERVICES)
    begin = first.index("NoNewPrivileges=true")
    hardening = first[begin : first.index("[Install]")]
    assert len(hardening) > 20
    assert second[second.index("NoNewPrivileges=true") :] == hardening


def test_timer_starts_the_single_cycle_four_times_an_hour() -> None:
    assert (DEPLOY / "micro-bot-once.timer").with_suffix(".service").is_file()
    assert one("micro-bot-once.timer", "OnCalendar") == "*-*-* *:02/15:00"
    assert one("micro-bot-once.timer", "Persistent") == "true"


def test_credentials_are_those_that_the_settings_read_from_files() -> None:
    files = dict(value.split(":") for value in unit("credentials.conf")["LoadCredential"])
    given = dict(value.split("=%d/") for value in unit("credentials.conf")["Environment"])
    assert given.keys() == SECRET_FILES.keys()
    assert given == {f"{name.upper()}_FILE": name for name in files}
    assert files == {name: f"/etc/micro-bot/{name}" for name in files}


# -- image


def of_docker(instruction: str) -> list[str]:
    return [
        line.removeprefix(f"{instruction} ") for line in lines_of("Dockerfile") if line.startswith(f"{instruction} ")
    ]


def test_image_is_of_a_full_version_that_the_bot_runs_on() -> None:
    images = {line.split()[0] for line in of_docker("FROM")}
    assert len(images) == 1
    version = re.fullmatch(r"python:(\d+)\.(\d+)\.\d+-slim-[a-z]+", images.pop())
    assert version is not None
    assert (int(version[1]), int(version[2])) >= (3, 11)


def test_image_copies_files_that_there_are_and_that_reach_the_builder() -> None:
    allowed = {line[1:] for line in lines_of("Dockerfile.dockerignore") if line.startswith("!")}
    copied = {source for line in of_docker("COPY") if not line.startswith("--from=") for source in line.split()[:-1]}
    assert copied == allowed
    assert [name for name in sorted(copied) if not (ROOT / name).exists()] == []
    # Everything else stays out: .env, ledgers, history.
    assert lines_of("Dockerfile.dockerignore")[0] == "*"


def test_image_installs_with_hashes_only() -> None:
    pip = [part for line in of_docker("RUN") for part in line.split("&&") if "pip install" in part]
    assert len(pip) == 1
    assert "--require-hashes" in pip[0]
    assert "--only-binary :all:" in pip[0]
    for lock in re.findall(r"--requirement (\S+)", pip[0]):
        assert "--hash=sha256:" in (ROOT / lock).read_text(encoding="utf-8")


def test_image_runs_as_nobody_special_in_the_folder_of_its_state() -> None:
    user, group = of_docker("USER")[-1].split(":")
    assert (int(user) > 0, int(group) > 0) == (True, True)
    assert json.loads(of_docker("VOLUME")[-1]) == [of_docker("WORKDIR")[-1]] == [STATE]
    assert not re.search(r"_SECRET|_KEY|NOTIFY_URLS", "\n".join(lines_of("Dockerfile")))


def test_image_starts_the_bot_and_asks_the_doctor_with_arguments_that_there_are() -> None:
    entry = json.loads(of_docker("ENTRYPOINT")[-1])
    assert entry == [f"{PROGRAM}/.venv/bin/python", f"{PROGRAM}/bot.py"]
    # Real money only where somebody says so.
    assert json.loads(of_docker("CMD")[-1]) == ["run"]
    health = json.loads(of_docker("HEALTHCHECK")[-1].partition(" CMD ")[2])
    assert health[:2] == entry
    accept(health[2:])
    assert health[2:] == ["doctor", "--quick"]


# -- what is said about them


def test_guide_of_the_server_names_the_files_and_options_that_there_are() -> None:
    guide = (ROOT / "MICRO_MASTER_GUIDE.md").read_text(encoding="utf-8").partition("\n## On a server\n")[2]
    guide = guide.partition("\n## ")[0]
    for name in re.findall(r"scripts/[\w./-]+", guide):
        assert (ROOT / name).exists(), name
    calls = re.findall(r"\bbot(?:\.py)? ((?:run|doctor|status|halt|flatten)\b[^\n`#|]*)", guide.replace("2>&1", ""))
    assert {("run", "--live"), ("run", "--live", "--once")} <= {tuple(call.split()) for call in calls}
    for call in calls:
        accept(call.split())
    assert re.search(r"^2-59/15 \* \* \* \* cd /var/lib/micro-bot && ", guide, flags=re.MULTILINE)


def test_deploy_files_name_no_address() -> None:
    for path in sorted(DEPLOY.iterdir()):
        assert "://" not in path.read_text(encoding="utf-8"), path.name


# -- the linter

SCRIPT = "scripts/lint_deploy"
QUIET_ANALYZE = '#!/bin/sh\n[ "$1" = security ] && echo "Overall exposure level: 1.1"\nexit 0\n'
QUIET = "#!/bin/sh\nexit 0\n"


def write_program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone whose environment is installed, with a linter and a systemd-analyze that find nothing."""
    root = tmp_path / "a clone"
    shutil.copytree(DEPLOY, root / "scripts" / "deploy")
    for name in (SCRIPT, "scripts/_setup.sh", "requirements.txt"):
        shutil.copy(ROOT / name, root / name)
    write_program(root / ".venv" / "bin" / "python", f'#!/bin/sh\nexec {sys.executable!r} "$@"\n')
    write_program(root / ".venv" / "bin" / "hadolint", QUIET)
    write_program(tmp_path / "programs" / "systemd-analyze", QUIET_ANALYZE)
    locks = ("requirements.txt", "scripts/deploy/requirements.txt")
    sums = [f"{hashlib.sha256((root / lock).read_bytes()).hexdigest()}  {lock}" for lock in locks]
    stamp = "\n".join([".".join(map(str, sys.version_info[:3])), *sums, ""])
    (root / ".venv" / ".installed").write_text(stamp, encoding="utf-8")
    return root


def lint(clone: Path, path: str | None = None) -> subprocess.CompletedProcess[str]:
    path = path or f"{clone.parent / 'programs'}:{os.environ['PATH']}"
    return subprocess.run(
        [shutil.which("bash") or "bash", str(clone / SCRIPT)],
        cwd=clone.parent,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_lint_script_can_be_executed_and_is_a_step_of_ci() -> None:
    assert os.access(ROOT / SCRIPT, os.X_OK)
    assert f'step "deploy files" bash {SCRIPT}\n' in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_lint_without_findings_succeeds(clone: Path) -> None:
    run = lint(clone)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.splitlines()[-1] == "The deploy files are clean."


@pytest.mark.parametrize(
    ("program", "text"),
    [
        ("hadolint", "#!/bin/sh\nexit 1\n"),
        # systemd-analyze ends with 0 after an unknown key: what it says is the finding.
        ("systemd-analyze", QUIET_ANALYZE.replace("exit 0", 'echo "Unknown key" >&2\nexit 0')),
        ("systemd-analyze", QUIET_ANALYZE.replace("exit 0", '[ "$1" != verify ]')),
        ("systemd-analyze", QUIET_ANALYZE.replace("exit 0", '[ "$1" != security ]')),
        ("systemd-analyze", QUIET),
    ],
    ids=["image", "warning", "error", "exposure", "nothing said"],
)
def test_lint_with_a_finding_fails(clone: Path, program: str, text: str) -> None:
    folder = clone / ".venv" / "bin" if program == "hadolint" else clone.parent / "programs"
    write_program(folder / program, text)
    run = lint(clone)
    assert run.returncode == 1
    assert "clean" not in run.stdout


@pytest.mark.parametrize("user", [0, 1000])
def test_lint_without_systemd_and_a_way_to_install_it_fails(clone: Path, user: int) -> None:
    programs = clone.parent / "few programs"
    write_program(programs / "id", f"#!/bin/sh\necho {user}\n")
    (programs / "dirname").symlink_to(shutil.which("dirname") or "")
    run = lint(clone, str(programs))
    assert run.returncode == 1
    assert run.stderr.startswith("This needs systemd-analyze.")
    assert "apt-get install --yes systemd" in run.stderr
