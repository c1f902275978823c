"""Looking at rows without making a file: lists of workflows and runs, pages, facts of columns, and SQL over one run."""
