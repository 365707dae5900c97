"""Draw the pictures of the README: ``python docs/figures.py`` (needs the plots extra)."""

from __future__ import annotations

from pathlib import Path

import librosa
import librosa.display
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

import songsplit

HERE = Path(__file__).parent
EXAMPLE = HERE.parent / "examples" / "lithium.ogg"
START, STOP = 10.0, 18.0  # seconds in which the voice starts and stops


def decibels(audio: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Return the mel spectrogram in dB of a stereo excerpt (bands, frames)."""
    excerpt = audio.mean(axis=0)[int(START * rate) : int(STOP * rate)]
    power = librosa.feature.melspectrogram(
        y=excerpt, sr=rate, n_fft=4096, hop_length=512, n_mels=256, fmax=16000
    )
    # The same reference for all three pictures, so that their colours are comparable.
    decibels: NDArray[np.float32] = librosa.power_to_db(power, ref=300.0, top_db=None)
    return decibels


def main() -> None:
    """Separate the example song and draw mixture, vocals and instrumental."""
    stems = songsplit.separate(EXAMPLE, device="cpu")
    pictures = {"song": stems.remix(), "vocals": stems.vocals, "instrumental": stems.instrumental}
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), sharey=True, layout="constrained")
    for axis, (title, audio) in zip(axes, pictures.items(), strict=True):
        image = librosa.display.specshow(
            decibels(audio, stems.sample_rate),
            sr=stems.sample_rate,
            hop_length=512,
            x_axis="time",
            y_axis="mel",
            fmax=16000,
            vmin=-70,
            vmax=0,
            cmap="magma",
            ax=axis,
        )
        axis.set(title=title, xlabel="seconds", ylabel="")
    axes[0].set_ylabel("Hz")
    figure.colorbar(image, ax=axes, label="dB")
    (HERE / "images").mkdir(exist_ok=True)
    figure.savefig(HERE / "images" / "before-after.png", dpi=110)


if __name__ == "__main__":
    main()
