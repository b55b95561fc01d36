"""ONNX graphs as models: exports of pynn, and what other programs write."""

import numpy as np
import pytest
from test_onnx_export import ACTIVATIONS, DTYPES, LAYERS, TOLERANCE, data, trained

import pynn

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
helper = onnx.helper


def session(model):
    model = model if isinstance(model, (bytes, str)) else model.SerializeToString()
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])


def graph(nodes, tensors, width=4, dtype="float32", outputs=("y",), opset=21, shape=None):
    """A model of nodes given as (op, inputs, outputs, attributes), with X as its input and y as its output."""
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    made = []
    for op, inputs, given, *attributes in nodes:
        domain, _, op = op.rpartition("::")
        made.append(helper.make_node(op, inputs, given, name=f"{op}_{len(made)}", domain=domain, **dict(*attributes)))
    initializers = [onnx.numpy_helper.from_array(np.array(values), name) for name, values in tensors.items()]
    inputs = [helper.make_tensor_value_info("X", kind, ["rows", width] if shape is None else shape)]
    shown = [helper.make_tensor_value_info(name, kind, None) for name in outputs]
    sets = [
        helper.make_opsetid("", opset),
        helper.make_opsetid("ai.onnx.ml", 3),
        helper.make_opsetid("com.microsoft", 1),
    ]
    return helper.make_model(
        helper.make_graph(made, "g", inputs, shown, initializers), opset_imports=sets, ir_version=10
    )


def require_same(proto, width=4, dtype="float32", tolerance=None, x=None):
    """The model of a graph predicts what onnxruntime does, and can be trained on."""
    x = data(20, width, dtype) if x is None else x
    model = pynn.from_onnx(proto.SerializeToString())
    expected = session(proto).run(None, {"X": x})[0]
    found = model.predict(x.reshape(len(x), -1))
    assert found.dtype == expected.dtype
    assert np.abs(found - expected.reshape(found.shape)).max() <= (tolerance or TOLERANCE[dtype]) * max(
        1, np.abs(expected).max()
    )
    before = model.parameters.copy()
    model.compile("mse", pynn.SGD(learning_rate=0.01))
    model.fit(x.reshape(len(x), -1), np.ones(found.shape), epochs=1, verbose=0, guard="off")
    assert (model.parameters != before).any()
    return model


W = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
V = np.random.default_rng(1).normal(size=(3, 3)).astype(np.float32)
B = np.random.default_rng(2).normal(size=3).astype(np.float32)


# ---- exports of pynn


@DTYPES
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_exports_of_pynn_come_back_the_same(tmp_path, name, dtype):
    x = data(dtype=dtype)
    layers = [
        pynn.Normalization(missing="median", clip=2.0), pynn.Dense(6, activation=name), pynn.Dropout(0.2),
        pynn.Residual([pynn.BatchNormalization(), pynn.Dense(6)]), pynn.LayerNormalization(), pynn.Dense(3),
    ]  # fmt: skip
    model = trained(layers, x, dtype, target_scaling="standard", metrics=["mae"])
    model.layers[1].trainable = False
    model.export_onnx(tmp_path / "m.onnx")
    found = pynn.load(tmp_path / "m.onnx")
    assert repr(found) == repr(model)
    assert found.parameters.tobytes() == model.parameters.tobytes()
    assert found.predict(x).tobytes() == model.predict(x).tobytes()
    assert found.evaluate(x, x[:, :3]) == model.evaluate(x, x[:, :3])
    assert [layer.trainable for layer in found.layers] == [layer.trainable for layer in model.layers]
    assert found.optimizer == model.optimizer


def test_a_table_comes_back_with_its_columns_and_classes(tmp_path):
    pd = pytest.importorskip("pandas")
    r = np.random.default_rng(0)
    frame = pd.DataFrame({"a": r.normal(size=60), "kind": r.choice(["x", "y"], 60), "to": r.choice(["no", "yes"], 60)})
    model = pynn.Sequential([pynn.Normalization(columns=[0]), pynn.Categorical([1], 2), pynn.Dense(2)], seed=0)
    model.compile("softmax_cross_entropy")
    model.fit(frame, target="to", epochs=1, verbose=0, on_bad_rows="impute")
    model.export_onnx(tmp_path / "m.onnx")
    found = pynn.load(tmp_path / "m.onnx")
    assert found.schema == model.schema
    assert (found.classify(frame) == model.classify(frame)).all()


