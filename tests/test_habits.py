"""What users of Keras, PyTorch and scikit-learn write out of habit works, or is an error that says what to write."""

import numpy as np
import pytest

import pynn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 4)).astype(np.float32)
y = (X[:, 0] > X[:, 1]).astype(int)
BATCHES = [(X[:60], y[:60]), (X[60:], y[60:])]


@pytest.fixture
def model():
    model = pynn.Sequential([pynn.Dense(8, activation="relu"), pynn.Dense(2)], seed=0)
    model.compile("softmax_cross_entropy", pynn.Adam(learning_rate=0.02), metrics=["accuracy"])
    return model


def test_history_is_read_by_name(model):
    history = model.fit(X, y, epochs=3)
    assert history["loss"] == history.history["loss"] == [epoch["loss"] for epoch in history]
    with pytest.raises(KeyError, match="did you mean 'loss'"):
        history["los"]


def test_evaluate_unpacks_to_numbers(model):
    model.fit(X, y, epochs=3)
    loss, accuracy = model.evaluate(X, y, return_dict=False)
    assert {"loss": loss, "accuracy": accuracy} == model.evaluate(X, y, return_dict=True)
    with pytest.raises(TypeError, match="return_dict as True or False"):
        model.evaluate(X, y, return_dict="no")


def test_predict_and_evaluate_take_batch_size_and_verbose(model):
    model.fit(X, y, epochs=1)
    assert (model.predict(X, batch_size=7, verbose=0) == model.predict(X)).all()
    assert model.evaluate(X, y, batch_size=7, verbose=2) == model.evaluate(X, y)
    for method in (model.predict, model.evaluate):
        with pytest.raises(ValueError, match="batch_size as an integer >= 1"):
            method(X, batch_size=0)
        with pytest.raises(ValueError, match="verbose as one of"):
            method(X, verbose="loud")
        with pytest.raises(TypeError, match="did you mean 'batch_size'"):
            method(X, batchsize=3)


@pytest.mark.parametrize("optimizer", ["Adam", "ADAM", "SGD", "rmsprop", "RMSprop", "AdamW"])
@pytest.mark.parametrize("loss", ["MSE", "mse", "Mean_Squared_Error", "MeanSquaredError"])
def test_names_are_taken_in_any_case(loss, optimizer):
    model = pynn.Sequential([pynn.Dense(1)])
    model.compile(loss, optimizer)
    assert model.loss.name == "mean_squared_error"
    assert model.optimizer.name == optimizer.lower()


def test_compile_takes_the_optimizer_first():
    both = {"optimizer": "adam", "loss": "mse"}
    ways = [(("adam", "mse"), {}), (("adam",), {"loss": "mse"}), ((), both), ((pynn.SGD(), "mse", ["mae"]), {})]
    for arguments, named in [*ways, ((pynn.SGD(),), {"loss": "mse", "metrics": ["mae"]})]:
        model = pynn.Sequential([pynn.Dense(1)])
        model.compile(*arguments, **named)
        assert model.loss.name == "mean_squared_error"
        assert model.optimizer.name in ("adam", "sgd")
    with pytest.raises(TypeError, match="expected loss once"):
        model.compile("mse", loss="mae")
    with pytest.raises(TypeError, match=r"expected loss, what to train for; received the optimizer"):
        model.compile("adam")


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        (lambda: pynn.Dense(3, activation="rleu"), "relu"),
        (lambda: pynn.Dense(3, kernel_initializer="he_norml"), "he_normal"),
        (lambda: pynn.Dense(3, kernel_constraint="non_ng"), "non_neg"),
        (lambda: pynn.Dense(3, kernel_regularizer="l1l3"), "l1_l2"),
        (lambda: pynn.Dense(3, activaton="relu"), "activation"),
        (lambda: pynn.Normalization("standrd"), "standard"),
        (lambda: pynn.schedules.get("cosine_deca"), "cosine_decay"),
        (lambda: pynn.Adam(learningrate=1), "learning_rate"),
        (lambda: pynn.Adam(lr=1), "learning_rate"),
        (lambda: pynn.Dens(3), "Dense"),
        (lambda: pynn.optimizers.Adm(), "Adam"),
        (lambda: pynn.losses.Hubr(), "Huber"),
        (lambda: pynn.Sequential([pynn.Dense(1)]).compile("mze"), "mse"),
        (lambda: pynn.Sequential([pynn.Dense(1)]).compile("mse", "adma"), "adam"),
        (lambda: pynn.Sequential([pynn.Dense(1)]).compile("mse", "adam", ["acuracy"]), "accuracy"),
        (lambda: pynn.Sequential([pynn.Dense(1)]).compile("mse", optimiser="adam"), "optimizer"),
    ],
)
def test_an_unknown_name_is_answered_with_the_one_meant(wrong, meant):
    with pytest.raises((ValueError, TypeError, AttributeError), match=f"did you mean '{meant}'"):
        wrong()


