"""Kinds that learn at different speeds: worked out by hand, and in searches over curves that are known."""

import re
from collections import Counter
from pathlib import Path

import pytest

from configs.errors import ConfigError
from search.engine.kinds import Kinds, divided, shares
from search.engine.proposals import Proposals
from search.engine.schedulers.rungs import Rungs, hyperband
from search.engine.schedulers.scheduler import CONTINUE, STOP, build_scheduler
from search.folder import SearchFolder
from search.plan import make_plan
from search.record.events import Promotion, TrialStarted
from search.record.history import TrialRecord
from search.record.outcomes import State
from search.run import _plan_to_resume, build_parser
from search.space.distributions import Choice, FloatRange
from search.space.items import Condition, Parameter
from search.space.kinds import BACKBONE, deciding_values
from search.space.options import NamedOptions, SearchOptions
from search.space.space import Space
from search.space.space_file import read_space
from tests.conftest import ROOT

SPACE = Space(
    [
        Parameter("kind", "", distribution=Choice(("slow", "fast"))),
        Parameter("x", "", distribution=FloatRange("uniform", 0, 1)),
    ]
)


def rungs_of(epochs: list[int], last_epoch: int = 9) -> tuple[Rungs, Kinds]:
    kinds = Kinds(last_epoch, are_apart=True)
    return Rungs("val_score", "max", epochs, 3, kinds), kinds


def reach(rungs: Rungs, number: int, epoch: int, score: float) -> bool:
    return rungs.reach(number, {"epoch": epoch, "val_score": score})


def go_on(rungs: Rungs, is_full: bool = False) -> list[int]:
    """Lets all go on that may."""
    gone = []
    while (number := rungs.next(is_full)) is not None:
        rungs.leave(number)
        gone.append(number)
    return gone


def test_places_are_divided_by_shares():
    assert shares([("a", 0.2), ("b", 0.9), ("c", 0.5), ("b", 0.1)]) == {"b": 1, "c": 0.5, "a": 0.25}
    by = {"a": 1.0, "b": 0.5, "c": 0.25}
    many = dict.fromkeys(by, 100)
    assert [divided(places, by, many) for places in (1, 2, 3, 7)] == [
        {"a": 1, "b": 0, "c": 0},
        {"a": 2, "b": 0, "c": 0},  # of equals, that of the larger share
        {"a": 2, "b": 1, "c": 0},
        {"a": 4, "b": 2, "c": 1},
    ]
    assert divided(7, by, {"a": 1, "b": 100, "c": 100}) == {"a": 1, "b": 4, "c": 2}
    assert divided(5, by, dict.fromkeys(by, 1)) == dict.fromkeys(by, 1), "no more than there are"


def test_each_kind_is_seen_at_its_end_before_kinds_are_compared():
    rungs, kinds = rungs_of([1, 3])
    for number in range(6):
        kinds.join(number, "fast" if number % 2 else "slow")
    for number, score in enumerate([0.1, 0.5, 0.11, 0.6, 0.12]):
        assert reach(rungs, number, 1, score)
    assert rungs.next() == 4, "the third slow one has come; of five the best one may go on, and it is the best of three"
    assert rungs.leave(4) == Promotion(rung=1, holds=5, kind="slow", place=1, of=3, is_whole=True)
    assert rungs.leave(4) is None and go_on(rungs) == [], "and nobody else: no kind has been seen at its end"
    reach(rungs, 5, 1, 0.4)
    assert go_on(rungs) == [3], "the best of three fast ones"
    assert reach(rungs, 4, 3, 0.2) and go_on(rungs) == [4], "it waits for nobody at a later rung"
    assert reach(rungs, 3, 3, 0.7) and go_on(rungs) == [3]


def test_kinds_that_end_best_get_more_and_none_is_left_out():
    rungs, kinds = rungs_of([1])
    for number in range(80):
        kinds.join(number, "fast" if number % 2 else "slow")
    gone: list[int] = []
    for number in range(80):
        reach(rungs, number, 1, 0.5 + number / 1000 if number % 2 else number / 1000)
        for other in go_on(rungs):
            gone.append(other)
            reach(rungs, other, 9, 0.8 if other % 2 else 0.9)  # the slow ones end better
    whole = [number for number in gone if kinds.is_whole(number)]
    assert Counter(kinds.of(number) for number in whole) == {"slow": 3, "fast": 3}, "three whole trainings each"
    later = Counter(kinds.of(number) for number in gone if number not in whole)
    assert later["slow"] > later["fast"] > 0


