"""Take passwords out of what is shown."""

import re

USER = re.compile(r"(?<=://)[^/\s]*@")  # user:password@ of an address, up to the last @ before its path
QUERY = re.compile(r"(?i)(?<=[?&])([^=&\s]*(?:password|passwd|pwd|secret|token|key)[^=&\s]*=)[^&\s'\")]+")


def redacted(text: str) -> str:
    """A text without the user, the password and the secrets of the addresses in it."""
    return QUERY.sub(r"\1***", USER.sub("***@", text))
