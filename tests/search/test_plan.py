"""Space, base, flags and environment put together."""

from pathlib import Path

import pytest

from configs.errors import ConfigError
from search.plan import make_plan
from search.plan_checks import slips
from search.space.space_file import read_space

RATE = "MODEL.SOLVER.OPTIMIZER.BASE_LR"
SPACE = """
base: base.yaml
search: {num_samples: 5, scheduler: {asha: {grace_period: 2}}, resources: {cpu: 2}}
space:
  MODEL.HEAD:
    NAME: {choice: [simple_head_module, simple_head_kaiming]}
    DROPOUT: {uniform: [0, 0.5]}
    HIDDEN_DIMS: {choice: [[], [8]]}
  DATASET.BATCH_SIZE: 16
"""


def plan(text: str = SPACE, base: str = "SEED: 3\nDATASET.BATCH_SIZE: 8\n", **arguments: object):
    Path("base.yaml").write_text(base)
    Path("my_space.yaml").write_text(text)
    return make_plan(read_space("my_space.yaml"), **arguments)


def test_constants_come_after_the_base_and_the_command_line_after_both():
    assert plan().base_cfg.DATASET.BATCH_SIZE == 16
    assert plan(pairs=["DATASET.BATCH_SIZE", "32"]).base_cfg.DATASET.BATCH_SIZE == 32
    assert plan().base_cfg.SEED == 3
    assert plan().name == "my_space"


def test_cfg_replaces_the_base():
    Path("other.yaml").write_text("SEED: 9\n")
    assert plan(cfg_path="other.yaml").base_cfg.SEED == 9


def test_flags_replace_options():
    options = plan(num_samples=9, time_budget=60.0, cpus_per_trial=1.0, gpus_per_trial=0.5).options
    assert (options.num_samples, options.time_budget, options.cpus_per_trial, options.gpus_per_trial) == (9, 60, 1, 0.5)


def test_a_searched_key_on_the_command_line_is_fixed_and_said():
    fixed = plan(pairs=["MODEL.HEAD.DROPOUT", "0.25"])
    assert fixed.base_cfg.MODEL.HEAD.DROPOUT == 0.25
    assert [p.key for p in fixed.space.parameters] == ["MODEL.HEAD.NAME", "MODEL.HEAD.HIDDEN_DIMS"]
    assert fixed.notes == (
        "MODEL.HEAD.DROPOUT is fixed to 0.25 by the command line and not sampled",
        "the space has 4 combinations; the search ends when all are tried",
    )


def test_a_sample_is_merged_over_the_base():
    cfg = plan().sample_cfg({"MODEL.HEAD.NAME": "simple_head_kaiming", "MODEL.HEAD.HIDDEN_DIMS": [8]})
    assert (cfg.MODEL.HEAD.NAME, cfg.MODEL.HEAD.HIDDEN_DIMS, cfg.SEED) == ("simple_head_kaiming", (8,), 3)


def test_trials_use_the_cores_that_they_ask_for_unless_told_otherwise():
    assert plan().base_cfg.NUM_THREADS == 2
    assert plan(base="NUM_THREADS: 1\n").base_cfg.NUM_THREADS == 1


def test_the_searchs_metric_decides_about_the_best_epoch():
    assert plan(SPACE.replace("num_samples: 5", "metric: val_loss")).base_cfg.BEST_METRIC == "val_loss"


def test_what_was_used_reads_back_as_the_same_plan():
    first = plan(pairs=["MODEL.HEAD.DROPOUT", "0.25"])
    Path("used").mkdir()
    Path("used/space.yaml").write_text(first.space_yaml())
    Path("used/base.yaml").write_text(first.base_yaml())
    again = make_plan(read_space("used/space.yaml"))
    assert again.base_cfg == first.base_cfg
    assert again.options == first.options
    assert again.space_yaml() == first.space_yaml()


@pytest.mark.parametrize(
    ("search", "space", "is_confirmed"),
    [
        ("num_samples: 20", "uniform: [0, 0.5]", True),
        ("num_samples: 19", "uniform: [0, 0.5]", False),
        ("num_samples: 20, confirm: auto", "uniform: [0, 0.5]", True),
        ("num_samples: 20, confirm: false", "uniform: [0, 0.5]", False),
        ("num_samples: 20, confirm: null", "uniform: [0, 0.5]", False),
        ("num_samples: 20, reference: false", "uniform: [0, 0.5]", False),
        ("num_samples: 20, objectives: {val_score: max, macs: min}", "uniform: [0, 0.5]", False),
        ("sampler: grid", "choice: [0.1, 0.2]", False),
    ],
)
def test_from_twenty_samples_on_the_best_is_confirmed(search, space, is_confirmed):
    made = plan(f"search: {{{search}}}\nspace: {{MODEL.HEAD.DROPOUT: {{{space}}}}}\n", base="")
    repeats = made.options.repeats
    assert (repeats is not None) == is_confirmed
    assert repeats is None or (repeats.top, repeats.seeds, repeats.is_auto) == (1, 2, True)
    assert plan(made.space_yaml(), base=made.base_yaml()).options.confirm == made.options.confirm, "as kept"


