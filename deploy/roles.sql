-- What the API and the workers may do to the database. Run it as the owner of the tables, after every migration; it may
-- be run again. Then give the processes a user of that role, and keep the owner's password for migrations alone:
--
--     CREATE ROLE agentforge_service LOGIN PASSWORD '...' IN ROLE agentforge_app;
--     DATABASE_URL=postgresql://agentforge_service:...@host/agentforge
--
-- They read and write rows. They change no tables, and what is only added to, they cannot change: the ledger, the audit
-- log and the versions of workflows have triggers against that too, which only the owner could take away.

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
REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM agentforge_app;
