# `cimport pynn`: the C API of pynn.h, and the C objects behind the Python classes: `pynn.Model`, whose `c` is the
# pynn_model that `model.core` of a Sequential holds. Compile with pynn.get_include() and link libpynn from
# pynn.get_library_dir() (docs/embedding.md).
from pynn._core cimport Context, Model, Trainer
from pynn.libpynn cimport *
