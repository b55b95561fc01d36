"""The guard: policies, ledger, reports with causes, and a sample of the chaos runs of benchmarks/chaos.py."""

import importlib.util
import json
import warnings
from pathlib import Path

import numpy as np
import pytest

import pynn

spec = importlib.util.spec_from_file_location("chaos", Path(__file__).parents[1] / "benchmarks" / "chaos.py")
chaos = importlib.util.module_from_spec(spec)


@pytest.fixture(scope="module")
def scenario():
    spec.loader.exec_module(chaos)
    return chaos.Scenario


@pytest.mark.parametrize("seed", range(64))
def test_chaos(scenario, seed):
    one = scenario(seed)
    try:
        one.check()
    except AssertionError as error:
        pytest.fail(f"{one.describe()}: {error}")


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(640, 5))
    return x, x @ rng.normal(size=(5, 2)) + 0.1 * rng.normal(size=(640, 2))


def model_of(loss="mse", optimizer="sgd", learning_rate=0.05, activation="relu", **options):
    model = pynn.Sequential([pynn.Dense(20, activation=activation, **options), pynn.Dense(2)], seed=1)
    model.compile(loss, pynn.optimizers.get({"name": optimizer, "learning_rate": learning_rate}))
    return model


def test_a_healthy_run_has_an_empty_ledger_and_the_same_bits_under_every_policy(data):
    parameters = []
    for policy in ("raise", "skip", "rollback", "off"):
        model = model_of()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            history = model.fit(*data, epochs=3, guard=policy)
        assert history.ledger == []
        assert history.report.findings == []
        parameters.append(model.parameters.tobytes())
    assert len(set(parameters)) == 1


def test_skip_leaves_the_batch_out_and_names_its_row(data, capsys):
    x, y = data
    x[321, 3] = np.nan
    model = model_of()
    model.compile(model.loss, model.optimizer, ["mae"])
    with pytest.warns(pynn.TrainingWarning, match="skipped the batch") as caught:
        history = model.fit(x, y, epochs=2, guard="skip", verbose=2)
    assert len(caught) == 1
    assert [(e["kind"], e["operation"], e["row"], e["column"], e["epoch"]) for e in history.ledger] == [
        ("skipped", "input", 321, 3, epoch) for epoch in (0, 1)
    ]
    (finding,) = history.report.findings
    assert (finding.code, finding.severity, finding.rows, finding.columns) == ("nonfinite_input", "warning", [321], [3])
    assert all(np.isfinite(v) for epoch in history for v in epoch.values())
    assert capsys.readouterr().err.count("row 321, column 3: a cell of X is nan; skipped the batch") == 2
    json.dumps([history.to_dict()["ledger"], history.report.to_dict()])


def test_a_streak_of_bad_batches_ends_the_run(data):
    x, y = data
    x[:, 0] = np.inf
    with pytest.raises(pynn.NumericalError) as caught:
        model_of().fit(x, y, guard=pynn.Guard(policy="skip", streak=4))
    assert caught.value.report.findings[0].code == "nonfinite_input"
    model = model_of().build(x.shape[1])
    model.layers[0].kernel[0, 0] = np.nan
    with pytest.raises(pynn.NumericalError, match=r"a weight of layer 0 is nan; 4 batches in a row\."):
        model.fit(np.ones_like(x), y, guard=pynn.Guard(policy="skip", streak=4))


def test_rows_are_those_of_the_data_behind_a_shuffled_loader(data):
    x, y = data
    x[77, 1] = 1e30
    loader = pynn.DataLoader(x, y, batch_size=16, shuffle=True, seed=3)

    class Stream:
        def __iter__(self):
            return iter(loader)

    for batches in (loader, Stream()):  # gathered in C, and one batch after the other
        with pytest.raises(pynn.NumericalError) as caught:
            model_of(kernel_initializer="ones").fit(batches, guard="raise", epochs=5)
        report = caught.value.report
        assert report.findings[0].rows == [77]
        cause = report.findings[1]
        assert (cause.code, cause.rows, cause.columns) == ("outlier", [77], [1])
        assert cause.evidence["tried"] == "alone"
        assert cause.evidence["largest"] == 1e30


def test_rollback_carries_a_run_through_a_large_learning_rate(data):
    model = model_of(learning_rate=1e4)
    with pytest.warns(pynn.TrainingWarning):
        history = model.fit(*data, epochs=60, guard="rollback")
    rolled = [entry for entry in history.ledger if entry["kind"] == "rolled_back"]
    assert rolled
    assert all(entry["new_learning_rate"] < entry["learning_rate"] for entry in rolled)
    assert model.learning_rate == rolled[-1]["new_learning_rate"] == history[-1]["learning_rate"]
    assert history[-1]["loss"] < 0.1


def test_rollbacks_end(data):
    guard = pynn.Guard(policy="rollback", max_rollbacks=2)
    with pytest.raises(pynn.NumericalError, match="after 2 rollbacks"):
        model_of(learning_rate=1e20).fit(*data, epochs=5, guard=guard)


