"""`flatgrad compile`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flatgrad.cli.leaving import CLEAN, FAILED, FINDINGS, internal_error
from flatgrad.cli.options import complete_functions, name_list, shape_option

if TYPE_CHECKING:
    from flatgrad.compiler import Compiled
    from flatgrad.config import Settings
    from flatgrad.options import Options
    from flatgrad.reading import Source


@dataclass(frozen=True, slots=True)
class _Artefact:
    """A text, and the file that it belongs into; None is stdout."""

    model: str
    text: str
    target: Path | None
    source: Source
    compiled: Compiled
    options: Options


@click.command("compile")
@click.argument(
    "models", nargs=-1, required=True, metavar="MODEL...", type=click.Path(exists=True, dir_okay=False, allow_dash=True)
)
@click.option(
    "--function",
    "functions",
    multiple=True,
    shell_complete=complete_functions,
    metavar="NAME",
    help="Only this function; may be repeated.",
)
@click.option("--wrt", multiple=True, callback=name_list, metavar="W1,b1", help="The parameters to differentiate.")
@click.option("--output", metavar="NAME", help="The result to differentiate, where there are several.")
@shape_option
@click.option(
    "-o",
    "target",
    type=click.Path(allow_dash=True),
    metavar="PATH",
    help="Where to write: a file, a folder, or - for stdout.  [default: generated/<stem>_grad.py]",
)
@click.option(
    "--emit",
    type=click.Choice(["module", "ir"]),
    default="module",
    show_default=True,
    help="The generated module, or the intermediate representation (to stdout).",
)
@click.option(
    "--gates",
    type=click.Choice(["grouped", "primitive"]),
    help="Treat softmax and its like as one step, or show every step.  [default: grouped]",
)
@click.option(
    "--stages",
    type=click.Choice(["source", "relations"]),
    help="Keep your statements, or one line for every single relation.  [default: source]",
)
@click.option(
    "--accumulate",
    type=click.Choice(["forks", "always"]),
    help="+= where a gradient is added to, or everywhere from zero.  [default: forks]",
)
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if a generated file is missing or stale.")
@click.option("--diff", is_flag=True, help="Write nothing; show what would change as a unified diff.")
@click.option(
    "--check-gradients",
    is_flag=True,
    help="Then compare the gradients of what was written with differences. This runs the model.",
)
def compile_command(
    models: tuple[str, ...],
    functions: tuple[str, ...],
    wrt: tuple[str, ...],
    output: str | None,
    shapes: tuple[tuple[str, str], ...],
    target: str | None,
    emit: str,
    gates: str | None,
    stages: str | None,
    accumulate: str | None,
    check: bool,
    diff: bool,
    check_gradients: bool,
) -> int:
    """Write a module with forward and backward for every MODEL: a Python file, a notebook, or - for stdin.

    Nothing is written if one of them is refused, and a file that would not change is left alone.
    """
    from flatgrad.config import Settings

    given = Settings(
        functions=functions or None,
        wrt=wrt or None,
        output=output,
        shapes=shapes or None,
        gates=gates,
        stages=stages,
        accumulate=accumulate,
    )
    targets = _targets(models, target, emit)
    if (check or diff) and None in targets:
        raise click.UsageError("--check and --diff compare with a file: name it with -o PATH")
    if check_gradients and (emit == "ir" or check or diff):
        raise click.UsageError("--check-gradients runs what is written: take away --emit ir, --check and --diff")
    artefacts = _compile_all(models, targets, given, emit)
    if artefacts is None:
        return FAILED
    if check or diff:
        return _compare(artefacts, check, diff)
    _write_all(artefacts)
    return _check_gradients(artefacts) if check_gradients else CLEAN


def _targets(models: Sequence[str], target: str | None, emit: str) -> list[Path | None]:
    """Where each model's text goes. Raises click.UsageError where two would meet, or one would replace its model."""
    to_stdout = target == "-" or (target is None and emit == "ir")
    if target is not None and not to_stdout and os.path.isdir(target):
        folder, target = Path(target), None
    else:
        folder = Path("generated")
    if len(models) > 1 and (target is not None or (to_stdout and emit == "module")):
        raise click.UsageError("-o takes one model, or a folder for several")
    targets: list[Path | None] = []
    for model in models:
        if to_stdout or (model == "-" and target is None):
            targets.append(None)
        elif target is not None:
            targets.append(Path(target))
        else:
            targets.append(folder / f"{Path(model).stem}_{'grad.py' if emit == 'module' else 'ir.txt'}")
    sources = {Path(model).resolve() for model in models if model != "-"}
    seen: set[Path] = set()
    for path in targets:
        if path is None:
            continue
        if path.resolve() in sources:
            raise click.UsageError(f"{path} is a model: the generated module would replace it")
        if path.resolve() in seen:
            raise click.UsageError(f"two models would be written to {path}: compile them in two calls, with -o")
        seen.add(path.resolve())
    if models.count("-") > 1:
        raise click.UsageError("- stands for stdin, which can be read only once")
    return targets


