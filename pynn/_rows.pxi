# Rows by number: in memory, in files, shuffled. Part of _core.pyx.

def gather(x, order, out):
    """Rows order[i] of x into `out`, of x's dtype."""
    cdef View vx = view(x, "x"), vo = indices(order)
    cdef View vout = output(out, "out", vx.array.dtype, vo.array.rows * vx.array.columns)
    cdef pynn_error error
    with nogil:
        check(pynn_gather(&vx.array, <const int64_t *>vo.array.data, vo.array.rows, vout.buffer.buf, blank(&error)),
              &error)
    return out


cdef extern from "base/disk.h":
    int64_t disk_read_rows(int file, int64_t offset, int64_t step, int64_t size, const int64_t *rows,
                           const int64_t *places, int64_t n, char *out) nogil


def read_rows(int file, int64_t offset, int64_t step, int64_t size, rows, places, out):
    """Row rows[i] of `size` bytes, `step` apart from `offset` on, from an open file to place places[i] of `out`, as
    many; fastest when `rows` ascend. Returns how many could be read."""
    cdef View vr = indices(rows), vp = indices(places), vout = output(out, "out", PYNN_UINT8, len(rows) * size)
    cdef int64_t done
    if len(places) != len(rows):
        raise errors.ShapeError(f"expected as many places as rows; received {len(places)} for {len(rows)}")
    with nogil:
        done = disk_read_rows(file, offset, step, size, <const int64_t *>vr.array.data,
                              <const int64_t *>vp.array.data, vr.array.rows, <char *>vout.buffer.buf)
    return done


def shuffle(uint64_t seed, uint64_t epoch, out):
    """A permutation of 0 ... len(out)-1 that depends on (seed, epoch, length) alone, into int64 `out`."""
    cdef View v = output(out, "out", PYNN_INT64, 0)
    with nogil:
        pynn_shuffle(seed, epoch, v.array.rows, <int64_t *>v.buffer.buf)
    return out
