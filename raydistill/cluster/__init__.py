"""Ray, started or reached in the same way for every command, and the machines that it offers."""

from raydistill.cluster.connection import connected
from raydistill.cluster.cpus import cores

__all__ = ["connected", "cores"]
