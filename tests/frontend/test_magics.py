"""Cells as IPython reads them: what is a command, what only looks like one."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flatgrad.frontend.magics import plain_python


@pytest.mark.parametrize(
    ("cell", "plain"),
    [
        ("%matplotlib inline\nx = 1", "\nx = 1"),
        ("x = 1\n!pip install 'a \\\n  b \\\n  c\ny = 2", "x = 1\n\n\n\ny = 2"),
        ("!!ls\nx = 1", "\nx = 1"),
        ("x?\nnp.sum??\n?x\n??x\nnp.*load*?  # which?\nd[0]?", "\n\n\n\n\n"),
        ("if x:\n    !ls\ny = 1", "if x:\n    pass\ny = 1"),
        ("def f(x):\n    %timeit x\n    return x", "def f(x):\n    pass\n    return x"),
        ("files = !ls 'it\nx = %env HOME", "files = get_ipython()\nx = get_ipython()"),
        ("a, d['k'] = !ls\n", "a, d['k'] = get_ipython()\n"),
        ("x = 1  # %time\n%time y = f(x)", "x = 1  # %time\ny = f(x)"),
        ("%time\n%time f($x)\n%time -3", "\n\n-3"),
        ("%run -i ../my-tools.py --fast\n%run", "from my_tools import *\n"),
        ("%run 2nd.ipynb", "from _2nd import *"),
        ("%pylab inline", "import numpy as np; from matplotlib import pyplot as plt; from pylab import *"),
        ("%pylab --no-import-all", "import numpy as np; from matplotlib import pyplot as plt"),
        ("%", ""),
    ],
)
def test_commands(cell: str, plain: str) -> None:
    assert plain_python(cell) == plain


@pytest.mark.parametrize(
    "text",
    [
        'text = """\n%matplotlib inline\n!ls\nx?\n"""',
        "text = r'''\\\n!ls \\'''\n'''",
        "text = 'a\\\n!ls'",
        "x = (a\n% b)",
        "x = [a,\n    # )]}\n    '(',\n% b\n]",
        "x = a \\\n% b",
        "x = 1  # why?",
        "x = '?'",
        "'x = %d' % 3\nprint(f'x = %s' % x)\ny != 3",
        "# '''\nx = 1",
    ],
)
def test_what_only_looks_like_a_command(text: str) -> None:
    assert plain_python(text) == text
    # The same beside a real one, where the cell as a whole is no Python.
    assert plain_python(f"{text}\n!ls\n{text}\n%time\n") == f"{text}\n\n{text}\n\n"


@pytest.mark.parametrize(
    "text", ["\xa0", "x = (1,\n!ls", "x = '''\n%time", "x = 'a?", "x = 1 +\ny = 2 2", "'a'?", "/f x"]
)
def test_what_is_wrong_stays_wrong(text: str) -> None:
    assert plain_python(text) == text


@pytest.mark.parametrize("name", ["bash", "html", "javascript", "R", "writefile layers.py", "timeit", "!", "file a.py"])
def test_cells_that_are_not_of_the_notebook_are_dropped(name: str) -> None:
    # All of this is valid Python too, and must bind nothing.
    assert plain_python(f"\n%%{name}\nx = 3\ndef f(x): return x") == "\n\n\n"


@pytest.mark.parametrize("name", ["time", "capture out", "prun -s cumulative", "my_own"])
def test_cells_that_run_in_the_notebook_are_read(name: str) -> None:
    assert plain_python(f"%%{name}\nx = 3\n%time y = 4\n") == "\nx = 3\ny = 4\n"


def test_a_broken_cell_behind_a_cell_magic() -> None:
    assert plain_python("%%time\nx = (") == "\nx = ("
    assert plain_python("%%time\n%%bash\nls (") == "\n\n"
    assert plain_python("%%mermaid\ngraph TD (") == "\n"


@pytest.mark.parametrize(
    "line", ["pip install numpy", "cd ..", "load_ext autoreload", "matplotlib inline", "ls -l *.py"]
)
def test_commands_without_their_sign(line: str) -> None:
    assert plain_python(f"\n{line}\n") == "\n\n"
    assert plain_python(f"x = 1\n{line}\n") == f"x = 1\n{line}\n"


@pytest.mark.parametrize("line", ["time = 3 4", "run", "cd = (", "pipeline (", "timeit(x y)"])
def test_names_of_commands_that_are_variables(line: str) -> None:
    assert plain_python(line) == line


LINES = [
    "%matplotlib inline", "!ls 'a", "  !ls \\", "x = 1", "s = '''", "'''", "def f(x):", "    return x % 2",
    "x?", "a = (1", "  % 3", "  )", "f = !ls", "y = x \\", "", "# a?", "%%time", "\\", '"', "    pass",
]  # fmt: skip


@given(st.lists(st.sampled_from(LINES), min_size=1, max_size=8))
def test_every_line_stays_in_its_place(lines: list[str]) -> None:
    cell = "\n".join(lines)
    plain = plain_python(cell)
    assert plain.count("\n") == cell.count("\n")
    for before, after in zip(lines, plain.split("\n"), strict=True):
        assert after in (before, "", "f = get_ipython()") or after.strip() == "pass"


@given(st.lists(st.sampled_from(LINES), max_size=8))
def test_what_python_can_read_is_left_alone(lines: list[str]) -> None:
    cell = "\n".join(lines)
    try:
        ast.parse(cell)
    except SyntaxError:
        return
    assert plain_python(cell) == cell
