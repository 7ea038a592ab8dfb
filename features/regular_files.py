"""Files from outside: opened without waiting, only if they are regular files, and read up to a limit.

Reading a named pipe waits for a writer, and a device may never end. A link to a regular file is allowed.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO, Final

MAX_SMALL_FILE: Final = 1 << 24
"""The maximum size of texts that are read at once, such as settings, keys and receipts: 16 MiB."""

_KINDS: Final = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def open_regular(path: Path, *, follow: bool = True) -> BinaryIO:
    """Open a regular file for reading. A symbolic link is followed, or refused if `follow` is false.

    Example: `open_regular(Path("delivery.json")).read(1)` is `b"{"`.

    Raises:
        OSError: the file does not exist, cannot be read, or is not a regular file, which `strerror` states.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW))
    try:
        kind = stat.S_IFMT(os.fstat(handle).st_mode)
        if kind == stat.S_IFDIR:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if kind != stat.S_IFREG:
            raise OSError(errno.EINVAL, f"it is {_KINDS.get(kind, 'special')}, not a regular file", str(path))
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def links_outside(path: Path, folder: Path) -> bool:
    """Return whether a path in `folder` leads to a file outside of it through symbolic links.

    Example: `links_outside(Path("in/orders.csv"), Path("in"))` is true if `in/orders.csv` is a link to `/etc/passwd`.
    """
    # unlike Path.resolve, realpath accepts loops
    return not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def stated_size(file: BinaryIO) -> int:
    """Return the size that an open file states. A file that states 0 may still have content, such as those in /proc."""
    return os.fstat(file.fileno()).st_size


def read_small_file(path: Path, limit: int = MAX_SMALL_FILE, *, follow: bool = True) -> bytes:
    """Return the content of a regular file of at most `limit` bytes; the rest is as `open_regular`.

    Example: `json.loads(read_small_file(Path("delivery.json")))`.

    Raises:
        OSError: as `open_regular`, or the file is larger.
    """
    with open_regular(path, follow=follow) as file:
        size = stated_size(file)
        if size > limit:
            raise OSError(errno.EFBIG, f"it has {size:,} bytes, and at most {limit:,} are read", str(path))
        return file.read(size)
