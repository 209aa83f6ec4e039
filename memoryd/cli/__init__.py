"""The command line: `memoryd` and `replay-now`. All but `run` and `config` speak HTTP to the daemon."""
