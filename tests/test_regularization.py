"""What is added around a step: penalties, constraints, weight decay, averages, mixtures, against formulas."""

import itertools
import pickle

import numpy as np
import pytest

import pynn
from pynn import _core, constraints, optimizers, regularizers

PENALTIES = {
    "l1": [(regularizers.L1(0.03), lambda w: 0.03 * abs(w).sum(), lambda w: 0.03 * np.sign(w))],
    "l2": [(regularizers.L2(0.03), lambda w: 0.03 * (w**2).sum(), lambda w: 0.06 * w)],
    "l1_l2": [
        (
            regularizers.L1L2(0.03, 0.05),
            lambda w: 0.03 * abs(w).sum() + 0.05 * (w**2).sum(),
            lambda w: 0.03 * np.sign(w) + 0.1 * w,
        )
    ],
}


def norms(w):
    return np.sqrt((w**2).sum(axis=0, keepdims=True))


CONSTRAINTS = {
    "max_norm": [(constraints.MaxNorm(0.8), lambda w: w * np.minimum(1, 0.8 / norms(w)))],
    "unit_norm": [(constraints.UnitNorm(), lambda w: w / norms(w))],
    "min_max_norm": [
        (constraints.MinMaxNorm(0.9, 1.1), lambda w: w * np.clip(norms(w), 0.9, 1.1) / norms(w)),
        (
            constraints.MinMaxNorm(0.9, 1.1, 0.25),
            lambda w: w * (0.25 * np.clip(norms(w), 0.9, 1.1) + 0.75 * norms(w)) / norms(w),
        ),
    ],
    "non_neg": [(constraints.NonNeg(), lambda w: np.maximum(w, 0))],
}


def data(rows=24, inputs=5, outputs=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, inputs)), rng.integers(0, outputs, rows)


def made(optimizer="sgd", dtype="float64", hidden=7, **arguments):
    layers = [pynn.Dense(hidden, activation="tanh", bias_initializer="random_normal", **arguments), pynn.Dense(3)]
    model = pynn.Sequential(layers, seed=3, dtype=dtype).build(5)
    model.compile("softmax_cross_entropy", optimizer)
    return model


# ---- penalties


@pytest.mark.parametrize("tensor", ["kernel", "bias"])
@pytest.mark.parametrize("name", regularizers.table.rows)
def test_penalties_are_in_the_loss_and_in_the_gradient(name, tensor):
    for spec, penalty, gradient in PENALTIES[name]:
        x, y = data()
        plain, model = made(), made(**{f"{tensor}_regularizer": spec})
        for _ in range(3):
            w = np.array(getattr(model.layers[0], tensor))
            expected = plain.evaluate(x, y)["loss"] + penalty(w)
            assert model.evaluate(x, y)["loss"] == pytest.approx(expected, rel=1e-12)
            before = np.array(plain.parameters)
            result = model.train_step(x, y)
            plain.train_step(x, y)
            assert result.loss == pytest.approx(expected, rel=1e-12)
            getattr(plain.layers[0], tensor)[...] -= 0.01 * gradient(w)
            np.testing.assert_allclose(model.parameters, plain.parameters, rtol=1e-12, atol=1e-15)
            assert not np.array_equal(before, plain.parameters)
            gradient_ = np.array(model._learner.trainer.gradient)
            assert result.grad_norm == pytest.approx(np.sqrt((gradient_**2).sum()), rel=1e-12)


