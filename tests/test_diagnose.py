"""`diagnose` names the cause that trials prove, `repair` trains the network; healthy programs are left in peace."""

import numpy as np
import pytest

import pynn
from pynn import Adam, Dense

EPOCHS = 30


@pytest.fixture(scope="module")
def blobs():
    """Four classes, six columns of size 1."""
    random = np.random.default_rng(0)
    y = random.integers(0, 4, 400)
    X = random.normal(size=(4, 6))[y] * 1.5 + 0.6 * random.normal(size=(400, 6))
    return X.astype(np.float32), y


@pytest.fixture(scope="module")
def wave():
    x = np.linspace(-2, 2, 400)[:, None]
    return x, np.sin(2 * x[:, 0])


def network(*widths, optimizer=None, loss="softmax_cross_entropy", activation="relu", last=4, first=(), **options):
    layers = [*first, *(Dense(width, activation=activation) for width in widths), Dense(last)]
    model = pynn.Sequential(layers, seed=0)
    model.compile(loss, optimizer or Adam(learning_rate=5e-3), **options)
    return model


def planted(layers, loss="softmax_cross_entropy", optimizer=None, **options):
    model = pynn.Sequential(layers, seed=0)
    model.compile(loss, optimizer or Adam(learning_rate=5e-3), **options)
    return model


def relu(units=16, **arguments):
    return Dense(units, activation="relu", **arguments)


@pytest.mark.parametrize(
    "optimizer", [Adam(learning_rate=5e-3), pynn.SGD(learning_rate=0.1), pynn.SGD(learning_rate=0.05, momentum=0.9)]
)
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_healthy_networks_are_left_in_peace(blobs, optimizer, activation):
    report = pynn.diagnose(network(16, optimizer=optimizer, activation=activation), *blobs, epochs=EPOCHS)
    assert [finding for finding in report.findings if finding.severity != "info"] == []


def test_model_and_data_are_left_as_they_are(blobs):
    X, y = blobs
    model = network(16, optimizer=Adam(learning_rate=1e-6))
    model.fit(X, y, epochs=2, verbose=0)
    before, rows, labels = model.parameters.copy(), X.copy(), y.copy()
    history = model.history
    pynn.diagnose(model, X, y, epochs=EPOCHS)
    pynn.repair(model, X, y, epochs=EPOCHS)
    assert np.array_equal(model.parameters, before)
    assert np.array_equal(X, rows)
    assert np.array_equal(y, labels)
    assert model.history is history
    assert model.learning_rate == 1e-6


def test_the_same_report_at_any_number_of_threads(blobs):
    threads, found = pynn.get_num_threads(), []
    try:
        for n in (1, 3):
            pynn.set_num_threads(n)
            found.append(
                pynn.diagnose(network(16, optimizer=Adam(learning_rate=1e-6)), *blobs, epochs=EPOCHS).to_dict()
            )
    finally:
        pynn.set_num_threads(threads)
    assert found[0] == found[1]


def test_labels_that_do_not_depend_on_inputs(blobs):
    X, y = blobs
    report = pynn.diagnose(network(16), X, np.random.default_rng(3).permutation(y), epochs=EPOCHS)
    finding = report.findings[0]
    assert finding.code == "labels_independent_of_inputs"
    for measured in ("known", "nearest", "linear", "permuted"):
        assert finding.evidence[measured] < 0.1
    assert "nearest row" in finding.message


def test_labels_that_only_the_nearest_row_tells_do_depend_on_inputs():
    random = np.random.default_rng(0)
    x = np.arange(600) / 600
    y = (np.floor(60 * x) % 2).astype(int)  # 30 stripes, too thin for this network
    order = random.permutation(600)
    report = pynn.diagnose(network(8, last=2), x[order, None], y[order], epochs=5, budget=1)
    codes = [finding.code for finding in report.findings]
    assert "underfitting" in codes
    assert "labels_independent_of_inputs" not in codes


def test_noisy_labels(blobs):
    X, y = blobs
    random = np.random.default_rng(4)
    noisy = np.where(random.random(len(y)) < 0.4, random.integers(0, 4, len(y)), y)
    report = pynn.diagnose(network(16), X, noisy, epochs=EPOCHS)
    assert report.findings[0].code == "label_noise"
    rows = report.findings[0].rows
    assert np.mean(noisy[rows] != y[rows]) > 0.7


def test_a_bad_cell_is_named_before_anything_else(blobs):
    X, y = blobs
    X = X.copy()
    X[37, 2] = np.nan
    report = pynn.diagnose(network(16), X, y, epochs=2)
    assert (report.findings[0].code, report.findings[0].rows, report.findings[0].columns) == (
        "nonfinite_input",
        [37],
        [2],
    )


