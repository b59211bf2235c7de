"""NWB files behind a URI, https:// or s3://, read through fsspec without a download.

HDF5 asks for small pieces here and there. They are served from blocks of 1 MiB, the last 64 of which are kept; only
blocks that are asked for travel. A block that does not arrive is asked for again a few times; then the recording
fails with the server's own cause, whatever HDF5 makes of the hole.
"""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from raydistill.errors import ConfigError, DataError, without_password

SCHEMES = ("http", "https", "s3")
_BLOCK = 1 << 20
_KEPT = 64
_WAITS_S = (0.25, 1.0, 4.0)  # before the second, third and fourth try
_PATIENCE_S = 60  # without a byte
_STATED = ("ETag", "Content-MD5", "Digest", "Last-Modified")  # by what a server marks content, the best first


@dataclass(frozen=True)
class Remote:
    """An NWB file on a server, standing where a local file's Path stands."""

    uri: str

    suffix = ".nwb"  # DANDI's blobs have no ending, and no other kind is read from a server

    def __str__(self) -> str:
        """The URI without what may be secret: a password, or the signature of a presigned one."""
        parts = urlsplit(self.uri)
        return without_password(f"{parts.scheme}://{parts.netloc}{parts.path}")

    @property
    def name(self) -> str:
        """The last component of the URI."""
        return PurePosixPath(unquote(urlsplit(self.uri).path)).name

    @property
    def stem(self) -> str:
        return PurePosixPath(self.name).stem

    def absolute(self) -> "Remote":
        return self

    def is_file(self) -> bool:
        """Whether the server has it. DataError: the server cannot be asked."""
        try:
            self._asked(lambda fs: fs.info(self.uri))
        except _Missing:
            return False
        return True

    def identity(self) -> str:
        """What the server states of the content, which stays the same when the file is moved, and its size.

        Raises:
            DataError: the server does not answer, or states nothing by which a changed file could be told.
        """
        info = self._asked(lambda fs: fs.info(self.uri))
        stated = [f"{key} {info[key]}" for key in _STATED if info.get(key)]
        if not stated:
            raise DataError(
                f"{self}: the server states no ETag, checksum or Last-Modified, so that a changed file would be taken "
                "for the same; download it"
            )
        return f"{stated[0]}, {info['size']} bytes"

    @contextmanager
    def opened(self) -> Iterator:
        """A file object that reads blocks as they are asked for, for h5py.

        Raises:
            DataError: no such file, no access, no answer, or no parts of files from this server; also for any error
                inside the context after a block could not be had.
        """
        from fsspec.caching import BlockCache

        options = {"block_size": _BLOCK, "cache_type": "blockcache", "cache_options": {"maxblocks": _KEPT}}
        with _no_collection(), self._asked(lambda fs: fs.open(self.uri, **options)) as file:
            if not isinstance(file.cache, BlockCache):
                raise DataError(f"{self}: the server gives files only as a whole; download it")
            lost = []
            file.cache.fetcher = partial(_block, file.cache.fetcher, file.size, lost)
            try:
                yield file
            except Exception as err:
                if lost:
                    raise DataError(f"{self}: {_cause(lost[0], 'the connection broke off')}") from err
                raise

    def _asked(self, question: Callable):
        """The answer of this file's filesystem to a question, with its errors in one line."""
        try:
            return _persistently(partial(question, _filesystem(urlsplit(self.uri).scheme)))
        except ImportError:
            raise DataError(f"{self}: files on servers need more: pip install 'raydistill[remote]'") from None
        except Exception as err:
            kind = _Missing if _status(err) in (404, 410) else DataError
            raise kind(f"{self}: {_cause(err)}") from err


class _Missing(DataError):
    """The server answers that there is no such file."""


def located(folder: Path, file: str) -> Path | Remote:
    """Where a file lies: at its URI, or at its name relative to `folder`. ConfigError: a scheme that is not read."""
    scheme, separator, _ = file.partition("://")
    if not separator:
        return folder / file
    if scheme not in SCHEMES:
        raise ConfigError(f"{file}: there is no reading from {scheme}://; known: {', '.join(SCHEMES)}")
    return Remote(file)


def _filesystem(scheme: str):
    """A filesystem of its own for each file; that it retries nothing itself leaves one place that does."""
    import fsspec

    if scheme == "s3":
        patience = {"connect_timeout": _PATIENCE_S, "read_timeout": _PATIENCE_S}
        options = {"anon": _anonymous(), "config_kwargs": {"retries": {"total_max_attempts": 1}} | patience}
    else:
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_PATIENCE_S, sock_read=_PATIENCE_S)
        options = {"client_kwargs": {"timeout": timeout}}
    fs = fsspec.filesystem(scheme, skip_instance_cache=True, **options)
    fs.retries = 1
    return fs


@cache
def _anonymous() -> bool:
    """Whether the environment holds no credentials: then only public buckets can be meant, such as DANDI's."""
    import botocore.session

    return botocore.session.get_session().get_credentials() is None


@contextmanager
def _no_collection() -> Iterator[None]:
    """No garbage collection, in any thread.

    fsspec fetches in a thread of its own, for which h5py waits with its global lock held. A collection in that thread
    that meets an h5py object waits for the lock, and neither ends (https://github.com/h5py/h5py/issues/2019).
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _block(fetch: Callable, size: int, lost: list[Exception], start: int, stop: int) -> bytes:
    """Bytes [start, stop) of the file; why they cannot be had goes to `lost`."""

    def whole() -> bytes:
        data = fetch(start, stop)
        if len(data) != min(stop, size) - start:
            raise OSError(f"{len(data)} of {min(stop, size) - start} bytes from {start} on arrived")
        return data

    try:
        return _persistently(whole)
    except Exception as err:
        lost.append(err)
        raise


def _persistently(call: Callable):
    """What a call returns, tried again after each of the waits as long as the fault may pass."""
    for wait_s in _WAITS_S:
        try:
            return call()
        except Exception as err:
            if not _may_pass(err):
                raise
        time.sleep(wait_s)
    return call()


def _may_pass(err: Exception) -> bool:
    status = _status(err)
    return not isinstance(err, ValueError | ImportError) if status is None else status >= 500 or status in (408, 429)


def _status(err: Exception) -> int | None:
    """The HTTP status behind an error of fsspec; None: there was no answer.

    aiohttp's errors have a `status`, botocore's a `response`; fsspec raises its own from them, and sometimes alone.
    """
    cause = err.__cause__ or err
    if isinstance(status := getattr(cause, "status", None), int):
        return status
    if response := getattr(cause, "response", None):
        return response["ResponseMetadata"]["HTTPStatusCode"]
    if cause is err:
        return {FileNotFoundError: 404, PermissionError: 403}.get(type(err))
    return None


def _cause(err: Exception, without_status: str = "no answer from the server") -> str:
    """What is wrong, for the user."""
    status = _status(err)
    if status in (404, 410):
        return "the server has no such file"
    if status in (401, 403):
        return f"the server gives no access ({status}); check the URI and your credentials"
    if status is not None:
        return f"the server answers {status}"
    if isinstance(err, ValueError) and "range requests" in str(err):
        return "the server gives files only as a whole; download it"
    cause = err.__cause__ or err
    said = " ".join(str(cause).split()).removeprefix("400, message: ")  # aiohttp's status, never the server's
    return f"{without_status} ({said or type(cause).__name__}); try again later"
