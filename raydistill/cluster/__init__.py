"""Ray, started or reached in the same way for every command, and the machines that it offers."""

from raydistill.cluster.connection import connected, is_local
from raydistill.cluster.cpus import cores

__all__ = ["connected", "cores", "is_local"]
