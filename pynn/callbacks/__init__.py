"""Callbacks: objects whose methods `fit` calls while it runs. A method that is not overridden does nothing."""

from ..names import public
from .averaging import Average
from .base import Callback
from .csv_logger import CSVLogger
from .early_stopping import EarlyStopping
from .ema import EMA
from .json_logger import JSONLogger
from .lambda_callback import LambdaCallback
from .learning_rate_scheduler import LearningRateScheduler
from .model_checkpoint import ModelCheckpoint
from .optuna_pruning import OptunaPruning
from .reduce_lr_on_plateau import ReduceLROnPlateau
from .swa import SWA
from .tensorboard import TensorBoard

__all__ = [
    "EMA", "SWA", "Average", "CSVLogger", "Callback", "EarlyStopping", "JSONLogger", "LambdaCallback",
    "LearningRateScheduler", "ModelCheckpoint", "OptunaPruning", "ReduceLROnPlateau", "TensorBoard",
]  # fmt: skip

for _name in __all__:
    public(globals()[_name], __name__)
