"""From modalities on their own clocks to one clock of bins (docs/methods.md, Data and preprocessing)."""
