"""What homework changed in the modules that it shares with the judge's code in its process: named, and put back.

    before = snapshot()
    ...  # homework runs
    patched(before)  # ["numpy.sum"]

What homework may well add or set is no change: new names (`np.float = float`), options (`np.seterr`,
`np.set_printoptions`), seeds, and what modules themselves rebind as they run. The code inside NumPy's functions is not
looked at: to change it is refused (see refusals.py).
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from operator import is_
from types import ModuleType
from typing import Any

# These rebind functions of their own by design, or are replaced as a matter of course (`warnings.showwarning`).
_LEFT_ALONE = frozenset({"__main__", "sys", "warnings", "logging", "threading", "site"})
# The judge's own modules are taken away from homework: see worker.py.
_OURS = frozenset({"flatgrad", "flatgrad_service"})
# Of these a constant (`np.pi`) counts too, of the others only what can be called: they keep state in their names.
_CONSTANTS = ("builtins", "math", "cmath", "numpy")
_IN_BUILTINS = frozenset({"__import__", "__build_class__"})
_HEAP_TYPE = 1 << 9
# Filled in when they are first asked for.
_OF_EVERY_CLASS = frozenset({"__doc__", "__annotations__", "__annotations_cache__", "__abstractmethods__", "_abc_impl"})
_GONE = object()
_MODULES = sys.modules


@dataclass(frozen=True, slots=True)
class _Names:
    """What some names of a module or class stood for."""

    path: str
    owner: Any
    names: tuple[str, ...]
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The modules that were loaded, what their names and those of NumPy's classes stood for."""

    modules: tuple[_Names, ...]
    classes: tuple[_Names, ...]
    recursion_limit: int


def snapshot(only: Collection[str] = ()) -> Snapshot:
    """How things stand now, in all modules or in those of the names `only`. Taken before homework runs; about 10 ms."""
    modules: list[_Names] = []
    classes: dict[type, str] = {}
    for path, module in sorted(_MODULES.items(), key=lambda entry: ("._" in entry[0], entry[0])):
        # Sorted so that things have the name that people call them by: numpy.sum, not numpy._core.fromnumeric.sum.
        package = path.partition(".")[0]
        if type(module) is not ModuleType or package in _OURS or (only and path not in only):
            continue
        values = {}
        if package not in _LEFT_ALONE:
            values = {name: value for name, value in vars(module).items() if _counts(path, name, value)}
        modules.append(_Names(path, module, tuple(values), tuple(values.values())))
        if _is_numpy(path) and "._" not in path:
            for name, value in values.items():
                if isinstance(value, type) and value.__flags__ & _HEAP_TYPE and _is_numpy(value.__module__):
                    classes.setdefault(value, f"{path}.{name}")
    return Snapshot(
        tuple(modules),
        tuple(_members(path, cls) for cls, path in classes.items()),
        sys.getrecursionlimit(),
    )


def patched(before: Snapshot) -> list[str]:
    """The names that no longer stand for what they did (`numpy.sum`, `builtins.len`, `sys.modules["numpy"]`), sorted.

    All is put back as it was. So are, without a word, interval timers, trace functions and the recursion limit.
    It takes about 0.5 ms.
    """
    _settle(before.recursion_limit)
    changed: set[str] = set()
    if sys.modules is not _MODULES:
        sys.modules = _MODULES
        changed.add("sys.modules")
    for kept in before.modules:
        if _MODULES.get(kept.path) is not kept.owner:
            _MODULES[kept.path] = kept.owner
            changed.add(f'sys.modules["{kept.path}"]')
        if type(kept.owner) is not ModuleType:
            kept.owner.__class__ = ModuleType
            changed.add(f"{kept.path}.__class__")
        now = kept.owner.__dict__
        for name, value in _differing(kept, now):
            now[name] = value
            changed.add(f"{kept.path}.{name}")
    for kept in before.classes:
        for name, value in _differing(kept, vars(kept.owner)):
            try:
                type.__setattr__(kept.owner, name, value)
            except (TypeError, AttributeError):
                continue
            changed.add(f"{kept.path}.{name}")
    return sorted(changed)


def _differing(kept: _Names, now: Mapping[str, Any]) -> list[tuple[str, Any]]:
    # This goes over thousands of names at every run: in C, unless something differs.
    if all(map(is_, map(now.get, kept.names), kept.values)):
        return []
    return [
        (name, value) for name, value in zip(kept.names, kept.values, strict=True) if now.get(name, _GONE) is not value
    ]


def _members(path: str, cls: type) -> _Names:
    members = {name: value for name, value in vars(cls).items() if name not in _OF_EVERY_CLASS}
    return _Names(path, cls, tuple(members), tuple(members.values()))


def _counts(module: str, name: str, value: object) -> bool:
    if name.startswith("__"):
        return module == "builtins" and name in _IN_BUILTINS
    if callable(value):
        return True
    return (module in _CONSTANTS or module.startswith("numpy.")) and not name.startswith("_") and "._" not in module


def _is_numpy(name: object) -> bool:
    return isinstance(name, str) and (name == "numpy" or name.startswith("numpy."))


def _settle(recursion_limit: int) -> None:
    steps: list[Callable[[], object]] = [
        lambda: sys.settrace(None),
        lambda: sys.setprofile(None),
        lambda: sys.setrecursionlimit(recursion_limit),
    ]
    for name in ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF"):
        which = getattr(signal, name, None)
        if which is not None:
            steps.append(lambda which=which: signal.setitimer(which, 0))  # type: ignore[misc]
    for step in steps:
        # Not contextlib.suppress, which calls built-in functions that may not be back yet.
        try:
            step()
        except Exception:
            continue
