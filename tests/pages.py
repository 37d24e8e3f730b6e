"""What is made in the docs and in the README: `python -m tests.pages` writes it, test_readme.py compares."""

from __future__ import annotations

import json
import linecache
import re
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from flatgrad.capture import capture
from flatgrad.compiler import compile_source
from flatgrad.config import parse
from flatgrad.diagnostics import CATALOGUE, Refused, render
from flatgrad.diff.reading.reading import read_homework
from flatgrad.gate_page import as_markdown
from flatgrad.gates.declared import declare, read_gate_file
from flatgrad.options import Options
from flatgrad.reading import decode_source, read_source
from tests.language_page import language_page

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
EXAMPLES = ROOT / "tests" / "errors"

INTRODUCTION = """\
# Errors

Made by `python -m tests.pages` from `tests/errors/` and `tests/pages.py`; do not edit it here.

Every diagnostic has a code, a place, a reason and, where there is one, a way out. All that is wrong with a file is
reported in one run; nothing is written then, and the exit code is 2.
"""

SMALL = "import numpy as np\n\n\ndef f(x):\n    h = np.tanh(x)\n    return np.sum(h * h)\n"


def typed() -> object:
    """A function as it is typed into a plain interpreter: without a file."""
    namespace: dict[str, object] = {}
    exec("def typed(x):\n    return x * x\n", namespace)
    return namespace["typed"]


def pyproject(line: str) -> Callable[[], object]:
    return lambda: parse(f"[tool.flatgrad]\n{line}\n", Path("pyproject.toml"))


def notebook(*cells: str, metadata: object = None) -> Callable[[], object]:
    inner = [{"cell_type": "code", "source": cell} for cell in cells]
    document = {"cells": inner, "metadata": metadata or {}, "nbformat": 4, "nbformat_minor": 5}
    return lambda: read_source(json.dumps(document).encode(), "model.ipynb")


def gate_file(text: str) -> Callable[[], object]:
    return lambda: declare(read_gate_file(f"{text}\n", "my_gates.py"))


def homework(text: str) -> Callable[[], object]:
    return lambda: read_homework(text, "homework.py")


def options(**given: tuple[str, ...] | str | tuple[tuple[str, str], ...]) -> Callable[[], object]:
    return lambda: compile_source(SMALL, "model.py", Options(**given))  # type: ignore[arg-type]


def beside(name: str, other: str, model: str) -> Callable[[], object]:
    """A model in a folder with one other file."""

    def run() -> object:
        with TemporaryDirectory() as folder:
            (Path(folder) / name).write_text(other)
            path = Path(folder) / "model.py"
            path.write_text(model)
            try:
                return compile_source(model, str(path), Options())
            except Refused as refused:
                raise Refused(refused.diagnostics, model, "model.py") from None

    return run


def replaced() -> object:
    """A helper that is decorated, in a file of its own."""
    name = "model.py"
    text = "from tools import twice\n\n\n@twice\ndef g(x):\n    return x * x\n\n\ndef f(x):\n    return g(x)\n"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    namespace: dict[str, object] = {"__name__": "model"}
    exec(
        compile(text.replace("from tools import twice", "twice = lambda g: lambda x: 2 * g(x)"), name, "exec"),
        namespace,
    )
    return capture(namespace["f"])