def test_repair_trains_the_network(blobs):
    X, y = blobs
    model = planted([relu(), Dense(4)], optimizer=Adam(learning_rate=1e-6), metrics=["accuracy"])
    result = pynn.repair(model, 1e4 * X, y, epochs=EPOCHS)
    assert result.model.evaluate(1e4 * X, y)["accuracy"] > 0.95
    assert result.changes
    assert all(change.before != change.after for change in result.changes)
    assert "pynn.Sequential" in result.code()
    assert len(result.history) >= EPOCHS


def test_the_code_of_a_repair_runs_and_trains_the_same(blobs):
    X, y = blobs
    result = pynn.repair(network(16, optimizer=Adam(learning_rate=1e-6)), X, y, epochs=EPOCHS)
    names = {"pynn": pynn, "X": X, "y": y} | {name: getattr(pynn.activations, name) for name in dir(pynn.activations)}
    exec(result.code(), names)
    assert np.array_equal(names["model"].parameters, result.model.parameters)


def test_repair_keeps_the_units_of_y(wave):
    x, y = wave
    result = pynn.repair(planted([relu(32), Dense(1)], "mse", metrics=["r2"]), x, 1e5 * y + 1e6, epochs=60)
    assert result.model.evaluate(x, 1e5 * y + 1e6)["r2"] > 0.9


def test_repair_changes_nothing_where_nothing_is_wrong(blobs):
    result = pynn.repair(network(16), *blobs, epochs=EPOCHS)
    assert result.changes == []
    again = network(16)
    again.fit(*blobs, epochs=EPOCHS, verbose=0)
    assert np.array_equal(result.model.parameters, again.parameters)


def test_validation_rows_judge_when_they_are_given(blobs):
    X, y = blobs
    report = pynn.diagnose(
        network(16, optimizer=Adam(learning_rate=1e-6)),
        X[:300],
        y[:300],
        epochs=EPOCHS,
        validation_data=(X[300:], y[300:]),
    )
    assert report.findings[0].code == "learning_rate_too_low"


def test_preflight_trains_nothing(blobs):
    X, y = blobs
    model = planted([relu(), Dense(1, activation="softmax")], "mse")
    report = pynn.diagnose(model, X, y % 2, preflight=True)
    assert report.findings[0].code == "single_unit_softmax"
    assert not model.built
    found = pynn.diagnose(network(16), X, y, epochs=EPOCHS, preflight=True).findings
    assert [finding for finding in found if finding.severity != "info"] == []


def test_preflight_names_cells_and_labels_that_fit_would_refuse(blobs):
    X, y = blobs[0].copy(), blobs[1].copy()
    X[37, 2] = np.inf
    finding = pynn.diagnose(network(16), X, y, preflight=True).findings[0]
    assert (finding.code, finding.rows, finding.columns) == ("nonfinite_input", [37], [2])
    y[5] = 4
    finding = pynn.diagnose(network(16), blobs[0], y, preflight=True).findings[0]
    assert (finding.code, finding.rows) == ("label_out_of_range", [5])


@pytest.mark.parametrize("rows", [1, 2, 7])
def test_few_rows_give_a_report(blobs, rows):
    X, y = blobs
    assert str(pynn.diagnose(network(16), X[:rows], y[:rows], epochs=3))


def test_a_budget_of_nothing_says_that_it_is_incomplete(blobs):
    report = pynn.diagnose(network(16, optimizer=Adam(learning_rate=1e-6)), *blobs, epochs=EPOCHS, budget=0)
    assert report.incomplete == "budget"
    assert "Incomplete" in str(report)


def test_trials_that_overrun_badly_are_cut_off_by_the_clock(blobs, monkeypatch):
    monkeypatch.setattr("pynn.training.examine.OVERRUN", 0.0)
    monkeypatch.setattr("pynn.training.examine.LEAST", 0.0)
    report = pynn.diagnose(network(16, optimizer=Adam(learning_rate=1e-6)), *blobs, epochs=EPOCHS)
    assert report.incomplete == report.to_dict()["incomplete"] == "clock"


def test_bad_arguments_are_said(blobs):
    X, y = blobs
    with pytest.raises(pynn.NotReadyError, match="compile"):
        pynn.diagnose(pynn.Sequential([Dense(4)], seed=0), X, y)
    with pytest.raises(pynn.ShapeError, match="rows"):
        pynn.diagnose(network(16), X, y[:-1])
    with pytest.raises(pynn.ArgumentValueError, match="budget"):
        pynn.diagnose(network(16), X, y, budget=-1)
    with pytest.raises(pynn.ArgumentTypeError, match="epoch=3: did you mean 'epochs'"):
        pynn.repair(network(16), X, y, epoch=3)
    one = pynn.diagnose(network(16), X, np.zeros(len(y), int), epochs=2)
    assert one.findings[0].code == "one_class"


