"""How long answers of the Hub are kept; :mod:`modelcellar.answers` keeps those of all hosts."""

from modelcellar.answers.cached import DAY_S, HOUR_S

__all__ = ["CARD_S", "COMMIT_S", "MODEL_INFO_S", "SEARCH_S"]

MODEL_INFO_S = DAY_S
"""Facts of a repository, and its listing at a branch."""
COMMIT_S = 30 * DAY_S
"""What a commit holds never changes; what is said of its repository beside that may."""
SEARCH_S = HOUR_S
CARD_S = 7 * DAY_S
"""A card at a commit never changes, but few are read twice."""
