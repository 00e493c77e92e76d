"""Precedence, errors and dumping of configs."""

import contextlib
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from configs.command_line import add_config_arguments, command_parser
from configs.dump import dump_cfg, recorded_environment
from configs.errors import ConfigError, exit_status
from configs.loader import build_cfg, cfg_from_text, load_cfg, read_cfg, with_values
from configs.settings import Setting


def write(text: str, name: str = "exp.yaml") -> str:
    Path(name).write_text(text)
    return name


def errors_of(text: str, *pairs: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_cfg(write(text), pairs)
    return str(caught.value)


def test_defaults_alone():
    cfg = load_cfg()
    assert cfg.DATASET.NAME == "digits"
    assert cfg.is_frozen()


def test_each_step_of_the_precedence():
    path = write("DATASET: {BATCH_SIZE: 8, NUM_WORKERS: 1}\nSEED: 1\nNUM_THREADS: 2\n")
    Path(".env").write_text("SEED=5\nDATASET__NUM_WORKERS=3\n")
    cfg = load_cfg(path, ["DATASET.BATCH_SIZE", "16"])
    assert cfg.NUM_THREADS == 2  # YAML over defaults
    assert cfg.DATASET.BATCH_SIZE == 16  # command line over YAML
    assert cfg.SEED == 5  # .env over YAML
    assert cfg.DATASET.NUM_WORKERS == 3  # with __ for dots


def test_env_file_is_found_by_walking_up_and_the_process_environment_wins_over_it(monkeypatch, tmp_path):
    Path(".env").write_text("DATASET.PATH_DATA_RAW=/from/file\nSEED=1\n")
    (tmp_path / "deep" / "down").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "deep" / "down")
    assert load_cfg().DATASET.PATH_DATA_RAW == "/from/file"
    monkeypatch.setenv("SEED", "7")
    assert load_cfg().SEED == 7


def test_other_lines_of_env_are_left_alone_but_typing_errors_are_not():
    Path(".env").write_text("WANDB_KEY=abc\nSEEDS=4\nMODELS__X=1\nexport EDITOR=vi\n")
    load_cfg()
    Path(".env").write_text("DATASET.PATH_DATA=/x\nMODEL=resnet\n")
    with pytest.raises(ConfigError, match=r"unknown key 'DATASET.PATH_DATA'\. Did you mean") as caught:
        load_cfg()
    assert "MODEL: found 'resnet', but this is a group of keys" in str(caught.value)


def test_the_name_of_a_node_in_the_process_environment_is_anybodys(monkeypatch):
    monkeypatch.setenv("MODEL", "gpt")
    load_cfg()


def test_command_line_against_env_is_an_error_naming_both():
    Path(".env").write_text("SEED=1\n")
    with pytest.raises(ConfigError, match=r"command line: SEED is also set by \.env \(.*\.env\)"):
        load_cfg(None, ["SEED", "2"])


def test_a_plain_name_for_a_node():
    cfg = load_cfg(write("MODEL: {BACKBONE: densenet121, SOLVER: {LOSS: weighted_focal_loss}}"))
    assert cfg.MODEL.BACKBONE.NAME == "densenet121"
    assert cfg.MODEL.SOLVER.LOSS.NAME == "weighted_focal_loss"


def test_dotted_and_nested_keys_mean_the_same():
    nested = load_cfg(write("MODEL:\n  HEAD:\n    DROPOUT: 0.5\n"))
    assert nested == load_cfg(write("MODEL.HEAD.DROPOUT: 0.5\n")) == load_cfg(write("MODEL: {HEAD.DROPOUT: 0.5}\n"))


def test_values_that_yaml_misreads():
    cfg = load_cfg(write("MODEL.SOLVER.OPTIMIZER.BASE_LR: 1e-4\nDATASET.RESIZE_SHAPE: (16, 24)\n"))
    assert cfg.MODEL.SOLVER.OPTIMIZER.BASE_LR == 1e-4
    assert cfg.DATASET.RESIZE_SHAPE == (16, 24)


