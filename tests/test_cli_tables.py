"""``pynn train`` and ``pynn predict`` on real files, and the mistakes that people make with them."""

import os
import subprocess
import sys

import numpy as np
import pytest

import pynn
from pynn import cli

pandas = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    n = 1500
    frame = pandas.DataFrame(
        {
            "area": rng.normal(100, 30, n).round(1),
            "rooms": rng.integers(1, 8, n),
            "town": rng.choice(["Bonn", "Genoa", "York"], n),
            "street": rng.choice([f"s{i}" for i in range(30)], n),
        }
    )
    frame["price"] = (frame.area * 20 + frame.rooms * 100 + (frame.town == "York") * 900).round(2)
    frame.loc[::50, "area"] = None
    frame["sold"] = np.where(frame.price > frame.price.median(), "yes", "no")
    return frame


@pytest.fixture(scope="module")
def folder(tmp_path_factory, frame):
    """A table as files, and a model of each kind trained by the command."""
    folder = tmp_path_factory.mktemp("tables")
    frame.to_csv(folder / "t.csv", index=False)
    frame.to_parquet(folder / "t.parquet", row_group_size=200)
    train = ["train", str(folder / "t.csv"), "--preset", "fast", "--verbose", "0"]
    assert cli.main([*train, "--target", "price", "--exclude", "sold", "--output", str(folder / "price.st")]) == 0
    assert cli.main([*train, "--target", "sold", "--exclude", "price", "--output", str(folder / "sold.st")]) == 0
    return folder


def predict(folder, *arguments):
    return cli.main(["predict", *(str(folder / a) if "." in a else a for a in arguments)])


def test_the_file_predicts_numbers_from_either_kind_of_table(folder, frame, capsys):
    assert predict(folder, "price.st", "t.csv", "--output", "p.csv") == 0
    assert "1,500 predictions" in capsys.readouterr().out
    predicted = pandas.read_csv(folder / "p.csv")
    assert list(predicted) == ["price"]
    rows = frame["area"].notna()
    assert np.corrcoef(predicted["price"][rows], frame["price"][rows])[0, 1] > 0.97
    assert predict(folder, "price.st", "t.parquet", "--output", "p.parquet") == 0
    assert (pandas.read_parquet(folder / "p.parquet")["price"].astype(str) == predicted["price"].astype(str)).all()
    model = pynn.load(folder / "price.st")
    np.testing.assert_allclose(model.predict(folder / "t.csv")[:, 0], predicted["price"], rtol=1e-5)


def test_the_file_predicts_classes_and_their_probabilities(folder, frame):
    assert predict(folder, "sold.st", "t.csv", "--output", "c.csv", "--probabilities") == 0
    predicted = pandas.read_csv(folder / "c.csv")
    assert list(predicted) == ["sold", "probability_no", "probability_yes"]
    assert (predicted["sold"] == frame["sold"]).mean() > 0.93
    assert ((predicted["probability_yes"] > 0.5) == (predicted["sold"] == "yes")).all()


def test_training_says_how_good_the_model_is(folder, capsys):
    train = ["train", str(folder / "t.parquet"), "--target", "sold", "--exclude", "price", "--epochs", "3"]
    assert cli.main([*train, "--valid", str(folder / "t.csv"), "--output", str(folder / "v.st")]) == 0
    out = capsys.readouterr().out
    assert "2 numbers and 2 categories; target 'sold', 2 classes: no, yes" in out
    assert "1,500 rows held out: accuracy" in out
    assert "category_as_number" not in out


def test_whole_numbers_are_classes_unless_said_otherwise(tmp_path, frame, capsys):
    frame.assign(sold=(frame["sold"] == "yes").astype(int)).drop(columns="price").to_csv(tmp_path / "t.csv")
    train = ["train", str(tmp_path / "t.csv"), "--target", "sold", "--epochs", "2", "--output", str(tmp_path / "m.st")]
    assert cli.main(train) == 0
    assert "2 classes: 0, 1 (--task regression" in capsys.readouterr().out
    assert cli.main(["predict", str(tmp_path / "m.st"), str(tmp_path / "t.csv")]) == 0
    assert set(capsys.readouterr().out.split()) == {"sold", "0", "1"}
    assert cli.main([*train, "--task", "regression"]) == 0
    assert "R2" in capsys.readouterr().out


