"""Take passwords, and what a terminal would obey, out of what is shown."""

import re

USER = re.compile(r"(?<=://)[^/\s]*@")  # user:password@ of an address, up to the last @ before its path
QUERY = re.compile(r"(?i)(?<=[?&])([^=&\s]*(?:password|passwd|pwd|secret|token|key)[^=&\s]*=)[^&\s'\")]+")


def redacted(text: str) -> str:
    """A text without the user, the password and the secrets of the addresses in it."""
    return QUERY.sub(r"\1***", USER.sub("***@", text))


def shown(text: str) -> str:
    """A redacted text whose control characters are spelled out: a name in a stranger's file could steer the terminal."""
    return "".join(sign if sign.isprintable() or sign == "\n" else ascii(sign)[1:-1] for sign in redacted(text))
