"""export_c: the header computes what predict computes, compiles everywhere without a warning, and refuses nonsense."""

import os
import shutil
import subprocess

import numpy as np
import pytest

import pynn
from pynn import _core

STRICT = ["-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror", "-ffp-contract=off", "-O2"]
COMPILERS = {
    "gcc": ["gcc", "-std=c99"],
    "clang": ["clang", "-std=c99"],
    "g++": ["g++", "-std=c++11", "-x", "c++"],
    "clang++": ["clang++", "-std=c++17", "-x", "c++"],
}
PROGRAM = """
#include "net.h"
#include <stdio.h>

int main(void) {
  float x[NET_INPUTS], y[NET_OUTPUTS];
  while (fread(x, sizeof x, 1, stdin)) {
    net_predict(x, y);
    fwrite(y, sizeof y, 1, stdout);
  }
  return net_self_test();
}
"""


def network(layers, inputs, loss=None, seed=0, dtype="float32"):
    model = pynn.Sequential(layers, seed=seed, dtype=dtype)
    if loss is not None:
        model.compile(loss=loss)
    model.build(inputs)
    for layer in model.layers:  # biases that matter
        if getattr(layer.spec, "use_bias", False):
            layer.bias = np.random.default_rng(layer.index).normal(size=layer.spec.units)
    return model


def predictions(
    folder, x, outputs, compiler="gcc", flags=(), source=PROGRAM, takes=np.float32, gives=np.float32
):  # fmt: skip
    """What the compiled header predicts, after its self-test."""
    if shutil.which(COMPILERS[compiler][0]) is None:
        pytest.skip(f"no {compiler}")
    (folder / "main.c").write_text(source)
    program = folder / f"main-{compiler}"
    subprocess.run(
        [*COMPILERS[compiler], *STRICT, *flags, str(folder / "main.c"), "-o", str(program), "-lm"], check=True
    )
    x = np.ascontiguousarray(x, takes)
    result = subprocess.run([str(program)], input=x.tobytes(), stdout=subprocess.PIPE, check=True)
    return np.frombuffer(result.stdout, gives).reshape(len(x), outputs)


def on(cpu, model, x):
    """Predictions with the kernels of one processor target."""
    core = _core.Model(_core.Context(cpu=cpu, threads=1), model.inputs, model.core.layers)
    np.asarray(core.parameters)[...] = model.parameters
    if model.core.loss is not None:
        core.set_loss(model.core.loss)
    return core.predict(np.ascontiguousarray(x, np.float32), np.empty((len(x), model.outputs), np.float32))


def inputs(rows, columns, scale=1.0):
    return (scale * np.random.default_rng(7).normal(size=(rows, columns))).astype(np.float32)


@pytest.fixture(scope="module")
def digits():
    (x, y), (xt, yt) = pynn.datasets.digits()
    model = pynn.Sequential([pynn.Dense(64, activation="relu"), pynn.Dense(10)], seed=0)
    model.compile(loss="softmax_cross_entropy", optimizer=pynn.Adam(learning_rate=2e-3), metrics=["accuracy"])
    model.fit(x, y, epochs=3, batch_size=64)
    return model, xt, yt


@pytest.mark.parametrize("compiler", COMPILERS)
def test_every_activation_gives_the_bits_of_the_baseline_kernels(compiler, tmp_path):
    names = list(pynn.activations.table.rows)
    model = network([pynn.Dense(24, activation=name) for name in names], 5, seed=3)
    model.export_c(tmp_path / "net.h")
    x = inputs(50, 5, 4)
    flags = ["-DNET_FMA=0"]
    assert np.array_equal(predictions(tmp_path, x, 24, compiler, flags), on("baseline", model, x))


def test_with_fused_multiply_add_it_gives_the_bits_of_those_kernels(tmp_path):
    if _core.Context().cpu == "baseline":
        pytest.skip("this processor has no fused multiply-add")
    names = list(pynn.activations.table.rows)
    model = network([pynn.Dense(40, activation=name) for name in names], 9, seed=5)
    model.export_c(tmp_path / "net.h")
    x = inputs(50, 9, 4)
    assert np.array_equal(predictions(tmp_path, x, 40, flags=["-march=native", "-DNET_FMA=1"]), on(None, model, x))