def _compile_all(
    models: Sequence[str], targets: Sequence[Path | None], given: Settings, emit: str
) -> list[_Artefact] | None:
    """The texts of all models; None if one is refused, after every diagnostic of every model is reported."""
    from flatgrad.config import load
    from flatgrad.diagnostics import Refused, report

    try:
        config = load(Path.cwd())
    except Refused as refused:
        report(refused.diagnostics, refused.source or "", refused.filename)
        return None
    artefacts: list[_Artefact] = []
    for model, target in zip(models, targets, strict=True):
        settings = given.over(config.settings(None if model == "-" else Path(model)))
        filename = "<stdin>" if model == "-" else model
        source = None
        try:
            source = _read(model, filename)
            from flatgrad.compiler import compile_source

            options = replace(settings.options(), declared=config.declared)
            compiled = compile_source(source.text, filename, options)
        except Refused as refused:
            if source is None:  # what could not be read comes with the text as far as it can be shown
                report(refused.diagnostics, refused.source or "", filename, cells=refused.cells)
            else:
                report(refused.diagnostics, source.text, filename, cells=source.cells)
            continue
        except Exception as error:
            internal_error(error, f" in compiling {filename}")
            continue
        report((*source.notes, *compiled.notes), source.text, filename, cells=source.cells)
        text = compiled.text if emit == "module" else compiled.ir
        artefacts.append(_Artefact(filename, text, target, source, compiled, options))
    return artefacts if len(artefacts) == len(models) else None


def _read(model: str, filename: str) -> Source:
    """The text of a source file or of a notebook's cells. Raises Refused, click.ClickException."""
    from flatgrad.reading import read_source

    try:
        data = sys.stdin.buffer.read() if model == "-" else Path(model).read_bytes()
    except OSError as error:
        raise click.FileError(model, error.strerror or str(error)) from None
    return read_source(data, filename)


def _compare(artefacts: Iterable[_Artefact], check: bool, diff: bool) -> int:
    from flatgrad.output import existing, to_stdout, unified

    stale = False
    for artefact in artefacts:
        assert artefact.target is not None
        try:
            old = existing(artefact.target)
        except OSError as error:
            raise click.FileError(str(artefact.target), error.strerror or str(error)) from None
        if old == artefact.text:
            continue
        stale = True
        if diff:
            to_stdout(unified(old or "", artefact.text, artefact.target))
        if check:
            word = "missing" if old is None else "stale"
            click.echo(f"{artefact.target}: {word}, compile {artefact.model} again", err=True)
    return FINDINGS if check and stale else CLEAN


def _write_all(artefacts: Iterable[_Artefact]) -> None:
    from flatgrad.output import to_stdout, write

    for artefact in artefacts:
        path = artefact.target
        if path is None:
            to_stdout(artefact.text)
            continue
        try:
            written = write(path, artefact.text)
        except OSError as error:
            raise click.FileError(str(path), error.strerror or str(error)) from None
        click.echo(f"wrote {path}" if written else f"{path} is up to date", err=True)


def _check_gradients(artefacts: Iterable[_Artefact]) -> int:
    from flatgrad.checking.command import check_compiled

    codes = {check_compiled(one.source, one.compiled, one.options, one.target) for one in artefacts}
    return FINDINGS if FINDINGS in codes else max(codes, default=CLEAN)
