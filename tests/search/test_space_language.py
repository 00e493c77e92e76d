"""Branches, conditions, derived keys, constraints, start points, files that extend others."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from configs.errors import ConfigError
from configs.tree import get_value, plain
from search.engine.controller import Controller
from search.plan import SearchPlan, make_plan
from search.record.events import SearchStarted
from search.space.distributions import read_distribution
from search.space.expressions import Expression
from search.space.space_file import read_space
from search.space.start import base_values

OPTIMIZER = "MODEL.SOLVER.OPTIMIZER"


def begun(plan: SearchPlan, slots: int) -> Controller:
    controller = Controller(plan.space, plan.options, plan.base_cfg.MODEL.SOLVER.TOTAL_EPOCHS, start=plan.start)
    controller.begin(SearchStarted(), slots)
    return controller


LOSS = "MODEL.SOLVER.LOSS"
SPACE = """
search: {scheduler: none}
space:
  MODEL.SOLVER.OPTIMIZER:
    choice:
      sgd: {NAME: sgd, BASE_LR: {loguniform: [1e-3, 1]}, SGD.MOMENTUM: {uniform: [0.5, 0.99]}}
      adamw: {NAME: adamw, BASE_LR: {loguniform: [1e-5, 1e-3]}}
  MODEL.SOLVER.LOSS:
    NAME: {choice: [softmax_cross_entropy, label_smoothing_cross_entropy]}
    EPS: {uniform: [0.01, 0.3], when: {MODEL.SOLVER.LOSS.NAME: label_smoothing_cross_entropy}}
  MODEL.SOLVER.SCHEDULER.MAX_LR: {derive: "10 * MODEL.SOLVER.OPTIMIZER.BASE_LR"}
  DATASET.BATCH_SIZE: {choice: [16, 32, 64]}
  DATASET.RESIZE_SHAPE: {choice: [[32, 32], [64, 64]]}