def test_all_mistakes_at_once_with_line_key_value_and_what_is_allowed():
    text = "MODEL:\n  HAED: 3\n  HEAD: {DROPOUT: 1.7}\nSEED: null\nDATASET: {BATCH_SIZE: 0, NUM_WORKERS: no}\n"
    problems = errors_of(text, "MODEL.SOLVER.AMP", "fp61").splitlines()
    assert problems == [
        "exp.yaml, line 2: unknown key 'MODEL.HAED'. Did you mean 'MODEL.HEAD'?",
        "exp.yaml, line 3: MODEL.HEAD.DROPOUT: found 1.7, allowed is a number at least 0 and below 1.",
        "exp.yaml, line 4: SEED: found null, allowed is a whole number at least 0 and at most 2147483647.",
        "exp.yaml, line 5: DATASET.BATCH_SIZE: found 0, allowed is a whole number at least 1 and at most 65536.",
        "exp.yaml, line 5: DATASET.NUM_WORKERS: found false, allowed is a whole number at least 0 and at most 256.",
        "command line: MODEL.SOLVER.AMP: found 'fp61', allowed is one of none, bf16, fp16. Did you mean 'fp16'?",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SEED: 1\nSEED: 2\n", "exp.yaml, line 2: key 'SEED' stands already in line 1"),
        ("MODEL.HEAD.DROPOUT: 0.1\nMODEL: {HEAD: {DROPOUT: 0.2}}\n", "line 2: MODEL.HEAD.DROPOUT is given already"),
        ("MODEL.HEAD.DROPOUT: .nan\n", "found nan"),
        ("MODEL.SOLVER.OPTIMIZER.BASE_LR: .inf\n", "found inf"),
        ("MODEL: [1, 2]\n", "MODEL: found [1, 2], but this is a group of keys"),
        (
            "MODEL.HEAD.NAME: simple_haed_module\n",
            "unknown head 'simple_haed_module'. Did you mean 'simple_head_module'?",
        ),
        ("MODEL.HEAD.NAME: {x: 1}\n", "MODEL.HEAD.NAME: found"),
        ("- a\n- b\n", "found list, expected `KEY: value` lines"),
        ("SEED: [1\n", "not valid YAML"),
        ("DATASET.TO_RGB: false\n", "images and backbone need the same number of channels"),
        (
            "base: x.yaml\nspace: {}\n",
            "exp.yaml: is a space file; search it with: python -m search.run",
        ),
        ("GCP_KEY: s3cret\n", "GCP_KEY is a secret"),
        ("MODEL.HEAD.DROPOT: 0.1\n", "Did you mean 'MODEL.HEAD.DROPOUT'?"),
        ("DROPOUT: 0.1\n", "Did you mean 'MODEL.HEAD.DROPOUT'?"),
    ],
)
def test_mistakes_in_yaml(text, message):
    problems = errors_of(text)
    assert message in problems
    assert "s3cret" not in problems


def test_a_missing_file_names_the_nearest_or_its_neighbours():
    for number in range(12):
        write("", f"{number:02d}.yaml")
    write("", "digits.yaml")
    with pytest.raises(ConfigError, match=r"digit\.yaml: no such file\. Did you mean 'digits\.yaml'\?"):
        load_cfg("digit.yaml")
    with pytest.raises(ConfigError, match=r"best\.yaml: no such file; \. holds 00\.yaml, .*, 09\.yaml and 3 more$"):
        load_cfg("best.yaml")
    with pytest.raises(ConfigError, match=r"^\.: is a folder, where a YAML file is needed; \. holds 00\.yaml, "):
        load_cfg(".")


