"""The endpoints below `/v4`, and `/healthz` and `/readyz`: one module for each path."""
