from . import (
    activations as activations,
)
from . import (
    arrays as arrays,
)
from . import (
    blas as blas,
)
from . import (
    callbacks as callbacks,
)
from . import (
    constraints as constraints,
)
from . import (
    data as data,
)
from . import (
    datasets as datasets,
)
from . import (
    errors as errors,
)
from . import (
    initializers as initializers,
)
from . import (
    layers as layers,
)
from . import (
    losses as losses,
)
from . import (
    metrics as metrics,
)
from . import (
    optimizers as optimizers,
)
from . import (
    plots as plots,
)
from . import (
    regularizers as regularizers,
)
from . import (
    runtime as runtime,
)
from . import (
    schedules as schedules,
)
from .callbacks import (
    EMA as EMA,
)
from .callbacks import (
    SWA as SWA,
)
from .callbacks import (
    Callback as Callback,
)
from .callbacks import (
    CSVLogger as CSVLogger,
)
from .callbacks import (
    EarlyStopping as EarlyStopping,
)
from .callbacks import (
    JSONLogger as JSONLogger,
)
from .callbacks import (
    LambdaCallback as LambdaCallback,
)
from .callbacks import (
    LearningRateScheduler as LearningRateScheduler,
)
from .callbacks import (
    ModelCheckpoint as ModelCheckpoint,
)
from .callbacks import (
    ReduceLROnPlateau as ReduceLROnPlateau,
)
from .callbacks import (
    TensorBoard as TensorBoard,
)
from .data import (
    DataLoader as DataLoader,
)
from .data import (
    train_test_split as train_test_split,
)
from .embedding import (
    get_cmake_dir as get_cmake_dir,
)
from .embedding import (
    get_include as get_include,
)
from .embedding import (
    get_library_dir as get_library_dir,
)
from .embedding import (
    get_pkgconfig_dir as get_pkgconfig_dir,
)
from .errors import (
    ArgumentTypeError as ArgumentTypeError,
)
from .errors import (
    ArgumentValueError as ArgumentValueError,
)
from .errors import (
    DtypeError as DtypeError,
)
from .errors import (
    FileError as FileError,
)
from .errors import (
    FileFormatError as FileFormatError,
)
from .errors import (
    LabelError as LabelError,
)
from .errors import (
    MissingDependencyError as MissingDependencyError,
)
from .errors import (
    MissingFileError as MissingFileError,
)
from .errors import (
    NonfiniteDataError as NonfiniteDataError,
)
from .errors import (
    NotReadyError as NotReadyError,
)
from .errors import (
    NumericalError as NumericalError,
)
from .errors import (
    OutOfMemoryError as OutOfMemoryError,
)
from .errors import (
    PynnError as PynnError,
)
from .errors import (
    ShapeError as ShapeError,
)
from .errors import (
    ThreadError as ThreadError,
)
from .errors import (
    TooLargeError as TooLargeError,
)
from .errors import (
    TrainingWarning as TrainingWarning,
)
from .errors import (
    UnknownNameError as UnknownNameError,
)
from .errors import (
    UnsupportedError as UnsupportedError,
)
from .layers import (
    Activation as Activation,
)
from .layers import (
    Add as Add,
)
from .layers import (
    BatchNormalization as BatchNormalization,
)
from .layers import (
    Categorical as Categorical,
)
from .layers import (
    Dense as Dense,
)
from .layers import (
    Dropout as Dropout,
)
from .layers import (
    GaussianNoise as GaussianNoise,
)
from .layers import (
    LayerNormalization as LayerNormalization,
)
from .layers import (
    Normalization as Normalization,
)
from .layers import (
    Residual as Residual,
)
from .lbfgs import (
    LBFGS as LBFGS,
)
from .metrics import (
    Metric as Metric,
)
from .model import (
    Sequential as Sequential,
)
from .model import (
    load as load,
)
from .optimizers import (
    SGD as SGD,
)
from .optimizers import (
    Adagrad as Adagrad,
)
from .optimizers import (
    Adam as Adam,
)
from .optimizers import (
    AdamW as AdamW,
)
from .optimizers import (
    RMSprop as RMSprop,
)
from .report import (
    Finding as Finding,
)
from .report import (
    Guard as Guard,
)
from .report import (
    History as History,
)
from .report import (
    Report as Report,
)
from .report import (
    StepResult as StepResult,
)
from .runtime import (
    get_num_threads as get_num_threads,
)
from .runtime import (
    set_num_threads as set_num_threads,
)
from .tools.rates import (
    LearningRateTest as LearningRateTest,
)
from .tools.rates import (
    find_learning_rate as find_learning_rate,
)
from .training.checkpoint import (
    Checkpoint as Checkpoint,
)

__version__: str
