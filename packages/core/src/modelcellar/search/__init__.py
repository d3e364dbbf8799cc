"""Full-text search over the catalog: words of a name, safe queries, the FTS5 index, ranking."""
