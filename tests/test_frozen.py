"""Layers with trainable=False: nothing in training changes them, and everything that keeps a model keeps that."""

import pickle
import signal

import numpy as np
import pytest

import pynn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(96, 6)).astype(np.float32)
Y = (X[:, 0] + X[:, 1] > 0).astype(np.int64)
ADAMW = pynn.optimizers.AdamW(0.01, weight_decay=0.1)


def make(optimizer="adam", normalize=True, **options):
    first = pynn.Dense(8, activation="relu", **options)
    normal = [pynn.BatchNormalization()] if normalize else []
    model = pynn.Sequential([first, *normal, pynn.Dense(5, activation="tanh", **options), pynn.Dense(2)], seed=1)
    model.compile("softmax_cross_entropy", optimizer)
    return model


def kept(layer):
    return {name: np.array(getattr(layer, name)) for name in layer.tensors}


def assert_same(layer, before):
    for name, value in before.items():
        np.testing.assert_array_equal(getattr(layer, name), value, err_msg=name)


def moved(layer, before):
    return any(not np.array_equal(getattr(layer, name), value) for name, value in before.items())


@pytest.mark.parametrize("optimizer", [pynn.SGD(0.05, momentum=0.9), pynn.SGD(0.05, momentum=0.9, nesterov=True),
                                       pynn.Adam(0.01), ADAMW, "rmsprop"], ids=repr)  # fmt: skip
@pytest.mark.parametrize("options", [{}, {"kernel_regularizer": pynn.regularizers.L2(0.1)},
                                     {"kernel_constraint": pynn.constraints.MaxNorm(0.1)}], ids=repr)  # fmt: skip
@pytest.mark.parametrize("frozen", [(0, 1), (1, 2), (3,)])
def test_steps_leave_frozen_layers_as_they_are(optimizer, options, frozen):
    model = make(optimizer, **options)
    model.build(6)
    model.train_step(X, Y)  # momentum has begun to move them
    model.layers[0].kernel[...] *= 3  # beyond the constraint
    for index in frozen:
        model.layers[index].trainable = False
    before = [kept(layer) for layer in model.layers]
    model.fit(X, Y, epochs=2, batch_size=16, verbose=0, guard="off")
    for index, layer in enumerate(model.layers):
        if index in frozen:
            assert_same(layer, before[index])
        else:
            assert moved(layer, before[index])
    model.layers[frozen[0]].trainable = True
    model.fit(X, Y, batch_size=16, verbose=0, guard="off")
    assert moved(model.layers[frozen[0]], before[frozen[0]])


def test_the_rest_trains_as_on_what_the_frozen_layers_give():
    model = make(pynn.SGD(0.05, momentum=0.9), kernel_regularizer=pynn.regularizers.L2(0.1)).build(6)
    head = pynn.Sequential(model.layers[2:], seed=1).build(8)
    head.compile("softmax_cross_entropy", pynn.SGD(0.05, momentum=0.9))
    inner = pynn.Sequential(model.layers[:2], seed=1).build(6)
    model.layers[0].trainable = model.layers[1].trainable = False
    features = inner.predict(X, raw=True)
    for _ in range(5):
        ours, theirs = model.train_step(X, Y), head.train_step(features, Y)
        assert ours.loss == pytest.approx(theirs.loss, rel=1e-6)  # without the penalty of frozen kernels
        assert ours.grad_norm == pytest.approx(theirs.grad_norm, rel=1e-6)
    np.testing.assert_allclose(model.layers[3].kernel, head.layers[1].kernel, rtol=1e-4, atol=1e-6)


def test_clipping_does_not_count_frozen_layers():
    free, clipped = make(pynn.SGD(0.1)).build(6), make(pynn.SGD(0.1)).build(6)
    for model in (free, clipped):
        model.layers[0].trainable = False
    norm = free.train_step(X, Y).grad_norm
    whole = make(pynn.SGD(0.1)).build(6).train_step(X, Y).grad_norm
    assert norm < whole
    clipped.compile("softmax_cross_entropy", pynn.SGD(0.1, global_clipnorm=norm * 1.001))
    clipped.train_step(X, Y)
    np.testing.assert_array_equal(clipped.parameters, free.parameters)


