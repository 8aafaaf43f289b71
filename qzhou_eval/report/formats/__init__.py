"""What a report says -> HTML, Markdown, LaTeX, CSV, figures, in English or Chinese."""
