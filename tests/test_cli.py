"""The command line, run as a user runs it."""

import os
import re
import subprocess
import sys

import pytest

import pynn
from pynn import cli, plots
from pynn.cli import doctor


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "pynn", *arguments], capture_output=True, text=True, timeout=120,
        env=os.environ | {"PYTHONIOENCODING": "utf-8"} | environment, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip


def test_the_demo_trains_saves_and_draws(tmp_path):
    pytest.importorskip("matplotlib")
    result = run("demo", "--epochs", "2", "--out", str(tmp_path / "new" / "folder"))
    assert result.returncode == 0, result.stderr
    assert len(re.findall(r"^ +[12] +0\.\d{4} +\d\d\.\d\d % ", result.stdout, re.M)) == 2
    accuracy = float(re.search(r"Test accuracy ([\d.]+) %", result.stdout)[1])
    assert accuracy > 88
    assert (tmp_path / "new/folder/learning_curve.png").read_bytes().startswith(b"\x89PNG")
    (_, _), (Xt, yt) = pynn.datasets.digits()
    model = pynn.load(tmp_path / "new/folder/digits.safetensors")
    assert 100 * model.evaluate(Xt, yt)["accuracy"] == pytest.approx(accuracy)


def test_the_three_lines_that_the_demo_prints_work(tmp_path):
    result = run("demo", "--epochs", "1", "--out", str(tmp_path))
    lines = re.findall(r"^    (\S.+)$", result.stdout.partition("Use it:")[2], re.M)
    assert lines[0] == "import pynn"
    assert len(lines) == 3
    code = "\n".join([*lines[:2], f"print({lines[2]})"])
    digit = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert digit.strip() == re.search(r"the model says (\d)", result.stdout)[1]


def test_the_same_seed_gives_the_same_table(tmp_path):
    def table(*arguments):
        text = run("demo", "--epochs", "2", "--out", str(tmp_path), *arguments).stdout
        return [line[:55] for line in text.splitlines() if re.match(r" +\d ", line)]

    assert table("--seed", "3") == table("--seed", "3") != table("--seed", "4")


def test_without_matplotlib_the_curve_is_text(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert cli.main(["demo", "--epochs", "3", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "pynn-dense[plot]" in out
    assert "epoch" in (tmp_path / "learning_curve.txt").read_text(encoding="utf-8")
    assert not (tmp_path / "learning_curve.png").exists()


def test_the_doctor_is_satisfied_and_says_what_is_in_use():
    result = run("doctor", PYNN_NUM_THREADS="1")
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("\nok  ") == 4
    assert result.stdout.endswith("All is well.\n")
    assert re.search(r"^threads +1 \(PYNN_NUM_THREADS\)$", result.stdout, re.M)
    for word in ("processor", "kernels", "BLAS", pynn.__version__, "GF/s"):
        assert word in result.stdout


def test_the_doctor_notices_what_is_broken(monkeypatch, capsys):
    def explode():
        raise RuntimeError("a fuse blew")

    monkeypatch.setitem(doctor._CHECKS, "training", explode)
    assert cli.main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "FAIL  training" in out
    assert "a fuse blew" in out
    assert "1 of 4 checks failed" in out


def test_help_version_and_nothing():
    assert "demo" in run().stdout
    assert run().returncode == 0
    assert run("--version").stdout == f"pynn {pynn.__version__}\n"
    assert "--epochs" in run("demo", "--help").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["demo", "--epochs", "0"], "expected N as an integer in 1 ... 10000; received N=0"),
        (["demo", "--epochs", "many"], "received N='many'"),
        (["demo", "--seed", "-1"], "--seed"),
        (["dmeo"], "demo"),
    ],
)
def test_bad_arguments_are_explained(arguments, message):
    result = run(*arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    result = run("demo", "--out", str(tmp_path / "file" / "below"))
    assert result.returncode == 1
    assert result.stderr.startswith("pynn: ")
    assert result.stderr.count("\n") == 1


# ---- plots

HISTORY = {"loss": [0.9, 0.5, 0.3], "val_loss": [0.8, 0.6, 0.7], "accuracy": [0.5, 0.7, 0.9], "seconds": [1, 1, 1]}


def test_learning_curve_draws_what_it_is_given():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    ax = Figure().subplots()
    assert plots.learning_curve(HISTORY, ax) is ax
    drawn = [line.get_ydata().tolist() for line in ax.get_lines()]
    assert [0.9, 0.5, 0.3] in drawn
    assert [0.8, 0.6, 0.7] in drawn
    assert [0.6] in drawn  # the best epoch
    assert ax.get_title(loc="left") == "loss"
    plots.learning_curve({"loss": [1.0, float("nan")]}, Figure().subplots())
    assert plots.learning_curve(HISTORY, metric="accuracy").get_title(loc="left") == "accuracy"
    assert pynn.History([{"loss": 0.9}, {"loss": 0.4}]).plot().get_lines()[0].get_ydata().tolist() == [0.9, 0.4]


def test_text_curve_shows_every_epoch():
    text = plots.text_curve(HISTORY, unicode=False)
    assert text.isascii()
    assert text.count("x") == 3 + 1  # and the legend
    assert "validation" in text
    assert "●" in plots.text_curve(HISTORY, metric="accuracy")
    assert "no finite value" in plots.text_curve({"loss": [float("nan")]})


def test_plots_explain_what_is_missing(monkeypatch):
    with pytest.raises(ValueError, match=r"expected metric as one of 'loss', 'accuracy'; received metric='f1'"):
        plots.text_curve(HISTORY, metric="f1")
    with pytest.raises(ValueError, match="expected what fit returned"):
        plots.text_curve([1, 2])
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'pynn-dense\[plot\]'"):
        plots.learning_curve(HISTORY)
