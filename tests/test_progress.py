from __future__ import annotations

import numpy as np
import pytest

from songsplit.progress import Reporter


@pytest.mark.parametrize(("total", "shown"), [(2.0, "\r50% "), (None, "\r")])
def test_in_a_notebook_progress_is_a_line(monkeypatch, capsys, total, shown) -> None:
    """A bar of rich leaves an empty box there, or asks for another package."""
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    with Reporter(True, 8000, total) as reporter:
        assert len(list(reporter.through([np.zeros((2, 8000), np.float32)]))) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert shown in captured.err
    assert "x real time" in captured.err
    assert captured.err.count("\n") == 1
