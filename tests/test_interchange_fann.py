"""FANN: layered networks of the C library, as it computes them; what cannot be equal is refused."""

import numpy as np
import pytest

import pynn

X = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
SIGMOID, SYMMETRIC, LINEAR, ELLIOT = 3, 5, 0, 11


def write(path, layers, *, kind=0, head="FANN_FLO_2.1", first=None):
    """Write a network of (weights with the bias in the last row, activation, steepness); returns the path."""
    sizes = [len(layers[0][0])] + [weights.shape[1] + 1 for weights, _, _ in layers]
    neurons, links, start = [(0, 0, 0.0)] * sizes[0], [], 0
    for (weights, activation, steepness), size in zip(layers, sizes[1:], strict=True):
        neurons += [(len(weights), activation, steepness)] * (size - 1) + [(0, 0, 0.0)]
        links += [(start + i, value) for column in weights.T for i, value in enumerate(column)]
        start += len(weights)
    if first is not None:
        links[0] = first
    path.write_text(
        f"{head}\nnum_layers={len(sizes)}\nnetwork_type={kind}\nlayer_sizes={' '.join(map(str, sizes))} \n"
        "scale_included=0\nneurons (num_inputs, activation_function, activation_steepness)="
        + "".join(f"({a}, {b}, {c:.20e}) " for a, b, c in neurons)
        + "\nconnections (connected_to_neuron, weight)=" + "".join(f"({a}, {b:.20e}) " for a, b in links) + "\n"
    )  # fmt: skip
    return path


def weights(rows, columns, seed=0):
    return np.random.default_rng(seed).normal(size=(rows + 1, columns))


FUNCTIONS = {
    SIGMOID: lambda z: 1 / (1 + np.exp(-2 * z)), SYMMETRIC: np.tanh, LINEAR: lambda z: z,
    ELLIOT: lambda z: z / (1 + np.abs(z)),
}  # fmt: skip


@pytest.mark.parametrize("hidden", [SIGMOID, SYMMETRIC])
@pytest.mark.parametrize("last", FUNCTIONS)
@pytest.mark.parametrize("steepness", [0.25, 0.5, 2.0])
def test_outputs_are_those_of_fann(tmp_path, hidden, last, steepness):
    layers = [(weights(3, 5), hidden, steepness), (weights(5, 4, 1), ELLIOT, 0.5), (weights(4, 2, 2), last, steepness)]
    values = X.astype(np.float64)
    for matrix, activation, steep in layers:
        values = FUNCTIONS[activation](steep * (values @ matrix[:-1] + matrix[-1]))
    model = pynn.load(write(tmp_path / "m.net", layers))
    assert [layer.units for layer in model.layers] == [5, 4, 2]
    assert np.allclose(model.predict(X), values, atol=5e-7 * max(1, np.abs(values).max()))


def test_a_cap_that_can_be_reached_is_refused(tmp_path):
    hidden = (weights(3, 4), SYMMETRIC, 0.5)
    large = weights(4, 2, 1) * 1e3
    with pytest.raises(pynn.UnsupportedError, match="capped at 300"):
        pynn.load(write(tmp_path / "m.net", [hidden, (large, LINEAR, 0.5)]))
    with pytest.raises(pynn.UnsupportedError, match="can reach inf"):
        pynn.load(write(tmp_path / "m.net", [(weights(3, 2), LINEAR, 0.5)]))
    with pytest.raises(pynn.UnsupportedError, match=r"capped at 1\.5"):
        pynn.load(write(tmp_path / "m.net", [hidden, (weights(4, 2, 1), SIGMOID, 100.0)]))


@pytest.mark.parametrize("code", [1, 4, 6, 7, 10, 12, 14, 99])
def test_activations_that_pynn_has_not_are_named(tmp_path, code):
    with pytest.raises(pynn.UnsupportedError, match="in layer 1"):
        pynn.load(write(tmp_path / "m.net", [(weights(3, 2), code, 0.5)]))


def test_shortcuts_fixed_point_and_broken_files_are_refused(tmp_path):
    layers = [(weights(3, 4), SIGMOID, 0.5), (weights(4, 2), SIGMOID, 0.5)]
    with pytest.raises(pynn.UnsupportedError, match="shortcuts"):
        pynn.load(write(tmp_path / "m.net", layers, first=(6, 1.0)))
    with pytest.raises(pynn.UnsupportedError, match="floating point"):
        pynn.load(write(tmp_path / "m.net", layers, head="FANN_FIX_2.0"))
    text = write(tmp_path / "m.net", layers).read_text()
    for broken in (text[:300], text.replace("layer_sizes=4", "layer_sizes=40000"), text.replace("e-01", ",1"),
                   text.replace("e-01", "e+999"), text.replace("layer_sizes=", "layer_size=")):  # fmt: skip
        (tmp_path / "m.net").write_text(broken)
        with pytest.raises(pynn.FileFormatError):
            pynn.load(tmp_path / "m.net")