def table(folder, blobs, scale=1.0):
    X, y = blobs
    path = folder / "table.csv"
    names = [f"x{i}" for i in range(X.shape[1])]
    rows = [
        ",".join([*names, "kind"]),
        *(",".join([*(f"{scale * v:.6g}" for v in row), "abcd"[k]]) for row, k in zip(X, y, strict=True)),
    ]
    path.write_text("\n".join(rows) + "\n")
    return path


def test_the_command_line_tells_by_its_exit_status(tmp_path, blobs, capsys):
    from pynn.cli import main

    path = table(tmp_path, blobs)
    assert main(["diagnose", str(path), "--target", "kind", "--epochs", "20"]) == 0
    assert "nothing found" in capsys.readouterr().out
    model = network(16, optimizer=Adam(learning_rate=1e-7)).build(6)
    model.save(tmp_path / "slow.safetensors")
    arguments = ["diagnose", str(path), "--target", "kind", "--model", str(tmp_path / "slow.safetensors")]
    assert main(arguments) == 1
    assert "learning_rate_too_low" in capsys.readouterr().out
    assert main(["diagnose", str(tmp_path / "none.csv"), "--target", "kind"]) == 1


def test_callbacks_that_have_seen_a_run_are_copied_without_it(blobs):
    callback = pynn.LearningRateScheduler(lambda epoch, rate: rate * 0.01)
    model = network(16)
    model.fit(*blobs, epochs=2, callbacks=[callback], verbose=0)
    report = pynn.diagnose(network(16), *blobs, epochs=EPOCHS, callbacks=[callback])
    assert report.findings[0].code == "schedule_mismatch"
    assert callback.model is model


def test_the_guard_repairs_a_run_that_ends_in_a_fault(blobs):
    X, y = blobs
    model = network(16, optimizer=pynn.SGD(learning_rate=1e12), metrics=["accuracy"])
    with pytest.warns(pynn.TrainingWarning, match="repaired"):
        history = model.fit(1e3 * X, y, epochs=EPOCHS, guard="repair", verbose=0)
    assert history.changes
    assert model.history is history
    assert model.evaluate(1e3 * X, y)["accuracy"] > 0.9


def test_the_guard_of_repair_leaves_a_healthy_run_alone(blobs):
    runs = []
    for guard in ("raise", "repair"):
        model = network(16)
        model.fit(*blobs, epochs=3, guard=guard, verbose=0)
        runs.append(model.parameters.copy())
    assert np.array_equal(*runs)


def test_the_guard_of_repair_trains_as_the_arguments_say(blobs):
    X, y = blobs
    model = network(16, optimizer=pynn.SGD(learning_rate=1e12))
    with pytest.warns(pynn.TrainingWarning, match="repaired"):
        history = model.fit(1e3 * X, y, epochs=EPOCHS, guard="repair", validation_split=0.2, verbose=0)
    assert "val_loss" in history.history


def test_loaders_are_diagnosed_and_repaired(blobs):
    loader = pynn.DataLoader(*blobs, batch_size=16, shuffle=True, seed=0)
    result = pynn.repair(network(16, optimizer=Adam(learning_rate=1e-7), metrics=["accuracy"]), loader, epochs=EPOCHS)
    assert result.report.findings[0].code == "learning_rate_too_low"
    assert result.model.evaluate(*blobs)["accuracy"] > 0.9
    model = planted([relu(), pynn.BatchNormalization(), Dense(4)], metrics=["accuracy"])
    result = pynn.repair(model, pynn.DataLoader(*blobs, batch_size=1), epochs=2)
    assert any(change.what == "batch_size" for change in result.changes)
    assert result.model.evaluate(*blobs)["accuracy"] > 0.9


class Killed(Exception):
    pass


class Kill(pynn.Callback):
    """Ends the program, as it were, at the end of some epoch: counted over the run, its trials and the repaired run."""

    left = np.inf

    def on_epoch_end(self, epoch, logs):
        Kill.left -= 1
        if Kill.left < 0:
            raise Killed


def raised(epoch, rate):
    return 1e38 if epoch == 3 else rate


