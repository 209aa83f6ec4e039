"""The command line: `memoryd` and `replay-now`. Only `run`, `config`, `inspect` and `import` don't ask the daemon."""
