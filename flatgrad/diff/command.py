"""`flatgrad diff`: which file is the model, one report after another, the text of all of them, the exit code."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from flatgrad.diagnostics import Refused, wants_color
from flatgrad.diff.options import CompareOptions
from flatgrad.diff.report.shown import hinted, worst
from flatgrad.diff.unread import unread
from flatgrad.diff.verdicts import Report

STDIN = "<stdin>"
NO_BACKWARD = "FG100"


@dataclass(frozen=True, slots=True)
class File:
    """A file of the command line: `path` as it was given, the text as it stands there, the name that reports use."""

    path: str
    text: str
    name: str


@dataclass(frozen=True, slots=True)
class Output:
    """How the reports are written: `style` is text, json or html; `target` is None for stdout."""

    style: str = "text"
    target: Path | None = None
    hint: bool = False


def run(
    paths: Sequence[str],
    model: str | None,
    options: CompareOptions,
    output: Output,
    failed: Callable[[Exception, str], None],
) -> int:
    """Judge homework and write the reports. The exit code is the worst of them: 0, 1 or 2.

    `failed` is told of a defect of the judge, and where; the other files are judged all the same.

    Raises:
        click.ClickException: a file cannot be read or written, or the files do not go together.
    """
    given = (*paths, model) if model is not None else tuple(paths)
    _check_files(given, output.target)
    reports: list[Report] = []
    files: list[File] = []
    unreadable: dict[str, Report] = {}
    for path in paths:
        try:
            files.append(_read(path))
        except Refused as refused:
            unreadable[path] = unread(STDIN if path == "-" else path, refused)
    reference = _model(model)
    if reference is None and len(paths) > 1 and files and files[0].path == paths[0]:
        if has_gradients(files[0]):
            name = files[0].name
            note = f"{name} has a backward pass by hand: it is judged too; --model {name} makes it the model"
            click.echo(note, err=True)
        else:
            reference, files = files[0], files[1:]
    named = {file.path: file for file in files}
    judged = [path for path in dict.fromkeys(paths) if path in named or path in unreadable]
    with _progress(judged) as waiting:
        for path in waiting:
            reports += [unreadable[path]] if path in unreadable else _judged(named[path], reference, options, failed)
    _write(reports, output)
    return worst(reports)


def _judged(
    homework: File, model: File | None, options: CompareOptions, failed: Callable[[Exception, str], None]
) -> tuple[Report, ...]:
    try:
        return judge(homework, model, options)
    except click.ClickException:
        raise
    except Exception as error:
        failed(error, f" in judging {homework.name}")
        return (Report(homework.name, "", (), (), homework.text, f"an internal error of flatgrad: {error}"),)


def judge(homework: File, model: File | None, options: CompareOptions) -> tuple[Report, ...]:
    """The reports of one file. What it cannot be judged for is in its report; nothing is raised for a bad homework."""
    from flatgrad.diff.compare import compare

    found = compare(homework.text, homework.name, None if model is None else (model.text, model.name), options)
    if found:
        return found
    return (Report(homework.name, "", (), (), homework.text, "no gradient that is computed by hand was found in it"),)


def has_gradients(file: File) -> bool:
    """Whether a file computes gradients by hand. One that cannot be read is a homework too: its report says so."""
    from flatgrad.diff.reading.reading import read_homework

    try:
        return bool(read_homework(file.text, file.name))
    except Refused as refused:
        return any(one.code != NO_BACKWARD for one in refused.diagnostics)


def show_isolation() -> None:
    """Print what homework is kept from on this machine, and how. Raises click.ClickException where it cannot be run."""
    from flatgrad.sandbox.process import SandboxFailure
    from flatgrad.sandbox.protection import describe

    try:
        rows = [(what, "yes" if isolated else "NO", how) for what, isolated, how in describe()]
    except SandboxFailure as failure:
        raise click.ClickException(f"no process for homework can be made here: {failure}") from None
    width = max((len(what) for what, _, _ in rows), default=0)
    for what, isolated, how in rows:
        click.echo(f"{what:<{width}}  {isolated:<3}  {how}".rstrip())


def _check_files(paths: Sequence[str], target: Path | None) -> None:
    if paths.count("-") > 1:
        raise click.UsageError("- stands for stdin, which can be read only once")
    if target is None:
        return
    for path in paths:
        if path != "-" and (target.resolve() == Path(path).resolve() or _same(target, Path(path))):
            raise click.UsageError(f"{target} is a file to be read: the report would replace it")


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def _model(path: str | None) -> File | None:
    if path is None:
        return None
    try:
        return _read(path)
    except Refused as refused:
        raise click.ClickException(f"{path} cannot be read: {refused.diagnostics[0].message}") from None


def _read(path: str) -> File:
    """Raises Refused for bytes that are no text, click.FileError."""
    from flatgrad.reading import NOTEBOOK, decode_source

    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise click.FileError(path, error.strerror or str(error)) from None
    if Path(path).suffix.lower() == NOTEBOOK:
        data = data.removeprefix(b"\xef\xbb\xbf")
    return File(path, decode_source(data), STDIN if path == "-" else path)


@contextmanager
def _progress(paths: Sequence[str]) -> Iterator[Iterable[str]]:
    """A bar on stderr, where that is a terminal and there are several files."""
    if len(paths) < 2 or not sys.stderr.isatty():
        yield paths
        return
    with click.progressbar(paths, file=sys.stderr, label="judging", item_show_func=lambda path: path) as bar:
        yield bar


def _write(reports: Sequence[Report], output: Output) -> None:
    from flatgrad.output import to_stdout, write

    shown = [hinted(report) for report in reports] if output.hint else list(reports)
    text = _text(shown, output)
    if output.target is None:
        to_stdout(text)
        return
    try:
        write(output.target, text)
    except OSError as error:
        raise click.FileError(str(output.target), error.strerror or str(error)) from None
    click.echo(f"wrote {output.target}", err=True)


def _text(reports: Sequence[Report], output: Output) -> str:
    if output.style == "json":
        from flatgrad.diff.report.report_json import as_json

        return as_json(reports)
    if output.style == "html":
        from flatgrad.diff.report.report_html import as_html

        return as_html(reports)
    from flatgrad.diff.report.report_text import WIDTH, as_text

    terminal = output.target is None and sys.stdout.isatty()
    width = shutil.get_terminal_size((WIDTH, 24)).columns if terminal else WIDTH
    return as_text(reports, width, output.target is None and wants_color(sys.stdout))
