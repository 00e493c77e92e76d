"""The report of a real search in a real browser: it draws everything, says no errors, and its numbers are true."""

import math
import re
import time

import pandas as pd
import pytest

from search.run import main as search
from tests.end_to_end.searches import RATE, write_space
from tests.parts.recorded import recorded

DROPOUT = "MODEL.HEAD.DROPOUT: {uniform: [0, 0.5]}"
ROWS = "[...document.querySelectorAll('#all-trials tbody tr')]"


@pytest.fixture(scope="module")
def searched(ray_address, tmp_path_factory):
    """The folder of a search that was really trained."""
    home = tmp_path_factory.mktemp("reported")
    space = write_space(home, f"{RATE}, {DROPOUT}", "num_samples: 14, confirm: {top: 1, seeds: 2}, reference: true")
    folder = home / "out"
    assert search(["--space", str(space), "--address", ray_address, "-o", str(folder)]) == 0
    return folder


def opened(browser, page, width: int, is_dark: bool = False) -> None:
    """Opens the page in a window of this width, and waits until it is read to its end.

    chromedriver's own wait is not enough: one new browser in twenty answered while it was still reading the page.
    """
    from selenium.webdriver.support.ui import WebDriverWait

    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    browser.get(page.as_uri())
    read = "return document.URL === arguments[0] && document.readyState === 'complete'"
    WebDriverWait(browser, 30, poll_frequency=0.05).until(lambda _: browser.execute_script(read, page.as_uri()))


def luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("is_dark", [False, True])
@pytest.mark.parametrize("width", [360, 1440])
def test_every_chart_is_drawn_and_nothing_sticks_out(width, is_dark, browser, searched):
    opened(browser, searched / "report.html", width, is_dark)
    assert browser.get_log("browser") == []
    drawn = browser.execute_script(
        "return [...document.querySelectorAll('svg')].map((svg) => [svg.id, svg.getBoundingClientRect().height, "
        "svg.querySelectorAll('circle, polyline, rect, line').length, svg.querySelector('title').textContent])"
    )
    assert {name for name, *_ in drawn} >= {
        *(
            "history",
            "trials",
            "curves",
            "importances",
            "map",
            "parallel",
            "timeline",
            "confirmation",
            "slice-1",
            "slice-2",
        )
    }
    assert all(height > 50 and marks > 3 and title for _, height, marks, title in drawn), drawn
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    paper, ink, quiet = browser.execute_script(
        "const of = (one, what) => getComputedStyle(document.querySelector(one))[what];"
        "return [of('body', 'backgroundColor'), of('body', 'color'), of('figcaption', 'color')]"
    )
    levels = sorted([luminance(paper), luminance(ink)])
    assert (levels[0] == luminance(paper)) == is_dark
    for text in (ink, quiet):
        low, high = sorted([luminance(paper), luminance(text)])
        assert (high + 0.05) / (low + 0.05) >= 4.5, "as WCAG wants it"


def test_the_numbers_are_those_of_results_csv(browser, searched):
    opened(browser, searched / "report.html", 1440)
    head = browser.execute_script(
        "return [...document.querySelectorAll('#all-trials th')].map((one) => one.textContent)"
    )
    rows = browser.execute_script(f"return {ROWS}.map((row) => [...row.cells].map((cell) => cell.textContent))")
    table = pd.read_csv(searched / "results.csv")
    assert [int(row[0]) for row in rows] == list(table["trial"])
    for row, value in zip(rows, table["val_score"], strict=True):
        text = row[head.index("val_score")]
        assert math.isnan(value) if text == "" else float(text) == pytest.approx(value, rel=1e-5)


def test_a_trial_is_picked_everywhere_and_rows_are_sorted_and_found(browser, searched):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    opened(browser, searched / "report.html", 1440)
    row = browser.find_element(By.CSS_SELECTOR, "#all-trials tbody tr")
    number = row.get_attribute("data-t")
    row.send_keys(Keys.ENTER)
    on = "return [...new Set([...document.querySelectorAll('.on')].map((mark) => mark.dataset.t))]"
    assert browser.execute_script(on) == [number]
    assert len(browser.find_elements(By.CSS_SELECTOR, "svg .on")) > 3
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.ESCAPE)
    assert browser.execute_script(on) == []

    column = "[...document.querySelectorAll('#all-trials th')].findIndex((head) => head.textContent === 'val_score')"
    values = f"const at = {column}; return {ROWS}.map((row) => row.cells[at].textContent)"
    for order in ("ascending", "descending"):
        browser.execute_script(f"document.querySelectorAll('#all-trials th button')[{column}].click()")
        numbers = [float(text) for text in browser.execute_script(values) if text]
        assert numbers == sorted(numbers, reverse=order == "descending")

    browser.find_element(By.ID, "search").send_keys("waits")
    shown = f"return {ROWS}.filter((row) => !row.hidden).map((row) => row.cells[2].textContent)"
    assert set(browser.execute_script(shown)) == {"waits"}
    browser.execute_script("document.querySelector('[data-state=waits]').click()")
    marks = "[...document.querySelectorAll('svg .s-waits')]"
    hidden = f"return {marks}.every((mark) => getComputedStyle(mark).display === 'none')"
    assert browser.execute_script(hidden)


def test_a_thousand_trials_open_at_once(browser, tmp_path):
    from search.report import main as report

    search_of = "num_samples: 1000, scheduler: {asha: {reduction_factor: 3}}, sampler: random, confirm: false"
    folder = recorded(tmp_path / "x", search_of, f"{RATE}, {DROPOUT}", slots=16)
    assert report([str(folder.path)]) == 0
    start = time.monotonic()
    opened(browser, folder.report, 1440)
    print(f"opened after {time.monotonic() - start:.2f} s")
    assert browser.execute_script("return document.querySelectorAll('#all-trials tbody tr').length") == 1001
    assert browser.get_log("browser") == []
