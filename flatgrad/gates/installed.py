"""Declared gates in the table, for the duration of one compilation."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from flatgrad.gates.entry import BY_PATH, DECLARED, OWN, TABLE, Gate, Spelling
from flatgrad.gates.written_calls import SPELLED

_LOCK = threading.RLock()


# For the duration of one compilation


@contextmanager
def installed(gates: Iterable[Gate]) -> Iterator[None]:
    """The table with these gates in it; afterwards it is as before. Two threads take turns; an inner one hides what an
    outer one says of the same function."""
    with _LOCK:
        chosen = tuple(gates)
        paths = {path: [(gate, spelling)] for gate in chosen for path, spelling in _paths(gate)}
        hidden = {gate.name: TABLE.get(gate.name) for gate in chosen}
        ways = {path: BY_PATH.get(path) for path in paths}
        TABLE.update({gate.name: gate for gate in chosen})
        BY_PATH.update(paths)
        try:
            yield
        finally:
            for name, before in hidden.items():
                if before is None:
                    del TABLE[name]
                else:
                    TABLE[name] = before
            for path, known in ways.items():
                if known is None:
                    del BY_PATH[path]
                else:
                    BY_PATH[path] = known


def declared_paths() -> tuple[str, ...]:
    """The paths of the declared gates that are installed now."""
    return tuple(s.path for gate in TABLE.values() if gate.section == DECLARED for s in gate.spellings)


def _paths(gate: Gate) -> Iterator[tuple[str, Spelling]]:
    """`mylib.swish`, and `.mylib.swish` for `from .mylib import swish`."""
    for spelling in gate.spellings:
        yield spelling.path, spelling
        if not spelling.path.startswith(tuple(f"{root}." for root in (OWN, *SPELLED))):
            yield f".{spelling.path}", spelling
