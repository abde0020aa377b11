"""The ledger's invariants: a function that returns every violation of them."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the function in parts, one per subject. `ledger_violations()` returns no rows if the ledger is valid."""
    _of_runs()
    _of_purchases()
    _of_history()
    op.execute("""
        CREATE FUNCTION ledger_violations() RETURNS TABLE (invariant text, subject uuid, detail text)
        LANGUAGE sql STABLE AS $$
            SELECT * FROM ledger_violations_of_runs() UNION ALL SELECT * FROM ledger_violations_of_purchases()
            UNION ALL SELECT * FROM ledger_violations_of_history()
        $$
    """)


def _of_runs() -> None:
    """Balances are the sums of their transactions; open holds belong to executions that are not over."""
    op.execute("""
        CREATE FUNCTION ledger_violations_of_runs() RETURNS TABLE (invariant text, subject uuid, detail text)
        LANGUAGE sql STABLE AS $$
            WITH moves AS (
                SELECT user_id, version, balance_after,
                       sum(CASE type WHEN 'credit' THEN amount ELSE -amount END) OVER history AS running,
                       row_number() OVER history AS place
                  FROM credit_transactions WINDOW history AS (PARTITION BY user_id ORDER BY version)
            ), totals AS (
                SELECT user_id, count(*) AS moves,
                       sum(CASE type WHEN 'credit' THEN amount ELSE -amount END) AS balance
                  FROM credit_transactions GROUP BY user_id
            ), holds AS (
                SELECT user_id, sum(amount) AS held FROM credit_holds WHERE status = 'held' GROUP BY user_id
            )
            SELECT 'balance_is_sum_of_transactions', coalesce(w.user_id, t.user_id),
                   format('wallet %s, transactions %s', w.balance, t.balance)
              FROM credits w FULL JOIN totals t USING (user_id)
             WHERE w.balance IS DISTINCT FROM coalesce(t.balance, 0)
            UNION ALL
            SELECT 'version_counts_transactions', w.user_id,
                   format('wallet %s, transactions %s', w.version, coalesce(t.moves, 0))
              FROM credits w LEFT JOIN totals t USING (user_id) WHERE w.version <> coalesce(t.moves, 0)
            UNION ALL
            SELECT 'held_is_sum_of_open_holds', coalesce(w.user_id, h.user_id),
                   format('wallet %s, holds %s', w.held, h.held)
              FROM credits w FULL JOIN holds h USING (user_id) WHERE w.held IS DISTINCT FROM coalesce(h.held, 0)
            UNION ALL
            SELECT 'history_has_no_gap', user_id, format('version %s stands at place %s', version, place)
              FROM moves WHERE version <> place
            UNION ALL
            SELECT 'balance_after_is_running_sum', user_id,
                   format('version %s says %s, the sum is %s', version, balance_after, running)
              FROM moves WHERE balance_after <> running
            UNION ALL
            SELECT 'captured_hold_has_its_debit', h.execution_id,
                   format('captured %s, debited %s', h.captured, t.amount)
              FROM credit_holds h LEFT JOIN credit_transactions t
                ON t.key = 'capture:' || h.execution_id AND t.type = 'debit' AND t.user_id = h.user_id
             WHERE coalesce(t.amount, 0) <> h.captured
            UNION ALL
            SELECT 'hold_is_open_while_running', e.id, format('execution %s, hold %s', e.status, h.status)
              FROM workflow_executions e LEFT JOIN credit_holds h ON h.execution_id = e.id
             WHERE (h.status IS NOT DISTINCT FROM 'held') = (e.finished_at IS NOT NULL)
            UNION ALL
            SELECT 'captured_is_what_was_charged', e.id,
                   format('charged %s, captured %s', e.credits_charged, h.captured)
              FROM workflow_executions e JOIN credit_holds h ON h.execution_id = e.id
             WHERE e.finished_at IS NOT NULL AND h.captured <> e.credits_charged
            UNION ALL
            SELECT 'hold_is_the_cap', e.id, format('cap %s, hold %s', e.credits_cap, h.amount)
              FROM workflow_executions e JOIN credit_holds h ON h.execution_id = e.id
             WHERE h.amount <> e.credits_cap
            UNION ALL
            SELECT 'charged_covers_the_nodes', e.id,
                   format('charged %s, nodes %s', e.credits_charged, n.credits)
              FROM workflow_executions e
              JOIN (SELECT execution_id, sum(credits) AS credits FROM node_executions GROUP BY execution_id) n
                ON n.execution_id = e.id
             WHERE n.credits > e.credits_charged
        $$
    """)


def _of_purchases() -> None:
    """Every paid purchase is granted once, and the credits taken back are in proportion to the money returned."""
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


def _of_history() -> None:
    """Holds outlive the executions that pruning removes, and agree with the receipts that replace those."""
    op.execute("""
        CREATE FUNCTION ledger_violations_of_history() RETURNS TABLE (invariant text, subject uuid, detail text)
        LANGUAGE sql STABLE AS $$
            SELECT 'hold_has_its_run_or_receipt', h.execution_id, format('hold %s of %s', h.status, h.amount)
              FROM credit_holds h
             WHERE NOT EXISTS (SELECT FROM workflow_executions e WHERE e.id = h.execution_id)
               AND NOT EXISTS (SELECT FROM receipts r WHERE r.execution_id = h.execution_id AND h.status <> 'held')
            UNION ALL
            SELECT 'receipt_is_what_was_captured', r.execution_id,
                   format('receipt %s, captured %s', r.credits_charged, h.captured)
              FROM receipts r JOIN credit_holds h ON h.execution_id = r.execution_id
             WHERE h.captured <> r.credits_charged OR (r.document->>'total')::numeric <> r.credits_charged
        $$
    """)


def downgrade() -> None:
    """Drop the functions."""
    op.execute("DROP FUNCTION ledger_violations()")
    for subject in ("history", "purchases", "runs"):
        op.execute(f"DROP FUNCTION ledger_violations_of_{subject}()")
