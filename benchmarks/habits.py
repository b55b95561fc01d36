"""Sixty healthy programs, as people write them who come from Keras, scikit-learn and PyTorch: for false_alarms.py.

Each makes a compiled model, data and arguments of `fit` from a seed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import sklearn.datasets as packaged
from habits_data import classes, compiled, houses, mnist, packaged_set, relu, series, standard, table

import pynn
from pynn import BatchNormalization, Categorical, Dense, Dropout, LayerNormalization, Normalization, Residual

Run = tuple[pynn.Sequential, Any, Any, dict[str, Any]]
HABITS: dict[str, Callable[[np.random.Generator, int], Run]] = {}


def habit(make: Callable[[np.random.Generator, int], Run]) -> Callable[[np.random.Generator, int], Run]:
    HABITS[make.__name__.replace("_", " ")] = make
    return make


# ---- classes


@habit
def mnist_softmax_and_integer_labels(rng, seed):
    layers = [*relu(128), Dropout(0.2), Dense(10, activation="softmax")]
    return compiled(seed, layers, "sparse_categorical_crossentropy", "adam", ["accuracy"]), *mnist(rng), {"epochs": 4}


@habit
def mnist_softmax_and_one_hot_labels(rng, seed):
    x, y = mnist(rng)
    layers = [*relu(64), Dense(10, activation="softmax")]
    return compiled(seed, layers, "categorical_crossentropy", "rmsprop", ["accuracy"]), x, np.eye(10)[y], {"epochs": 4}


@habit
def mnist_pixels_divided_by_hand(rng, seed):
    x, y = mnist(rng)
    model = compiled(seed, [*relu(64), Dense(10)], "softmax_cross_entropy", pynn.SGD(0.1))
    return model, (255 * x).astype(np.uint8) / 255.0, y, {"epochs": 5, "validation_split": 0.2}


@habit
def raw_pixels_with_normalization(rng, seed):
    x, y = mnist(rng)
    layers = [Normalization(), *relu(64), Dense(10, activation="softmax")]
    model = compiled(seed, layers, "sparse_categorical_crossentropy", "adam", ["accuracy"])
    return model, (255 * x).astype(np.uint8), y, {"epochs": 4, "validation_split": 0.1}


@habit
def two_dropouts_of_one_half(rng, seed):
    layers = [*relu(256), Dropout(0.5), *relu(128), Dropout(0.5), Dense(10, activation="softmax")]
    return compiled(seed, layers, "sparse_categorical_crossentropy"), *mnist(rng), {"epochs": 5, "batch_size": 64}


@habit
def sklearn_digits_as_they_are(rng, seed):
    x, y = packaged_set(rng, "digits")
    model = compiled(seed, [*relu(100), Dense(10)], "softmax_cross_entropy", pynn.Adam(0.001), ["accuracy"])
    return model, x, y, {"epochs": 15, "batch_size": 200}


@habit
def sklearn_digits_in_float64(rng, seed):
    x, y = packaged_set(rng, "digits")
    return compiled(seed, [*relu(64), Dense(10)], "softmax_cross_entropy", dtype="float64"), x / 16, y, {"epochs": 10}


@habit
def iris_in_centimetres(rng, seed):
    layers = [*relu(16), Dense(3, activation="softmax")]
    model = compiled(seed, layers, "sparse_categorical_crossentropy", pynn.Adam(0.01), ["accuracy"])
    return model, *packaged_set(rng, "iris"), {"epochs": 40, "batch_size": 8}


@habit
def iris_scaled_and_tanh(rng, seed):
    x, y = packaged_set(rng, "iris")
    layers = [Dense(10, activation="tanh"), Dense(3, activation="softmax")]
    return compiled(seed, layers, "categorical_crossentropy", pynn.SGD(0.1)), standard(x), np.eye(3)[y], {"epochs": 40}


@habit
def wine_with_normalization(rng, seed):
    layers = [Normalization(), *relu(24), Dense(3, activation="softmax")]
    model = compiled(seed, layers, "sparse_categorical_crossentropy", pynn.Adam(0.005), ["accuracy"])
    return model, *packaged_set(rng, "wine"), {"epochs": 40, "batch_size": 16, "validation_split": 0.2}


@habit
def breast_cancer_sigmoid(rng, seed):
    x, y = packaged_set(rng, "breast_cancer")
    layers = [*relu(16, 16), Dense(1, activation="sigmoid")]
    model = compiled(seed, layers, "binary_crossentropy", "adam", ["accuracy"])
    return model, standard(x), y, {"epochs": 20, "validation_split": 0.2}


@habit
def breast_cancer_lbfgs(rng, seed):
    x, y = packaged_set(rng, "breast_cancer")
    layers = [*relu(16, kernel_regularizer=pynn.regularizers.L2(1e-3)), Dense(1)]
    return compiled(seed, layers, "sigmoid_cross_entropy", pynn.LBFGS(max_iter=40)), standard(x), y, {}


@habit
def moons_and_tanh(rng, seed):
    x, y = packaged.make_moons(600, noise=0.2, random_state=seed)
    layers = [Dense(32, activation="tanh"), Dense(1, activation="sigmoid")]
    return compiled(seed, layers, "binary_crossentropy", pynn.Adam(0.02)), x, y.reshape(-1, 1), {"epochs": 30}


@habit
def circles_and_two_units(rng, seed):
    x, y = packaged.make_circles(600, noise=0.1, factor=0.4, random_state=seed)
    layers = [*relu(32, 16), Dense(2, activation="softmax")]
    return compiled(seed, layers, "sparse_categorical_crossentropy", pynn.Adam(0.01)), x, y, {"epochs": 30}


@habit
def blobs_in_batches_of_all_rows(rng, seed):
    x, y = packaged.make_blobs(400, 4, centers=4, random_state=seed)
    model = compiled(seed, [Normalization(), *relu(16), Dense(4)], "cross_entropy", pynn.Adam(0.02))
    return model, x, y, {"epochs": 100, "batch_size": 400}


@habit
def exclusive_or(rng, seed):
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    layers = [Dense(8, activation="tanh"), Dense(1, activation="sigmoid")]
    model = compiled(seed, layers, "binary_crossentropy", pynn.Adam(0.05), ["accuracy"])
    return model, x, np.array([0, 1, 1, 0]), {"epochs": 300, "batch_size": 4}


@habit
def twenty_rows(rng, seed):
    x = rng.normal(size=(20, 5))
    return compiled(seed, [*relu(8), Dense(2)], "cross_entropy", pynn.Adam(0.02)), x, (x[:, 0] > 0) * 1, {"epochs": 60}


@habit
def several_tags_a_row(rng, seed):
    x = rng.normal(size=(1000, 12))
    y = (x[:, :5] + 0.5 * x[:, 5:10] > 0.5).astype("float32")
    layers = [*relu(32), Dense(5, activation="sigmoid")]
    return compiled(seed, layers, "binary_crossentropy", pynn.Adam(0.005)), x, y, {"epochs": 15}


@habit
def labels_as_floats(rng, seed):
    x = rng.normal(size=(600, 6))
    layers = [*relu(16), Dense(1, activation="sigmoid")]
    return compiled(seed, layers, "binary_crossentropy", pynn.Adam(0.01)), x, (x[:, 0] > x[:, 1]) * 1.0, {"epochs": 15}


@habit
def labels_of_texts(rng, seed):
    x = rng.normal(size=(600, 6))
    names, y = np.unique(np.array(["cat", "dog", "owl"])[np.digitize(x[:, 0], [-0.5, 0.5])], return_inverse=True)
    return compiled(seed, [*relu(16), Dense(len(names))], "cross_entropy", pynn.Adam(0.01)), x, y, {"epochs": 20}


@habit
def one_in_ten_with_class_weights(rng, seed):
    x = rng.normal(size=(2000, 8))
    y = (x[:, 0] + x[:, 1] + 0.3 * rng.normal(size=2000) > 1.8).astype(int)
    layers = [*relu(32), Dense(1, activation="sigmoid")]
    model = compiled(seed, layers, "binary_crossentropy", pynn.Adam(0.005), ["accuracy"])
    return model, x, y, {"epochs": 12, "class_weight": "balanced", "validation_split": 0.2}


@habit
def one_in_twenty_and_accuracy(rng, seed):
    x = rng.normal(size=(3000, 8))
    y = (x[:, 0] + x[:, 1] + 0.3 * rng.normal(size=3000) > 2.3).astype(int)
    model = compiled(seed, [*relu(32), Dense(2, activation="softmax")], "cross_entropy", pynn.Adam(0.01), ["accuracy"])
    return model, x, y, {"epochs": 12}


@habit
def words_as_a_sparse_matrix(rng, seed):
    from scipy import sparse

    topic = rng.integers(0, 2, 800)
    odds = np.exp(rng.normal(-4, 1, (2, 1500)))
    x = sparse.csr_matrix(rng.random((800, 1500)) < odds[topic], dtype=np.float32)
    return compiled(seed, [*relu(16), Dense(1, activation="sigmoid")], "binary_crossentropy"), x, topic, {"epochs": 10}


@habit
def many_columns_and_few_rows(rng, seed):
    x = rng.normal(size=(300, 800))
    y = (x[:, :5].sum(axis=1) > 0).astype(int)
    layers = [*relu(32, kernel_regularizer=pynn.regularizers.L2(1e-3)), Dropout(0.3), Dense(2)]
    return compiled(seed, layers, "cross_entropy"), x, y, {"epochs": 15, "validation_split": 0.2}


@habit
def answers_of_yes_and_no(rng, seed):
    x = rng.integers(0, 2, (1000, 30))
    y = (x[:, :7].sum(axis=1) > 3).astype(int)
    return compiled(seed, [*relu(32), Dense(1)], "sigmoid_cross_entropy", pynn.Adam(0.005)), x, y, {"epochs": 20}


@habit
def constant_and_copied_columns(rng, seed):
    x = rng.normal(size=(800, 6))
    x = np.c_[x, np.ones(800), x[:, 0], np.zeros(800)]
    return compiled(seed, [Normalization(), *relu(16), Dense(2)], "cross_entropy", pynn.Adam(0.01)), x, (
        x[:, 0] * x[:, 1] > 0
    ).astype(int), {"epochs": 25}  # fmt: skip


@habit
def hinge_and_signs(rng, seed):
    x = rng.normal(size=(800, 6))
    y = np.where(x[:, 0] + x[:, 1] > 0, 1, -1)
    return compiled(seed, [*relu(16), Dense(1)], "hinge", pynn.SGD(0.05)), x, y, {"epochs": 15}


@habit
def focal_loss_of_rare_classes(rng, seed):
    x = rng.normal(size=(2000, 6))
    y = (x[:, 0] > 1.2).astype(int)
    return compiled(seed, [*relu(16), Dense(1)], "focal", pynn.Adam(0.01), ["accuracy"]), x, y, {"epochs": 20}


# ---- numbers


@habit
def diabetes_scaled_target(rng, seed):
    x, y = packaged_set(rng, "diabetes")
    layers = [Normalization(), *relu(16), Dense(1)]
    return compiled(seed, layers, "mse", pynn.Adam(0.005), ["mae"], target_scaling="standard"), x, y, {"epochs": 30}


@habit
def house_prices_in_dollars(rng, seed):
    layers = [Normalization(), *relu(64, 64), Dense(1)]
    return (
        compiled(seed, layers, "mse", pynn.Adam(0.003), ["mae"], target_scaling="standard"),
        *houses(rng),
        {"epochs": 20},
    )


@habit
def house_prices_in_thousands(rng, seed):
    x, y = houses(rng)
    layers = [Normalization(), *relu(64, 64), Dense(1)]
    return compiled(seed, layers, "mse", pynn.Adam(0.01), ["mae"]), x, y / 1000, {"epochs": 40, "validation_split": 0.2}


@habit
def logarithms_of_prices(rng, seed):
    x, y = houses(rng)
    return compiled(seed, [*relu(32), Dense(1)], "mse", pynn.Adam(0.005)), standard(x), np.log(y), {"epochs": 40}


@habit
def prices_by_absolute_error(rng, seed):
    layers = [Normalization(), *relu(64), Dense(1)]
    model = compiled(seed, layers, "mae", pynn.Adam(0.003), target_scaling="minmax")
    return model, *houses(rng), {"epochs": 20}


@habit
def friedman_by_default(rng, seed):
    x, y = packaged.make_friedman1(1000, noise=0.5, random_state=seed)
    return compiled(seed, [*relu(100), Dense(1)], "mse", pynn.Adam(0.01)), x, y, {"epochs": 40}


@habit
def a_sine(rng, seed):
    x = np.linspace(-3, 3, 500)[:, None]
    y = np.sin(2 * x) + 0.05 * rng.normal(size=x.shape)
    return compiled(seed, [Dense(48, activation="tanh"), Dense(1)], "mse", pynn.Adam(0.02)), x, y, {"epochs": 80}


@habit
def a_straight_line(rng, seed):
    x = np.arange(-1, 5, 0.05)[:, None]
    return compiled(seed, [Dense(1)], "mse", "sgd"), x, 2 * x - 1, {"epochs": 60}


@habit
def several_numbers_a_row(rng, seed):
    x = rng.normal(size=(800, 8))
    y = np.c_[x[:, 0] * x[:, 1], np.sin(x[:, 2]), x[:, 3]]
    return compiled(seed, [*relu(48), Dense(3)], "mse", pynn.Adam(0.01)), x, y, {"epochs": 30}


@habit
def an_autoencoder_of_pixels(rng, seed):
    x, _ = mnist(rng, 800)
    layers = [*relu(64, 16, 64), Dense(784, activation="sigmoid")]
    return compiled(seed, layers, "mse", pynn.Adam(0.003)), x, x, {"epochs": 15}


@habit
def counts(rng, seed):
    x = rng.normal(size=(1000, 5))
    y = rng.poisson(np.exp(0.5 + 0.7 * x[:, 0] - 0.4 * x[:, 1]))
    return (
        compiled(seed, [*relu(16), Dense(1, activation="exponential")], "poisson", pynn.Adam(0.01)),
        x,
        y,
        {"epochs": 20},
    )


@habit
def outliers_and_huber(rng, seed):
    x = rng.normal(size=(1000, 5))
    y = x[:, 0] - x[:, 1] + np.where(rng.random(1000) < 0.02, rng.normal(0, 8, 1000), 0)
    return compiled(seed, [*relu(32), Dense(1)], "huber", pynn.Adam(0.005)), x, y, {"epochs": 20}


@habit
def a_quantile(rng, seed):
    x = rng.normal(size=(1000, 5))
    y = x[:, 0] + 0.3 * rng.normal(size=1000)
    return compiled(seed, [*relu(32), Dense(1)], pynn.losses.Quantile(0.7), pynn.Adam(0.005)), x, y, {"epochs": 20}


@habit
def means_and_variances(rng, seed):
    x = rng.normal(size=(1000, 5))
    y = x[:, 0] + 0.2 * rng.normal(size=1000) * (1 + (x[:, 1] > 0))
    return compiled(seed, [*relu(32), Dense(2)], "gaussian_nll", pynn.Adam(0.005)), x, y, {"epochs": 20}


# ---- time, tables


@habit
def a_time_series_in_order(rng, seed):
    s = series(rng)
    x = np.lib.stride_tricks.sliding_window_view(s, 24)[:-1]
    options = {"epochs": 20, "shuffle": False, "validation_split": 0.2}
    return compiled(seed, [*relu(32), Dense(1)], "mse", pynn.Adam(0.003)), x, s[24:], options


@habit
def hours_of_a_year(rng, seed):
    hour = np.arange(3000.0)
    x = np.c_[hour, hour % 24, 10 + 8 * np.sin(hour / 24 / 58) + rng.normal(size=3000)]
    y = 200 + 3 * x[:, 2] + 40 * np.sin(hour / 24 * 2 * np.pi)
    layers = [Normalization(), *relu(64, 64), Dense(1)]
    model = compiled(seed, layers, "mse", pynn.Adam(0.005), target_scaling="standard")
    return model, x, y, {"epochs": 20, "validation_split": 0.1}


@habit
def a_table_with_one_hot_categories(rng, seed):
    layers = [Normalization(columns=[0, 1]), Categorical([2, 3]), *relu(32), Dense(2)]
    return compiled(seed, layers, "cross_entropy", pynn.Adam(0.005), ["accuracy"]), table(rng), None, {
        "epochs": 15, "target": "churn"
    }  # fmt: skip


@habit
def a_table_with_embeddings(rng, seed):
    layers = [Categorical([2, 3], dimension=4), *relu(32), Dense(2)]
    return compiled(seed, layers, "cross_entropy", pynn.Adam(0.01)), table(rng), None, {"epochs": 20, "target": "churn"}


@habit
def a_table_of_missing_cells(rng, seed):
    frame = table(rng).drop(columns="city")
    frame.loc[rng.random(len(frame)) < 0.1, "income"] = np.nan
    model = compiled(seed, [Normalization(), *relu(32), Dense(2)], "cross_entropy", pynn.Adam(0.01))
    return model, frame, None, {"epochs": 15, "target": "churn", "on_bad_rows": "impute"}


# ---- ways to train


@habit
def early_stopping(rng, seed):
    stop = pynn.EarlyStopping(patience=4, restore_best_weights=True)
    model = compiled(seed, [*relu(64), Dense(2)], "cross_entropy", pynn.Adam(0.01))
    return model, *classes(rng), {"epochs": 60, "validation_split": 0.2, "callbacks": [stop]}


@habit
def reduced_on_plateaus(rng, seed):
    reduce = pynn.ReduceLROnPlateau(monitor="loss", patience=2, factor=0.3)
    model = compiled(seed, [*relu(32), Dense(2)], "cross_entropy", pynn.Adam(0.01))
    return model, *classes(rng), {"epochs": 40, "callbacks": [reduce]}


@habit
def cosine_to_nothing(rng, seed):
    schedule = pynn.schedules.CosineDecay(0.1, 32 * 30)
    return (
        compiled(seed, [*relu(32), Dense(2)], "cross_entropy", pynn.SGD(schedule, momentum=0.9)),
        *classes(rng),
        {"epochs": 30},
    )


@habit
def exponential_decay(rng, seed):
    schedule = pynn.schedules.ExponentialDecay(0.02, 100, 0.8)
    return compiled(seed, [*relu(32), Dense(2)], "cross_entropy", pynn.Adam(schedule)), *classes(rng), {"epochs": 30}


@habit
def one_cycle(rng, seed):
    model = compiled(seed, [*relu(32), Dense(2)], "cross_entropy", pynn.SGD(pynn.schedules.OneCycle(0.3, 600)))
    return model, *classes(rng), {"epochs": 19}


@habit
def batch_normalization(rng, seed):
    layers = [Dense(64), BatchNormalization(), pynn.Activation("relu"), Dense(32), BatchNormalization(),
              pynn.Activation("relu"), Dense(2)]  # fmt: skip
    return compiled(seed, layers, "cross_entropy", pynn.Adam(0.003)), *classes(rng), {"epochs": 15}


@habit
def residual_blocks(rng, seed):
    block = [LayerNormalization(), *relu(32), Dense(32)]
    layers = [Dense(32), *[Residual(block)] * 4, Dense(2)]
    return compiled(seed, layers, "cross_entropy", pynn.AdamW(0.003)), *classes(rng), {"epochs": 15}


@habit
def selu_and_lecun(rng, seed):
    layers = [Dense(48, activation="selu", kernel_initializer="lecun_normal") for _ in range(4)] + [Dense(2)]
    return compiled(seed, layers, "cross_entropy", pynn.Adam(0.002)), *classes(rng), {"epochs": 15}


@habit
def ten_layers_of_leaky_relu(rng, seed):
    layers = [*[Dense(32, activation="leaky_relu") for _ in range(10)], Dense(2)]
    return compiled(seed, layers, "cross_entropy", pynn.Adam(0.002)), *classes(rng), {"epochs": 20}


@habit
def wide_and_penalised(rng, seed):
    layers = [*relu(1000, kernel_regularizer=pynn.regularizers.L2(1e-4)), Dense(2)]
    return compiled(seed, layers, "cross_entropy", pynn.Adam(0.001)), *classes(rng), {"epochs": 15}


@habit
def clipped_gradients(rng, seed):
    model = compiled(seed, [*relu(32), Dense(2)], "cross_entropy", pynn.SGD(0.5, global_clipnorm=1.0))
    return model, *classes(rng), {"epochs": 20}


@habit
def mixtures_of_rows(rng, seed):
    model = compiled(seed, [*relu(64), Dense(2)], "cross_entropy", pynn.Adam(0.01), ["accuracy"])
    return model, *classes(rng), {"epochs": 20, "mixup": 0.2}


@habit
def averaged_weights(rng, seed):
    model = compiled(seed, [*relu(64), Dense(2)], "cross_entropy", pynn.Adam(0.01))
    return model, *classes(rng), {"epochs": 20, "callbacks": [pynn.EMA(0.99)], "validation_split": 0.2}


@habit
def survey_weights_in_thousands(rng, seed):
    x, y = classes(rng)
    model = compiled(seed, [*relu(32), Dense(2)], "cross_entropy", pynn.Adam(0.01))
    return model, x, y, {"epochs": 20, "sample_weight": rng.lognormal(7, 0.5, len(x))}


@habit
def weights_from_zero_to_one(rng, seed):
    x, y = classes(rng)
    model = compiled(seed, [*relu(32), Dense(2)], "cross_entropy", pynn.SGD(0.2))
    return model, x, y, {"epochs": 30, "sample_weight": rng.random(len(x))}
