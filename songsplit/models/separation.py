"""The network with its front end: stereo samples in, stem samples out."""

from __future__ import annotations

from torch import Tensor, nn

from songsplit.dsp.masks import continue_masks, input_magnitudes, input_parts
from songsplit.dsp.stft import STFT
from songsplit.models.config import MaskUNetConfig
from songsplit.models.unet import MaskUNet


class SeparationModel(nn.Module):
    """STFT, mask U-Net and inverse STFT.

    Parameters
    ----------
    config : MaskUNetConfig
    """

    def __init__(self, config: MaskUNetConfig) -> None:
        super().__init__()
        self.config = config
        self.stft = STFT(config.n_fft, config.hop_length)
        self.unet = MaskUNet(config)

    def masks(self, spectrogram: Tensor) -> Tensor:
        """Predict the masks of all targets over the network's band.

        Parameters
        ----------
        spectrogram : Tensor of complex64, shape (batch, 2, bins, frames)

        Returns
        -------
        Tensor of float32 or complex64, shape (batch, targets, 2, config.bins, frames)
            Adding up to one over the targets. Soft masks lie in [0, 1].
        """
        if self.config.mask == "complex":
            seen = input_parts(spectrogram)
        else:
            mid_side = self.config.stereo_input == "left-right-mid-side"
            seen = input_magnitudes(spectrogram, mid_side=mid_side)
        masks: Tensor = self.unet(seen)
        return masks

    def forward(self, mixture: Tensor) -> Tensor:
        """Separate stereo mixtures.

        Parameters
        ----------
        mixture : Tensor, shape (batch, 2, samples)
            At ``config.sample_rate``, at least one sample.

        Returns
        -------
        Tensor of float32, shape (batch, targets, 2, samples)
            Stems with the mixture's own phase, if masks are soft.
        """
        spectrogram = self.stft(mixture)
        masks = continue_masks(self.masks(spectrogram), self.stft.bins)
        stems: Tensor = self.stft.inverse(masks * spectrogram.unsqueeze(1), mixture.shape[-1])
        return stems
