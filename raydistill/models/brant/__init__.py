"""BRANT: a transformer over patches of seconds of each channel, then over the channels of each patch."""
