"""Tools for assistants (Model Context Protocol): over HTTP at ``/mcp``, and over stdio with ``tailrace mcp``.

Each tool sends requests to the API with the caller's credentials, so access, limits and errors are those of the API.
It needs the extra ``mcp``; the rest of the service works without it.
"""
