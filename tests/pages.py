"""The pages of the docs that are made: `python -m tests.pages` writes them, test_readme.py compares."""

from __future__ import annotations

import re
from pathlib import Path

from flatgrad.compiler import Options, compile_source

from flatgrad.diagnostics import CATALOGUE, Refused, render
from flatgrad.gate_page import as_markdown

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
EXAMPLES = ROOT / "tests" / "errors"

INTRODUCTION = """\
# Errors

Made by `python -m tests.pages` from the sources in `tests/errors/`; do not edit it here.

Every diagnostic has a code, a place, a reason and, where there is one, a way out. All that is wrong with a file is
reported in one run; nothing is written then, and the exit code is 2.
"""

# What no source text can show: these are about files, options, pyproject.toml and function objects.
WITHOUT_A_SOURCE = ("FG003", "FG036", "FG052", "FG060", "FG063", "FG066", "FG081", "FG082", "FG083", "FG091", "FG092", "FG093")


def examples() -> dict[str, Path]:
    """The source that shows each code: `FG021.py`."""
    return {path.stem: path for path in sorted(EXAMPLES.glob("FG*.py"))}


def shown(path: Path) -> str:
    """What `flatgrad compile` says of an example, in the order of the places."""
    source = path.read_text(encoding="utf-8")
    try:
        found = compile_source(source, "model.py", Options()).notes
    except Refused as refused:
        found = refused.diagnostics
    return "\n\n".join(render(diagnostic, source, "model.py") for diagnostic in found)


def errors_page() -> str:
    parts = [INTRODUCTION]
    sources = examples()
    for code, meaning in CATALOGUE.items():
        parts.append(f"\n## {code}: {meaning}\n")
        if code in sources:
            parts.append(f"\n```text\n{shown(sources[code])}\n```\n")
    return "".join(parts)


def codes_in(text: str) -> set[str]:
    return set(re.findall(r"^\w+\[(FG\d{3})\]", text, re.MULTILINE))


PAGES = {"gates.md": as_markdown, "errors.md": errors_page}


def main() -> None:
    for name, make in PAGES.items():
        (DOCS / name).write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    main()