def test_a_run_that_is_resumed_is_repaired_with_the_same_bits(blobs, tmp_path):
    X, y = blobs

    def run(path, left, **more):
        Kill.left = left
        model = network(16, optimizer=pynn.SGD(learning_rate=0.05))
        callbacks = [pynn.LearningRateScheduler(raised), Kill()]
        keep = pynn.Checkpoint(path, every_steps=7)
        history = model.fit(X, y, epochs=8, guard="repair", callbacks=callbacks, checkpoint=keep, verbose=0, **more)
        return model, history

    with pytest.warns(pynn.TrainingWarning, match="repaired"):
        model, history = run(tmp_path / "whole", 10_000)
    epochs = 10_000 - Kill.left
    for left in (1, 20, epochs - 3):  # in the run, in the trials, in the repaired run
        path = tmp_path / str(left)
        with pytest.raises(Killed):
            run(path, left)
        assert (tmp_path / f"{left}.repaired").exists() == (left == epochs - 3)
        with pytest.warns(pynn.TrainingWarning, match="repaired"):
            again, resumed = run(path, np.inf, resume=True)
        assert np.array_equal(again.parameters, model.parameters)
        assert resumed.changes == history.changes != []
        assert resumed["loss"] == history["loss"]
        assert np.array_equal(pynn.load(f"{path}.repaired").parameters, model.parameters)


# ---- frozen, brought along, trained before


@pytest.fixture(scope="module")
def trained(blobs):
    model = network(16, 8)
    model.fit(*blobs, epochs=EPOCHS, verbose=0)
    return model


def with_new_head(trained, rate=1e-7, freeze=True):
    model = pynn.Sequential([*trained.layers[:-1], Dense(2)], seed=3)
    for layer in model.layers[:-1]:
        layer.trainable = not freeze
    model.compile("softmax_cross_entropy", Adam(learning_rate=rate), ["accuracy"])
    return model


@pytest.mark.parametrize("built", [False, True])
def test_frozen_layers_are_diagnosed_and_repaired_as_they_are(blobs, trained, built):
    X, y = blobs[0], blobs[1] % 2
    model = with_new_head(trained)
    if built:
        model.build(6)
    assert pynn.diagnose(model, X, y, epochs=EPOCHS).findings[0].code == "learning_rate_too_low"
    result = pynn.repair(model, X, y, epochs=EPOCHS)
    assert result.model.evaluate(X, y)["accuracy"] > 0.9
    assert [layer.trainable for layer in result.model.layers] == [False, False, True]
    for before, after in zip(trained.layers[:-1], result.model.layers[:-1], strict=True):
        assert np.array_equal(before.kernel, after.kernel)


def test_a_fault_of_frozen_layers_is_not_cured_by_changing_them(blobs):
    model = planted([relu(kernel_initializer="zeros"), Dense(4)])
    model.layers[0].trainable = False
    result = pynn.repair(model, *blobs, epochs=EPOCHS)
    kernel = next(layer for layer in result.model.layers if isinstance(layer.spec, Dense)).kernel
    assert not kernel.any()


def test_layers_that_were_brought_along_are_where_trials_start(blobs, trained):
    X, y = blobs[0], blobs[1] % 2
    result = pynn.repair(with_new_head(trained, rate=5e-3, freeze=False), X, y, epochs=EPOCHS)
    assert result.changes == []
    plain = with_new_head(trained, rate=5e-3, freeze=False)
    plain.fit(X, y, epochs=EPOCHS, verbose=0)
    assert np.array_equal(result.model.parameters, plain.parameters)


@pytest.mark.parametrize("ruin", [False, True])
def test_a_trained_or_ruined_model_starts_from_its_seed(blobs, ruin):
    reports = []
    for before in (False, True):
        model = network(16, optimizer=Adam(learning_rate=1e-7))
        if before:
            model.fit(*blobs, epochs=2, verbose=0)
        if before and ruin:
            model.parameters[:] = np.nan
        reports.append(pynn.diagnose(model, *blobs, epochs=EPOCHS).to_dict())
    assert reports[0] == reports[1]


def test_the_guard_repairs_from_weights_that_were_set_by_hand(blobs):
    X, y = blobs

    def made(rate):
        model = network(16, optimizer=pynn.SGD(learning_rate=rate)).build(6)
        model.layers[0].kernel[...] *= 0.5
        return model

    model = made(1e12)
    with pytest.warns(pynn.TrainingWarning, match="repaired"):
        model.fit(1e3 * X, y, epochs=EPOCHS, guard="repair", verbose=0)
    assert np.array_equal(model.parameters, pynn.repair(made(1e12), 1e3 * X, y, epochs=EPOCHS).model.parameters)


def test_sequences_are_refused_before_anything_is_trained():
    X, y = np.zeros((40, 5, 2)), np.arange(40) % 2
    model = pynn.Sequential([pynn.LSTM(4), pynn.Dense(2)], seed=0)
    model.compile("softmax_cross_entropy")
    for call in (lambda: pynn.diagnose(model, X, y, epochs=1), lambda: pynn.repair(model, X, y, epochs=1),
                 lambda: model.fit(X, y, guard="repair")):  # fmt: skip
        with pytest.raises(pynn.UnsupportedError, match="sequences"):
            call()
        assert not model.built
