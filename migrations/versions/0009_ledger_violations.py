"""A function that names every broken promise of the ledger."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add it. A whole ledger answers with no rows."""
    op.execute("""
        CREATE FUNCTION ledger_violations() RETURNS TABLE (invariant text, subject uuid, detail text)
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


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP FUNCTION ledger_violations()")
