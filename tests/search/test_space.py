"""The space grammar: what it means, and what is said about mistakes."""

import math
import re
from pathlib import Path

import numpy as np
import optuna
import pytest
from ray import tune

from configs.errors import ConfigError
from search.space.distributions import Choice, FloatRange, IntRange, QuantisedRange, read_distribution
from search.space.space_file import read_space
from search.space.words import read_duration
from search.specs.samplers import SAMPLERS
from search.specs.schedulers import SCHEDULERS

DROPOUT = "MODEL.HEAD.DROPOUT"


def space_of(text: str):
    Path("space.yaml").write_text(text)
    return read_space("space.yaml")


def errors_of(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        space_of(text)
    return str(caught.value)


def parameter(text: str, key: str = DROPOUT):
    return space_of(f"space:\n  {key}: {text}\n").parameters[key].distribution


def test_a_whole_file():
    space = space_of(
        "base: base.yaml\n"
        "search: {metric: val_loss, mode: min, num_samples: 7, time_budget: 1h30m, seed: 4,\n"
        "  sampler: {tpe: {n_startup_trials: 3}}, scheduler: {asha: {grace_period: 2}},\n"
        "  resources: {cpu: 2, gpu: 0.25}}\n"
        "space:\n"
        "  MODEL.HEAD:\n"
        "    NAME: {choice: [simple_head_module, simple_head_kaiming]}\n"
        "    DROPOUT: {uniform: {low: 0, high: 0.5}}\n"
        "  MODEL.SOLVER.TOTAL_EPOCHS: 5\n"
        "  MODEL.BACKBONE: {choice: [resnet18, resnet34]}\n"
    )
    assert space.base and space.base.path == Path("base.yaml")
    options = space.options
    assert (options.metric, options.mode, options.num_samples, options.time_budget) == ("val_loss", "min", 7, 5400)
    assert (options.sampler.name, options.sampler.options) == ("tpe", {"n_startup_trials": 3})
    assert (options.scheduler.name, options.scheduler.options) == ("asha", {"grace_period": 2})
    assert (options.cpus_per_trial, options.gpus_per_trial, options.seed) == (2, 0.25, 4)
    assert list(space.parameters) == ["MODEL.HEAD.NAME", DROPOUT, "MODEL.BACKBONE.NAME"]
    assert space.parameters[DROPOUT].distribution == FloatRange("uniform", 0, 0.5)
    assert [(s.key, s.value) for s in space.constants] == [("MODEL.SOLVER.TOTAL_EPOCHS", 5)]


def test_the_base_is_relative_to_the_space_file(tmp_path):
    Path("spaces").mkdir()
    Path("spaces/a.yaml").write_text(f"base: ../exp.yaml\nspace: {{{DROPOUT}: {{uniform: [0, 0.5]}}}}\n")
    base = read_space("spaces/a.yaml").base
    assert base and base.path == Path("spaces/../exp.yaml")


@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        ("{uniform: [0, 0.5]}", DROPOUT, FloatRange("uniform", 0.0, 0.5)),
        ("{loguniform: [1e-4, 1e-1]}", "MODEL.SOLVER.OPTIMIZER.BASE_LR", FloatRange("loguniform", 1e-4, 1e-1)),
        ("{quniform: {low: 0, high: 0.6, q: 0.1}}", DROPOUT, QuantisedRange("quniform", 0, 0.6, 0.1)),
        ("{randint: [1, 5]}", "DATASET.BATCH_SIZE", IntRange("randint", 1, 5)),
        ("{lograndint: [1, 500]}", "DATASET.BATCH_SIZE", IntRange("lograndint", 1, 500)),
        ("{qrandint: [16, 64, 16]}", "DATASET.BATCH_SIZE", QuantisedRange("qrandint", 16, 64, 16)),
        ("{choice: [[], [8], [8, 4]]}", "MODEL.HEAD.HIDDEN_DIMS", Choice(([], [8], [8, 4]))),
    ],
)
def test_distributions(text, key, expected):
    assert parameter(text, key) == expected


