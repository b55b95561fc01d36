"""Layers, losses and optimizers as the Python that makes them."""

import pytest

import pynn
from pynn.layers.written import written

VALUES = [
    pynn.Dense(3, activation="relu"),
    pynn.Dense(3, activation="relu", kernel_initializer="zeros"),
    pynn.Dense(3, kernel_regularizer=pynn.regularizers.L2(0.1), kernel_constraint="non_neg"),
    pynn.Dense(3, activation=pynn.activations.LeakyReLU(negative_slope=0.3)),
    pynn.Normalization(missing="mean", columns=[0, 2]),
    pynn.Residual([pynn.LayerNormalization(), pynn.Dense(3, activation="gelu"), pynn.Dropout(0.1)]),
    pynn.Categorical([0], sizes=[4]),
    pynn.GaussianNoise(0.1),
    pynn.SGD(pynn.schedules.ExponentialDecay(0.1, 10, 0.5), momentum=0.9),
    pynn.Adam(global_clipnorm=1.0),
    pynn.losses.Huber(delta=2.0),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_what_is_written_makes_the_same(value):
    assert eval(written(value), {"pynn": pynn}) == value


def test_defaults_are_left_out():
    assert written(pynn.Dense(10, activation="relu")) == 'pynn.Dense(10, activation="relu")'
    assert written(pynn.losses.get("mse")) == '"mean_squared_error"'
    assert written(pynn.Adam()) == "pynn.Adam()"
