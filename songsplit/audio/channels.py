"""From the rate and channels of a song to those of a result."""

from __future__ import annotations

import numpy as np

from songsplit.audio._types import FloatArray
from songsplit.audio.resampling import Resampler

_SIDE = 0.5**0.5
_LEFT, _RIGHT, _CENTRE, _NONE = (1.0, 0.0), (0.0, 1.0), (_SIDE, _SIDE), (0.0, 0.0)
_BACK_LEFT, _BACK_RIGHT, _BACK = (_SIDE, 0.0), (0.0, _SIDE), (0.5, 0.5)
# What the channels of a file are taken for, by their number: the usual order of WAV, AAC
# and FLAC. Into (left, right), as ITU-R BS.775 has it; the deep effects channel is left out.
_LAYOUTS = {
    2: (_LEFT, _RIGHT),
    3: (_LEFT, _RIGHT, _CENTRE),
    4: (_LEFT, _RIGHT, _BACK_LEFT, _BACK_RIGHT),
    5: (_LEFT, _RIGHT, _CENTRE, _BACK_LEFT, _BACK_RIGHT),
    6: (_LEFT, _RIGHT, _CENTRE, _NONE, _BACK_LEFT, _BACK_RIGHT),
    7: (_LEFT, _RIGHT, _CENTRE, _NONE, _BACK, _BACK_LEFT, _BACK_RIGHT),
    8: (_LEFT, _RIGHT, _CENTRE, _NONE, _BACK_LEFT, _BACK_RIGHT, _BACK_LEFT, _BACK_RIGHT),
}


def mix_matrix(source: int, target: int) -> FloatArray:
    """Return the weights that turn some channels into mono or stereo.

    Parameters
    ----------
    source : int
        Number of channels, 1 to 8: mono, stereo, 3.0, quadro, 5.0, 5.1, 6.1 or 7.1.
    target : {1, 2}
        Number of channels wanted. Mono becomes stereo with the same on both sides, stereo
        becomes mono as the mean. Surround is mixed down with centre and surround channels
        at -3 dB (ITU-R BS.775) and made so quiet that full scale on all channels of a
        side stays full scale.

    Returns
    -------
    ndarray of float32, shape (target, source)
        The result is the matrix times the samples: stems still add up.
    """
    if source == 1:
        return np.ones((target, 1), np.float32)
    stereo = np.array(_LAYOUTS[source]).T
    stereo /= stereo.sum(axis=1).max()
    matrix = stereo if target == 2 else stereo.mean(axis=0, keepdims=True)
    return matrix.astype(np.float32)


class Converter:
    """Turns audio that comes block by block into another rate, and mono or stereo.

    Parameters
    ----------
    from_rate, from_channels : int
        Of the blocks.
    to_rate, to_channels : int
        Of what comes out. If both are the same, blocks pass as they are.
    """

    def __init__(self, from_rate: int, from_channels: int, to_rate: int, to_channels: int) -> None:
        self._matrix = (
            None if from_channels == to_channels else mix_matrix(from_channels, to_channels)
        )
        self._resampler = Resampler(from_rate, to_rate, to_channels)

    def __call__(self, block: FloatArray) -> FloatArray:
        """Take float32 ``(channels, n)`` and give what is ready."""
        if self._matrix is not None:
            block = self._matrix @ block
        return self._resampler.process(block)

    def rest(self) -> FloatArray:
        """Give what is left at the end."""
        return self._resampler.flush()
