"""Reports of recorded searches: every page is made, says what is true, and escapes what comes from users."""

import json
import math
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import numpy as np
import pytest

from search.analysis import open_search
from search.record.outcomes import Outcome
from search.report import main as report
from search.views.report.importance import importances
from search.views.report.page import report_charts
from search.views.report.svg import Scale
from search.views.report.time_chart import PARTS
from tests.parts.recorded import RATE, recorded, rising
from tests.search.test_analysis import BRANCHES
from tests.search.test_views import SEARCHES

DROPOUT = "MODEL.HEAD.DROPOUT"
MANY = ("many", "many_done")  # have a test of their own
TWO_KEYS = f"{RATE}: {{loguniform: [1e-4, 1e-1]}}, {DROPOUT}: {{uniform: [0, 0.5]}}"
VOID = {"meta", "link", "input", "br", "circle", "line", "polyline", "rect"}


class Page(HTMLParser):
    """Reads a page: that what is opened is closed, and what its text and table say."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.rows: list[list[str]] = []
        self._is_in_trials = False
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        if tag not in VOID:
            self.open.append(tag)
        self._is_in_trials = self._is_in_trials or ("id", "all-trials") in attributes
        if self._is_in_trials and tag == "tr":
            self.rows.append([])
        if self._is_in_trials and tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag
        if tag == "table":
            self._is_in_trials = False

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.texts.append(data)
        if self._is_in_trials and self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


def page_of(folder) -> tuple[Page, str]:
    assert report([str(folder.path)]) == 0
    text = folder.report.read_text()
    return Page(text), text


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    home = tmp_path_factory.mktemp("reported")
    ways = {name: how for name, (how, _) in SEARCHES.items() if name not in MANY}
    ways["two_keys"] = {"search": "num_samples: 40, scheduler: none", "space": TWO_KEYS}
    ways["branches"] = {"search": "num_samples: 40, scheduler: none", "space": BRANCHES}
    ways["one"] = {"search": "num_samples: 1, scheduler: none, reference: false"}
    return {name: recorded(home / name, **how) for name, how in ways.items()}


NAMES = [*(name for name in SEARCHES if name not in MANY), "two_keys", "branches", "one"]


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_search_has_a_page(name, folders):
    folder = folders[name]
    page, text = page_of(folder)
    found = open_search(folder.path)
    assert page.rows[0][0] == "trial"
    assert [int(row[0]) for row in page.rows[1:]] == sorted(found.history.trials)
    names = [chart.name for group in report_charts(found) for chart in group]
    assert len(set(names)) == len(names)
    for svg in re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL):
        numbers = re.findall(r'"(-?[\d.]+|nan|inf)"', svg)
        assert ElementTree.fromstring(svg) is not None and all(math.isfinite(float(one)) for one in numbers)
    drawn = {chart.name for group in report_charts(found) for chart in group if chart.drawing}
    assert {path.stem for path in folder.report_pictures.glob("*.svg")} == drawn
    assert "http" not in re.sub(r'xmlns="http://www.w3.org/2000/svg"', "", text), "it needs no network"


def test_a_condition_may_look_at_a_list(tmp_path):
    hidden, when = "MODEL.HEAD.HIDDEN_DIMS: {choice: [[], [64]]}", "when: {MODEL.HEAD.HIDDEN_DIMS: [[64]]}"
    space = f"{TWO_KEYS.removesuffix('}')}, {when}}}, {hidden}"
    folder = recorded(tmp_path / "x", "num_samples: 30, sampler: random, confirm: false", space)
    page, _ = page_of(folder)
    assert any("within MODEL.HEAD.HIDDEN_DIMS [64]" in text for text in page.texts)


def test_its_numbers_are_those_of_the_search(folders):
    page, _ = page_of(folders["running"])
    found = open_search(folders["running"].path)
    head, *rows = page.rows
    column = head.index("val_score")
    for row in rows:
        best = found.history.trials[int(row[0])].best("val_score")
        assert row[column] == (f"{best['val_score']:.6g}" if best else "")
    words = " ".join(page.texts)
    assert f"val_score {found.history.best_trial('val_score').best('val_score')['val_score']:.4f}" in words
    assert f"{sum(len(one.rows) for one in found.history.trials.values())} epochs in" in words


def test_which_charts_there_are(folders):
    def names(name: str) -> set[str]:
        return {chart.name for chart in report_charts(open_search(folders[name].path))[0]}

    always = {"history", "trials", "curves", "timeline"}
    assert names("running") == always | {"failures"}
    assert names("two_keys") == always | {"importances", "map", "parallel", "confirmation"}
    assert names("pbt") == always | {"lineage"}
    assert names("objectives") == always | {"front"}
    assert names("failures") == {"history", "trials", "curves", "timeline", "failures"}


def test_a_search_whose_trials_have_no_epoch_has_a_page(tmp_path):
    folder = recorded(
        tmp_path / "x", "num_samples: 30, scheduler: none, reference: false", curve=lambda *_: Outcome.FAILED
    )
    page, _ = page_of(folder)
    assert "No trial has given a result." in page.texts


def test_a_search_that_has_only_begun_has_a_page(tmp_path):
    folder = recorded(tmp_path / "x", "num_samples: 3, scheduler: none")
    folder.events.write_text(folder.events.read_text().splitlines(keepends=True)[0])
    page, _ = page_of(folder)
    assert "No trial has given a result." in page.texts and folder.resume_command() in page.texts


def test_failures_that_are_alike_are_one_cause(folders):
    (chart,) = [one for one in report_charts(open_search(folders["failures"].path))[0] if one.name == "failures"]
    ((count, reason, _),) = chart.rows
    assert count == 6 and reason.startswith("RuntimeError: nothing learned at a rate of 0.")


def test_what_comes_from_users_is_escaped(tmp_path):
    def curve(trial, epoch):
        return Outcome.FAILED if trial.number == 1 else rising(trial, epoch)

    folder = recorded(tmp_path / "a<b>&c", "num_samples: 3, scheduler: none", curve=curve)
    evil = '</script><script>alert(1)</script><img src=x onerror="alert(2)">'
    text = folder.events.read_text()
    folder.events.write_text(text.replace("RuntimeError: nothing learned", json.dumps(evil)[1:-1]))
    page, text = page_of(folder)
    assert evil not in text and "<img" not in text and text.count("<script") == 2
    assert any(evil in words for words in page.texts), "and can be read"


def test_importances_find_what_matters_and_say_when_they_cannot(tmp_path):
    def only_the_rate_matters(trial, epoch):
        noise = np.random.default_rng(trial.number).normal() * 0.01
        return 1 - 0.2 * abs(math.log10(trial.params[RATE]) + 2) + noise if trial.is_sample else 0.5

    search = "scheduler: none, sampler: random, confirm: false"
    many = recorded(tmp_path / "many", f"num_samples: 80, {search}", TWO_KEYS, only_the_rate_matters)
    epoch, (first, second) = importances(open_search(many.path))
    assert epoch == 9 and first.key == RATE and second.key == DROPOUT
    assert first.can_be_told and first.share > 0.8 and first.low > second.high and first.trials == 80
    few = recorded(tmp_path / "few", f"num_samples: 8, {search}", TWO_KEYS, only_the_rate_matters)
    _, found = importances(open_search(few.path))
    assert found and not any(one.can_be_told for one in found)
    assert "cannot be told from 8 trials" in page_of(few)[1]


def test_values_of_different_epochs_are_never_mixed(tmp_path):
    """Those that went on are good whatever their dropout; after one epoch, the rate alone says how good they are."""
    folder = recorded(
        tmp_path / "x", "num_samples: 60, scheduler: {asha: {reduction_factor: 3}}, confirm: false", TWO_KEYS
    )
    found = open_search(folder.path)
    epoch, _ = importances(found)
    reached = [record for record in found.history.samples() if len(record.rows) >= epoch]
    assert len(reached) >= 20 and len([record for record in reached if len(record.rows) > epoch]) > 0


def test_keys_of_a_branch_are_looked_at_within_it(folders):
    _, found = importances(open_search(folders["branches"].path))
    within = {one.key: one.branch for one in found if one.branch}
    assert within["MODEL.SOLVER.OPTIMIZER.SGD.MOMENTUM"] == "MODEL.SOLVER.OPTIMIZER sgd"
    assert all(one.trials < 40 for one in found if one.branch)


def test_the_timeline_accounts_for_all_time(folders):
    (chart,) = [one for one in report_charts(open_search(folders["running"].path))[0] if one.name == "timeline"]
    shares = {part: float(share.rstrip("%")) for part, _, share in chart.rows}
    assert set(shares) == {*PARTS, "other", "idle"} and shares["training"] > shares["evaluation"] > shares["checkpoint"]
    assert 98 <= sum(shares.values()) <= 102, "but for rounding"


def test_a_page_of_a_thousand_trials_is_small(tmp_path):
    search = "num_samples: 1000, scheduler: {asha: {reduction_factor: 3}}, sampler: random, confirm: false"
    folder = recorded(tmp_path / "x", search, TWO_KEYS, slots=16)
    assert page_of(folder)[1].count("<tr data-t=") == 1001
    assert folder.report.stat().st_size < 5_000_000


def test_several_searches_are_compared_on_one_page(folders, capsys):
    first, second = folders["two_keys"], folders["branches"]
    assert report([str(first.path), str(second.path)]) == 0
    path = first.path.parent / "comparison.html"
    assert f"compared: {path}" in capsys.readouterr().out
    words = " ".join(Page(path.read_text()).texts)
    assert "two_keys and branches" in words and "Compared by what they cost" in words
    bests = [
        open_search(one.path).history.best_trial("val_score").best("val_score")["val_score"] for one in (first, second)
    ]
    assert f"val_score {max(bests):.4f}" in words


def test_mistakes(folders, tmp_path, capsys):
    other = recorded(tmp_path / "loss", "num_samples: 2, scheduler: none, metric: val_loss")
    assert report([str(folders["one"].path), str(other.path)]) == 2
    assert "searches are compared by one metric, but" in capsys.readouterr().err
    assert report(["none", "nothing"]) == 2
    told = capsys.readouterr().err
    assert "none: no search was started" in told and "nothing: no search was started" in told


def test_scales():
    assert Scale.of([1, 9], 0, 100).ticks() == [2.0, 4.0, 6.0, 8.0]
    assert [round(one, 6) for one in Scale.of([1e-4, 1e-1], 0, 1, is_log=True).ticks()] == [1e-4, 1e-3, 1e-2, 1e-1]
    flat = Scale.of([5, 5], 0, 10)
    assert flat.at(5) == 5 and Scale.of([], 0, 1).at(0.5) == pytest.approx(0.5)
