"""Objects older than the window are compared in rotation."""

from datetime import UTC, datetime, timedelta

from models.rules.values.rotation import DAYS, day_of
from models.tables import Action, ReconciliationFinding, RunKind
from tests.support.stripe.books import Books
from tests.support.stripe.shop import CARD


def run_on(books: Books, now: datetime) -> list[ReconciliationFinding]:
    """The findings of a daily run whose window begins 35 days before."""
    return books.found(books.run(RunKind.OBJECTS, books.reconciler(clock=lambda: now), since=now - timedelta(days=35)))


def test_an_old_purchase_is_compared_within_four_weeks_and_on_its_day(books: Books):
    user = books.shop.user()
    purchase = books.shop.buys(user, "pack_500", card=CARD)
    now = datetime.fromtimestamp(books.stripe.now(), UTC)
    run_on(books, now)
    old = now - timedelta(days=100)
    books.stripe.change(purchase.payment_intent_id, created=int(old.timestamp()))
    books.forget(
        "UPDATE users SET created_at = now() - interval '101 days'",
        f"UPDATE purchases SET created_at = '{old}', amount_cents = amount_cents * 10",
        "DELETE FROM reconciliation_watermarks",
    )
    turn = next(day for day in range(DAYS) if (day_of(now).number + day - day_of(old).number) % DAYS == 0)
    assert run_on(books, now + timedelta(days=(turn + 1) % DAYS)) == []
    books.forget("DELETE FROM reconciliation_watermarks")
    [found] = run_on(books, now + timedelta(days=turn))
    assert (found.check, found.subject, found.action) == ("payments", purchase.payment_intent_id, Action.REPAIRED)
    assert found.changes == {"amount_cents": [39990, 3999]}


def test_a_payment_method_that_was_detached_unheard_is_found(books: Books):
    user = books.shop.user()
    books.shop.perform(books.shop.wants_method(user))
    books.run(RunKind.OBJECTS)
    stripe_id = books.shop.scalar("SELECT stripe_id FROM payment_methods")
    books.shop.stripe_sync.gateway.detach(stripe_id, key="by hand")
    found = books.found(books.run(RunKind.OBJECTS))
    assert ("payment_methods", stripe_id) in {(one.check, one.subject) for one in found}
    assert books.shop.scalar("SELECT removed_at IS NOT NULL FROM payment_methods")
    assert books.run(RunKind.OBJECTS).repaired == 0