def test_a_frozen_batch_normalization_trains_as_it_predicts():
    model = make().build(6)
    model.fit(X, Y, verbose=0)
    model.layers[1].trainable = False
    expected = model.evaluate(X, Y)["loss"]
    assert model.train_step(X, Y).loss == pytest.approx(expected, rel=1e-6)
    before = kept(model.layers[1])
    model.update_moments(X)
    assert_same(model.layers[1], before)


def test_lbfgs_keeps_frozen_layers():
    model = make(pynn.LBFGS(max_iter=20)).build(6)
    model.layers[0].trainable = model.layers[1].trainable = False
    before = [kept(layer) for layer in model.layers]
    model.fit(X, Y, verbose=0)
    assert_same(model.layers[0], before[0])
    assert_same(model.layers[1], before[1])
    assert moved(model.layers[2], before[2])


@pytest.mark.parametrize("keep", ["save", "pickle", "to_dict", "unbuilt"])
def test_what_keeps_a_model_keeps_what_is_frozen(keep, tmp_path):
    model = make()
    if keep != "unbuilt":
        model.build(6)
    model.layers[1].trainable = model.layers[2].trainable = False
    if keep == "save":
        model.save(tmp_path / "m")
        other = pynn.load(tmp_path / "m")
    elif keep == "to_dict":
        other = pynn.Sequential.from_dict(model.to_dict()).build(6)
    else:
        other = pickle.loads(pickle.dumps(model)).build(6)
    assert [layer.trainable for layer in other.layers] == [True, False, False, True]
    before = kept(other.layers[2])
    other.train_step(X, Y)
    assert_same(other.layers[2], before)


def test_layers_of_another_model_stay_frozen_and_specs_are_trained():
    trained = make().build(6)
    trained.layers[0].trainable = False
    model = pynn.Sequential([*trained.layers[:-1], pynn.Dense(4)], seed=0).build(6)
    assert [layer.trainable for layer in model.layers] == [False, True, True, True]
    assert pynn.Sequential([layer.spec for layer in trained.layers]).layers[0].trainable
    model.layers[0].trainable = True
    assert not trained.layers[0].trainable


class Unfreeze(pynn.callbacks.Callback):
    """Train the first layer in the first epoch alone; interrupt the second one."""

    def __init__(self, interrupts=False):
        self.interrupts = interrupts

    def on_epoch_begin(self, epoch, logs):
        self.model.layers[0].trainable = epoch == 0

    def on_train_batch_end(self, batch, logs):
        if self.interrupts and len(self.model.history) == 1 and batch == 2:
            signal.raise_signal(signal.SIGINT)

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


def test_a_run_resumes_with_what_was_frozen_then(tmp_path):
    def run(interrupts, **more):
        model = make().build(6)
        model.layers[2].trainable = False
        model.fit(X, Y, epochs=3, batch_size=16, verbose=0, callbacks=[Unfreeze(interrupts)], **more)
        return model

    whole = run(False)
    with pytest.raises(KeyboardInterrupt):
        run(True, checkpoint=tmp_path / "c")
    assert [layer.trainable for layer in pynn.load(tmp_path / "c").layers] == [False, True, False, True]
    resumed = run(False, checkpoint=tmp_path / "c", resume=True)
    np.testing.assert_array_equal(resumed.parameters, whole.parameters)
    assert [layer.trainable for layer in resumed.layers] == [False, True, False, True]


def test_a_model_with_nothing_left_to_train_is_refused():
    for optimizer in ("adam", pynn.LBFGS()):
        model = make(optimizer, normalize=False).build(6)
        for layer in model.layers:
            layer.trainable = False
        with pytest.raises(pynn.ArgumentValueError, match="all frozen"):
            model.fit(X, Y, verbose=0)
    with pytest.raises(pynn.ArgumentTypeError, match="trainable"):
        model.layers[0].trainable = "no"


def test_summary_shows_what_is_frozen(capsys):
    model = make().build(6)
    model.layers[0].trainable = False
    model.summary()
    lines = capsys.readouterr().out.splitlines()
    assert next(line for line in lines if "Dense (frozen)" in line).startswith("0 ")
    assert "(56 frozen)" in lines[-1]


def test_a_healthy_run_with_frozen_layers_has_no_findings(recwarn):
    model = make(pynn.Adam(0.01)).build(6)
    model.layers[0].trainable = False
    model.fit(X, Y, epochs=20, batch_size=16, verbose=0)
    assert not [warning for warning in recwarn if issubclass(warning.category, pynn.TrainingWarning)]
