"""What the worker adds to an address is understood by the services themselves, as Apprise knows them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bot.alerts.worker import SILENT_PARAMETERS, prepared

ROOT = Path(__file__).resolve().parents[2]
SERVICES = {
    "tgram": ("tgram://123456789:abcdefg_hijklmnopqrstuvwxyz1234567/12315544/", "silent", True),
    "ntfy": ("ntfy://localhost/topic", "priority", "min"),
    "ntfys": ("ntfys://localhost/topic/", "priority", "min"),
    "pover": (f"pover://{'u' * 30}@{'t' * 30}", "priority", -2),
    "gotify": ("gotify://localhost/Aabcdefghijklmn", "priority", 0),
    "gotifys": ("gotifys://localhost/Aabcdefghijklmn", "priority", 0),
    "bark": ("bark://localhost/device", "level", "passive"),
    "barks": ("barks://localhost/device", "level", "passive"),
    "discord": ("discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js", "flags", 4096),
}
"""Scheme: an address as its service would give it, the plugin's attribute, its value when silent."""


LOUD_NTFY = "ntfy://localhost/topic?priority=max"

ASK = """
import apprise, json, sys
answers = []
for url, attribute in json.load(sys.stdin):
    service = apprise.Apprise.instantiate(url)
    answers.append([getattr(service, attribute), service.overflow_mode])
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def answers() -> dict[tuple[str, bool], Any]:
    """By scheme and silence: the attribute's value and how long texts are treated, asked in a process of its own."""
    urls = {**SERVICES, "loud ntfy": (LOUD_NTFY, "priority", "min")}
    asked = [(name, silent) for name in urls for silent in (False, True)]
    questions = [(prepared(urls[name][0], silent=silent), urls[name][1]) for name, silent in asked]
    done = subprocess.run(
        [sys.executable, "-c", ASK], cwd=ROOT, input=json.dumps(questions), capture_output=True, text=True, check=True
    )
    return dict(zip(asked, json.loads(done.stdout), strict=True))


def test_every_service_with_a_silent_parameter_is_looked_at() -> None:
    assert SERVICES.keys() == SILENT_PARAMETERS.keys()


@pytest.mark.parametrize("scheme", SERVICES)
def test_silent_address_makes_the_service_silent(answers: dict[tuple[str, bool], Any], scheme: str) -> None:
    silent_value = SERVICES[scheme][2]
    assert answers[scheme, True] == [silent_value, "split"]
    value, overflow = answers[scheme, False]
    assert value != silent_value
    assert overflow == "split"


def test_silent_wins_over_what_the_address_says_and_only_then(answers: dict[tuple[str, bool], Any]) -> None:
    assert answers["loud ntfy", True][0] == "min"
    assert answers["loud ntfy", False][0] == "max"


def test_own_wish_about_long_texts_is_kept() -> None:
    url = "json://localhost/?overflow=truncate"
    assert prepared(url, silent=True) == url
