"""The parts of the NWB reader: the file, its units, series, clocks and tables."""