def test_what_the_environment_changes_of_a_yaml_is_told(monkeypatch):
    path = write("SEED: 1\nDATASET: {BATCH_SIZE: 32, PATH_DATA_RAW: a}\nMODEL.HEAD.DROPOUT: 0.5\n")
    Path(".env").write_text("DATASET.BATCH_SIZE=64\nDATASET.PATH_DATA_RAW=b\nMODEL.HEAD.DROPOUT=5e-1\n")
    monkeypatch.setenv("SEED", "3")
    notes = read_cfg(path).notes
    in_env, in_process = sorted(notes)
    assert re.fullmatch(r"\.env \(.*\), line 1: DATASET\.BATCH_SIZE is 64, in place of 32 in .*, line 2", in_env)
    assert in_process == f"environment variable SEED: SEED is 3, in place of 1 in {path}, line 1"


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (["SEED"], "'SEED' has no value; write KEY VALUE pairs"),
        (["SEEED", "1"], "unknown key 'SEEED'. Did you mean 'SEED'?"),
        (["SEED", "1", "SEED", "2"], "SEED is given already in command line"),
    ],
)
def test_mistakes_on_the_command_line(pairs, message):
    with pytest.raises(ConfigError) as caught:
        load_cfg(None, pairs)
    assert message in str(caught.value)


def test_numpy_samples_are_coerced():
    cfg = build_cfg([Setting("MODEL.HEAD.DROPOUT", np.float64(0.25), "x"), Setting("SEED", np.int64(3), "x")])
    assert (cfg.MODEL.HEAD.DROPOUT, cfg.SEED) == (0.25, 3)
    assert type(cfg.SEED) is int


def test_a_failed_merge_leaves_the_base_as_it_was():
    base = load_cfg()
    before = base.clone()
    with pytest.raises(ConfigError):
        build_cfg([Setting("SEED", 5, "x"), Setting("DATASET.BATCH_SIZE", 0, "x")], base=base)
    assert base == before


def test_a_dumped_config_loads_back_to_an_equal_one():
    cfg = load_cfg(
        None,
        [
            *("MODEL.HEAD.HIDDEN_DIMS", "[256, 128]"),
            *("MODEL.SOLVER.OPTIMIZER.BASE_LR", "3.3e-05"),
            *("DATASET.PATH_DATA_RAW", "/a path/with: colon # and hash"),
            *("USER_MODULES", "[a.b, c]"),
        ],
    )
    assert load_cfg(write(dump_cfg(cfg))) == cfg


@settings(deadline=None)
@given(st.text(max_size=8))
@example("1e3")
@example("+1e5")
@example("1:30")
@example("010")
@example("null")
@example("yes")
def test_any_text_is_dumped_so_that_it_reads_back(text):
    given_text = [Setting(key, text, "x") for key in ("DATASET.TABLE.IMAGE_COLUMN", "MODEL.BACKBONE.NAME")]
    given_text.append(Setting("USER_MODULES", [text], "x"))
    given_text.append(Setting("DATASET.TABLE.LABEL_COLUMNS", [text, "b"], "x"))
    for setting in given_text:
        with contextlib.suppress(ConfigError):  # not legal there
            cfg = build_cfg([setting])
            dumped = dump_cfg(cfg)
            assert cfg_from_text(dumped, "x") == cfg, dumped


def test_derived_values_are_dumped_as_comments_and_values_by_hand_as_values():
    cfg = load_cfg(None, ["MODEL.HEAD.OUTPUT_DIMS", "[10]"])
    text = dump_cfg(cfg, with_values(cfg, {"MODEL.HEAD.INPUT_DIM": 96}))
    assert "    # INPUT_DIM: 96  (derived)\n" in text
    assert "    OUTPUT_DIMS: [10]\n" in text
    assert load_cfg(write(text)) == cfg


def test_secrets_come_from_env_and_are_not_dumped():
    Path(".env").write_text("GCP_KEY=s3cret\n")
    cfg = load_cfg()
    assert cfg.GCP_KEY == "s3cret"
    assert "s3cret" not in dump_cfg(cfg)
    assert "GCP_KEY" not in dump_cfg(cfg)


