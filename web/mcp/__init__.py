"""Tools for assistants, by the Model Context Protocol: over HTTP at ``/mcp``, and over stdio by ``tailrace mcp``.

Every tool is a request to the API with the caller's own credentials, so access, limits and errors are the API's. It
needs the extra ``mcp``; without it the rest of the service is as ever.
"""
