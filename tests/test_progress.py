from __future__ import annotations

import sys

import numpy as np
import pytest

from songsplit.progress import Reporter


@pytest.mark.parametrize(("total", "shown"), [(2.0, "#...."), (None, "\r")])
def test_in_a_notebook_progress_is_a_line(monkeypatch, capsys, total, shown) -> None:
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    with Reporter(True, 8000, total) as reporter:
        assert len(list(reporter.through([np.zeros((2, 8000), np.float32)]))) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert shown in captured.err
    assert "x real time" in captured.err
    assert ("50%" in captured.err) == (total is not None)
    assert captured.err.count("\n") == 1


def test_a_log_gets_no_bar(monkeypatch, capsys) -> None:
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)  # other tests run notebooks
    with Reporter(True, 8000, 2.0) as reporter:
        reporter.report()
    assert capsys.readouterr().err == ""