constraints: ["DATASET.BATCH_SIZE * DATASET.RESIZE_SHAPE[0] <= 2048"]
"""


def plan_of(text: str, **arguments: object) -> SearchPlan:
    Path("s.yaml").write_text(text)
    return make_plan(read_space("s.yaml"), **arguments)


def errors_of(text: str, **arguments: object) -> str:
    with pytest.raises(ConfigError) as caught:
        plan_of(text, **arguments)
    return str(caught.value)


def points(plan: SearchPlan, number: int = 100) -> list:
    rng = np.random.default_rng(0)
    return [plan.space.feasible_point(rng) for _ in range(number)]


def test_branches_conditions_derived_keys_and_constraints():
    plan = plan_of(SPACE)
    seen = set()
    for point in points(plan):
        name = point.params[OPTIMIZER]
        rate = point.params[f"{OPTIMIZER}.BASE_LR"]
        seen.add((name, f"{LOSS}.EPS" in point.params))
        assert (1e-3 <= rate < 1) if name == "sgd" else (1e-5 <= rate < 1e-3)
        assert (f"{OPTIMIZER}.SGD.MOMENTUM" in point.params) == (name == "sgd")
        smooth = point.params[f"{LOSS}.NAME"] == "label_smoothing_cross_entropy"
        assert (f"{LOSS}.EPS" in point.params) == smooth
        assert point.params["MODEL.SOLVER.SCHEDULER.MAX_LR"] == 10 * rate
        assert point.params["DATASET.BATCH_SIZE"] * point.params["DATASET.RESIZE_SHAPE"][0] <= 2048
        cfg = plan.sample_cfg(point.settings)
        assert (name, rate) == (cfg.MODEL.SOLVER.OPTIMIZER.NAME, cfg.MODEL.SOLVER.OPTIMIZER.BASE_LR)
        assert smooth or cfg.MODEL.SOLVER.LOSS.EPS == 0.1, "stays at its default"
    assert seen == {(name, eps) for name in ("sgd", "adamw") for eps in (True, False)}


def test_the_space_is_written_as_it_was_read():
    plan = plan_of(SPACE)
    Path("again.yaml").write_text(plan.space_yaml().replace("base: base.yaml\n", ""))
    again = make_plan(read_space("again.yaml"))
    assert again.sampled_yaml() == plan.sampled_yaml()
    assert again.options.to_yaml() == plan.options.to_yaml()


def test_branches_may_stand_in_branches():
    plan = plan_of(
        "space:\n  MODEL.SOLVER:\n    choice:\n"
        "      plain: {LOSS.NAME: softmax_cross_entropy}\n"
        "      rich:\n"
        "        LOSS.NAME: weighted_focal_loss\n"
        "        OPTIMIZER: {choice: {sgd: {NAME: sgd}, adam: {NAME: adam, BASE_LR: {choice: [0.1, 0.2]}}}}\n"
    )
    assert plan.space.size == 4
    assert sorted(tuple(point.params.values()) for point in plan.space.points()) == [
        *(("plain",), ("rich", "adam", 0.1), ("rich", "adam", 0.2), ("rich", "sgd"))
    ]


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("{MODEL.HEAD.NAME: simple_head_kaiming, DATASET.BATCH_SIZE: [8, 16]}", 2),  # and, any of
        ("{MODEL.HEAD.HIDDEN_DIMS: [8, 4]}", 4),  # one list
        ("{MODEL.HEAD.HIDDEN_DIMS: [[8, 4], []]}", 8),  # any of two lists
    ],
)
def test_what_when_means(when, expected):
    plan = plan_of(
        "space:\n"
        "  MODEL.HEAD.NAME: {choice: [simple_head_module, simple_head_kaiming]}\n"
        "  MODEL.HEAD.HIDDEN_DIMS: {choice: [[], [8, 4]]}\n"
        "  DATASET.BATCH_SIZE: {choice: [8, 32]}\n"
        f"  SEED: {{choice: [1, 2], when: {when}}}\n"
    )
    active = [point for point in plan.space.points() if "SEED" in point.params and point.params["SEED"] == 1]
    assert len(active) == expected


WHEN = """space:
  MODEL.HEAD.NAME: {{choice: [simple_head_module, simple_head_kaiming]}}
  SEED: {{choice: [1, 2], when: {0}}}
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            WHEN.format("{MODEL.HEAD.NAME: other_head}"),
            "line 3: SEED: when: can never hold: MODEL.HEAD.NAME is other_head; s.yaml, line 2 gives MODEL.HEAD.NAME "
            "the values simple_head_module, simple_head_kaiming",
        ),
        (WHEN.format("{DATASET.BATCH_SIZE: 7}"), "can never hold: DATASET.BATCH_SIZE is 7, but the base config has"),
        (WHEN.format("{MODEL.HEAD.NAM: x}"), "unknown key 'MODEL.HEAD.NAM'. Did you mean 'MODEL.HEAD.NAME'?"),
        (WHEN.format("{DATASET.BATCH_SIZE: 0}"), "DATASET.BATCH_SIZE: found 0, allowed is a whole number at least 1"),
        (WHEN.format("{}"), "when: found {}, expected {KEY: value}"),
        (
            "space: {SEED: {randint: [0, 9], when: {DATASET.BATCH_SIZE: 8}}, "
            "DATASET.BATCH_SIZE: {choice: [8, 16], when: {SEED: 3}}}\n",
            "SEED looks at DATASET.BATCH_SIZE, in a circle",
        ),
        ("space: {SEED: {choice: [1, 2]}, DATASET.BATCH_SIZE: {derive: 'DATASET.BATCH_SIZE + 1'}}\n", "in a circle"),
        (
            "space: {SEED: {choice: [1, 2]}, DATASET.BATCH_SIZE: {derive: 'SEAD + 1'}}\n",
            "unknown key 'SEAD' in 'SEAD + 1'",
        ),
        ("space: {SEED: {choice: [1, 2]}, DATASET.BATCH_SIZE: {derive: 'SEED - 5'}}\n", "BATCH_SIZE: found -"),
        ("space: {SEED: {choice: [1, 2]}, DATASET.BATCH_SIZE: {derive: 'SEED +'}}\n", "'SEED +' is no expression"),
        ("space: {SEED: {choice: [1, 2]}}\nconstraints: ['SEED > 5']\n", "none of 1000 random samples can be trained"),
        ("space: {SEED: {choice: [1, 2]}}\nconstraints: ['open(SEED)']\n", "'open(SEED)' is not allowed; allowed are"),
        ("space: {MODEL.HEAD: {choice: {}}}\n", "choice: found no branches"),
        ("space: {SEED: {choice: [1, 2], when: {SEED: 1}}}\n", "SEED cannot depend on itself"),
        (
            f"space: {{SEED: {{choice: [1, 2]}}}}\nconstraints: ['{'1+' * 900}1']\n",
            "1801 characters is longer than 1000",
        ),
        (
            "space: {MODEL.HEAD: {choice: {a: {DROPOUT: 0.1}, b: 3}}}\n",
            "branch b: found 3, expected `KEY: value` lines",
        ),
        ("space: {MODEL.HEAD: {choice: {a: {DROPOUT: 0.1}, b: }}, MODEL.HEAD.DROPOUT: 0.2}\n", "is given already in"),
        ("space: {MODEL.HEAD: {choice: {a: {NAME: simple_haed}, b: }}}\n", "unknown head 'simple_haed'"),
        ("space: {MODEL.HEAD: {choice: {a: {DROPOUT: 1.5}, b: }}}\n", "MODEL.HEAD.DROPOUT: found 1.5"),
    ],
)
def test_mistakes(text, message):
    assert message in errors_of(text)