def test_l2_is_pytorchs_weight_decay():
    torch = pytest.importorskip("torch")
    x, y = data()
    model = made(pynn.SGD(0.05, momentum=0.9), kernel_regularizer=regularizers.L2(0.02), bias_regularizer="l1")
    tensors = [torch.tensor(np.array(t)).requires_grad_() for layer in model.layers for t in (layer.kernel, layer.bias)]
    other = torch.optim.SGD(tensors, 0.05, momentum=0.9)
    for _ in range(20):
        other.zero_grad()
        logits = torch.tanh(torch.tensor(x) @ tensors[0] + tensors[1]) @ tensors[2] + tensors[3]
        value = torch.nn.functional.cross_entropy(logits, torch.tensor(y)) + 0.02 * (tensors[0] ** 2).sum()
        value = value + 0.01 * tensors[1].abs().sum()
        value.backward()
        other.step()
        assert model.train_step(x, y).loss == pytest.approx(value.item(), rel=1e-9)
    theirs = np.concatenate([t.detach().numpy().ravel() for t in tensors])
    np.testing.assert_allclose(model.parameters, theirs, rtol=1e-9, atol=1e-12)


def test_ridge_regression_is_scikit_learns():
    linear_model = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4))
    y = x @ [1, -2, 0.5, 0] + 0.3 + 0.1 * rng.normal(size=200)
    model = pynn.Sequential([pynn.Dense(1, kernel_regularizer=regularizers.L2(0.05))], dtype="float64")
    model.compile("mse", pynn.SGD(0.1))
    model.fit(x, y, epochs=300, batch_size=200)
    ridge = linear_model.Ridge(alpha=0.05 * 200).fit(x, y)
    np.testing.assert_allclose(model.layers[0].kernel[:, 0], ridge.coef_, rtol=1e-9, atol=1e-10)


# ---- constraints


@pytest.mark.parametrize("hidden", [1, 7, 150])
@pytest.mark.parametrize("tensor", ["kernel", "bias"])
@pytest.mark.parametrize("name", constraints.table.rows)
def test_constraints_hold_after_each_update(name, tensor, hidden):
    for spec, formula in CONSTRAINTS[name]:
        x, y = data()
        model = made(pynn.SGD(0.3), hidden=hidden, **{f"{tensor}_constraint": spec})
        plain = made(pynn.SGD(0.3), hidden=hidden)
        for _ in range(3):
            model.train_step(x, y)
            plain.train_step(x, y)
            view = getattr(plain.layers[0], tensor)
            view[...] = formula(view)
            np.testing.assert_allclose(model.parameters, plain.parameters, rtol=1e-12, atol=1e-15)
            plain.parameters[...] = model.parameters
        once = np.array(getattr(model.layers[0], tensor))
        np.testing.assert_allclose(formula(once), once, rtol=1e-12) if "rate" not in repr(spec) else None


def test_constraints_are_pytorchs():
    torch = pytest.importorskip("torch")
    x, y = data()
    peers = {
        "max_norm": (constraints.MaxNorm(0.8), lambda w: w * (0.8 / w.norm(dim=0)).clamp(max=1)),
        "unit_norm": (constraints.UnitNorm(), lambda w: torch.nn.functional.normalize(w, dim=0)),
        "non_neg": (constraints.NonNeg(), torch.relu),
    }
    for spec, theirs in peers.values():
        model, plain = made(pynn.SGD(0.3), kernel_constraint=spec), made(pynn.SGD(0.3))
        for _ in range(5):
            model.train_step(x, y)
            plain.train_step(x, y)
            plain.layers[0].kernel = theirs(torch.tensor(np.array(plain.layers[0].kernel))).numpy()
            np.testing.assert_allclose(model.parameters, plain.parameters, rtol=1e-9, atol=1e-12)
            plain.parameters[...] = model.parameters


def test_extreme_columns_keep_their_constraint():
    for dtype, huge, tiny in (("float32", 1e37, 1e-37), ("float64", 1e300, 1e-300)):
        model = pynn.Sequential([pynn.Dense(3, kernel_constraint="unit_norm")], dtype=dtype).build(4)
        model.compile("mse", pynn.SGD(1e-300 if dtype == "float64" else 1e-38))
        model.layers[0].kernel[:, 0], model.layers[0].kernel[:, 1] = huge, tiny
        model.layers[0].kernel[:, 2] = 0
        model.train_step(np.zeros((2, 4)), np.zeros((2, 3)))
        np.testing.assert_allclose(model.layers[0].kernel[:, :2], 0.5, rtol=1e-6)
        assert not model.layers[0].kernel[:, 2].any()


