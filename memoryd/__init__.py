"""memoryd: a memory that outlives every process, for local language models."""

__version__ = "0.1.0"