def test_a_trial_that_fails_gives_its_whole_training_to_another_of_its_kind():
    rungs, kinds = rungs_of([1])
    for number in range(3):
        kinds.join(number, "slow")
        reach(rungs, number, 1, number / 10)
    assert go_on(rungs) == [2] and rungs.next() is None
    rungs.fail(2)
    kinds.join(3, "slow")
    reach(rungs, 3, 1, 0.0)
    assert go_on(rungs) == [1] and kinds.is_whole(1) and not kinds.is_whole(2)


def test_when_all_are_made_whole_trainings_go_to_the_most_promising_kinds_as_far_as_there_are_places():
    rungs, kinds = rungs_of([1, 3])
    for number in range(6):  # six kinds of one trial each: one in three is trained whole
        kinds.join(number, f"kind {number}")
        reach(rungs, number, 1, number / 10)
    assert go_on(rungs) == []
    assert go_on(rungs, is_full=True) == [5, 4]
    assert kinds.is_whole(5) and kinds.is_whole(4)


def test_brackets_share_what_is_known_of_kinds():
    kinds = Kinds(9, are_apart=True)
    brackets = hyperband("val_score", "max", [1, 3], 3, kinds)
    for number in range(9):
        kinds.join(number, "slow" if number < 6 else "fast")
        brackets.reach(number, {"epoch": 1, "val_score": number / 10})
    gone = []
    while (number := brackets.next()) is not None:
        assert brackets.leave(number).kind == kinds.of(number)
        gone.append(number)
    assert gone and {kinds.of(number) for number in gone} >= {"slow"}


def test_median_compares_within_a_kind():
    median = NamedOptions("median", {"min_samples_required": 2})
    apart, together = (
        build_scheduler(SearchOptions(scheduler=median, kinds=kinds), SPACE, 9) for kinds in (("kind",), ())
    )
    for scheduler in (apart, together):
        for number in range(4):
            scheduler.start(TrialStarted(number, "id", {"kind": "slow" if number == 3 else "fast"}, {}))
        for number, epoch in ((0, 1), (0, 2), (1, 1), (1, 2)):
            assert scheduler.reach(number, {"epoch": epoch, "val_score": 0.5}) == CONTINUE
    low = {"epoch": 2, "val_score": 0.1}
    assert together.reach(3, low) == STOP, "the median of the others is 0.5"
    assert apart.reach(3, low) == CONTINUE and apart.reach(2, low) == STOP


def sampled(proposals: Proposals, number: int, records: list[TrialRecord]) -> str:
    sample = proposals.sample(number, records)
    proposals.add(number, sample.point)
    return sample.point.params["kind"]


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_samples_are_of_all_kinds_until_one_has_ended_and_then_more_often_of_the_better(sampler):
    options = SearchOptions(sampler=NamedOptions(sampler, {}), kinds=("kind",))
    proposals, records = Proposals(SPACE, options), []

    def rows_of(kind: str) -> dict:
        return {"epoch": 1, "val_score": 0.1 if kind == "slow" else 0.6}

    for number in range(12):
        kind = sampled(proposals, number, records)
        records.append(TrialRecord(number, "id", {"kind": kind, "x": number / 42}, {}, State.STOPPED, [rows_of(kind)]))
    assert Counter(record.params["kind"] for record in records) == {"slow": 6, "fast": 6}
    for kind, score in (("slow", 0.9), ("fast", 0.7)):
        first = next(record for record in records if record.params["kind"] == kind)
        first.state, first.rows = State.DONE, [rows_of(kind), {"epoch": 2, "val_score": score}]
    later: Counter[str] = Counter()
    for number in range(12, 42):
        kind = sampled(proposals, number, records)
        later[kind] += 1
        records.append(TrialRecord(number, "id", {"kind": kind, "x": number / 42}, {}, State.STOPPED, [rows_of(kind)]))
    assert later["slow"] > later["fast"] > 3