def test_what_confirm_may_be():
    with pytest.raises(
        ConfigError, match=r"confirm: found 3, allowed is auto, false or \{top: number, seeds: number\}"
    ):
        plan("search: {confirm: 3}\nspace: {MODEL.HEAD.DROPOUT: {uniform: [0, 0.5]}}\n", base="")


@pytest.mark.parametrize(
    ("scheduler", "state"),
    [
        ("asha", "waits"),
        ("{asha: {max_t: 3}}", "stopped"),
        ("{asha: {type: stopping}}", "stopped"),
        ("hyperband", "waits"),
        ("median", "stopped"),
        ("pbt", "waits"),
    ],
)
def test_a_trial_that_may_go_on_waits(scheduler, state):
    options = plan(f"search: {{scheduler: {scheduler}}}\nspace: {{{RATE}: {{uniform: [0.1, 0.5]}}}}\n", base="").options
    assert ("waits" if options.lets_wait(3) else "stopped") == state


def test_start_points_without_what_the_command_line_fixes_read_back_too():
    points = "start: [{MODEL.HEAD.DROPOUT: 0.1, MODEL.HEAD.HIDDEN_DIMS: [8]}, {MODEL.HEAD.DROPOUT: 0.2}, defaults]"
    first = plan(SPACE.replace("num_samples: 5", f"num_samples: 5, {points}"), pairs=["MODEL.HEAD.DROPOUT", "0.25"])
    assert first.start[0] == {"MODEL.HEAD.HIDDEN_DIMS": [8]}
    assert [point.values for point in first.options.start] == [{"MODEL.HEAD.HIDDEN_DIMS": [8]}, None]
    assert "my_space.yaml, line 3: start: point 2 is left out: what is its own is fixed by the command line" in (
        first.notes
    )
    Path("used").mkdir()
    Path("used/space.yaml").write_text(first.space_yaml())
    Path("used/base.yaml").write_text(first.base_yaml())
    assert make_plan(read_space("used/space.yaml")).start == first.start


def test_start_points_of_branches_that_the_command_line_excludes_are_left_out():
    text = """
base: base.yaml
search: {start: [{MODEL.SOLVER.OPTIMIZER: slow}, {MODEL.SOLVER.OPTIMIZER: other}, {MODEL.SOLVER.OPTIMIZER: fast}]}
space:
  MODEL.SOLVER.OPTIMIZER:
    choice:
      slow: {NAME: sgd, BASE_LR: {loguniform: [1e-4, 1e-2]}}
      fast: {NAME: sgd, BASE_LR: {loguniform: [1e-2, 1]}}
      other: {NAME: adamw}
"""
    made = plan(text, pairs=["MODEL.SOLVER.OPTIMIZER.NAME", "sgd"])
    assert [list(values.values()) for values in made.start] == [["slow"], ["fast"]]
    (note,) = [note for note in made.notes if "start" in note]
    assert note.endswith(
        "point 2 is left out: MODEL.SOLVER.OPTIMIZER other does not go with what the command line fixes"
    )


def test_wrong_start_points_are_not_called_the_same():
    text = SPACE.replace("num_samples: 5", "start: [{MODEL.HEAD.DROPOUT: 0.9}, {SEED: 4}, {MODEL.HEAD.DROPUT: 0.1}]")
    with pytest.raises(ConfigError) as caught:
        plan(text)
    assert len(caught.value.problems) == 3 and "the same" not in str(caught.value)


@pytest.mark.parametrize("order", [1, -1])
def test_start_points_that_become_the_same_are_left_out(order):
    rate = "MODEL.SOLVER.OPTIMIZER.BASE_LR"
    points = [f"{{{rate}: 0.01, MODEL.HEAD.DROPOUT: 0.1}}", f"{{{rate}: '1e-2'}}"][::order]
    text = f"""
search: {{start: [{", ".join(points)}]}}
space: {{{rate}: {{loguniform: [0.001, 1]}}, MODEL.HEAD.DROPOUT: {{uniform: [0, 0.5]}}}}
"""
    made = plan(text, pairs=["MODEL.HEAD.DROPOUT", "0.2"])
    assert made.start == ({rate: 0.01},)
    is_told = any(note.endswith("point 1 is trained with what the command line fixes") for note in made.notes)
    assert is_told == (order == 1)
    assert any("point 2 is left out: with what the command line fixes, it is the same" in note for note in made.notes)


