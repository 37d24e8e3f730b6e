"""The text of a notebook's cell as plain Python: IPython's own commands are taken out, every line stays where it is.

A cell that Python can read is left alone, so nothing inside its strings is ever taken for a command. In any other, a
command is looked for where a statement begins: `%magic`, `!shell`, `?help`, `help?`, `x = %magic`, `x = !shell`; and
`%%magic` at the head. What a command binds stays bound: a name must not pass for a constant because the line that
gives it another value has been dropped.
"""

from __future__ import annotations

import ast
import re
import warnings
from pathlib import PurePath

# Cell magics whose body is Python that runs in the notebook itself. Of one that stands in neither list, the body is
# kept where it is valid Python.
_PYTHON_BODIES = frozenset({"capture", "debug", "memit", "notify", "prun", "snakeviz", "time"})
# Those whose body is another language or another process's, is written to a file, or binds nothing.
_FOREIGN_BODIES = (
    frozenset({"!", "HTML", "R", "SVG", "bash", "bigquery", "cmd", "file", "html", "javascript", "js", "julia"})
    | frozenset({"latex", "markdown", "perl", "powershell", "pypy", "python", "python2", "python3", "ruby", "script"})
    | frozenset({"sh", "sql", "svg", "sx", "system", "timeit", "writefile"})
)
# Commands that people give without their sign; IPython takes them where the cell is one line and nothing else.
_WITHOUT_SIGN = re.compile(
    r"(?:autoreload|cat|cd|conda|cp|env|load_ext|ls|mamba|matplotlib|mkdir|mv|pip|pylab|reload_ext|rm|run|time|timeit)"
    r"[ \t]+(?!=)"
)
# What `%pylab` imports: afterwards `sum` and its like may be NumPy's.
_PYLAB = "import numpy as np; from matplotlib import pyplot as plt"
_ASSIGNED = re.compile(r"(?P<target>\s*\w(?:[\w.,*: \t]|\[[^\]=]*\])*)=\s*[%!]")
_HELP = re.compile(r"[\w*\]]\?\??\s*$")
_PIECE = re.compile(
    r'''(?P<string>"""(?:\\.|[^\\])*?(?:"""|\Z)|\'\'\'(?:\\.|[^\\])*?(?:\'\'\'|\Z)'''
    r"""|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?)"""
    r"""|(?P<comment>#[^\n]*)|(?P<joint>\\\n)|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<end>\n)"""
    r"""|(?P<code>[^"'#\\()\[\]{}\n]+|.)""",
    re.DOTALL,
)


def plain_python(cell: str) -> str:
    """The cell without what only IPython understands: as many lines, each in its place.

    What is left may be no Python all the same; that is for the parser to say.
    """
    if _is_python(cell):
        return cell
    lines = cell.split("\n")
    head = next((number for number, line in enumerate(lines) if line.strip()), 0)
    if lines[head].startswith("%%"):
        name = (lines[head][2:].split() or [""])[0]
        nothing = "\n" * (len(lines) - 1)
        if name in _FOREIGN_BODIES:
            return nothing
        body = plain_python("\n".join(["" for _ in lines[: head + 1]] + lines[head + 1 :]))
        return body if name in _PYTHON_BODIES or _is_python(body) else nothing
    if not any(map(str.strip, lines[head + 1 :])) and _WITHOUT_SIGN.match(lines[head]):
        lines[head] = f"%{lines[head]}"
    return _without_commands(lines)


def _is_python(text: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _without_commands(lines: list[str]) -> str:
    kept = list(lines)
    start = 0
    while start < len(lines):
        line = lines[start]
        replacement = _replacement(line)
        if replacement is not None:
            stop = start + 1
            while stop < len(lines) and lines[stop - 1].endswith("\\"):
                stop += 1
        else:
            count, code = _statement("\n".join(lines[start:]))
            stop = start + count
            if count == 1 and _HELP.search(code):
                replacement = _nothing(line)
        if replacement is not None:
            kept[start:stop] = [replacement, *("" for _ in range(start + 1, stop))]
        start = stop
    return "\n".join(kept)


def _replacement(line: str) -> str | None:
    """What stands for a line that is a command; None for a line that is none, as far as its beginning tells."""
    text = line.lstrip()
    indent = line[: len(line) - len(text)]
    if text.startswith("%"):
        name, _, rest = text[1:].strip().partition(" ")
        bound = _bound_by(name, rest.strip())
        return indent + bound if bound else _nothing(line)
    if text.startswith(("!", "?")):
        return _nothing(line)
    assigned = _ASSIGNED.match(line)
    # As IPython itself writes it, in short: a value that nobody knows before it runs.
    return f"{assigned['target']}= get_ipython()" if assigned else None


def _nothing(line: str) -> str:
    """An empty line, or `pass` where the line may be all that a block holds."""
    indent = line[: len(line) - len(line.lstrip())]
    return f"{indent}pass" if indent else ""


def _bound_by(name: str, rest: str) -> str:
    """The statement that binds what a line magic binds; '' for one that binds nothing."""
    match name:
        case "time":
            statement = rest.removeprefix("--no-raise-error").strip()
            return statement if _is_python(statement) else ""
        case "pylab":
            return _PYLAB if "--no-import-all" in rest else f"{_PYLAB}; from pylab import *"
        case "run":
            words = [word for word in rest.split() if not word.startswith("-")]
            if not words:
                return ""
            module = re.sub(r"\W", "_", PurePath(words[0].strip("\"'")).stem)
            statement = f"from {module} import *"
            return statement if _is_python(statement) else f"from _{module} import *"
    return ""


def _statement(text: str) -> tuple[int, str]:
    """How many lines the first statement of a text has, and its code: no comments, every string a `"`."""
    depth, code = 0, ""
    for piece in _PIECE.finditer(text):
        if piece.lastgroup == "end" and depth <= 0:
            return text.count("\n", 0, piece.end()), code
        depth += (piece.lastgroup == "open") - (piece.lastgroup == "close")
        if piece.lastgroup != "comment":
            code += '"' if piece.lastgroup == "string" else piece[0]
    return text.count("\n") + 1, code
