"""The HTTP edge: one router a file, problem documents for errors, a bearer token for every call under `/api`."""
