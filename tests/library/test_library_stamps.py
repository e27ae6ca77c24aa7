"""An age by a stamp: a little ahead counts as now, another clock's and an old one are refused."""

import pytest

from hybrid_control.signals.stamps import MAX_FUTURE_NS, age_of

NOW, MS = 10**18, 1_000_000


def test_library_age_is_that_of_the_stamp_and_never_negative():
    assert age_of(NOW - 7 * MS, NOW, "timeout", 0.25) == 7 * MS
    assert age_of(NOW + 7 * MS, NOW, "timeout", 0.25) == 0
    assert age_of(NOW - 250 * MS, NOW, "timeout", 0.25) == 250 * MS
    assert age_of(NOW + MAX_FUTURE_NS, NOW, "timeout", 0.25) == 0


def test_library_stamp_that_is_too_old_or_of_another_clock_is_refused_in_one_line():
    with pytest.raises(ValueError, match=r"^its stamp is 0\.251 s old, command_timeout is 0\.25 s$"):
        age_of(NOW - 251 * MS, NOW, "command_timeout", 0.25)
    with pytest.raises(ValueError, match=r"^its stamp is 0\.051 s in the future$"):
        age_of(NOW + MAX_FUTURE_NS + MS, NOW, "command_timeout", 0.25)