@pytest.mark.parametrize(
    ("loss", "outputs"), [("mse", 3), ("softmax_cross_entropy", 4), ("binary_crossentropy", 1), (None, 2)]
)
@pytest.mark.parametrize("hidden", [[], [7], [9, 3, 5]])
def test_links_depths_and_missing_biases(loss, outputs, hidden, tmp_path):
    layers = [pynn.Dense(n, activation="tanh", use_bias=n != 3) for n in hidden]
    model = network([*layers, pynn.Dropout(0.3), pynn.Dense(outputs)], 6, loss)
    exported = model.export_c(tmp_path / "net.h")
    x = inputs(20, 6)
    assert np.array_equal(predictions(tmp_path, x, outputs, flags=["-DNET_FMA=0"]), on("baseline", model, x))
    weights = [layer.kernel.nbytes for layer in model.layers if layer.spec.kind == "dense"]
    biases = [layer.bias.nbytes for layer in model.layers if getattr(layer.spec, "use_bias", False)]
    assert exported.flash_bytes == sum(weights) + sum(biases)
    assert exported.scratch_bytes == 4 * (max(hidden[0::2], default=0) + max(hidden[1::2], default=0))


def test_a_last_activation_that_is_the_link_is_applied_once(tmp_path):
    model = network([pynn.Dense(5, activation="softmax")], 4, "softmax_cross_entropy")
    model.export_c(tmp_path / "net.h")
    x = inputs(10, 4)
    found = predictions(tmp_path, x, 5, flags=["-DNET_FMA=0"])
    assert np.array_equal(found, on("baseline", model, x))
    assert np.allclose(found.sum(1), 1, rtol=1e-6)


def doubles(folder, x, outputs, compiler="gcc", flags=()):
    """What a header of doubles predicts, after its self-test."""
    program = PROGRAM.replace(
        "float x[NET_INPUTS], y[NET_OUTPUTS]", "net_input x[NET_INPUTS]; net_output y[NET_OUTPUTS]"
    )
    return predictions(folder, x, outputs, compiler, flags, program, np.float64, np.float64)


@pytest.mark.parametrize("compiler", COMPILERS)
def test_float64_models_are_exported_in_float64_to_the_bit(compiler, tmp_path):
    names = list(pynn.activations.table.rows)
    layers = [pynn.Normalization(), *[pynn.Dense(12, activation=name) for name in names], pynn.LayerNormalization()]
    model = network([*layers, pynn.Residual([pynn.Dense(12)]), pynn.Dense(3)], 5, "softmax_cross_entropy",
                    dtype="float64")  # fmt: skip
    x = np.random.default_rng(3).normal(size=(40, 5))
    model.adapt(x)
    exported = model.export_c(tmp_path / "net.h", calibration=x)
    core = _core.Model(_core.Context(cpu="baseline", threads=1), 5, model.core.layers, "float64")
    np.asarray(core.parameters)[...] = model.parameters
    np.asarray(core.state)[...] = np.asarray(model.core.state)
    core.set_loss(model.core.loss)
    found = doubles(tmp_path, x, 3, compiler, ["-DNET_FMA=0"])
    assert np.array_equal(found, core.predict(x, np.empty((40, 3))))
    assert exported.max_error < 1e-12
    assert "float64 weights" in (tmp_path / "net.h").read_text()


