"""The augmentation of whole batches: which parts get which effects, in which order."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from songsplit.data.songs import PART_NAMES
from songsplit.training.augment import draws
from songsplit.training.augment.bands import BandLimit, band_curves
from songsplit.training.augment.coding import LossyCoding
from songsplit.training.augment.config import AugmentConfig
from songsplit.training.augment.curves import filtered
from songsplit.training.augment.dynamics import Compression, Saturation
from songsplit.training.augment.effects import put
from songsplit.training.augment.filters import Equalizer, FilterCurve
from songsplit.training.augment.harmony import Harmony
from songsplit.training.augment.levels import ChannelSwap, Gain, Pan, Polarity, StereoWidth
from songsplit.training.augment.mixing import Mixer
from songsplit.training.augment.pitch_tempo import PitchTempo
from songsplit.training.augment.reverb import Reverb

_SUNG = torch.tensor([name in ("vocals", "second_singer") for name in PART_NAMES])
# A phase vocoder smears attacks, so drums change at most their speed.
_VOCODED = torch.tensor([name != "drums" for name in PART_NAMES])


_OTHER = torch.tensor([name == "other" for name in PART_NAMES])
_DRUMS_AND_BASS = [PART_NAMES.index("drums"), PART_NAMES.index("bass")]


class Augmentation(nn.Module):
    """Make training examples of the parts of songs, on the device that trains.

    Everything follows from the state of the generator: on a CPU and a GPU, the same items
    get the same effects; only the noise of reverberation differs. To be called under
    :func:`torch.no_grad`.

    Parameters
    ----------
    config : AugmentConfig
    targets : tuple of str
        Names of the targets in their order: vocals and instrumental, or vocals, drums,
        bass and other.
    sample_rate : int
        Rate in Hz of the audio.
    n_fft, hop_length : int
        Window and hop in samples of the spectrograms.

    Raises
    ------
    ConfigError
        If the targets are others.
    """

    def __init__(
        self,
        config: AugmentConfig,
        targets: tuple[str, ...],
        sample_rate: int,
        n_fft: int,
        hop_length: int,
    ) -> None:
        super().__init__()
        bins = n_fft // 2 + 1
        self.nyquist = sample_rate / 2
        self.pitch_tempo = PitchTempo(config.pitch_tempo)
        self.saturation = Saturation(config.saturation, sample_rate)
        self.compression = Compression(config.compression, sample_rate)
        self.harmony = Harmony(config.harmony, sample_rate)
        self.reverb = Reverb(config.reverb, sample_rate)
        self.gain = Gain(config.gain)
        self.pan = Pan(config.pan)
        self.stereo_width = StereoWidth(config.stereo_width)
        self.channel_swap = ChannelSwap(config.channel_swap)
        self.polarity = Polarity(config.polarity)
        self.mixer = Mixer(config.mix, targets)
        self.equalizer = Equalizer(config.equalizer, sample_rate, bins)
        self.filter_curve = FilterCurve(config.filter_curve, sample_rate, bins)
        self.band_limit = BandLimit(config.band_limit, sample_rate, bins)
        self.coding = LossyCoding(config.coding, sample_rate, bins)

    def read_samples(self, samples: int) -> int:
        """Return how many samples of each part :meth:`stems` needs to make that many."""
        return self.pitch_tempo.config.read_samples(samples)

    def stems(
        self,
        parts: Tensor,
        same_song: Tensor,
        generator: torch.Generator,
        samples: int,
        present: Tensor | None = None,
    ) -> Tensor:
        """Change parts and mix them.

        Parameters
        ----------
        parts : Tensor of float32, shape (batch, 5, 2, n)
            In the order of :data:`~songsplit.data.songs.PART_NAMES`, at least
            ``read_samples(samples)`` long. They stay as they are.
        same_song : Tensor of bool, shape (batch,)
            Items whose parts belong together, on the CPU. Their parts are only mixed, or
            change their speed alike.
        generator : torch.Generator
            On the CPU.
        samples : int
            Length of the result.
        present : Tensor of bool, shape (batch, 5), optional
            Parts that are not all zero, on the CPU; no time is spent on the others.

        Returns
        -------
        Tensor of float32, shape (batch, targets, 2, samples)
        """
        batch = len(parts)
        remixed = ~same_song[:, None].expand(batch, len(PART_NAMES))
        if present is not None:
            remixed = remixed & present
        changed = remixed.flatten()
        source = parts.flatten(0, 1)
        audio = source[..., :samples].clone()
        vocoded = _VOCODED.expand(batch, -1)
        if present is not None:
            # An instrumental stands in the place of "other", alone, with drums inside.
            alone = ~present[:, _DRUMS_AND_BASS].any(dim=1, keepdim=True)
            vocoded = vocoded & ~(_OTHER & alone)
        vocoded = vocoded.flatten()
        put(audio, self.pitch_tempo.changes(source, generator, samples, changed, vocoded))
        songs = self.pitch_tempo.song_changes(parts, generator, samples, same_song)
        put(audio.view(*parts.shape[:-1], samples), songs)
        put(audio, self.saturation.changes(audio, generator, changed))
        put(audio, self.compression.changes(audio, generator, changed))
        sung = (remixed & _SUNG).flatten()
        put(audio, self.harmony.changes(audio, generator, sung))
        put(audio, self.reverb.changes(audio, generator, sung))
        stereo = torch.eye(2)
        with torch.autocast("cpu", enabled=False):
            for effect in (self.gain, self.stereo_width, self.channel_swap, self.polarity):
                stereo = effect.matrices(len(audio), generator, changed) @ stereo
            stereo = self.pan.matrices(len(audio), generator, sung) @ stereo
        return self.mixer(  # type: ignore[no-any-return]
            audio.reshape(batch, -1, 2, samples),
            same_song,
            generator,
            stereo.reshape(batch, -1, 2, 2),
        )

    def spectrograms(self, stems: Tensor, bandwidth: Tensor, generator: torch.Generator) -> Tensor:
        """Filter targets, and limit and code their mixture.

        Parameters
        ----------
        stems : Tensor of complex64, shape (batch, targets, 2, bins, frames)
            They stay as they are.
        bandwidth : Tensor, shape (batch,)
            Highest frequency in Hz that the item's recordings hold, may be infinite, on
            any device.
        generator : torch.Generator
            On the CPU.

        Returns
        -------
        Tensor of complex64, shape (batch, targets, 2, bins, frames)
            The mixture is their sum.
        """
        batch, targets, _, bins, _ = stems.shape
        curves = self.equalizer.curves(batch * targets, generator)
        curves *= self.filter_curve.curves(batch * targets, generator)
        limits = draws.move(self.band_limit.curves(batch, generator), stems.device)
        limits = limits * draws.move(band_curves(bandwidth, self.nyquist, bins), stems.device)
        curves = draws.move(curves, stems.device).reshape(batch, targets, bins)
        result = filtered(stems, (curves * limits[:, None])[:, :, None])
        put(result, self.coding.changes(result, generator))
        return result
