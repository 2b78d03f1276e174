"""The command line: thin commands over bootstrap and views, each imported only when it is used."""