def test_the_command_line_fixes_a_branch():
    plan = plan_of(SPACE, pairs=[OPTIMIZER, "sgd"])
    assert f"{OPTIMIZER} is fixed to its branch sgd by the command line" in plan.notes
    for point in points(plan, 20):
        assert point.params[OPTIMIZER] == "sgd", "as conditions and constraints see it"
        assert 1e-3 <= point.params[f"{OPTIMIZER}.BASE_LR"] < 1
    assert errors_of(SPACE, pairs=[OPTIMIZER, "adam"]) == (
        f"command line: none of the branches of {OPTIMIZER} goes with what is fixed there: "
        f"sgd has {OPTIMIZER}.NAME sgd, adamw has {OPTIMIZER}.NAME adamw"
    )


def test_the_command_line_switches_off_what_depends_on_a_key():
    plan = plan_of(SPACE, pairs=[f"{LOSS}.NAME", "softmax_cross_entropy"])
    assert any(f"{LOSS}.EPS is not sampled" in note for note in plan.notes)
    assert all(f"{LOSS}.EPS" not in point.params for point in points(plan, 20))


def test_a_file_extends_another():
    Path("common").mkdir()
    Path("exp.yaml").write_text("SEED: 3\n")
    Path("common/all.yaml").write_text(
        "base: ../exp.yaml\nsearch: {num_samples: 7, seed: 4}\nconstraints: ['DATASET.BATCH_SIZE < 64']\n"
        "space: {DATASET.BATCH_SIZE: {choice: [8, 16, 64]}, MODEL.HEAD: {DROPOUT: {uniform: [0, 0.5]}}}\n"
    )
    plan = plan_of("extends: common/all.yaml\nsearch: {seed: 5}\nspace: {MODEL.HEAD.DROPOUT: {choice: [0.1, 0.2]}}\n")
    assert plan.base_cfg.SEED == 3
    assert (plan.options.num_samples, plan.options.seed) == (7, 5)
    assert plan.space.size == 4
    Path("common/all.yaml").write_text("extends: ../s.yaml\n")
    assert "extends this file itself, in a circle" in errors_of("extends: common/all.yaml\n")


def with_start(start: str) -> str:
    return SPACE.replace("scheduler: none", f"start: {start}")


def test_start_points():
    plan = plan_of(with_start(f"[{{{OPTIMIZER}: sgd, {OPTIMIZER}.BASE_LR: 0.1}}, {{DATASET.BATCH_SIZE: 64}}]"))
    assert plan.start == (
        {OPTIMIZER: "sgd", f"{OPTIMIZER}.BASE_LR [sgd]": 0.1},
        {"DATASET.BATCH_SIZE": 64},
    )
    simple = (
        "search: {start: [defaults]}\n"
        "space: {DATASET.BATCH_SIZE: {choice: [8, 32]}, MODEL.HEAD: {choice: {a: , b: {DROPOUT: 0.5}}}}\n"
    )
    assert plan_of(simple).start == ({"DATASET.BATCH_SIZE": 32, "MODEL.HEAD": "a"},)


