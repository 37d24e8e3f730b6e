"""Gates of the user's own on the command line: listed, compiled with, tested."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import Run

LIBRARY = """import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def swish(x):
    return x * sigmoid(x)


def rbf(a, b, gamma=1.0):
    return np.exp(-gamma * (a - b) ** 2)


def softmax(x):
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def steps(x):
    return np.floor(3 * x)


def bare(x):
    return np.asarray(x)


def log(x):
    calls.append(x)
    return x * (1.0 + len(calls))


calls = []
"""
SWISH = """
swish = gate(
    "usergates.swish(x)",
    backward={"x": "dz * (z + usergates.sigmoid(x) * (1 - z))"},
    dtype="float",
    proof="x / (1 + exp(-x))",
)
sigmoid = gate("usergates.sigmoid(x)", backward={"x": "dz * z * (1 - z)"}, dtype="float", proof="1 / (1 + exp(-x))")
"""
RBF = """
[tool.flatgrad.gate."usergates.rbf"]
call = "usergates.rbf(a, b, gamma=1.0)"
backward = { a = "-2 * gamma * dz * z * (a - b)", b = "2 * gamma * dz * z * (a - b)" }
dtype = "float"
proof = "exp(-gamma * (a - b)**2)"
samples = { attrs = [{}, { gamma = 0.3 }], shapes = [[[3], [2, 1]]] }
"""
MODEL = """import numpy as np
from usergates import swish


def shrunk(v, limit):
    n = np.linalg.norm(v)
    while n > limit * 1.0000000001:
        v = v * (limit / n)
        n = np.linalg.norm(v)
    return v * 1.0


def loss(x, w):
    return np.sum(shrunk(swish(x @ w), 2.0))
