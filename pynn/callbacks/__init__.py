"""Callbacks: objects whose methods `fit` calls while it runs. A method that is not overridden does nothing."""

from ..names import public
from .averaging import EMA, SWA, Average
from .base import Callback
from .early_stopping import EarlyStopping
from .lambda_callback import LambdaCallback
from .learning_rate_scheduler import LearningRateScheduler
from .loggers import CSVLogger, JSONLogger
from .model_checkpoint import ModelCheckpoint
from .reduce_lr_on_plateau import ReduceLROnPlateau
from .tensorboard import TensorBoard

__all__ = [
    "EMA", "SWA", "Average", "CSVLogger", "Callback", "EarlyStopping", "JSONLogger", "LambdaCallback",
    "LearningRateScheduler", "ModelCheckpoint", "ReduceLROnPlateau", "TensorBoard",
]  # fmt: skip

for _name in __all__:
    public(globals()[_name], __name__)
