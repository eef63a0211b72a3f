from __future__ import annotations

import pytest

from astrollama import console
from astrollama.console import duration, progress, say


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59, "59 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")])
def test_durations_are_read_at_a_glance(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_what_was_done_before_does_not_shorten_the_estimate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [100.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    with progress("training", 1.0, completed=0.5) as bar:
        now[0] += 30
        bar.update(0.6, "loss 3.2")
    assert capsys.readouterr().err == "training   60%  2 min 0 s left  loss 3.2\n"


def test_lines_come_at_most_every_ten_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    with progress("reading", None) as bar:
        for count in range(1, 26):
            now[0] += 1
            bar.update(1000 * count)
    assert capsys.readouterr().err == "reading  10,000\nreading  20,000\n"


def test_the_end_has_a_line_where_there_was_one_before(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    with progress("reading", 14.0) as bar:
        for count in [*range(1, 15), 14]:
            now[0] += 1
            bar.update(count)
    assert capsys.readouterr().err == "reading   71%  4 s left\nreading  100%  0 s left\n"
    with progress("reading", 9.0) as bar:
        bar.update(9)
    assert capsys.readouterr().err == ""


def test_of_several_ranks_the_first_speaks(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    for rank in ("1", "0"):
        monkeypatch.setenv("RANK", rank)
        say(f"rank {rank}")
    assert capsys.readouterr().err == "rank 0\n"
