"""The command ``pynn``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .. import _core, checks
from ..errors import PynnError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0 done, 1 something is wrong, 2 bad arguments."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if not hasattr(options, "run"):
        parser.print_help()
        return 0
    try:
        return int(options.run(options))
    except BrokenPipeError:  # the reader of stdout went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (PynnError, OSError) as error:
        print(f"pynn: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\npynn: stopped", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pynn", description="Dense neural networks on the CPU: fast, exact, and never silently wrong."
    )
    parser.add_argument("--version", action="version", version=f"pynn {_core.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    demo = commands.add_parser(
        "demo",
        help="train on 7,000 real handwritten digits, in seconds",
        description="Train a 784-128-10 network on the bundled MNIST digits, save it and draw the learning curve.",
    )
    demo.add_argument("story", nargs="?", choices=["nan"], help="nan: two trainings that go wrong, and are repaired")
    demo.add_argument("--short", action="store_true", help="nan on a part of the digits, with small networks")
    demo.add_argument("--epochs", type=_number(1, 10_000), default=10, metavar="N", help="default: 10")
    demo.add_argument("--seed", type=_number(0, 2**64 - 1), default=0, metavar="N", help="default: 0")
    demo.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="where to write; default: here")
    demo.set_defaults(run=_demo)
    doctor = commands.add_parser(
        "doctor",
        help="processor, BLAS, threads, versions, and a two-second self-test",
        description="Tell how pynn computes on this machine and test that it does. Exit status 0: all is well.",
    )
    doctor.set_defaults(run=_doctor)
    _add_train(commands)
    _add_predict(commands)
    _add_diagnose(commands)
    _add_convert(commands)
    return parser


def _add_train(commands: Any) -> None:
    train = commands.add_parser(
        "train",
        help="train a network on a table and write a model file",
        description="Train a network for one column of a table. A fifth of the rows, or those of --valid, decides "
        "which epoch is kept.",
    )
    train.add_argument("table", help="a CSV or Parquet file")
    train.add_argument("--target", required=True, metavar="COLUMN", help="the column to predict")
    train.add_argument("--valid", metavar="TABLE", help="rows to choose the epoch on; default: a fifth of the table")
    train.add_argument("--preset", choices=["fast", "default", "best"], default="default", help="default: default")
    train.add_argument("--output", type=Path, default=Path("model.safetensors"), metavar="FILE",
                       help="default: model.safetensors")  # fmt: skip
    train.add_argument("--report", type=Path, metavar="FILE", help="write a page about the run: report.html")
    train.add_argument("--task", choices=["classification", "regression"], help="default: by the target's values")
    train.add_argument("--exclude", action="append", default=[], metavar="COLUMN", help="leave it out; repeatable")
    train.add_argument("--categories", action="append", default=[], metavar="COLUMN",
                       help="take its numbers as categories; repeatable")  # fmt: skip
    train.add_argument("--epochs", type=_number(1, 10_000), metavar="N", help="default: those of the preset")
    train.add_argument("--seed", type=_number(0, 2**64 - 1), default=0, metavar="N", help="default: 0")
    train.add_argument("--verbose", type=int, choices=[0, 1, 2], help="default: a bar on a terminal")
    train.set_defaults(run=_train)


def _add_predict(commands: Any) -> None:
    predict = commands.add_parser(
        "predict",
        help="predict the rows of a table by a model file",
        description="Write a prediction for each row of a table, in its order. Columns are taken by name. The table "
        "may be larger than memory.",
    )
    predict.add_argument("model", help="a file that pynn train, or model.save after fit on a table, wrote")
    predict.add_argument("table", help="a CSV or Parquet file")
    predict.add_argument("--output", type=Path, metavar="FILE", help="a .csv or .parquet file; default: to stdout")
    predict.add_argument("--probabilities", action="store_true", help="a column for each class besides")
    predict.set_defaults(run=_predict)


def _add_diagnose(commands: Any) -> None:
    diagnose = commands.add_parser(
        "diagnose",
        help="why a network does not learn a table, found by trying",
        description="Train small networks on a table and tell what keeps them from learning it. "
        "Exit status: 0 nothing found, 1 something found.",
    )
    diagnose.add_argument("table", help="a CSV or Parquet file")
    diagnose.add_argument("--target", required=True, metavar="COLUMN", help="the column to predict")
    diagnose.add_argument("--model", metavar="FILE", help="a saved model; default: a small network as is usual")
    diagnose.add_argument("--epochs", type=_number(1, 10_000), default=20, metavar="N", help="default: 20")
    diagnose.add_argument("--batch-size", type=_number(1, 1 << 20), default=32, metavar="N", help="default: 32")
    diagnose.add_argument("--budget", type=float, metavar="SECONDS", help="default: three times the training")
    diagnose.add_argument("--report", type=Path, metavar="FILE", help="write a page of what was found: report.html")
    diagnose.add_argument("--preflight", action="store_true", help="look only, train nothing")
    diagnose.set_defaults(run=_diagnose)


def _add_convert(commands: Any) -> None:
    convert = commands.add_parser(
        "convert",
        help="a model file of one program into that of another",
        description="Read a model file of any format that pynn reads, and write it in the format that the new name "
        "ends in. See docs/interchange.md.",
    )
    convert.add_argument("source", metavar="IN", help="the file to read")
    convert.add_argument("target", metavar="OUT", help="the file to write; its suffix chooses the format")
    convert.add_argument("--like", metavar="FILE", help="a model that weights alone, IN, are put into")
    convert.set_defaults(run=_convert)


def _number(minimum: int, maximum: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            return checks.integer("N", int(text) if text.isdecimal() else text, minimum, maximum)
        except PynnError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse


def _demo(options: argparse.Namespace) -> int:
    from . import demo, demo_nan

    return demo_nan.run(options.seed, options.short) if options.story == "nan" else demo.run(options)


def _doctor(options: argparse.Namespace) -> int:
    from . import doctor

    return doctor.run(options)


def _diagnose(options: argparse.Namespace) -> int:
    from . import diagnose

    return diagnose.run(options)


def _convert(options: argparse.Namespace) -> int:
    from . import convert

    return convert.run(options)


def _train(options: argparse.Namespace) -> int:
    from . import train

    return train.run(options)


def _predict(options: argparse.Namespace) -> int:
    from . import predict

    return predict.run(options)
