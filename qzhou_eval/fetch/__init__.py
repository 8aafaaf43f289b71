"""Downloads data sets and models from endpoints into folders, with a record of what was downloaded."""
