"""The peers, one program each, run by the interpreter of ``.venv-bench``; nothing here imports the engine."""
