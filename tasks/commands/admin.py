"""Grants and revokes the role of administrator. Only this command does so; the API cannot:

python -m tasks.commands.admin grant ada@example.com
python -m tasks.commands.admin revoke ada@example.com
"""

import argparse
import sys
from collections.abc import Sequence

from models.db import connect, session_scope
from models.errors import NotFound
from models.services.accounts import accounts
from models.services.operations import audit
from models.tables import Role
from settings import process_settings

ROLES = {"grant": Role.ADMIN, "revoke": Role.USER}


def main(arguments: Sequence[str]) -> int:
    """Change the role of a user; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tasks.commands.admin", description="Make a user an administrator.")
    parser.add_argument("action", choices=sorted(ROLES))
    parser.add_argument("email")
    args = parser.parse_args(arguments)
    settings = process_settings()
    connect(settings.database_url)
    try:
        with session_scope() as session:
            user = accounts.set_role(session, args.email, ROLES[args.action])
            audit.record(session, actor=None, action="auth.role_changed", subject=user.id, data={"role": user.role})
    except NotFound as error:
        sys.stderr.write(f"{error.detail}\n")
        return 1
    sys.stdout.write(f"{user.email} has the role {user.role} now.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