def test_a_divergence_that_stays_finite_is_a_fault(data):
    model = model_of(optimizer="adam", learning_rate=100)
    with pytest.raises(pynn.NumericalError, match="diverged") as caught:
        model.fit(*data, epochs=50)
    assert caught.value.report.findings[0].code == "diverging_loss"
    assert [entry["kind"] for entry in model.history.ledger] == ["diverged", "refused"]
    assert np.isfinite(model.parameters).all()


def test_off_leaves_what_other_tools_leave(data):
    model = model_of(learning_rate=1e4)
    history = model.fit(*data, epochs=5, guard="off")
    assert history.ledger == []
    assert not np.isfinite(model.parameters).all()


def test_the_report_ranks_causes_with_numbers(data):
    x, y = data
    x[:, 3] *= 1e6
    with pytest.raises(pynn.NumericalError) as caught:
        model_of(learning_rate=1.0).fit(x, y)
    report = caught.value.report
    codes = [finding.code for finding in report.findings]
    assert "unscaled_input" in codes
    assert "learning_rate_too_high" in codes
    rate = report.findings[codes.index("learning_rate_too_high")]
    assert rate.evidence["learning_rate"] == 1.0
    assert 0 < rate.evidence["limit"] < 1e-8
    assert report.findings[codes.index("unscaled_input")].columns == [3]
    assert "Column 3 of X has values up to" in str(report)
    assert "What to do:" in str(report)
    json.dumps(report.to_dict())


def test_the_limit_of_the_learning_rate_is_that_of_least_squares():
    """For one linear layer and mse the curvature is known: 2/outputs times the largest eigenvalue of X'X/n."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 4)) * [1, 2, 3, 40], rng.normal(size=(64, 1))
    model = pynn.Sequential([pynn.Dense(1, use_bias=False)], seed=0)
    curvature = 2 * np.linalg.eigvalsh(x.T @ x / len(x))[-1]
    model.compile("mse", pynn.SGD(learning_rate=2.2 / curvature))
    with pytest.raises(pynn.NumericalError) as caught:
        model.fit(x, y, epochs=2000, batch_size=64, shuffle=False)
    (rate,) = [f for f in caught.value.report.findings if f.code == "learning_rate_too_high"]
    assert rate.evidence["limit"] == pytest.approx(2 / curvature, rel=1e-3)


def test_wide_initial_weights_are_named(data):
    wide = pynn.initializers.RandomNormal(stddev=1e20)
    with pytest.raises(pynn.NumericalError) as caught:
        model_of(kernel_initializer=wide).fit(*data)
    (init,) = [f for f in caught.value.report.findings if f.code == "poor_init"]
    assert init.layer == 0
    assert init.evidence["std"] == pytest.approx(1e20, rel=0.2)
    assert init.evidence["default"] == pytest.approx(np.sqrt(2 / 5), rel=0.2)
    assert init.evidence["tried"] == "alone"


def test_statistics_of_layers(data):
    model = model_of(
        activation="tanh", kernel_initializer=pynn.initializers.RandomNormal(stddev=50.0), learning_rate=1e-4
    )
    assert model.statistics(0) == {}
    model.fit(*data, guard=pynn.Guard(check_every=1))
    taken = model.statistics(0)
    assert taken["step"] == 20
    assert taken["saturated"] > 0.8
    assert taken["largest"] == 1.0
    assert 0 < taken["update_ratio"] < 1e-3
    assert model.statistics(1)["saturated"] == 0


def test_train_step_with_a_guard(data):
    x, y = data
    model = model_of(learning_rate=1e20)
    seen = []
    for _ in range(10):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pynn.TrainingWarning)
            step = model.train_step(x, y, guard="rollback")
        seen += [finding.code for finding in step.findings]
        assert np.isfinite(model.parameters).all()
    assert seen
    assert model.learning_rate < 1e20


@pytest.mark.parametrize(
    "bad",
    [{"policy": "repair it"}, {"streak": 0}, {"backoff": 1.0}, {"check_every": -1}, {"window": 7}, {"divergence": 0.5},
     {"clip_alpha": 1}, {"max_rollbacks": -1}, {"snapshot_every": 0}, {"clip_z": float("nan")}],
)  # fmt: skip
def test_a_guard_that_cannot_be(bad):
    with pytest.raises(pynn.ArgumentValueError, match=f"expected {next(iter(bad))} as"):
        pynn.Guard(**bad)


def test_a_guard_is_plain_values(data):
    guard = pynn.Guard(policy="rollback", backoff=0.3)
    assert pynn.Guard(**json.loads(json.dumps(guard.to_dict()))) == guard
    with pytest.raises(TypeError, match="expected guard as"):
        model_of().fit(*data, guard=3)
    with pytest.raises(TypeError, match="expected streak as"):
        pynn.Guard(streak=2.5)


def test_a_run_that_freezes_is_named(data):
    x, y = data
    wide = pynn.initializers.RandomNormal(stddev=30.0)
    model = model_of(activation="sigmoid", kernel_initializer=wide, learning_rate=1e-9)
    history = model.fit(x, 100 + y, epochs=2, guard=pynn.Guard(check_every=1))
    codes = [f.code for f in history.report.findings]
    assert codes == ["saturated_activation", "poor_init", "stalled_updates", "unscaled_target"]
    assert history.report.findings[0].layer == 0


@pytest.mark.parametrize("divergence", [10.0, 0.0])
@pytest.mark.parametrize("offset", [0.0, 50.0])  # what the last bias can learn by itself
def test_a_dead_network_is_named_whatever_its_bias_has_learned(data, offset, divergence):
    x, y = data
    dead = pynn.Dense(16, activation="relu", bias_initializer=pynn.initializers.Constant(-50.0))
    model = pynn.Sequential([dead, pynn.Dense(2)], seed=0)
    model.compile("mse", pynn.SGD(learning_rate=0.1))
    with pytest.warns(pynn.TrainingWarning, match="no gradient passes"):
        history = model.fit(x, offset + y, epochs=40, guard=pynn.Guard(divergence=divergence))
    assert [f.code for f in history.report.findings] == ["dead_relu", "zero_gradient"]
    losses = model._learner.trainer.losses()
    assert losses["sampled"] == pytest.approx(losses["constant"], rel=1e-6)


def test_a_short_run_has_statistics_of_its_end(data):
    model = model_of()
    model.fit(*data, epochs=1, batch_size=10)
    assert (model._learner.trainer.steps, model.statistics(0)["step"]) == (64, 51)


def test_targets_out_of_scale_are_named_when_nothing_is_learned(data):
    x, y = data
    model = model_of(optimizer="adam", learning_rate=1e-3)
    with pytest.warns(pynn.TrainingWarning, match="column 1 of y has values up to"):
        history = model.fit(x, 1e6 * (y + 5), epochs=20)
    assert [f.code for f in history.report.findings] == ["unscaled_target"]
    model.compile("mse", "adam", target_scaling="standard")
    model.build(5)
    assert model.fit(x, 1e6 * (y + 5), epochs=20).report.findings == []


def claims(seed):
    """Rare, huge targets: one row in twenty."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(1500, 6))
    return x, np.where(rng.random(1500) < 0.05 * np.exp(x[:, 0] - 0.5), np.exp(rng.normal(9, 1, 1500)), 0.0)


