"""The gallery keeps what it promises: short forms of its examples reach what their texts say."""

import importlib.util
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

GALLERY = Path(__file__).parents[1] / "examples" / "gallery"


def cells(name, leave_out=()):
    """Run the cells of an example, but for those with these headings, and return what they define."""
    text = (GALLERY / f"{name}.py").read_text(encoding="utf-8")
    names, skip = {"__name__": "example"}, False
    for cell in re.split(r"^# %%\n", text, flags=re.M):
        heading = re.match(r"# (.+)\n# -+\n", cell)
        skip = heading[1] in leave_out if heading else skip
        if not skip:
            exec(compile("\n" * text[: text.index(cell)].count("\n") + cell, f"{name}.py", "exec"), names)
    return names


@pytest.fixture(autouse=True)
def _own_warning_filters():
    with warnings.catch_warnings():  # examples silence warnings that they print
        yield


def test_the_question_its_faults_and_their_cures():
    names = cells("plot_the_question", leave_out=("What it does", "Fault 3: the learning rate"))
    checked, make = names["checked"], names["NumpyNetwork"]
    for activation in ("sigmoid", "tanh"):
        assert min(checked[activation, False]) > 0.05  # the question's formula is wrong, in every layer
        assert max(checked[activation, True]) < 1e-6
    assert max(checked["linear", False] + checked["cross-entropy"]) < 1e-6  # where it is right
    assert names["distance"] < 1e-12  # pynn's gradient is the right one
    assert names["sizes"]["sigmoid", False][-1] > 10 > 1 > names["sizes"]["sigmoid", True][-1]
    found = {name: [finding.code for finding in report.findings] for name, report in names["reports"].items()}
    assert found["sigmoid"] == found["tanh"] == ["saturated_activation", "poor_init"]
    assert found["relu"] == ["zero_gradient", "poor_init"]
    assert names["zeros"] == 1
    stages = [reached for _, reached in names["stages"]]
    assert stages[1] < stages[0] < stages[-1]
    assert stages[-1] > 0.88
    assert names["result"].model.evaluate(names["Xt"], names["Yt"])["accuracy"] > 0.8
    with np.errstate(all="ignore"):
        network = make([784, 100, 100, 10], "relu")
        assert network.train(names["X"], names["Y"], -0.01, batch=10) < 20  # NaN


def test_rejecting_what_belongs_to_no_class():
    pytest.importorskip("matplotlib").use("agg")
    names = cells("plot_reject")
    areas = names["areas"]
    assert all(ours > softmax for ours, softmax in zip(areas["neighbors"], areas["softmax"], strict=True))
    assert np.mean(areas["neighbors"]) > 0.9
    assert names["judged"]["neighbors"][1] > names["judged"]["softmax"][1]
    assert names["judged"]["neighbors"][0] > 0.9


def test_fifty_layers():
    pytest.importorskip("matplotlib").use("agg")
    names = cells("plot_deep", leave_out=("The same on five seeds:", "What diagnose and repair say"))
    reached = names["reached"]
    assert max(reached["sigmoid"]) < 0.15
    assert reached["residual"][0] >= 0.95
    assert reached["residual"][1] >= 0.93
    assert max(names["profile"]["sigmoid"][:20]) < 1e-18 < min(names["profile"]["residual"])


def module(name):
    spec = importlib.util.spec_from_file_location(f"gallery_{name}", GALLERY / f"{name}.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.mark.parametrize(("name", "inputs"), [("cart_pole", 2), ("snake", 3)])
def test_the_policy_gradient_is_the_gradient_of_its_loss(name, inputs):
    loss = module(name).policy_gradient
    random = np.random.default_rng(0)
    logits, target = random.normal(size=(2, 4, inputs))
    for i in range(inputs):
        step = 1e-6 * np.eye(inputs)[i]
        slope = (loss(logits + step, target)[0] - loss(logits - step, target)[0]) / 2e-6
        np.testing.assert_allclose(slope, loss(logits, target)[1][:, i], rtol=1e-5, atol=1e-8)


def test_a_cart_that_learns_to_balance_its_pole():
    cart = module("cart_pole")
    actor, lasted = cart.train(4)
    assert lasted[0] < 60  # it did not know it before
    balanced = cart.length(cart.play(actor, 100, np.random.default_rng(7), greedy=True)[2])
    assert balanced.mean() >= 475


def test_a_snake_that_learns_to_eat():
    snake = module("snake")
    actor, _ = snake.train(0, moves=3000)
    ours, chance = (snake.meals_of(one, 50, np.random.default_rng(1)).mean() for one in (actor, None))
    assert ours > 3 > 10 * chance


def test_the_rules_of_the_snake():
    snake = module("snake")
    game = snake.Boards(1, np.random.default_rng(0))
    game.facing[:], game.food[:] = 0, [[2, 3]]  # straight ahead of [3, 3]
    points, ended, _ = game.move(np.array([0]))
    assert (points[0], ended[0], game.meals[0], game.length[0]) == (1, False, 1, 3)
    view = game.seen().reshape(3, 11, 11)
    assert view[0].sum() == 121 - 36  # what lies beyond the board
    assert view[1, 5, 5] == pytest.approx(0.3)  # its head, in the middle
    assert view[1, 6, 5] > 0  # and its body behind it
    game.food[:] = [[5, 5]]
    for _ in range(2):
        assert not game.move(np.array([0]))[1][0]
    points, ended, meals = game.move(np.array([0]))  # into the wall
    assert (points[0], ended[0], list(meals)) == (-1, True, [1])
    assert (game.length[0], game.meals[0]) == (2, 0)  # a new game
