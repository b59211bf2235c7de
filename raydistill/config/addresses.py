"""Addresses of folders in object stores, as people type them."""

import re

FORM = "s3://BUCKET/FOLDER or gs://BUCKET/FOLDER"
_MISTYPED = re.compile(
    r"(?:s3a?|gs|file|https?):(?!//)|[a-z][\w+.-]*:/(?!/)|(?:s3|gs)//|(?:s3|gs)://(?:[/?#]|$)|file://[^/]",
    re.IGNORECASE,
)
"""One slash or none, no colon, or no bucket."""


def is_mistyped(text: str) -> bool:
    """Whether a text is meant as an address, but is none, so that it would be taken for a local folder of that name."""
    return bool(_MISTYPED.match(text))