def test_float32_weights_of_a_float64_model_are_asked_for(tmp_path):
    model = network([pynn.Dense(16, activation="gelu"), pynn.Dense(2)], 3, "mse", dtype="float64")
    x = inputs(30, 3)
    exported = model.export_c(tmp_path / "net.h", weights="float32", calibration=x)
    assert 0 < exported.max_error < 1e-5
    assert np.allclose(predictions(tmp_path, x, 2), model.predict(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weights", [None, "float32", "int8"])
def test_numbers_far_from_0_are_doubles(weights, dtype, tmp_path):
    rng = np.random.default_rng(0)
    X = np.column_stack([1.7e9 + 30 * rng.normal(size=200), rng.normal(size=200)])
    y = 5.4e6 + 0.3 * (X[:, 0] - 1.7e9) / 30
    model = pynn.Sequential(
        [pynn.Normalization(), pynn.Dense(16, activation="relu"), pynn.Dense(1)], seed=0, dtype=dtype
    )
    model.compile("mse", pynn.Adam(learning_rate=0.01), target_scaling="standard")
    model.fit(X, y, epochs=100)
    exported = model.export_c(tmp_path / "net.h", weights=weights, calibration=X)
    found = doubles(tmp_path, X, 1)
    assert 1 - ((found[:, 0] - y) ** 2).mean() / y.var() > 0.99
    assert np.abs(found - model.predict(X)).max() <= 1.001 * exported.max_error + 1e-8
    assert exported.max_error < (0.05 if weights == "int8" else 1e-5)
    text = (tmp_path / "net.h").read_text()
    assert ("Its inputs and outputs are doubles" in text) == (dtype == "float32" or weights is not None)


def test_int8_weights_cost_what_is_said(digits, tmp_path):
    model, xt, yt = digits
    exported = model.export_c(tmp_path / "net.h", weights="int8", calibration=xt)
    found = predictions(tmp_path, xt, 10)
    expected = model.predict(xt)
    assert exported.flash_bytes == 784 * 64 + 64 * 10 + 2 * 4 * (64 + 10)
    assert np.isclose(np.abs(found - expected).max(), exported.max_error, rtol=1e-3)
    assert np.mean(found.argmax(1) == expected.argmax(1)) == pytest.approx(exported.agreement, abs=1e-3)
    assert exported.agreement > 0.99
    right, was = (np.mean(p.argmax(1) == yt) for p in (found, expected))
    assert right > was - 0.005
    assert f"{100 * exported.agreement:.2f} %" in (tmp_path / "net.h").read_text()


def test_labels_classes_and_both_linkages(digits, tmp_path):
    model, xt, _ = digits
    labels = ["zero", "één", 'quote " and \\ and ?', *map(str, range(3, 10))]
    model.export_c(tmp_path / "my-net.v2.h", labels=labels, linkage="extern")
    (tmp_path / "main.c").write_text(
        '#include "my-net.v2.h"\n#include <stdio.h>\nint helper(const float *x);\nint main(void) {\n'
        "  float x[MY_NET_INPUTS];\n  while (fread(x, sizeof x, 1, stdin)) {\n"
        "    if (helper(x) != my_net_classify(x)) return 1;\n    puts(my_net_label(my_net_classify(x)));\n  }\n"
        "  return my_net_self_test() || *my_net_label(10) || *my_net_label(-1);\n}\n"
    )
    (tmp_path / "helper.c").write_text(
        '#define MY_NET_IMPLEMENTATION\n#include "my-net.v2.h"\nint helper(const float *x);\n'
        "int helper(const float *x) { return my_net_classify(x); }\n"
    )
    command = ["gcc", "-std=c99", *STRICT, "main.c", "helper.c", "-o", "main"]
    subprocess.run(command, check=True, cwd=tmp_path)
    result = subprocess.run(["./main"], input=xt[:50].tobytes(), stdout=subprocess.PIPE, check=True, cwd=tmp_path)
    assert result.stdout.decode().splitlines() == [labels[i] for i in model.predict(xt[:50]).argmax(1)]


def test_the_self_test_finds_a_changed_weight(tmp_path):
    model = network([pynn.Dense(8, activation="relu"), pynn.Dense(3)], 4, "softmax_cross_entropy")
    model.export_c(tmp_path / "net.h")
    text = (tmp_path / "net.h").read_text()
    start = text.index("net_bias_1[3] = {") + len("net_bias_1[3] = {")
    (tmp_path / "net.h").write_text(f"{text[:start]} 1.0f +{text[start:].lstrip()}")
    with pytest.raises(subprocess.CalledProcessError) as failure:
        predictions(tmp_path, inputs(1, 4), 3)
    assert failure.value.returncode > 0


def test_it_needs_no_library_at_all(digits, tmp_path):
    digits[0].export_c(tmp_path / "net.h")
    (tmp_path / "net.c").write_text('#define NET_NO_SELF_TEST\n#include "net.h"\nvoid f(const float *x, float *y);\n'
                                    "void f(const float *x, float *y) { net_predict(x, y); }\n")  # fmt: skip
    subprocess.run(["gcc", "-std=c99", "-O2", "-c", "net.c"], check=True, cwd=tmp_path)
    symbols = subprocess.run(["nm", "-u", "net.o"], capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    assert set(symbols.split()) - {"U"} <= {"memcpy", "memset", "__stack_chk_fail", "_GLOBAL_OFFSET_TABLE_"}


def test_it_compiles_for_a_microcontroller(digits, tmp_path):
    compiler = shutil.which("arm-none-eabi-gcc")
    if compiler is None:
        pytest.skip("no arm-none-eabi-gcc")
    digits[0].export_c(tmp_path / "net.h", weights="int8", linkage="extern")
    (tmp_path / "net.c").write_text('#define NET_IMPLEMENTATION\n#include "net.h"\n')
    for cpu in (["-mcpu=cortex-m0"], ["-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"]):
        command = [compiler, *cpu, "-mthumb", "-std=c99", *STRICT, "-Os", "-c", "net.c", "-o", "net.o"]
        subprocess.run(command, check=True, cwd=tmp_path)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"weights": "int4"}, ValueError, "expected weights as one of"),
        ({"linkage": "dynamic"}, ValueError, "expected linkage as one of"),
        ({"name": "2fast"}, ValueError, "expected name as a C identifier"),
        ({"name": "int"}, ValueError, "expected name as a C identifier"),
        ({"name": 3}, TypeError, "expected name as a string"),
        ({"labels": ["a"]}, ValueError, "expected 3 labels"),
        ({"labels": "abc"}, TypeError, "expected labels as a sequence"),
        ({"labels": [1, 2, 3]}, TypeError, "expected labels as a sequence"),
        ({"calibration": np.zeros((3, 5))}, ValueError, "calibration"),
        ({"calibration": np.zeros((0, 4))}, ValueError, "calibration"),
    ],
)
def test_bad_arguments_are_refused_and_nothing_is_written(options, error, message, tmp_path):
    model = network([pynn.Dense(3)], 4)
    with pytest.raises(error, match=message):
        model.export_c(tmp_path / "net.h", **options)
    assert not list(tmp_path.iterdir())


