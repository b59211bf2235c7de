"""Multiscale subspace identification: a linear dynamical system of spikes and LFP, fitted to one session."""
