"""Specs: made from the tables, frozen, checked when they are made, and back again from plain dicts."""

import dataclasses
import json
import pickle

import pytest

import pynn
from pynn import activations, initializers, losses, optimizers
from pynn.specs import class_name

MODULES = [activations, initializers, losses, optimizers]
ROWS = [pytest.param(m, name, id=f"{m.table.kind}-{name}") for m in MODULES for name in m.table.rows]


@pytest.mark.parametrize(("module", "name"), ROWS)
def test_every_row_is_a_class_with_its_defaults(module, name):
    row = module.table.rows[name]
    spec = getattr(module, class_name(name))()
    assert spec == module.get(name)
    assert dataclasses.is_dataclass(spec)
    for rule in row["fields"]:
        assert getattr(spec, rule["name"]) == rule["default"]
        assert type(getattr(spec, rule["name"])) is rule["type"]
    assert type(spec).__doc__.splitlines()[0]
    assert class_name(name) in dir(module)


@pytest.mark.parametrize(("module", "name"), ROWS)
def test_specs_round_trip(module, name):
    spec = module.get(name)
    assert module.get(json.loads(json.dumps(spec.to_dict()))) == spec
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert hash(module.get(spec.to_dict())) == hash(spec)


@pytest.mark.parametrize(("module", "name"), ROWS)
def test_aliases_name_the_same(module, name):
    for alias in module.table.rows[name]["aliases"]:
        assert module.get(alias) == module.get(name)


@pytest.mark.parametrize(("module", "name"), ROWS)
def test_numbers_are_kept_within_their_limits(module, name):
    cls = type(module.get(name))
    for rule in module.table.rows[name]["fields"]:
        argument = rule["name"]
        for bad in (float("nan"), float("inf"), "0.5", None):
            with pytest.raises((ValueError, TypeError), match=argument):
                cls(**{argument: bad})
        if rule["open_minimum"] or rule["minimum"] > -1e30:
            with pytest.raises(pynn.ArgumentValueError, match=f"{argument}=-1"):
                cls(**{argument: -1 if rule["minimum"] >= 0 else rule["minimum"] - 1})
        if rule["open_minimum"]:
            with pytest.raises(pynn.ArgumentValueError, match=argument):
                cls(**{argument: rule["minimum"]})


def test_specs_are_frozen():
    adam = pynn.Adam()
    with pytest.raises(dataclasses.FrozenInstanceError, match="set model"):
        adam.learning_rate = 1.0
    assert adam == pynn.Adam()


@pytest.mark.parametrize("module", MODULES)
def test_an_unknown_name_lists_the_valid_ones(module):
    with pytest.raises(pynn.UnknownNameError) as caught:
        module.get("no_such_thing")
    assert all(repr(name) in str(caught.value) for name in module.table.rows)


@pytest.mark.parametrize("module", MODULES)
def test_what_is_no_spec_is_refused(module):
    first = next(iter(module.table.rows))
    for bad in (3, object(), type(module.get(first))):
        with pytest.raises(pynn.ArgumentTypeError):
            module.get(bad)


def test_a_spec_of_another_kind_is_refused():
    with pytest.raises(pynn.ArgumentTypeError, match="activation"):
        pynn.Dense(3, activation=pynn.losses.MeanSquaredError())


def test_keras_names_and_aliases():
    assert losses.get("mse") == losses.get("mean_squared_error")
    assert losses.get("binary_crossentropy") == losses.get("sigmoid_cross_entropy")
    assert losses.get("sparse_categorical_crossentropy") == losses.get("softmax_cross_entropy")
    assert pynn.SGD(learning_rate=0.1, momentum=0.9, nesterov=True).nesterov is True
    assert pynn.initializers.RandomNormal(mean=1.0, stddev=0.1).stddev == 0.1
    assert pynn.Adam(0.01) == pynn.Adam(learning_rate=0.01, beta_1=0.9)


@pytest.mark.parametrize("bad", [0, -1, float("nan"), float("inf"), "1", True])
def test_global_clipnorm_is_positive(bad):
    with pytest.raises((ValueError, TypeError), match="global_clipnorm"):
        pynn.Adam(global_clipnorm=bad)


def test_layers_round_trip_through_plain_dicts():
    layers = [
        pynn.Dense(3, activation=activations.LeakyReLU(negative_slope=0.2), use_bias=False),
        pynn.Dense(2, kernel_initializer=initializers.Orthogonal(gain=2.0), bias_initializer="ones"),
        pynn.Dropout(0.25),
    ]
    for layer in layers:
        assert pynn.layers.from_dict(json.loads(json.dumps(layer.to_dict()))) == layer


def test_a_dense_layer_starts_as_its_activation_wants():
    assert pynn.Dense(3, activation="relu").kernel_initializer == initializers.get("he_normal")
    assert pynn.Dense(3, activation="tanh").kernel_initializer == initializers.get("glorot_uniform")


@pytest.mark.parametrize("bad", [0, -1, 1.5, "3", None, True, float("nan"), 2**40])
def test_units_is_a_positive_integer(bad):
    with pytest.raises((ValueError, TypeError), match=r"Dense\.units"):
        pynn.Dense(bad)


@pytest.mark.parametrize("bad", [1, 1.0, -0.1, float("nan"), "0.5"])
def test_dropout_is_in_zero_to_one(bad):
    with pytest.raises((ValueError, TypeError), match=r"Dropout\.rate"):
        pynn.Dropout(bad)