EPS_ALONE = f"[{{{LOSS}.EPS: 0.2}}]"
TIGHT = """
search: {start: [{DATASET.BATCH_SIZE: 64}]}
space: {DATASET.BATCH_SIZE: {choice: [16, 32, 64]}, MODEL.HEAD.DROPOUT: {uniform: [0, 0.5]}}
constraints: ["DATASET.BATCH_SIZE < 64 or MODEL.HEAD.DROPOUT < 0.005"]
"""


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        (with_start(EPS_ALONE), f"{LOSS}.EPS", 0.2),
        (with_start(f"[{{{OPTIMIZER}.BASE_LR: 0.5}}]"), f"{OPTIMIZER}.BASE_LR", 0.5),
        (TIGHT, "DATASET.BATCH_SIZE", 64),
    ],
)
def test_the_first_trial_has_all_values_of_its_start_point(text, key, value):
    plan = plan_of(text)
    for seed in range(6):
        controller = begun(replace(plan, options=replace(plan.options, seed=seed, reference=False)), slots=1)
        assert controller.next_trial().params[key] == value


def test_what_the_base_has_for_the_keys_of_a_space():
    ways = "{choice: {a: {NAME: sgd, BASE_LR: 0.5}, b: {NAME: adamw, BASE_LR: {uniform: [0.1, 1]}}}}"
    others = f"SEED: {{choice: [1, 2], when: {{{OPTIMIZER}: b}}}}, MODEL.HEAD.HIDDEN_DIMS: {{choice: [[], [8]]}}"
    text = f"space: {{{OPTIMIZER}: {ways}, {others}}}\n"
    Path("adam.yaml").write_text(f"{OPTIMIZER}.NAME: adam\n")
    plan = plan_of(text, cfg_path="adam.yaml")
    assert base_values(plan.space) == {"MODEL.HEAD.HIDDEN_DIMS": []}, "adam is none of the branches"
    Path("adamw.yaml").write_text(f"{OPTIMIZER}: {{NAME: adamw, BASE_LR: 7}}\n")
    plan = plan_of(text, cfg_path="adamw.yaml")
    assert base_values(plan.space) == {
        OPTIMIZER: "b",
        f"{OPTIMIZER}.BASE_LR": 7,
        "SEED": 0,
        "MODEL.HEAD.HIDDEN_DIMS": [],
    }


def test_more_start_points_than_trials():
    assert "s.yaml, line 2: start: point 2: is the same as point 1" in errors_of(
        with_start("[{DATASET.BATCH_SIZE: 64}, {DATASET.BATCH_SIZE: 64}]")
    )
    plan = plan_of(with_start("[{DATASET.BATCH_SIZE: 64}, {DATASET.BATCH_SIZE: 16}]"), num_samples=1)
    assert "start has 2 points, of which num_samples 1 are trained" in plan.notes


def test_a_space_without_end_has_a_sample_however_rare():
    text = "space: {MODEL.HEAD.DROPOUT: {uniform: [0, 0.5]}}\nconstraints: [MODEL.HEAD.DROPOUT < 0.001]\n"
    plan = plan_of(text)
    controller = begun(replace(plan, start=()), slots=9)
    rates = [controller.next_trial().params["MODEL.HEAD.DROPOUT"] for _ in range(5)]
    assert len(set(rates)) == 5 and max(rates) < 0.001


def test_a_grid_may_be_small_only_within_its_constraints():
    text = """
search: {sampler: grid}
space: {SEED: {randint: [0, 120]}, MODEL.HEAD.DROPOUT: {quniform: [0, 0.99, 0.01]}}
constraints: [SEED < 6]
"""
    assert plan_of(text).space.size == 600
    assert "more than 10000" in errors_of(text.replace("SEED < 6", "SEED < 119"))


def test_branches_with_the_same_settings_are_one_sample():
    plan = plan_of(f"space: {{{OPTIMIZER}: {{choice: {{a: {{NAME: sgd}}, b: {{NAME: sgd}}}}}}}}\n")
    controller = begun(replace(plan, options=replace(plan.options, reference=False)), slots=9)
    assert controller.next_trial().settings == {f"{OPTIMIZER}.NAME": "sgd"}
    assert controller.next_trial() is None and controller.is_exhausted


