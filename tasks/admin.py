"""Makes administrators, from the machine's own command line and nowhere else:

python -m tasks.admin grant ada@example.com
python -m tasks.admin revoke ada@example.com
"""

import argparse
import sys
from collections.abc import Sequence

from celery_config import settings
from models.db import connect, session_scope
from models.errors import NotFound
from models.services import accounts, audit
from models.user import Role

ROLES = {"grant": Role.ADMIN, "revoke": Role.USER}


def main(arguments: Sequence[str]) -> int:
    """Give or take the role; answers the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tasks.admin", description="Make somebody an administrator.")
    parser.add_argument("action", choices=sorted(ROLES))
    parser.add_argument("email")
    args = parser.parse_args(arguments)
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