def test_random_samples_stay_random():
    options = SearchOptions(sampler=NamedOptions("random", {}), kinds=("kind",))
    plain = SearchOptions(sampler=NamedOptions("random", {}))
    ours, theirs = Proposals(SPACE, options), Proposals(SPACE, plain)
    assert [sampled(ours, number, []) for number in range(9)] == [sampled(theirs, number, []) for number in range(9)]


def plan(search: str, space: str, *words: str):
    Path("k.yaml").write_text(f"base: {ROOT}/configs/experiments/digits.yaml\nsearch: {search}\nspace: {space}\n")
    return make_plan(read_space("k.yaml"), None, words)


BACKBONES = "MODEL.BACKBONE.NAME: {choice: [test_resnet, test_vit, test_convnext]}"
OPTIMIZERS = (
    "MODEL.SOLVER.OPTIMIZER: {choice: {heavy: {NAME: sgd, BASE_LR: {loguniform: [0.01, 1]}}, "
    "light: {NAME: adamw, BASE_LR: {loguniform: [0.0001, 0.01]}}}}"
)
RATE = "MODEL.SOLVER.OPTIMIZER.BASE_LR: {loguniform: [0.001, 0.1]}"


@pytest.mark.parametrize(
    ("search", "space", "words", "kinds"),
    [
        ("{}", f"{{{BACKBONES}, {RATE}}}", [], [BACKBONE]),
        ("{kinds: auto}", f"{{{BACKBONES}, {RATE}}}", [], [BACKBONE]),
        ("{kinds: false}", f"{{{BACKBONES}, {RATE}}}", [], []),
        ("{kinds: []}", f"{{{BACKBONES}, {RATE}}}", [], []),
        ("{}", f"{{{RATE}}}", [], []),
        ("{}", "{MODEL.BACKBONE: {choice: {a: {NAME: test_vit}, b: {NAME: test_resnet}}}}", [], [BACKBONE]),
        ("{}", f"{{{BACKBONES}, {RATE}}}", [BACKBONE, "test_vit"], []),
        (f"{{kinds: [{BACKBONE}]}}", f"{{{BACKBONES}, {RATE}}}", [BACKBONE, "test_vit"], []),
        ("{kinds: [MODEL.BACKBONE]}", f"{{{BACKBONES}, {RATE}}}", [], [BACKBONE]),
        ("{kinds: [MODEL.SOLVER.OPTIMIZER]}", f"{{{BACKBONES}, {OPTIMIZERS}}}", [], ["MODEL.SOLVER.OPTIMIZER"]),
        ("{scheduler: none}", f"{{{BACKBONES}, {RATE}}}", [], []),
        ("{scheduler: {asha: {type: stopping}}}", f"{{{BACKBONES}, {RATE}}}", [], []),
        ("{scheduler: median}", f"{{{BACKBONES}, {RATE}}}", [], [BACKBONE]),
    ],
)
def test_which_keys_make_kinds(search, space, words, kinds):
    found = plan(search, space, *words)
    assert list(found.options.kinds) == found.options.to_yaml()["kinds"] == kinds
    Path("used.yaml").write_text(found.space_yaml().replace("base: base.yaml", "base: base2.yaml"))
    Path("base2.yaml").write_text(found.base_yaml())
    assert list(make_plan(read_space("used.yaml")).options.kinds) == kinds, "the same from the search's folder"


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ("{kinds: [MODEL.SOLVER.OPTIMIZER.BASE_LR]}", "BASE_LR is no choice; kinds are the values of a choice"),
        ("{kinds: [MODEL.BACKBONE.NAM]}", "MODEL.BACKBONE.NAM is not sampled. Did you mean 'MODEL.BACKBONE.NAME'"),
        ("{kinds: [MODEL.HEAD.NAME]}", "MODEL.HEAD.NAME is not sampled"),
        ("{kinds: backbone}", "found 'backbone', allowed is auto, false or a list of different keys"),
        ("{kinds: true}", "found True, allowed is auto, false or a list"),
        (f"{{kinds: [{BACKBONE}, {BACKBONE}]}}", "a list of different keys"),
        (f"{{kinds: [{BACKBONE}], scheduler: {{asha: {{type: stopping}}}}}}", "asha with type: stopping compares all"),
    ],
)
def test_mistakes(search, said):
    with pytest.raises(ConfigError, match=re.escape(said)):
        plan(search, f"{{{BACKBONES}, {RATE}}}")


