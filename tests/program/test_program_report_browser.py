"""The report in a real browser, as wide as a desk's screen and as a phone's: drawn whole, and from nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from program_rig import bot_inside, write_env
from report_rig import RUN, SETTINGS, SPLIT, as_number, candle_folder
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.skipif(
        CHROMIUM is None or DRIVER is None,
        reason="no browser here: `apt-get install chromium chromium-driver` installs it",
    ),
]
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
SECONDS_MAX = 60
DESK, PHONE = 1280, 390

OVERLAPS = """
const boxes = (chart, what) => [...chart.querySelectorAll(what)].map((node) => node.getBoundingClientRect());
const meet = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
return [...document.querySelectorAll(".chart")].flatMap((chart) => {
  const found = [];
  for (const what of [".xtick text", ".ytick text", ".legendtext", ".annotation"]) {
    const all = boxes(chart, what);
    all.forEach((a, i) => all.slice(i + 1).forEach((b) => { if (meet(a, b)) found.push(chart.id + " " + what); }));
  }
  const outer = chart.getBoundingClientRect();
  const texts = boxes(chart, "text").filter((box) => box.width > 0);
  if (texts.some((box) => box.left < outer.left - 1 || box.right > outer.right + 1)) found.push(chart.id + " cut off");
  return found;
});
"""
TRACES = """
return Object.fromEntries([...document.querySelectorAll(".chart")].map((chart) => [
  chart.id,
  [chart.data.length, chart.querySelectorAll(".scatterlayer .trace, .boxlayer .trace").length,
   chart.getBoundingClientRect().width, chart.querySelector(".main-svg").getBoundingClientRect().width],
]));
"""
COLOURS = (
    "return [getComputedStyle(document.body).backgroundColor, document.getElementById('equity').data[0].line.color]"
)
TOO_WIDE = """
const wide = document.documentElement.clientWidth;
return [...document.querySelectorAll("main *")]
  .filter((node) => !node.closest(".box") && !node.closest(".chart") && node.getBoundingClientRect().right > wide + 1)
  .map((node) => node.tagName + " " + node.textContent.slice(0, 40));
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    candles, home = (tmp_path_factory.mktemp(name) for name in ("candles", "home"))
    candle_folder(candles)
    write_env(home, *SETTINGS)
    arguments = ("backtest", str(candles), *RUN, "--report", "page.html", "--split", SPLIT)
    with pytest.MonkeyPatch.context() as patch:
        done = bot_inside(patch, home, *arguments)
    assert done.returncode == 0, done.stderr
    return home / "page.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    assert CHROMIUM is not None
    options = Options()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(executable_path=DRIVER))  # named, so none is fetched
    try:
        driver.set_page_load_timeout(SECONDS_MAX)
        yield driver
    finally:
        driver.quit()


class Screen:
    """The page in the browser; what it said and asked for while it was loaded."""

    def __init__(self, browser: webdriver.Chrome, page: Path) -> None:
        self.browser = browser
        self._page = page
        self._shown: tuple[int, bool] | None = None
        self.complaints: list[str] = []
        self.schemes: set[str] = set()

    def show(self, width: int, *, dark: bool = False) -> None:
        """Open the page as a screen of this width shows it, and wait until its charts are drawn."""
        if self._shown == (width, dark):
            return
        shape = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        look = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", shape)
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": look})
        self.browser.get(self._page.as_uri())
        WebDriverWait(self.browser, SECONDS_MAX).until(
            lambda _: self.run("return document.documentElement.dataset.drawn === 'yes'")
        )
        self._shown = (width, dark)
        log_of: Any = self.browser.get_log  # it has no types
        self.complaints = [entry["message"] for entry in log_of("browser")]
        messages = [json.loads(entry["message"])["message"] for entry in log_of("performance")]
        sent = [message["params"] for message in messages if message["method"] == "Network.requestWillBeSent"]
        # The browser's own first page asks for parts of the browser.
        asked = [params["request"]["url"] for params in sent if params["documentURL"].startswith("file:")]
        self.schemes = {url.partition(":")[0] for url in asked}

    def run(self, script: str) -> Any:
        return self.browser.execute_script(script)


@pytest.fixture(scope="module")
def screen(browser: webdriver.Chrome, report: Path) -> Screen:
    return Screen(browser, report)


def test_numbers_shown_are_the_embedded_ones(screen: Screen) -> None:
    screen.show(DESK)
    result = json.loads(screen.run("return document.getElementById('result').textContent"))
    shown = screen.run(
        "return Object.fromEntries([...document.querySelectorAll('[data-field]')]"
        ".map((node) => [node.dataset.field, node.innerText]))"
    )
    assert len(shown) == 6
    for name, text in shown.items():
        assert abs(as_number(text) - result[name]) <= (0.051 if name == "max_drawdown_pct" else 0.0051), name
    ends = screen.run("return document.getElementById('equity').data[0].y.at(-1)")
    assert abs(ends - result["end_equity"]) < 0.01


def test_fill_that_is_pointed_at_tells_what_it_was(screen: Screen) -> None:
    screen.show(DESK)
    mark = screen.browser.find_element(By.CSS_SELECTOR, "[id^=trades] .scatterlayer .point")
    screen.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", mark)
    ActionChains(screen.browser).move_to_element(mark).perform()
    words = WebDriverWait(screen.browser, SECONDS_MAX).until(
        lambda _: screen.run(
            "return [...document.querySelectorAll('[id^=trades] .hoverlayer')].map((node) => node.textContent).join('')"
        )
    )
    for part in ("bought ", " at $", ", fee $", ": breakout: score "):
        assert part in words


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_page_is_drawn_whole_and_asks_for_nothing(screen: Screen, width: int) -> None:
    screen.show(width)
    assert screen.complaints == []
    assert screen.schemes <= {"file", "data", "blob"}
    assert screen.run("return performance.getEntriesByType('resource').map((entry) => entry.name)") == []
    assert screen.run("return innerWidth") == width
    assert screen.run("return document.documentElement.scrollWidth") <= width
    assert screen.run(TOO_WIDE) == []
    assert screen.run(OVERLAPS) == []
    drawn = screen.run(TRACES)
    assert len(drawn) == 9
    for name, (wanted, found, box, picture) in drawn.items():
        assert found == wanted > 0, name
        assert abs(box - picture) < 1, name
        assert box > width * 0.8, name
    assert screen.run("return document.querySelectorAll('img').length") == 0  # the name of a file is no tag


def test_dark_look_and_paper_have_colours_of_their_own(screen: Screen) -> None:
    screen.show(DESK, dark=True)
    dark = screen.run(COLOURS)
    assert dark == ["rgb(20, 24, 28)", "#56b4e9"]
    screen.run("dispatchEvent(new Event('beforeprint'))")
    assert screen.run(COLOURS) == ["rgb(255, 255, 255)", "#0072b2"]
    assert screen.run("return document.getElementById('equity').layout.width") == 680
    screen.run("dispatchEvent(new Event('afterprint'))")
    assert screen.run(COLOURS) == dark
