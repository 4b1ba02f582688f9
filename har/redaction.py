"""Take passwords, and what a terminal or a spreadsheet would obey, out of what is shown."""

import re

INSIDE = r"""[^\s"'`(=<\[{,;|]"""  # a sign after which no address begins
# user:password@ of an address, up to the last @ of the word. A number and a slash after the colon are a port and a path.
USER = re.compile(r"""(?<=:/)[^\s/:@]*:(?!\d+/)\S*@|(?<=//)[^\s/:@]*:(?!\d+/)\S*@|(?<=://)[^/\s]*@""")
# The same where the scheme is missing. A slash after the colon belongs to another address, such as `models:/name@alias`.
BARE = re.compile(rf"""(?<!{INSIDE})(?![A-Za-z]:\\)[^\s/:@"']*:(?!/)\S*@""")
TOKEN = re.compile(rf"""(?<!{INSIDE})[^\s/:@"']+@(?=[\w.-]+:\d)""")  # with a port behind it, which an address for mail has not
QUERY = re.compile(r"(?i)(?<=[?&;])([^=&;\s]*(?:password|passwd|pwd|secret|token|key|credential)[^=&;\s]*=)[^&;\s'\")]+")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # the last four are the full-width = + - @


def redacted(text: str) -> str:
    """Remove the users, passwords and secrets of the addresses in a text, also of those without a scheme."""
    text = QUERY.sub(r"\1***", text)  # first: a password there may hold an @
    for pattern in (USER, BARE, TOKEN):
        text = pattern.sub("***@", text)
    return text


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
