"""Addresses that hold a password or a key.

What a file or a command line names is written to job.json, MLflow and the page, which others read. Therefore an address
with a secret in it is refused, and no message repeats it. The address of a tracking server (MLFLOW_TRACKING_URI) is
never written; it is shown by `without_password` (errors.py).
"""

import re
from urllib.parse import unquote

from raydistill.errors import ConfigError

_USER_AND_PASSWORD = re.compile(r"\w://[^/?#@\s]*:(?!\d{1,5}(?:[/?#]|$))[^@\s]*@")
"""`//user:password@`; a password may have slashes, but digits up to a slash are a port."""
_USER_ALONE = re.compile(r"\b(?:https?|s3a?|ftps?)://[^/?#@\s]+@", re.IGNORECASE)
"""A token in place of a user. Elsewhere a name before `@` is no secret, such as ssh://git@host or gs://anonymous@."""
_PARAMETER = re.compile(
    r"[?&#;](?:[\w.-]*(?:token|secret|passw|pwd|signature|credential|api[-_]?key|access[-_]?key)[\w.-]*|sig|key|auth)=[^&]",
    re.IGNORECASE,
)
"""A signature or token among the parameters of an address."""
_CONNECTION = re.compile(r"(?:AccountKey|SharedAccessSignature|aws_secret_access_key)\s*=\s*\S", re.IGNORECASE)

WAY_OUT = (
    "remove it, and give it by the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE for a "
    "profile), or download a file that needs a signed address"
)


def holds_secret(text: str) -> bool:
    """Whether a text is or contains an address with a password, key, token or signature in it."""
    if _CONNECTION.search(text):
        return True
    if "://" not in text and "%3a%2f%2f" not in text.lower():
        return False
    return any(
        pattern.search(spelling)
        for spelling in (text, unquote(text))
        for pattern in (_USER_AND_PASSWORD, _USER_ALONE, _PARAMETER)
    )


def check_no_secret(text: str, what: str) -> None:
    """Raise ConfigError if a text holds a secret; the message does not repeat the text.

    Args:
        what: where the text is, such as a file and line, or an option.
    """
    if holds_secret(text):
        raise ConfigError(f"{what}: an address with a password, key or signature in it; {WAY_OUT}")
