"""The content of a report, made from results: tables, cells, sentences. Formats nothing."""
