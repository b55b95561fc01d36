"""Pictures: each function returns its axes, draws what it is given, and changes nothing global."""

import numpy as np
import pytest

import pynn
from pynn import plots

matplotlib = pytest.importorskip("matplotlib")


@pytest.fixture(autouse=True)
def nothing_global_changes():
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    before = dict(matplotlib.rcParams)
    yield
    assert dict(matplotlib.rcParams) == before
    plt.close("all")


@pytest.fixture(scope="module")
def model():
    (X, y), (Xt, yt) = pynn.datasets.digits()
    model = pynn.Sequential([pynn.Dense(16, activation="relu"), pynn.Dense(10)], seed=0)
    model.compile("softmax_cross_entropy", metrics=["accuracy"])
    model.fit(X[:500], y[:500], epochs=3, validation_data=(Xt[:200], yt[:200]))
    return model


def test_a_health_map_has_a_row_for_each_layer(model):
    ax = model.plot_health()
    assert [label.get_text() for label in ax.get_yticklabels()] == ["0 Dense(16, relu)", "1 Dense(10)"]
    drawn = ax.get_images()[0].get_array()
    assert drawn.shape == (2, len(model.history.health))
    assert model.plot_health("dead", ax).get_title(loc="left") == "share of dead units"
    assert plots.health(model.history.health, field="activation").get_title(loc="left") == "largest activation"
    with pytest.raises(KeyError, match="'gradient'"):
        plots.health(model.history, field="nothing")
    with pytest.raises(pynn.NotReadyError):
        pynn.Sequential([pynn.Dense(1)]).plot_health()


def test_sizes_from_1e_minus_100_to_1e30_have_different_colors():
    from pynn.plots.layers import _degrees

    degrees = _degrees(np.array([0.0, 1e-100, 1e-30, 1e-3, 1.0, 1e3, 1e30, 1e100, np.inf]), 0.0)
    assert np.all(np.diff(degrees) > 0.1)


def test_a_report_draws_its_run(model):
    axes = model.history.report.plot()
    assert axes.shape == (3,)
    assert axes[0].get_title(loc="left") == "loss"
    with pytest.raises(pynn.NotReadyError):
        pynn.Report().plot()


def test_the_axis_of_a_rate_test_shows_the_valley():
    rates = np.geomspace(1e-6, 10, 100)
    smoothed = np.where(rates < 0.1, 2.0 - np.log10(rates * 1e6) / 5, 1.0) + np.where(rates > 1, 1e6 * rates, 0)
    test = pynn.LearningRateTest(0.01, rates, smoothed * 1.01, smoothed)
    ax = test.plot()
    low, high = ax.get_ylim()
    assert low < 1.0 < 2.0 < high < 3.0
    assert ax.get_xscale() == "log"
    deep = np.geomspace(1000, 1e-3, 100)
    ax = pynn.LearningRateTest(0.01, rates, deep, deep).plot()
    assert ax.get_yscale() == "log"
    assert ax.get_ylim()[0] < 1e-3


def test_confusion_counts_rows():
    ax = plots.confusion([0, 0, 1, 2], [0, 1, 1, 2], classes=["cat", "dog", "owl"])
    assert {text.get_text() for text in ax.texts} == {"1"}
    assert len(ax.texts) == 4
    assert [label.get_text() for label in ax.get_xticklabels()] == ["cat", "dog", "owl"]
    assert ax.get_title(loc="left") == "75.0% right"
    assert plots.confusion(["no", "yes"], ["yes", "yes"]).get_title(loc="left") == "50.0% right"
    with pytest.raises(pynn.ShapeError):
        plots.confusion([0, 1], [0])


def test_calibration_lies_on_the_diagonal_where_probabilities_are_true():
    rng = np.random.default_rng(0)
    p = rng.uniform(size=20_000)
    y = (rng.uniform(size=len(p)) < p).astype(int)
    ax = plots.calibration(y, p)
    right = next(line for line in ax.get_lines() if line.get_label() == "right")
    np.testing.assert_allclose(right.get_xdata(), right.get_ydata(), atol=0.05)
    two = plots.calibration(y, np.column_stack([1 - p, p]))
    assert float(two.get_title(loc="left").split()[-1].rstrip("%")) < 3
    with pytest.raises(pynn.ArgumentValueError, match="raw=True"):
        plots.calibration([0, 1], [[3.0, -1.0], [0.0, 2.0]])


def test_axes_that_are_given_are_drawn_on(model):
    from matplotlib.figure import Figure

    for draw in (
        lambda ax: plots.health(model.history, ax),
        lambda ax: plots.confusion([0, 1], [0, 1], ax),
        lambda ax: plots.calibration([0, 1], [0.2, 0.7], ax),
        lambda ax: model.history.plot(ax=ax),
    ):
        ax = Figure().subplots()
        assert draw(ax) is ax