def test_every_flipped_byte_of_an_export_is_seen(tmp_path):
    model = trained([pynn.Normalization(), pynn.Dense(3, activation="relu"), pynn.Dense(2)], data(columns=3))
    model.export_onnx(tmp_path / "m.onnx")
    whole = (tmp_path / "m.onnx").read_bytes()
    x = data(5, 3)
    expected = model.predict(x).tobytes()
    generator = np.random.default_rng(0)
    for at in range(0, len(whole), 3):
        changed = bytearray(whole)
        changed[at] ^= 1 << int(generator.integers(8))
        try:
            found = pynn.from_onnx(bytes(changed))
        except pynn.PynnError:
            continue
        assert found.predict(x).tobytes() == expected, at
    for length in range(0, len(whole), 7):
        with pytest.raises(pynn.PynnError):
            pynn.from_onnx(whole[:length])


OPTIMIZED = {name: layers for name, layers in LAYERS.items() if name != "some columns"}


@pytest.mark.parametrize("gemm", [True, False])
@pytest.mark.parametrize("level", ["ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL"])
def test_graphs_that_onnxruntime_wrote_again(tmp_path, level, gemm):
    x = data() * 3 + 2
    for name, layers in OPTIMIZED.items():
        model = trained(layers, x)
        model.export_onnx(tmp_path / "m.onnx", gemm=gemm)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        options.optimized_model_filepath = str(tmp_path / "o.onnx")
        options.log_severity_level = 3
        onnxruntime.InferenceSession(str(tmp_path / "m.onnx"), options, providers=["CPUExecutionProvider"])
        with pytest.raises(pynn.FileFormatError, match="as_graph=True"):
            pynn.load(tmp_path / "o.onnx")
        found = pynn.from_onnx(tmp_path / "o.onnx", as_graph=True)
        expected = model.predict(x)
        assert np.abs(found.predict(x) - expected).max() <= 1e-6 * max(1, np.abs(expected).max()), name


@DTYPES
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_is_known_by_its_values(tmp_path, name, dtype):
    x = data(dtype=dtype)
    model = trained([pynn.Dense(5, activation=name), pynn.Dense(3)], x, dtype)
    model.export_onnx(tmp_path / "m.onnx", opset=18)
    found = pynn.from_onnx(tmp_path / "m.onnx", as_graph=True)
    assert found.layers[0].activation == model.layers[0].activation
    assert np.abs(found.predict(x) - model.predict(x)).max() <= TOLERANCE[dtype]


# ---- products