@pytest.mark.parametrize(
    ("text", "key", "lowest", "highest"),
    [
        ("{uniform: [0, 0.5]}", DROPOUT, 0.0, math.nextafter(0.5, 0)),
        ("{loguniform: [0.001, 0.1]}", "MODEL.SOLVER.OPTIMIZER.BASE_LR", 0.001, math.nextafter(0.1, 0)),
        ("{randint: [1, 5]}", "DATASET.BATCH_SIZE", 1, 4),
        ("{lograndint: [1, 5]}", "DATASET.BATCH_SIZE", 1, 4),
        ("{quniform: [0.2, 0.6, 0.2]}", DROPOUT, 0.2, 0.6),
        ("{qrandint: [16, 64, 16]}", "DATASET.BATCH_SIZE", 16, 64),
    ],
)
def test_the_ends_of_ranges(text, key, lowest, highest):
    optuna_distribution = parameter(text, key).to_optuna()
    assert (optuna_distribution.low, optuna_distribution.high) == (lowest, highest)
    assert optuna_distribution.log == ("log" in text)


@pytest.mark.parametrize(
    ("word", "numbers", "expected"),
    [
        ("randint", [1, 5], {1, 2, 3, 4}),
        ("lograndint", [1, 5], {1, 2, 3, 4}),
        ("qrandint", [16, 64, 16], {16, 32, 48, 64}),
        ("quniform", [0, 1, 0.25], {0, 0.25, 0.5, 0.75, 1}),
    ],
)
def test_ranges_give_the_values_that_they_give_in_ray_tune(word, numbers, expected):
    distribution = read_distribution({word: numbers})
    rng = np.random.default_rng(0)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    asked = [study.ask({"x": distribution.to_optuna()}).params["x"] for _ in range(200)]
    assert {distribution.quantile(rng.random()) for _ in range(200)} == expected
    assert {distribution.decode(value) for value in asked} == expected
    assert set(getattr(tune, word)(*numbers).sample(size=200)) == expected


def test_quantised_samples_are_short_numbers():
    assert parameter("{quniform: [0, 0.6, 0.1]}").decode(0.1 + 2 * 0.1) == 0.3


def test_choices_are_read_as_the_key_reads_them():
    key = "MODEL.SOLVER.OPTIMIZER.BASE_LR"
    assert parameter("{choice: [1e-4, '0.001', 1]}", key) == Choice((1e-4, 1e-3, 1.0))


