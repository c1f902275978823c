"""Texts that do something where they are not taken for what they are."""

SQL = (
    "'", "''", "' OR '1'='1", "' OR 1=1 --", "') OR ('1'='1", "'; DROP TABLE data; --", "\" OR \"\"=\"", "\"", "\"\"",
    "`", "\\", "\\'", "\\' OR 1=1 --", "%", "_", "%%", "a%' OR 'x", "*", "?", "$1", "$p0", "$sources", "$target", ":p0",
    "{0}", "{x}", "%s", "%(p0)s", "--", "/* */", "/*", "#", ";", "; SELECT 1",
    "1; COPY (SELECT 1) TO '/tmp/tailrace-x'",
    "' UNION SELECT * FROM read_text('/etc/passwd') --", "(SELECT content FROM read_text('/etc/passwd'))",
    "read_csv('/etc/passwd')", "getenv('HOME')", "'||getenv('HOME')||'", "'; ATTACH '/tmp/tailrace-x.db'; --",
    "'; INSTALL httpfs; LOAD httpfs; --", "'; SET enable_external_access=true; --", "'; PRAGMA database_list; --",
    "'; EXPORT DATABASE '/tmp/tailrace-x'; --", "1 AND sleep(9)", "1) OR TRUE --", "NULL", "null", "TRUE", "NaN",
    "0x41", "1e999", "DATE '2020-01-01'", "CASE WHEN 1=1 THEN 1 END", "\u2019 OR 1=1 --", "\uff07 OR 1=1 --",
    "\u02bc", "a\u0000b", "a\nb", "a\r\nb", "\t", "\u202e", "\ufeff", "e\u0301", "\U0001f600", "file_row_number",
    "file_index", "_row_id", "unnest([1])", "x' = 'x", "$$", "$$;DROP TABLE data;$$", "E'\\x27'", "stage://0", "part://x",
)  # fmt: skip

PATHS = (
    "..", "../..", "../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e", "%2e%2e%2f", "....//", ".", "./.", "%00",
    "people%00", "people%2f..%2fpeople", "people%5c..", "\\..\\", "C:%5c", "%c0%ae%c0%ae", "people;x=1", "people%20",
    "%20people", "people.", "pe%6fple/..", "workflow=people", "%77orkflow", "people%0d%0aset-cookie:x", "*", "~root",
    "PEOPLE", "\uff50eople", "people%ef%bc%8f", "a" * 129, "-people", "_people",
)  # fmt: skip