def test_limits_are_kept_in_files_and_pickles(tmp_path):
    layer = pynn.Dense(4, kernel_regularizer="l1_l2", bias_regularizer=regularizers.L1(0.5),
                       kernel_constraint=constraints.MinMaxNorm(rate=0.5), bias_constraint="non_neg")  # fmt: skip
    assert pynn.layers.from_dict(layer.to_dict()) == layer
    model = pynn.Sequential([layer, pynn.Dense(2)]).build(3)
    model.compile("mse")
    model.save(tmp_path / "m")
    for again in (pynn.load(tmp_path / "m"), pickle.loads(pickle.dumps(model))):
        assert [layer.spec for layer in again.layers] == [layer.spec for layer in model.layers]
        x, y = np.ones((3, 3), np.float32), np.zeros((3, 2), np.float32)
        assert again.evaluate(x, y) == model.evaluate(x, y)
    for bad in ({"kernel_regularizer": "l3"}, {"bias_constraint": regularizers.L1()}, {"kernel_constraint": 3}):
        with pytest.raises((ValueError, TypeError), match=next(iter(bad))):
            pynn.Dense(3, **bad)


# ---- weight decay


@pytest.mark.parametrize("name", optimizers.table.rows)
def test_every_optimizer_has_decoupled_weight_decay(name):
    x, y = data()
    decayed = optimizers.table.get({"name": name, "learning_rate": 0.01, "weight_decay": 0.3})
    model, plain = made(decayed), made(optimizers.table.get({"name": name, "learning_rate": 0.01, "weight_decay": 0}))
    for _ in range(6):
        before = np.array(model.parameters)
        model.train_step(x, y)
        plain.train_step(x, y)
        np.testing.assert_allclose(model.parameters, plain.parameters - 0.01 * 0.3 * before, rtol=1e-12, atol=1e-15)
        plain.parameters[...] = model.parameters


# ---- averages


def steps_of(model, callback, x, y, **options):
    """Parameters after each step of a run."""
    seen = []
    note = pynn.LambdaCallback(on_batch_end=lambda batch, logs: seen.append(np.array(model.parameters, float)))
    model.fit(x, y, batch_size=5, epochs=4, callbacks=[callback, note], **options)
    return seen


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_averages_are_their_formulas(dtype):
    x, y = data()
    for start, every in ((0, 1), (6, 3)):
        taken = [t for t in range(1, 21) if t >= start and (t - start) % every == 0]
        ema, swa = pynn.EMA(0.8, start=start, every=every), pynn.SWA(start=start, every=every)
        seen = steps_of(made(dtype=dtype), ema, x, y)
        average = seen[taken[0] - 1]
        for t in taken[1:]:
            average = 0.8 * average + 0.2 * seen[t - 1]
        np.testing.assert_allclose(ema.parameters, average, rtol=1e-12, atol=1e-15)
        model = made(dtype=dtype)
        seen = steps_of(model, swa, x, y)
        np.testing.assert_allclose(
            swa.parameters, np.mean([seen[t - 1] for t in taken], axis=0), rtol=1e-12, atol=1e-15
        )
        np.testing.assert_array_equal(model.parameters, swa.parameters.astype(dtype))  # left in the model


def test_the_average_is_validated_and_training_goes_on_without_it():
    x, y = data()
    plain, model = made(), made()
    history = plain.fit(x, y, epochs=3, batch_size=5)
    ema, values = pynn.EMA(0.7, swap=False), []
    note = pynn.LambdaCallback(on_epoch_end=lambda e, logs: values.append(logs["val_loss"]))
    own = model.fit(x, y, epochs=3, batch_size=5, validation_data=(x, y), callbacks=[ema, note])
    assert own.history["loss"] == history.history["loss"]
    np.testing.assert_array_equal(model.parameters, plain.parameters)
    model.parameters[...] = ema.parameters
    assert model.evaluate(x, y)["loss"] == values[-1]
    for bad in ({"decay": 1}, {"decay": 0}, {"every": 0}, {"start": -1}):
        with pytest.raises(pynn.ArgumentValueError, match=next(iter(bad))):
            pynn.EMA(**bad)