def test_choices_of_lists_survive_optunas_scalars():
    choice = Choice(([], [128], "x", None, True, 1.5))
    distribution = choice.to_optuna()
    assert [choice.decode(category) for category in distribution.choices] == [[], [128], "x", None, True, 1.5]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"{DROPOUT}: {{unifrom: [0, 1]}}", "unknown distribution 'unifrom'. Did you mean 'uniform'?"),
        (f"{DROPOUT}: {{uniform: [0.5, 0.1]}}", "leave nothing to sample"),
        (f"{DROPOUT}: {{uniform: [0.5]}}", "expected {uniform: [low, high]}"),
        (f"{DROPOUT}: {{uniform: {{low: 0, hi: 1}}}}", "expected {uniform: [low, high]}"),
        (f"{DROPOUT}: {{uniform: {{low: 0, hihg: 1}}}}", "Did you mean 'high'?"),
        (f"{DROPOUT}: {{uniform: [0, 1.7]}}", "line 2: uniform: MODEL.HEAD.DROPOUT: found 1.7, allowed"),
        (f"{DROPOUT}: {{uniform: [zero, 1]}}", "low: found 'zero', expected a number"),
        (f"{DROPOUT}: {{quniform: [0, 0.5, 0.2]}}", "high 0.5 is no multiple of q 0.2"),
        (f"{DROPOUT}: {{grid_search: [0, 0.5]}}", "grid_search is not supported: list the values with choice"),
        (f"{DROPOUT}: {{qloguniform: [0.1, 0.5, 0.1]}}", "qloguniform is not supported: use loguniform"),
        (f"{DROPOUT}: {{randn: [0, 1]}}", "randn is not supported: use uniform"),
        (f"{DROPOUT}: {{sample_from: x}}", "sample_from is not supported"),
        (f"{DROPOUT}: {{uniform: [0, 0.5], when: x}}", "when: found 'x', expected {KEY: value}"),
        (f"{DROPOUT}: {{uniform: [0, 0.5], choice: [0, 1]}}", "found uniform, choice, expected one distribution"),
        (f"{DROPOUT}: {{choice: [0.5]}}", "expected a list of two values or more"),
        (f"{DROPOUT}: {{choice: [0.5, 0.5]}}", "0.5 stands there more than once"),
        (f"{DROPOUT}: {{choice: [0.5, 1.5]}}", "found 1.5, allowed is a number at least 0 and below 1"),
        (
            "MODEL.SOLVER.OPTIMIZER: {choice: [{NAME: sgd}, {NAME: adam}]}",
            "a mapping stands in the list; write named branches",
        ),
        ("MODEL.SOLVER.OPTIMIZER.BASE_LR: {loguniform: [0, 1]}", "a logarithmic range starts above 0"),
        ("DATASET.BATCH_SIZE: {uniform: [1, 64]}", "DATASET.BATCH_SIZE: the key takes whole numbers; use randint"),
        ("DATASET.BATCH_SIZE: {choice: [32, '32']}", "32 stands there more than once"),
        ("DATASET.SPLIT_SEED: {choice: [1, 2]}", "DATASET.SPLIT_SEED cannot be searched"),
        ("DATASET.BATCH_SIZE: {randint: [1.5, 64]}", "low: found 1.5, expected a whole number"),
        ("DATASET.BATCH_SIZE: {randint: [0, 64]}", "found 0, allowed is a whole number at least 1"),
        ("OUTPUT_PATH: {choice: [a, b]}", "OUTPUT_PATH cannot be searched"),
        ("DATASET.PATH_DATA_RAW: {choice: [a, b]}", "DATASET.PATH_DATA_RAW cannot be searched"),
        ("GCP_KEY: {choice: [a, b]}", "GCP_KEY cannot be searched"),
        ("SEED: {derive: GCP_KEY}", "SEED: derive: GCP_KEY is a secret, at which nothing can look"),
        ("OUTPUT_PATH: here", "OUTPUT_PATH has no place in a search"),
        ("MODEL.HAED.DROPOUT: 0.5", "unknown key 'MODEL.HAED.DROPOUT'. Did you mean 'MODEL.HEAD.DROPOUT'?"),
        ("MODEL.HEAD.HIDDEN: {choice: [1, 2]}", "unknown key 'MODEL.HEAD.HIDDEN'"),
        (
            "MODEL.HEAD: {DROPOUT: {uniform: [0, 0.5]}}\n  MODEL.HEAD.DROPOUT: 0.1",
            "MODEL.HEAD.DROPOUT is given already",
        ),
    ],
)
def test_mistakes_under_space(line, message):
    problems = errors_of(f"space:\n  {line}\n")
    assert message in problems
    assert "in the base" not in problems or not line.startswith(("OUTPUT_PATH", "GCP_KEY")), "where it is refused too"
    assert "space.yaml, line" in problems


