"""`[tool.flatgrad]` in pyproject.toml, and how it meets the command line.

    [tool.flatgrad]
    gates = "primitive"

    [tool.flatgrad.models."examples/svm.py"]   # for this file only; the path is relative to pyproject.toml
    wrt = ["W"]
    shape = { X = "N,D" }

    [tool.flatgrad.gate."mylib.swish"]         # gates of your own; `gate-files` names Python files with more
    call = "mylib.swish(x)"
    backward = { x = "dz * mylib.swish_prime(x)" }

The other keys are the options of `flatgrad compile` that decide what is written. The command line wins over the table
of a model, and that over the general one.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

from flatgrad.diagnostics import Diagnostic, Refused
from flatgrad.ir.core import Span

if TYPE_CHECKING:
    from flatgrad.gates.declared import Declaration
    from flatgrad.gates.entry import Gate
    from flatgrad.options import Options

CHOICES: Mapping[str, tuple[str, ...]] = {
    "gates": ("grouped", "primitive"),
    "stages": ("source", "relations"),
    "accumulate": ("forks", "always"),
}
KEYS = ("function", "wrt", "output", "shape", *CHOICES)


@dataclass(frozen=True, slots=True)
class Settings:
    """Options as far as they are given; None where they are not. The names are those of `compiler.Options`."""

    functions: tuple[str, ...] | None = None
    wrt: tuple[str, ...] | None = None
    output: str | None = None
    shapes: tuple[tuple[str, str], ...] | None = None
    gates: str | None = None
    stages: str | None = None
    accumulate: str | None = None

    def over(self, other: Settings) -> Settings:
        """These settings, and those of `other` where nothing is given. Shapes are merged name by name."""
        given = {f.name: getattr(other if getattr(self, f.name) is None else self, f.name) for f in fields(self)}
        if self.shapes is not None and other.shapes is not None:
            given["shapes"] = tuple({**dict(other.shapes), **dict(self.shapes)}.items())
        return Settings(**given)

    def options(self) -> Options:
        """What the compiler takes."""
        from flatgrad.options import Options

        return Options(**{f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None})


@dataclass(frozen=True, slots=True)
class Config:
    """What one pyproject.toml says. `models` are keyed by resolved path, `declared` are the gates of the user's own,
    `folder` is where the file stands."""

    general: Settings = Settings()
    models: Mapping[Path, Settings] = field(default_factory=dict)
    declared: tuple[Gate, ...] = ()
    folder: Path | None = field(default=None, compare=False)

    def settings(self, model: Path | None) -> Settings:
        """What applies to one model file; None is a model that is no file."""
        special = self.models.get(model.resolve()) if model is not None else None
        return special.over(self.general) if special is not None else self.general


def load(folder: Path) -> Config:
    """Read the nearest pyproject.toml, upward from a folder. Without one, or without the table, nothing is set.

    Raises Refused, with the text of the file, for TOML that cannot be read, unknown keys and values of a wrong type,
    and for declarations of gates that are not understood.
    """
    for place in (folder, *folder.parents):
        path = place / "pyproject.toml"
        if path.is_file():
            return parse(path.read_bytes().decode("utf-8", "replace"), path)
    return Config()


def parse(text: str, path: Path) -> Config:
    """The settings in the text of a pyproject.toml. Raises as `load`."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        diagnostic = Diagnostic("FG081", f"not valid TOML: {_without_place(error)}", _toml_place(error))
        raise Refused([diagnostic], text, str(path)) from None
    reader = _Reader(text, path)
    tool = document.get("tool", {})
    table = tool.get("flatgrad", {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict):
        reader.wrong("flatgrad", "a table", "[tool]")
        table = {}
    models = table.pop("models", {})
    if not isinstance(models, dict):
        reader.wrong("models", "a table of models", "[tool.flatgrad]")
        models = {}
    files = reader.gate_files(table.pop("gate-files", []))
    gates = reader.gates(table.pop("gate", {}))
    general = reader.settings(table, "[tool.flatgrad]")
    special: dict[Path, Settings] = {}
    for name, entry in models.items():
        if isinstance(entry, dict):
            special[(path.parent / name).resolve()] = reader.settings(entry, f'[tool.flatgrad.models."{name}"]')
        else:
            reader.wrong(name, "a table", "[tool.flatgrad.models]")
    if reader.findings:
        raise Refused(reader.findings, text, str(path))
    return Config(general, special, _declared(gates, files), path.parent)


def _declared(gates: Iterable[Declaration], files: Iterable[Path]) -> tuple[Gate, ...]:
    """The gates of the user's own. Raises Refused with the text of the file that is at fault."""
    declarations = list(gates)
    files = list(files)
    if not declarations and not files:
        return ()
    from flatgrad.gates.declared import declare, read_gate_file
    from flatgrad.reading import decode_source

    for file in files:
        try:
            text = decode_source(file.read_bytes())
        except Refused as refused:
            raise Refused(refused.diagnostics, refused.source, str(file)) from None
        declarations.extend(read_gate_file(text, str(file)))
    return declare(declarations)


class _Reader:
    """Reads tables and collects everything that is wrong with them."""

    def __init__(self, text: str, path: Path) -> None:
        self.text = text
        self.path = path
        self.findings: list[Diagnostic] = []

    def settings(self, table: Mapping[str, object], header: str) -> Settings:
        for key in table:
            if key not in KEYS:
                also = ""
                if header == "[tool.flatgrad]":
                    also = "; `models` holds tables for single files, `gate` and `gate-files` declare gates"
                known = ", ".join(KEYS)
                message = f"no such key in {header}: {key}"
                self.findings.append(
                    Diagnostic("FG082", message, self._place(key, header), help=f"the keys are {known}{also}")
                )
        output = table.get("output")
        if output is not None and not isinstance(output, str):
            self.wrong("output", "a string", header)
            output = None
        return Settings(
            functions=self._names(table, "function", header),
            wrt=self._names(table, "wrt", header),
            output=output,
            shapes=self._shapes(table, header),
            gates=self._choice(table, "gates", header),
            stages=self._choice(table, "stages", header),
            accumulate=self._choice(table, "accumulate", header),
        )

    def gate_files(self, value: object) -> tuple[Path, ...]:
        """The files that declare gates, relative to pyproject.toml."""
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            self.wrong("gate-files", "a list of files", "[tool.flatgrad]")
            return ()
        files = tuple(self.path.parent / name for name in value)
        for name, file in zip(value, files, strict=True):
            if not file.is_file():
                self.wrong("gate-files", f"a list of files that are there: there is no {name}", "[tool.flatgrad]")
        return files

    def gates(self, value: object) -> tuple[Declaration, ...]:
        """The gates that the tables `[tool.flatgrad.gate."mylib.f"]` declare."""
        if not isinstance(value, dict):
            self.wrong("gate", 'tables such as [tool.flatgrad.gate."mylib.f"]', "[tool.flatgrad]")
            return ()
        if not value:
            return ()
        from flatgrad.gates.declared import Declaration, Source

        found: list[Declaration] = []
        for key, table in value.items():
            if not isinstance(table, dict):
                self.wrong(key, 'a table such as [tool.flatgrad.gate."mylib.f"]', "[tool.flatgrad.gate]")
                continue
            header = f'[tool.flatgrad.gate."{key}"]'
            places = {name: self._place(name, header) for name in table}
            source = Source(self.text, str(self.path))
            found.append(Declaration(source, table, self._header_place(header), places, key))
        return tuple(found)

    def wrong(self, key: str, wanted: str, header: str) -> None:
        self.findings.append(Diagnostic("FG083", f"{key} in {header} must be {wanted}", self._place(key, header)))

    def _names(self, table: Mapping[str, object], key: str, header: str) -> tuple[str, ...] | None:
        value = table.get(key)
        if value is None:
            return None
        if isinstance(value, str):
            value = value.split(",")
        if not isinstance(value, list) or not all(isinstance(name, str) and is_name(name.strip()) for name in value):
            self.wrong(key, "a name, or a list of names", header)
            return None
        return tuple(name.strip() for name in value)

    def _shapes(self, table: Mapping[str, object], header: str) -> tuple[tuple[str, str], ...] | None:
        value = table.get("shape")
        if value is None:
            return None
        if not isinstance(value, dict) or not all(is_name(k) and isinstance(v, str) for k, v in value.items()):
            self.wrong("shape", 'a table such as { X = "N,D" }', header)
            return None
        return tuple(value.items())

    def _choice(self, table: Mapping[str, object], key: str, header: str) -> str | None:
        value = table.get(key)
        if value is None:
            return None
        if not isinstance(value, str) or value not in CHOICES[key]:
            self.wrong(key, " or ".join(f'"{choice}"' for choice in CHOICES[key]), header)
            return None
        return value

    def _header_place(self, header: str) -> Span | None:
        for number, line in enumerate(self.text.splitlines(), 1):
            if _header(line) == header:
                start = len(line) - len(line.lstrip())
                return Span(number, start, number, start + len(line.split("#")[0].strip()))
        return None

    def _place(self, key: str, header: str) -> Span | None:
        # tomllib tells no places: the key is looked for below its table's header, and not found in rarer spellings.
        inside = False
        for number, line in enumerate(self.text.splitlines(), 1):
            if line.lstrip().startswith("["):
                inside = _header(line) == header
            elif inside and (match := re.match(rf"""\s*(["']?{re.escape(key)}["']?)\s*[.=]""", line)):
                return Span(number, match.start(1), number, match.end(1))
        return None


def _header(line: str) -> str:
    """The header of a table as it is written here: names with a dot in quotes, all others without."""
    text = line.split("#")[0].strip().replace("'", '"')
    return re.sub(r"\.(\w+)\]$", r'."\1"]', text) if text.startswith("[tool.flatgrad.gate.") else text


def is_name(text: str) -> bool:
    """A plain or dotted Python name."""
    return bool(text) and all(part.isidentifier() for part in text.split("."))


def split_names(text: str) -> Iterator[str]:
    """`W1,b1` to its names. Raises ValueError for what is none."""
    for name in text.split(","):
        if not is_name(name.strip()):
            raise ValueError(f"{name.strip()!r} is not a name")
        yield name.strip()


_AT = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)$")


def _without_place(error: tomllib.TOMLDecodeError) -> str:
    message = _AT.sub("", str(error))
    return message[:1].lower() + message[1:]


def _toml_place(error: tomllib.TOMLDecodeError) -> Span | None:
    found = _AT.search(str(error))
    if found is None or found[1] is None:
        return None
    line, column = int(found[1]), int(found[2])
    return Span(line, column - 1, line, column)
