"""Notebooks on the command line and in the library."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import flatgrad
from tests.test_cli import PRODUCT, Run, completions, folder, python, run

__all__ = ["folder", "run"]  # fixtures

CELLS = (
    "%load_ext autoreload\nimport numpy as np\n!pip install -q \\\n    numpy",
    "%%writefile layers.py\ndef loss(x):\n    return 0.0",
    "SCALE = 2.0\nfiles = !ls",
    "%%time\ndef loss(x, w):\n    h = np.tanh(x * w)  # (N,)\n    return SCALE * np.sum(h * h)",
    "loss?",
)


def notebook(*cells: str, **metadata: object) -> str:
    inner = [{"cell_type": "code", "metadata": {}, "outputs": [], "source": text} for text in cells]
    inner.insert(1, {"cell_type": "markdown", "metadata": {}, "source": "def g(x): return x"})
    return json.dumps({"cells": inner, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}, indent=1)


@pytest.fixture
def model(folder: Path) -> Path:
    path = folder / "model.ipynb"
    path.write_text(notebook(*CELLS), encoding="utf-8")
    return path


def test_the_module_of_a_notebook(run: Run, folder: Path, model: Path) -> None:
    assert run("compile", "model.ipynb")[:2] == (0, "")
    path = folder / "generated" / "model_grad.py"
    text = path.read_text(encoding="utf-8")
    assert text.splitlines()[0].startswith('"""Flat gradient code for `loss` in model.ipynb, written by flatgrad')
    assert text.count("SCALE = 2.0") == 1
    for word in ("get_ipython", "autoreload", "pip", "files", "layers", "def g"):
        assert word not in text
    plain = "import numpy as np\n\nSCALE = 2.0\n\ndef loss(x, w):\n    h = np.tanh(x * w)  # (N,)\n"
    plain += "    return SCALE * np.sum(h * h)\n"
    (folder / "plain.py").write_text(plain, encoding="utf-8")
    assert run("compile", "plain.py", "-o", "-")[1] == text.replace("model.ipynb", "plain.py")
    assert run("compile", "model.ipynb", "--check")[0] == 0
    assert run("compile", "model.ipynb", "--diff")[:2] == (0, "")


def test_check_and_diff(run: Run, folder: Path, model: Path) -> None:
    assert run("compile", "model.ipynb", "--check")[0] == 1
    run("compile", "model.ipynb")
    model.write_text(notebook(*CELLS).replace("SCALE = 2.0", "SCALE = 3.0"), encoding="utf-8")
    code, out, err = run("compile", "model.ipynb", "--check", "--diff")
    assert code == 1
    assert "model_grad.py: stale, compile model.ipynb again" in err
    assert "+SCALE = 3.0" in out.splitlines()


def test_options_and_the_table_of_a_model(run: Run, folder: Path, model: Path) -> None:
    (folder / "pyproject.toml").write_text('[tool.flatgrad.models."model.ipynb"]\nwrt = "w"\n')
    out = run("compile", "model.ipynb", "-o", "-")[1]
    assert "loss_backward(dout, cache) -> dw\n" in out
    assert run("compile", "model.ipynb", "--emit", "ir")[1].startswith("function loss(x")


def test_a_notebook_and_a_file_of_one_name_meet(run: Run, folder: Path, model: Path) -> None:
    (folder / "model.py").write_text(PRODUCT)
    code, _, err = run("compile", "model.py", "model.ipynb")
    assert code == 2
    assert "two models would be written to" in err
    assert "would replace it" in run("compile", "model.ipynb", "-o", "model.ipynb")[2]


def test_stdin(folder: Path) -> None:
    done = python("-m", "flatgrad", "compile", "-", input=notebook(*CELLS).encode())
    assert done.returncode == 0, done.stderr.decode()
    assert b"def loss_forward(x, w):" in done.stdout
    done = python("-m", "flatgrad", "compile", "-", input=notebook("def f(x):\n    return y").encode())
    assert done.returncode == 2
    assert "--> <stdin>, cell 1, line 2, column 12" in done.stderr.decode()


def test_places(run: Run, folder: Path) -> None:
    text = notebook("import numpy as np", "%time\n\ndef f(x):\n    a = np.unwrap(x)\n    return np.unwrap(a)")
    (folder / "model.ipynb").write_text(text)
    code, out, err = run("compile", "model.ipynb")
    assert (code, out) == (2, "")
    assert err.startswith(
        "error[FG021]: no gate for np.unwrap\n"
        "  --> model.ipynb, cell 2, line 4, column 9\n"
        "   |\n"
        " 4 |     a = np.unwrap(x)\n"
        "   |         ^^^^^^^^^"
    )
    assert "--> model.ipynb, cell 2, line 5, column 12\n" in err
    assert not (folder / "generated").exists()


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("{", ["error[FG004]: the notebook is not valid JSON", "--> model.ipynb:1:2"]),
        ("[]", ["error[FG004]: this is no Jupyter notebook", "--> model.ipynb\n"]),
        (notebook("x <- 2", kernelspec={"language": "R"}), ["error[FG005]", "written in R", "--> model.ipynb\n"]),
        (notebook(), ["error[FG006]", "--> model.ipynb\n"]),
        (notebook("x = 1", "x = (\n"), ["error[FG001]", "--> model.ipynb, cell 2, line 1, column 5\n"]),
        (notebook("x = 1", "print x"), ["error[FG002]", "cell 2, line 1, column 1\n", "nbconvert", "2to3"]),
        (notebook("x = 1"), ["error[FG064]", "--> model.ipynb\n"]),
    ],
)
def test_what_is_refused(run: Run, folder: Path, text: str, lines: list[str]) -> None:
    (folder / "model.ipynb").write_text(text)
    code, out, err = run("compile", "model.ipynb")
    assert (code, out) == (2, "")
    for line in lines:
        assert line in err
    assert not (folder / "generated").exists()