def test_what_stands_below_branches_of_an_extending_file_stays():
    Path("parent.yaml").write_text(
        f"space: {{{OPTIMIZER}.WEIGHT_DECAY: {{uniform: [0, 0.1]}}, {OPTIMIZER}.BASE_LR: {{uniform: [0.1, 1]}}}}\n"
    )
    branches = "{choice: {a: {NAME: sgd, BASE_LR: 0.5}, b: {NAME: adamw, BASE_LR: 0.2}}}"
    plan = plan_of(f"extends: parent.yaml\nspace: {{{OPTIMIZER}: {branches}}}\n")
    assert {item.key for item in plan.space.parameters} == {OPTIMIZER, f"{OPTIMIZER}.WEIGHT_DECAY"}


def test_a_branch_may_be_called_by_a_number():
    plan = plan_of(
        f"space: {{{OPTIMIZER}: {{choice: {{1: {{NAME: sgd}}, 2: {{NAME: adamw}}}}}}, "
        f"SEED: {{choice: [1, 2], when: {{{OPTIMIZER}: 1}}}}}}\n"
    )
    assert plan.space.size == 3


def test_cmaes_says_what_it_draws_at_random():
    text = "search: {sampler: cmaes, scheduler: none}\nspace: {SEED: {choice: [1, 2]}, MODEL.HEAD.DROPOUT: 0.1}\n"
    assert "cmaes samples numbers that are active in every trial, of which there are none" in errors_of(text)
    plan = plan_of(text.replace("DROPOUT: 0.1", "DROPOUT: {uniform: [0, 0.5]}"))
    assert "sampler cmaes samples what is a number and always active; at random: SEED" in plan.notes


def test_defaults_are_a_start_wherever_they_lie_but_in_a_population():
    rate = f"{OPTIMIZER}.BASE_LR"
    text = f"search: {{start: [defaults], num_samples: 4}}\nspace: {{{rate}: {{loguniform: [0.01, 0.1]}}}}\n"
    assert plan_of(text).start == ({rate: 0.001},)
    population = text.replace("num_samples", "scheduler: pbt, num_samples")
    assert "the default 0.001 is not within it" in errors_of(population)
    unnamed = (
        f"search: {{start: [defaults]}}\nspace: {{{OPTIMIZER}: {{choice: {{a: {{NAME: sgd}}, b: {{NAME: adam}}}}}}}}"
    )
    assert "no branch is what the base config has" in errors_of(f"{unnamed}\n")


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ("[{DATASET.BATCH_SIZE: 17}]", "found 17, which is not within {'choice': [16, 32, 64]}"),
        ("[{DATASET.BATCH_SZE: 17}]", "unknown key 'DATASET.BATCH_SZE'. Did you mean 'DATASET.BATCH_SIZE'?"),
        ("[{SEED: 17}]", "SEED is not sampled"),
        ("[{DATASET.BATCH_SIZE: 64, DATASET.RESIZE_SHAPE: [64, 64]}]", "that can be trained: s.yaml, line 14: constr"),
        (f"[{{{LOSS}.NAME: softmax_cross_entropy, {LOSS}.EPS: 0.1}}]", f"{LOSS}.EPS is not active"),
    ],
)
def test_bad_start_points(start, message):
    assert message in errors_of(with_start(start))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3 - 4 / 2", 5.0),
        ("-A ** 2 % 7 // 2", 2),
        ("min(A, B[0]) + max([1, 2]) + abs(-1) + round(2.4) + len(B)", 10),
        ("1 < A <= 3 and not A == 4 or False", True),
        ("A in [3, 4] and 'x' not in ['y']", True),
        ("B[-1] == 9", True),
    ],
)
def test_expressions(text, value):
    assert Expression(text)({"A": 3, "B": [5, 9]}.__getitem__) == value


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "A.__class__",
        "(lambda: 1)()",
        "[x for x in B]",
        "A if A else B",
        "f'{A}'",
        "A := 3",
        "B[:1]",
        "min(*B)",
        "",
        "-" * 998 + "1",
    ],
)
def test_expressions_that_are_refused(text):
    with pytest.raises(ConfigError, match=r"allowed are|no expression|nested too deeply") as caught:
        expression = Expression(text)
        assert expression.keys == ("A.__class__",)  # a key like others, which no config has
        raise ConfigError("no expression")
    assert caught.value


@pytest.mark.parametrize(
    "text",
    [
        "A / 0",
        "9 ** 99 ** 99",
        "B * 10 ** 9",
        "B + 1",
        "B[7]",
        "1e300 * 1e300 * A",
        "(-8) ** 0.5",
        "round(A, -99)",
        "9**60 * 9**60",
    ],
)
def test_expressions_that_cannot_be_computed(text):
    with pytest.raises(ConfigError, match=r"cannot be computed with|is inf"):
        Expression(text)({"A": 3, "B": [5, 9]}.__getitem__)


