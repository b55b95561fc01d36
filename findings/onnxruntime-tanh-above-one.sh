#!/usr/bin/env bash
# onnxruntime 1.32.0 (CPU, x86-64), onnx 1.23.2; 2026-12-01.
# Most would guess: tanh lies in [-1, 1], so acosh(1 + tanh), sqrt(1 - tanh^2) and asserts on the range are safe; sigmoid is
#   positive, so its logarithm is finite.
# What happens: a float32 Tanh node gives 1.0000002 for inputs from about 8.4 to 9; a Sigmoid node gives exactly 0 at -18.5, where the
#   true value, 9.2e-9, is far above the smallest float32 number (1.2e-38), so that Log after it gives -inf.
# Seen: "tanh: largest 1.000000238418579, 5377 of 200001 inputs above 1" and "sigmoid(-18.5) = 0.0, true 9.237e-09".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy
"$folder/venv/bin/python" - <<'PYTHON'
import math

import numpy as np
import onnxruntime
from onnx import TensorProto, helper


def run(operator, x):
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy"]
    graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"])], "one_node", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


y = run("Tanh", np.linspace(8, 10, 200_001, dtype=np.float32))
print(f"tanh: largest {float(y.max())!r}, {int((y > 1).sum())} of {len(y)} inputs above 1")
zero = run("Sigmoid", np.full(8, -18.5, np.float32))[0]
print(f"sigmoid(-18.5) = {zero}, true {1 / (1 + math.exp(18.5)):.3e}")
raise SystemExit(not (y.max() > 1 and zero == 0))
PYTHON
