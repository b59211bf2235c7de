"""Samples through ZeroMQ: a sender publishes, a decoder subscribes.

A message has two frames: the number of the first sample (8 bytes, unsigned, little-endian) and the samples (float32,
little-endian, sample after sample). An empty second frame ends the stream.
"""

from collections.abc import Iterator

import numpy as np

from raydistill.errors import DataError
from raydistill.stream.extras import needs
from raydistill.stream.samples import Chunk, SilenceError

with needs("zmq", "zmq"):
    import zmq


class ZmqSource:
    """Subscribes to the sender at an address such as tcp://127.0.0.1:5555."""

    def __init__(self, address: str, timeout_s: float):
        self.address, self.timeout_s = address, timeout_s

    def chunks(self, n_channels: int) -> Iterator[Chunk]:
        """One chunk per message."""
        with zmq.Context() as context, context.socket(zmq.SUB) as socket:
            socket.setsockopt(zmq.LINGER, 0)
            socket.subscribe(b"")
            try:
                socket.connect(self.address)
            except zmq.ZMQError as err:
                raise DataError(f"zmq:{self.address}: {err}; an address is such as zmq:tcp://127.0.0.1:5555") from None
            while socket.poll(round(1000 * self.timeout_s)):
                frames = socket.recv_multipart()
                if len(frames) != 2 or len(frames[0]) != 8 or len(frames[1]) % 4:
                    raise DataError(f"zmq:{self.address}: a message is not a sample number and float32 values")
                values = np.frombuffer(frames[1], dtype="<f4")
                if not len(values):
                    return
                if len(values) % n_channels:
                    raise DataError(
                        f"zmq:{self.address}: a message has {len(values)} values, which is no multiple of the "
                        f"{n_channels} channels that the model reads"
                    )
                yield Chunk(int.from_bytes(frames[0], "little"), values.reshape(-1, n_channels))
            raise SilenceError(self.timeout_s)


class ZmqSender:
    """Publishes samples at an address."""

    def __init__(self, address: str):
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PUB)
        try:
            self._socket.bind(address)
        except zmq.ZMQError as err:
            self.close()
            raise DataError(f"zmq:{address}: {err}; an address is such as zmq:tcp://127.0.0.1:5555") from None

    def send(self, chunk: Chunk) -> None:
        """Send samples to everybody who listens."""
        self._socket.send_multipart([chunk.first.to_bytes(8, "little"), chunk.values.astype("<f4").tobytes()])

    def end(self) -> None:
        """Tell the listeners that nothing more will come."""
        self._socket.send_multipart([bytes(8), b""])

    def close(self) -> None:
        """Close the socket; what is on its way is still sent."""
        self._socket.close(linger=1000)
        self._context.term()
