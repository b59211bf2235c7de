"""The session store on disk; imports no torch."""
