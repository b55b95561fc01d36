"""The report page, and what it is made of: one file, verdict first, nothing of the user's is read as HTML."""

import copy
import html.parser
import json
import pickle
import re
import warnings

import numpy as np
import pytest

import pynn
from pynn.report import LayerHealth, Report
from pynn.report.page import render
from pynn.report.page.html import png, tag
from pynn.report.page.snippets import CODE, code

MARKUP = '<b id="planted">&amp; "bold"</b>'


class Page(html.parser.HTMLParser):
    """Elements of a page, and whether they are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, name, attributes):
        self.elements.append((name, dict(attributes)))
        if name not in ("img", "input", "br", "meta"):
            self.open.append(name)

    def handle_endtag(self, name):
        assert self.open.pop() == name

    def handle_data(self, text):
        self.words.append(text)


class Batches:
    """Batches of 32 rows, in order."""

    def __init__(self, X, y):
        self.X, self.y = X, y

    def __iter__(self):
        for i in range(0, len(self.X), 32):
            yield self.X[i : i + 32], self.y[i : i + 32]


@pytest.fixture(scope="module")
def digits():
    (X, y), (Xt, yt) = pynn.datasets.digits()
    return X[:600], y[:600], Xt[:200], yt[:200]


def classifier(width=32, **choices):
    model = pynn.Sequential([pynn.Dense(width, activation="relu"), pynn.Dense(10)], seed=0)
    model.compile("softmax_cross_entropy", metrics=["accuracy"], **choices)
    return model


@pytest.fixture(scope="module")
def healthy(digits):
    X, y, Xt, yt = digits
    return classifier().fit(X, y, epochs=4, validation_data=(Xt, yt))


@pytest.fixture(scope="module")
def exploded(digits):
    X, y, *_ = digits
    model = pynn.Sequential([pynn.Dense(300, activation="relu"), pynn.Dense(300), pynn.Dense(10)], seed=0)
    model.compile("mse", pynn.SGD(learning_rate=0.01))
    with pytest.raises(pynn.NumericalError) as caught:
        model.fit(X * 255, np.eye(10)[y], epochs=2)
    return caught.value.report


# ---- series of layers


def test_a_history_keeps_series_of_its_layers(healthy):
    health = healthy.health
    assert health.names == ["Dense(32, relu)", "Dense(10)"]
    assert health.steps[0] == 1
    assert np.all(np.diff(health.steps) > 0)
    assert health["gradient"].shape == (len(health), 2)
    assert np.all(health["gradient"] > 0)
    assert np.all(health.loss[-5:] < health.loss[0])
    assert np.isfinite(health["update_ratio"]).any(axis=0).all()
    with pytest.raises(KeyError, match="'update_ratio'"):
        health["nothing"]


@pytest.mark.filterwarnings("ignore::pynn.TrainingWarning")
def test_series_are_as_long_however_long_the_run(digits):
    X, y, *_ = digits
    lengths = []
    for epochs in (3, 60):
        lengths.append(len(classifier(4).fit(X, y, epochs=epochs, batch_size=8).health))
    assert max(lengths) <= 128
    assert min(lengths) >= 64
    deep = [pynn.Dense(2) for _ in range(300)]
    model = pynn.Sequential(deep, seed=0)
    model.compile("mse")
    health = model.fit(X, np.column_stack([y, y]).astype(float), epochs=5).health
    assert len(health) <= 16


def test_series_do_not_depend_on_threads_or_on_how_data_come(digits):
    X, y, *_ = digits
    before, found = pynn.get_num_threads(), []
    try:
        for threads in (1, 2):
            pynn.set_num_threads(threads)
            found.append(classifier().fit(X, y, epochs=2, shuffle=False).health)
    finally:
        pynn.set_num_threads(before)
    found.append(classifier().fit(Batches(X, y), epochs=2).health)
    assert found[0] == found[1] == found[2]


def test_series_survive_pickles_copies_and_checkpoints(digits, tmp_path):
    X, y, *_ = digits
    whole = classifier().fit(X, y, epochs=4).health
    assert pickle.loads(pickle.dumps(whole)) == copy.deepcopy(whole) == whole
    path = tmp_path / "run.ckpt"
    classifier().fit(X, y, epochs=2, checkpoint=path)
    assert classifier().fit(X, y, epochs=4, checkpoint=path, resume=True).health == whole
    json.dumps(classifier().fit(X, y).to_dict(), allow_nan=False)


def test_steps_by_hand_leave_the_series_of_a_run_alone(digits):
    X, y, *_ = digits
    model = classifier()
    health = model.fit(X, y).health
    before = len(health), health.steps[-1]
    for _ in range(5):
        model.train_step(X[:32], y[:32])
    assert (len(health), health.steps[-1]) == before


def test_the_step_that_was_refused_is_the_last_point(exploded):
    health = exploded.record.health
    assert health.fault
    assert np.nanmax(health["activation"][-1]) > 1e3 * health["activation"][0].max()


# ---- the page


def test_a_page_is_one_file_that_loads_nothing(healthy, tmp_path):
    path = tmp_path / "report.html"
    healthy.report.save(path)
    text = path.read_text(encoding="utf-8")
    assert path.stat().st_size < 1 << 20
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    page = Page(text)
    assert not page.open
    for name, attributes in page.elements:
        assert name not in ("link", "iframe", "object", "base")
        for key in ("src", "href", "action"):
            assert attributes.get(key, "#").startswith(("#", "data:"))
    assert "http" not in re.sub(r'http-equiv="', "", text)


@pytest.mark.filterwarnings("ignore::pynn.TrainingWarning")
def test_a_page_stays_small_whatever_the_run():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3000))
    model = pynn.Sequential([*(pynn.Dense(4, activation="tanh") for _ in range(150)), pynn.Dense(1)], seed=0)
    model.compile("mse")
    report = model.fit(X, X[:, 0], epochs=50, batch_size=40).report
    report.record.epochs *= 100
    report.record.ledger = [
        {"epoch": i, "step": i, "kind": "skipped", "operation": "loss", "layer": None, "row": 1, "column": None,
         "value": np.inf, "restored": None, "new_learning_rate": 0.1, "learning_rate": 0.1} for i in range(3000)
    ]  # fmt: skip
    assert len(render(report).encode()) < 1 << 20


def test_the_verdict_comes_first_and_is_one_sentence(healthy, exploded):
    for report, said in ((healthy.report, "Training went well: 4 epochs"), (exploded, "Training stopped at step")):
        text = render(report)
        body = text[text.index("<body>") :]
        assert 0 < body.index(said) < body.index("<main")
    first = exploded.findings[0]
    assert first.message in "".join(Page(render(exploded)).words)


def test_every_finding_is_there_with_its_cure_code_and_evidence(exploded):
    text = "".join(Page(render(exploded)).words)
    for finding in exploded.findings:
        assert finding.code in text
        assert finding.remedy in text
        assert code(finding, "SGD", 0.01) in text
        for name in (name for name, value in finding.evidence.items() if value is not None):
            assert name.removeprefix("n_").replace("_", " ") in text
    assert "pynn.SGD(learning_rate=" in text  # the user's optimizer


def test_the_user_s_words_are_never_markup(digits):
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    frame = pandas.DataFrame({MARKUP: rng.normal(size=200) * 1e6, "b": rng.normal(size=200)})
    frame["y"] = np.where(frame["b"] > 0, MARKUP, "other")
    model = pynn.Sequential([pynn.Dense(4, activation="relu"), pynn.Dense(2)], seed=0)
    model.compile("softmax_cross_entropy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = model.fit(frame, target="y", epochs=2).report
    text = render(report, title=MARKUP)
    page = Page(text)
    assert not page.open
    assert not any(attributes.get("id") == "planted" for _, attributes in page.elements)
    assert "".join(page.words).count(MARKUP) >= 3  # the heading, a column, a class
    assert "</script>" not in json.dumps(MARKUP)
    assert str(tag("p", MARKUP, title=MARKUP)).count("<b") == 0


def test_data_in_the_page_cannot_end_their_element():
    health = LayerHealth(["</script><b>", "b"])
    report = Report()
    report.record = pynn.report.record.Record(health=health)
    assert "</script><b>" not in render(report)


def test_pictures_of_suspicious_rows(digits):
    X, y, *_ = digits
    suspicion = pynn.Suspicion(row=7, given=3, likelier=int(y[7]), score=5.0)
    report = classifier().fit(X, y).report
    page = Page(render(report, X=X, y=y, suspicions=[suspicion]))
    said = f"row 7: labelled 3, looks like {y[7]}"
    assert said in page.words
    assert any("1 label contradicts" in word for word in page.words)
    assert [a for n, a in page.elements if n == "img" and a.get("alt") == said]


def test_data_that_were_refused_are_on_the_page(digits):
    X, y, *_ = digits
    X = X.copy()
    X[123, 45] = np.nan
    with pytest.raises(pynn.NumericalError) as caught:
        classifier().fit(X, y)
    text = "".join(Page(render(caught.value.report)).words)
    assert "Training did not start" in text
    assert "1 have missing or infinite cells" in text
    assert "row 123" in text
    assert "Health of the layers" not in text


def test_x_that_is_no_array_of_numbers_is_refused(healthy, tmp_path):
    with pytest.raises(pynn.ArgumentTypeError, match="expected X as an array of numbers"):
        healthy.report.save(tmp_path / "report.html", X=[["a", "b"]])
    assert not list(tmp_path.iterdir())


def test_a_report_without_a_record_has_a_page():
    finding = pynn.Finding("dead_relu", "warning", layer=1, evidence={"dead": 0.9})
    text = render(Report([finding]))
    assert "dead_relu" in text
    assert "something is wrong" in text
    assert "Nothing was checked" in render(Report(looked=False))


def test_reports_with_records_are_pickled(healthy, exploded):
    for report in (healthy.report, exploded):
        again = pickle.loads(pickle.dumps(report))
        assert render(again) == render(report)


def test_a_place_that_cannot_be_written_is_named(healthy, tmp_path):
    with pytest.raises(pynn.FileError, match="nowhere"):
        healthy.report.save(tmp_path / "nowhere" / "report.html")


def test_what_happened_at_1e30_and_1e_minus_100_is_told_apart():
    from pynn.report.page.healthmap import MEASURES, cell

    pictures = [cell(v, MEASURES[0]).tobytes() for v in (0.0, 1e-100, 1e-30, 1e-5, 1.0, 1e5, 1e30, 1e100, np.inf)]
    assert len(set(pictures)) == len(pictures)
    brightness = [cell(v, MEASURES[0])[0, -1, :3].mean() for v in (1.0, 1e3, 1e30, 1e100)]
    assert brightness == sorted(brightness, reverse=True)  # told apart without color too


def test_code_of_advice_is_python():
    known = {"columns": [1], "row": 3, "value": -999.0, "units_needed": 4, "classes": 3, "suggested_rate": 0.2,
             "suggested_learning_rate": 0.01, "optimizer": "Adam", "tenth": 0.1, "tenfold": 1.0,
             "layer": 0}  # fmt: skip
    for template in CODE.values():
        compile(template.format_map(known), "advice", "exec")


def test_pictures_are_png():
    import struct
    import zlib
    from base64 import b64decode

    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    raw = b64decode(png(pixels).split(",")[1])
    assert raw[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", raw[16:24]) == (4, 3)
    start = raw.index(b"IDAT")
    size = struct.unpack(">I", raw[start - 4 : start])[0]
    rows = zlib.decompress(raw[start + 4 : start + 4 + size])
    assert rows == b"".join(b"\0" + pixels[i].tobytes() for i in range(3))


# ---- of diagnose and repair


@pytest.fixture(scope="module")
def slow(digits):
    X, y, *_ = digits
    return classifier(16, optimizer=pynn.Adam(learning_rate=1e-7)), X, y


def test_the_page_of_a_diagnosis_shows_what_was_tried(slow):
    model, X, y = slow
    report = pynn.diagnose(model, X, y, epochs=4)
    page = Page(render(report))
    text = "".join(page.words)
    assert not page.open
    assert "Something keeps this network from learning what it could" in text
    assert "learning_rate: 1e-07 ->" in text
    assert "pynn.Sequential([" in report.record.code
    assert report.record.code in text
    assert any(attributes.get("data-map") for _, attributes in page.elements)
    kept = report.record.data
    assert np.array_equal(X[kept.rows], kept.X)  # rows are those of the user


def test_the_page_of_a_repair_shows_what_was_changed(slow):
    model, X, y = slow
    result = pynn.repair(model, X, y, epochs=4)
    text = "".join(Page(render(result.report)).words)
    assert result.code() in text
    assert all(str(change) in text for change in result.changes)
    assert f"{result.history[-1]['loss']:.3g}" in text


def test_a_preflight_has_a_page(slow):
    model, X, y = slow
    text = render(pynn.diagnose(model, X, y, preflight=True))
    assert "learning_rate" in text
    assert "Health of the layers" not in text


def test_the_command_line_writes_pages(tmp_path, monkeypatch, capsys):
    from pynn import cli

    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    a = rng.normal(size=(300, 2))
    rows = "\n".join(f"{p:.4f},{q:.4f},{'yes' if p > q else 'no'}" for p, q in a)
    (tmp_path / "t.csv").write_text(f"first,second,y\n{rows}\n")
    cli.main(["diagnose", "t.csv", "--target", "y", "--epochs", "3", "--budget", "1", "--report", "d.html"])
    assert "Diagnosis of t.csv, target y" in (tmp_path / "d.html").read_text()
    assert cli.main(["train", "t.csv", "--target", "y", "--preset", "fast", "--epochs", "3", "--report", "t.html"]) == 0
    assert "Training on t.csv, target y" in (tmp_path / "t.html").read_text()
    assert cli.main(["diagnose", "t.csv", "--target", "y", "--report", "none/d.html"]) == 1
    assert "expected --report in a folder that exists" in capsys.readouterr().err
