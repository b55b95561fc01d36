"""Read members of zip archives in bounded memory: never more than the archive's own size."""

from __future__ import annotations

import os
import zipfile
from types import TracebackType
from typing import Any

from ..errors import FileFormatError

__all__ = ["BAD_ZIP", "Archive"]

BAD_ZIP = (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError, LookupError, OSError)


class Archive:
    """A zip archive of stored members, as `torch.save` and Keras write them; checksums are compared.

    Parameters
    ----------
    path : str or path
    kind : str
        What the file is expected to be, for messages.
    """

    def __init__(self, path: Any, kind: str) -> None:
        self.path, self.kind = path, kind
        self.left = os.path.getsize(path)
        try:
            self._zip = zipfile.ZipFile(path)
            self.names = self._zip.namelist()
        except BAD_ZIP as error:
            raise self.bad(str(error)) from None

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._zip.close()

    def read(self, name: str) -> bytes:
        """Return a member."""
        try:
            info = self._zip.getinfo(name)
            if info.compress_type != zipfile.ZIP_STORED:
                raise self.bad(f"the compressed member {name!r}")
            self.left -= info.file_size
            if self.left < 0:
                raise self.bad(f"members that overlap, {name!r} for one")
            return self._zip.read(info)
        except FileFormatError:
            raise
        except BAD_ZIP as error:
            raise self.bad(f"a broken member {name!r} ({error})") from None

    def bad(self, what: str) -> FileFormatError:
        """The error for a file that is broken."""
        return FileFormatError(f"expected {self.kind}; received {os.fspath(self.path)!r} with {what}")
