"""The command, called inside the process of the tests."""

from __future__ import annotations

import pytest

from flatgrad import cli


class Run:
    """One call of the command with some arguments: gives its exit code, what it printed, what it said.

    `first` are arguments that stand before those of every call.
    """

    def __init__(self, capfdbinary: pytest.CaptureFixture[bytes], *first: str) -> None:
        self.capture = capfdbinary
        self.first = first

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            cli.main([*self.first, *arguments])
        out, err = self.capture.readouterr()
        code = left.value.code
        assert isinstance(code, int)
        return code, out.decode(), err.decode()
