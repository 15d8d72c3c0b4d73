"""A file imports only lower levels, or files above it at its own level.

The levels are the table of docs/architecture.md. An import inside a function counts as
much as one at the top: a level is about what a file knows, not about when it loads.
"""

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "infinitygan_jax"
ROW = re.compile(r"^\| (\d+) \| (.*?) \|")


def read_table(text):
    """Places by module path: (level, row, position in the row's list of files).

    A row is files, or a folder and the files or folders in it. Files of a folder whose
    row does not list them share one place, and may import each other.
    """
    places, folders = {}, {}
    for row, line in enumerate(text.splitlines()):
        match = ROW.match(line)
        if not match:
            continue
        level = int(match[1])
        words = [w for code in re.findall(r"`(.*?)`", match[2]) for w in code.split()]
        folder = words.pop(0) if words[0].endswith("/") else ""
        if folder:
            folders[folder] = (level, row, len(words))
        for position, word in enumerate(words):
            place = (level, row, position)
            (folders if word.endswith("/") else places)[folder + word] = place
    return places, folders


PLACES, FOLDERS = read_table((ROOT / "docs" / "architecture.md").read_text("utf-8"))
LISTED = {name.rpartition("/")[0] + "/" for name in PLACES}
TOP = (max(level for level, _, _ in PLACES.values()), 10**6, 0)


def place_of(path):
    """Where a file of the project is in the table, or None."""
    if path == PACKAGE / "__init__.py":
        return TOP  # it offers what users need; nothing inside imports it
    name = path.relative_to(PACKAGE if PACKAGE in path.parents else ROOT).as_posix()
    if name in PLACES:
        return PLACES[name]
    folder = name.rpartition("/")[0] + "/"
    if path.name == "__init__.py" or folder not in LISTED:
        return FOLDERS.get(folder)
    return None


def file_of(module):
    """The file of a module's dotted name inside the package, or None."""
    path = ROOT / module.replace(".", "/")
    if path.with_suffix(".py").is_file():
        return path.with_suffix(".py")
    return path / "__init__.py" if (path / "__init__.py").is_file() else None


def imports(path):
    """Files of the package that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            names = [
                f"{node.module}.{alias.name}"
                if file_of(f"{node.module}.{alias.name}")
                else node.module
                for alias in node.names
            ]
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).endswith("import_module")
            and isinstance(node.args[0], ast.Constant)
        ):
            names = [node.args[0].value]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "infinitygan_jax":
                target = file_of(name)
                assert target, f"{path}:{node.lineno}: there is no module {name}"
                yield target


FILES = [*sorted(PACKAGE.rglob("*.py")), ROOT / "run_sample.py", ROOT / "run_train.py"]


def test_the_table_is_read():
    assert PLACES["geometry.py"][0] == 0
    assert PLACES["models/layers.py"] < PLACES["models/generator.py"]
    assert FOLDERS["cli/"][0] == 5
    assert PLACES["run_train.py"][0] == 6


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_a_file_imports_only_what_is_below_it(path):
    place = place_of(path)
    assert place is not None, f"{path.name} is not in the table of docs/architecture.md"
    for target in imports(path):
        other = place_of(target)
        inside = target.parent == path.parent and other == place
        assert other is not None, f"{target.name} is not in the table"
        assert other < place or inside, (
            f"{path.relative_to(ROOT)} (level {place[0]}) imports "
            f"{target.relative_to(ROOT)} (level {other[0]}), which is not below it"
        )
