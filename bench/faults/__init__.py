"""Kills and damages a real daemon while it works, and compares what it remembers with the files on disk.

driver (files, API) ──▶ daemon ──▶ SIGKILL, or damage ──▶ start ──▶ whole again? ──▶ compared ──▶ next round
"""
