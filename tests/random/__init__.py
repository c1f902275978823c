"""A long run of everything at once: two services on one store, kills and faults, and what has to hold after it."""
