"""The network as an ONNX file, for ONNX Runtime on CPUs and in browsers.

The file maps the powers of left, right, mid and side in each band, (1, 4, bands, frames), to masks
for left and right, (1, 2 * (targets - 1), bands, frames), for any number of frames. Its metadata
are those of a weights file: configuration, card and the digest of the weights.
"""

from __future__ import annotations

import copy
import json
import logging
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from songsplit.errors import MissingExtraError
from songsplit.models.blocks import FrequencyLinear
from songsplit.models.unet import MaskUNet
from songsplit.models.weights import StoredModel

_OPSET = 20
_FRAMES = 96  # of the example that the network is traced with
_LEAST_STORED_IN_HALF = 64  # values of a tensor


def onnx_network(stored: StoredModel) -> bytes:
    """Convert a model to the content of an ONNX file.

    Weights are stored in half precision where that is exact, and computed in float32.
    MissingExtraError is raised if the packages onnx and onnxscript are missing.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("onnxscript", "onnx") from error

    network = _BandMasks(cast("MaskUNet", stored.model.unet)).eval()
    example = torch.rand(1, 4, stored.model.config.band_count, _FRAMES)
    frames = torch.export.Dim("frames", min=2)
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    try:
        logger.setLevel(logging.ERROR)
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                network,
                (example,),
                input_names=["powers"],
                output_names=["masks"],
                opset_version=_OPSET,
                dynamic_shapes=({3: frames},),
                dynamo=True,
                verbose=False,
            )
    finally:
        logger.setLevel(level)
    assert program is not None
    model = program.model_proto
    _store_in_half(model)
    _strip(model)
    described = {
        "config": stored.model.config.to_json(),
        "card": json.dumps(dict(stored.card)),
        "sha256": stored.digest,
    }
    onnx.helper.set_model_props(model, described)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def quantized(network: bytes, powers: Sequence[NDArray[np.float32]]) -> bytes:
    """Quantise the convolutions of a network to 8-bit integers.

    `powers` are inputs from songs (1, 4, bands, frames), which calibrate the range of each map.
    """
    import onnx
    import onnxruntime
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    class Songs(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._songs = iter(powers)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            values = next(self._songs, None)
            return None if values is None else {"powers": values}

    described = {entry.key: entry.value for entry in onnx.load_from_string(network).metadata_props}
    with tempfile.TemporaryDirectory() as folder:
        plain, small = Path(folder, "plain.onnx"), Path(folder, "small.onnx")
        # Merge scales and shifts into the convolutions before them.
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(plain)
        onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
        quantize_static(
            plain,
            small,
            Songs(),
            per_channel=True,
            op_types_to_quantize=["Conv"],
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        model = onnx.load(small)
    _store_in_half(model)
    _strip(model)
    onnx.helper.set_model_props(model, described)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


class _BandMasks(nn.Module):
    """A MaskUNet from pooled powers to masks of bands, in operations that ONNX supports."""

    def __init__(self, network: MaskUNet) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)
        for module in self.network.modules():
            for name, child in module.named_children():
                if isinstance(child, FrequencyLinear):
                    setattr(module, name, _MatMul(child.weight))
                elif isinstance(child, nn.BatchNorm2d):
                    setattr(module, name, _ScaleAndShift(child))

    def forward(self, powers: Tensor) -> Tensor:
        """Map (1, 4, bands, frames) to (1, 2 * (targets - 1), bands, frames)."""
        network, multiple = self.network, self.network.config.frame_multiple
        frames = powers.shape[-1]
        x = network.normalized(powers)
        # Padding that depends on the number of frames cannot be exported.
        padded = functional.pad(x, (0, multiple - 1))
        x = padded[..., : (frames + multiple - 1) // multiple * multiple]
        return network.masks(network.logits(x)[..., :frames]).flatten(1, 2)


class _ScaleAndShift(nn.Module):
    """A BatchNorm2d in evaluation mode, which ONNX Runtime merges into the convolution before."""

    def __init__(self, normalisation: nn.BatchNorm2d) -> None:
        super().__init__()
        mean, variance = normalisation.running_mean, normalisation.running_var
        assert mean is not None
        assert variance is not None
        scale = normalisation.weight / (variance + normalisation.eps).sqrt()
        self.scale = nn.Parameter(scale.detach()[:, None, None])
        self.shift = nn.Parameter((normalisation.bias - mean * scale).detach()[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + self.shift


class _MatMul(nn.Module):
    """A FrequencyLinear without the reordering in memory."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        return torch.matmul(self.weight, x)


def _store_in_half(model: Any) -> None:
    """Store tensors as float16 where that is exact, with a cast to float32 in the graph."""
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < _LEAST_STORED_IN_HALF:
            continue
        with np.errstate(over="ignore"):
            short = values.astype(np.float16)
        if not np.array_equal(short, values):
            continue
        name, half = tensor.name, f"{tensor.name}_half"
        tensor.CopyFrom(numpy_helper.from_array(short, half))
        casts.append(helper.make_node("Cast", [half], [name], to=TensorProto.FLOAT))
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend(casts + nodes)


def _strip(model: Any) -> None:
    """Remove information about the machine and the code of the export."""
    model.doc_string = model.graph.doc_string = ""
    del model.graph.value_info[:]
    del model.graph.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output):
        del value.metadata_props[:]
