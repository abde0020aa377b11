"""The receipt of a run for its owner, from the run's rows or, if its history was pruned, from the stored receipt."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.orm import Session

from models.serialization import Json
from models.services.executions import executions, receipts
from models.services.executions.receipts import ReceiptLine
from models.tables import User


@dataclass(frozen=True)
class ReceiptPage:
    """A receipt with a page of its lines; if `lines_expired`, only its items are left."""

    receipt: dict[str, Json]
    lines: Sequence[ReceiptLine]
    lines_expired: bool


def receipt_page(
    session: Session,
    owner: User,
    execution_id: UUID,
    *,
    limit: int = 50,
    offset: int = 0,
    after: tuple[str, str] | None = None,
) -> ReceiptPage:
    """The receipt of a run of `owner` with a page of its lines, as by `receipts.lines`; raises `NotFound`."""
    kept = receipts.kept(session, owner.id, execution_id)
    if kept is not None:
        return ReceiptPage(kept, [], lines_expired=True)
    execution = executions.get(session, owner, execution_id)
    page = receipts.lines(session, execution, limit=limit, offset=offset, after=after)
    return ReceiptPage(receipts.receipt(session, execution), page, lines_expired=False)
