"""Every figure of speed and quality that the README quotes: one module each, one JSON line last."""
