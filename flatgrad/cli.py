"""The command line. Artefacts go to stdout, talk goes to stderr.

Exit codes: 0 clean, 1 a finding (`compile --check`: a generated file is stale; `gates --test`: a gate is wrong;
`check`: a gradient differs; `diff`: one is wrong or missing), 2 wrong usage, refused source, internal error, what
cannot be judged.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from flatgrad import __version__

# Everything that is slow to import is imported where it is used: `flatgrad --help` and completion load Click alone.
if TYPE_CHECKING:
    from flatgrad.compiler import Compiled
    from flatgrad.config import Config, Settings
    from flatgrad.options import Options
    from flatgrad.reading import Source

COMPLETE_VARIABLE = "_FLATGRAD_COMPLETE"
TRACEBACK_VARIABLE = "FLATGRAD_TRACEBACK"
CLEAN, FINDINGS, FAILED = 0, 1, 2


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="flatgrad")
def cli() -> None:
    """Write the backward pass of a NumPy forward function, as one would by hand.

    To compile, the model is read, never imported or run; what is not understood is refused with its place and the
    reason.
    """


def _shapes(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    for value in values:
        name, sign, dims = value.partition("=")
        name = name.strip()
        if not sign or not name.isidentifier():
            raise click.BadParameter(f"{value!r}: write it as X=N,D, and a scalar as X=")
        if name in found:
            raise click.BadParameter(f"{name} is given twice")
        found[name] = dims.strip()
    return tuple(found.items())


def _name_list(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    from flatgrad.config import split_names

    try:
        return tuple(name for value in values for name in split_names(value))
    except ValueError as error:
        raise click.BadParameter(f"{error}: write it as W1,b1") from None


def _name_pairs(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    for pair in ",".join(values).split(",") if values else ():
        mine, sign, theirs = (part.strip() for part in pair.rpartition("="))
        if not sign or not mine or not theirs.replace(".", "_").isidentifier():
            raise click.BadParameter(f"{pair!r}: write it as delta1=h")
        if found.setdefault(mine, theirs) != theirs:
            raise click.BadParameter(f"{mine} is given twice")
    return tuple(found.items())


def _complete_functions(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The functions of the model files on the command line so far, for the shell's completion."""
    import ast

    from flatgrad.diagnostics import Refused
    from flatgrad.reading import read_source

    names: list[str] = []
    # Click parses as far as it can: before an unfinished option, the words are still in `args`.
    for model in (*(ctx.params.get("models") or ()), *ctx.args):
        try:
            tree = ast.parse(read_source(Path(model).read_bytes(), model).text)
        except (OSError, SyntaxError, ValueError, Refused):
            continue
        names += [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    return [name for name in names if name.startswith(incomplete)]


_shape_option = click.option(
    "--shape",
    "shapes",
    multiple=True,
    callback=_shapes,
    metavar="X=N,D",
    help="The shape of a parameter; may be repeated.",
)


@cli.command("compile")
@click.argument(
    "models", nargs=-1, required=True, metavar="MODEL...", type=click.Path(exists=True, dir_okay=False, allow_dash=True)
)
@click.option(
    "--function",
    "functions",
    multiple=True,
    shell_complete=_complete_functions,
    metavar="NAME",
    help="Only this function; may be repeated.",
)
@click.option("--wrt", multiple=True, callback=_name_list, metavar="W1,b1", help="The parameters to differentiate.")
@click.option("--output", metavar="NAME", help="The result to differentiate, where there are several.")
@_shape_option
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


def _check_gradients(artefacts: Iterable[_Artefact]) -> int:
    from flatgrad.checking.command import check_compiled

    codes = {check_compiled(one.source, one.compiled, one.options, one.target) for one in artefacts}
    return FINDINGS if FINDINGS in codes else max(codes, default=CLEAN)


@dataclass(frozen=True, slots=True)
class _Artefact:
    """A text, and the file that it belongs into; None is stdout."""

    model: str
    text: str
    target: Path | None
    source: Source
    compiled: Compiled
    options: Options


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
            _internal_error(error, f" in compiling {filename}")
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


@cli.command("check")
@click.argument("model", metavar="MODEL", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument(
    "generated", required=False, metavar="[MODULE]", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--function", "functions", multiple=True, metavar="NAME", help="Only this function; may be repeated.")
@click.option("--wrt", multiple=True, callback=_name_list, metavar="W1,b1", help="Only these gradients.")
@_shape_option
@click.option(
    "--inputs",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="NPZ",
    help="The arguments, by their names.  [default: example_inputs() of the model, or drawn to fit]",
)
@click.option(
    "--directions",
    type=click.IntRange(min=1),
    metavar="K",
    help="Compare K random projections of every gradient, not every element: for large arrays.",
)
@click.option("--order", type=click.Choice(["1", "2"]), default="1", show_default=True, help="2: second derivatives.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of what is drawn.")
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text", show_default=True)
def check_command(
    model: Path,
    generated: Path | None,
    functions: tuple[str, ...],
    wrt: tuple[str, ...],
    shapes: tuple[tuple[str, str], ...],
    inputs: Path | None,
    directions: int | None,
    order: str,
    seed: int,
    style: str,
) -> int:
    """Compare gradients with central differences of MODEL: those of MODULE, or of what is compiled now.

    MODULE may be written by hand: f_forward and f_backward, f_value_and_grad, or a class with forward and backward.
    Both files are imported and run. Exit code 1: a gradient differs; 2: not to be judged.
    """
    from flatgrad.checking.command import check
    from flatgrad.checking.rows import Settings as Checks
    from flatgrad.config import Settings

    given = Settings(functions=functions or None, wrt=wrt or None, shapes=shapes or None)
    checks = Checks(directions=directions or 0, seed=seed, order=int(order))
    return check(model, generated, given, inputs, checks, style)


@cli.command("gates")
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "markdown"]),
    default="text",
    show_default=True,
    help="For a terminal, or the page in the docs.",
)
@click.option(
    "--test",
    "tested",
    is_flag=True,
    help="Check the gates of your own instead: by their proofs, by differences, compiled. This runs your functions.",
)
@click.argument("models", nargs=-1, metavar="[MODEL]...", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def gates_command(style: str, tested: bool, models: tuple[Path, ...]) -> int:
    """Print the table of what is understood: calls, gradients, conventions.

    The gates that pyproject.toml declares come last. With --test these are checked, one line for each check; a MODEL
    is a file that defines functions which are declared without a dot. Exit code 1: one is wrong; 2: not to be judged.
    """
    from flatgrad.config import load
    from flatgrad.diagnostics import Refused, report
    from flatgrad.output import to_stdout

    if models and not tested:
        raise click.UsageError("a MODEL is for --test")
    try:
        config = load(Path.cwd())
    except Refused as refused:
        report(refused.diagnostics, refused.source or "", refused.filename)
        return FAILED
    if tested:
        return _test_gates(config, models)
    from flatgrad.gate_page import as_markdown, as_text

    to_stdout(as_text(config.declared) if style == "text" else as_markdown(config.declared))
    return CLEAN


def _test_gates(config: Config, models: Sequence[Path]) -> int:
    from flatgrad.proving.declared import OPEN, WRONG, verdicts

    if not config.declared:
        raise click.ClickException("no gates are declared: [tool.flatgrad] in pyproject.toml names none")
    outcomes = set()
    folders = (Path.cwd(), *([config.folder] if config.folder is not None else []))
    for verdict in verdicts(config.declared, models, folders):
        outcomes.add(verdict.outcome)
        reason = f": {verdict.reason}" if verdict.reason else ""
        click.echo(f"{verdict.gate}  {verdict.check}  {verdict.outcome}{reason}")
    return FINDINGS if WRONG in outcomes else FAILED if OPEN in outcomes else CLEAN


@cli.command("diff")
@click.argument(
    "files", nargs=-1, metavar="[MODEL] HOMEWORK...", type=click.Path(exists=True, dir_okay=False, allow_dash=True)
)
@click.option(
    "--model",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    metavar="PATH",
    help="The forward pass to hold homework against, where the model has a backward pass too.",
)
@click.option("--function", "functions", multiple=True, metavar="NAME", help="Only this function; may be repeated.")
@click.option(
    "--names",
    multiple=True,
    callback=_name_pairs,
    metavar="MINE=THEIRS",
    help="What a gradient's name stands for: delta1=h; may be repeated.",
)
@click.option(
    "--wrt",
    multiple=True,
    callback=_name_list,
    metavar="W1,b1",
    help="The gradients that are required, where the homework returns none.",
)
@click.option(
    "--inputs",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="NPZ",
    help="The arguments, by their names.  [default: drawn, of several seeds and sizes]",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="The first seed.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="For one run of the homework.  [default: 20]",
)
@click.option("--hint", is_flag=True, help="Place and kind of every mistake, without the answer.")
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "json", "html"]),
    default="text",
    show_default=True,
    help="For a terminal, for a program, or a page to hand back.",
)
@click.option(
    "-o", "target", type=click.Path(dir_okay=False, allow_dash=True), metavar="PATH", help="Where to write the report."
)
@click.option("--isolation", is_flag=True, help="Print what homework is kept from on this machine, and leave.")
def diff_command(
    files: tuple[str, ...],
    model: str | None,
    functions: tuple[str, ...],
    names: tuple[tuple[str, str], ...],
    wrt: tuple[str, ...],
    inputs: Path | None,
    seed: int,
    timeout: float | None,
    hint: bool,
    style: str,
    target: str | None,
    isolation: bool,
) -> int:
    """Judge handwritten backward code line by line, and say why a line is wrong.

    Of several files the first is the model, unless it has a backward pass by hand itself. HOMEWORK is run, in a process
    of its own that is kept from files and network as far as the system allows: see --isolation. Exit code 1: something
    is wrong or missing; 2: not to be judged.
    """
    from flatgrad.diff import command
    from flatgrad.diff.options import DEFAULT_TIMEOUT, CompareOptions

    if isolation:
        command.show_isolation()
        return CLEAN
    if not files:
        raise click.UsageError("name a homework file, or - for stdin")
    options = CompareOptions(functions, names, wrt, inputs, seed, DEFAULT_TIMEOUT if timeout is None else timeout)
    path = None if target in (None, "-") else Path(str(target))
    return command.run(files, model, options, command.Output(style, path, hint), _internal_error)


