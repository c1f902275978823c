-- Finished exports that have not been deleted by a sweep, newest first.
CREATE VIEW exports AS
SELECT export_id, workflow, run, format, rows, bytes, sha256, crc64nvme, made_at, kept_until
FROM _inside.exports
ORDER BY made_at DESC, export_id;
