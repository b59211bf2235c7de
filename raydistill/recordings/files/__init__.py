"""What HDF5, MATLAB, NPZ and NPY files hold, as trees of nodes."""
