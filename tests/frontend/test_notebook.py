"""Notebooks as one text: which cells are read, and where a place in the text stands in the notebook."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from flatgrad.compiler import compile_source
from flatgrad.diagnostics import Cell, Diagnostic, Refused, render
from flatgrad.frontend.notebook import is_notebook, read_notebook
from flatgrad.ir.core import Span
from flatgrad.options import Options
from flatgrad.reading import Source, read_source

PYTHON = {"kernelspec": {"name": "python3", "language": "python"}, "language_info": {"name": "python"}}


def code(source: str | list[str], **more: Any) -> dict[str, Any]:
    return {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": source, **more}


def markdown(source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def notebook(*cells: dict[str, Any] | str, metadata: object = PYTHON) -> str:
    """A notebook of nbformat 4; a string is a code cell."""
    inner = [code(cell) if isinstance(cell, str) else cell for cell in cells]
    return json.dumps({"cells": inner, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})


def old_notebook(*sheets: list[dict[str, Any]], **metadata: Any) -> str:
    return json.dumps({"metadata": metadata, "nbformat": 3, "worksheets": [{"cells": sheet} for sheet in sheets]})


def refused(text: str) -> Refused:
    with pytest.raises(Refused) as caught:
        read_notebook(text, "model.ipynb")
    return caught.value


def drawn(refusal: Refused) -> list[str]:
    """The second line of every diagnostic: its place."""
    assert refusal.source is not None
    found = [render(d, refusal.source, refusal.filename, cells=refusal.cells) for d in refusal.diagnostics]
    return [text.splitlines()[1].strip() for text in found]


# What is read


def test_code_cells_in_their_order() -> None:
    read = read_notebook(
        notebook(
            markdown("# W = 7"),
            "import numpy as np\n%matplotlib inline\nx = 1",
            code(["def f(x):\n", "    return x"]),
            {"cell_type": "raw", "source": "W = 8"},
            "",
            "y = 2\r\nz = 3\n",
        ),
        "model.ipynb",
    )
    assert read.text == "import numpy as np\n\nx = 1\n\ndef f(x):\n    return x\n\n\n\ny = 2\nz = 3\n"
    assert read.cells == (Cell(1, 1), Cell(2, 5), Cell(3, 8), Cell(4, 10))
    assert read.notes == ()


def test_older_formats_have_worksheets() -> None:
    def cell(text: str | list[str], language: str = "python") -> dict[str, Any]:
        return {"cell_type": "code", "input": text, "language": language, "outputs": []}

    sheets = [[cell("a = 1"), markdown("no"), cell(["b = 2\n", "c = 3"])], [cell("ls -l x y", "bash"), cell("d = 4")]]
    read = read_notebook(old_notebook(*sheets, name=""), "model.ipynb")
    assert read.text == "a = 1\n\nb = 2\nc = 3\n\n\n\nd = 4\n"
    assert read.cells == (Cell(1, 1), Cell(2, 3), Cell(3, 6), Cell(4, 8))


def test_cells_of_another_language_are_left_out() -> None:
    shell = code("ls -l (", metadata={"vscode": {"languageId": "shellscript"}})
    assert read_notebook(notebook(shell, "x = 1"), "model.ipynb").text == "\n\nx = 1\n"
    python = code("x = 1", metadata={"vscode": {"languageId": "python"}})
    assert read_notebook(notebook(python), "model.ipynb").text == "x = 1\n"


@pytest.mark.parametrize("metadata", [{}, None, {"kernelspec": None}, {"language_info": {"name": "ipython"}}])
def test_a_notebook_that_names_no_other_language_is_python(metadata: object) -> None:
    assert read_notebook(notebook("x = 1", metadata=metadata), "model.ipynb").text == "x = 1\n"


def test_an_open_end_of_a_cell_does_not_reach_the_next() -> None:
    refusal = refused(notebook("x = 1", "y = '''", "z = 1 + \\", "def f():", "z = '''\nt'''"))
    assert drawn(refusal) == [
        "--> model.ipynb, cell 2, line 1, column 5",
        "--> model.ipynb, cell 3, line 1, column 10",
        "--> model.ipynb, cell 4, line 1, column 1",
    ]


# What is not


@pytest.mark.parametrize(
    "text", ["{}", "[]", "3", '"cells"', '{"cells": {}}', '{"worksheets": [3]}', '{"worksheets": 3}']
)
def test_json_that_is_no_notebook(text: str) -> None:
    (found,) = refused(text).diagnostics
    assert (found.code, found.message, found.span) == ("FG004", "this is no Jupyter notebook", None)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("", Span(1, 0, 1, 1)),
        ('{"cells": [\n  {]\n}', Span(2, 3, 2, 4)),
        ("import numpy as np\n", Span(1, 0, 1, 1)),
        ('{"cells": [' + "[" * 100_000, None),
        ('{"cells": ' + "1" * 5_000 + "}", None),
    ],
)
def test_text_that_is_no_json(text: str, span: Span | None) -> None:
    refusal = refused(text)
    (found,) = refusal.diagnostics
    assert (found.code, found.span) == ("FG004", span)
    assert str(refusal)


def test_the_marks_of_a_merge_are_named() -> None:
    (found,) = refused('{\n<<<<<<< HEAD\n "cells": []').diagnostics
    assert found.help.startswith("a merge has left its marks")


def test_a_line_of_any_length_is_not_drawn() -> None:
    text = str(refused('{"cells": [' + "1," * 1000 + "]}"))
    assert "--> model.ipynb:1:2012" in text
    assert "1,1" not in text


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (notebook("x <- 2", metadata={"kernelspec": {"name": "ir", "language": "R"}}), "R"),
        (notebook("x = 2;", metadata={"language_info": {"name": "julia"}}), "julia"),
        (notebook("x^2", metadata={"kernelspec": {"name": "sagemath", "language": "sage"}}), "sage"),
        (old_notebook([{"cell_type": "code", "input": "x", "language": "haskell"}]), "haskell"),
    ],
)
def test_other_languages(text: str, language: str) -> None:
    (found,) = refused(text).diagnostics
    assert (found.code, found.message) == ("FG005", f"the notebook is written in {language}, not in Python")


@pytest.mark.parametrize("cells", [(), (markdown("x = 1"),), ("", " \n\t\n")])
def test_no_code(cells: tuple[dict[str, Any] | str, ...]) -> None:
    (found,) = refused(notebook(*cells)).diagnostics
    assert found.code == "FG006"


def test_characters_that_python_cannot_read() -> None:
    refusal = refused(notebook("x = 1", "a = 1\nb = '\ud800'", "c = '\0'", "-" * 20_000 + "1"))
    assert [found.code for found in refusal.diagnostics] == ["FG001"] * 3
    assert drawn(refusal) == [
        "--> model.ipynb, cell 2, line 2, column 6",
        "--> model.ipynb, cell 3, line 1, column 6",
        "--> model.ipynb, cell 4, line 1, column 1",
    ]


# Python 2


def test_python_2_is_one_error() -> None:
    refusal = refused(notebook("x = (", "print 'a'", "try:\n  pass\nexcept A, e:\n  print 10L\n", "print 'b'"))
    (found,) = refusal.diagnostics
    assert (found.code, found.message) == ("FG002", "this is Python 2: the print statement")
    assert "`jupyter nbconvert --to script model.ipynb`" in found.help
    assert "`2to3 -w`" in found.help
    assert drawn(refusal) == ["--> model.ipynb, cell 2, line 1, column 1"]


@pytest.mark.parametrize(
    ("metadata", "first", "noted"),
    [
        ({"language_info": {"name": "python", "version": "2.7.6"}}, "x = 1 / 2", True),
        ({"kernelspec": {"name": "python2"}}, "x = 1 / 2", True),
        ({"kernelspec": {"name": "python2"}}, "from __future__ import print_function, division", False),
        ({"kernelspec": {"name": "python2"}, "language_info": {"version": "3.8.1"}}, "x = 1 / 2", False),
        (PYTHON, "x = 1 / 2", False),
    ],
)
def test_a_kernel_of_python_2_is_noted(metadata: object, first: str, noted: bool) -> None:
    notes = read_notebook(notebook("y = 1", first, metadata=metadata), "model.ipynb").notes
    assert [(note.code, note.severity) for note in notes] == [("FG002", "note")] * noted


# Places


CELLS = notebook(
    "import numpy as np",
    markdown("some text"),
    "%matplotlib inline\n\n\ndef helper(b):\n    return np.unwrap(b)",
    "!ls",
    "def f(x):\n    '''x: (N, D)'''\n    a = np.unwrap(x)\n    return a",
)


def test_places_are_told_by_cell() -> None:
    read = read_notebook(CELLS, "model.ipynb")
    with pytest.raises(Refused) as caught:
        compile_source(read.text, "model.ipynb", Options(functions=("helper", "f")))
    texts = [render(d, read.text, "model.ipynb", cells=read.cells) for d in caught.value.diagnostics]
    assert [text.splitlines()[1:5] for text in texts] == [
        [
            "  --> model.ipynb, cell 2, line 5, column 12",
            "   |",
            " 5 |     return np.unwrap(b)",
            "   |            ^^^^^^^^^ its gradient is not known to flatgrad",
        ],
        [
            "  --> model.ipynb, cell 4, line 3, column 9",
            "   |",
            " 3 |     a = np.unwrap(x)",
            "   |         ^^^^^^^^^ its gradient is not known to flatgrad",
        ],
    ]


def test_places_in_several_cells() -> None:
    source = "a\nb\n\nc\nd\ne\nf\n\ng\n"
    cells = (Cell(1, 1), Cell(2, 4), Cell(12, 9))
    found = Diagnostic(
        "FG050",
        "m",
        Span(4, 0, 4, 1),
        "here",
        labels=((Span(2, 0, 2, 1), "there"), (Span(7, 0, 7, 1), ""), (Span(9, 0, 9, 1), "last")),
    )
    assert render(found, source, "m.ipynb", cells=cells).splitlines()[1:] == [
        "  --> m.ipynb, cell 2, line 1, column 1",
        "   |",
        "  ::: cell 1",
        " 2 | b",
        "   | - there",
        "  ::: cell 2",
        " 1 | c",
        "   | ^ here",
        " ...",
        " 4 | f",
        "   | -",
        "  ::: cell 12",
        " 1 | g",
        "   | - last",
    ]


def test_the_gutter_is_as_wide_as_what_is_shown() -> None:
    found = Diagnostic("FG030", "m", Span(120, 0, 120, 1))
    lines = render(found, "x\n" * 200, "m.ipynb", cells=(Cell(1, 1), Cell(2, 115))).splitlines()
    assert lines[1:] == ["  --> m.ipynb, cell 2, line 6, column 1", "   |", " 6 | x", "   | ^"]


def test_a_refusal_keeps_its_cells() -> None:
    refusal = refused(notebook("x = 1", "y = ("))
    again = pickle.loads(pickle.dumps(refusal))
    assert again.cells == refusal.cells == (Cell(1, 1), Cell(2, 3))
    assert str(again) == str(refusal)
    assert "--> model.ipynb, cell 2, line 1, column 5" in str(refusal)


# Bytes


def test_a_notebook_is_known_by_its_name_or_its_text() -> None:
    text = notebook("x = 1")
    joined = Source("x = 1\n", "m.ipynb", (Cell(1, 1),))
    assert read_source(text.encode(), "m.ipynb") == joined
    assert read_source(b"\xef\xbb\xbf" + text.replace(",", ",\r\n").encode(), "m.ipynb") == joined
    assert read_source(text.encode(), "<stdin>").cells == (Cell(1, 1),)
    assert read_source(text.encode(), "m.py") == Source(text, "m.py")
    assert read_source(b"x = 1\n", "<stdin>") == Source("x = 1\n", "<stdin>")


@pytest.mark.parametrize("text", ["x = {}", '{"a": 1}', '{"nbformat": 4', '{"a": "nbformat"}', "{'nbformat': 4}\n"])
def test_python_on_stdin_is_no_notebook(text: str) -> None:
    assert not is_notebook(text)


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(Refused) as caught:
        read_source(b'{\n "cells": "\xff"}', "m.ipynb")
    (found,) = caught.value.diagnostics
    assert (found.code, found.span) == ("FG003", Span(2, 11, 2, 12))
    assert found.help == "save it as UTF-8, as notebooks are"
    assert "--> m.ipynb:2:12" in str(caught.value)
