"""NWB files at a URI, https:// or s3://, read through fsspec without a download.

HDF5 reads small pieces at many positions. They are served from blocks of 1 MiB, of which the last 64 are cached; only
requested blocks are transferred. A request that fails is repeated a few times. Then the recording fails with the
cause given by the server, whatever error HDF5 raises for the missing block.
"""

import gc
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from raydistill.config.secrets import check_no_secret
from raydistill.errors import ConfigError, DataError, without_password

SCHEMES = ("http", "https", "s3")
_BLOCK = 1 << 20
_CACHED_BLOCKS = 64
_WAITS_S = (0.25, 1.0, 4.0)  # before the second, third and fourth attempt
_TIMEOUT_S = 60  # without a byte
_IDENTIFIERS = ("ETag", "Content-MD5", "Digest", "Last-Modified")  # by which servers identify content, best first


@dataclass(frozen=True)
class Remote:
    """An NWB file on a server; used in place of the Path of a local file."""

    uri: str

    suffix = ".nwb"  # DANDI's blobs have no suffix, and no other kind of file is read from a server

    def __str__(self) -> str:
        """The URI without what may be secret: a password, or the signature of a presigned URI."""
        parts = urlsplit(self.uri)
        return without_password(f"{parts.scheme}://{parts.netloc}{parts.path}")

    @property
    def name(self) -> str:
        """The last component of the URI."""
        return PurePosixPath(unquote(urlsplit(self.uri).path)).name

    @property
    def stem(self) -> str:
        """The last component of the URI without its suffix."""
        return PurePosixPath(self.name).stem

    def absolute(self) -> "Remote":
        """The file itself, because a URI is always absolute."""
        return self

    def is_file(self) -> bool:
        """Whether the server has the file. DataError: the server does not answer."""
        try:
            self._asked(lambda fs: fs.info(self.uri))
        except _Missing:
            return False
        return True

    def identity(self) -> str:
        """The server's identifier of the content, which stays the same when the file is moved, and the size.

        Raises:
            DataError: the server does not answer, or states nothing by which a changed file could be recognised.
        """
        info = self._asked(lambda fs: fs.info(self.uri))
        identifiers = [f"{key} {info[key]}" for key in _IDENTIFIERS if info.get(key)]
        if not identifiers:
            raise DataError(
                f"{self}: the server states no ETag, checksum or Last-Modified, so that a changed file could not be "
                "recognised; download it"
            )
        return f"{identifiers[0]}, {info['size']} bytes"

    @contextmanager
    def opened(self) -> Iterator:
        """A file object for h5py that reads blocks on request.

        Raises:
            DataError: no such file, no access, no answer, or a server that cannot send parts of files; also for any
                error inside the context after a block could not be read.
        """
        from fsspec.caching import BlockCache

        options = {"block_size": _BLOCK, "cache_type": "blockcache", "cache_options": {"maxblocks": _CACHED_BLOCKS}}
        with _no_collection(), self._asked(lambda fs: fs.open(self.uri, **options)) as file:
            if not isinstance(file.cache, BlockCache):
                raise DataError(f"{self}: the server sends only whole files; download it")
            failures: list[Exception] = []
            file.cache.fetcher = partial(_block, file.cache.fetcher, file.size, failures)
            try:
                yield file
            except Exception as err:
                if failures:
                    raise DataError(f"{self}: {_cause(failures[0], 'the connection was interrupted')}") from err
                raise

    def _asked(self, question: Callable):
        """The answer of this file's filesystem to a question; errors become a DataError of one line."""
        try:
            return _with_retries(partial(question, _filesystem(urlsplit(self.uri).scheme)))
        except ImportError:
            raise DataError(
                f"{self}: files on servers need further packages: pip install 'raydistill[remote]'"
            ) from None
        except Exception as err:
            kind = _Missing if _status(err) in (404, 410) else DataError
            raise kind(f"{self}: {_cause(err)}") from err


class _Missing(DataError):
    """The server answers that there is no such file."""