def rare_counts(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(1500, 6))
    return x, rng.poisson(np.exp(4 + x[:, 0])) * (rng.random(1500) < 0.05)


def late(seed):
    """Targets that are 0 in the first half, in order."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(4000, 6)), np.repeat([0.0, 1e4], 2000) * (1 + rng.random(4000))


@pytest.mark.parametrize(("task", "loss"), [(claims, "mse"), (rare_counts, "poisson"), (late, "mse")])
def test_rare_and_late_targets_are_no_divergence(task, loss):
    for seed in range(10):
        model = pynn.Sequential([pynn.Dense(16, activation="relu"), pynn.Dense(1)], seed=seed)
        model.compile(loss, pynn.Adam(learning_rate=0.01 if loss == "poisson" else 1e-3))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pynn.TrainingWarning)  # of targets out of scale
            assert model.fit(*task(seed), epochs=3, shuffle=task is not late).ledger == []


@pytest.mark.parametrize("weight", [1e38, np.full(200, 1e37)])
def test_weights_of_rows_are_among_the_causes(data, weight):
    x, y = data[0][:200], data[1][:200]
    weights = np.ones(200)
    weights[150 if np.isscalar(weight) else slice(None)] = weight
    with pytest.raises(pynn.NumericalError) as caught:
        model_of(activation="relu").fit(x, y, sample_weight=weights, epochs=5)
    cause = caught.value.report.findings[1]
    assert (cause.code, cause.rows) == (("outlier", [150]) if np.isscalar(weight) else ("loss_scale", []))
    assert cause.evidence["array"] == "sample_weight"
    assert cause.evidence["tried"] == "alone"


def test_a_run_that_comes_to_rest_knowing_nothing_has_diverged(data):
    x, y = data
    labels = (y[:, 0] > 0).astype(int)
    model = model_of("softmax_cross_entropy", learning_rate=1.0)
    with pytest.warns(pynn.TrainingWarning):
        history = model.fit(x * 255, labels, epochs=60, guard=pynn.Guard(policy="rollback", backoff=0.1))
    assert "rolled_back" in [entry["kind"] for entry in history.ledger]
    assert history[-1]["loss"] < 0.4


def test_the_demo_tells_both_acts_up_to_the_trained_network(capsys):
    from pynn import cli

    assert cli.main(["demo", "nan", "--short"]) == 0
    acts = capsys.readouterr().out.split("Act 2.")
    for act, said in zip(acts, (["learning_rate_too_high", "unscaled_input", "went back to step"],
                                ["poor_init", "saturated_activation", "loss_mismatch"]), strict=True):  # fmt: skip
        for words in ["ot a word.", "pynn.diagnose", "pynn.repair", "closes", "model.fit(X, y, epochs=3", *said]:
            assert words in act
        assert float(act.rsplit("test accuracy ", 1)[1].split("%")[0]) > 80