def test_unknown_names_in_fit_are_answered(model):
    with pytest.raises(TypeError, match="did you mean 'epochs'"):
        model.fit(X, y, n_epochs=3)
    with pytest.raises(ValueError, match="did you mean 'val_loss'"):
        model.fit(X, y, callbacks=[pynn.EarlyStopping("val_los")])
    with pytest.raises(ValueError, match="did you mean 'raise'"):
        model.fit(X, y, guard="rais")
    with pytest.raises(TypeError, match=r"pynn\.Input\(\(columns,\)\)"):
        pynn.Dense(3, input_shape=(4,))


def test_predict_takes_a_loader_in_the_order_of_its_rows(model):
    model.fit(X, y)
    assert (model.predict(pynn.DataLoader(X, y, batch_size=16, shuffle=True)) == model.predict(X)).all()
    assert (model.predict(BATCHES) == model.predict(X)).all()


def test_a_list_of_batches_is_trained_on_like_the_rows(model):
    other = pynn.Sequential([pynn.Dense(8, activation="relu"), pynn.Dense(2)], seed=0)
    other.compile("softmax_cross_entropy", pynn.Adam(learning_rate=0.02), metrics=["accuracy"])
    a = model.fit(BATCHES, epochs=3, validation_data=BATCHES)
    b = other.fit(X, y, epochs=3, batch_size=60, shuffle=False, validation_data=(X, y))
    assert a["loss"] == b["loss"]
    np.testing.assert_allclose(a["val_loss"], b["val_loss"], rtol=1e-6)
    np.testing.assert_allclose(model.evaluate(BATCHES)["loss"], other.evaluate(X, y)["loss"], rtol=1e-6)
    weighted = [(xb, yb, np.ones(len(yb))) for xb, yb in BATCHES]
    assert model.fit(weighted)["loss"] == other.fit(X, y, batch_size=60, shuffle=False)["loss"]


def test_rows_in_lists_are_rows_and_no_batches():
    model = pynn.Sequential([pynn.Dense(1)], seed=0)
    model.compile("mse")
    model.fit([(1.0, 2.0), (3.0, 4.0)], [1.0, 2.0])
    assert model.inputs == 2
    assert model.predict([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]).shape == (3, 1)


def test_layers_are_added_one_by_one():
    grown = pynn.Sequential(seed=0)
    for layer in (pynn.Normalization(), pynn.Dense(8, activation="relu"), pynn.Dropout(0.1), pynn.Dense(2)):
        grown.add(layer)
    whole = pynn.Sequential([layer.spec for layer in grown.layers], seed=0)
    for model in (grown, whole):
        model.compile("softmax_cross_entropy")
        model.fit(X, y, epochs=2)
    assert (grown.parameters == whole.parameters).all()


def test_what_there_is_stays_when_a_layer_is_added(model):
    model.fit(X, y, epochs=2)
    kernel = model.layers[0].kernel.copy()
    model.add(pynn.Dense(2))
    assert (model.layers[0].kernel == kernel).all()
    assert model.inputs == 4
    assert model.loss.name == "softmax_cross_entropy"
    assert model.metrics[0].name == "accuracy"
    model.fit(X, y)


def test_a_model_without_dense_layers_is_refused_when_it_is_built():
    model = pynn.Sequential()
    model.add(pynn.Dropout(0.5))
    with pytest.raises(ValueError, match=r"at least one pynn\.Dense"):
        model.build(4)
    with pytest.raises(TypeError, match="expected layers such as"):
        model.add("relu")


def test_input_builds_the_model():
    assert pynn.Sequential([pynn.Input((4,)), pynn.Dense(2)]).layers[0].kernel.shape == (4, 2)
    assert pynn.Sequential([pynn.Input(shape=4), pynn.Dense(2)]).inputs == 4
    grown = pynn.Sequential()
    grown.add(pynn.Input((4,)))
    grown.add(pynn.Dense(3))
    grown.add(pynn.Dense(2))
    assert (grown.inputs, grown.outputs) == (4, 2)
    with pytest.raises(ValueError, match=r"Input before all layers; received it as layers\[1\]"):
        pynn.Sequential([pynn.Dense(2), pynn.Input(4)])
    with pytest.raises(ValueError, match=r"without the rows"):
        pynn.Input((32, 4, 2))
    with pytest.raises(ValueError, match=r"without the rows"):
        pynn.Sequential([pynn.Input((32, 4)), pynn.Dense(2)])
    with pytest.raises(TypeError, match="received the class Input"):
        pynn.Sequential([pynn.Input, pynn.Dense(2)])


def test_a_model_is_called_like_a_function(model):
    model.fit(X, y)
    assert (model(X) == model.predict(X)).all()


def test_learning_rate_scheduler_takes_a_function_of_the_epoch(model):
    scheduler = pynn.LearningRateScheduler(lambda epoch: 1e-3 * 0.5**epoch)
    assert model.fit(X, y, epochs=3, callbacks=[scheduler])["learning_rate"] == [1e-3, 5e-4, 2.5e-4]


def test_labels_may_be_text(model):
    history = model.fit(X, np.array(["cold", "warm"])[y], epochs=40)
    assert history["accuracy"][-1] > 0.9
    assert set(model.classify(X)) == {"cold", "warm"}
    assert model.evaluate(X, np.array(["cold", "warm"])[y])["accuracy"] > 0.9