def test_a_larger_batch_and_a_rollback_keep_the_average_right():
    x, y = data()
    model = made(pynn.SGD(0.1))
    model._learner.use_average((0.0, 0, 1))
    seen = []
    for rows in (4, 8, 16, 24):
        model.train_step(x[:rows], y[:rows], guard="rollback")
        seen.append(np.array(model.parameters))
    np.testing.assert_allclose(model._learner.trainer.average, np.mean(seen, axis=0), rtol=1e-12)
    with pytest.warns(pynn.TrainingWarning):
        assert not model.train_step(x, y, np.full(24, 1.7e308), guard="rollback").applied
    steps = model._learner.trainer.steps
    assert model._learner.trainer.n_averaged == steps
    if steps:
        np.testing.assert_allclose(model._learner.trainer.average, np.mean(seen[:steps], axis=0), rtol=1e-12)


def test_an_average_that_was_kept_outlives_the_run():
    x, y = data()
    model, kept = made(pynn.SGD(0.1)), []
    note = pynn.LambdaCallback(on_epoch_end=lambda epoch, logs: kept.append(np.asarray(model._learner.trainer.average)))
    ema = pynn.EMA(0.7)
    model.fit(x, y, epochs=3, batch_size=5, callbacks=[note, ema], verbose=0)
    assert model._learner.trainer.average is None
    np.testing.assert_array_equal(kept[-1], ema.parameters)
    assert not np.array_equal(kept[0], kept[-1])  # what it was then


