"""A graph without its weights' values: what a plan that carries none depends on."""

from __future__ import annotations

import hashlib
from pathlib import Path


def structure(onnx_path: Path) -> str:
    """sha256 (hex) of a graph without its weights' values. Whole numbers stay: they are shapes."""
    import onnx

    model = onnx.load(onnx_path, load_external_data=False)
    whole = {onnx.TensorProto.INT64, onnx.TensorProto.INT32, onnx.TensorProto.BOOL}
    for tensor in model.graph.initializer:
        if tensor.data_type not in whole:
            tensor.CopyFrom(onnx.TensorProto(name=tensor.name, dims=tensor.dims, data_type=tensor.data_type))
        elif tensor.data_location == onnx.TensorProto.EXTERNAL:
            onnx.external_data_helper.load_external_data_for_tensor(tensor, str(onnx_path.parent))
            tensor.ClearField("external_data")
    return hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()
