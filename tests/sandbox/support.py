"""The service that tests run homework with."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

SERVICE = Path(__file__).resolve().parent / "service.py"
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="these layers are Linux's")
