"""Check and convert audio that callers pass as NumPy arrays or PyTorch tensors."""

from __future__ import annotations

import numbers
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from songsplit.errors import AudioInputError

if TYPE_CHECKING:
    import torch

FloatArray: TypeAlias = NDArray[np.float32]
AudioArray: TypeAlias = "NDArray[Any] | torch.Tensor"

MAX_CHANNELS = 8
MIN_SAMPLE_RATE = 1
MAX_SAMPLE_RATE = 768_000
# Sums and differences of louder samples could leave the range of float32.
MAX_SAMPLE = 1e37
# PCM uses no other integer types; an array of another type is most likely a mistake.
_INTEGER_TYPES = {"uint8", "int8", "int16", "int32"}


@dataclass(frozen=True)
class ArrayInput:
    """A caller's audio in the internal form, with the properties of the original."""

    samples: FloatArray  # a C-contiguous copy
    sample_rate: int
    ndim: int
    dtype: np.dtype[Any]  # float64 for float64 audio, else float32
    device: torch.device | None  # None for NumPy

    def restore(self, samples: NDArray[np.float32] | NDArray[np.float64]) -> AudioArray:
        """Convert a result ``(channels, n)`` to the type, dimensions and device of the input."""
        result = np.array(samples[0] if self.ndim == 1 else samples, dtype=self.dtype, order="C")
        if self.device is None:
            return result
        import torch

        return torch.from_numpy(result).to(self.device)


def as_samples(audio: AudioArray, sample_rate: float | None) -> ArrayInput:
    """Convert a caller's audio to the internal form, or raise an AudioInputError."""
    torch = sys.modules.get("torch")
    device = None
    if isinstance(audio, np.ndarray):
        if np.ma.is_masked(audio):
            raise AudioInputError(
                "audio has masked samples; fill them first, for example audio.filled(0)"
            )
        array = np.asarray(audio)
    elif torch is not None and isinstance(audio, torch.Tensor):
        array, device = _from_torch(audio)
    else:
        raise AudioInputError(
            f"audio is of type {type(audio).__name__}; give a NumPy array or a PyTorch tensor, for "
            "example numpy.asarray(audio, dtype='float32')"
        )
    rate = check_sample_rate(sample_rate)
    is_float = array.dtype.kind == "f"
    if not is_float and array.dtype.newbyteorder("=").name not in _INTEGER_TYPES:
        raise AudioInputError(
            f"audio of type {array.dtype} cannot be used; give floats from -1 to 1, or int16, "
            "int32, int8 or uint8 samples"
        )
    _check_shape(array.shape)
    samples = scaled(np.atleast_2d(array))
    if (position := first_unusable(samples)) is not None:
        # argmax treats NaN as the largest value.
        channel = int(np.argmax(np.abs(samples[:, position])))
        raise AudioInputError(
            f"audio holds {samples[channel, position]} at sample {position} "
            f"({position / rate:.2f} s) of channel {channel}; replace such samples, for example "
            "with numpy.nan_to_num(audio, posinf=0, neginf=0)"
        )
    return ArrayInput(
        samples=samples,
        sample_rate=rate,
        ndim=array.ndim,
        dtype=np.dtype(np.float64 if is_float and array.dtype.itemsize >= 8 else np.float32),
        device=device,
    )


def check_sample_rate(sample_rate: Any) -> int:
    """Return a caller's sample rate in Hz as an int, or raise an AudioInputError."""
    if sample_rate is None:
        raise AudioInputError(
            "sample_rate is needed for audio given as an array; give it in Hz, for example 44100"
        )
    is_number = isinstance(sample_rate, numbers.Real) and not isinstance(sample_rate, bool)
    # The message omits the value: a Python integer may be too large to print.
    if not is_number or not MIN_SAMPLE_RATE <= sample_rate <= MAX_SAMPLE_RATE or sample_rate % 1:
        raise AudioInputError(
            f"sample_rate must be a whole number from {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz"
        )
    return int(sample_rate)


def _from_torch(audio: torch.Tensor) -> tuple[NDArray[Any], torch.device]:
    device = audio.device
    try:
        plain = audio.detach().cpu()
        if str(plain.dtype) == "torch.bfloat16":
            plain = plain.float()  # NumPy has no bfloat16
        return plain.resolve_neg().numpy(), device
    except (TypeError, RuntimeError, NotImplementedError) as error:
        raise AudioInputError(
            f"audio is a tensor whose samples cannot be read ({audio.layout}, {audio.dtype}, "
            f"{device}); give a dense float32 tensor with data"
        ) from error


def _check_shape(shape: tuple[int, ...]) -> None:
    channels, problem = shape[0] if len(shape) == 2 else 1, ""
    if len(shape) not in (1, 2):
        problem = "is neither (samples,) nor (channels, samples)"
        problem += "; pass the items of a batch one at a time" if len(shape) > 2 else ""
    elif shape[-1] == 0:
        problem = "has no samples; give at least one"
    elif channels == 0:
        problem = "has no channels; give at least one"
    elif channels > MAX_CHANNELS and shape[1] <= MAX_CHANNELS:
        problem = "looks like (samples, channels); transpose it, for example with audio.T"
    elif channels > MAX_CHANNELS:
        problem = f"has {channels} channels; at most {MAX_CHANNELS} can be used"
    if problem:
        raise AudioInputError(f"audio of shape {shape} {problem}")


def scaled(array: NDArray[Any]) -> FloatArray:
    """Return a float32 copy with full scale at 1."""
    if array.dtype.kind == "f":
        # Values beyond the range of float32 become infinite; as_samples refuses them.
        with np.errstate(all="ignore"):
            return np.array(array, dtype=np.float32, order="C")
    middle = 128 if array.dtype.kind == "u" else 0
    full_scale = 2.0 ** (8 * array.dtype.itemsize - 1)
    return np.ascontiguousarray((array.astype(np.float64) - middle) / full_scale, dtype=np.float32)


def first_unusable(samples: FloatArray) -> int | None:
    """Return the position of the first sample that is not finite or exceeds MAX_SAMPLE."""
    # Comparisons with NaN are false.
    if not samples.size or (samples.max() <= MAX_SAMPLE and samples.min() >= -MAX_SAMPLE):
        return None
    usable = (samples <= MAX_SAMPLE) & (samples >= -MAX_SAMPLE)
    return int(np.argmin(usable.all(axis=0)))
