"""Registries, and the user's own modules."""

from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.loader import read_cfg
from configs.registry import Registry
from configs.user_modules import code_checksums, import_user_modules, other_code


def test_decorator_and_function_form():
    registry = Registry("head", "MODEL.HEAD.NAME")

    @registry.register("a")
    def build_a(head_cfg):
        return "a built"

    registry.register("b", lambda head_cfg: "b built")
    assert registry["a"](None) == "a built"
    assert registry["b"](None) == "b built"
    assert list(registry) == ["a", "b"]
    assert "a" in registry and "c" not in registry
    assert build_a(None) == "a built"


def test_a_name_twice_names_both_modules():
    registry = Registry("head", "MODEL.HEAD.NAME")
    registry.register("a", lambda cfg: None)
    with pytest.raises(
        ConfigError, match=r"head 'a' is registered twice: in .*test_registry\.py and in .*test_registry\.py"
    ):
        registry.register("a", lambda cfg: None)


def test_an_unknown_name_is_answered_with_the_nearest():
    registry = Registry("head", "MODEL.HEAD.NAME")
    registry.register("simple_head", lambda cfg: None)
    with pytest.raises(ConfigError, match=r"MODEL.HEAD.NAME: unknown head 'simple_haed'. Did you mean 'simple_head'\?"):
        registry["simple_haed"]


def test_a_users_file_is_imported_once():
    Path("mine.py").write_text("from pathlib import Path\nPath('count').open('a').write('x')\n")
    module = str(Path("mine.py").absolute())
    import_user_modules([module])
    import_user_modules([module])
    assert Path("count").read_text() == "x"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        ("import sys\nsys.exit('bye')\n", r"cannot be imported: SystemExit: bye \(.*bad_.*\.py, line 2\)"),
        ("1 / 0\n", r"ZeroDivisionError: division by zero \(.*bad_.*\.py, line 1\)"),
    ],
)
def test_a_users_file_that_fails(content, message, tmp_path):
    path = tmp_path / f"bad_{content is None}.py"
    if content:
        path.write_text(content)
    with pytest.raises(ConfigError, match=message):
        import_user_modules([str(path)])


def test_a_users_module_by_name_is_found_in_the_working_folder():
    Path("findable_parts.py").write_text("LOADED = True\n")
    import_user_modules(["findable_parts"])
    with pytest.raises(ConfigError, match="USER_MODULES: no_such_module: cannot be imported"):
        import_user_modules(["no_such_module"])


def write(path: str, text: str) -> str:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)
    return str(Path(path).absolute())


def test_a_users_file_finds_the_files_beside_it():
    for folder, width in (("a", 1), ("b", 2)):  # of the same name in two folders
        write(f"{folder}/sizes.py", f"WIDTH = {width}\n")
        deep = write(f"{folder}/deep.py", "from pathlib import Path\nfrom .sizes import *\nPath(str(WIDTH)).touch()\n")
        import_user_modules([deep])
        assert Path(str(width)).exists()


def test_a_users_file_that_reaches_above_its_folder_is_told_how():
    deep = write("package/deep.py", "from ..sizes import WIDTH\n")
    with pytest.raises(ConfigError, match=r"beyond top-level package .*name a module of a package with dots, as in"):
        import_user_modules([deep])


def test_code_is_announced_where_a_file_brings_it():
    write("parts.py", "")
    write("mine.yaml", "USER_MODULES: [parts.py, pprint]\n")
    assert read_cfg("mine.yaml").notes == ["runs parts.py, pprint (USER_MODULES of mine.yaml, line 1)"]
    assert read_cfg(None, ["USER_MODULES", "[parts.py]"]).notes == []
    assert read_cfg("mine.yaml", ["USER_MODULES", "[]"]).notes == []


def test_the_code_that_counts_is_the_file_and_what_it_imports_from_beside_it():
    deep = write("a/deep.py", "import torch\nimport sizes\nfrom .near import x\nfrom pack.inner import y\n")
    for name, text in (("sizes", ""), ("near", "from .far import z\n"), ("far", ""), ("pack/inner", ""), ("other", "")):
        write(f"a/{name}.py", text)
    before = code_checksums([deep, "pprint"])
    assert list(before) == ["deep.py", "far.py", "near.py", "pack/inner.py", "sizes.py"]
    Path("a").rename("b")
    deep = str(Path("b/deep.py").absolute())
    assert code_checksums([deep]) == before and other_code(before, code_checksums([deep])) == []
    write("b/far.py", "z = 2\n")
    write("b/other.py", "z = 2\n")
    assert other_code(before, code_checksums([deep])) == [
        "USER_MODULES: changed since then: far.py: the numbers may be others"
    ]
    assert other_code({}, before) == []  # what was trained before there were checksums