@cli.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> int:
    """Print the completion script of a shell.

    \b
    bash:  flatgrad completion bash >> ~/.bashrc
    zsh:   flatgrad completion zsh >> ~/.zshrc
    fish:  flatgrad completion fish > ~/.config/fish/completions/flatgrad.fish
    """
    from click.shell_completion import get_completion_class

    style = get_completion_class(shell)
    assert style is not None
    script = style(cli, {}, "flatgrad", COMPLETE_VARIABLE)
    # Not script.source(): for bash that starts the bash of this machine to ask for its version.
    click.echo(script.source_template % script.source_vars())
    return CLEAN


def _internal_error(error: BaseException, where: str = "") -> None:
    if os.environ.get(TRACEBACK_VARIABLE):
        traceback.print_exception(error)
    kind = type(error).__name__
    click.echo(f"flatgrad: internal error{where}: {kind}: {error}", err=True)
    click.echo("This is a defect of flatgrad; please report it, with the source that shows it.", err=True)
    if not os.environ.get(TRACEBACK_VARIABLE):
        click.echo(f"{TRACEBACK_VARIABLE}=1 in the environment shows the traceback.", err=True)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and leave with its exit code."""
    run: Callable[..., Any] = cli.main
    try:
        code = run(
            args=None if arguments is None else list(arguments),
            prog_name="flatgrad",
            complete_var=COMPLETE_VARIABLE,
            standalone_mode=False,
        )
    except click.ClickException as error:
        error.show()
        code = FAILED
    except click.Abort:
        click.echo("interrupted", err=True)
        code = 130
    except BrokenPipeError:
        # The reader has gone. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = FAILED
    except Exception as error:
        _internal_error(error)
        code = FAILED
    sys.exit(code if isinstance(code, int) else CLEAN)