def test_a_model_with_nan_or_without_shape_is_refused(tmp_path):
    model = network([pynn.Dense(3)], 4)
    model.parameters[2] = np.nan
    with pytest.raises(ValueError, match="finite parameters"):
        model.export_c(tmp_path / "net.h")
    with pytest.raises(pynn.NotReadyError):
        pynn.Sequential([pynn.Dense(3)]).export_c(tmp_path / "net.h")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(pynn, "Normalization"), reason="needs those layers")
def test_every_kind_of_layer_gives_the_bits_of_the_kernels(tmp_path):
    """Normalization, categories, residual blocks, batch and layer normalization, noise, targets in their own units."""
    rng = np.random.default_rng(0)
    x = np.hstack([rng.normal(5, 3, (400, 3)), rng.integers(0, 4, (400, 2))]).astype(np.float32)
    y = np.c_[x[:, 0] * 10 + x[:, 3], x[:, 1] - 100].astype(np.float32)
    model = pynn.Sequential(
        [
            pynn.Normalization(columns=(0, 1, 2), clip=2.0),
            pynn.Categorical(columns=(3, 4), dimension=3),
            pynn.Dense(12),
            pynn.BatchNormalization(),
            pynn.Activation("gelu"),
            pynn.Residual([pynn.LayerNormalization(), pynn.Dense(12, activation="tanh"), pynn.Dropout(0.1)]),
            pynn.GaussianNoise(0.01),
            pynn.Residual([pynn.Dense(7, activation="relu"), pynn.Dense(12)]),
            pynn.Dense(2),
        ],
        seed=1,
    )
    model.compile(loss="mse", optimizer="adam", target_scaling="standard")
    model.fit(x, y, epochs=3, batch_size=32)
    x[0, 3], x[1, 4], x[2, 0] = 9, np.nan, 1e6  # unknown codes, and beyond the clip
    exported = model.export_c(tmp_path / "net.h", calibration=x)
    found = predictions(tmp_path, x, 2, flags=["-DNET_FMA=0"])
    expected = model.predict(x)
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-4)
    assert exported.max_error < 1e-3
    if _core.Context().cpu != "baseline":
        fused = predictions(tmp_path, x, 2, flags=["-march=native", "-DNET_FMA=1"])
        assert np.array_equal(fused, expected)


@pytest.mark.skipif(not hasattr(pynn, "Normalization"), reason="needs those layers")
def test_one_hot_codes(tmp_path):
    model = network([pynn.Categorical(columns=(1,), sizes=(3,)), pynn.Dense(2)], 3)
    x = np.array([[0.5, 0, 1], [0.5, 2, 1], [0.5, 3, 1], [0.5, -1, 1], [0.5, 1.5, 1]], np.float32)
    model.export_c(tmp_path / "net.h")
    assert np.array_equal(predictions(tmp_path, x, 2, flags=["-DNET_FMA=0"]), on("baseline", model, x))


@pytest.mark.skipif(not hasattr(pynn, "Normalization"), reason="needs those layers")
def test_a_normalization_without_data_is_refused(tmp_path):
    model = network([pynn.Normalization(), pynn.Dense(2)], 3)
    with pytest.raises(pynn.NotReadyError, match="adapted to data"):
        model.export_c(tmp_path / "net.h")


