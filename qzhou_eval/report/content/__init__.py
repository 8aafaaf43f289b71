"""Results -> what a report says: tables, cells, sentences. No format."""
