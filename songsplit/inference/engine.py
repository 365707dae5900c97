"""Choose the engine, ONNX Runtime or PyTorch, that fits model and device."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from songsplit.errors import ConfigError, DeviceError, MissingExtraError
from songsplit.models.config import MaskUNetConfig
from songsplit.models.weights import load_model, load_network

if TYPE_CHECKING:
    from songsplit.models.separation_model import SeparationModel

EngineName: TypeAlias = Literal["onnx", "torch"]
"""ONNX Runtime for the models that come with songsplit, on the CPU; PyTorch for all others."""

Samples = NDArray[np.float32]


class Engine(Protocol):
    """A network on a device."""

    @property
    def config(self) -> MaskUNetConfig:
        """Settings of the network."""

    @property
    def device(self) -> str:
        """Name of the compute device."""

    @property
    def items(self) -> int:
        """Best number of stereo chunks per call."""

    @property
    def chunk_seconds(self) -> float:
        """Best length of a chunk; longer chunks overlap less often."""

    def foreground(self, pairs: Samples) -> tuple[Samples, Samples]:
        """Separate all targets but the last.

        From stereo pairs (pairs, 2, n) at the network's rate, with peaks of about 1, to stems
        (pairs, targets - 1, 2, n) and their shares of the frequencies above the network's band.
        """


def load_engine(
    model: str | os.PathLike[str] | SeparationModel | None,
    device: str | None = None,
    engine: EngineName | None = None,
) -> tuple[Engine, Mapping[str, Any]]:
    """Load a model and return its engine and its card."""
    if engine not in (None, *get_args(EngineName)):
        raise ConfigError(f"unknown engine {engine!r}: use {', '.join(get_args(EngineName))}")
    chosen = choose_device("cpu" if device is None and engine == "onnx" else device)
    network = None
    if (model is None or isinstance(model, str)) and chosen == "cpu" and engine != "torch":
        network = load_network(model, int8=has_quick_integers())
    if network is not None:
        from songsplit.inference.onnx_engine import OnnxEngine

        runtime = OnnxEngine(network)
        return runtime, runtime.card
    if engine == "onnx":
        raise ConfigError(
            "ONNX Runtime runs only models that come with songsplit, on the CPU: leave engine out"
        )
    card: Mapping[str, Any] = {}
    if model is None or isinstance(model, str | os.PathLike):
        stored = load_model(model)
        model, card = stored.model, stored.card
    from songsplit.inference.torch_engine import TorchEngine
    from songsplit.models.separation_model import fused

    return TorchEngine(fused(model), chosen), card


def has_quick_integers() -> bool:
    """Return whether the processor multiplies 8-bit integers exactly and faster than float32."""
    # numpy.show_runtime() prints this feature, but no public function returns it.
    module = sys.modules.get("numpy._core._multiarray_umath")
    return bool(getattr(module, "__cpu_features__", {}).get("AVX512VNNI"))


def choose_device(name: str | None) -> str:
    """Return the device for a name such as ``"cuda:1"``, or the fastest for None and "auto"."""
    if name is None or name == "auto":
        return _fastest_device()
    if name == "cpu":
        return name
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("torch", "torch") from error
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, ImportError, TypeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DeviceError(
            f"device {name!r} cannot be used ({reason}): use 'cpu', or leave the device out"
        ) from error
    if device.type == "meta":
        raise DeviceError("device 'meta' cannot compute: use 'cpu'")
    return str(device)


def _fastest_device() -> str:
    try:
        # Importing torch is slow, and CPU builds support no GPU.
        if "+cpu" in version("torch"):
            return "cpu"
        import torch
    except (PackageNotFoundError, ImportError):
        return "cpu"
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
