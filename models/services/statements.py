"""What a run cost, for its owner: from the run itself, or from the receipt that is left when its history was pruned."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.orm import Session

from models.base import Json
from models.services import executions, receipts
from models.services.receipts import Line
from models.user import User


@dataclass(frozen=True)
class Statement:
    """A receipt with a page of its lines; with `lines_expired` only its sums are left."""

    receipt: dict[str, Json]
    lines: Sequence[Line]
    lines_expired: bool


def statement(
    session: Session,
    owner: User,
    execution_id: UUID,
    *,
    limit: int = 50,
    offset: int = 0,
    after: tuple[str, str] | None = None,
) -> Statement:
    """The receipt of one run of `owner`'s, with a page of its lines as `receipts.lines` has it; raises `NotFound`."""
    kept = receipts.kept(session, owner.id, execution_id)
    if kept is not None:
        return Statement(kept, [], lines_expired=True)
    execution = executions.get(session, owner, execution_id)
    page = receipts.lines(session, execution, limit=limit, offset=offset, after=after)
    return Statement(receipts.receipt(session, execution), page, lines_expired=False)
