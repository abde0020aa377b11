"""The demo's account, made once per stack. `python -m devstack.demo_user API MAIL` makes it (MAIL may be empty)."""

import os
import sys

from devstack.app_client import AppClient, AppClientError

EMAIL = "demo@example.com"
NAME = "Demo"
PASSWORD = "DEMO_PASSWORD"  # the variable that has it


def signed_in(api: str, mail: str | None, password: str) -> tuple[AppClient, bool]:
    """A client with the account's session, and whether it is new; its address is verified if mails are caught."""
    app = AppClient(api)
    try:
        app.log_in(EMAIL, password)
    except AppClientError as error:
        if error.code != "wrong_credentials":
            raise
        app.register(EMAIL, password, NAME)
        if mail:
            app.verify(mail, EMAIL)
        return app, True
    return app, False


def main(api: str, mail: str) -> None:
    """Make the account; a failure is told and harms nothing else of the stack."""
    try:
        signed_in(api, mail or None, os.environ[PASSWORD])
    except (AppClientError, OSError) as error:
        print(f"There is no demo user: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
