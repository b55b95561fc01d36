"""Exports to ONNX, compared with onnxruntime."""

import json

import numpy as np
import pytest

import pynn

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

TOLERANCE = {"float32": 5e-7, "float64": 1e-12}  # of the largest output
ACTIVATIONS = list(pynn.activations.table.rows)
DTYPES = pytest.mark.parametrize("dtype", TOLERANCE)


def run(path, x):
    """Predictions of onnxruntime."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, x if isinstance(x, dict) else {"X": x})[0]


def operators(path):
    return {node.op_type for node in onnx.load(str(path)).graph.node}


def data(rows=64, columns=7, dtype="float32", seed=0):
    return np.random.default_rng(seed).normal(size=(rows, columns)).astype(dtype)


def trained(layers, x, dtype="float32", loss="mse", seed=3, **compiled):
    """A model after one epoch, so that no tensor is as it was drawn."""
    model = pynn.Sequential(layers, seed=seed, dtype=dtype)
    outputs = next(layer.units for layer in reversed(layers) if isinstance(layer, pynn.Dense))
    y = np.random.default_rng(1).normal(size=(len(x), outputs))
    model.compile(loss, **compiled)
    model.fit(x, np.argmax(y, axis=1) if loss == "softmax_cross_entropy" else y, epochs=1, verbose=0)
    return model


def require_same(model, path, x, dtype="float32", raw=False):
    expected, found = model.predict(x, raw=raw), run(path, x)
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= TOLERANCE[dtype] * max(1, np.abs(expected).max())


@DTYPES
@pytest.mark.parametrize("gemm", [True, False])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation(tmp_path, name, gemm, dtype):
    x = data(dtype=dtype)
    model = trained([pynn.Dense(9, activation=name), pynn.Activation(name), pynn.Dense(3)], x, dtype)
    exported = model.export_onnx(tmp_path / "m.onnx", gemm=gemm)
    assert exported.max_error is not None
    assert exported.checked_by == f"onnxruntime {onnxruntime.__version__}"
    require_same(model, tmp_path / "m.onnx", x, dtype)
    assert ("Gemm" in operators(tmp_path / "m.onnx")) == gemm
    assert ("MatMul" in operators(tmp_path / "m.onnx")) != gemm


@DTYPES
def test_far_arguments_of_activations(tmp_path, dtype):
    x = np.linspace(-40, 40, 4001, dtype=dtype)[:, None]
    for name in set(ACTIVATIONS) - {"softmax", "exponential"}:
        model = pynn.Sequential([pynn.Dense(1, activation=name)], dtype=dtype).build(1)
        model.layers[0].kernel[...] = 1
        model.export_onnx(tmp_path / "m.onnx")
        require_same(model, tmp_path / "m.onnx", x, dtype)


LAYERS = {
    "normalization": [pynn.Normalization(), pynn.Dense(3)],
    "minmax": [pynn.Normalization("minmax", clip=0.75), pynn.Dense(3)],
    "some columns": [pynn.Normalization("robust", clip=1.0, columns=[0, 3]), pynn.Dense(3)],
    "batch": [pynn.Dense(5), pynn.BatchNormalization(), pynn.Activation("relu"), pynn.Dense(3)],
    "batch, bare": [pynn.Dense(5), pynn.BatchNormalization(center=False, scale=False), pynn.Dense(3)],
    "layer": [pynn.Dense(5), pynn.LayerNormalization(), pynn.Dense(3)],
    "layer, bare": [pynn.LayerNormalization(center=False, scale=False, epsilon=1e-6), pynn.Dense(3)],
    "noise": [pynn.GaussianNoise(0.1), pynn.Dense(5), pynn.Dropout(0.3), pynn.Dense(3)],
    "no bias": [pynn.Dense(5, use_bias=False), pynn.Dense(3)],
    "residual": [pynn.Dense(5), pynn.Residual([pynn.Dense(4, activation="relu"), pynn.Dense(5)]), pynn.Dense(3)],
    "residual of X": [
        pynn.Residual([pynn.LayerNormalization(), pynn.Residual([pynn.Dense(7, activation="tanh")]), pynn.Dense(7)]),
        pynn.Dense(3),
    ],
    "residual of scaled X": [pynn.Residual([pynn.Normalization(), pynn.Dense(7)]), pynn.Dense(3)],
    "ends in an activation": [pynn.Dense(5), pynn.Dense(3), pynn.Activation("relu")],
    "one number": [pynn.Dense(1)],
}


@DTYPES
@pytest.mark.parametrize("gemm", [True, False])
@pytest.mark.parametrize("layers", LAYERS)
def test_every_layer(tmp_path, layers, gemm, dtype):
    x = data(dtype=dtype) * 3 + 2
    x[:, 5] = 1.5
    model = trained(LAYERS[layers], x, dtype)
    model.export_onnx(tmp_path / "m.onnx", gemm=gemm)
    require_same(model, tmp_path / "m.onnx", x, dtype)


@DTYPES
@pytest.mark.parametrize("dimension", [None, 3])
@pytest.mark.parametrize("columns", [[1, 4], [0, 1, 2, 3, 4, 5, 6]])
def test_categories(tmp_path, columns, dimension, dtype):
    x = data(dtype=dtype)
    x[:, columns] = np.random.default_rng(2).integers(0, 5, (len(x), len(columns)))
    model = trained([pynn.Categorical(columns, dimension), pynn.Dense(8, activation="tanh"), pynn.Dense(2)], x, dtype)
    model.export_onnx(tmp_path / "m.onnx")
    x[0, columns], x[1, columns], x[2, columns], x[3, columns] = np.nan, -1, 99, 0.5
    x[4, columns], x[5, columns] = np.inf, -np.inf
    require_same(model, tmp_path / "m.onnx", x, dtype)


@DTYPES
@pytest.mark.parametrize("missing", ["mean", "median", "nonfinite"])
@pytest.mark.parametrize("columns", [None, [0, 2, 3]])
def test_missing_cells_of_a_normalization(tmp_path, missing, columns, dtype):
    x = data(dtype=dtype)
    x[3, 2] = x[9, 0] = np.nan
    model = trained([pynn.Normalization(missing=missing, columns=columns), pynn.Dense(3)], x, dtype)
    model.export_onnx(tmp_path / "m.onnx")
    if missing == "nonfinite":
        x[4, 0], x[5, 3] = np.inf, -np.inf
    require_same(model, tmp_path / "m.onnx", x, dtype)


@pytest.mark.parametrize("first", [pynn.Dense(4), pynn.Normalization(), pynn.Normalization(columns=[1, 2])])
def test_gaps_are_filled_as_in_training(tmp_path, first):
    x = data()
    x[3, 2] = np.nan
    model = pynn.Sequential([first, pynn.Dense(2)], seed=0)
    model.compile("mse")
    model.fit(x, data(columns=2), epochs=1, verbose=0, on_bad_rows="impute")
    x[5], x[6, 1] = np.nan, np.inf
    model.export_onnx(tmp_path / "m.onnx")
    require_same(model, tmp_path / "m.onnx", x)


def test_inputs_and_targets_far_from_zero_are_doubles(tmp_path):
    x, y = data(dtype="float64") + 1e9, data(columns=2, dtype="float64") * 1e-3 + 1e7
    model = pynn.Sequential([pynn.Normalization(), pynn.Dense(8, activation="relu"), pynn.Dense(2)], seed=0)
    model.compile("mse", target_scaling="standard")
    model.fit(x, y, epochs=2, verbose=0)
    model.export_onnx(tmp_path / "m.onnx")
    expected, found = model.predict(x), run(tmp_path / "m.onnx", x)
    assert found.dtype == expected.dtype == np.float64
    assert np.abs(found - expected).max() <= 5e-7 * expected.std()
    model.export_onnx(tmp_path / "m.onnx", logits=True)
    require_same(model, tmp_path / "m.onnx", x, raw=True)


@DTYPES
@pytest.mark.parametrize("mode", ["standard", "minmax"])
def test_targets_are_scaled_back(tmp_path, mode, dtype):
    x = data(dtype=dtype)
    model = pynn.Sequential([pynn.Dense(2)], seed=0, dtype=dtype)
    model.compile("mse", target_scaling=mode)
    model.fit(x, x[:, :2] * 300 + 20, epochs=2, verbose=0)
    model.export_onnx(tmp_path / "m.onnx")
    require_same(model, tmp_path / "m.onnx", x, dtype)


@pytest.mark.parametrize("activation", [None, "softmax"])
@pytest.mark.parametrize("logits", [True, False])
def test_a_link_is_applied_once(tmp_path, activation, logits):
    x = data()
    model = trained([pynn.Dense(6), pynn.Dense(3, activation=activation)], x, loss="softmax_cross_entropy")
    exported = model.export_onnx(tmp_path / "m.onnx", logits=logits)
    assert exported.output == ("logits" if logits else "predictions")
    assert ("Softmax" in operators(tmp_path / "m.onnx")) != logits
    require_same(model, tmp_path / "m.onnx", x, raw=logits)


@pytest.mark.parametrize("loss", ["binary_crossentropy", "poisson", "hinge"])
def test_other_links(tmp_path, loss):
    x = data()
    model = pynn.Sequential([pynn.Dense(1)], seed=0)
    model.compile(loss)
    model.fit(x, (x[:, 0] > 0).astype(int), epochs=1, verbose=0)
    model.export_onnx(tmp_path / "m.onnx")
    require_same(model, tmp_path / "m.onnx", x)


def test_a_table_has_an_input_for_each_column(tmp_path):
    pd = pytest.importorskip("pandas")
    r = np.random.default_rng(0)
    frame = pd.DataFrame({
        "X": r.normal(size=80) * 1e3 + 5e4, "kind": r.choice(["red", "green", "blue"], 80),
        "grade": r.choice([1, 2, 5], 80), "layers.0.normalization": r.normal(size=80), "predictions": r.normal(size=80),
        "price": r.choice(["high", "low"], 80),
    })  # fmt: skip
    model = pynn.Sequential([pynn.Normalization(columns=[0, 3, 4]), pynn.Categorical([1, 2]), pynn.Dense(2)], seed=0)
    model.compile("softmax_cross_entropy")
    model.fit(frame, target="price", categories=["kind", "grade"], epochs=2, verbose=0, on_bad_rows="impute")
    exported = model.export_onnx(tmp_path / "m.onnx")
    assert exported.inputs == tuple(frame.columns[:-1])
    frame.loc[3, "kind"], frame.loc[4, "grade"], frame.loc[5, "X"] = "violet", 7, np.nan
    expected = model.predict(frame)
    cells = {name: np.array(frame[name], object if name == "kind" else np.float64)[:, None] for name in exported.inputs}
    assert np.abs(run(tmp_path / "m.onnx", cells) - expected).max() <= 5e-7
    entries = {entry.key: entry.value for entry in onnx.load(str(tmp_path / "m.onnx")).metadata_props}
    assert json.loads(entries["classes"]) == ["high", "low"]
    assert json.loads(entries["columns"]) == list(frame.columns[:-1])


@pytest.mark.parametrize("opset", [18, 19, 20, 21, 22, 23])
def test_older_and_newer_operators(tmp_path, opset):
    x = data()
    layers = [pynn.Dense(5, activation="gelu"), pynn.LayerNormalization(), pynn.BatchNormalization(), pynn.Dense(3)]
    model = trained(layers, x)
    model.export_onnx(tmp_path / "m.onnx", opset=opset, ir_version=8 if opset < 20 else 10, batch=64)
    proto = onnx.load(str(tmp_path / "m.onnx"))
    onnx.checker.check_model(proto, full_check=True)
    assert proto.opset_import[0].version == opset
    assert proto.ir_version == (8 if opset < 20 else 10)
    assert [d.dim_value for d in proto.graph.input[0].type.tensor_type.shape.dim] == [64, 7]
    require_same(model, tmp_path / "m.onnx", x)


def test_what_deployment_needs_is_written(tmp_path):
    """Shapes of every value, and attributes that some runtimes take for 0 where they are left out."""
    x = data()
    layers = [pynn.Dense(5, activation=a) for a in ("leaky_relu", "elu", "selu", "hard_sigmoid", "gelu", "gelu_tanh")]
    model = trained([*layers, pynn.Dense(2)], x)
    model.export_onnx(tmp_path / "m.onnx")
    graph = onnx.load(str(tmp_path / "m.onnx")).graph
    known = {info.name: info.type.tensor_type.shape.dim for info in [*graph.value_info, *graph.output]}
    assert all(known[name][1].dim_value > 0 for node in graph.node for name in node.output)
    attributes = {node.op_type: {a.name for a in node.attribute} for node in graph.node}
    assert attributes["Gemm"] == {"alpha", "beta", "transA", "transB"}
    assert attributes["LeakyRelu"] == attributes["Elu"] == {"alpha"}
    assert attributes["Selu"] == {"alpha", "gamma"}
    assert attributes["HardSigmoid"] == {"alpha", "beta"}
    assert [node.op_type for node in graph.node].count("Gelu") == 1  # the one by tanh is spelled out


def test_vectors_in_the_file_show_what_to_expect(tmp_path):
    model = trained([pynn.Normalization(), pynn.Dense(3)], data())
    model.export_onnx(tmp_path / "m.onnx")
    entries = {entry.key: entry.value for entry in onnx.load(str(tmp_path / "m.onnx")).metadata_props}
    vectors = json.loads(entries["pynn.vectors"])
    found = run(tmp_path / "m.onnx", {name: np.array(v, np.float32) for name, v in vectors["inputs"].items()})
    assert np.allclose(found, vectors["outputs"], atol=1e-6)


@pytest.mark.skipif(not hasattr(pynn, "LSTM"), reason="no recurrent layers")
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("name", ["LSTM", "GRU", "SimpleRNN"])
def test_recurrent_layers(tmp_path, name, both, backwards):
    x = np.random.default_rng(0).normal(size=(20, 6, 3)).astype(np.float32)
    for activation, every in (("tanh", False), ("hard_sigmoid", True), ("relu", True), ("linear", False)):
        layer = getattr(pynn, name)(4, activation=activation, go_backwards=backwards, return_sequences=every)
        layers = [pynn.Bidirectional(layer) if both else layer, *([pynn.Flatten()] if every else []), pynn.Dense(2)]
        model = trained(layers, x)
        model.export_onnx(tmp_path / "m.onnx")
        require_same(model, tmp_path / "m.onnx", x)
        found = pynn.load(tmp_path / "m.onnx")
        assert found.predict(x).tobytes() == model.predict(x).tobytes()


@pytest.mark.parametrize("batch", [1, 3, 4, 9])
def test_a_fixed_batch(tmp_path, batch):
    x = data(batch)
    model = trained([pynn.Dense(5, activation="exponential"), pynn.Dense(3)], data())
    model.layers[0].kernel[...] = 100  # rows far from 0 overflow; the export is tried with others
    model.export_onnx(tmp_path / "m.onnx", batch=batch)
    assert np.isfinite(model.predict(x / 1000)).all()
    require_same(model, tmp_path / "m.onnx", x / 1000)


def test_an_export_that_predicts_otherwise_is_not_written(tmp_path, monkeypatch):
    from pynn.files.onnx import activations

    monkeypatch.setitem(activations.ACTIVATIONS, "tanh", activations.ACTIVATIONS["relu"])
    model = trained([pynn.Dense(8, activation="tanh"), pynn.Dense(3)], data())
    path = tmp_path / "m.onnx"
    path.write_bytes(b"older")
    with pytest.raises(pynn.NumericalError, match=r"within 0\.0001"):
        model.export_onnx(path)
    assert path.read_bytes() == b"older"
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


def test_what_cannot_be_exported_is_refused(tmp_path):
    custom = pynn.activations.Custom(lambda z: 2 * z, lambda z: np.full_like(z, 2), name="twice")
    for model, error, match in (
        (pynn.Sequential([pynn.Dense(2)]), pynn.NotReadyError, "built"),
        (pynn.Sequential([pynn.Dense(2, activation=custom)]).build(3), pynn.UnsupportedError, "'twice'"),
        (pynn.Sequential([pynn.Normalization(), pynn.Dense(2)]).build(3), pynn.NotReadyError, "layer 0"),
    ):
        with pytest.raises(error, match=match):
            model.export_onnx(tmp_path / "m.onnx")
    model = pynn.Sequential([pynn.Dense(2)]).build(3)
    for arguments in ({"opset": 17}, {"opset": 99}, {"ir_version": 7}, {"batch": 0}):
        with pytest.raises(pynn.ArgumentValueError, match=next(iter(arguments))):
            model.export_onnx(tmp_path / "m.onnx", **arguments)
    with pytest.raises(pynn.FileError, match="nowhere"):
        model.export_onnx(tmp_path / "nowhere" / "m.onnx")
    model.layers[0].kernel[0] = np.nan
    with pytest.raises(pynn.ArgumentValueError, match="finite parameters"):
        model.export_onnx(tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_onnx_missing_names_the_extra(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(pynn.MissingDependencyError, match=r"pynn-dense\[onnx\]"):
        pynn.Sequential([pynn.Dense(2)]).build(3).export_onnx(tmp_path / "m.onnx")


def test_exports_of_equal_models_have_equal_bytes(tmp_path):
    for name in ("a", "b"):
        trained([pynn.Normalization(), pynn.Dense(4, activation="gelu_tanh"), pynn.Dense(3)], data()).export_onnx(
            tmp_path / f"{name}.onnx"
        )
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