@pytest.mark.parametrize("space_file", [[], ["--space", "k.yaml"]])
def test_a_search_of_a_version_without_kinds_resumes_without_them(space_file):
    begun = plan("{}", f"{{{BACKBONES}, {RATE}}}")
    folder = SearchFolder(Path("out"))
    folder.path.mkdir()
    folder.base.write_text(begun.base_yaml())
    args = build_parser().parse_args([*space_file, "--resume", "-o", "out"])
    folder.space.write_text(begun.space_yaml())
    assert _plan_to_resume(args)[0].options.kinds == (BACKBONE,)
    without = re.sub(r"^  kinds: .*\n", "", begun.space_yaml(), flags=re.MULTILINE)
    assert without != begun.space_yaml()
    folder.space.write_text(without)
    assert _plan_to_resume(args)[0].options.kinds == ()
    Path("k.yaml").write_text(Path("k.yaml").read_text().replace("search: {}", "search: {kinds: auto}"))
    folder.space.write_text(begun.space_yaml().replace(f"kinds: [{BACKBONE}]", "kinds: []"))
    if space_file:
        notes = _plan_to_resume(args)[0].notes
        assert "kinds was [] and is [MODEL.BACKBONE.NAME] now" in notes


def test_asha_that_stops_says_that_it_knows_no_kinds():
    notes = plan("{scheduler: {asha: {type: stopping}}}", f"{{{BACKBONES}, {RATE}}}").notes
    assert any("asha with type: stopping compares trials of different MODEL.BACKBONE.NAME" in note for note in notes)
    assert not any("kinds" in note for note in plan("{}", f"{{{BACKBONES}, {RATE}}}").notes)


def test_every_way_to_a_kind_is_found():
    space = plan(
        "{}",
        "{MODEL.BACKBONE: {choice: {a: {NAME: test_vit, POOLING: {choice: [avg, gem]}}, b: {NAME: test_resnet}, "
        f"c: {{NAME: test_vit, POOLING: avg}}}}}}, {RATE}}}",
    ).space
    node = "MODEL.BACKBONE"
    assert deciding_values(space, (BACKBONE,)) == {"test_resnet": [{node: "b"}], "test_vit": [{node: "a"}, {node: "c"}]}


def test_a_kind_that_cannot_be_trained_is_not_sampled():
    kind, x = SPACE.parameters
    space = Space([kind, x], problems=lambda point: ["no"] if point.params["kind"] == "fast" else [])
    assert deciding_values(space, ("kind",)) == {"slow": [{"kind": "slow"}]}


def test_a_kind_of_which_all_is_sampled_is_left_out():
    x = Parameter("x", "", when=(Condition("kind", ("endless",)),), distribution=FloatRange("uniform", 0, 1))
    space = Space([Parameter("kind", "", distribution=Choice(("single", "endless"))), x])
    proposals = Proposals(space, SearchOptions(kinds=("kind",)))
    assert Counter(sampled(proposals, number, []) for number in range(12)) == {"endless": 11, "single": 1}


def test_a_kind_that_only_fails_gets_less_and_less():
    proposals, records = Proposals(SPACE, SearchOptions(kinds=("kind",))), []
    for number in range(40):
        kind = sampled(proposals, number, records)
        rows = [] if kind == "slow" else [{"epoch": 1, "val_score": number / 100}]
        state = State.FAILED if kind == "slow" else State.DONE
        records.append(TrialRecord(number, "id", {"kind": kind, "x": number / 40}, {}, state, rows))
    assert sum(record.state == State.FAILED for record in records) < 12


def test_each_kind_comes_to_its_end_before_another_does_again_when_all_are_made():
    rungs, kinds = rungs_of([1, 3])
    for number in range(8):
        kinds.join(number, "slow" if number < 2 else "fast")
        reach(rungs, number, 1, number / 10)
    assert go_on(rungs) == [7, 6], "two for six fast ones"
    assert go_on(rungs, is_full=True)[0] == 1, "the slow kind is not the most promising, but has had none"


def test_branches_of_one_backbone_are_no_kinds():
    branches = "{a: {NAME: test_vit, POOLING: avg}, b: {NAME: test_vit, POOLING: gem}}"
    assert plan("{}", f"{{MODEL.BACKBONE: {{choice: {branches}}}, {RATE}}}").options.kinds == ()
