"""The goals: what each measures, and how it is judged."""
