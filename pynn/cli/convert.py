"""``pynn convert``: a model file of one program into that of another."""

from __future__ import annotations

import argparse

from ..files.formats import writer_of
from ..files.load import load


def run(options: argparse.Namespace) -> int:
    """Read one file, write the other."""
    writer = writer_of(options.target)  # a wrong name is told before anything is read
    model = load(options.like or options.source)
    if options.like:
        model.load_weights(options.source)
    writer.write(model._learner, options.target)
    print(f"{options.source} -> {options.target}, {writer.name}")
    return 0
