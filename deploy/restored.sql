-- What follows every restore; restore.sh runs it. A driver from before may hold a lease that is in the backup, so no epoch
-- may be used again. The row in the audit log tells when the database was restored, and to which moment: `point` is
-- empty for a dump, whose name has it.
UPDATE workflow_executions SET epoch = epoch + 1000 WHERE finished_at IS NULL;
INSERT INTO audit_log (id, action, data)
VALUES (gen_random_uuid(), 'database.restored', jsonb_strip_nulls(jsonb_build_object(
            'file', :'backup', 'operator', nullif(:'operator', ''), 'recovered_to', nullif(:'point', '')::timestamptz)));
SELECT 'recovered to ' || to_char(nullif(:'point', '')::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
 WHERE :'point' <> '';