# ---- mixup


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("target", ["labels", "probabilities", "numbers"])
def test_mixup_is_training_on_mixed_rows(target, weighted):
    x, labels = data()
    rng = np.random.default_rng(1)
    y = {"labels": labels, "probabilities": np.eye(3)[labels], "numbers": rng.normal(size=(24, 3))}[target]
    w = rng.uniform(size=24) if weighted else None
    loss = "mse" if target == "numbers" else "softmax_cross_entropy"
    rows = np.arange(24)
    for order_c in (True, False):
        model, plain = made(), made()
        for m in (model, plain):
            m.compile(loss, pynn.Adam(0.01))
        model._learner.use_mixup(0.4)
        for step in range(10):
            batch = rows[step : step + 10]
            share, shift = _core.mixup_draw(3, step, 0.4, len(batch))
            assert 0 <= share <= 1
            assert 1 <= shift < len(batch)
            other = np.roll(batch, -shift)
            soft = np.eye(3)[labels] if target == "labels" else y
            mixed = [share * part[batch] + (1 - share) * part[other] for part in (x, soft, w) if part is not None]
            xb = x[batch] if order_c else np.asfortranarray(x[batch])
            result = model.train_step(xb, y[batch], *([w[batch]] if weighted else []))
            assert result.loss == pytest.approx(plain.train_step(*mixed).loss, rel=1e-10)
        np.testing.assert_allclose(model.parameters, plain.parameters, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("alpha", [0.2, 0.7, 1.0, 3.0])
def test_shares_are_beta_distributed(alpha):
    stats = pytest.importorskip("scipy.stats")
    draws = [_core.mixup_draw(seed, step, alpha, 64) for seed in range(4) for step in range(1000)]
    assert stats.kstest([share for share, _ in draws], stats.beta(alpha, alpha).cdf).pvalue > 1e-4
    counts = np.bincount([shift for _, shift in draws], minlength=64)
    assert counts[0] == 0
    assert stats.chisquare(counts[1:]).pvalue > 1e-4


def test_a_bad_cell_is_named_where_it_lies_though_rows_are_mixed():
    x, y = data()
    for name, bad in (("x", (17, 2)), ("y", (11, 1))):
        parts = {"x": x.copy(), "y": np.eye(3)[y]}
        parts[name][bad] = np.nan
        model = made()
        model._learner.use_mixup(0.5)
        with pytest.warns(pynn.TrainingWarning):
            result = model.train_step(parts["x"], parts["y"])
        assert result.findings[0].rows == [bad[0]]
        assert result.findings[0].columns == [bad[1]]
    parts = np.ones(24)
    parts[9] = 0
    targets = np.eye(3)[y]
    targets[9] = np.nan  # a row of weight 0 may hold anything
    model = made()
    model._learner.use_mixup(0.5)
    assert model.train_step(x, targets, parts).applied


def test_fit_mixes_and_stops_mixing():
    x, y = data()
    model = made()
    mixed = model.fit(x, y, epochs=2, mixup=0.3).history["loss"]
    plain = made().fit(x, y, epochs=2).history["loss"]
    assert mixed != plain
    before = model.evaluate(x, y)["loss"]
    assert model.train_step(x, y).loss == pytest.approx(before, rel=1e-12)
    for bad in (-1, float("nan"), "0.2", True):
        with pytest.raises((ValueError, TypeError), match="mixup"):
            model.fit(x, y, mixup=bad)


def test_what_cannot_be_mixed_is_refused():
    sparse = pytest.importorskip("scipy.sparse")
    x, y = data()
    codes = np.c_[x, y]
    cases = [
        ([pynn.Categorical(columns=[5]), pynn.Dense(3)], "softmax_cross_entropy", codes, y, "categorical"),
        ([pynn.Dense(3)], "softmax_cross_entropy", sparse.csr_matrix(x), y, "sparse"),
        ([pynn.Dense(1)], lambda z, t: (z[:, 0], np.ones_like(z)), x, x[:, 0], "<lambda>"),
        ([pynn.Dense(1)], "hinge", x, np.where(y > 0, 1, -1), "hinge"),
        ([pynn.Dense(1)], "squared_hinge", x, np.where(y > 0, 1, -1), "squared_hinge"),
    ]
    for layers, loss, rows, targets, received in cases:
        model = pynn.Sequential(layers, dtype="float64")
        model.compile(loss)
        with pytest.raises(pynn.UnsupportedError, match=f"^expected.*received.*{received}"):
            model.fit(rows, targets, mixup=0.3)
        assert len(model.fit(rows, targets)) == 1


def test_mixup_ends_with_the_run_that_asked_for_it(tmp_path):
    x, y = data()
    model = made()
    with pytest.raises(pynn.ShapeError):
        model.fit(x, y, mixup=0.3, validation_data=(x[:, :2], y))
    before = model.evaluate(x, y)["loss"]
    assert model.train_step(x, y).loss == pytest.approx(before, rel=1e-12)
    made().fit(x, y, mixup=0.3, checkpoint=tmp_path / "run")
    with pytest.raises(pynn.ArgumentValueError, match=r"mixup=0.3; received mixup=0.1"):
        made().fit(x, y, mixup=0.1, epochs=2, checkpoint=tmp_path / "run", resume=True)


# ---- all of it


@pytest.mark.parametrize("optimizer", [pynn.SGD(0.05, weight_decay=0.01), pynn.Adam(weight_decay=0.1)])
def test_the_same_bits_on_any_number_of_threads(optimizer, points):
    x = np.random.default_rng(0).normal(size=(600, 40)).astype(np.float32)
    y = points[1]
    found, before = [], pynn.get_num_threads()
    try:
        for threads in (1, 2, 3, 8):
            pynn.set_num_threads(threads)
            layer = pynn.Dense(700, activation="relu", kernel_regularizer="l1_l2", bias_regularizer="l2",
                               kernel_constraint=constraints.MaxNorm(1.5), bias_constraint="non_neg")  # fmt: skip
            model = pynn.Sequential([layer, pynn.Dense(2, kernel_constraint="unit_norm")])
            model.compile("softmax_cross_entropy", optimizer)
            ema = pynn.EMA(0.9)
            history = model.fit(x, y, epochs=2, batch_size=128, mixup=0.4, callbacks=[ema])
            found.append((np.array(model.parameters).tobytes(), ema.parameters.tobytes(), history.history["loss"]))
    finally:
        pynn.set_num_threads(before)
    assert all(one == two for one, two in itertools.pairwise(found))


# ---- averages and batch normalization


def normalized(dtype="float64"):
    layers = [
        pynn.Dense(7, activation="tanh"), pynn.BatchNormalization(), pynn.Dense(6, activation="relu"),
        pynn.BatchNormalization(), pynn.Dense(3),
    ]  # fmt: skip
    model = pynn.Sequential(layers, seed=3, dtype=dtype).build(5)
    model.compile("softmax_cross_entropy", pynn.SGD(0.05, momentum=0.9))
    return model


@pytest.mark.parametrize("kind", ["ema", "swa"])
def test_averages_with_batch_normalization_are_pytorchs(kind):
    torch = pytest.importorskip("torch")
    swa_utils = torch.optim.swa_utils
    x, y = data(rows=60)
    model = normalized()
    twin = torch.nn.Sequential(
        torch.nn.Linear(5, 7), torch.nn.Tanh(), torch.nn.BatchNorm1d(7, 1e-3, 0.01), torch.nn.Linear(7, 6),
        torch.nn.ReLU(), torch.nn.BatchNorm1d(6, 1e-3, 0.01), torch.nn.Linear(6, 3),
    ).double()  # fmt: skip
    with torch.no_grad():
        for module, layer in ((twin[0], 0), (twin[3], 2), (twin[6], 4)):
            module.weight[:] = torch.tensor(model.layers[layer].kernel.T)
            module.bias[:] = torch.tensor(model.layers[layer].bias)
    average = swa_utils.get_ema_multi_avg_fn(0.8) if kind == "ema" else None
    averaged = swa_utils.AveragedModel(twin, multi_avg_fn=average)
    optimizer = torch.optim.SGD(twin.parameters(), 0.05, momentum=0.9)
    rows, labels = torch.tensor(x), torch.tensor(y)
    for step in range(12):
        batch = slice(15 * (step % 4), 15 * (step % 4) + 15)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(twin(rows[batch]), labels[batch]).backward()
        optimizer.step()
        averaged.update_parameters(twin)
    swa_utils.update_bn([rows], averaged)
    averaged.eval()
    with torch.no_grad():
        for module in (averaged.module[2], averaged.module[5]):
            module.running_var *= 59 / 60  # torch's is of n - 1 rows
        theirs = torch.softmax(averaged(rows), 1).numpy()
        loss = torch.nn.functional.cross_entropy(averaged(rows), labels).item()

    callback = pynn.EMA(0.8) if kind == "ema" else pynn.SWA()
    history = model.fit(x, y, epochs=3, batch_size=15, shuffle=False, validation_data=(x, y), callbacks=[callback])
    for layer, module in ((1, averaged.module[2]), (3, averaged.module[5])):
        np.testing.assert_allclose(model.layers[layer].moving_mean, module.running_mean, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(model.layers[layer].moving_variance, module.running_var, rtol=1e-9)
    np.testing.assert_allclose(model.predict(x), theirs, rtol=1e-9)
    assert history.history["val_loss"][-1] == pytest.approx(loss, rel=1e-9)
    assert model.evaluate(x, y)["loss"] == pytest.approx(loss, rel=1e-9)


def test_moments_for_an_average_leave_training_alone():
    x, y = data(rows=60)
    plain, averaged = normalized(), normalized()
    plain.fit(x, y, epochs=3, validation_data=(x, y))
    ema = pynn.EMA(0.8, swap=False)
    averaged.fit(x, y, epochs=3, validation_data=(x, y), callbacks=[ema])
    np.testing.assert_array_equal(plain.parameters, averaged.parameters)
    np.testing.assert_array_equal(plain.core.state, averaged.core.state)
    averaged.parameters[...] = ema.parameters
    averaged.update_moments(x)
    swapped = normalized()
    swapped.fit(x, y, epochs=3, callbacks=[pynn.EMA(0.8)])
    np.testing.assert_array_equal(averaged.predict(x), swapped.predict(x))
    with pytest.raises(pynn.NotReadyError, match=r"expected x.*received none"):
        averaged.update_moments()


@pytest.mark.parametrize(("dtype", "scale"), [("float32", 1e25), ("float64", 1e200)])
def test_moments_beyond_the_dtype_are_refused_and_change_nothing(dtype, scale):
    model = pynn.Sequential([pynn.BatchNormalization(), pynn.Dense(3), pynn.BatchNormalization(), pynn.Dense(2)],
                            seed=0, dtype=dtype)  # fmt: skip
    model.build(4)
    before, x = np.array(model.core.state), np.random.default_rng(0).normal(size=(50, 4))
    with pytest.raises(pynn.NumericalError, match="received column 2 of what layer 0, BatchNormalization, takes"):
        model.update_moments(x * [1, 1, scale, 1])
    model.layers[1].kernel *= scale
    with pytest.raises(pynn.NumericalError, match="received column 0 of what layer 2"):
        model.update_moments(x)
    np.testing.assert_array_equal(model.core.state, before)


def test_averages_with_batch_normalization_resume_to_the_same_bits(tmp_path):
    x, y = data(rows=60)
    runs = []
    for epochs, resume in ((4, None), (2, False), (4, True)):
        model = normalized("float32")
        kept = {} if resume is None else {"checkpoint": tmp_path / "run", "resume": resume}
        options = {"batch_size": 15, "validation_data": (x, y), "callbacks": [pynn.EMA(0.8)]}
        history = model.fit(x, y, epochs=epochs, **options, **kept)
        runs.append((np.array(model.parameters), np.array(model.core.state), history.history["val_loss"]))
    for whole, resumed in zip(runs[0], runs[2], strict=True):
        np.testing.assert_array_equal(whole, resumed)


def test_data_that_run_out_are_no_reason_to_be_silent():
    x, y = data(rows=60)

    def stream():
        for _ in range(4):
            yield x, y

    with pytest.warns(pynn.TrainingWarning, match=r"update_moments\(X\)"):
        normalized().fit(stream(), epochs=1, callbacks=[pynn.SWA()])
    loader = pynn.DataLoader(x, y, batch_size=20)
    model, again = normalized(), normalized()
    model.fit(loader, epochs=2, callbacks=[pynn.SWA()])
    again.fit(x, y, epochs=2, batch_size=20, shuffle=False, callbacks=[pynn.SWA()])
    np.testing.assert_array_equal(model.predict(x), again.predict(x))


def test_the_best_average_is_what_is_kept(tmp_path):
    x, y = data(rows=60)
    for order in (1, -1):
        model, seen = normalized(), []
        note = pynn.LambdaCallback(on_test_end=lambda logs, seen=seen: seen.append(logs["loss"]))
        best = pynn.ModelCheckpoint(tmp_path / "best", save_best_only=True)
        stop = pynn.EarlyStopping(patience=1, restore_best_weights=True, min_delta=1e-2)
        callbacks = [pynn.EMA(0.5), stop, best, note][::order]
        history = model.fit(x, y, epochs=40, batch_size=15, validation_data=(x, y), callbacks=callbacks)
        kept = history.history["val_loss"][stop.best_epoch]
        assert model.evaluate(x, y)["loss"] == pytest.approx(kept, rel=1e-12)
        assert pynn.load(tmp_path / "best").evaluate(x, y)["loss"] == pytest.approx(min(seen), rel=1e-12)