GOOD = f"space: {{{DROPOUT}: {{uniform: [0, 0.5]}}}}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("serach: {seed: 1}\n", "unknown word 'serach'. Did you mean 'search'?"),
        ("MODEL.HEAD.DROPOUT: 1\n", "Config keys belong under `space:`."),
        ("extends: x.yaml\n", "space.yaml, line 1: extends: x.yaml: no such file"),
        ("constraints: 3 > 2\n", "constraints: found '3 > 2', expected a list of expressions"),
        ("base: 3\n", "base: found 3"),
        ("base:\n", "base: found None"),
        ("search:\n", "search: found None"),
        ("search: 3\n", "search: found 3"),
        ("search: {metrics: val_acc}\n", "unknown word 'metrics'. Did you mean 'metric'?"),
        ("search: {metric: val_accuracy}\n", "found 'val_accuracy'"),
        ("search: {metric: epoch}\n", "metric: found 'epoch'"),
        ("search: {metric: val_loss, mode: max}\n", "val_loss is better the lower it is: mode is min"),
        ("search: {num_samples: 0}\n", "num_samples: found 0, allowed is a whole number at least 1"),
        ("search: {time_budget: 5 minutes}\n", "time_budget: found '5 minutes', allowed is a time above 0"),
        ("search: {sampler: tpee}\n", "Did you mean 'tpe'?"),
        ("search: {sampler: [tpe]}\n", "sampler: found ['tpe']"),
        ("search: {scheduler: {asha: null}}\n", "Options are written as {asha: {option: value}}"),
        ("search: {scheduler: {asha: [1]}}\n", "Options are written as {asha: {option: value}}"),
        ("search: {sampler: {tpe: {startup: 3}}}\n", "tpe has no option 'startup'"),
        ("search: {scheduler: {asha: {reduction_factor: 1}}}\n", "reduction_factor: found 1"),
        ("search: {resources: {cpus: 1}}\n", "allowed is {cpu: number, gpu: number}. Did you mean 'cpu'?"),
        ("search: {resources: {cpu: 0}}\n", "cpu: found 0, allowed is a number at least 0.1"),
        ("search: {objectives: {val_scor: max}}\n", "unknown metric 'val_scor'. Did you mean 'val_score'?"),
        ("search: {objectives: {params: max}}\n", "params: found 'max', but it is better the other way: min"),
        ("search: {objectives: {val_score: max}, metric: val_acc}\n", "objectives stands in place of metric"),
        ("search: {stop: {targt: 1}}\n", "stop: found {'targt': 1}, allowed is {target: number, patience: number}"),
        ("search: {confirm: {top: 0}}\n", "confirm: top: found 0, allowed is a whole number at least 1"),
        ("search: {start: [default]}\n", "start: point 1: found 'default', expected `defaults` or {KEY: value}"),
        ("search: {sampler: cmaes}\n", "use scheduler: none"),
        ("search: {seed: 1}\nsearch: {seed: 2}\n", "key 'search' stands already"),
    ],
)
def test_mistakes_above_space(text, message):
    errors = errors_of(text + GOOD)
    assert message in errors
    assert re.match(r"space.yaml, line \d+: ", errors)


@pytest.mark.parametrize("spec", [*SAMPLERS.values(), *SCHEDULERS.values()], ids=lambda spec: spec.name)
def test_defaults_of_options_are_legal(spec):
    for name, value in spec.defaults().items():
        assert spec.options[name].rule.read(value) == value


def test_a_secret_in_an_expression_is_not_shown():
    told = errors_of(GOOD + "constraints: ['GCP_KEY = s3cret', 'GCP_KEYS + s3cret > 1']\n")
    assert "GCP_KEY" in told and "s3cret" not in told.splitlines()[0]


def test_all_mistakes_at_once():
    problems = errors_of(
        "search: {seed: -1, sampler: x}\nspace:\n  SEEED: 1\n  MODEL.HEAD.DROPOUT: {uniform: [0, 2]}\n"
    )
    assert len(problems.splitlines()) == 4


def test_nothing_to_sample():
    assert "nothing is sampled" in errors_of("space: {SEED: 1}\n")
    assert "nothing is sampled" in errors_of("")


@pytest.mark.parametrize(("text", "seconds"), [(90, 90), ("90s", 90), ("30m", 1800), ("1h30m", 5400), ("0.5h", 1800)])
def test_durations(text, seconds):
    assert read_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "-5m", 0, "30 m", "1y", True, None, "nan"])
def test_durations_that_are_none(text):
    with pytest.raises(ValueError):
        read_duration(text)
