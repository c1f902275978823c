"""What strangers try: SQL where a value belongs, paths where an id does, requests that two readers read differently."""
