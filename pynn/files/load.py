"""Read models from files of any format."""

from __future__ import annotations

import os
import warnings
from typing import Any

from .. import layers as layers_
from .. import losses
from ..errors import FileFormatError, MissingFileError, TrainingWarning
from ..metrics import names as metrics_
from ..model import Sequential
from ..names import public
from ..network.network import Description, Network
from .content import BROKEN, Content
from .formats import format_of

__all__ = ["load", "model_of"]


@public
def load(path: Any, *, custom: dict[str, Any] | None = None) -> Sequential:
    """Read a model that `Sequential.save` wrote, compiled as it was, or one of another program: docs/interchange.md.

    Which format it is, the content says. Nothing in the file is executed or believed unchecked.

    Parameters
    ----------
    path : str or path
    custom : dict of name -> function, optional
        Custom losses, activations and metrics by the names that the file has; see `pynn.losses.Custom`,
        `pynn.activations.Custom` and `pynn.Metric`. A file never holds code. A metric that is left out is warned of,
        and left out of the model.

    Returns
    -------
    Sequential

    Raises
    ------
    MissingFileError, FileError, FileFormatError
    UnknownNameError
        The model has a custom loss or activation that `custom` does not.
    UnsupportedError
        The model has something that pynn does not compute; the message names it.
    MissingDependencyError
        Reading the format takes a package that is not installed.
    """
    if not os.path.exists(path):
        raise MissingFileError(f"expected a model file; received path={os.fspath(path)!r}, which does not exist")
    return model_of(format_of(path).read(path, custom), os.fspath(path))


def model_of(content: Content, source: Any) -> Sequential:
    """Make the model of what a reader returned; `source` is named where the content makes no model."""
    try:
        network = content.network
        if isinstance(network, Description):
            layers_.require_dense(layers_.checked(network.layers))
            network = Network.of(network)
        network.schema = content.schema or network.schema
        for index in content.frozen:
            network.set_trainable(index, False)
        model = Sequential._of(network)
        if content.loss is not None:
            model.compile(
                content.loss, content.optimizer or "adam", content.metrics, target_scaling=content.target_scaling
            )
        if content.slots or content.steps:
            model._learner.take_slots(content.steps, content.slots)
    except BROKEN as error:
        if isinstance(content.loss, losses.Custom):  # the function that was given may be at fault
            raise
        raise FileFormatError(f"expected a model that {content.program} saved; received {source!r} ({error})") from None
    if content.missing:
        warnings.warn(metrics_.missing_metrics(content.missing), TrainingWarning, stacklevel=3)
    for text in content.left_out:
        warnings.warn(f"received {source!r}: {text}", TrainingWarning, stacklevel=3)
    return model
