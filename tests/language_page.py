"""docs/language.md: the constructs with their backward code, and what is refused."""

from __future__ import annotations

import ast
import re
import textwrap
from pathlib import Path

from flatgrad.compiler import compile_source
from flatgrad.diagnostics import CATALOGUE, Diagnostic, Refused
from flatgrad.options import Options
from tests.construct_cases import SECTIONS, Construct
from tests.support import ROOT

INTRODUCTION = """\
# The language

Made by `python -m tests.pages` from `tests/constructs/` and `tests/errors/`; do not edit it here.

Every construct with what is read and the backward function that is written for it. Each of them is run by
`tests/test_constructs.py` and compared with differences. The number in a comment, as in `# (2)`, is that of the line in
the forward function that is written beside it, which keeps in `cache` what backward reads. Where `unbroadcast` stands,
the module defines it: it sums over the axes along which NumPy has repeated an operand.
"""
# The codes of what the language does not have: constructs, and aliases.
REFUSED = ("FG03", "FG04")
REFUSAL = """
## What is refused, and why

Nothing is written for a file with one of these in it. The rows are the files in `tests/errors/`; the codes that are not
about the language, and every message as it is drawn, are in [errors.md](errors.md).

| code | what | for example | why | way out |
|---|---|---|---|---|
"""


def language_page() -> str:
    parts = [INTRODUCTION, "\n", *contents()]
    for title, constructs in SECTIONS.items():
        parts.append(f"\n## {title}\n")
        parts += map(shown, constructs)
    parts.append(REFUSAL)
    parts += (f"{row}\n" for row in refused_rows())
    return "".join(parts)


def contents() -> list[str]:
    titles = [*SECTIONS, "What is refused, and why"]
    return [f"- [{title}](#{re.sub(r'[^a-z -]', '', title.lower()).replace(' ', '-')})\n" for title in titles]


def shown(construct: Construct) -> str:
    """The heading, the sentence, what is read, and the backward functions that are written."""
    source = construct.source
    tree = ast.parse(source)
    heading, _, text = (ast.get_docstring(tree) or "").partition("\n\n")
    read = "\n\n\n".join(
        lines_of(source, node) for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)
    )
    result = compile_source(source, "model.py", Options(**construct.options))
    written = "\n\n\n".join(backward_functions(result.text))
    return (
        f"\n### {heading.removesuffix('.')}\n\n{textwrap.fill(text, 119)}\n"
        f"\n```python\n{read}\n```\n{command(construct)}\n```python\n{written}\n```\n"
    )


def command(construct: Construct) -> str:
    """The options, where it is compiled with any."""
    names = {"functions": "--function", "wrt": "--wrt"}
    given = " ".join(f"{names[key]} {','.join(value)}" for key, value in construct.options.items())
    return f"\nWith `{given}`:\n" if given else ""


def backward_functions(text: str) -> list[str]:
    """The functions and methods of a written module that go backward, callees first; methods without their indent."""
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    return [lines_of(text, node) for node in nodes if node.name == "backward" or node.name.endswith("_backward")]


def lines_of(text: str, node: ast.FunctionDef | ast.ClassDef) -> str:
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return textwrap.dedent("\n".join(text.splitlines()[first - 1 : node.end_lineno]))


def refused_rows() -> list[str]:
    """The rows of the table: one for each place that is refused, or one for a code that has no example."""
    rows = []
    for code, meaning in CATALOGUE.items():
        if code.startswith(REFUSED):
            path = ROOT / "tests" / "errors" / f"{code}.py"
            found = refusals(path) if path.exists() else [("", "", "")]
            rows += [table_row(code, meaning, *cells) for cells in found]
    return rows


def refusals(path: Path) -> list[tuple[str, str, str]]:
    """The line, the reason and the way out of everything that is refused in a file."""
    source = path.read_text(encoding="utf-8")
    try:
        compile_source(source, "model.py", Options())
    except Refused as refused:
        return [(line_of(one, source), reason(one), one.help) for one in refused.diagnostics]
    raise AssertionError(f"{path.name} is not refused")


def line_of(diagnostic: Diagnostic, source: str) -> str:
    if diagnostic.span is None:
        return ""
    return f"`{source.splitlines()[diagnostic.span.line - 1].strip()}`"


def reason(diagnostic: Diagnostic) -> str:
    return f"{diagnostic.message}: {diagnostic.label}" if diagnostic.label else diagnostic.message


def table_row(*cells: str) -> str:
    """A row of a Markdown table; outside code, what would mark emphasis stands for itself."""
    lines = (" ".join(cell.split()).replace("|", r"\|") for cell in cells)
    return "| " + " | ".join(re.sub(r"`[^`]*`|[*_]", as_itself, line) for line in lines) + " |"


def as_itself(found: re.Match[str]) -> str:
    return found[0] if found[0].startswith("`") else f"\\{found[0]}"
