"""What a training run shows of itself."""

from __future__ import annotations

import io
import math
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("pytorch_lightning", reason="needs the train extra")

from pytorch_lightning.callbacks import ModelCheckpoint

from songsplit.training import progress
from songsplit.training.progress import Pace, TrainingProgress
from tests.training.tiny import TinyTraining, fit


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """A clock that stands still unless a test moves it."""
    # Rich shows bars where these say so, whatever standard error is.
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)

    class Clock:
        now = 0.0

    monkeypatch.setattr(progress, "monotonic", lambda: Clock.now)
    return Clock


class TimedTraining(TinyTraining):
    """A step takes 10 seconds, the first one 1000, a validation 40."""

    def __init__(self, clock, **settings) -> None:
        super().__init__(**settings)
        self.clock = clock
        self.first = True

    def training_step(self, stems):
        self.clock.now += 1000 if self.first else 10
        self.first = False
        return super().training_step(stems)

    def on_validation_epoch_end(self):
        self.clock.now += 40
        super().on_validation_epoch_end()


def lines(capsys):
    """Lines on standard error that are songsplit's."""
    out, err = capsys.readouterr()
    assert not re.search("^(training|trained|stopped)", out, re.MULTILINE)
    return [s for s in err.splitlines() if s.startswith(("training", "trained", "stopped"))]


def test_nothing_is_estimated_before_a_few_steps_are_done():
    pace = Pace(0, 0.0)
    known = []
    for step in range(1, 8):
        pace.step_ended(step, 500.0 + step)
        known.append(pace.seconds_left(10, 0) is not None)
    assert known == [False] * 4 + [True] * 3


