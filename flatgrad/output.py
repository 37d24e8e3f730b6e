"""Generated files: how they are compared, shown as a difference, and written whole or not at all."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def unified(old: str, new: str, path: Path) -> str:
    """The unified diff of two texts of a file, in color where stdout is a terminal."""
    import difflib

    from flatgrad.diagnostics import wants_color

    colors = {"+": "\x1b[32m", "-": "\x1b[31m", "@": "\x1b[36m"} if wants_color(sys.stdout) else {}
    lines: list[str] = []
    for line in difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), f"{path} (as it is)", f"{path} (as compiled)"
    ):
        text = line.rstrip("\n")
        color = colors.get(line[:1])
        lines.append(f"{color}{text}\x1b[0m\n" if color else f"{text}\n")
        if not line.endswith("\n"):
            lines.append("\\ No newline at end of file\n")
    return "".join(lines)


def existing(path: Path) -> str | None:
    """The text of a generated file as it stands, its line ends as \\n; None if there is none. Raises OSError."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    return data.decode("utf-8", "replace").replace("\r\n", "\n")


def write(path: Path, text: str) -> bool:
    """Put a text into a file, whole or not at all; False where it has that text already, and is not touched.

    Raises OSError, and then leaves the file as it was.
    """
    if path.exists() and not path.is_file():  # a pipe or a device: nothing that could be replaced
        path.write_bytes(text.encode())
        return True
    if existing(path) == text:
        return False
    _replace(Path(os.path.realpath(path)), text.encode())
    return True


def _replace(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, so that the last step is a rename within one file system.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
        if path.exists():
            temporary.chmod(path.stat().st_mode & 0o7777)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def to_stdout(text: str) -> None:
    """Write an artefact to stdout: as UTF-8, as Python source is, whatever the terminal's encoding."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode())
    sys.stdout.buffer.flush()