# Whatever else is refused in them, it is Python 2 that is reported, and once.
OLD = (
    "def f(x):\n    for i in {0}:\n        x = x * 2\n    for i in {0}:\n        x = np.unwrap(x)\n    return x",
    "def f(x):\n    ns = [x * n for n in {0}]\n    x = np.unwrap(x)\n    return x + ns[0]",
    "def g(x):\n    return np.unwrap(x)\n\n\ndef f(x):\n    for i in {0}:\n        x = x.nonsense() * 2\n    return x",
)


@pytest.mark.parametrize("source", OLD)
@pytest.mark.parametrize(
    ("words", "said"),
    [("xrange(3)", "`xrange`"), ("x.iteritems()", "`.iteritems()`"), ("[x.has_key('a')]", "`.has_key()`")],
)
@pytest.mark.parametrize("name", ["model.ipynb", "model.py"])
def test_names_of_python_2_are_one_error(run: Run, folder: Path, source: str, words: str, said: str, name: str) -> None:
    text = f"import numpy as np\n\n{source.format(words)}\n"
    (folder / name).write_text(notebook("%time", text) if name.endswith("b") else text)
    code, _, err = run("compile", name)
    assert code == 2
    assert err.count("error[") == 1
    assert err.startswith(f"error[FG002]: this is Python 2: {said}\n")
    assert "`2to3 -w`" in err
    assert ("nbconvert" in err) == name.endswith("b")
    # A name that the file binds, or that is not in what is refused, is no reason.
    bound = "from past.builtins import xrange\n\n\nclass D:\n    def g(self):\n        return self.iteritems()\n"
    (folder / "model.py").write_text(text.replace(words, "range(3)").replace("numpy as np\n", f"numpy as np\n{bound}"))
    assert "FG002" not in run("compile", "model.py")[2]


def test_a_kernel_of_python_2_is_noted(run: Run, folder: Path) -> None:
    (folder / "model.ipynb").write_text(notebook("def f(x):\n    return x * x", kernelspec={"name": "python2"}))
    code, _, err = run("compile", "model.ipynb", "-o", "-")
    assert code == 0
    assert err.startswith("note[FG002]: the kernel of the notebook is Python 2")
    assert [note.code for note in flatgrad.compile(folder / "model.ipynb").notes] == ["FG002"]


def test_star_imports_of_magics(run: Run, folder: Path) -> None:
    (folder / "model.ipynb").write_text(notebook("%pylab inline", "def f(x):\n    return sum(x * np.tanh(x))"))
    code, _, err = run("compile", "model.ipynb")
    assert code == 2
    assert "where the name sum comes from is not known" in err
    (folder / "model.ipynb").write_text(notebook("%pylab inline", "def f(x):\n    return np.sum(x * x)"))
    assert run("compile", "model.ipynb")[0] == 0


def test_a_name_that_a_command_binds_is_no_constant(run: Run, folder: Path) -> None:
    function = "def f(x):\n    return x * RATE"
    for line in ("RATE = !cat rate", "%time RATE = load()", "RATE = %env RATE"):
        (folder / "model.ipynb").write_text(notebook("RATE = 2.0", line, function))
        assert run("compile", "model.ipynb")[0] == 2, line
    (folder / "model.ipynb").write_text(notebook("RATE = 2.0", "%time load()", function))
    assert run("compile", "model.ipynb")[0] == 0


def test_completion_knows_the_functions_of_a_notebook(folder: Path, model: Path) -> None:
    assert completions(folder, "flatgrad compile model.ipynb --function ", 4) == ["loss"]
    (folder / "broken.ipynb").write_text("{")
    assert completions(folder, "flatgrad compile broken.ipynb --function ", 4) == [""]


def test_the_library_reads_notebooks(folder: Path, model: Path) -> None:
    module = flatgrad.compile(model)
    x, w = np.array([0.5, -1.0]), np.array([1.5, 2.0])
    value, (dx, dw) = module.value_and_grad(x, w)
    assert value == pytest.approx(2.0 * np.sum(np.tanh(x * w) ** 2))
    slope = 2 * 2.0 * np.tanh(x * w) * (1 - np.tanh(x * w) ** 2)
    np.testing.assert_allclose(dx, slope * w)
    np.testing.assert_allclose(dw, slope * x)
    assert module.filename.startswith("<flatgrad model_grad")
    with pytest.raises(ValueError, match="looks like a path"):
        flatgrad.compile("model.ipynb")
    model.write_text(notebook("x = 1", "def f(x):\n    return y"))
    with pytest.raises(flatgrad.Refused, match=r"model\.ipynb, cell 2, line 2, column 12"):
        flatgrad.compile(model)
    model.write_text(notebook("x = 1", "def f(x:\n    return y"))
    with pytest.raises(flatgrad.Refused, match=r"model\.ipynb, cell 2, line 1, column 6"):
        flatgrad.compile(model)