@given(
    first=st.integers(0, 10_000),
    warm_up=st.floats(0, 1e4),
    step_seconds=st.floats(0.01, 100),
    validation_seconds=st.floats(0.01, 1000),
    every=st.integers(1, 5),
    steps=st.integers(5, 40),
    left=st.integers(0, 1000),
)
def test_a_steady_run_is_foreseen_exactly(
    first, warm_up, step_seconds, validation_seconds, every, steps, left
):
    now = 1e5
    pace = Pace(first, now)
    for step in range(1, steps + 1):
        now += step_seconds + (warm_up if step == 1 else 0)
        pace.step_ended(first + step, now)
        if step % every == 0:
            now += validation_seconds
            pace.validation_ended(validation_seconds)
    expected = left * step_seconds + (left // every) * validation_seconds
    assert pace.seconds_left(left, left // every) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_batches_without_an_optimiser_step_do_not_end_the_warm_up():
    pace = Pace(0, 0.0)
    for now in range(100):
        pace.step_ended(1, float(now))
    assert pace.seconds_left(1, 0) is None


def test_a_half_done_step_does_not_change_the_estimate():
    pace = Pace(0, 0.0)
    for step in range(1, 10):
        pace.step_ended(step, 10.0 * step)
    pace.step_ended(9, 95.0)
    assert pace.seconds_left(10, 0) == pytest.approx(100)


def test_validations_on_an_unknown_schedule_keep_their_share_of_the_time():
    pace = Pace(0, 0.0)
    for step in range(1, 13):
        pace.step_ended(step, 10.0 * step + 5.0 * (step - 1))
        left = pace.seconds_left(100, None)
        pace.validation_ended(5.0)
    assert left == pytest.approx(1500)


def test_a_log_file_gets_a_line_every_five_percent(capsys):
    fit(TrainingProgress(), steps=60, module=TinyTraining(scores=()), val_check_interval=59)
    *training, last = lines(capsys)
    assert [s.split()[1] for s in training] == [f"{n}/60" for n in range(0, 61, 3)]
    assert re.fullmatch(
        r"training  33/60 steps  55 %  loss 0\.\d{3}  0:00:00 left, not counting validation",
        training[11],
    )
    assert last == "trained 60 steps in 0:00:00"


def test_a_log_file_gets_a_line_every_thirty_seconds(capsys, clock):
    module = TimedTraining(clock)
    module.first = False
    fit(TrainingProgress(), steps=100, module=module, val_check_interval=1000, max_epochs=-1)
    # Every third step is 30 seconds and every fifth is 5 %, from the last line on.
    shown = [int(s.split()[1].split("/")[0]) for s in lines(capsys)[:-1]]
    assert shown[:8] == [0, 3, 5, 8, 10, 13, 15, 18]


def test_time_left_counts_validations_that_are_still_to_come(capsys, clock):
    fit(TrainingProgress(), steps=12, module=TimedTraining(clock), val_check_interval=3)
    left = {
        int(s.split()[1].split("/")[0]): s.split("real time")[-1].split("  ")[-1]
        for s in lines(capsys)[:-1]
    }
    assert "left" not in left[4]  # two steps to warm up and three to measure
    # Steps of 10 s, and validations of 40 s after steps 6, 9 and 12.
    assert left[5] == f"{progress._clock(7 * 10 + 3 * 40)} left"
    assert left[6] == f"{progress._clock(6 * 10 + 3 * 40)} left"
    assert left[7] == f"{progress._clock(5 * 10 + 2 * 40)} left"
    assert left[12] == f"{progress._clock(40)} left"


def test_a_log_file_gets_lines_even_where_colours_are_asked_for(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    fit(TrainingProgress(), steps=2)
    assert len(lines(capsys)) == 4


def test_scores_are_shown_with_the_best_so_far(capsys):
    fit(TrainingProgress(), module=TinyTraining(scores=(1.5, 3.25, -2.0)), steps=7)
    shown = lines(capsys)
    assert "valid" not in shown[2]
    assert "valid 1.50 dB (best 1.50 at step 2)" in shown[3]
    assert "valid 3.25 dB (best 3.25 at step 4)" in shown[5]
    assert "valid -2.00 dB (best 3.25 at step 4)" in shown[7]
    assert shown[-1] == "trained 7 steps in 0:00:00; best validation 3.25 dB at step 4"


def test_a_score_that_is_no_number_is_never_the_best(capsys):
    fit(TrainingProgress(), module=TinyTraining(scores=(math.nan, 1.0, math.nan)), steps=7)
    shown = lines(capsys)
    assert "valid nan dB" in shown[3]
    assert "best" not in shown[3]
    assert "valid nan dB (best 1.00 at step 4)" in shown[7]
    assert "best validation 1.00 dB at step 4" in shown[-1]


def test_a_run_without_validation_shows_no_score(capsys):
    fit(TrainingProgress(), steps=6, limit_val_batches=0)
    shown = lines(capsys)
    assert not any("valid" in line for line in shown)
    assert shown[-2].endswith("0:00:00 left")


def test_the_sanity_check_is_no_validation(capsys):
    fit(TrainingProgress(), steps=2, num_sanity_val_steps=2, val_check_interval=1000)
    assert not any("valid" in line for line in lines(capsys))


def test_the_last_line_names_time_and_checkpoints(capsys, clock, tmp_path):
    best = ModelCheckpoint(tmp_path, monitor="valid/usdr", mode="max", filename="best-{step}")
    last = ModelCheckpoint(tmp_path, filename="last", enable_version_counter=False)
    module = TimedTraining(clock)
    callbacks = (TrainingProgress(), best, last)
    fit(*callbacks, module=module, enable_checkpointing=True)
    assert lines(capsys)[-1] == (
        # 1000 + 5 * 10 + 3 * 40 seconds
        "trained 6 steps in 0:19:30; best validation 3.00 dB at step 4; "
        f"checkpoints: {tmp_path / 'best-step=4.ckpt'}, {tmp_path / 'last.ckpt'}"
    )


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`")
def test_a_resumed_run_knows_its_best_score_and_counts_only_its_own_steps(capsys, tmp_path):
    checkpoint = ModelCheckpoint(tmp_path)
    fit(TrainingProgress(), checkpoint, steps=4, enable_checkpointing=True)
    lines(capsys)
    fit(
        TrainingProgress(),
        module=TinyTraining(scores=(2.5,)),
        steps=8,
        ckpt_path=checkpoint.best_model_path,
    )
    shown = lines(capsys)
    assert shown[0].startswith("training  4/8 steps  50 %")
    assert shown[1].startswith("training  5/8 steps  62 %")
    assert "valid 2.50 dB (best 3.00 at step 4)" in shown[3]
    assert shown[-1] == "trained 4 steps in 0:00:00; best validation 3.00 dB at step 4"


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`")
def test_a_resumed_run_writes_no_more_lines_than_others(capsys, tmp_path):
    checkpoint = ModelCheckpoint(tmp_path)
    fit(TrainingProgress(), checkpoint, steps=4, enable_checkpointing=True)
    lines(capsys)
    fit(TrainingProgress(), steps=40, ckpt_path=checkpoint.best_model_path)
    shown = [int(line.split()[1].split("/")[0]) for line in lines(capsys)[:-1]]
    assert shown == list(range(4, 41, 2))


def test_a_run_that_fails_says_how_far_it_came(capsys):
    class Failing(TinyTraining):
        def on_train_batch_start(self, batch, batch_index):
            if batch_index == 3:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fit(TrainingProgress(), module=Failing())
    assert (
        lines(capsys)[-1] == "stopped after 3 steps in 0:00:00; best validation 1.00 dB at step 2"
    )


def test_a_failure_before_training_says_nothing(capsys):
    class Failing(TinyTraining):
        def configure_optimizers(self):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fit(TrainingProgress(), module=Failing())
    assert lines(capsys) == []


def test_epochs_of_known_length_have_a_total_too(capsys):
    fit(TrainingProgress(), steps=-1, max_epochs=2, limit_train_batches=4, val_check_interval=4)
    shown = lines(capsys)
    assert shown[0].startswith("training  0/8 steps")
    assert shown[-2].startswith("training  8/8 steps  100 %")


def test_endless_training_is_shown_without_a_total(capsys, clock):
    class Stopping(TimedTraining):
        def on_train_batch_end(self, outputs, batch, batch_index):
            self.trainer.should_stop = batch_index == 6

    fit(TrainingProgress(), steps=-1, max_epochs=-1, module=Stopping(clock), val_check_interval=99)
    *shown, last = lines(capsys)
    assert shown[0] == "training  0 steps"
    assert re.fullmatch(r"training  4 steps  loss 0\.\d{3}", shown[2])  # 30 s after the first
    assert last.startswith("trained 7 steps in")


def test_other_processes_show_nothing(capsys):
    class Second:
        is_global_zero = False

    bar = TrainingProgress()
    bar.setup(Second(), None, "fit")
    assert not bar.is_enabled
    fit(bar)  # would enable nothing again
    assert lines(capsys) == []


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Function that makes a terminal of standard error, and returns it."""

    def begin(columns: int = 200) -> Terminal:
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", str(columns))
        stream = Terminal()
        monkeypatch.setattr(sys, "stderr", stream)
        return stream

    return begin


def plain(stream):
    """What was written, without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())


class Refreshing(TimedTraining):
    """Draws the bars at moments that do not depend on how fast the machine is."""

    def on_train_batch_end(self, outputs, batch, batch_index):
        self.trainer.progress_bar_callback._bars.refresh()

    def on_validation_batch_end(self, outputs, batch, batch_index):
        self.trainer.progress_bar_callback._bars.refresh()


def test_a_terminal_gets_a_bar_and_one_more_in_validation(terminal, clock):
    stream = terminal()
    fit(TrainingProgress(), module=Refreshing(clock))
    text = plain(stream)
    assert re.search(r"training +[━╸╺]+ 2/6 steps  33 %  loss 0\.\d{3}", text)
    assert re.search(r"validation +[━╸╺]+ 1/2 clips", text)
    assert "valid 3.00 dB (best 3.00 at step 4)" in text
    last = text.rstrip("\n").splitlines()[-1]
    assert last.endswith("trained 6 steps in 0:19:30; best validation 3.00 dB at step 4")


def test_a_bar_is_not_redrawn_more_often_than_it_can_be_read(terminal, clock):
    class Quick(Refreshing):
        def training_step(self, stems):
            loss = super().training_step(stems)
            self.clock.now = (self.trainer.global_step + 1) * 0.125
            return loss

    stream = terminal()
    fit(TrainingProgress(), steps=12, module=Quick(clock), val_check_interval=1000)
    shown = [int(n) for n in re.findall(r"(\d+)/12 steps", plain(stream))]
    assert sorted(set(shown)) == [0, 4, 8, 12]


@pytest.mark.parametrize("columns", [80, 40])
def test_a_narrow_terminal_still_shows_the_time_left(terminal, clock, columns):
    stream = terminal(columns)
    fit(TrainingProgress(), module=Refreshing(clock), steps=8, val_check_interval=1000)
    assert "0:00:20" in plain(stream)


def test_the_cursor_comes_back_after_a_failure(terminal):
    class Failing(TinyTraining):
        def on_train_batch_start(self, batch, batch_index):
            raise ZeroDivisionError

    stream = terminal()
    with pytest.raises(ZeroDivisionError):
        fit(TrainingProgress(), module=Failing())
    text = stream.getvalue()
    assert "\x1b[?25l" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    assert text.endswith("stopped after 0 steps in 0:00:00\n")


def test_output_meant_for_a_file_stays_out_of_the_bar(terminal, capsys):
    class Printing(TinyTraining):
        def on_validation_start(self):
            print("for the file")  # noqa: T201

    stream = terminal()
    fit(TrainingProgress(), module=Printing())
    assert "for the file" in capsys.readouterr().out
    assert "for the file" not in stream.getvalue()
