"""`raydistill new-manifest`: looks into files and writes a manifest with guesses and questions."""
