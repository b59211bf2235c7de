"""NDT2: masked autoencoding of spikes over many sessions, with learned positions and context tokens."""
