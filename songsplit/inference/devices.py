"""Choice of the compute device and of the precision it works in."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from songsplit.errors import DeviceError


def choose_device(name: str | None) -> torch.device:
    """Turn a user's wish into a device.

    Parameters
    ----------
    name : str or None
        ``None`` or ``"auto"`` for the fastest there is, else a name that torch knows,
        such as ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.

    Returns
    -------
    torch.device

    Raises
    ------
    DeviceError
        If there is no such device on this machine.
    """
    if name is None or name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, ImportError, TypeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DeviceError(
            f"device {name!r} cannot be used ({reason}): use 'cpu' or leave the choice to songsplit"
        ) from error
    if device.type == "meta":
        raise DeviceError("device 'meta' computes nothing: use 'cpu'")
    return device


def precision(device: torch.device) -> AbstractContextManager[object]:
    """Context in which the network runs: bfloat16 where the hardware has it.

    Stems made in bfloat16 differ from those made in float32 by less than -40 dB of the
    mixture (tests/test_quality.py), far below what separates them from perfect ones.
    """
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.autocast("cuda", torch.bfloat16)
    if device.type == "cpu" and torch.cpu._is_avx512_bf16_supported():
        return torch.autocast("cpu", torch.bfloat16)
    return nullcontext()
