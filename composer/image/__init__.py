"""A container image of one pipeline: what goes into it, and who builds it."""
