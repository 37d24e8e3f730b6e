"""Modules of the user's own, imported: this is the one command, `gates --test` apart, that runs a model."""

from __future__ import annotations

import linecache
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class NotImported(Exception):
    """The file raises when it is run. `line` is the line in it, where there is one."""

    def __init__(self, filename: str, error: BaseException, line: int | None) -> None:
        place = f"{filename}:{line}" if line is not None else filename
        super().__init__(f"{place}: {type(error).__name__}: {error}")
        self.error = error
        self.line = line


@contextmanager
def beside(*folders: Path) -> Iterator[None]:
    """Imports find what lies in these folders, before anything else; modules that come from there are forgotten
    afterwards, so that a model and a generated module may each have a `layers.py` beside them."""
    places = list(dict.fromkeys(str(folder.resolve()) for folder in folders))
    before = set(sys.modules)
    sys.path[:0] = places
    try:
        yield
    finally:
        for place in places:
            if place in sys.path:
                sys.path.remove(place)
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if file and str(Path(file).resolve().parent) in places:
                del sys.modules[name]


def run_module(text: str, filename: str, name: str) -> dict[str, Any]:
    """The names of a module given as text, run as a file of that name; tracebacks show its lines.

    `__name__` is `name` and not `__main__`: what a script does only when it is run as one is left undone.

    Raises:
        NotImported: for whatever it raises, SystemExit included.
    """
    module = types.ModuleType(name)
    module.__file__ = filename
    linecache.cache[filename] = (len(text), None, text.splitlines(True), filename)
    kept = sys.modules.get(name)
    sys.modules[name] = module  # dataclasses and pickles look their module up
    try:
        exec(compile(text, filename, "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        raise NotImported(filename, error, line_in(error, filename)) from error
    finally:
        if kept is None:
            sys.modules.pop(name, None)
        else:
            sys.modules[name] = kept
    return module.__dict__


def line_in(error: BaseException, filename: str) -> int | None:
    """The last line of a file in the traceback of an error."""
    line = getattr(error, "lineno", None) if isinstance(error, SyntaxError) else None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == filename:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
