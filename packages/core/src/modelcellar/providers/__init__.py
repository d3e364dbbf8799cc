"""Sources of identity other than the Hub."""
