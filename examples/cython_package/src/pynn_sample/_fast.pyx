# cython: language_level=3, boundscheck=False, wraparound=False
"""The model of a `pynn.Sequential`, shared, with a workspace of one's own."""
cimport pynn

import pynn as pynn_


if (<bytes>pynn.pynn_version()).decode() != pynn_.__version__:  # struct layouts are those of the version linked
    raise ImportError(f"built with pynn {(<bytes>pynn.pynn_version()).decode()}; found pynn {pynn_.__version__}")


cdef class Scorer:
    """Counts the rows of a float32 matrix for which output `column` of the model is above a threshold."""
    cdef pynn.Model model  # keeps the pynn_model alive
    cdef pynn.pynn_workspace *workspace

    def __cinit__(self, model):
        if model.dtype != "float32":
            raise TypeError(f"expected a model of float32; received {model.dtype}")
        self.model = model.core
        if pynn.pynn_workspace_new(&self.workspace, self.model.c) != pynn.PYNN_OK:
            raise MemoryError

    def __dealloc__(self):
        pynn.pynn_workspace_free(self.workspace)

    def count_above(self, const float[:, ::1] x, int column, float threshold):
        cdef float[64] y
        cdef Py_ssize_t i, n = 0
        cdef pynn.pynn_array row
        cdef pynn.pynn_status status = pynn.PYNN_OK
        if x.shape[1] != pynn.pynn_model_inputs(self.model.c) or not 0 <= column < pynn.pynn_model_outputs(self.model.c) <= 64:
            raise ValueError("expected rows as wide as the model's inputs and a column of its outputs")
        with nogil:
            for i in range(x.shape[0]):
                row = pynn.pynn_matrix(&x[i, 0], pynn.PYNN_FLOAT32, 1, x.shape[1])
                status = pynn.pynn_predict(self.model.c, self.workspace, &row, 0, pynn.PYNN_FLOAT32, y, NULL)
                if status != pynn.PYNN_OK:
                    break
                n += y[column] > threshold
        if status != pynn.PYNN_OK:
            raise RuntimeError((<bytes>pynn.pynn_strerror(status)).decode())
        return n
