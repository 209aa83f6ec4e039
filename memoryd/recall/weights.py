"""Every number that recall's ranking hangs on. `docs/recall.md` says which figures chose them, and on which data."""

from __future__ import annotations

from datetime import timedelta

# A candidate's score is its cosine with the question plus these, each a part of 1:
# the share of the question's words that it has,
WORDS = 0.42
# that share of the better one of the exchanges beside it: one often names what the next one answers,
NEIGHBOURS = 0.25
# how near it is to the time that the question names,
TIME = 0.15
# and whether a person said it, alone or in an exchange, and not an assistant at length.
PERSON = 0.1
# Outside of a named time, nearness falls to a third over the time's own length, but over this at least.
NEAR_TIME = timedelta(days=2)

# Candidates out of the time that the question names.
TIME_CANDIDATES = 300
SHORT_TIME = timedelta(days=31)
MOST_TIMES = 8

# A hit shows what stands beside its passage while all of it stays within so many (estimated) tokens.
HIT_TOKENS = 150

# Two passages make the same statement, maybe with another outcome, from this cosine on; the newer then stands first, if
# its score is so near.
SAME_STATEMENT = 0.8
NEWER_WITHIN = 0.1
# Where the question asks how things stand now, the same subject is enough.
SAME_SUBJECT = 0.6
LATEST_WITHIN = 0.2