def test_notes_are_about_values_that_count_in_a_search(monkeypatch):
    monkeypatch.setenv("BEST_METRIC", "val_loss")  # of trainings by hand
    monkeypatch.setenv("NUM_THREADS", "1")
    (note,) = plan().notes[:1]
    assert note == "environment variable NUM_THREADS: NUM_THREADS is 1, in place of 2 in search: resources: cpu"
    assert not any("BEST_METRIC" in note for note in plan().notes)


def test_a_range_of_any_size_is_planned_at_once():
    assert plan("space: {SEED: {randint: [0, 2147483647]}}").space.size is None
    assert plan("space: {SEED: {qrandint: [0, 19998, 2]}}").space.size == 10_000
    assert plan("space: {SEED: {qrandint: [0, 20000, 2]}}").space.size is None, "too many to count"


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ("MODEL.HEAD.DROPOUT=0.1", r"my_space.yaml, line 7: MODEL.HEAD.DROPOUT is also set by \.env"),
        ("DATASET__BATCH_SIZE=4", r"my_space.yaml, line 9: DATASET.BATCH_SIZE is also set by \.env"),
    ],
)
def test_a_key_of_the_space_in_env_is_an_error(env, message):
    Path(".env").write_text(env + "\n")
    with pytest.raises(ConfigError, match=message):
        plan()


@pytest.mark.parametrize(
    ("text", "base", "message"),
    [
        (
            SPACE.replace("DATASET.BATCH_SIZE: 16", "MODEL.SOLVER.TOTAL_EPOCHS: {randint: [2, 9]}"),
            "",
            "cannot be searched under asha",
        ),
        (
            SPACE.replace("grace_period: 2", "grace_period: 50"),
            "",
            "my_space.yaml, line 3: asha: grace_period 50 is more than MODEL.SOLVER.TOTAL_EPOCHS 9; no trial would "
            "ever be stopped",
        ),
        (
            SPACE.replace("DATASET.BATCH_SIZE: 16", "DATASET.BATCH_SIZE: [16, 32]"),
            "",
            "DATASET.BATCH_SIZE: found [16, 32]; to sample one of them write {choice: [16, 32]}",
        ),
        (SPACE, "RESUME_PATH: base.yaml\n", "RESUME_PATH has no place in a search"),
        (SPACE.replace("simple_head_kaiming", "simple_kaiming"), "", "unknown head 'simple_kaiming'. Did you mean"),
        (SPACE, "SEEED: 1\n", "base.yaml, line 1: unknown key 'SEEED'"),
        (SPACE.replace("base.yaml", "none.yaml"), "", "my_space.yaml, line 2: base: none.yaml: no such file"),
    ],
)
def test_what_does_not_fit_together(text, base, message):
    with pytest.raises(ConfigError) as caught:
        plan(text, base)
    assert message in str(caught.value)


def test_epochs_may_be_searched_without_asha():
    text = SPACE.replace("DATASET.BATCH_SIZE: 16", "MODEL.SOLVER.TOTAL_EPOCHS: {randint: [2, 9]}")
    space = plan(text.replace("{asha: {grace_period: 2}}", "none")).space
    assert "MODEL.SOLVER.TOTAL_EPOCHS" in [parameter.key for parameter in space.parameters]


def test_fixing_everything_but_a_single_branch_leaves_nothing_to_search():
    text = "space: {MODEL.SOLVER.OPTIMIZER: {choice: {a: {NAME: sgd}, b: {NAME: adam}}}}"
    with pytest.raises(ConfigError, match="nothing is left to search"):
        plan(text, pairs=["MODEL.SOLVER.OPTIMIZER.NAME", "sgd"])


def told_slips(text: str, base: str) -> list[str]:
    made = plan(text, base)
    return [str(problem) for problem in slips(made.options, made.space, made.base_cfg)]