def test_rows_without_a_target_are_left_out_and_counted(tmp_path, frame, capsys):
    frame = frame.drop(columns="sold").head(60)
    frame.loc[[3, 5], "price"] = None
    frame.to_csv(tmp_path / "t.csv", index=False)
    path = str(tmp_path / "t.csv")
    assert cli.main(["train", path, "--target", "price", "--epochs", "2", "--output", str(tmp_path / "m.st")]) == 0
    out = capsys.readouterr().out
    assert "left out: 2 rows without a target" in out
    assert "58 rows trained on (too few to hold some out)" in out


def test_a_misspelt_target_is_guessed(folder, capsys):
    assert cli.main(["train", str(folder / "t.csv"), "--target", "prize"]) == 1
    assert "received 'prize': did you mean 'price'?" in capsys.readouterr().err


def test_a_column_that_is_missing_or_renamed_is_named(folder, frame, capsys):
    frame.rename(columns={"area": "Area "}).to_csv(folder / "renamed.csv", index=False)
    assert predict(folder, "price.st", "renamed.csv", "--output", "n.csv") == 1
    err = capsys.readouterr().err
    assert "expected the columns 'area'" in err
    assert "did you mean 'Area '?" in err
    assert not (folder / "n.csv").exists()


def test_a_column_that_is_new_is_told(folder, frame, capsys):
    frame.drop(columns=["price", "sold"]).assign(colour="red").to_csv(folder / "new.csv", index=False)
    assert predict(folder, "price.st", "new.csv", "--output", "n2.csv") == 0
    assert "not used, as the model was not trained on them: 'colour'" in capsys.readouterr().err


def test_text_among_numbers_is_named_with_its_row_and_leaves_no_file(folder, frame, capsys):
    frame.astype({"area": object}).assign(area=[*frame["area"][:700], "large", *frame["area"][701:]]).to_csv(
        folder / "text.csv", index=False
    )
    assert predict(folder, "price.st", "text.csv", "--output", "n3.csv") == 1
    err = capsys.readouterr().err
    assert "column 'area'" in err
    assert "'large' in row 700 (line 702)" in err
    assert not list(folder.glob("n3*"))


def test_models_of_arrays_and_wrong_questions_are_refused(folder, tmp_path, capsys):
    model = pynn.Sequential([pynn.Dense(1)], seed=0).build(2)
    model.save(tmp_path / "m.st")
    assert cli.main(["predict", str(tmp_path / "m.st"), str(folder / "t.csv")]) == 1
    assert "expected a model that was trained on a table" in capsys.readouterr().err
    assert predict(folder, "price.st", "t.csv", "--probabilities") == 1
    assert "expected --probabilities for a model of classes" in capsys.readouterr().err
    assert cli.main(["train", str(folder / "t.csv"), "--target", "sold", "--task", "regression"]) == 1
    assert "expected numbers in column 'sold' for a regression" in capsys.readouterr().err
    assert cli.main(["train", str(folder / "t.csv"), "--target", "sold", "--output", "/nowhere/m.st"]) == 1
    assert "--output in a folder that exists" in capsys.readouterr().err


def test_the_shell_gets_rows_on_stdout_and_a_status(folder):
    command = [sys.executable, "-m", "pynn", "predict", str(folder / "price.st")]
    done = subprocess.run([*command, str(folder / "t.csv")], capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 1501
    wrong = subprocess.run([*command, str(folder / "nothing.csv")], capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stderr.count("\n")) == (1, 1)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_prediction_takes_no_more_memory_for_more_rows(folder, frame):
    """A file eight times as long: the peak rises by less than 16 bytes for each row more."""
    columns = frame.drop(columns=["price", "sold"])
    sizes = [100, 800]
    for times in sizes:
        pandas.concat([columns] * times).to_parquet(folder / f"long{times}.parquet", row_group_size=10_000)
    code = (
        "import sys, pynn.cli\npynn.cli.main(sys.argv[1:])\n"
        "print([l for l in open('/proc/self/status') if l.startswith('VmHWM')][0].split()[1])"
    )

    def peak(times):
        table, output = str(folder / f"long{times}.parquet"), str(folder / "out.parquet")
        command = [sys.executable, "-c", code, "predict", str(folder / "price.st"), table, "--output", output]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ})
        return int(done.stdout.split()[-1]) * 1024

    rows = [1500 * times for times in sizes]
    assert peak(sizes[1]) - peak(sizes[0]) < 16 * (rows[1] - rows[0])
