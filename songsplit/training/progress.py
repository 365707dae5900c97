"""Progress of a training run on standard error: a live bar, or lines for a log file."""

from __future__ import annotations

import math
import sys
from time import monotonic
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint, ProgressBar
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column

from songsplit.training.run_folder import SCORE

LINE_SECONDS = 30.0
LINE_PERCENT = 5

# Steps that compile, allocate or choose algorithms say nothing about those to come.
WARM_UP_STEPS = 2
MEASURED_STEPS = 3


class Pace:
    """What steps and validations took so far, and from that the time left.

    Parameters
    ----------
    step : int
        Optimiser steps done before; above 0 in a run that was resumed.
    now : float
        Seconds, on any clock that does not jump.
    """

    def __init__(self, step: int, now: float) -> None:
        self._first = self._last = step
        self._began: tuple[int, float] | None = None
        self._latest = now
        self._paused = 0.0
        self._validations: list[float] = []

    @property
    def validations(self) -> int:
        """Number of validations seen."""
        return len(self._validations)

    def step_ended(self, step: int, now: float) -> None:
        """Note that ``step`` optimiser steps are done; the same number may come again."""
        if step == self._last:
            return
        self._last, self._latest = step, now
        if self._began is None and step - self._first >= WARM_UP_STEPS:
            self._began = (step, now)

    def validation_ended(self, seconds: float) -> None:
        """Note that a validation took that long."""
        self._validations.append(seconds)
        self._latest += seconds
        if self._began is not None:
            self._paused += seconds

    def seconds_left(self, steps: int, validations: int | None) -> float | None:
        """Estimate the time that steps and validations will take.

        Checkpoints and all else between steps are part of the steps' time. Validations
        count as long as those seen so far on average, and nothing while none was seen.

        Parameters
        ----------
        steps : int
            Steps to go.
        validations : int or None
            Validations to go; if unknown, they keep the share of the time they had.

        Returns
        -------
        float or None
            Seconds; None until a few steps are done.
        """
        if self._began is None or self._last - self._began[0] < MEASURED_STEPS:
            return None
        step, began = self._began
        seconds = self._latest - began
        if validations is None:
            return seconds / (self._last - step) * steps
        pause = sum(self._validations) / max(1, len(self._validations))
        return (seconds - self._paused) / (self._last - step) * steps + pause * validations