def test_the_environment_travels_with_a_dumped_config():
    environment = {"torch": "2", "cpu_capability": "AVX2"}
    assert recorded_environment(write(dump_cfg(load_cfg(), environment=environment))) == environment
    assert recorded_environment(write("SEED: 1\n")) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SEED: 1:30\n", "SEED: found '1:30'"),
        ("SEED: 2020-01-01\n", "SEED: found '2020-01-01'"),
        ("SEED: !!int foo\n", "not valid YAML"),
        ("SEED: \x07\n", "not valid YAML"),
        ("MODEL.HEAD.HIDDEN_DIMS: !!binary AQI=\n", "MODEL.HEAD.HIDDEN_DIMS: found"),
        ("MODEL.HEAD.HIDDEN_DIMS: '[{[]:1}]'\n", "MODEL.HEAD.HIDDEN_DIMS: found"),
        ("RESUME_PATH: none.pt\n", "RESUME_PATH: found 'none.pt', allowed is the path of an existing file"),
        (
            "USER_MODULES: [none.py]\n",
            "each the path of an existing .py file or an importable module name",
        ),
    ],
)
def test_odd_yaml(text, message):
    assert message in errors_of(text)


def test_numbers_as_people_write_them():
    assert load_cfg(write("SEED: 010\n")).SEED == 10
    assert load_cfg(write("MODEL.HEAD.DROPOUT: 1e-1\n")).MODEL.HEAD.DROPOUT == 0.1


def test_merge_keys():
    merged = "MODEL:\n  HEAD:\n    <<: {DROPOUT: 0.3, BATCH_NORM: false}\n    DROPOUT: 0.2\n"
    assert load_cfg(write(merged)).MODEL.HEAD.DROPOUT == 0.2
    assert load_cfg(write(merged)).MODEL.HEAD.BATCH_NORM is False


def test_an_env_file_that_is_no_text():
    Path(".env").write_bytes(b"SEED=\xff\xfe1\n")
    with pytest.raises(ConfigError, match=r"\.env .*cannot be read as text"):
        load_cfg()


def test_a_multi_line_secret():
    Path(".env").write_text("GCP_KEY='{\n1\n}'\n")
    assert load_cfg().GCP_KEY == "{\n1\n}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "A=1\nDATASET.BATCH_SIZE 8\n",
            "line 2: the line of DATASET.BATCH_SIZE cannot be read; write",
        ),
        ("DATASET.BATCH_SIZE\n", "line 1: DATASET.BATCH_SIZE has no value"),
        ("SEED=1\nSEED=2\n", "line 2: SEED is given already in .env"),
        ("DATASET.BATCH_SIZE=1\nDATASET__BATCH_SIZE=2\n", "line 2: DATASET.BATCH_SIZE is given already in .env"),
        ("# comment\n\nSEED=x\n", "line 3: SEED: found 'x'"),
        ("DATASET.BATCH_SIZE:64\n", "line 1: the line of DATASET.BATCH_SIZE cannot be read; write DATASET.BATCH_SIZE="),
        ("SEED:5\n", "line 1: the line of SEED cannot be read"),
        ("export SEED 5\n", "line 1: the line of SEED cannot be read"),
        ("GCP_KEY={\n1\n}\n", "line 1: the value of GCP_KEY ends with its line; put one of several lines in single"),
    ],
)
def test_mistakes_in_env(text, message):
    Path(".env").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_cfg()
    assert message in str(caught.value)


