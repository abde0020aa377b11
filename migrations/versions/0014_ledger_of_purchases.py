"""The ledger's promises about money: every paid purchase has its grant, and nothing is taken back twice."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let `ledger_violations()` name what is broken about runs and about purchases."""
    op.execute("ALTER FUNCTION ledger_violations() RENAME TO ledger_violations_of_runs")
    op.execute("""
        CREATE FUNCTION ledger_violations_of_purchases() RETURNS TABLE (invariant text, subject uuid, detail text)
        LANGUAGE sql STABLE AS $$
            WITH moved AS (
                SELECT purchase_id,
                       count(*) FILTER (WHERE source = 'purchase') AS grants,
                       sum(amount) FILTER (WHERE source = 'purchase' AND type = 'credit') AS granted,
                       sum(CASE type WHEN 'debit' THEN amount ELSE -amount END)
                           FILTER (WHERE source IN ('refund', 'dispute')) AS taken
                  FROM credit_transactions WHERE purchase_id IS NOT NULL GROUP BY purchase_id
            ), reversals AS (
                SELECT id, 're:' || stripe_id AS key, purchase_id, amount_cents, counted_cents,
                       status = 'succeeded' AS counts,
                       status NOT IN ('pending', 'requires_action', 'succeeded', 'failed', 'canceled') AS open_ended
                  FROM refunds
                 UNION ALL
                SELECT id, 'dp:' || stripe_id, purchase_id, amount_cents, counted_cents,
                       status IN ('needs_response', 'under_review', 'lost', 'appeal_needs_response',
                                  'appeal_under_review'),
                       status NOT IN ('needs_response', 'under_review', 'lost', 'appeal_needs_response',
                                      'appeal_under_review', 'warning_needs_response', 'warning_under_review',
                                      'warning_closed', 'won', 'prevented')
                  FROM disputes
            ), counted AS (
                SELECT purchase_id, sum(counted_cents) AS cents FROM reversals GROUP BY purchase_id
            )
            SELECT 'paid_purchase_has_its_grant', p.id,
                   format('sold %s, granted %s', p.credits + p.bonus, t.amount)
              FROM purchases p LEFT JOIN credit_transactions t
                ON t.key = 'pi:' || p.payment_intent_id AND t.user_id = p.user_id AND t.purchase_id = p.id
               AND t.type = 'credit' AND t.source = 'purchase'
             WHERE p.status = 'succeeded' AND t.amount IS DISTINCT FROM p.credits + p.bonus
            UNION ALL
            SELECT 'purchase_is_granted_once', purchase_id, format('%s grants', grants) FROM moved WHERE grants > 1
            UNION ALL
            SELECT 'grant_has_its_paid_purchase', t.id, format('%s grants %s', t.key, t.amount)
              FROM credit_transactions t LEFT JOIN purchases p ON p.id = t.purchase_id AND p.user_id = t.user_id
             WHERE (t.source = 'purchase' OR t.key LIKE 'pi:%')
               AND (p.status = 'succeeded' AND t.key = 'pi:' || p.payment_intent_id) IS NOT TRUE
            UNION ALL
            SELECT 'taken_back_within_grant', m.purchase_id,
                   format('granted %s, taken back %s', coalesce(m.granted, 0), m.taken)
              FROM moved m WHERE m.taken NOT BETWEEN 0 AND coalesce(m.granted, 0)
            UNION ALL
            SELECT 'taken_back_as_recorded', p.id,
                   format('purchase says %s, transactions %s', p.credits_taken, coalesce(m.taken, 0))
              FROM purchases p LEFT JOIN moved m ON m.purchase_id = p.id
             WHERE p.credits_taken <> coalesce(m.taken, 0)
            UNION ALL
            SELECT 'taken_back_is_the_share_returned', p.id,
                   format('taken back %s for %s of %s cents', p.credits_taken, coalesce(c.cents, 0), p.amount_cents)
              FROM purchases p LEFT JOIN counted c ON c.purchase_id = p.id
             WHERE p.credits_taken <> round(
                       (p.credits + p.bonus) * least(coalesce(c.cents, 0), p.amount_cents) / p.amount_cents, 2)
            UNION ALL
            SELECT 'reversal_counts_while_it_stands', r.id,
                   format('%s: %s of %s cents counted', r.key, r.counted_cents, r.amount_cents)
              FROM reversals r JOIN purchases p ON p.id = r.purchase_id
             WHERE NOT r.open_ended
               AND r.counted_cents <> CASE WHEN r.counts AND p.status = 'succeeded' THEN r.amount_cents ELSE 0 END
            UNION ALL
            SELECT 'taken_back_for_a_known_reason', t.id, format('%s moves %s', t.key, t.amount)
              FROM credit_transactions t LEFT JOIN reversals r
                ON r.purchase_id = t.purchase_id AND (t.key = r.key OR starts_with(t.key, r.key || ':'))
             WHERE (t.source IN ('refund', 'dispute') OR t.key LIKE 're:%' OR t.key LIKE 'dp:%') AND r.id IS NULL
            UNION ALL
            SELECT 'debit_has_its_captured_hold', t.id, format('%s moves %s', t.key, t.amount)
              FROM credit_transactions t LEFT JOIN credit_holds h
                ON h.execution_id = t.execution_id AND h.status = 'captured' AND h.user_id = t.user_id
               AND t.key = 'capture:' || h.execution_id
             WHERE (t.source = 'execution' OR t.key LIKE 'capture:%') AND h.captured IS DISTINCT FROM t.amount
            UNION ALL
            SELECT 'user_has_a_wallet', u.id, 'no wallet' FROM users u LEFT JOIN credits w ON w.user_id = u.id
             WHERE w.user_id IS NULL
        $$
    """)
    op.execute("""
        CREATE FUNCTION ledger_violations() RETURNS TABLE (invariant text, subject uuid, detail text)
        LANGUAGE sql STABLE AS $$
            SELECT * FROM ledger_violations_of_runs() UNION ALL SELECT * FROM ledger_violations_of_purchases()
        $$
    """)


def downgrade() -> None:
    """Know of runs alone again."""
    op.execute("DROP FUNCTION ledger_violations()")
    op.execute("DROP FUNCTION ledger_violations_of_purchases()")
    op.execute("ALTER FUNCTION ledger_violations_of_runs() RENAME TO ledger_violations")
