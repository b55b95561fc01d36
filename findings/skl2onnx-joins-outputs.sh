#!/usr/bin/env bash
# skl2onnx 1.20.0, scikit-learn 1.9.1, onnx 1.23.2, onnxruntime 1.32.0; 2026-12-01.
# Most would guess: an MLPRegressor of two targets becomes a graph whose output has two columns, or is refused.
# What happens: the graph ends in a Reshape to (-1, 1), so that 20 rows give 40 rows of one column, the targets of each row under each
#   other. Neither conversion nor inference says anything. A RandomForestRegressor of the same data keeps its two columns.
# Seen: "MLPRegressor: predict gives (20, 2), the graph (40, 1)" and "RandomForestRegressor: predict gives (20, 2), the graph (20, 2)".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check skl2onnx==1.20.0 scikit-learn==1.9.1 onnx==1.23.2 onnxruntime==1.32.0
"$folder/venv/bin/python" - <<'PYTHON'
import warnings

import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestRegressor
from sklearn.neural_network import MLPRegressor

warnings.simplefilter("ignore")
x = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
shapes = {}
for model in (MLPRegressor(hidden_layer_sizes=(4,), max_iter=20), RandomForestRegressor(5)):
    model.fit(x, x[:, :2])
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    graph = to_onnx(model, x[:1], target_opset=18)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options)
    found, name = session.run(None, {"X": x})[0], type(model).__name__
    shapes[name] = found.shape
    print(f"{name}: predict gives {model.predict(x).shape}, the graph {found.shape}")
    if name == "MLPRegressor":
        print("same numbers, row by row:", np.allclose(found.reshape(20, 2), model.predict(x), atol=1e-5))
raise SystemExit(shapes != {"MLPRegressor": (40, 1), "RandomForestRegressor": (20, 2)})
PYTHON
