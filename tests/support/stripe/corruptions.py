"""Corruptions by name: the statements that plant each, and the expected finding (check, problem, action)."""

from models.tables import Action

MENDED, TOLD = Action.REPAIRED, Action.REPORTED

TENFOLD = (
    "UPDATE purchases SET credits = credits * 10, bonus = bonus * 10 WHERE id = '{purchase}';"
    "UPDATE credit_transactions SET amount = amount * 10, balance_after = balance_after + amount * 9"
    " WHERE purchase_id = '{purchase}';"
    "UPDATE credit_transactions SET balance_after = balance_after + 4950"
    " WHERE user_id = '{user}' AND purchase_id <> '{purchase}';"
    "UPDATE credits SET balance = balance + 4950 WHERE user_id = '{user}'"
)

PLANTED = {
    # Sales and payments
    "amount tenfold": (
        "UPDATE purchases SET amount_cents = amount_cents * 10 WHERE id = '{purchase}'",
        {("payments", "different", MENDED)},
    ),
    "another currency": (
        "UPDATE purchases SET currency = 'eur' WHERE id = '{purchase}'",
        {("payments", "different", MENDED)},
    ),
    "another package": (
        "UPDATE purchases SET package_id = 'pack_5000' WHERE id = '{purchase}'",
        {("payments", "different", MENDED)},
    ),
    "amount tenfold after a refund": (
        "UPDATE purchases SET amount_cents = amount_cents * 10 WHERE id = '{refunded}'",
        {("payments", "different", MENDED)},
    ),
    "credits sold tenfold": (
        "UPDATE purchases SET credits = credits * 10 WHERE id = '{purchase}'",
        {("payments", "different", MENDED)},
    ),
    "purchase and grant tenfold": (
        TENFOLD,
        {
            ("payments", "different", MENDED),
            ("payments", "grant_differs", TOLD),
            ("ledger", "paid_purchase_has_its_grant", TOLD),
        },
    ),
    "grant tenfold": (
        TENFOLD.partition(";")[2],
        {("payments", "grant_differs", TOLD), ("ledger", "paid_purchase_has_its_grant", TOLD)},
    ),
    "paid purchase set back to pending": (
        "UPDATE purchases SET status = 'pending', paid_at = NULL WHERE id = '{purchase}'",
        {("payments", "different", MENDED)},
    ),
    "purchase of another user": (
        "UPDATE purchases SET user_id = '{other}' WHERE id = '{purchase}'",
        {("payments", "owner_differs", TOLD), ("ledger", "paid_purchase_has_its_grant", TOLD)},
    ),
    "another customer on a purchase": (
        "UPDATE purchases SET customer_id = 'cus_other' WHERE id = '{purchase}'",
        {("payments", "customer_differs", TOLD)},
    ),
    "purchase lost": (
        "DELETE FROM stripe_requests WHERE subject_id = '{purchase}'; DELETE FROM purchases WHERE id = '{purchase}'",
        {("payments", "lost_here", MENDED)},
    ),
    # Refunds and disputes
    "refund failed": (
        "UPDATE refunds SET status = 'failed' WHERE purchase_id = '{refunded}'",
        {("refunds", "different", MENDED)},
    ),
    "refund of another purchase": (
        "UPDATE refunds SET purchase_id = '{purchase}' WHERE purchase_id = '{refunded}'",
        {("refunds", "different", MENDED)},
    ),
    "refund lost": (
        "DELETE FROM refunds WHERE purchase_id = '{refunded}'",
        {("refunds", "missing_here", MENDED)},
    ),
    "refund and what counts of it tenfold": (
        "UPDATE refunds SET amount_cents = amount_cents * 10, counted_cents = counted_cents * 10"
        " WHERE purchase_id = '{refunded}'",
        {("refunds", "different", MENDED)},
    ),
    "refund and what counts of it shrunk": (
        "UPDATE refunds SET amount_cents = 1, counted_cents = 1 WHERE purchase_id = '{refunded}'",
        {("refunds", "different", MENDED)},
    ),
    "refund forgotten and what was taken back for it too": (
        "UPDATE refunds SET counted_cents = 0 WHERE purchase_id = '{refunded}';"
        "UPDATE purchases SET credits_taken = 0 WHERE id = '{refunded}'",
        {("refunds", "different", MENDED)},
    ),
    "refund and its purchase tenfold": (
        "UPDATE refunds SET amount_cents = amount_cents * 10, counted_cents = counted_cents * 10"
        " WHERE purchase_id = '{refunded}';"
        "UPDATE purchases SET amount_cents = amount_cents * 10 WHERE id = '{refunded}'",
        {("payments", "different", MENDED), ("refunds", "different", MENDED)},
    ),
    "dispute and what counts of it tenfold": (
        "UPDATE disputes SET amount_cents = amount_cents * 10, counted_cents = counted_cents * 10"
        " WHERE purchase_id IN (SELECT id FROM purchases WHERE user_id = '{user}')",
        {("disputes", "different", MENDED)},
    ),
    "dispute in another state": (
        "UPDATE disputes SET status = 'under_review' WHERE purchase_id IN"
        " (SELECT id FROM purchases WHERE user_id = '{user}')",
        {("disputes", "different", MENDED)},
    ),
    "dispute lost": (
        "DELETE FROM disputes WHERE purchase_id IN (SELECT id FROM purchases WHERE user_id = '{user}')",
        {("disputes", "missing_here", MENDED)},
    ),
    # Subscriptions
    "another tier by hand": (
        "UPDATE users SET subscription_tier = 'enterprise' WHERE id = '{user}'",
        {("subscriptions", "different", MENDED)},
    ),
    "tier without a subscription": (
        "DELETE FROM subscriptions WHERE user_id = '{user}'; UPDATE subscriptions SET grants = 'free';"
        "INSERT INTO users (email, name, password_hash, subscription_tier, email_verified_at)"
        " VALUES ('new@example.com', 'New', '!', 'enterprise', now());"
        "INSERT INTO credits (user_id) SELECT id FROM users WHERE email = 'new@example.com'",
        {
            ("tiers", "tier_without_subscription", TOLD),
            ("subscriptions", "missing_here", MENDED),
            ("subscriptions", "different", MENDED),
        },
    ),
    "subscription of another tier": (
        "UPDATE subscriptions SET tier = 'enterprise', grants = 'enterprise' WHERE user_id = '{user}'",
        {("subscriptions", "different", MENDED)},
    ),
    "subscription canceled": (
        "UPDATE subscriptions SET status = 'canceled', grants = 'free' WHERE user_id = '{user}'",
        {("subscriptions", "different", MENDED)},
    ),
    "longer period": (
        "UPDATE subscriptions SET current_period_end = current_period_end + interval '1 year' WHERE user_id = '{user}'",
        {("subscriptions", "different", MENDED)},
    ),
    "subscription of another user": (
        "UPDATE subscriptions SET user_id = '{other}' WHERE user_id = '{user}'",
        {("subscriptions", "owner_differs", TOLD), ("tiers", "tier_without_subscription", TOLD)},
    ),
    "another customer on a subscription": (
        "UPDATE subscriptions SET customer_id = 'cus_other' WHERE user_id = '{user}'",
        {("subscriptions", "different", MENDED)},
    ),
    # Invoices and customers
    "invoice over another amount": (
        "UPDATE invoices SET amount_cents = 1, status = 'open' WHERE user_id = '{user}'",
        {("invoices", "different", MENDED)},
    ),
    "invoice lost": (
        "DELETE FROM invoices WHERE user_id = '{user}'",
        {("invoices", "missing_here", MENDED)},
    ),
    "invoice of another user": (
        "UPDATE invoices SET user_id = '{other}' WHERE user_id = '{user}'",
        {("invoices", "owner_differs", TOLD)},
    ),
    "customers swapped": (
        "CREATE TEMP TABLE swapped ON COMMIT DROP AS SELECT id, stripe_customer_id AS was FROM users;"
        "UPDATE users SET stripe_customer_id = NULL WHERE id IN ('{user}', '{other}');"
        "UPDATE users SET stripe_customer_id = (SELECT was FROM swapped WHERE id = '{other}') WHERE id = '{user}';"
        "UPDATE users SET stripe_customer_id = (SELECT was FROM swapped WHERE id = '{user}') WHERE id = '{other}'",
        {("customers", "owner_differs", TOLD), ("payment_methods", "owner_differs", TOLD)},
    ),
    "customer forgotten": (
        "UPDATE users SET stripe_customer_id = NULL WHERE id = '{user}'",
        {("customers", "missing_here", MENDED)},
    ),
    "another default card": (
        "UPDATE payment_methods SET is_default = false WHERE user_id = '{user}'",
        {("customers", "different", MENDED)},
    ),
    "another card": (
        "UPDATE payment_methods SET last4 = '0000' WHERE user_id = '{user}'",
        {("payment_methods", "different", MENDED)},
    ),
    # Credits without a cause
    "gift": (
        "UPDATE credits SET balance = balance + 5, version = version + 1 WHERE user_id = '{user}';"
        "INSERT INTO credit_transactions (user_id, version, key, type, amount, balance_after, reason, source)"
        " SELECT user_id, version, 'gift:1', 'credit', 5, balance, 'Gift', 'gift' FROM credits"
        " WHERE user_id = '{user}'",
        {("ledger", "source_is_known", TOLD)},
    ),
    "adjustment that nobody made": (
        "UPDATE credits SET balance = balance + 5, version = version + 1 WHERE user_id = '{user}';"
        "INSERT INTO credit_transactions (user_id, version, key, type, amount, balance_after, reason, source)"
        " SELECT user_id, version, 'adjust:1', 'credit', 5, balance, 'Sorry', 'adjustment' FROM credits"
        " WHERE user_id = '{user}'",
        {("ledger", "adjustment_is_in_the_audit_log", TOLD)},
    ),
    "second welcome": (
        "UPDATE credits SET balance = balance + 10, version = version + 1 WHERE user_id = '{user}';"
        "INSERT INTO credit_transactions (user_id, version, key, type, amount, balance_after, reason, source)"
        " SELECT user_id, version, 'welcome:again', 'credit', 10, balance, 'Welcome', 'welcome' FROM credits"
        " WHERE user_id = '{user}'",
        {("ledger", "welcome_is_given_once_to_a_verified_user", TOLD)},
    ),
    # The ledger, past its triggers
    "a grant deleted": (
        "DELETE FROM credit_transactions WHERE purchase_id = '{purchase}'",
        {
            ("payments", "grant_differs", TOLD),
            ("ledger", "paid_purchase_has_its_grant", TOLD),
            ("ledger", "balance_is_sum_of_transactions", TOLD),
        },
    ),
    "a balance enlarged": (
        "UPDATE credits SET balance = balance + 1000 WHERE user_id = '{user}'",
        {("ledger", "balance_is_sum_of_transactions", TOLD)},
    ),
    "an orphan hold": (
        "INSERT INTO credit_holds (execution_id, user_id, amount) VALUES (gen_random_uuid(), '{user}', 5);"
        "UPDATE credits SET held = held + 5 WHERE user_id = '{user}'",
        {("ledger", "hold_has_its_run_or_receipt", TOLD)},
    ),
    "what is held enlarged": (
        "UPDATE credits SET held = held + 5 WHERE user_id = '{user}'",
        {("ledger", "held_is_sum_of_open_holds", TOLD)},
    ),
}
