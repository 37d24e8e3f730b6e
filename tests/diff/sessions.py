"""Sessions in the docs: `python -m tests.diff.sessions` runs them again, test_sessions.py compares.

A page holds files, each below `<!-- the file NAME -->`, and sessions, each below `<!-- session: flatgrad … -->`. One
runs in a folder with the files that stand above it.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import flatgrad

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = (ROOT / "docs" / "students.md", ROOT / "docs" / "teachers.md")
_BLOCK = re.compile(r"<!-- (the file|session:) ([^\n]*?) -->\n```\w+\n(.*?)```\n", re.DOTALL)


def sessions(page: str) -> dict[str, str]:
    """What each session of a page prints as it stands there, by its command."""
    return {command: text for kind, command, text in _BLOCK.findall(page) if kind == "session:"}


def renewed(page: str) -> str:
    """The page with every session run again."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pyproject.toml").write_text("")  # so that no file further up is read

        def one(found: re.Match[str]) -> str:
            kind, title, text = found.groups()
            if kind == "the file":
                (folder / title).write_text(text, encoding="utf-8")
                return found[0]
            head = found[0][: found.start(3) - found.start()]
            return f"{head}$ {title}\n{_run(title, folder)}```\n"

        return _BLOCK.sub(one, page)


def _run(command: str, folder: Path) -> str:
    program, *arguments = command.split()
    assert program == "flatgrad"
    root = str(Path(flatgrad.__file__).resolve().parent.parent)
    start = f"import sys; sys.path.insert(0, {root!r}); from flatgrad.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-P", "-c", start, *arguments], cwd=folder, capture_output=True, timeout=300, check=False
    )
    assert not done.stderr, done.stderr.decode()
    return done.stdout.decode().replace("\r\n", "\n")


def main() -> None:
    for path in PAGES:
        path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
