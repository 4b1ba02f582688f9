"""What a test expects of an error that a user can correct."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from har.errors import CODES, HarError


@contextmanager
def refused(code: str, match: str | None = None) -> Iterator[pytest.ExceptionInfo[HarError]]:
    """Expect a `HarError` of this code, whose message, where its values matter, matches a pattern."""
    assert code in CODES
    with pytest.raises(HarError, match=match) as caught:
        yield caught
    assert caught.value.code == code, caught.value
