-- The privileges of the API and the workers. Run this as the owner of the tables after every migration; repeating it is
-- safe. Then give the processes a user of that role, and use the owner's password for migrations only:
--
--     CREATE ROLE agentforge_service LOGIN PASSWORD '...' IN ROLE agentforge_app;
--     DATABASE_URL=postgresql://agentforge_service:...@host/agentforge
--
-- They read and write rows, but cannot change tables or append-only rows: the ledger, the audit log and the versions of
-- workflows also have triggers against that, which only the owner can remove.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'agentforge_app') THEN
        CREATE ROLE agentforge_app NOLOGIN;
    END IF;
END
$$;

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO agentforge_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO agentforge_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO agentforge_app;

REVOKE UPDATE, DELETE ON credit_transactions FROM agentforge_app;
REVOKE UPDATE ON audit_log, workflow_versions FROM agentforge_app; -- of the log, a trigger keeps the last year
-- A save of an editor takes the number from the one before, and a run locks its version; a trigger refuses other changes.
GRANT UPDATE (number) ON workflow_versions TO agentforge_app;
GRANT UPDATE (data) ON audit_log TO agentforge_app; -- a trigger lets names and reasons be taken out, and nothing else
REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM agentforge_app;
