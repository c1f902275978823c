"""The largest request head and query string that are read."""

MAX_HEAD_BYTES = 128 * 1024
"""Larger than `MAX_QUERY_BYTES`, so that most queries which are too long get the application's own answer."""

MAX_QUERY_BYTES = 32 * 1024
QUERY_TOO_LONG = f"The query is longer than {MAX_QUERY_BYTES:,} bytes: send its parameters as the JSON body of a POST"
