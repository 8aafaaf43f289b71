"""Formats a report as HTML, Markdown, LaTeX, CSV and figures, in English or Chinese."""