"""
SHRUNK = """
gate(
    "shrunk(v, limit)",
    backward={
        "v": "np.where(np.linalg.norm(v) <= limit, dz,"
        " (limit / np.linalg.norm(v)) * (dz - v * np.sum(v * dz) / np.sum(v * v)))",
        "limit": "np.sum(dz * v) / np.linalg.norm(v) * (np.linalg.norm(v) > limit)",
    },
    shape="same",
    dtype="float",
    domain=(0.5, 2.0),
)
"""


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    return Run(capfdbinary)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text('[tool.flatgrad]\ngate-files = ["tools/gates.py"]\n' + RBF)
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "gates.py").write_text(SWISH + SHRUNK)
    (tmp_path / "usergates.py").write_text(LIBRARY)
    (tmp_path / "model.py").write_text(MODEL)
    before = list(sys.path)
    yield tmp_path
    assert sys.path == before
    sys.modules.pop("usergates", None)


def declare(folder: Path, text: str) -> None:
    (folder / "pyproject.toml").write_text('[tool.flatgrad]\ngate-files = ["tools/gates.py"]\n')
    (folder / "tools" / "gates.py").write_text(text)


def lines(out: str) -> dict[str, str]:
    """`check` -> outcome, of the only gate or of the last one that has it."""
    return {line.split("  ")[1]: line.split("  ", 2)[2] for line in out.splitlines()}


def test_gates_lists_them(run: Run) -> None:
    code, out, _ = run("gates")
    assert code == 0
    assert out.index("YOUR OWN") > out.index("np.tanh(x)")
    assert "  usergates.swish\n    usergates.swish(x)\n      dx = dz * (z + usergates.sigmoid(x) * (1 - z))" in out
    assert "      da = -2 * gamma * dz * z * (a - b)" in out
    assert "  shrunk\n" in out
    code, out, _ = run("gates", "--format", "markdown")
    assert code == 0
    assert "\n## Your own\n" in out


def test_compile_knows_them_and_runs_nothing(run: Run, folder: Path) -> None:
    (folder / "usergates.py").write_text("raise RuntimeError\n")
    code, out, _ = run("compile", "model.py", "--shape", "x=N,D", "--shape", "w=D,H", "-o", "-")
    assert code == 0
    assert "from usergates import swish\n" in out
    assert "from usergates import sigmoid\n" in out
    assert "def shrunk(v, limit):" in out
    assert "usergates" not in sys.modules
    (folder / "pyproject.toml").write_text("")
    assert run("compile", "model.py", "-o", "-")[0] == 2


def test_all_that_is_right_passes(run: Run) -> None:
    code, out, err = run("gates", "--test", "model.py")
    assert (code, err) == (0, "")
    found = [line.split("  ") for line in out.splitlines()]
    assert {outcome for _, _, outcome in found} == {"ok"}
    checks = {gate: {what for one, what, _ in found if one == gate} for gate, _, _ in found}
    assert checks["usergates.rbf"] >= {"proof", "differences", "broadcast", "rows", "float32", "compiled"}
    assert checks["usergates.swish"] >= {"proof", "differences", "shape", "dtype", "memory", "compiled"}
    assert checks["shrunk"] >= {"differences", "compiled"}
    assert "proof" not in checks["shrunk"]


def test_a_function_of_a_model_file_needs_the_file(run: Run, folder: Path) -> None:
    code, out, _ = run("gates", "--test")
    assert code == 2
    assert "shrunk  runs  cannot be judged: shrunk is a function of a model file" in out
    declare(folder, 'gate("nowhere.f(x)", backward={"x": "dz"})\n')
    code, out, _ = run("gates", "--test")
    assert code == 2
    assert out.startswith("nowhere.f  runs  cannot be judged: No module named 'nowhere'")
    declare(folder, 'gate("usergates.f(x)", backward={"x": "dz"})\n')
    assert run("gates", "--test")[0] == 2


WRONG = {
    "a factor": (SWISH.replace("(1 - z))\"}", "(1 + z))\"}", 1), ("proof", "differences", "compiled")),
    "the proof of another function": (SWISH.replace("x / (1 + exp(-x))", "tanh(x)"), ("proof",)),
    "swapped operands": (
        'gate("usergates.rbf(a, b)", backward={"a": "2 * dz * z * (a - b)", "b": "-2 * dz * z * (a - b)"},'
        ' dtype="float")',
        ("differences", "broadcast", "compiled"),
    ),
    "rows that are not told": (
        'gate("usergates.softmax(x)", backward={"x": "z * (dz - (dz * z).sum(axis=-1, keepdims=True))"}, dtype="float",'
        ' samples={"shapes": [[[2, 3]]]})',
        ("rows",),
    ),
    "a result that moves": ('gate("usergates.swish(x)", backward={}, dtype="float")', ("no gradient",)),
    "a wrong shape": (
        'gate("usergates.rbf(a, b)", backward={"a": "-2 * dz * z * (a - b)", "b": "2 * dz * z * (a - b)"},'
        ' shape="same", dtype="float", samples={"shapes": [[[], [3]]]})',
        ("shape", "compiled"),
    ),
    "an integer that is floating": ('gate("usergates.steps(x)", backward={}, dtype="int")', ("dtype",)),
    "float64 for float32": (
        'gate("usergates.swish(x)", backward={"x": "dz * (z + np.float64(1) * usergates.sigmoid(x) * (1 - z))"},'
        ' dtype="float")' + SWISH[SWISH.index("\nsigmoid") :],
        ("float32",),
    ),
    "a view": ('gate("usergates.bare(x)", backward={"x": "dz"})', ("memory",)),
    "another result every time": ('gate("usergates.log(x)", backward={"x": "dz * z / x"})', ("memory",)),
}  # fmt: skip


@pytest.mark.parametrize("mistake", WRONG)
def test_mistakes_are_found(mistake: str, run: Run, folder: Path) -> None:
    text, expected = WRONG[mistake]
    declare(folder, text)
    code, out, err = run("gates", "--test")
    assert code == 1, out + err
    found = lines("\n".join(line for line in out.splitlines() if "sigmoid  " not in line))
    for what in expected:
        assert found[what].startswith("wrong: "), out


def test_what_symbols_cannot_decide_is_said(run: Run, folder: Path) -> None:
    declare(folder, SWISH.replace('"dz * (z', '"dz * (np.maximum(z, z)'))
    code, out, _ = run("gates", "--test")
    assert code == 2
    assert "usergates.swish  proof  cannot be judged: " in out
    assert "usergates.swish  differences  ok" in out


def test_a_gate_of_numpy(run: Run, folder: Path) -> None:
    declare(folder, 'gate("np.unwrap(x)", backward={"x": "dz"}, shape="(n)->(n)", dtype="float", domain=(0.0, 3.0))\n')
    code, out, _ = run("gates", "--test")
    assert code == 0, out


def test_wrong_usage(run: Run, folder: Path) -> None:
    assert run("gates", "model.py")[0] == 2
    (folder / "pyproject.toml").write_text("")
    code, _, err = run("gates", "--test")
    assert code == 2
    assert "no gates are declared" in err


def test_findings_show_their_file(run: Run, folder: Path) -> None:
    declare(folder, 'gate("m.f(x)", backword={})\n')
    for arguments in (("gates",), ("gates", "--test"), ("compile", "model.py")):
        code, _, err = run(*arguments)
        assert code == 2
        assert "error[FG071]: a gate has no field backword" in err
        assert "gates.py:1:" in err
    (folder / "pyproject.toml").write_text(RBF.replace("a = ", "q = ", 1))
    code, _, err = run("gates")
    assert code == 2
    assert "error[FG073]" in err
    assert "pyproject.toml:4:1" in err
    assert " 4 | backward = {" in err


PAGE = Path(__file__).resolve().parent.parent / "docs" / "your-own-gates.md"


def blocks(kind: str) -> dict[str, str]:
    """The fenced blocks of the page that a comment `<!-- kind: name -->` stands above."""
    text = PAGE.read_text(encoding="utf-8")
    return dict(re.findall(rf"<!-- {kind}: (.*?) -->\n```\w+\n(.*?)```", text, re.DOTALL))


def test_the_example_of_the_page(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "page"
    folder.mkdir()
    monkeypatch.chdir(folder)
    files = blocks("file")
    assert set(files) == {"mylib.py", "model.py", "my_gates.py", "pyproject.toml"}
    for name, text in files.items():
        (folder / name).write_text(text)
    try:
        code, out, err = run("gates", "--test", "model.py")
    finally:
        sys.modules.pop("mylib", None)
    assert (code, err) == (0, ""), out
    code, out, _ = run("compile", "model.py", "--shape", "X=N,D", "--shape", "w=D,H", "-o", "-")
    assert code == 0
    assert blocks("written")["loss_backward"] in out


def test_the_page_names_every_field_and_check(run: Run) -> None:
    from flatgrad.gates.declared import FIELDS

    text = PAGE.read_text(encoding="utf-8")
    assert all(f"`{field}`" in text for field in FIELDS)
    _, out, _ = run("gates", "--test", "model.py")
    table = text[text.index("| check |") :]
    assert all(re.search(rf"^\|.*\b{line.split('  ')[1]}\b.*\|$", table, re.MULTILINE) for line in out.splitlines())
