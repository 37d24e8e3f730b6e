"""What is installed: templates in a wheel, in an editable install and in a bare checkout; nothing undeclared."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

import flatgrad
from flatgrad.resources import template, templates

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path(flatgrad.__file__).resolve().parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MODEL = "import numpy as np\n\n\ndef f(x):\n    return np.sum(np.tanh(x))\n"
in_checkout = pytest.mark.skipif(not (ROOT / "flatgrad").is_dir(), reason="the source of the package is elsewhere")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution and the wheel that is built from it."""
    pytest.importorskip("build")
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


@in_checkout
def test_the_wheel_holds_the_package_and_the_templates(built: Path) -> None:
    with zipfile.ZipFile(only(built, "*.whl")) as wheel:
        names = set(wheel.namelist())
        assert {name.split("/")[0] for name in names} == {"flatgrad", f"flatgrad-{flatgrad.__version__}.dist-info"}
        for path in (ROOT / "templates").rglob("*.j*"):
            assert f"flatgrad/{path.relative_to(ROOT).as_posix()}" in names
        for path in (ROOT / "flatgrad").rglob("*.py"):
            assert path.relative_to(ROOT).as_posix() in names
        assert "flatgrad/py.typed" in names
        assert not [name for name in names if "__pycache__" in name]
        (entry,) = [name for name in names if name.endswith("entry_points.txt")]
        assert "flatgrad = flatgrad.cli:main" in wheel.read(entry).decode()
        assert [name for name in names if name.endswith("LICENSE")]


@in_checkout
def test_the_source_distribution_can_be_tested(built: Path) -> None:
    with tarfile.open(only(built, "*.tar.gz")) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for part in ("README.md", "LICENSE", "pyproject.toml", "tests/test_packaging.py", ".ci/run"):
        assert part in names
    for folder in ("templates", "examples", "generated"):
        for path in (ROOT / folder).rglob("*.*"):
            if "__pycache__" not in path.parts:
                assert path.relative_to(ROOT).as_posix() in names


@in_checkout
def test_the_wheel_compiles_without_the_checkout(built: Path, tmp_path: Path) -> None:
    installed = tmp_path / "installed"
    with zipfile.ZipFile(only(built, "*.whl")) as wheel:
        wheel.extractall(installed)
    (tmp_path / "model.py").write_text(MODEL)
    code = f"import sys; sys.path.insert(0, {str(installed)!r}); from flatgrad.cli import main; main()"
    command = [sys.executable, "-c", code, "compile", "model.py", "-o", "-"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == flatgrad.compile(tmp_path / "model.py").source


@in_checkout
def test_the_templates_are_found_from_anywhere(tmp_path: Path) -> None:
    code = "import sys; from flatgrad.resources import templates; print(templates())"
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r}); {code}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()) == ROOT / "templates"


def test_templates_are_read_by_name() -> None:
    names = [entry.name for entry in templates().iterdir() if entry.is_file()]
    assert names
    for name in names:
        assert template(name)
    for name in ("", "missing.j2", "../pyproject.toml", "./" + names[0], "/etc/passwd", "a/../../README.md"):
        assert template(name) is None


def test_missing_templates_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flatgrad import resources

    monkeypatch.setattr(resources, "files", lambda _: tmp_path)
    monkeypatch.setattr(resources, "__file__", str(tmp_path / "a" / "b.py"))
    with pytest.raises(FileNotFoundError, match="install flatgrad again"):
        templates()


def imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""


def test_the_package_imports_what_it_declares() -> None:
    declared = {re.split(r"[<>=~! ]", text)[0] for text in PYPROJECT["project"]["dependencies"]}
    assert declared == {"click", "jinja2", "black", "sympy", "numpy"}
    used: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        used |= {name.split(".")[0] for name in imports(ast.parse(path.read_text(encoding="utf-8")))}
    # SciPy is imported where a model uses it: the reference interpreter evaluates its functions then.
    assert used - set(sys.stdlib_module_names) - {"flatgrad", "scipy"} <= declared


def test_the_version_is_one() -> None:
    assert PYPROJECT["project"]["dynamic"] == ["version"]
    try:
        installed = metadata.version("flatgrad")
    except metadata.PackageNotFoundError:
        pytest.skip("a bare checkout: nothing is installed")
    assert installed == flatgrad.__version__


def test_the_generated_modules_are_checked_with_the_options_of_pyproject(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from flatgrad import cli

    monkeypatch.chdir(ROOT)
    models = sorted(path.relative_to(ROOT) for path in (ROOT / "examples").glob("*.py") if "train_" not in path.name)
    assert models
    with pytest.raises(SystemExit) as left:
        cli.main(["compile", "--check", *map(str, models)])
    assert left.value.code == 0, capsys.readouterr().err


def test_the_options_of_pyproject_are_those_of_the_examples() -> None:
    from tests.example_cases import FILES

    tables = PYPROJECT["tool"]["flatgrad"]["models"]
    keys = {"functions": "function"}  # the others are called alike
    asked = {
        f"examples/{e.stem}.py": {keys.get(k, k): list(v) for k, v in e.options.items()} for e in FILES if e.options
    }
    assert tables == asked
