"""The commands `check` and `compile --check-gradients`, from options to exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from flatgrad.checking.check import Outcome
    from flatgrad.checking.rows import Settings, Tick
    from flatgrad.checking.run import Module
    from flatgrad.compiler import Compiled
    from flatgrad.config import Settings as Given
    from flatgrad.options import Options
    from flatgrad.reading import Source

CLEAN, FINDINGS, FAILED = 0, 1, 2


def check(
    model: Path,
    generated: Path | None,
    given: Given,
    inputs: Path | None,
    settings: Settings,
    style: str,
) -> int:
    """Check a module, or what the compiler writes for the model now; the report goes to stdout.

    Returns:
        1 if something is wrong, 2 if something cannot be judged, 0 otherwise.
    """
    from flatgrad.config import load
    from flatgrad.diagnostics import Refused, report

    try:
        config = load(Path.cwd())
    except Refused as refused:
        report(refused.diagnostics, refused.source or "", refused.filename)
        return FAILED
    options = replace(given.over(config.settings(model)).options(), declared=config.declared)
    source = _source(model)
    if source is None:
        return FAILED
    if generated is None:
        compiled = _compiled(source, options)
        if compiled is None:
            return FAILED
        module = in_memory(compiled, model)
    else:
        written = _source(generated)
        if written is None:
            return FAILED
        module = _from_file(written, generated)
    # What is compiled now gives the gradients that are asked for; of a file some are chosen.
    settings = replace(settings, wrt=(given.wrt or ()) if generated is not None else ())
    return _reported(source, module, options, settings, inputs, style)


def check_compiled(source: Source, compiled: Compiled, options: Options, target: Path | None) -> int:
    """Check what `compile` has just written. The report goes to stderr: stdout may be the module itself."""
    from flatgrad.checking.rows import Settings

    module = in_memory(compiled, Path(source.filename))
    if target is not None:
        module = replace(module, label=str(target))
    return _reported(source, module, options, Settings(), None, "text", err=True)


def in_memory(compiled: Compiled, model: Path) -> Module:
    """A module that has just been compiled, and what it gives gradients for."""
    from flatgrad.checking.run import Module

    wrt = {entry.name: entry.wrt for entry in compiled.entries}
    return Module(compiled.text, f"<compiled {model.name}>", model.parent, wrt)


def _from_file(written: Source, path: Path) -> Module:
    from flatgrad.checking.run import Module

    return Module(written.text, str(path), path.parent, {})


def _source(path: Path) -> Source | None:
    """The text of a file; None, with its diagnostics reported, where it is refused. Raises click.FileError."""
    from flatgrad.diagnostics import Refused, report
    from flatgrad.frontend.source import read_module
    from flatgrad.reading import read_source

    try:
        data = path.read_bytes()
    except OSError as error:
        raise click.FileError(str(path), error.strerror or str(error)) from None
    source = None
    try:
        source = read_source(data, str(path))
        read_module(source.text, str(path))  # a syntax error is shown with its line
    except Refused as refused:
        text = source.text if source is not None else refused.source or ""
        report(refused.diagnostics, text, str(path), cells=source.cells if source is not None else refused.cells)
        return None
    return source


def _compiled(source: Source, options: Options) -> Compiled | None:
    from flatgrad.compiler import compile_source
    from flatgrad.diagnostics import Refused, report

    try:
        compiled = compile_source(source.text, source.filename, options)
    except Refused as refused:
        report(refused.diagnostics, source.text, source.filename, cells=source.cells)
        return None
    report((*source.notes, *compiled.notes), source.text, source.filename, cells=source.cells)
    return compiled


def _reported(
    source: Source,
    module: Module,
    options: Options,
    settings: Settings,
    inputs: Path | None,
    style: str,
    err: bool = False,
) -> int:
    from flatgrad.checking.check_report import as_json, as_text
    from flatgrad.checking.given import Unusable, from_file
    from flatgrad.checking.loading import NotImported
    from flatgrad.checking.run import check_module
    from flatgrad.diagnostics import wants_color
    from flatgrad.output import to_stdout

    try:
        given: Any = from_file(inputs) if inputs is not None else None
        with _progress() as begin:
            outcomes = check_module(
                source.text, source.filename, module, options, settings, given, str(inputs or ""), begin
            )
    except (NotImported, Unusable, LookupError) as error:
        words = error.args[0] if error.args else str(error)
        raise click.ClickException(str(words)) from None
    label = module.label if not module.label.startswith("<") else "compiled now"
    if style == "json":
        to_stdout(as_json(source.filename, label, outcomes, settings))
    elif err:
        click.echo(as_text(source.filename, label, outcomes, settings, wants_color(sys.stderr)), nl=False, err=True)
    else:
        to_stdout(as_text(source.filename, label, outcomes, settings, wants_color(sys.stdout)))
    return exit_code(outcomes)


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """1 if one is wrong, else 2 if one cannot be judged, else 0."""
    codes = {outcome.exit_code for outcome in outcomes}
    return FINDINGS if FINDINGS in codes else FAILED if FAILED in codes else CLEAN


@contextmanager
def _progress() -> Iterator[Callable[[str], Tick]]:
    """A bar on stderr that counts derivatives; none where stderr is no terminal."""
    from flatgrad.checking.check import no_tick

    if not sys.stderr.isatty():
        yield lambda name: no_tick
        return
    # How many derivatives there will be is known when the arguments are: the bar counts, and shows what it is at.
    terminal = sys.stderr
    with click.progressbar(
        length=0, label="checking", show_eta=False, show_percent=False, show_pos=True, file=terminal
    ) as bar:

        def begin(name: str) -> Tick:
            bar.label = f"checking {name}"
            return grow

        def grow(done: int, expected: int) -> None:
            bar.length = (bar.length or 0) + expected
            bar.update(done)

        yield begin
