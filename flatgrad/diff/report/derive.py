"""The reference in a process of its own, with a limit on its time and memory.

To compile runs nothing of a homework, but `9**9**9` among its shapes is reckoned out: a homework must not be able to
hold up its judge.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import flatgrad
from flatgrad.diff.report.reference import Reference, Step, reference_lines

TIMEOUT = 30.0
MEMORY = 4 * 2**30  # bytes of address space


def derive(source: str, filename: str, function: str, wrt: tuple[str, ...] = (), timeout: float = TIMEOUT) -> Reference:
    """What `reference_lines` gives, or a reason after `timeout` seconds. Nothing is raised for a bad source."""
    root = str(Path(flatgrad.__file__).resolve().parent.parent)
    start = f"import sys; sys.path.insert(0, {root!r}); from flatgrad.diff.report.derive import main; main()"
    # -P: nothing is imported from the current folder, which may be the homework's.
    command = [sys.executable, "-P", "-c", start]
    request = json.dumps([source, filename, function, wrt]).encode()
    try:
        done = subprocess.run(command, input=request, capture_output=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return Reference("", f"it took longer than {timeout:g} seconds")
    except OSError as error:
        return Reference("", f"no process could be started for it ({error.strerror or error})")
    if done.returncode:
        return Reference("", "the process that derived it ended without an answer")
    answer = json.loads(done.stdout)
    steps = tuple(Step(number, line, text) for number, line, text in answer["steps"])
    return Reference(answer["text"], answer["reason"], answer["line"], steps, answer["lines"])


def main() -> None:
    """The child: one request from stdin, one answer to stdout."""
    source, filename, function, wrt = json.load(sys.stdin.buffer)
    _limit_memory()
    found = reference_lines(source, filename, function, tuple(wrt))
    steps = [(step.number, step.line, step.text) for step in found.steps]
    answer = {
        "text": found.text,
        "reason": found.reason,
        "line": found.line,
        "steps": steps,
        "lines": dict(found.lines),
    }
    sys.stdout.buffer.write(json.dumps(answer).encode())


def _limit_memory() -> None:
    if sys.platform != "win32":
        import resource

        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        limit = MEMORY if hard == resource.RLIM_INFINITY else min(MEMORY, hard)
        try:
            resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
        except (OSError, ValueError):
            return  # the system has no such limit
