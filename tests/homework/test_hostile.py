"""Hostile homework ends in a clear verdict, and leaves nothing behind.

A part of it is judged here; `python -m tests.homework.score --set hostile` judges all.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.homework.hostile import HOSTILE, Hostile
from tests.homework.judging import judged


@pytest.mark.parametrize("hostile", HOSTILE[::5], ids=lambda hostile: hostile.name)
def test_ends_in_a_clear_verdict(hostile: Hostile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    total, seeds = np.sum, np.random.get_state(legacy=False)["state"]["key"].tolist()
    assert hostile.complaints(judged(hostile.text, "hostile.py")) == []
    assert list(tmp_path.iterdir()) == []
    assert np.sum is total
    assert np.random.get_state(legacy=False)["state"]["key"].tolist() == seeds