@pytest.mark.parametrize(
    ("text", "first", "last", "size"),
    [
        ("{uniform: [0, 0.5]}", 0.0, 0.5, None),
        ("{loguniform: [0.01, 1]}", 0.01, 1.0, None),
        ("{quniform: [0.1, 0.5, 0.1]}", 0.1, 0.5, 5),
        ("{randint: [2, 5]}", 2, 4, 3),
        ("{lograndint: [1, 9]}", 1, 8, 8),
        ("{qrandint: [16, 64, 16]}", 16, 64, 4),
        ("{choice: [[], a, 3]}", [], 3, 3),
    ],
)
def test_both_ends_of_every_distribution(text, first, last, size):
    distribution = read_distribution(yaml.safe_load(text))
    start = distribution.quantile(0.0)
    assert start == pytest.approx(first) if isinstance(first, float) else start == first
    end = distribution.quantile(np.nextafter(1, 0))
    assert end == pytest.approx(last) if isinstance(last, float) else end == last
    assert distribution.size == size
    for value in (distribution.quantile(0.0), distribution.quantile(0.3), end):
        assert distribution.contains(value)
        assert distribution.decode(distribution.encode(value)) == value
    assert not distribution.contains(1e9)
    if size:
        assert len(distribution.values()) == size
        assert (distribution.values()[0], distribution.values()[-1]) == (first, last)
    else:
        assert end < last, "the upper end itself is not sampled"


# Keys with distributions that are legal for them.
FLOATS = st.tuples(st.floats(0.01, 0.4), st.floats(0.5, 0.9)).map(list)
PARAMETERS = {
    "MODEL.HEAD.DROPOUT": FLOATS.map(lambda ends: {"uniform": ends}),
    "MODEL.SOLVER.OPTIMIZER.BASE_LR": FLOATS.map(lambda ends: {"loguniform": ends}),
    "DATASET.BATCH_SIZE": st.tuples(st.integers(1, 50), st.integers(60, 99)).map(lambda e: {"lograndint": list(e)}),
    "SEED": st.lists(st.integers(0, 9), min_size=2, max_size=4, unique=True).map(lambda values: {"choice": values}),
    "MODEL.HEAD.HIDDEN_DIMS": st.just({"choice": [[], [8], [8, 4]]}),
    "MODEL.SOLVER.LOSS.OHEM_RATE": st.just({"quniform": [0.1, 0.9, 0.1]}),
    "MODEL.SOLVER.LOSS.JSD_WEIGHT": st.just({"choice": [0.0, 1.0]}),  # contradicts itself without AugMix
}
BRANCHES = {
    "choice": {
        "sgd": {"NAME": "sgd", "SGD.MOMENTUM": {"uniform": [0.0, 0.9]}, "SGD.NESTEROV": {"choice": [True, False]}},
        "adamw": {"NAME": "adamw", "WEIGHT_DECAY": {"choice": [0.0, 0.1]}},
    }
}


@st.composite
def spaces(draw: st.DrawFn) -> dict:
    """A valid space file as a tree: distributions, sometimes branches, conditions, derived keys and a constraint."""
    names = draw(st.lists(st.sampled_from(sorted(PARAMETERS)), min_size=1, unique=True))
    space = {name: dict(draw(PARAMETERS[name])) for name in names}
    if "SEED" in space:
        wanted = draw(st.sampled_from(space["SEED"]["choice"]))
        for name in names:
            if name != "SEED" and draw(st.booleans()):
                space[name]["when"] = {"SEED": wanted}
    if draw(st.booleans()):
        space["MODEL.SOLVER.OPTIMIZER"] = BRANCHES
        space.pop("MODEL.SOLVER.OPTIMIZER.BASE_LR", None)
    if "SEED" in space and draw(st.booleans()):
        space["DATASET.SPLIT_SEED"] = draw(st.integers(0, 9))
        space["DATASET.AUGMENTATION.ROTATION_DEGREE"] = {"derive": "SEED * 2 + DATASET.SPLIT_SEED"}
    tree: dict = {"space": space, "search": {"scheduler": "none"}}
    if "DATASET.BATCH_SIZE" in space and draw(st.booleans()):
        tree["constraints"] = ["DATASET.BATCH_SIZE % 2 == 0 or DATASET.BATCH_SIZE < 55"]
    return tree


QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@QUICK
@given(spaces(), st.integers(0, 1000))
def test_any_valid_space_samples_only_valid_configs(tree, seed):
    plan = plan_of(yaml.safe_dump(tree, sort_keys=False))
    rng = np.random.default_rng(seed)
    for _ in range(3):
        point = plan.space.feasible_point(rng)
        cfg = plan.sample_cfg(point.settings)  # merges
        for key, value in point.settings.items():
            assert plain(get_value(cfg, key)) == value
        for item in plan.space.items:  # conditions hold, and nothing else is there
            given = {**point.settings, **point.params}
            twins = [other for other in plan.space.items if other.key == item.key]
            is_active = any(all(condition.holds(given) for condition in twin.conditions) for twin in twins)
            assert (item.key in given) == is_active
        for key, line in tree["space"].items():  # by the file, not by what was made of it
            if isinstance(line, dict) and "when" in line:
                assert (key in point.params) == (point.params["SEED"] == line["when"]["SEED"])
        if "DATASET.AUGMENTATION.ROTATION_DEGREE" in tree["space"]:
            assert cfg.DATASET.AUGMENTATION.ROTATION_DEGREE == cfg.SEED * 2 + cfg.DATASET.SPLIT_SEED
        if "constraints" in tree:
            size = cfg.DATASET.BATCH_SIZE
            assert size % 2 == 0 or size < 55
        assert yaml.safe_load(yaml.safe_dump(point.params)) == point.params
        again = plan.space.fits(yaml.safe_load(yaml.safe_dump(point.params)))
        assert again is not None and again.settings == point.settings


SPOILED = {
    "unknown key": lambda space: {**space, "MODEL.HED.DROPOUT": 0.1},
    "unknown word": lambda space: {**space, "MODEL.HEAD.ACTIVATION": {"chioce": ["relu", "elu"]}},
    "illegal value": lambda space: {**space, "MODEL.HEAD.BATCH_NORM": {"choice": [True, 7]}},
    "unknown key in when": lambda space: {
        **space,
        "MODEL.HEAD.BATCH_NORM": {"choice": [True, False], "when": {"SEEED": 1}},
    },
    "no expression": lambda space: {
        **space,
        "DATASET.SPLIT_SEED": 1,
        "DATASET.AUGMENTATION.BLURRING_PROB": {"derive": "1 +"},
    },
    "bad branch": lambda space: {**space, "MODEL.SOLVER.SCHEDULER": {"choice": {"a": {"NAMES": "cosine"}}}},
    "circle": lambda space: {**space, "DATASET.SPLIT_SEED": {"derive": "DATASET.SPLIT_SEED"}},
    "not a mapping": lambda space: [space],
    "condition that never holds": lambda space: {
        **space,
        "SEED": {"choice": [1, 2]},
        "MODEL.HEAD.BATCH_NORM": {"choice": [True, False], "when": {"SEED": 3}},
    },
}
SPOILED_ELSEWHERE = {
    "search": {
        "sampler": "teepee",
        "num_samples": 0,
        "metric": "beauty",
        "start": [{"SEEED": 1}],
        "scheduler": "aasha",
    },
    "extends": "",
    "constraints": ["1 +"],
    "spaces": {},
}


@QUICK
@given(spaces(), st.sampled_from(sorted(SPOILED)))
def test_any_invalid_space_ends_in_an_error_that_names_the_place(tree, mistake):
    tree["space"] = SPOILED[mistake](tree["space"])
    assert "s.yaml, line " in errors_of(yaml.safe_dump(tree, sort_keys=False))


@QUICK
@given(spaces(), st.data())
def test_mistakes_beside_the_space_name_the_place_too(tree, data):
    word = data.draw(st.sampled_from(sorted(SPOILED_ELSEWHERE)))
    value = SPOILED_ELSEWHERE[word]
    if isinstance(value, dict) and value:
        option = data.draw(st.sampled_from(sorted(value)))
        value = {option: value[option]}
    assert "s.yaml, line " in errors_of(yaml.safe_dump({**tree, word: value}, sort_keys=False))
