"""Stories need servers of Debian's packages: without one they are skipped with a reason, and CI fails."""

import pytest

from tests.support.servers import debian


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("1", pytest.fail.Exception)])
def test_one_that_is_missing_is_named_and_ci_does_not_pass_without_it(
    monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException]
):
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="Debian's package message-broker"):
        debian.program("no-such-program", package="message-broker")
    with pytest.raises(outcome, match="Debian's package message-broker"):
        debian.directory("/usr/lib/no-such-directory", package="message-broker")
