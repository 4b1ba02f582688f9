"""Take passwords, and what a terminal or a spreadsheet would obey, out of what is shown."""

import re

USER = re.compile(r"(?<=://)[^/\s]*@")  # user:password@ of an address, up to the last @ before its path
QUERY = re.compile(r"(?i)(?<=[?&])([^=&\s]*(?:password|passwd|pwd|secret|token|key)[^=&\s]*=)[^&\s'\")]+")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # the last four are the full-width = + - @


def redacted(text: str) -> str:
    """A text without the user, the password and the secrets of the addresses in it."""
    return QUERY.sub(r"\1***", USER.sub("***@", text))


def shown(text: str) -> str:
    """One line of redacted text with its control characters, line breaks included, spelled out.

    A name in somebody else's file could otherwise steer the terminal, or add a line that looks like a message.
    """
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in redacted(text))


def csv_text(text: str) -> str:
    """A text for a cell of a CSV file, with an apostrophe in front where a spreadsheet would read a formula; a number stays as it is."""
    if not text.startswith(FORMULA):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text