def located(folder: Path, file: str) -> Path | Remote:
    """The file at a URI, or of a name relative to `folder`. ConfigError: a URI of another scheme, or with a secret."""
    scheme, separator, _ = file.partition("://")
    if not separator:
        return folder / file
    check_no_secret(file, "a recording")
    if scheme not in SCHEMES:
        raise ConfigError(f"{file}: {scheme}:// is not supported; use one of {', '.join(SCHEMES)}")
    return Remote(file)


def is_there(path: Path | Remote) -> bool:
    """Whether there is such a file or folder. DataError: the server does not answer."""
    return path.is_file() if isinstance(path, Remote) else os.path.exists(path)


def _filesystem(scheme: str):
    """A filesystem of its own for each file, without retries, as `_with_retries` does them."""
    import fsspec

    options: dict[str, Any]
    if scheme == "s3":
        config = {"retries": {"total_max_attempts": 1}, "connect_timeout": _TIMEOUT_S, "read_timeout": _TIMEOUT_S}
        options = {"anon": _anonymous(), "config_kwargs": config}
    else:
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_TIMEOUT_S, sock_read=_TIMEOUT_S)
        options = {"client_kwargs": {"timeout": timeout}}
    fs = fsspec.filesystem(scheme, skip_instance_cache=True, **options)
    fs.retries = 1
    return fs


@cache
def _anonymous() -> bool:
    """Whether the environment has no credentials, so that only public buckets can be read, such as DANDI's."""
    import botocore.session

    return botocore.session.get_session().get_credentials() is None


@contextmanager
def _no_collection() -> Iterator[None]:
    """No garbage collection, in any thread.

    fsspec fetches in another thread, for which h5py waits while it holds its global lock. If that thread collects an
    h5py object, it waits for the lock: a deadlock (https://github.com/h5py/h5py/issues/2019).
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _block(fetch: Callable, size: int, failures: list[Exception], start: int, stop: int) -> bytes:
    """Bytes [start, stop) of the file; an error is also appended to `failures`."""

    def fetch_all() -> bytes:
        data = fetch(start, stop)
        if len(data) != min(stop, size) - start:
            raise OSError(f"{len(data)} of {min(stop, size) - start} bytes from position {start} were received")
        return data

    try:
        return _with_retries(fetch_all)
    except Exception as err:
        failures.append(err)
        raise


def _with_retries(call: Callable):
    """The result of a call, which is repeated after each of the waits if its error may be temporary."""
    for wait_s in _WAITS_S:
        try:
            return call()
        except Exception as err:
            if not _is_temporary(err):
                raise
        time.sleep(wait_s)
    return call()


def _is_temporary(err: Exception) -> bool:
    status = _status(err)
    return not isinstance(err, ValueError | ImportError) if status is None else status >= 500 or status in (408, 429)


def _status(err: Exception) -> int | None:
    """The HTTP status that caused an error of fsspec; None: there was no answer.

    Errors of aiohttp have a `status`, those of botocore a `response`. fsspec raises its own errors, usually from them.
    """
    cause = err.__cause__ or err
    if isinstance(status := getattr(cause, "status", None), int):
        return status
    if response := getattr(cause, "response", None):
        return response["ResponseMetadata"]["HTTPStatusCode"]
    if cause is err:
        return 404 if type(err) is FileNotFoundError else 403 if type(err) is PermissionError else None
    return None


def _cause(err: Exception, without_status: str = "no answer from the server") -> str:
    """The cause of an error, for the user."""
    status = _status(err)
    if status in (404, 410):
        return "the server has no such file"
    if status in (401, 403):
        return f"the server denies access ({status}); check the URI and your credentials"
    if status is not None:
        return f"the server answers {status}"
    if isinstance(err, ValueError) and "range requests" in str(err):
        return "the server sends only whole files; download it"
    cause = err.__cause__ or err
    message = " ".join(str(cause).split()).removeprefix("400, message: ")  # a status of aiohttp, not of the server
    return f"{without_status} ({message or type(cause).__name__}); try again later"
