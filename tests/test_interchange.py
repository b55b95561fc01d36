"""Numbers of a model as dictionaries and lists, and those of other programs by names and shapes; `pynn convert`."""

import numpy as np
import pytest

import pynn
from pynn import cli


def make(seed=0, dtype="float64"):
    layers = [
        pynn.Dense(6, activation="relu"), pynn.BatchNormalization(), pynn.Dense(6), pynn.LayerNormalization(),
        pynn.Dense(2, use_bias=False),
    ]  # fmt: skip
    model = pynn.Sequential(layers, seed=seed, dtype=dtype).build(6)
    model.parameters[...] = np.random.default_rng(seed).normal(size=model.parameters.size)
    return model


X = np.random.default_rng(5).normal(size=(20, 6))


def named(model, spell):
    """The tensors of a model under names of another program, in an order of its own."""
    return dict(sorted(spell(place, values) for place, values in model._network.tensors.items()))


def as_torch(place, values):
    roles = {"kernel": "weight", "gamma": "weight", "beta": "bias", "moving_mean": "running_mean",
             "moving_variance": "running_var"}  # fmt: skip
    layer, name = place
    return f"net.layer{layer + 8}.{roles.get(name, name)}", values.T if name == "kernel" else values


def as_keras(place, values):
    return f"params/dense_{place[0] + 8}/{place[1]}", values


def test_state_dict_and_weights_come_back():
    model, other = make(1), make(2)
    state = model.state_dict()
    assert list(state)[:2] == ["0.kernel", "0.bias"]
    assert state["1.moving_variance"].shape == (6,)
    other.load_state_dict(state)
    assert np.array_equal(other.predict(X), model.predict(X))
    third = make(3)
    third.set_weights(model.get_weights())
    assert np.array_equal(third.predict(X), model.predict(X))
    state["0.kernel"][...] = 0
    assert np.array_equal(third.predict(X), model.predict(X))


@pytest.mark.parametrize("spell", [as_torch, as_keras])
def test_other_programs_names_are_matched_by_shapes_and_numbers(spell):
    model, other = make(1), make(2)
    state = named(model, spell)
    other.load_state_dict({name: state[name] for name in sorted(state, reverse=True)})
    assert np.array_equal(other.predict(X), model.predict(X))


def test_what_does_not_match_is_listed_and_nothing_is_changed():
    model, before = make(1), make(1).parameters.copy()
    state = named(make(2), as_torch)
    state["net.layer12.weight"] = np.zeros((3, 6))
    state["net.position"] = np.zeros(4)
    with pytest.raises(pynn.ShapeError) as caught:
        model.load_state_dict(state)
    text = str(caught.value)
    assert "layer 4, kernel (6, 2): nothing fits" in text
    assert "'net.layer12' with kernel (6, 3): fits no layer" in text
    assert "'net.position'" in text
    assert np.array_equal(model.parameters, before)


def test_layers_of_equal_shapes_need_names_that_tell_their_order():
    model, other = make(1), make(2)
    state = {
        name.replace("layer8", "first").replace("layer10", "second"): v for name, v in named(model, as_torch).items()
    }
    with pytest.raises(pynn.ArgumentValueError, match="say which layer each belongs to"):
        other.load_state_dict(state)
    other.load_state_dict(state, names={"net.first": 0, "net.second": 2})
    assert np.array_equal(other.predict(X), model.predict(X))
    other.load_state_dict(state, names={"net.first": 2, "net.second": 0})
    assert not np.array_equal(other.predict(X), model.predict(X))


def test_other_shapes_are_refused():
    model = make()
    with pytest.raises(pynn.ShapeError, match="expected 11 arrays"):
        model.set_weights([np.zeros(3)])
    with pytest.raises(pynn.ShapeError, match="kernel of layer 0"):
        model.set_weights([values[:1] for values in model.get_weights()])
    with pytest.raises(pynn.DtypeError, match="as numbers"):
        model.load_state_dict({"0.kernel": np.array(["a"])})


def test_convert_writes_what_the_suffix_says(tmp_path, capsys):
    source, target = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    make(1).save(source)
    assert cli.main(["convert", str(source), str(target)]) == 0
    assert np.array_equal(pynn.load(target).predict(X), make(1).predict(X))
    assert "a model file of pynn" in capsys.readouterr().out
    assert cli.main(["convert", str(source), str(tmp_path / "b.docx")]) == 1
    assert "ends in one of .safetensors" in capsys.readouterr().err


def test_weights_of_another_program_are_no_model(tmp_path):
    numpy = pytest.importorskip("safetensors.numpy")
    numpy.save_file({"0.weight": np.zeros((2, 3))}, tmp_path / "w.safetensors")
    with pytest.raises(pynn.FileFormatError, match=r"model\.load_weights"):
        pynn.load(tmp_path / "w.safetensors")


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_safetensors_of_another_program(tmp_path, dtype):
    numpy = pytest.importorskip("safetensors.numpy")
    model, other = make(1), make(2)
    state = {name: np.ascontiguousarray(v, dtype) for name, v in named(model, as_torch).items()}
    numpy.save_file(state, tmp_path / "w.safetensors")
    other.load_weights(tmp_path / "w.safetensors")
    assert np.array_equal(other.layers[0].kernel, model.layers[0].kernel.astype(dtype))
    model.save(tmp_path / "m.safetensors")
    other.load_weights(tmp_path / "m.safetensors")
    assert np.array_equal(other.predict(X), model.predict(X))


def test_bfloat16_is_widened(tmp_path):
    numpy = pytest.importorskip("safetensors.torch")
    torch = pytest.importorskip("torch")
    kernel = torch.linspace(-3, 3, 6, dtype=torch.bfloat16).reshape(2, 3)
    numpy.save_file({"0.weight": kernel, "0.bias": torch.ones(2)}, tmp_path / "w.safetensors")
    model = pynn.Sequential([pynn.Dense(2)]).build(3)
    model.load_weights(tmp_path / "w.safetensors")
    assert np.array_equal(model.layers[0].kernel, kernel.float().numpy().T)
