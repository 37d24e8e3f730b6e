"""The gate table. Importing this package fills `flatgrad.gates.entry.TABLE`: one module for each section of it."""

from __future__ import annotations

import importlib
import pkgutil

from flatgrad.gates.entry import TABLE


def _read_sections() -> dict[str, tuple[str, ...]]:
    sections: dict[str, tuple[str, ...]] = {}
    for name in sorted(module.name for module in pkgutil.iter_modules(__path__)):
        before = set(TABLE)
        importlib.import_module(f"{__name__}.{name}")
        # Modules that declare no gate are tools of the others.
        if declared := tuple(gate for gate in TABLE if gate not in before):
            sections[name] = declared
    return sections


# The names of the gates in each section, a section being a module; its docstring heads it in the docs.
SECTIONS = _read_sections()
