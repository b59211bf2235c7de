"""Damaged and odd files of every kind that is read, and what `ingest` and `new-manifest` make of them.

    python -m tests.recordings.fuzzing 2000             # of every kind
    python -m tests.recordings.fuzzing 2000 nwb mat5    # of some

Each recording is ingested in a process of its own, which is stopped after 60 s. It passes if it becomes a session, or
fails with one line that is not the name of a Python exception, in less than 2 GB, and leaves no half-made session. The
same holds for the manifest that `new-manifest` writes of its files, and for the sessions that this manifest describes.
"""