@pytest.mark.parametrize("line", ["GCP_KEY s3cret", "GCP_KEY:s3cret", "GCP_KEY.X:s3cret", "GCP_KEY__X=s3cret"])
def test_a_secret_on_a_line_that_cannot_be_read_is_not_shown(line):
    Path(".env").write_text(f"{line}\n")
    with pytest.raises(ConfigError, match="GCP_KEY") as caught:
        load_cfg()
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "words",
    [
        ["GCP_KEY", "s3cret"],
        ["GCP_KEY=s3cret"],
        ["GCP_KEY=s3cret", "1"],
        ["--GCP_KEY=s3cret"],
        ["gcp_key=s3cret"],
        ["GCP_KEY__X=s3cret"],
    ],
)
def test_a_secret_on_the_command_line_is_not_shown(words, capsys):
    parser = command_parser("x", "A doc.\n", "")
    add_config_arguments(parser)
    with pytest.raises((ConfigError, SystemExit)) as caught:
        load_cfg(None, parser.parse_intermixed_args(words).pairs)
    told = str(caught.value) + capsys.readouterr().err
    assert "GCP_KEY" in told.upper() and "s3cret" not in told


def test_a_secret_in_a_yaml_is_refused_whatever_the_file_is_called():
    Path(".envs").mkdir()
    Path(".envs/x.yaml").write_text("GCP_KEY: s3cret\n")
    with pytest.raises(ConfigError, match="GCP_KEY is a secret; it is read only from"):
        load_cfg(".envs/x.yaml")


def test_lines_of_others_that_cannot_be_read_are_left_alone(capfd):
    Path(".env").write_text("alias x y\nSEED=3\n")
    assert load_cfg().SEED == 3
    assert capfd.readouterr().err == ""


BOMB = "a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "holds more than 100,000 values, with its aliases written out"),
        ("a: &a [*a]\n", "holds more than 100,000 values"),
        ("a: " + "[" * 150 + "]" * 150 + "\n", "is nested deeper than 100 levels"),
        ("#" * 1_000_001, "has 1,000,001 characters; a YAML file of ours has 1,000,000 at most"),
        ("SEED: !!timestamp x\n", "not valid YAML"),
        ("SEED: 1" + "0" * 400 + "\n", "SEED: found 1000"),
    ],
    ids=["aliases", "an alias in itself", "depth", "length", "timestamp", "a number of 400 digits"],
)
def test_yaml_that_nobody_writes(text, message):
    with pytest.raises(ConfigError, match=message):
        load_cfg(write(text))


def test_a_name_that_no_file_can_have():
    with pytest.raises(ConfigError, match="cannot be read as text"):
        load_cfg("a\0b.yaml")


def test_of_many_problems_some_are_printed(capsys):
    def fail() -> int:
        raise ConfigError([*(f"problem {number}" for number in range(5000)), "x" * 10_000])

    assert exit_status(fail) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 101 and lines[-1] == "error: and 4,901 more"

    def fail_at_length() -> int:
        raise ConfigError("x" * 100_000)

    assert exit_status(fail_at_length) == 2
    assert len(capsys.readouterr().err) < 2100


def test_a_file_that_was_moved_is_no_mistake_where_another_is_given():
    path = write("USER_MODULES: [gone.py]\nMODEL.WARM_START_PATH: gone.pt\n")
    with pytest.raises(ConfigError, match=r"There is no file .*/gone.py"):
        load_cfg(path)
    Path("parts.py").touch()
    cfg = load_cfg(path, ["USER_MODULES", "[parts.py]", "MODEL.WARM_START_PATH", ""])
    assert (str(Path("parts.py").absolute()),) == cfg.USER_MODULES


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("MODEL.SOLVER.OPTIMIZER.LR", "MODEL.SOLVER.OPTIMIZER.BASE_LR"),
        ("MODEL.SOLVER.TOTAL_EPOCS", "MODEL.SOLVER.TOTAL_EPOCHS"),
        ("MODEL.SOLVER.EPOCHS", "MODEL.SOLVER.TOTAL_EPOCHS"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest(key, meant):
    with pytest.raises(ConfigError, match=rf"unknown key '{key}'. Did you mean '{meant}'\?"):
        load_cfg(None, [key, "1"])
