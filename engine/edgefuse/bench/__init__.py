"""Bench: how long an answer takes and what it costs, beside what one would use instead, in one run on one device."""
