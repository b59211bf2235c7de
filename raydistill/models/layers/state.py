"""What a causal model remembers of earlier bins, as tensors by name.

Shapes and names stay the same from the first bin on, so a state can be saved, restored and exported.
"""

from torch import Tensor

State = dict[str, Tensor]
"""Name -> tensor of n streams, (n, ...). "time", (n,), is the number of bins so far. A layer adds its number to the
names of its own tensors, as in 0.keys."""