# What a source text alone does not show: files, options, pyproject.toml, function objects.
OTHERS: dict[str, Callable[[], object]] = {
    "FG003": lambda: decode_source(b"RATE = 0.1  # caf\xe9\n"),
    "FG004": lambda: read_source(b'{\n "cells": [\n<<<<<<< HEAD\n  {\n', "model.ipynb"),
    "FG005": notebook("x <- 2", metadata={"kernelspec": {"name": "ir", "language": "R"}}),
    "FG006": notebook(),
    "FG026": beside("tools.py", "", "from .layers import relu\n\n\ndef f(x):\n    return relu(x) * x\n"),
    "FG027": beside(
        "layers.py",
        "def relu_forward(x):\n    return x * (x > 0)\n\n\ndef relu_backward(dout, x):\n    return dout * (x > 0)\n",
        "from layers import relu_forward\n\n\ndef f(x):\n    return relu_forward(x) * x\n",
    ),
    "FG052": options(shapes=(("X", "N,D"),)),
    "FG060": options(functions=("g",)),
    "FG063": options(wrt=("w",)),
    "FG066": options(output="loss"),
    "FG070": gate_file('RATE = 0.1\ngate("mylib.swish(x)", backward=rules())'),
    "FG071": gate_file('gate("mylib.swish(x)", backward={"x": "dz * mylib.dswish(x)"}, dtype="double")'),
    "FG072": gate_file('gate("np.tanh(x)", backward={"x": "dz * (1 - z**2)"})'),
    "FG073": gate_file('gate("mylib.swish(x)", backward={"x": "dz * mylib.dswish(x)"})'),
    "FG074": gate_file('gate("mylib.mix(x, y)", backward={"x": "dz * y", "y": "dz * x"}, shape="(n),(n)->(m)")'),
    "FG081": pyproject("gates ="),
    "FG082": pyproject('stage = "relations"'),
    "FG083": pyproject('gates = "all"'),
    "FG091": lambda: capture(typed()),
    "FG092": lambda: capture(lambda x: x * x),
    "FG093": replaced,
    "FG100": homework("import numpy as np\n\n\ndef tanh_forward(x):\n    return np.tanh(x), x\n"),
    "FG101": homework(
        "def f_forward(x):\n    return 2 * x\n\n\ndef f_backward(dout, mask, rows):\n    return 2 * dout * mask\n"
    ),
    "FG102": homework("def scale_backward(dout, cache):\n    dx = 2 * dout\n    return dx\n"),
}
# Limits that only long programs reach.
WITHOUT_AN_EXAMPLE = ("FG025", "FG036")


def examples() -> dict[str, Path]:
    """The source that shows each code: `FG021.py`."""
    return {path.stem: path for path in sorted(EXAMPLES.glob("FG*.py"))}


def shown(code: str) -> str:
    """What is said in the example of a code, in the order of the places."""
    path = examples().get(code)
    source = path.read_text(encoding="utf-8") if path else SMALL
    filename = "model.py"
    try:
        found = compile_source(source, filename, Options()).notes if path else ()
        if not path:
            OTHERS[code]()
    except Refused as refused:
        found = refused.diagnostics
        if refused.source is not None:
            source, filename = refused.source, refused.filename.replace("<source>", "model.py")
    return "\n\n".join(render(diagnostic, source, filename) for diagnostic in found)


def errors_page() -> str:
    parts = [INTRODUCTION]
    for code, meaning in CATALOGUE.items():
        parts.append(f"\n## {code}: {meaning}\n")
        if code not in WITHOUT_AN_EXAMPLE:
            parts.append(f"\n```text\n{shown(code)}\n```\n")
    return "".join(parts)


def codes_in(text: str) -> set[str]:
    return set(re.findall(r"^\w+\[(FG\d{3})\]", text, re.MULTILINE))


PAGES = {"gates.md": as_markdown, "errors.md": errors_page, "language.md": language_page}


def readme_block(mark: str) -> re.Pattern[str]:
    """The fenced block of the README below a comment: what is above it, its text, what is below."""
    return re.compile(rf"(<!-- {re.escape(mark)} -->\n```\w+\n)(.*?)(```)", re.DOTALL)


def staged() -> dict[str, str]:
    """The example of the README: what is read, and what is written for it."""
    source = (ROOT / "examples" / "staged.py").read_text(encoding="utf-8")
    written = compile_source(source, "staged.py", Options()).text
    return {"the file examples/staged.py": source, "the file generated/staged_grad.py": written}


def main() -> None:
    for name, make in PAGES.items():
        (DOCS / name).write_text(make(), encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for mark, text in staged().items():
        readme = readme_block(mark).sub(lambda found, text=text: found[1] + text + found[3], readme)
    (ROOT / "README.md").write_text(readme, encoding="utf-8")


if __name__ == "__main__":
    main()