class TrainingProgress(ProgressBar):
    """Show steps, loss, validation score and time left of a training run.

    On a terminal as a bar, with a second one during validation. Where standard error is
    no terminal, a plain line is written every 5 % of the steps or 30 seconds, whichever
    comes first. The last line tells the time taken, the best validation score and where the
    checkpoints are. Only the first process shows anything. The best score goes into the
    checkpoints, so that a resumed run still knows it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True
        self._pace: Pace | None = None  # None while nothing is to be shown
        self._bars: Progress | None = None
        self._training = self._validation = TaskID(0)
        self._began = self._validation_began = self._shown_at = 0.0
        self._first_step = self._shown_percent = 0
        self._validated_at = -1
        self._score: float | None = None
        self._best = -math.inf
        self._best_step = 0

    @property
    def is_enabled(self) -> bool:
        """Whether anything is shown."""
        return self._enabled

    def enable(self) -> None:
        """Show the next training."""
        self._enabled = True

    def disable(self) -> None:
        """Show nothing of the next training."""
        self._enabled = False

    def state_dict(self) -> dict[str, Any]:
        """Best validation score and its step, for the checkpoint."""
        return {"best": self._best, "best_step": self._best_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what :meth:`state_dict` gave."""
        self._best, self._best_step = state_dict["best"], state_dict["best_step"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to count and to show."""
        if not self._enabled:
            return
        self._began = self._shown_at = monotonic()
        self._first_step = trainer.global_step
        self._shown_percent = _percent(trainer)
        self._pace = Pace(self._first_step, self._began)
        console = _console()
        if console.is_interactive and sys.stderr.isatty():
            self._bars = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=20),
                # Wraps where the terminal is narrow, rather than hide the time left.
                TextColumn("{task.fields[status]}", markup=False, table_column=Column()),
                console=console,
                transient=True,
                # Output meant for a file or a pipe stays there.
                redirect_stdout=sys.stdout.isatty(),
            )
            self._training = self._bars.add_task("training", total=_total_steps(trainer), status="")
            self._bars.start()
        self._show(trainer)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Update the bar, or write a line if one is due."""
        if self._pace is None:
            return
        now = monotonic()
        self._pace.step_ended(trainer.global_step, now)
        percent = _percent(trainer)
        if self._bars is not None:
            # Reading the loss waits for the device, so not at every step.
            due = now - self._shown_at >= 0.5
        else:
            further = percent // LINE_PERCENT > self._shown_percent // LINE_PERCENT
            due = further or now - self._shown_at >= LINE_SECONDS
        if due:
            self._shown_at, self._shown_percent = now, percent
            self._show(trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show a second bar."""
        if self._pace is None:
            return
        self._validation_began = monotonic()
        if self._bars is not None:
            total = _total_clips(trainer)
            self._validation = self._bars.add_task("validation", total=total, status="")

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Move the second bar on."""
        if self._bars is not None:
            total = _total_clips(trainer)
            status = f"{batch_idx + 1}{'' if total is None else f'/{total}'} clips"
            self._bars.update(self._validation, advance=1, status=status)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the score and remove the second bar."""
        if self._pace is None:
            return
        self._pace.validation_ended(monotonic() - self._validation_began)
        self._validated_at = trainer.global_step
        score = trainer.callback_metrics.get(SCORE)
        self._score = None if score is None else float(score)
        if self._score is not None and self._score > self._best:
            self._best, self._best_step = self._score, trainer.global_step
        if self._bars is not None:
            self._bars.remove_task(self._validation)
            self._show(trainer)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the last line, once all checkpoints are saved."""
        self._finish(trainer, "trained")

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Give the terminal back and tell what there is."""
        self._finish(trainer, "stopped after")

    def _show(self, trainer: pl.Trainer) -> None:
        status = "  ".join(self._status(trainer))
        if self._bars is None:
            _write(f"training  {status}")
        else:
            self._bars.update(self._training, completed=trainer.global_step, status=status)

    def _status(self, trainer: pl.Trainer) -> list[str]:
        metrics = trainer.callback_metrics
        total = _total_steps(trainer)
        parts = [f"{trainer.global_step} steps"]
        if total is not None:
            parts = [f"{trainer.global_step}/{total} steps", f"{_percent(trainer)} %"]
        if "train/loss" in metrics:
            parts.append(f"loss {float(metrics['train/loss']):.3f}")
        if self._score is not None:
            best = f" (best {self._best:.2f} at step {self._best_step})"
            # A score that is not a number is shown but never the best.
            parts.append(f"valid {self._score:.2f} dB{best if math.isfinite(self._best) else ''}")
        if "train/audio_seconds_per_second" in metrics:
            parts.append(f"{float(metrics['train/audio_seconds_per_second']):.3g}x real time")
        return parts + self._time_left(trainer, total)

    def _time_left(self, trainer: pl.Trainer, total: int | None) -> list[str]:
        if self._pace is None or total is None:
            return []
        validations = self._validations_left(trainer, total)
        seconds = self._pace.seconds_left(total - trainer.global_step, validations)
        if seconds is None:
            return []
        unknown = validations != 0 and self._pace.validations == 0
        return [f"{_clock(seconds)} left" + (", not counting validation" if unknown else "")]

    def _validations_left(self, trainer: pl.Trainer, total: int) -> int | None:
        if not trainer.enable_validation:
            return 0
        every = trainer.val_check_batch
        if not isinstance(every, int) or math.isfinite(trainer.num_training_batches):
            return None  # by epochs or by the clock
        done, batches = (n * trainer.accumulate_grad_batches for n in (trainer.global_step, total))
        # After the step that is followed by a validation, that one is still to come.
        pending = done > 0 and done % every == 0 and trainer.global_step != self._validated_at
        return batches // every - done // every + pending

    def _finish(self, trainer: pl.Trainer, verb: str) -> None:
        if self._pace is None:
            return
        self._pace = None
        if self._bars is not None:
            self._bars.stop()
            self._bars = None
        steps = trainer.global_step - self._first_step
        parts = [f"{verb} {steps} steps in {_clock(monotonic() - self._began)}"]
        if math.isfinite(self._best):
            parts.append(f"best validation {self._best:.2f} dB at step {self._best_step}")
        if paths := _checkpoints(trainer):
            parts.append(f"checkpoints: {', '.join(paths)}")
        _write("; ".join(parts))


def _console() -> Console:
    return Console(stderr=True, highlight=False)


def _write(line: str) -> None:
    _console().print(line, soft_wrap=True, markup=False, emoji=False)


def _total_steps(trainer: pl.Trainer) -> int | None:
    """Return the number of steps at the end of training, if it is known."""
    total = trainer.estimated_stepping_batches
    return int(total) if math.isfinite(total) and total > 0 else None


def _total_clips(trainer: pl.Trainer) -> int | None:
    """Return the number of clips in a validation, if it is known."""
    total = sum(trainer.num_val_batches)
    return int(total) if math.isfinite(total) else None


def _percent(trainer: pl.Trainer) -> int:
    total = _total_steps(trainer)
    return 0 if total is None else 100 * trainer.global_step // total


def _checkpoints(trainer: pl.Trainer) -> list[str]:
    """Files that the checkpoint callbacks name as their best and last."""
    paths = [
        path
        for callback in trainer.checkpoint_callbacks
        if isinstance(callback, ModelCheckpoint)
        for path in (callback.best_model_path, callback.last_model_path)
        if path
    ]
    return list(dict.fromkeys(paths))


def _clock(seconds: float) -> str:
    """Write seconds as hours:minutes:seconds."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
