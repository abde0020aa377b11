"""Runs that are submitted at the same time are inserted in one transaction.

A commit waits for the disk, and takes PostgreSQL as long as the run. A run that has to be looked at more closely, such
as one that is refused, is left to its request; if anything goes wrong before the commit, each is inserted by itself.
"""

from collections.abc import Collection, Mapping, Sequence

import structlog
from sqlalchemy.orm import Session

from models.db import SessionFactory
from models.services.orchestration import submission
from models.services.orchestration.submission import Submission
from models.tables import Execution

log = structlog.get_logger(__name__)

Inserted = Execution | Exception | None  # None if the request has to submit it by itself


def insert_together(asked: Collection[Submission]) -> Mapping[Submission, Inserted]:
    """Insert the runs that are ready; raises what goes wrong with the commit, whose end nobody knows then."""
    in_order = sorted(asked, key=lambda one: (one.owner.id, one.request.workflow_id))  # in which their rows are locked
    if len(in_order) > 1:
        with SessionFactory() as session:
            if found := _inserted(session, in_order):
                session.commit()
                return found
    return {one: _inserted_alone(one) for one in in_order}


def _inserted(session: Session, in_order: Sequence[Submission]) -> Mapping[Submission, Inserted] | None:
    """Insert the runs in the transaction of the session; None if anything goes wrong."""
    try:
        return {one: submission.insert_if_ready(session, one) for one in in_order}
    except Exception as error:
        log.warning("submissions.not_together", error=type(error).__name__, runs=len(in_order))
        return None


def _inserted_alone(asked: Submission) -> Inserted:
    try:
        with SessionFactory() as session:
            run = submission.insert_if_ready(session, asked, alone=True)
            session.commit()  # for what follows a commit
            return run
    except Exception as error:
        return error
