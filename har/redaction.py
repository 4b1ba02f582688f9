"""Take passwords, and what a terminal would obey, out of what is shown."""

import re

INSIDE = r"""[^\s"'`(=<\[{,;|]"""  # a sign after which no address begins
# user:password@ of an address, up to the last @ of the word. A number and a slash after the colon are a port and a path.
USER = re.compile(r"""(?<=:/)[^\s/:@]*:(?!\d+/)\S*@|(?<=//)[^\s/:@]*:(?!\d+/)\S*@|(?<=://)[^/\s]*@""")
# The same where the scheme is missing. A slash after the colon belongs to another address, such as `models:/name@alias`.
BARE = re.compile(rf"""(?<!{INSIDE})(?![A-Za-z]:\\)[^\s/:@"']*:(?!/)\S*@""")
TOKEN = re.compile(rf"""(?<!{INSIDE})[^\s/:@"']+@(?=[\w.-]+:\d)""")  # with a port behind it, which an address for mail has not
QUERY = re.compile(r"(?i)(?<=[?&;])([^=&;\s]*(?:password|passwd|pwd|secret|token|key|credential)[^=&;\s]*=)[^&;\s'\")]+")


def redacted(text: str) -> str:
    """Remove the users, passwords and secrets of the addresses in a text, also of those without a scheme."""
    text = QUERY.sub(r"\1***", text)  # first: a password there may hold an @
    for pattern in (USER, BARE, TOKEN):
        text = pattern.sub("***@", text)
    return text


def shown(text: str) -> str:
    """A redacted text whose control characters are spelled out: a name in a stranger's file could steer the terminal."""
    return "".join(sign if sign.isprintable() or sign == "\n" else ascii(sign)[1:-1] for sign in redacted(text))
