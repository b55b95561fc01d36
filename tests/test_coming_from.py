"""The tables of names say what works: every line of pynn's column is run, and every block."""

import re
import warnings
from pathlib import Path

import pytest

import pynn

PAGES = sorted((Path(__file__).parents[1] / "docs" / "coming_from").glob("*.md"))
(X, Y), (XT, YT) = pynn.datasets.digits()


def lines(page):
    """Return pynn's side of each line of the tables."""
    rows = re.findall(r"^\| .+ \| `(.+)` \|$", page.read_text(encoding="utf-8"), re.M)
    return [row for row in rows if row]


def ready():
    """A trained model of small data, its data, and pynn."""
    model = pynn.Sequential([pynn.Dense(64, activation="relu"), pynn.Dense(10)], seed=0)
    model.compile("softmax_cross_entropy", "adam", metrics=["accuracy"])
    model.fit(X[:500], Y[:500])
    return {"pynn": pynn, "model": model, "X": X[:500], "y": Y[:500], "Xt": XT[:100], "yt": YT[:100]}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_line_of_the_tables_runs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names, threads = ready(), pynn.get_num_threads()
    names["model"].save("m.safetensors")
    assert len(lines(page)) > 20
    try:
        for line in lines(page):
            eval(compile(line, line, "eval"), dict(names))
            if ".compile(" in line or ".build(" in line:
                names = ready()
    finally:
        pynn.set_num_threads(threads)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_runs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if "sklearn" in page.read_text(encoding="utf-8"):
        pytest.importorskip("sklearn")
    names = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for block in re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S):
            exec(compile(block, page.name, "exec"), names)
    assert capsys.readouterr().out
    if "model" in names:
        assert names["model"].evaluate(XT, YT)["accuracy"] > 0.85


def test_what_is_different_is_so():
    assert pynn.Sequential([pynn.Dense(3)], seed=0).build(5).layers[0].kernel.shape == (5, 3)
    initializers = {name: pynn.Dense(4, activation=name).kernel_initializer.name for name in ("relu", "selu", "tanh")}
    assert initializers == {"relu": "he_normal", "selu": "lecun_normal", "tanh": "glorot_uniform"}