@pytest.mark.parametrize("beta", [1.0, 0.0, -0.5])
@pytest.mark.parametrize("alpha", [1.0, 0.25])
@pytest.mark.parametrize(("turn_a", "turn_b"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_gemm_in_all_transpositions(turn_a, turn_b, alpha, beta):
    attributes = {"transA": turn_a, "transB": turn_b, "alpha": alpha, "beta": beta}
    nodes = [("Gemm", ["x", "W", "B"], ["y"], attributes)]
    nodes.insert(0, ("Transpose", ["X"], ["x"], {"perm": [1, 0]}) if turn_a else ("Identity", ["X"], ["x"]))
    require_same(graph(nodes, {"W": W.T if turn_b else W, "B": B}))
    # the weights first: Y' = W' X'
    attributes = {"transA": turn_a, "transB": 1 - turn_b, "alpha": alpha, "beta": beta}
    nodes = [
        ("Transpose", ["X"], ["x"]) if turn_b else ("Identity", ["X"], ["x"]),
        ("Gemm", ["W", "x", "B"], ["z"], attributes), ("Relu", ["z"], ["h"]), ("Transpose", ["h"], ["y"]),
    ]  # fmt: skip
    require_same(graph(nodes, {"W": W if turn_a else W.T, "B": B[:, None]}))


@DTYPES
def test_matmul_and_add_in_either_order(dtype):
    tensors = {"W": W.astype(dtype), "B": B.astype(dtype), "V": V.astype(dtype), "C": B[None].astype(dtype)}
    nodes = [("MatMul", ["X", "W"], ["a"]), ("Add", ["B", "a"], ["b"]), ("Relu", ["b"], ["c"]),
             ("MatMul", ["c", "V"], ["d"]), ("Add", ["d", "C"], ["y"])]  # fmt: skip
    model = require_same(graph(nodes, tensors, dtype=dtype), dtype=dtype)
    assert [type(layer.spec).__name__ for layer in model.layers] == ["Dense", "Dense"]


def test_batch_normalization_is_a_layer_or_folded():
    tensors = {"W": W, "g": abs(B) + 1, "b": B, "m": B * 2, "v": abs(B) + 0.5, "s": B + 3, "V": V}
    nodes = [
        ("MatMul", ["X", "W"], ["a"]), ("BatchNormalization", ["a", "g", "b", "m", "v"], ["c"], {"epsilon": 1e-3}),
        ("Relu", ["c"], ["d"]), ("MatMul", ["d", "V"], ["e"]), ("Mul", ["e", "s"], ["f"]), ("Sub", ["f", "b"], ["y"]),
    ]  # fmt: skip
    kinds = [type(layer.spec).__name__ for layer in require_same(graph(nodes, tensors)).layers]
    assert kinds == ["Dense", "BatchNormalization", "Activation", "Dense"]


def test_what_scales_the_input_is_a_normalization():
    m, s = np.float32([1, -2, 3, 0]), np.float32([2, 0.5, 1, 3])
    for nodes in (
        [("Sub", ["X", "m"], ["a"]), ("Div", ["a", "s"], ["b"])],
        [("Mul", ["X", "s"], ["a"]), ("Add", ["a", "m"], ["b"])],
        [("ai.onnx.ml::Scaler", ["X"], ["b"], {"offset": [1.0, 2, 3, 4], "scale": [0.5, 1, 2, 4]})],
        [("Div", ["X", "k"], ["a"]), ("Sub", ["a", "one"], ["b"])],
    ):
        tensors = {"m": m, "s": s, "W": W, "k": np.float32(255), "one": np.float32([1])}
        model = require_same(graph([*nodes, ("MatMul", ["b", "W"], ["y"])], tensors))
        assert [type(layer.spec).__name__ for layer in model.layers] == ["Normalization", "Dense"]


def test_missing_cells_are_filled():
    x = data(20, 4)
    x[3, 1] = x[5, 0] = np.nan
    tensors = {"f": np.float32([[1, 2, 3, 4]]), "m": np.float32([1, 2, 3, 4]), "W": W}
    nodes = [("IsNaN", ["X"], ["n"]), ("Where", ["n", "f", "X"], ["a"]), ("Sub", ["a", "m"], ["b"])]
    for fill in (nodes, [("ai.onnx.ml::Imputer", ["X"], ["a"], {
        "imputed_value_floats": [4.0, 3, 2, 1], "replaced_value_float": float("nan")}), nodes[-1]]):  # fmt: skip
        proto = graph([*fill, ("MatMul", ["b", "W"], ["y"])], tensors)
        found = pynn.from_onnx(proto.SerializeToString())
        assert np.allclose(found.predict(x), session(proto).run(None, {"X": x})[0], atol=1e-6)


# ---- shapes


@pytest.mark.parametrize("ending", [
    [("Flatten", ["X"], ["x"])],
    [("Reshape", ["X", "minus"], ["x"])],
    [("Reshape", ["X", "zero"], ["x"], {"allowzero": 0})],
    [("Shape", ["X"], ["s"]), ("Gather", ["s", "first"], ["n"]), ("Unsqueeze", ["n", "axis"], ["k"]),
     ("Concat", ["k", "last"], ["t"], {"axis": 0}), ("Reshape", ["X", "t"], ["x"])],
])  # fmt: skip
def test_pictures_become_rows(ending):
    tensors = {
        "minus": np.array([-1, 4]), "zero": np.array([0, -1]), "first": np.array(0), "last": np.array([-1]),
        "axis": np.array([0]), "W": W,
    }  # fmt: skip
    proto = graph([*ending, ("MatMul", ["x", "W"], ["y"])], tensors, shape=["rows", 1, 2, 2])
    require_same(proto, x=data(20, 4).reshape(20, 1, 2, 2))


def test_reshaped_and_cast_constants():
    tensors = {"w": W.astype(np.float64).reshape(-1), "shape": np.array([3, -1]), "B": B}
    nodes = [("Cast", ["w"], ["v"], {"to": 1}), ("Constant", [], ["s"], {"value": onnx.numpy_helper.from_array(
        np.array([4, 3]))}), ("Reshape", ["v", "s"], ["u"]), ("Dropout", ["X"], ["x"]), ("MatMul", ["x", "u"], ["z"]),
        ("Identity", ["z"], ["q"]), ("Add", ["q", "B"], ["y"])]  # fmt: skip
    require_same(graph(nodes, tensors))


# ---- ends


def test_softmax_and_log_softmax_tails():
    nodes = [("Gemm", ["X", "W", "B"], ["z"]), ("Softmax", ["z"], ["y"], {"axis": 1})]
    model = require_same(graph(nodes, {"W": W, "B": B}))
    assert model.layers[-1].activation == pynn.activations.get("softmax")
    nodes[1] = ("LogSoftmax", ["z"], ["y"], {"axis": -1})
    proto, x = graph(nodes, {"W": W, "B": B}), data(20, 4)
    with pytest.warns(pynn.TrainingWarning, match="LogSoftmax"):
        model = pynn.from_onnx(proto.SerializeToString())
    assert np.allclose(np.log(model.predict(x)), session(proto).run(None, {"X": x})[0], atol=1e-6)


def test_residual_sums():
    tensors = {"W": W, "V": V, "B": B, "g": B + 2}
    nodes = [
        ("MatMul", ["X", "W"], ["a"]), ("Relu", ["a"], ["b"]),
        ("LayerNormalization", ["b", "g", "B"], ["c"], {"axis": 1}), ("Gemm", ["c", "V", "B"], ["d"]),
        ("Gelu", ["d"], ["e"]), ("Gemm", ["e", "V"], ["f"]), ("Add", ["b", "f"], ["h"]),
        ("MatMul", ["h", "V"], ["i"]), ("Tanh", ["i"], ["j"]), ("Add", ["j", "h"], ["y"]),
    ]  # fmt: skip
    model = require_same(graph(nodes, tensors), tolerance=2e-6)
    assert [layer.spec.layers for layer in model.layers if type(layer.spec).__name__ == "Add"] == [3, 1]


def test_labels_are_left_out_and_classes_kept():
    nodes = [("MatMul", ["X", "W"], ["z"]), ("Softmax", ["z"], ["p"]), ("ArgMax", ["p"], ["i"], {"axis": 1}),
             ("ai.onnx.ml::ArrayFeatureExtractor", ["names", "i"], ["l"]),
             ("ai.onnx.ml::ZipMap", ["p"], ["q"], {"classlabels_strings": ["a", "b", "c"]})]  # fmt: skip
    proto = graph(nodes, {"W": W, "names": np.array(["a", "b", "c"], object)}, outputs=("l", "q"))
    model = pynn.from_onnx(proto.SerializeToString())
    model.compile("softmax_cross_entropy")
    x = data(20, 4)
    assert list(model.classify(x)) == [["a", "b", "c"][i] for i in (x @ W).argmax(1)]


def test_both_probabilities_of_a_sigmoid():
    nodes = [("MatMul", ["X", "W"], ["z"]), ("Add", ["z", "b"], ["a"]), ("Sigmoid", ["a"], ["p"]),
             ("Sub", ["one", "p"], ["q"]), ("Concat", ["q", "p"], ["y"], {"axis": 1})]  # fmt: skip
    require_same(graph(nodes, {"W": W[:, :1], "b": np.float32([[0.3]]), "one": np.float32([1])}))


def test_inputs_by_column():
    kind = onnx.TensorProto.FLOAT
    nodes = [helper.make_node("Concat", ["a", "b"], ["x"], axis=1), helper.make_node("MatMul", ["x", "W"], ["y"])]
    inputs = [helper.make_tensor_value_info(name, kind, [None, 1]) for name in "ab"]
    made = helper.make_graph(
        nodes, "g", inputs, [helper.make_tensor_value_info("y", kind, None)], [onnx.numpy_helper.from_array(W[:2], "W")]
    )
    model = pynn.from_onnx(helper.make_model(made, opset_imports=[helper.make_opsetid("", 21)]).SerializeToString())
    assert model.schema.names == ["a", "b"]
    x = data(5, 2)
    assert np.allclose(model.predict(x), x @ W[:2], atol=1e-6)


def test_several_inputs_that_are_no_columns_are_refused():
    proto = graph([("Sub", ["X", "mean"], ["a"]), ("MatMul", ["a", "W"], ["y"])], {"W": W})
    proto.graph.input.append(helper.make_tensor_value_info("mean", onnx.TensorProto.FLOAT, [1, 4]))
    proto.graph.node[0].input[1] = "mean"
    with pytest.raises(pynn.UnsupportedError, match=r"'Sub_0'.*several inputs"):
        pynn.from_onnx(proto.SerializeToString())


def test_one_of_several_outputs():
    nodes = [("MatMul", ["X", "W"], ["a"]), ("Relu", ["a"], ["b"]), ("MatMul", ["b", "V"], ["y"])]
    proto = graph(nodes, {"W": W, "V": V}, outputs=("y", "b"))
    with pytest.raises(pynn.UnsupportedError, match="'y', 'b'"):
        pynn.from_onnx(proto.SerializeToString())
    model = pynn.from_onnx(proto.SerializeToString(), output="b")
    x = data(5, 4)
    assert np.allclose(model.predict(x), np.maximum(x @ W, 0), atol=1e-6)


# ---- refused


REFUSED = {
    "LSTM": [("LSTM", ["X", "W", "V"], ["y"], {"hidden_size": 1})],
    "Conv": [("MatMul", ["X", "W"], ["a"]), ("Conv", ["a", "W"], ["y"])],
    "no activation": [("MatMul", ["X", "W"], ["a"]), ("Sin", ["a"], ["y"])],
    "hard tanh": [("MatMul", ["X", "W"], ["a"]), ("ThresholdedRelu", ["a"], ["b"]), ("MatMul", ["b", "V"], ["y"])],
    "another sigmoid": [("MatMul", ["X", "W"], ["a"]), ("HardSigmoid", ["a"], ["y"])],
    "over the batch": [("Transpose", ["X"], ["x"]), ("MatMul", ["x", "W"], ["y"])],
    "rows and columns": [("MatMul", ["X", "W"], ["a"]), ("Softmax", ["a"], ["y"], {"axis": 0})],
    "rows joined": [("MatMul", ["X", "W"], ["a"]), ("Reshape", ["a", "minus"], ["y"])],
    "both from data": [("MatMul", ["X", "W"], ["a"]), ("Mul", ["a", "b"], ["y"])],
    "two branches": [("MatMul", ["X", "W"], ["a"]), ("MatMul", ["X", "W"], ["b"]), ("Add", ["a", "b"], ["y"])],
    "widths": [("MatMul", ["X", "V"], ["y"])],
    "bias": [("Gemm", ["X", "W", "long"], ["y"])],
    "matrix": [("MatMul", ["X", "W"], ["a"]), ("Add", ["a", "V"], ["y"])],
    "attribute": [("Gemm", ["X", "W"], ["y"], {"gamma": 2})],
    "training": [("MatMul", ["X", "W"], ["a"]), ("Dropout", ["a", "half", "true"], ["y"])],
    "no matrix": [("Relu", ["X"], ["y"])],
    "infinite": [("MatMul", ["X", "inf"], ["y"])],
    "constant": [("MatMul", ["W", "V"], ["y"])],
    "log of probabilities": [
        ("MatMul", ["X", "W"], ["a"]), ("LogSoftmax", ["a"], ["b"]), ("MatMul", ["b", "V"], ["y"])
    ],
}  # fmt: skip


AT_FAULT = {"two branches": "MatMul_1", "hard tanh": "ThresholdedRelu_1"}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_chain_of_layers_is_refused(case):
    tensors = {
        "W": W, "V": V, "minus": np.array([-1, 1]), "long": np.zeros(4, np.float32), "half": np.float32(0.5),
        "true": np.array(True), "inf": np.full((4, 3), np.inf, np.float32),
    }  # fmt: skip
    nodes = REFUSED[case]
    if case == "both from data":
        nodes = [nodes[0], ("MatMul", ["a", "V"], ["b"]), nodes[1]]
    proto = graph(nodes, tensors)
    with pytest.raises((pynn.UnsupportedError, pynn.FileFormatError)) as caught:
        pynn.from_onnx(proto.SerializeToString())
    if case not in ("no matrix", "constant", "log of probabilities"):
        assert AT_FAULT.get(case, f"{nodes[-1][0]}_{len(nodes) - 1}") in str(caught.value)


def broken(change):
    proto = graph([("Gemm", ["X", "W", "B"], ["a"]), ("Relu", ["a"], ["y"])], {"W": W, "B": B})
    change(proto)
    return proto.SerializeToString()


def swap_nodes(proto):
    nodes = list(proto.graph.node)[::-1]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)


def make_cycle(proto):
    proto.graph.node[0].input[0] = "y"


BROKEN = {
    "long data": lambda proto: setattr(proto.graph.initializer[0], "raw_data", W.tobytes() + b"\0\0\0\0"),
    "short data": lambda proto: setattr(proto.graph.initializer[0], "raw_data", W.tobytes()[:-4]),
    "negative size": lambda proto: proto.graph.initializer[0].dims.__setitem__(0, -4),
    "huge size": lambda proto: proto.graph.initializer[0].dims.__setitem__(0, 1 << 40),
    "name twice": lambda proto: proto.graph.initializer.append(proto.graph.initializer[0]),
    "output twice": lambda proto: proto.graph.node[1].output.__setitem__(0, "a"),
    "order": swap_nodes,
    "cycle": make_cycle,
    "unknown input": lambda proto: proto.graph.node[1].input.__setitem__(0, "nothing"),
    "unknown output": lambda proto: setattr(proto.graph.output[0], "name", "nothing"),
    "no outputs": lambda proto: proto.graph.output.__delitem__(0),
    "no graph": lambda proto: proto.ClearField("graph"),
    "no opset": lambda proto: proto.ClearField("opset_import"),
    "attribute twice": lambda proto: proto.graph.node[0].attribute.extend(
        [helper.make_attribute("alpha", 1.0), helper.make_attribute("alpha", 2.0)]
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_are_refused(case):
    with pytest.raises(pynn.FileFormatError):
        pynn.from_onnx(broken(BROKEN[case]))


@pytest.mark.parametrize("data", [b"", b"\0", b"PK\3\4" + bytes(100), bytes(1000), b"\x08\x0a"])
def test_other_bytes_are_refused(data):
    with pytest.raises(pynn.FileFormatError):
        pynn.from_onnx(data)


def test_newer_operators_and_functions_are_refused():
    def newer(proto):
        proto.opset_import[0].version = 999

    def functions(proto):
        proto.functions.append(helper.make_function("f", "own", ["x"], ["y"], [], []))

    for change in (newer, functions):
        with pytest.raises(pynn.UnsupportedError):
            pynn.from_onnx(broken(change))


def external(folder, location, **entries):
    proto = graph([("MatMul", ["X", "W"], ["y"])], {"W": W})
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in ({"location": location} | entries).items():
        tensor.external_data.add(key=key, value=str(value))
    (folder / "m.onnx").write_bytes(proto.SerializeToString())
    return folder / "m.onnx"


def test_tensors_in_another_file_of_the_folder(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights").write_bytes(b"12345678" + W.tobytes())
    (tmp_path / "outside").write_bytes(W.tobytes())
    (folder / "link").symlink_to(tmp_path / "outside")
    x = data(5, 4)
    model = pynn.load(external(folder, "weights", offset=8, length=W.nbytes))
    assert np.allclose(model.predict(x), x @ W, atol=1e-6)
    for location, entries in (
        ("../outside", {}), (str(tmp_path / "outside"), {}), ("link", {}), ("", {}), (".", {}), ("none", {}),
        ("weights", {"offset": 9}), ("weights", {"offset": -8}), ("weights", {"length": 4}),
        ("weights", {"offset": "x"}),
    ):  # fmt: skip
        with pytest.raises(pynn.FileFormatError):
            pynn.load(external(folder, location, **entries))
    with pytest.raises(pynn.FileFormatError, match="in the bytes"):
        pynn.from_onnx((folder / "m.onnx").read_bytes())


def test_memory_is_bounded_by_the_file():
    """Graphs of a few hundred bytes that ask for gigabytes."""
    twice = [("Concat", [f"c{i}", f"c{i}"], [f"c{i + 1}"], {"axis": 0}) for i in range(30)]
    shared = [("MatMul", [f"x{i}" if i else "X", "S"], [f"x{i + 1}"]) for i in range(4000)]
    square = np.ones((64, 64), np.float32)
    for nodes, tensors in (
        ([*twice, ("MatMul", ["X", "c30"], ["y"])], {"c0": W}),
        ([("Add", ["row", "column"], ["W"]), ("MatMul", ["X", "W"], ["y"])],
         {"row": np.ones((1, 60_000), np.float32), "column": np.ones((60_000, 1), np.float32)}),
        ([*shared, ("Identity", ["x4000"], ["y"])], {"S": square}),
    ):  # fmt: skip
        proto = graph(nodes, tensors, width=64 if "S" in tensors else 4)
        with pytest.raises(pynn.PynnError):
            pynn.from_onnx(proto.SerializeToString())


# ---- other programs, where they are installed


@pytest.mark.parametrize("dynamo", [False, True])
def test_graphs_of_pytorch(tmp_path, dynamo):
    torch = pytest.importorskip("torch")
    if dynamo:
        pytest.importorskip("onnxscript")
    nn = torch.nn
    torch.manual_seed(0)
    x = torch.randn(6, 1, 2, 3)
    module = nn.Sequential(
        nn.Flatten(), nn.Linear(6, 8), nn.BatchNorm1d(8), nn.LeakyReLU(0.2), nn.Dropout(), nn.Linear(8, 8), nn.GELU(),
        nn.LayerNorm(8), nn.Linear(8, 8, bias=False), nn.SiLU(), nn.Linear(8, 3), nn.Softmax(dim=1),
    ).eval()  # fmt: skip
    module[2].running_mean.normal_()
    path = str(tmp_path / "m.onnx")
    if dynamo:
        torch.onnx.export(module, (x,), path, dynamo=True, verbose=False)
    else:
        torch.onnx.export(module, (x,), path, dynamo=False)
    found = pynn.load(path).predict(x.numpy().reshape(6, -1))
    assert np.abs(found - module(x).detach().numpy()).max() <= 5e-7


@pytest.mark.parametrize("zipmap", [False, True])
@pytest.mark.parametrize("classes", [2, 3])
def test_graphs_of_scikit_learn(classes, zipmap):
    skl2onnx = pytest.importorskip("skl2onnx")
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x = data(100, 4)
    y = np.array(["a", "b", "c"])[np.digitize(x[:, 0], [0, 0.7] if classes == 3 else [0])]
    pipe = make_pipeline(StandardScaler(), MLPClassifier((6, 5), max_iter=20, random_state=0)).fit(x, y)
    made = skl2onnx.to_onnx(pipe, x[:1], target_opset=18, options={"zipmap": zipmap})
    model = pynn.from_onnx(made.SerializeToString())
    assert np.abs(model.predict(x) - pipe.predict_proba(x)).max() <= 1e-6
    assert model.schema.classes == tuple("abc"[:classes])
