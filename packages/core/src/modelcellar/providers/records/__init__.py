"""Readers of what other tools wrote down about model files, one module for each kind of record.

Records are hostile input: each reader gives the claims it finds, and for anything else nothing.
"""
