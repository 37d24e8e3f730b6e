"""`flatgrad gates`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flatgrad.cli.leaving import CLEAN, FAILED, FINDINGS

if TYPE_CHECKING:
    from flatgrad.config import Config


@click.command("gates")
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
