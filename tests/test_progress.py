from __future__ import annotations

import pytest

from songsplit.progress import Reporter


@pytest.mark.parametrize("total", [8.0, None])
def test_in_a_notebook_progress_is_a_line(monkeypatch, capsys, total) -> None:
    """A bar of rich leaves an empty box there, or asks for another package."""
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    with Reporter(True, 8000, total) as reporter:
        for _ in reporter.through([]):
            pass
    captured = capsys.readouterr()
    assert captured.err.startswith("\r")
    assert ("0%" in captured.err) == (total is not None)
    assert "\n" not in captured.out + captured.err
