"""The repository itself: the direction of imports, the YAMLs that it ships, its documents."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from configs.loader import load_cfg
from search.plan import make_plan
from search.space.space_file import read_space
from tests.conftest import ROOT
from yacstune import PACKAGES

# Each package may import those before it.
ORDER = ("yacstune", "configs", "data", "trainable", "search")
ONLY_IN_SEARCH = {"ray", "optuna"}
ONLY_IN_AUGMENTATION = {"albumentations"}


def sources(package: str) -> list[Path]:
    return [ROOT / "yacstune.py"] if package == "yacstune" else sorted((ROOT / package).rglob("*.py"))


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add((node.module or "").split(".")[0])
    return names


@pytest.mark.parametrize("package", ORDER)
def test_imports_go_one_way(package):
    files = sources(package)
    assert files
    above = set(ORDER[ORDER.index(package) + 1 :])
    for path in files:
        found = imported(path)
        assert not found & above, f"{path} imports {found & above}"
        if package != "search":
            assert not found & ONLY_IN_SEARCH, path
        if path.name != "augmentation.py":
            assert not found & ONLY_IN_AUGMENTATION, path


LAYERS = ("specs", "space", "record", "engine", "trials", "views")  # of search; each may import those before it


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_go_one_way_within_search_too(layer):
    files = sorted((ROOT / "search" / layer).rglob("*.py"))
    assert files
    above = {f"search.{one}" for one in LAYERS[LAYERS.index(layer) + 1 :]}
    for path in files:
        nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
        found = {".".join((node.module or "").split(".")[:2]) for node in nodes}
        assert not found & above, f"{path} imports {found & above}"


def test_what_decides_imports_no_ray_and_the_controller_no_optuna_and_no_torch_either():
    for layer in ("specs", "space", "record", "engine"):
        for path in (ROOT / "search" / layer).rglob("*.py"):
            assert "ray" not in imported(path), path
    assert not imported(ROOT / "search" / "engine" / "controller.py") & {"ray", "optuna", "torch"}
    for layer in ("specs", "space"):
        for path in (ROOT / "search" / layer).rglob("*.py"):
            found = imported(path) - ({"optuna"} if path.name == "distributions.py" else set())  # within to_optuna
            assert not found & {"optuna", "torch"}, path


def test_a_dry_run_needs_no_ray(tmp_path):
    code = "import sys; sys.modules['ray'] = None; from search.run import main; sys.exit(main(sys.argv[1:]))"
    space = str(ROOT / "spaces" / "head.yaml")
    command = [sys.executable, "-c", code, "--space", space, "--dry-run"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "# sample 4 of" in done.stdout and "nothing was started or written" in done.stdout


MISTAKES = [
    ("--cfg none.yaml", "none.yaml: no such file"),
    ("SEEED 1", "unknown key 'SEEED'"),
    ("SEED x", "SEED: found 'x', allowed is"),
    ("MODEL.HEAD.DROPOUT 1.7", "MODEL.HEAD.DROPOUT: found '1.7', allowed is"),
    ("MODEL.HEAD.NAME simple_haed", "unknown head 'simple_haed'"),
    ("DATASET.NAME image_folder DATASET.PATH_DATA_RAW none", "DATASET.PATH_DATA_RAW: there is no folder"),
    ("USER_MODULES [none]", "USER_MODULES: none: no such module"),
    ("USER_MODULES [broken.py]", "broken.py: cannot be imported: SyntaxError: invalid syntax (broken.py, line 1)"),
    ("-o used", "used: the folder is not empty"),
]
OF_SEARCHES = [
    ("--space bad.yaml", "unknown distribution 'unifrom'"),
    ("--space none.yaml", "none.yaml: no such file"),
    ("--resume", "nothing to resume"),
]


@pytest.mark.parametrize(
    ("module", "start", "mistakes"),
    [
        ("search.run", f"--space {ROOT}/spaces/head.yaml", MISTAKES + OF_SEARCHES),
        ("trainable.train", "-o new", MISTAKES),
    ],
)
def test_mistakes_are_answered_without_importing_torch_or_ray(module, start, mistakes, tmp_path):
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    (tmp_path / "bad.yaml").write_text("space: {MODEL.HEAD.DROPOUT: {unifrom: [0, 1]}}\n")
    (tmp_path / "broken.py").write_text("def head(:\n")
    before = sorted(tmp_path.rglob("*"))
    code = (
        f"import shlex, sys, {module}\n"
        f"for line in sys.argv[1:]:\n"
        f"    print(line, {module}.main(shlex.split({start!r} + ' ' + line)))\n"
        "print([name for name in ('torch', 'ray', 'optuna', 'timm', 'pandas') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, *(line for line, _ in mistakes)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [*(f"{line} 2" for line, _ in mistakes), "[]"]
    for _, message in mistakes:
        assert message in done.stderr, message
    assert sorted(tmp_path.rglob("*")) == before


EXPERIMENTS = sorted((ROOT / "configs" / "experiments").rglob("*.yaml"))
SPACES = sorted((ROOT / "spaces").rglob("*.yaml"))


def test_there_are_experiments_and_spaces():
    assert EXPERIMENTS and SPACES


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.name)
def test_every_experiment_loads(path):
    load_cfg(path)
    assert path.read_text().startswith("#"), "says what it is for"


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.name)
def test_every_space_makes_a_plan(path):
    assert make_plan(read_space(path)).space.parameters
    assert path.read_text().startswith("#"), "says what it is for"


def documents() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.split()]


def test_relative_links_lead_somewhere():
    links = [(path, link) for path in documents() for link in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text())]
    assert links
    for path, link in links:
        if "://" not in link:
            assert (path.parent / link).exists(), f"{path.name}: {link}"


def test_our_packages_win_over_a_users_files_of_the_same_name(tmp_path):
    for name in ("data.py", "configs.py"):
        (tmp_path / name).write_text("raise RuntimeError('the wrong one')\n")
    (tmp_path / "trainable").mkdir()  # a folder without __init__.py
    code = "import trainable.train, data.build, configs.loader; print(data.__file__, configs.__file__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.split() == [str(ROOT / "data" / "__init__.py"), str(ROOT / "configs" / "__init__.py")], (
        done.stderr
    )
    for module in ("trainable.train", "data.make_dataset"):
        by_module = subprocess.run(
            [sys.executable, "-m", module, "--cfg", "x.yaml"], cwd=tmp_path, capture_output=True, text=True
        )
        assert by_module.returncode == 2
        assert "x.yaml: no such file" in by_module.stderr
    own = subprocess.run([sys.executable, "-c", "import data"], cwd=tmp_path, capture_output=True, text=True)
    assert "the wrong one" in own.stderr, "a program that is none of ours gets its own"


def test_a_users_package_of_the_same_name_runs_its_own_modules(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "__init__.py").touch()
    (tmp_path / "data" / "prepare.py").write_text("print('prepared')\n")
    done = subprocess.run([sys.executable, "-m", "data.prepare"], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "prepared\n", done.stderr


def test_every_command_is_named_where_python_starts():
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    commands = [path for path in files if 'if __name__ == "__main__":' in path.read_text()]
    names = {str(path.relative_to(ROOT).with_suffix("")).replace("/", ".") for path in commands}
    assert names == set(re.findall(r'"([a-z_]+\.[a-z_]+)"', (ROOT / "yacstune.pth").read_text()))


@pytest.mark.parametrize("module", ["search.run", "trainable.train"])
def test_help_lists_examples(module):
    done = subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, text=True, check=True)
    assert f"python -m {module} " in done.stdout
