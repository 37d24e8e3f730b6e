"""The command line. Artefacts go to stdout, talk goes to stderr.

Exit codes: 0 clean, 1 a finding (`compile --check`: a generated file is stale; `gates --test`: a gate is wrong;
`check`: a gradient differs; `diff`: one is wrong or missing), 2 wrong usage, refused source, internal error, what
cannot be judged.

A file for each command. What is slow to import is imported where it is used: `flatgrad --help` and completion load
Click alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import click

from flatgrad import __version__
from flatgrad.cli.check import check_command
from flatgrad.cli.compile import compile_command
from flatgrad.cli.diff import diff_command
from flatgrad.cli.gates import gates_command
from flatgrad.cli.leaving import CLEAN, FAILED, TRACEBACK_VARIABLE, internal_error

__all__ = ["COMPLETE_VARIABLE", "TRACEBACK_VARIABLE", "cli", "main"]

COMPLETE_VARIABLE = "_FLATGRAD_COMPLETE"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="flatgrad")
def cli() -> None:
    """Write the backward pass of a NumPy forward function, as one would by hand.

    To compile, the model is read, never imported or run; what is not understood is refused with its place and the
    reason.
    """


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


for command in (compile_command, check_command, gates_command, diff_command):
    cli.add_command(command)


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
        internal_error(error)
        code = FAILED
    sys.exit(code if isinstance(code, int) else CLEAN)