def test_a_branch_that_is_called_as_a_part_gives_its_name():
    branches = "{sgd: {BASE_LR: {loguniform: [1e-3, 1]}}, adamw: {NAME: adamw}}"
    text = f"base: base.yaml\nspace: {{MODEL.SOLVER.OPTIMIZER: {{choice: {branches}}}}}\n"
    assert told_slips(text, "MODEL.SOLVER.OPTIMIZER.NAME: adamw\n") == [
        "my_space.yaml, line 2: MODEL.SOLVER.OPTIMIZER: the branch sgd does not give NAME, so that its trials would "
        "train with adamw, which is set outside it; write NAME: sgd in it"
    ]
    assert not told_slips(text, "MODEL.SOLVER.OPTIMIZER.NAME: sgd\n"), "the base's own need not"
    assert not told_slips(text.replace("sgd:", "slow:"), "MODEL.SOLVER.OPTIMIZER.NAME: adamw\n"), (
        "any other name will do"
    )


def test_the_name_of_a_branch_may_be_given_outside_it():
    inner = "{choice: {sgd: {BASE_LR: {loguniform: [1e-3, 1]}}, low: {BASE_LR: 1e-4}}}"
    outer = f"{{choice: {{fast: {{OPTIMIZER.NAME: sgd, OPTIMIZER: {inner}}}, slow: {{OPTIMIZER.NAME: adam}}}}}}"
    assert not told_slips(
        f"base: base.yaml\nspace: {{MODEL.SOLVER: {outer}}}\n", "MODEL.SOLVER.OPTIMIZER.NAME: adamw\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("stop: {target: 80}", "stop: target is 80, which no trial reaches: val_score is a share, from 0 to 1"),
        (
            "notify: {command: x, beats: 50}",
            "notify: beats is 50, which no trial reaches: val_score is a share, from 0 to 1",
        ),
    ],
)
def test_goals_that_no_trial_reaches(words, message):
    text = SPACE.replace("num_samples: 5", f"num_samples: 5, {words}")
    assert told_slips(text, "SEED: 3\n") == [f"my_space.yaml, line 3: {message}"]
    assert not told_slips(text.replace("num_samples", "metric: val_loss, num_samples"), "SEED: 3\n")


def test_fixing_everything_leaves_nothing_to_search():
    with pytest.raises(ConfigError, match="nothing is left to search"):
        plan("space: {MODEL.HEAD.DROPOUT: {uniform: [0, 0.5]}}", pairs=["MODEL.HEAD.DROPOUT", "0.1"])


def test_what_max_t_means_is_said():
    short = plan(SPACE.replace("grace_period: 2", "max_t: 4"))
    assert any("max_t 4 ends every trial 5 epochs before MODEL.SOLVER.TOTAL_EPOCHS 9" in note for note in short.notes)
    assert any("max_t 20 has no effect" in note for note in plan(SPACE.replace("grace_period: 2", "max_t: 20")).notes)


POPULATION = """
search: {num_samples: 4, scheduler: {pbt: {perturbation_interval: 2}}}
space:
  MODEL.SOLVER.OPTIMIZER.BASE_LR: {loguniform: [1e-4, 1]}
"""


def test_a_population_keeps_the_backups_that_others_go_on_from():
    assert plan(POPULATION).base_cfg.MODEL_BACKUPS == 3


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("num_samples: 4", "num_samples: 4, sampler: tpe", "pbt brings its own sampler; remove the word sampler"),
        ("num_samples: 4", "num_samples: 1", "my_space.yaml, line 3: pbt takes a population of two or more"),
        ("perturbation_interval: 2", "perturbation_interval: 9", "perturbation_interval 9 is not below"),
        ("MODEL.SOLVER.OPTIMIZER.BASE_LR: {loguniform: [1e-4, 1]}", "SEED: {choice: [1, 2]}", "SEED cannot change"),
        ("{loguniform: [1e-4, 1]}", "{loguniform: [1e-4, 1]}\n  MODEL.SOLVER.SCHEDULER: cosine", "set it to unchange"),
        ("{loguniform: [1e-4, 1]}", "{loguniform: [1e-4, 1], when: {SEED: 3}}", None),  # always holds: SEED is 3
        ("{pbt: {perturbation_interval: 2}}", "pb2", None),
        ("pbt: {perturbation_interval: 2}", "pb2: {resample_probability: 1}", "pb2 has no option"),
        ("num_samples: 4", "objectives: {val_score: max, params: min}", "pbt has one objective"),
    ],
)
def test_what_a_population_can_do(before, after, message):
    text = "base: base.yaml\n" + POPULATION.replace(before, after)
    if message is None:
        assert plan(text).space.parameters
        return
    with pytest.raises(ConfigError) as caught:
        plan(text)
    assert message in str(caught.value)