def compiled(folder, body):
    """What a program with the header prints."""
    (folder / "one.c").write_text(f'#include "net.h"\n#include <stdio.h>\nint main(void) {{ {body} }}\n')
    subprocess.run(["gcc", "-std=c99", *STRICT, str(folder / "one.c"), "-o", str(folder / "one"), "-lm"], check=True)
    return subprocess.run([folder / "one"], capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize("first", ["plain", "normalized", "partly", "residual"])
def test_gaps_are_filled_in_as_in_training(first, tmp_path):
    X = np.random.default_rng(0).normal((0, 5, 0), size=(300, 3)).astype(np.float32)
    y = (X[:, 0] > 0).astype(int)
    X[::5, 1], X[1::7, 2] = np.nan, np.inf
    layers = {
        "plain": [], "normalized": [pynn.Normalization()], "partly": [pynn.Normalization(columns=[0, 2], clip=2)],
        "residual": [pynn.Residual([pynn.Dense(3)])],
    }[first]  # fmt: skip
    model = pynn.Sequential([*layers, pynn.Dense(8, activation="relu"), pynn.Dense(2)], seed=0)
    model.compile("softmax_cross_entropy")
    model.fit(X, y, on_bad_rows="impute", epochs=3)
    model.export_c(tmp_path / "net.h", calibration=X)
    found = predictions(tmp_path, X, 2, flags=["-DNET_FMA=0"])
    assert np.isfinite(found).all()
    assert np.allclose(found, model.predict(X), rtol=1e-5, atol=1e-6)
    assert "NaN and infinite inputs are replaced" in (tmp_path / "net.h").read_text()


def test_the_header_names_columns_codes_and_classes(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({
        "income */ \\": [1.0, 2.0, 3.0, 4.0] * 5, "home": ["own", "rent", "größer", "/*"] * 5,
        "y": ["paid", "late"] * 10,
    })  # fmt: skip
    model = pynn.Sequential([pynn.Categorical([1]), pynn.Dense(2)], seed=0)
    model.compile("softmax_cross_entropy")
    model.fit(frame, target="y")
    model.export_c(tmp_path / "net.h")
    text = (tmp_path / "net.h").read_text()
    assert r"x[0]  income *\057 \134" in text
    assert r'x[1]  home: 1 "\057*", 2 "gr\303\266\303\237er", 3 "own", 4 "rent"; 0 for anything else' in text
    assert 'Classes: 0 "late", 1 "paid"' in text
    assert compiled(tmp_path, "puts(net_label(0)); puts(net_label(1)); return 0;") == ["late", "paid"]
    model.export_c(tmp_path / "net.h", labels=["l", "p"])
    assert compiled(tmp_path, "puts(net_label(1)); return 0;") == ["p"]
    several = pynn.Sequential([pynn.Dense(2)], seed=0)
    several.compile("mse")
    several.fit(frame.assign(b=1.0, home=2.0), target=["income */ \\", "b"], exclude=["y"])
    several.export_c(tmp_path / "net.h")
    assert r"Predicts income *\057 \134, b." in (tmp_path / "net.h").read_text()


def test_several_sigmoids_are_classified_one_by_one(tmp_path):
    model = network([pynn.Dense(3)], 2, "sigmoid_cross_entropy")
    model.export_c(tmp_path / "net.h", labels=["red", "round", "ripe"])
    x = inputs(1, 2)
    row = ", ".join(f"{v}f" for v in x[0])
    body = f"const float x[] = {{{row}}}; int c[3]; net_classify(x, c); "
    body += 'printf("%d %d %d %s", c[0], c[1], c[2], net_label(2)); return 0;'
    assert compiled(tmp_path, body) == [*map(str, (model.predict(x)[0] > 0.5).astype(int)), "ripe"]
    assert "Outputs: 0" in (tmp_path / "net.h").read_text()


def test_numbers_have_no_class(tmp_path):
    network([pynn.Dense(3)], 2, "mse").export_c(tmp_path / "net.h")
    assert "classify" not in (tmp_path / "net.h").read_text()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_full_disk_leaves_nothing_and_names_the_file(tmp_path, monkeypatch):
    model = network([pynn.Dense(3)], 2)
    model.export_c(tmp_path / "net.h")
    before = (tmp_path / "net.h").read_text()
    real = open

    def full(path, *arguments, **options):
        if str(path).startswith(str(tmp_path / "net.h")):
            real(path, "w").close()
            return real("/dev/full", *arguments, **options)
        return real(path, *arguments, **options)

    monkeypatch.setattr("builtins.open", full)
    with pytest.raises(pynn.FileError, match=r"net\.h.*No space left"):
        model.export_c(tmp_path / "net.h", name="other")
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["net.h"]
    assert (tmp_path / "net.h").read_text() == before
    with pytest.raises(pynn.FileError, match=r"no/net\.h"):
        model.export_c(tmp_path / "no" / "net.h")
