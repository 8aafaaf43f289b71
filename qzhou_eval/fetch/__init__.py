"""Data sets and models from endpoints into folders, with a receipt of what was downloaded."""
